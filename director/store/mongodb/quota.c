#include "director/store/mongodb/quota.h"

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/base/map.h"
#include "director/store/mongodb/collections.h"
#include "director/store/mongodb/command.h"
#include "director/store/mongodb/rehearse.h"

#include <errno.h>
#include <stdlib.h>

enum {
	KEY_MAX = 640,        /* as of a lane: both parts are bounded by scope_check_names() */
	ACCOUNTS_MAX = 65536, /* then those that nobody uses are forgotten, and counted again */
	RECOUNT_MS = 10000,   /* what other directors have written is known then */
	RECOUNT_USER_MS = 60000,
	SOON_MS = 1000, /* between counts of one that is full, unless it has become less */
};

struct quota_account {
	UT_hash_handle hh;
	struct quota_usage used;    /* counted, and claimed since then */
	struct quota_usage pending; /* claimed by changes that have no answer yet */
	struct quota_usage since;   /* claimed since the count at work began */
	uint64_t counted_ms;
	unsigned holds; /* threads that have it in their hands */
	bool known;     /* was counted */
	bool counting;
	bool shrunk; /* something was removed since the last count */
	bool of_user;
	size_t n;
	uint8_t key[];
};

int mongodb_quotas_init(struct mongodb_quotas *q)
{
	*q = (struct mongodb_quotas){ 0 };
	int r = pthread_mutex_init(&q->lock, NULL);
	if (r != 0) {
		return -r;
	}
	r = pthread_cond_init(&q->counted, NULL);
	if (r != 0) {
		(void)pthread_mutex_destroy(&q->lock);
	}
	return -r;
}

static void forget_unused(struct mongodb_quotas *q)
{
	struct quota_account *a = NULL;
	struct quota_account *following = NULL;
	HASH_ITER (hh, q->accounts, a, following) {
		if (a->holds == 0) {
			HASH_DEL(q->accounts, a);
			free(a);
		}
	}
}

void mongodb_quotas_deinit(struct mongodb_quotas *q)
{
	forget_unused(q);
	invariant(q->accounts == NULL);
	(void)pthread_cond_destroy(&q->counted);
	(void)pthread_mutex_destroy(&q->lock);
}

/* --- usage --- */

static void add(struct quota_usage *to, const struct quota_usage *more)
{
	to->documents += more->documents;
	to->bytes += more->bytes;
}

/* Figures are estimates: never below zero. */
static void subtract(struct quota_usage *from, const struct quota_usage *less)
{
	from->documents -= less->documents < from->documents ? less->documents : from->documents;
	from->bytes -= less->bytes < from->bytes ? less->bytes : from->bytes;
}

static struct quota_usage limits_of(const struct store_limits *l, bool of_user)
{
	return of_user ? (struct quota_usage){ l->user_documents, l->user_bytes }
		       : (struct quota_usage){ l->plugin_documents, l->plugin_bytes };
}

/* Which limit would be exceeded; none is 0. */
enum excess { NONE, DOCUMENTS, BYTES };

static enum excess excess_of(const struct quota_usage *used,
	const struct quota_usage *need,
	const struct quota_usage *limits)
{
	if (limits->documents != 0 && need->documents > 0 &&
		used->documents + need->documents > limits->documents) {
		return DOCUMENTS;
	}
	if (limits->bytes != 0 && need->bytes > 0 && used->bytes + need->bytes > limits->bytes) {
		return BYTES;
	}
	return NONE;
}

/* In the words of sqlite/quota.c. */
static int refuse(struct store_task *t,
	const struct quota_account *a,
	const struct quota_usage *need,
	enum excess excess)
{
	static const char *const settings[2][2] = {
		{ "MOZAIKS_QUOTA_PLUGIN_DOCUMENTS", "MOZAIKS_QUOTA_PLUGIN_BYTES" },
		{ "MOZAIKS_QUOTA_USER_DOCUMENTS", "MOZAIKS_QUOTA_USER_BYTES" },
	};
	struct quota_usage limits = limits_of(t->limits, a->of_user);
	bool bytes = excess == BYTES;
	uint64_t used = bytes ? a->used.bytes + need->bytes : a->used.documents + need->documents;
	return store_task_fail(t, STORE_E_LIMIT,
		"%s would have %llu %s stored; the quota is %llu (%s)",
		a->of_user ? "this user" : "this plugin", (unsigned long long)used,
		bytes ? "bytes of documents" : "documents",
		(unsigned long long)(bytes ? limits.bytes : limits.documents),
		settings[a->of_user][bytes]);
}

