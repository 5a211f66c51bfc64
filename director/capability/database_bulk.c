/*
 * database.bulk: a list of writes in one call. Each is a store command of its own, durable by itself; they
 * are submitted some at a time without waiting for one another, so that the store commits many at once.
 * An ordered list is a chain (store.h): nothing behind the first that fails is made.
 */
#include "director/capability/capability.h"
#include "director/capability/database.h"
#include "director/director.h"

#include <errno.h>
#include <stdlib.h>

enum {
	WINDOW = 64,
	/* At most what one write adds to the answer, without an _id that it made and without a message. */
	RESULT_BYTES = 96,
};

struct bulk;

/* A write that the store has. */
struct slot {
	struct bulk *bulk;
	enum store_op op;
	uint32_t place;
	bool used;
};

struct bulk {
	struct capability_call *c;
	struct store_scope scope;
	struct slice collection;
	struct document_iter rest; /* the writes that were not submitted */
	struct store_chain chain;
	bool ordered;
	uint32_t next;
	unsigned running;
	size_t spare; /* bytes that the answer has for messages */
	bson_t results;
	uint32_t n_results;
	struct slot slots[WINDOW];
};

static bool is_stopped(const struct bulk *b, uint32_t place)
{
	return b->ordered && place > atomic_load(&b->chain.failed);
}

/* --- answers --- */

static void append_failure(struct bulk *b, bson_t *out, const struct store_result *result)
{
	size_t message = strlen(result->message);
	size_t more = message + result->duplicates.n;
	(void)bson_append_utf8(out, "code", 4, store_error_code(result->error), -1);
	(void)bson_append_utf8(out, "message", 7, message <= b->spare ? result->message : "", -1);
	if (result->error == STORE_E_DUPLICATE && more <= b->spare) {
		database_append_duplicate(out, result, 0);
	}
}

static void append_result(struct bulk *b, const struct slot *s, const struct store_result *result)
{
	char text[24];
	bson_t item;
	uint32_t before = b->results.len;
	struct slice name = index_name(b->n_results++, text);
	bson_append_document_begin(&b->results, (const char *)name.p, (int)name.n, &item);
	(void)bson_append_int32(&item, "i", 1, (int32_t)s->place);
	if (result->error != STORE_OK && result->n_write_errors == 0) {
		append_failure(b, &item, result);
	} else {
		database_append_change(&item, s->op, result, false, b->spare);
	}
	bson_append_document_end(&b->results, &item);
	/* What its fixed part takes was set aside. */
	size_t used = b->results.len - before;
	size_t taken = used > RESULT_BYTES ? used - RESULT_BYTES : 0;
	b->spare -= taken < b->spare ? taken : b->spare;
}

static void finish(struct bulk *b)
{
	bson_t reply = BSON_INITIALIZER;
	(void)bson_append_array(&reply, "results", 7, &b->results);
	capability_reply(b->c, slice_of(bson_get_data(&reply), reply.len));
	bson_destroy(&reply);
	bson_destroy(&b->results);
	free(b);
}

/* --- submitting --- */

static void go_on(struct bulk *b);

static void on_done(void *owner, const struct store_result *result)
{
	struct slot *s = owner;
	struct bulk *b = s->bulk;
	if (!is_stopped(b, s->place)) {
		append_result(b, s, result);
	}
	s->used = false;
	b->running--;
	go_on(b);
}

static struct slot *free_slot(struct bulk *b)
{
	for (unsigned i = 0; i < WINDOW; i++) {
		if (!b->slots[i].used) {
			return &b->slots[i];
		}
	}
	return NULL;
}

/* It was read before: it can be read. @return as store_submit(). */
static int submit(struct bulk *b, struct slot *s, struct value write)
{
	struct database_args a;
	char why[DATABASE_WHY_SIZE];
	database_args_init(&a);
	int r = database_args_write(&a, write, why) ? 0 : -ENOMEM;
	a.command.collection = b->collection;
	a.command.ordered = b->ordered;
	a.command.chain = b->ordered ? &b->chain : NULL;
	a.command.place = b->next;
	*s = (struct slot){ b, a.command.op, b->next, true };
	r = r < 0
		? r
		: store_submit(capability_director(b->c)->store, &b->scope, &a.command, on_done, s);
	database_args_deinit(&a);
	return r;
}

/* A write that the store did not take: nothing behind it is tried. */
static void give_up(struct bulk *b, struct slot *s, int r)
{
	struct store_result result = { .error = STORE_E_UNAVAILABLE };
	(void)snprintf(result.message, sizeof(result.message), "%s",
		r == -ENOMEM ? "no memory" : "the store is closed");
	s->used = false;
	append_result(b, s, &result);
	b->rest = document_iter(SLICE_NULL);
}

/* Ends with the call's answer when there is nothing left: `b` is gone then. */
static void go_on(struct bulk *b)
{
	struct slot *s = free_slot(b);
	struct element e;
	while (s != NULL && !is_stopped(b, b->next) && document_next(&b->rest, &e)) {
		int r = submit(b, s, e.value);
		b->running += r == 0 ? 1 : 0;
		if (r < 0) {
			give_up(b, s, r);
		}
		b->next++;
		s = free_slot(b);
	}
	if (b->running == 0) {
		finish(b);
	}
}

/* --- the list --- */

/* How many bytes the answer has at most, without messages. @return false after answering. */
static bool check(struct capability_call *c, struct slice writes, size_t *ret_bytes)
{
	struct document_iter it = document_iter(writes);
	struct element e;
	uint64_t n = 0;
	uint64_t most = capability_director(c)->settings->bulk_writes;
	size_t bytes = 0;
	for (; document_next(&it, &e); n++) {
		struct database_args a;
		struct slice document;
		char why[DATABASE_WHY_SIZE];
		database_args_init(&a);
		bool ok = database_args_write(&a, e.value, why);
		struct slice row = a.command.documents;
		bytes += RESULT_BYTES + (a.command.upsert ? e.value.data.n : 0);
		while (ok && document_take(&row, &document)) {
			bytes += DATABASE_ERROR_BYTES;
		}
		database_args_deinit(&a);
		if (!ok) {
			capability_fail(c, "invalid_argument", "writes.%llu: %s",
				(unsigned long long)n, why);
			return false;
		}
	}
	if (n > most) {
		capability_fail(c, "limit_exceeded",
			"a list of %llu writes; the limit is %llu (MOZAIKS_MAX_BULK_WRITES)",
			(unsigned long long)n, (unsigned long long)most);
		return false;
	}
	if (bytes >= DATABASE_REPLY_MAX) {
		capability_fail(c, "limit_exceeded",
			"too many writes in one list: its answer would have more than %d bytes",
			DATABASE_REPLY_MAX);
		return false;
	}
	*ret_bytes = bytes;
	return true;
}

void database_bulk(struct capability_call *c, const struct database_args *a)
{
	size_t bytes = 0;
	if (!check(c, a->writes, &bytes)) {
		return;
	}
	struct bulk *b = calloc(1, sizeof(*b));
	if (b == NULL) {
		capability_fail(c, "unavailable", "no memory");
		return;
	}
	/* The slices are the call's arguments, which are there until it is answered. */
	*b = (struct bulk){
		.c = c,
		.scope = database_scope(c, a->command.collection, a->all_users),
		.collection = a->command.collection,
		.rest = document_iter(a->writes),
		.chain = { STORE_CHAIN_NONE },
		.ordered = a->command.ordered,
		.spare = DATABASE_REPLY_MAX - bytes,
	};
	bson_init(&b->results);
	go_on(b);
}
