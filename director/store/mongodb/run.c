#include "director/store/mongodb/run.h"

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "director/store/mongodb/command.h"
#include "director/store/mongodb/filter.h"

#include <errno.h>

/* How soon a failure is one of the connection and not of the server. */
enum { TRY_AGAIN_MS = 500 };

void mongodb_view(bson_t *ret, struct slice document)
{
	static const uint8_t empty[] = { DOCUMENT_EMPTY_BYTES, 0, 0, 0, 0 };
	bool ok = document.n == 0 ? bson_init_static(ret, empty, sizeof(empty))
				  : bson_init_static(ret, document.p, document.n);
	/* store_submit() takes valid documents only. */
	invariant(ok);
}

void mongodb_append_document(bson_t *to, const char *name, struct slice document)
{
	bson_t b;
	if (document.n > 0) {
		mongodb_view(&b, document);
		bson_append_document(to, name, -1, &b);
	}
}

void mongodb_append_number(bson_t *to, const char *name, uint64_t n)
{
	if (n > 0) {
		bson_append_int64(to, name, -1, n > INT64_MAX ? INT64_MAX : (int64_t)n);
	}
}

int mongodb_emit(struct store_task *t, struct slice document, bool projected)
{
	/* The filter has asked for the caller's documents only; whole ones can be checked for it. */
	if (!projected && !store_task_owns(t, document)) {
		log_event(LOG_ERROR, "store.mongodb_scope",
			"the server answered with a document outside the scope that it was asked for");
		return store_task_fail(t, STORE_E_INTERNAL, "the database failed");
	}
	if (projected || t->projector == NULL) {
		writer_raw(&t->out, document);
	} else {
		struct budget budget = { .deadline_ms = clock_ms() + t->limits->operation_ms };
		struct store_failure f = { 0 };
		if (projection_apply(t->projector, t->matcher, document, &budget, &t->out, &f) !=
			0) {
			return store_task_fail(t, f.error, "%s", f.message);
		}
	}
	if (t->out.error == -ENOBUFS) {
		return store_task_fail(t, STORE_E_LIMIT,
			"the result has more than %zu bytes (MOZAIKS_MAX_RESULT_BYTES)",
			t->limits->result_bytes);
	}
	return t->out.error < 0 ? store_task_fail_errno(t, t->out.error) : 0;
}

/*
 * A connection that is made only when a change is to be sent, or was lost meanwhile, fails in ways that
 * cannot be told from a lost answer. @return false: the task is answered.
 */
static bool connect_first(struct mongodb_session *s, struct store_task *t)
{
	bson_error_t error;
	unsigned outages = mongodb_health_outages(s->health);
	if (!store_task_changes(t) || (s->connected && s->outages == outages)) {
		return true;
	}
	s->connected = mongodb_ping(s->client, &error);
	s->outages = outages;
	if (!s->connected) {
		(void)mongodb_fail(t, &error, NULL, false);
	}
	return s->connected;
}

typedef void (*operation_fn)(struct mongodb_command *c);

static bool changes_documents(const struct store_task *t)
{
	return t->op == STORE_INSERT || t->op == STORE_UPDATE || t->op == STORE_DELETE ||
		t->op == STORE_MODIFY;
}

static void run_once(struct mongodb_session *s, struct store_task *t)
{
	static const operation_fn operations[] = {
		[STORE_FIND] = mongodb_find,
		[STORE_COUNT] = mongodb_count,
		[STORE_DISTINCT] = mongodb_distinct,
		[STORE_INSERT] = mongodb_insert,
		[STORE_UPDATE] = mongodb_update,
		[STORE_DELETE] = mongodb_delete,
		[STORE_MODIFY] = mongodb_modify,
		[STORE_AGGREGATE] = mongodb_aggregate,
		[STORE_INDEX_CREATE] = mongodb_index_create,
		[STORE_INDEX_DROP] = mongodb_index_drop,
		[STORE_INDEX_LIST] = mongodb_index_list,
		[STORE_NAMES] = mongodb_names,
	};
	struct quota_claim claim;
	if (!connect_first(s, t)) {
		return;
	}
	/* Physical names are bounded and hold no NUL: scope.c made them. */
	char name[512];
	invariant(t->collection.n < sizeof(name));
	memcpy(name, t->collection.p, t->collection.n);
	name[t->collection.n] = '\0';
	struct mongodb_command c = { .session = s,
		.t = t,
		.collection = mongoc_database_get_collection(s->database, name) };
	mongodb_filter_init(&c.filter, t);
	if (!changes_documents(t)) {
		operations[t->op](&c);
	} else if (mongodb_quota_claim(&c, &claim) == 0) {
		operations[t->op](&c);
		mongodb_quota_settle(&c, &claim);
	}
	bson_destroy(&c.filter);
	mongoc_collection_destroy(c.collection);
	if (t->result.error == STORE_E_UNAVAILABLE || t->result.error == STORE_E_UNKNOWN) {
		s->connected = false;
	}
}

/* A connection that was lost while nobody used it says so at once, and there is another one to be had.
 * What took longer has waited for the server, which is not there. */
static bool may_try_again(
	const struct mongodb_session *s, const struct store_task *t, uint64_t began_ms)
{
	return t->result.error == STORE_E_UNAVAILABLE && mongodb_health_is_up(s->health) &&
		clock_ms() < began_ms + TRY_AGAIN_MS;
}

void mongodb_run(struct mongodb_session *s, struct store_task *t)
{
	uint64_t began_ms = clock_ms();
	run_once(s, t);
	/* "Unavailable" is that nothing was done: also a change is made once only. */
	if (may_try_again(s, t, began_ms)) {
		store_task_restart(t);
		run_once(s, t);
	}
	store_task_finish(t);
}