/* --- asking the server --- */

struct count {
	struct mongodb_command *c;
	struct mongodb_quotas *q;
	bool of_user;
	struct quota_usage found;
};

static uint64_t number_in(const bson_t *b, const char *name)
{
	bson_iter_t it;
	int64_t n = bson_iter_init_find(&it, b, name) && BSON_ITER_HOLDS_NUMBER(&it)
		? bson_iter_as_int64(&it)
		: 0;
	return n > 0 ? (uint64_t)n : 0;
}

/* {collStats: <name>} -> {count, size} */
static int count_statistics(struct count *count, struct slice name)
{
	bson_t command = BSON_INITIALIZER;
	bson_t reply;
	bson_error_t error;
	int r = 0;
	bson_append_utf8(&command, "collStats", -1, (const char *)name.p, (int)name.n);
	if (mongoc_database_read_command_with_opts(
		    count->c->session->database, &command, NULL, NULL, &reply, &error)) {
		count->found.documents += number_in(&reply, "count");
		count->found.bytes += number_in(&reply, "size");
	} else {
		r = (int)mongodb_fail(count->c->t, &error, &reply, false);
	}
	bson_destroy(&reply);
	bson_destroy(&command);
	return r;
}

static mongoc_collection_t *collection_of(struct count *count, struct slice name)
{
	char text[512];
	invariant(name.n < sizeof(text));
	memcpy(text, name.p, name.n);
	text[name.n] = '\0';
	return mongoc_database_get_collection(count->c->session->database, text);
}

/* [{$match: {user_id: …}}, {$group: {_id: null, n: {$sum: 1}, b: {$sum: {$bsonSize: "$$ROOT"}}}}] */
static void user_pipeline(const struct store_task *t, bson_t *ret)
{
	bson_t stage;
	bson_t inner;
	bson_t sum;
	bson_t size;
	bson_init(ret);
	BSON_APPEND_DOCUMENT_BEGIN(ret, "0", &stage);
	BSON_APPEND_DOCUMENT_BEGIN(&stage, "$match", &inner);
	bson_append_utf8(&inner, "user_id", -1, (const char *)t->user.p, (int)t->user.n);
	bson_append_document_end(&stage, &inner);
	bson_append_document_end(ret, &stage);
	BSON_APPEND_DOCUMENT_BEGIN(ret, "1", &stage);
	BSON_APPEND_DOCUMENT_BEGIN(&stage, "$group", &inner);
	BSON_APPEND_NULL(&inner, "_id");
	BSON_APPEND_DOCUMENT_BEGIN(&inner, "n", &sum);
	BSON_APPEND_INT32(&sum, "$sum", 1);
	bson_append_document_end(&inner, &sum);
	BSON_APPEND_DOCUMENT_BEGIN(&inner, "b", &sum);
	BSON_APPEND_DOCUMENT_BEGIN(&sum, "$sum", &size);
	BSON_APPEND_UTF8(&size, "$bsonSize", "$$ROOT");
	bson_append_document_end(&sum, &size);
	bson_append_document_end(&inner, &sum);
	bson_append_document_end(&stage, &inner);
	bson_append_document_end(ret, &stage);
}

/* @return 0; positive: answered; -ENOTSUP: the server does not know $bsonSize. */
static int count_grouped(struct count *count, struct slice name)
{
	bson_t pipeline;
	bson_t options = BSON_INITIALIZER;
	bson_error_t error;
	const bson_t *row;
	const bson_t *reply;
	int r = 0;
	mongoc_collection_t *collection = collection_of(count, name);
	user_pipeline(count->c->t, &pipeline);
	mongodb_append_number(&options, "maxTimeMS", count->c->t->limits->operation_ms);
	mongoc_cursor_t *cursor = mongoc_collection_aggregate(
		collection, MONGOC_QUERY_NONE, &pipeline, &options, NULL);
	while (mongoc_cursor_next(cursor, &row)) {
		count->found.documents += number_in(row, "n");
		count->found.bytes += number_in(row, "b");
	}
	if (mongoc_cursor_error_document(cursor, &error, &reply)) {
		enum store_error e = mongodb_error_class(&error, reply, false);
		r = e == STORE_E_INVALID || e == STORE_E_UNSUPPORTED
			? -ENOTSUP
			: (int)mongodb_fail(count->c->t, &error, reply, false);
	}
	mongoc_cursor_destroy(cursor);
	mongoc_collection_destroy(collection);
	bson_destroy(&pipeline);
	bson_destroy(&options);
	return r;
}

static int count_by_reading(struct count *count, struct slice name)
{
	bson_t filter = BSON_INITIALIZER;
	bson_t options = BSON_INITIALIZER;
	bson_error_t error;
	const bson_t *row;
	const bson_t *reply;
	int r = 0;
	struct store_task *t = count->c->t;
	mongoc_collection_t *collection = collection_of(count, name);
	bson_append_utf8(&filter, "user_id", -1, (const char *)t->user.p, (int)t->user.n);
	mongodb_append_number(&options, "maxTimeMS", t->limits->operation_ms);
	mongoc_cursor_t *cursor =
		mongoc_collection_find_with_opts(collection, &filter, &options, NULL);
	while (mongoc_cursor_next(cursor, &row)) {
		count->found.documents++;
		count->found.bytes += row->len;
	}
	if (mongoc_cursor_error_document(cursor, &error, &reply)) {
		r = (int)mongodb_fail(t, &error, reply, false);
	}
	mongoc_cursor_destroy(cursor);
	mongoc_collection_destroy(collection);
	bson_destroy(&filter);
	bson_destroy(&options);
	return r;
}

static int count_collection(void *arg, struct slice name)
{
	struct count *count = (struct count *)arg;
	if (!count->of_user) {
		return count_statistics(count, name);
	}
	int r = atomic_load(&count->q->no_bson_size) ? -ENOTSUP : count_grouped(count, name);
	if (r == -ENOTSUP) {
		atomic_store(&count->q->no_bson_size, true);
		r = count_by_reading(count, name);
	}
	return r;
}

/* --- accounts, under the lock --- */

static struct quota_account *find_account(
	struct mongodb_quotas *q, const struct store_task *t, bool of_user, bool make)
{
	uint8_t key[KEY_MAX];
	size_t n = t->plugin.n + 1 + (of_user ? t->user.n : 0);
	struct quota_account *a = NULL;
	invariant(n <= sizeof(key));
	memcpy(key, t->plugin.p, t->plugin.n);
	key[t->plugin.n] = 0;
	if (of_user) {
		memcpy(key + t->plugin.n + 1, t->user.p, t->user.n);
	}
	HASH_FIND(hh, q->accounts, key, n, a);
	if (a != NULL || !make) {
		return a;
	}
	if (HASH_COUNT(q->accounts) >= ACCOUNTS_MAX) {
		forget_unused(q);
	}
	a = calloc(1, sizeof(*a) + n);
	if (a == NULL) {
		return NULL;
	}
	a->of_user = of_user;
	a->n = n;
	memcpy(a->key, key, n);
	HASH_ADD_KEYPTR(hh, q->accounts, a->key, a->n, a);
	if (a->hh.tbl == NULL) {
		free(a);
		return NULL;
	}
	return a;
}

/* Counts; the lock is given up meanwhile. @return 0; positive: answered. */
static int count_account(
	struct mongodb_quotas *q, struct mongodb_command *c, struct quota_account *a)
{
	struct count count = { .c = c, .q = q, .of_user = a->of_user };
	a->counting = true;
	/* What is on its way may be counted or not: rather twice than not at all. */
	a->since = a->pending;
	(void)pthread_mutex_unlock(&q->lock);
	int r = mongodb_collections_each(c->session->database, c->t, count_collection, &count);
	(void)pthread_mutex_lock(&q->lock);
	a->counting = false;
	if (r == 0) {
		a->used = count.found;
		add(&a->used, &a->since);
		a->known = true;
		a->shrunk = false;
		a->counted_ms = clock_ms();
	}
	(void)pthread_cond_broadcast(&q->counted);
	return r;
}

/* Whether what the account says is too old to go by. */
static bool wants_count(const struct quota_account *a, bool exceeded)
{
	uint64_t age_ms = clock_ms() - a->counted_ms;
	uint64_t old_ms = a->of_user ? RECOUNT_USER_MS : RECOUNT_MS;
	return !a->known || age_ms > old_ms || (exceeded && (a->shrunk || age_ms > SOON_MS));
}

/* @return 0 and what would be exceeded; positive: answered. The lock may be given up meanwhile. */
static int judge(struct mongodb_quotas *q,
	struct mongodb_command *c,
	struct quota_account *a,
	const struct quota_usage *need,
	enum excess *ret)
{
	struct quota_usage limits = limits_of(c->t->limits, a->of_user);
	int r = 0;
	*ret = excess_of(&a->used, need, &limits);
	while (r == 0 && wants_count(a, *ret != NONE)) {
		if (!a->counting) {
			r = count_account(q, c, a);
		} else {
			(void)pthread_cond_wait(&q->counted, &q->lock);
		}
		*ret = excess_of(&a->used, need, &limits);
	}
	return r;
}

/* --- claims --- */

/* What a change adds at most, as far as its size says; of a `multi` for one document, since nobody knows how
 * many. The next count sees to the rest. */
static struct quota_usage most_of(const struct store_task *t)
{
	struct quota_usage need = { 0 };
	struct slice row = t->documents;
	struct slice document;
	if (t->op == STORE_INSERT) {
		for (; document_take(&row, &document); need.documents++) {
			need.bytes += document.n;
		}
	} else if (t->updater != NULL) {
		need.bytes = mongodb_multiplies(t) ? t->limits->document_bytes : t->update.n;
		if (t->upsert) {
			need.documents = 1;
			need.bytes += t->filter.n;
		}
	}
	return need;
}

/* What an update adds. @return 0; positive: it cannot be done, and will say so by itself. */
static int measure(struct mongodb_command *c, struct quota_usage *ret)
{
	struct store_task *t = c->t;
	struct rehearsed found;
	struct store_failure f;
	struct slice document;
	if (mongodb_rehearse(c, &found, &f) != REHEARSAL_PASSED) {
		store_task_restart(t);
		return 1;
	}
	*ret = (struct quota_usage){ 0, found.growth > 0 ? (uint64_t)found.growth : 0 };
	if (found.documents == 0 && t->upsert) {
		if (mongodb_upsert_document(t, &document, &f) != 0) {
			return 1;
		}
		*ret = (struct quota_usage){ 1, document.n };
	}
	return 0;
}

/* A user has no more than the plugin: counted only when that is more than a user may have. */
static bool concerns_user(const struct quota_account *plugin,
	const struct store_task *t,
	const struct quota_usage *need)
{
	struct quota_usage limits = limits_of(t->limits, true);
	return excess_of(&plugin->used, need, &limits) != NONE;
}

enum verdict { CLAIMED, EXCEEDED, ANSWERED };

/* EXCEEDED: the task has its answer, for the case that nothing better is known. */
static enum verdict judge_account(struct mongodb_quotas *q,
	struct mongodb_command *c,
	struct quota_account *a,
	const struct quota_usage *need)
{
	enum excess excess = NONE;
	if (a == NULL) {
		(void)store_task_fail_errno(c->t, -ENOMEM);
		return ANSWERED;
	}
	if (judge(q, c, a, need, &excess) != 0) {
		return ANSWERED;
	}
	if (excess != NONE) {
		(void)refuse(c->t, a, need, excess);
		return EXCEEDED;
	}
	return CLAIMED;
}

static struct quota_account *hold(struct quota_account *a)
{
	if (a != NULL) {
		a->holds++;
	}
	return a;
}

static void enter(struct quota_account *a, const struct quota_usage *need)
{
	if (a != NULL) {
		add(&a->used, need);
		add(&a->pending, need);
		add(&a->since, need);
	}
}

static void release(struct quota_account *a)
{
	if (a != NULL) {
		a->holds--;
	}
}

static enum verdict claim_all(struct mongodb_quotas *q,
	struct mongodb_command *c,
	const struct quota_usage *need,
	struct quota_claim *ret)
{
	struct store_task *t = c->t;
	struct quota_account *user = NULL;
	struct quota_account *plugin = hold(find_account(q, t, false, true));
	enum verdict verdict = judge_account(q, c, plugin, need);
	if (verdict == CLAIMED && t->scope == STORE_SCOPE_USER) {
		bool wanted = concerns_user(plugin, t, need);
		user = hold(find_account(q, t, true, wanted));
		verdict = wanted ? judge_account(q, c, user, need) : CLAIMED;
		/* The lock may have been given up. */
		verdict = verdict == CLAIMED ? judge_account(q, c, plugin, need) : verdict;
	}
	if (verdict == CLAIMED) {
		enter(plugin, need);
		enter(user, need);
		*ret = (struct quota_claim){ *need, plugin, user };
	} else {
		release(plugin);
		release(user);
	}
	return verdict;
}

static enum verdict claim_locked(
	struct mongodb_command *c, const struct quota_usage *need, struct quota_claim *ret)
{
	struct mongodb_quotas *q = c->session->quotas;
	(void)pthread_mutex_lock(&q->lock);
	enum verdict verdict = claim_all(q, c, need, ret);
	(void)pthread_mutex_unlock(&q->lock);
	return verdict;
}

static bool has_limits(const struct store_limits *l)
{
	return (l->plugin_documents | l->plugin_bytes | l->user_documents | l->user_bytes) != 0;
}

int mongodb_quota_claim(struct mongodb_command *c, struct quota_claim *ret)
{
	struct store_task *t = c->t;
	struct quota_usage need = most_of(t);
	*ret = (struct quota_claim){ 0 };
	if (!has_limits(t->limits) || (need.documents == 0 && need.bytes == 0)) {
		return 0;
	}
	enum verdict verdict = claim_locked(c, &need, ret);
	if (verdict == EXCEEDED && t->updater != NULL) {
		store_task_restart(t);
		if (measure(c, &need) != 0 || (need.documents == 0 && need.bytes == 0)) {
			return 0;
		}
		verdict = claim_locked(c, &need, ret);
	}
	return verdict == CLAIMED ? 0 : (int)t->result.error;
}

/* --- after the change --- */

/* Nothing of what was claimed is there: it was refused, or found nothing. */
static bool added_nothing(const struct store_task *t)
{
	if (t->result.error == STORE_E_UNKNOWN) {
		return false;
	}
	if (t->op == STORE_INSERT) {
		return t->result.n == 0;
	}
	return t->result.error != STORE_OK || (t->result.n == 0 && t->id.b.n == 0);
}

/* What the claim has too much. An insert of which some were refused keeps its bytes until the next count. */
static struct quota_usage surplus_of(const struct store_task *t, const struct quota_claim *claim)
{
	if (added_nothing(t)) {
		return claim->added;
	}
	uint64_t made = t->op == STORE_INSERT ? t->result.n : t->id.b.n > 0 ? 1 : 0;
	if (t->result.error == STORE_E_UNKNOWN || made > claim->added.documents) {
		made = claim->added.documents;
	}
	return (struct quota_usage){ claim->added.documents - made, 0 };
}

static void settle(struct quota_account *a,
	const struct quota_claim *claim,
	const struct quota_usage *surplus,
	const struct quota_usage *more)
{
	if (a == NULL) {
		return;
	}
	subtract(&a->pending, &claim->added);
	subtract(&a->used, surplus);
	subtract(&a->since, surplus);
	add(&a->used, more);
	add(&a->since, more);
	a->holds--;
}

/* Documents that are gone; their bytes are known with the next count, which may come soon. */
static void note_removed(struct quota_account *a, uint64_t documents)
{
	if (a != NULL) {
		subtract(&a->used, &(struct quota_usage){ documents, 0 });
		a->shrunk = true;
	}
}

void mongodb_quota_settle(struct mongodb_command *c, const struct quota_claim *claim)
{
	const struct store_task *t = c->t;
	struct mongodb_quotas *q = c->session->quotas;
	bool removed = (t->op == STORE_DELETE || t->remove) &&
		(t->result.n > 0 || t->result.error == STORE_E_UNKNOWN);
	bool changed = t->updater != NULL && t->result.n > 0;
	struct quota_usage more = { 0 };
	if (!has_limits(t->limits) || (claim->plugin == NULL && !removed && !changed)) {
		return;
	}
	struct quota_usage surplus = surplus_of(t, claim);
	if (t->multi && changed) {
		more.bytes = (t->result.n - 1) * t->update.n;
	}
	(void)pthread_mutex_lock(&q->lock);
	if (removed || changed) {
		struct quota_account *user =
			t->scope == STORE_SCOPE_USER ? find_account(q, t, true, false) : NULL;
		note_removed(find_account(q, t, false, false), removed ? t->result.n : 0);
		note_removed(user, removed ? t->result.n : 0);
	}
	settle(claim->plugin, claim, &surplus, &more);
	settle(claim->user, claim, &surplus, &more);
	(void)pthread_mutex_unlock(&q->lock);
}
