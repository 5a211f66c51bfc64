/*
 * The parts of the MongoDB driver that need no server: what an error means, what is made of
 * DATABASE_URI, and the order in which tasks come to the threads.
 */
/* cmocka.h needs what stands before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "common/base/log.h"
#include "common/base/map.h"
#include "director/store/mongodb/address.h"
#include "director/store/mongodb/failure.h"
#include "director/store/mongodb/filter.h"
#include "director/store/mongodb/queue.h"
#include "director/store/query/notation.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>

/* --- errors --- */

struct expectation {
	uint32_t domain;
	uint32_t code;
	enum store_error read;
	enum store_error change;
};

static void test_classes(void **state)
{
	static const struct expectation table[] = {
		/* The server refused. */
		{ MONGOC_ERROR_SERVER, 11000, STORE_E_DUPLICATE, STORE_E_DUPLICATE },
		{ MONGOC_ERROR_SERVER, 2, STORE_E_INVALID, STORE_E_INVALID },
		{ MONGOC_ERROR_SERVER, 14, STORE_E_INVALID, STORE_E_INVALID },
		{ MONGOC_ERROR_SERVER, 238, STORE_E_UNSUPPORTED, STORE_E_UNSUPPORTED },
		{ MONGOC_ERROR_SERVER, 14031, STORE_E_FULL, STORE_E_FULL },
		{ MONGOC_ERROR_SERVER, 13, STORE_E_UNAVAILABLE, STORE_E_UNAVAILABLE },
		{ MONGOC_ERROR_SERVER, 10334, STORE_E_LIMIT, STORE_E_LIMIT },
		/* The server answered, and a change may have been made. */
		{ MONGOC_ERROR_SERVER, 50, STORE_E_LIMIT, STORE_E_UNKNOWN },
		{ MONGOC_ERROR_SERVER, 1, STORE_E_INTERNAL, STORE_E_UNKNOWN },
		{ MONGOC_ERROR_SERVER, 0, STORE_E_UNAVAILABLE, STORE_E_UNKNOWN },
		{ MONGOC_ERROR_SERVER, 11600, STORE_E_UNAVAILABLE, STORE_E_UNKNOWN },
		{ MONGOC_ERROR_SERVER, 10107, STORE_E_UNAVAILABLE, STORE_E_UNKNOWN },
		{ MONGOC_ERROR_WRITE_CONCERN, 64, STORE_E_UNAVAILABLE, STORE_E_UNKNOWN },
		/* Nothing was sent. */
		{ MONGOC_ERROR_SERVER_SELECTION, 13053, STORE_E_UNAVAILABLE, STORE_E_UNAVAILABLE },
		{ MONGOC_ERROR_CLIENT, MONGOC_ERROR_CLIENT_AUTHENTICATE, STORE_E_UNAVAILABLE,
			STORE_E_UNAVAILABLE },
		{ MONGOC_ERROR_STREAM, MONGOC_ERROR_STREAM_CONNECT, STORE_E_UNAVAILABLE,
			STORE_E_UNAVAILABLE },
		{ MONGOC_ERROR_STREAM, MONGOC_ERROR_STREAM_NAME_RESOLUTION, STORE_E_UNAVAILABLE,
			STORE_E_UNAVAILABLE },
		{ MONGOC_ERROR_COMMAND, MONGOC_ERROR_COMMAND_INVALID_ARG, STORE_E_INTERNAL,
			STORE_E_INTERNAL },
		/* Sent, and no answer. */
		{ MONGOC_ERROR_STREAM, MONGOC_ERROR_STREAM_SOCKET, STORE_E_UNAVAILABLE,
			STORE_E_UNKNOWN },
		{ MONGOC_ERROR_PROTOCOL, MONGOC_ERROR_PROTOCOL_INVALID_REPLY, STORE_E_UNAVAILABLE,
			STORE_E_UNKNOWN },
		/* Nobody knows. */
		{ MONGOC_ERROR_CURSOR, 1, STORE_E_INTERNAL, STORE_E_UNKNOWN },
		{ 4711, 1, STORE_E_INTERNAL, STORE_E_UNKNOWN },
	};
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		bson_error_t error = { .domain = table[i].domain, .code = table[i].code };
		enum store_error read = mongodb_error_class(&error, NULL, false);
		enum store_error change = mongodb_error_class(&error, NULL, true);
		if (read != table[i].read || change != table[i].change) {
			fail_msg("domain %u code %u: read %s, change %s", error.domain, error.code,
				store_error_code(read), store_error_code(change));
		}
	}
}

static bson_t *json(const char *text)
{
	bson_error_t error;
	bson_t *b = bson_new_from_json((const uint8_t *)text, -1, &error);
	if (b == NULL) {
		fail_msg("%s: %s", text, error.message);
	}
	return b;
}

/* Made, but not confirmed: unknown, whatever the error says. */
static void test_unconfirmed(void **state)
{
	static const char *const unconfirmed[] = {
		"{\"n\": 1, \"writeConcernError\": {\"code\": 64, \"errmsg\": \"timeout\"}}",
		"{\"writeErrors\": [], \"writeConcernErrors\": [{\"code\": 64}]}",
	};
	bson_error_t refused = { .domain = MONGOC_ERROR_SERVER, .code = 11000 };
	for (size_t i = 0; i < 2; i++) {
		bson_t *reply = json(unconfirmed[i]);
		assert_true(mongodb_is_unconfirmed(reply));
		assert_int_equal(mongodb_error_class(&refused, reply, true), STORE_E_UNKNOWN);
		assert_int_equal(mongodb_error_class(&refused, reply, false), STORE_E_DUPLICATE);
		bson_destroy(reply);
	}
	bson_t *plain = json("{\"n\": 1, \"writeConcernErrors\": []}");
	assert_false(mongodb_is_unconfirmed(plain));
	bson_destroy(plain);
	assert_false(mongodb_is_unconfirmed(NULL));
}

/* The server's words hold another user's values; the task gets ours. */
static void test_words(void **state)
{
	bson_error_t error = { .domain = MONGOC_ERROR_SERVER, .code = 2 };
	struct store_task t = { .collection = SLICE("app/p/c") };
	(void)snprintf(error.message, sizeof(error.message), "bad value: 'secret of bob'");
	writer_init(&t.out, 100);
	writer_init(&t.id, 100);
	assert_int_equal(mongodb_fail(&t, &error, NULL, true), STORE_E_INVALID);
	assert_int_equal(t.result.error, STORE_E_INVALID);
	assert_null(strstr(t.result.message, "bob"));
	assert_non_null(strstr(t.result.message, "refused"));
	for (int e = STORE_OK; e <= STORE_E_INTERNAL; e++) {
		assert_true(strlen(mongodb_class_text((enum store_error)e)) > 10);
	}
}

/* --- DATABASE_URI --- */

static void test_address(void **state)
{
	struct mongodb_address a;
	char why[256] = "";
	assert_int_equal(
		mongodb_address_init(&a, "mongodb://u:p%40@h1:1,h2:2/shop?authSource=x", 2000, why),
		0);
	assert_string_equal(a.database, "shop");
	assert_int_equal(a.threads, 0);
	const mongoc_write_concern_t *wc = mongoc_uri_get_write_concern(a.uri);
	assert_true(mongoc_write_concern_get_wmajority(wc));
	assert_true(mongoc_write_concern_get_journal(wc));
	assert_int_equal(mongoc_write_concern_get_wtimeout_int64(wc), 5000);
	assert_int_equal(mongoc_read_prefs_get_mode(mongoc_uri_get_read_prefs_t(a.uri)),
		MONGOC_READ_PRIMARY);
	assert_int_equal(
		mongoc_uri_get_option_as_int32(a.uri, MONGOC_URI_SERVERSELECTIONTIMEOUTMS, 0),
		4500);
	assert_int_equal(
		mongoc_uri_get_option_as_int32(a.uri, MONGOC_URI_SOCKETTIMEOUTMS, 0), 5000);
	assert_true(mongoc_uri_get_option_as_bool(a.uri, MONGOC_URI_RETRYWRITES, false));
	assert_string_equal(mongoc_uri_get_appname(a.uri), "mozaiks-director");
	mongodb_address_deinit(&a);
}

/* What is not durable cannot be chosen; what is the operator's, can. */
static void test_options(void **state)
{
	struct mongodb_address a;
	char why[256] = "";
	const char *uri = "mongodb://h/?w=0&readPreference=secondary&wtimeoutMS=900&maxPoolSize=10"
			  "&socketTimeoutMS=7000&retryWrites=false&appName=mine";
	assert_int_equal(mongodb_address_init(&a, uri, 9000, why), 0);
	assert_string_equal(a.database, "mozaiks");
	assert_int_equal(a.threads, 10);
	const mongoc_write_concern_t *wc = mongoc_uri_get_write_concern(a.uri);
	assert_true(mongoc_write_concern_get_wmajority(wc));
	assert_int_equal(mongoc_write_concern_get_wtimeout_int64(wc), 900);
	assert_int_equal(mongoc_read_prefs_get_mode(mongoc_uri_get_read_prefs_t(a.uri)),
		MONGOC_READ_PRIMARY);
	assert_int_equal(
		mongoc_uri_get_option_as_int32(a.uri, MONGOC_URI_SOCKETTIMEOUTMS, 0), 7000);
	assert_false(mongoc_uri_get_option_as_bool(a.uri, MONGOC_URI_RETRYWRITES, true));
	assert_string_equal(mongoc_uri_get_appname(a.uri), "mine");
	mongodb_address_deinit(&a);
	/* An operation may take longer: so may its answer. */
	assert_int_equal(mongodb_address_init(&a, "mongodb://h", 9000, why), 0);
	assert_int_equal(
		mongoc_uri_get_option_as_int32(a.uri, MONGOC_URI_SOCKETTIMEOUTMS, 0), 10000);
	mongodb_address_deinit(&a);
}

static void test_bad_address(void **state)
{
	static const char *const table[][2] = {
		{ "mongodb://", "hosts" },
		{ "mongodb:///shop", "hosts" },
		{ "mongodb://h:port/", "hosts" },
		{ "mongodb://h:70000/", "hosts" },
		{ "mongodb://u:hunter2@/", "hosts" },
		{ "mongodb://u:hunter2/hunter2@h/", "percent-encoded" },
		{ "mongodb://u:hunter2%zz@h/", "percent-encoded" },
		{ "mongodb://u:hunter2@h/?nonsense=hunter2", "nonsense" },
		{ "mongodb://u:hunter2@h/?retryWrites=true&timeoutMS=1", "timeoutMS" },
		{ "mongodb://u:hunter2@h/?socketTimeoutMS=hunter2", "socketTimeoutMS" },
		{ "mongodb://u:hunter2@h/?socketTimeoutMS=0", "socketTimeoutMS" },
		{ "mongodb://u:hunter2@h/?serverSelectionTimeoutMS=99999999",
			"serverSelectionTimeoutMS" },
		{ "mongodb://u:hunter2@h/?wtimeoutMS=1", "wtimeoutMS" },
		{ "mongodb://u:hunter2@h/?maxPoolSize=2", "maxPoolSize" },
		{ "mongodb://u:hunter2@h/?w=0&journal=true", "contradict" },
		{ "mongodb://h/?tls=true&tlsInsecure=true&tlsAllowInvalidHostnames=true",
			"contradict" },
		{ "mongodb://h/?tls=true&tlsCAFile=/nonexistent/hunter2", "tlsCAFile" },
		{ "mongodb://u:hunter2@h/"
		  "a23456789012345678901234567890123456789012345678901234567890abcd",
			"name" },
		{ "http://hunter2/", "mongodb://" },
	};
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct mongodb_address a;
		char why[256] = "";
		int r = mongodb_address_init(&a, table[i][0], 2000, why);
		bool named = strstr(why, "DATABASE_URI") != NULL;
		if (r != -EINVAL || !named || strstr(why, table[i][1]) == NULL ||
			strstr(why, "hunter2") != NULL) {
			fail_msg("%s: %d \"%s\"", table[i][0], r, why);
		}
	}
}

/* --- the queue --- */

struct fixture {
	struct mongodb_queue q;
	struct store_task tasks[8];
	struct mongodb_turn turns[8];
};

static struct fixture fx;

static int setup(void **state)
{
	fx = (struct fixture){ 0 };
	return mongodb_queue_init(&fx.q, 2);
}

static int teardown(void **state)
{
	mongodb_queue_deinit(&fx.q);
	return 0;
}

static struct store_task *put(
	size_t i, enum store_op op, const char *plugin, const char *collection, const char *user)
{
	struct store_task *t = &fx.tasks[i];
	t->op = op;
	t->plugin = slice_str(plugin);
	t->collection = slice_str(collection);
	t->user = slice_str(user);
	assert_int_equal(mongodb_queue_push(&fx.q, t), 0);
	return t;
}

/* Pops without waiting, since nothing more is coming. @return the task's number, or -1. */
static long pop(size_t turn)
{
	fx.q.closed = true;
	/* It does not come to waiting. */
	bool taken = mongodb_queue_pop(&fx.q, NULL, &fx.turns[turn]);
	fx.q.closed = false;
	return taken ? fx.turns[turn].t - fx.tasks : -1;
}

static void end(size_t turn)
{
	mongodb_queue_end(&fx.q, &fx.turns[turn]);
}

static void test_turns(void **state)
{
	put(0, STORE_FIND, "a/p/", "a/p/c", "u");
	put(1, STORE_FIND, "a/p/", "a/p/c", "u");
	put(2, STORE_FIND, "a/p/", "a/p/c", "u");
	put(3, STORE_FIND, "a/q/", "a/q/c", "u");
	assert_int_equal(pop(0), 0);
	assert_int_equal(pop(1), 3);
	assert_int_equal(pop(2), 1);
	/* p has its share of two at work. */
	assert_int_equal(pop(3), -1);
	end(0);
	assert_int_equal(pop(3), 2);
	end(1);
	end(2);
	end(3);
	assert_int_equal(pop(4), -1);
}

static void test_lanes(void **state)
{
	put(0, STORE_INSERT, "a/p/", "a/p/c", "u");
	put(1, STORE_UPDATE, "a/p/", "a/p/c", "u");
	put(2, STORE_UPDATE, "a/p/", "a/p/c", "v");
	put(3, STORE_DELETE, "a/p/", "a/p/c", "u");
	assert_int_equal(pop(0), 0);
	/* Another user's does not wait for it. */
	assert_int_equal(pop(1), 2);
	end(1);
	assert_int_equal(pop(1), -1);
	end(0);
	assert_int_equal(pop(0), 1);
	/* A read waits for no change; another collection is another lane. */
	put(4, STORE_FIND, "a/p/", "a/p/c", "u");
	assert_int_equal(pop(1), 4);
	end(1);
	put(5, STORE_MODIFY, "a/p/", "a/p/d", "u");
	assert_int_equal(pop(1), 5);
	end(0);
	assert_int_equal(pop(0), 3);
	end(0);
	end(1);
	assert_int_equal(pop(0), -1);
}

static void test_take_all(void **state)
{
	struct store_task *t = NULL;
	unsigned n = 0;
	put(0, STORE_INSERT, "a/p/", "a/p/c", "u");
	put(1, STORE_UPDATE, "a/p/", "a/p/c", "u");
	put(2, STORE_UPDATE, "a/q/", "a/q/c", "u");
	put(3, STORE_FIND, "a/p/", "a/p/c", "u");
	assert_int_equal(pop(0), 0);
	struct store_task *list = mongodb_queue_take_all(&fx.q);
	DL_FOREACH (list, t) {
		n |= 1U << (t - fx.tasks);
	}
	assert_int_equal(n, 0xe);
	assert_int_equal(pop(1), -1);
	/* The one at work still keeps its lane. */
	put(4, STORE_UPDATE, "a/p/", "a/p/c", "u");
	assert_int_equal(pop(1), -1);
	end(0);
	assert_int_equal(pop(0), 4);
	end(0);
	assert_null(mongodb_queue_take_all(&fx.q));
}

enum { THREADS = 4, TASKS = 4000 };

struct crowd {
	struct mongodb_queue q;
	struct mongodb_taker takers[THREADS];
	atomic_uint begun;
	struct store_task tasks[TASKS];
	atomic_uint done;
	atomic_uint busy[8]; /* lanes at work */
	atomic_uint last[8]; /* the latest task of each */
	atomic_uint out_of_order;
};

static void *drain(void *arg)
{
	struct crowd *c = arg;
	struct mongodb_turn turn;
	struct mongodb_taker *taker = &c->takers[atomic_fetch_add(&c->begun, 1)];
	while (mongodb_queue_pop(&c->q, taker, &turn)) {
		unsigned i = (unsigned)(turn.t - c->tasks);
		unsigned lane = i % 8;
		bool alone = atomic_fetch_add(&c->busy[lane], 1) == 0;
		bool later = atomic_exchange(&c->last[lane], i) <= i;
		if (!alone || !later) {
			atomic_fetch_add(&c->out_of_order, 1);
		}
		atomic_fetch_sub(&c->busy[lane], 1);
		atomic_fetch_add(&c->done, 1);
		mongodb_queue_end(&c->q, &turn);
	}
	return NULL;
}

static void test_threads(void **state)
{
	static struct crowd crowd;
	static const char *const plugins[] = { "a/p/", "a/q/" };
	static const char *const users[] = { "u", "v", "w", "x" };
	pthread_t threads[THREADS];
	assert_int_equal(mongodb_queue_init(&crowd.q, 3), 0);
	for (int i = 0; i < THREADS; i++) {
		assert_int_equal(mongodb_taker_init(&crowd.takers[i]), 0);
		assert_int_equal(pthread_create(&threads[i], NULL, drain, &crowd), 0);
	}
	for (unsigned i = 0; i < TASKS; i++) {
		struct store_task *t = &crowd.tasks[i];
		t->op = STORE_UPDATE;
		t->plugin = slice_str(plugins[i % 2]);
		t->collection = t->plugin;
		t->user = slice_str(users[i % 8 / 2]);
		assert_int_equal(mongodb_queue_push(&crowd.q, t), 0);
	}
	mongodb_queue_close(&crowd.q);
	for (int i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		mongodb_taker_deinit(&crowd.takers[i]);
	}
	assert_int_equal(atomic_load(&crowd.done), TASKS);
	assert_int_equal(atomic_load(&crowd.out_of_order), 0);
	mongodb_queue_deinit(&crowd.q);
}

/* --- who is woken --- */

struct waiter {
	pthread_t thread;
	struct mongodb_taker taker;
	struct mongodb_turn turn;
	atomic_bool taken;
};

static void *wait_for_one(void *arg)
{
	struct waiter *w = arg;
	if (mongodb_queue_pop(&fx.q, &w->taker, &w->turn)) {
		atomic_store(&w->taken, true);
		mongodb_queue_end(&fx.q, &w->turn);
	}
	return NULL;
}

static bool waits(struct waiter *w)
{
	(void)pthread_mutex_lock(&fx.q.lock);
	bool yes = fx.q.waiting == &w->taker;
	(void)pthread_mutex_unlock(&fx.q.lock);
	return yes;
}

static void test_last_one_first(void **state)
{
	struct waiter waiters[2] = { 0 };
	for (int i = 0; i < 2; i++) {
		assert_int_equal(mongodb_taker_init(&waiters[i].taker), 0);
		assert_int_equal(
			pthread_create(&waiters[i].thread, NULL, wait_for_one, &waiters[i]), 0);
		while (!waits(&waiters[i])) {
			(void)sched_yield();
		}
	}
	put(0, STORE_FIND, "a/p/", "a/p/c", "u");
	assert_int_equal(pthread_join(waiters[1].thread, NULL), 0);
	assert_true(atomic_load(&waiters[1].taken));
	assert_true(waits(&waiters[0]));
	assert_false(atomic_load(&waiters[0].taken));
	mongodb_queue_close(&fx.q);
	assert_int_equal(pthread_join(waiters[0].thread, NULL), 0);
	for (int i = 0; i < 2; i++) {
		mongodb_taker_deinit(&waiters[i].taker);
	}
}

/* --- the filter --- */

static void test_filter(void **state)
{
	static const struct {
		enum store_scope_kind scope;
		const char *filter;
		const char *sent;
	} table[] = {
		{ STORE_SCOPE_USER, "{$and: [{user_id: 'u'}, {_id: 1}]}",
			"{user_id: 'u', _id: 1}" },
		{ STORE_SCOPE_USER, "{$and: [{user_id: 'u'}, {}]}", "{user_id: 'u'}" },
		{ STORE_SCOPE_USER, "{$and: [{user_id: 'u'}, {a: {$gt: 1}, b.user_id: 2}]}",
			"{user_id: 'u', a: {$gt: 1}, b.user_id: 2}" },
		{ STORE_SCOPE_APP, "{$and: [{user_id: {$exists: false}}, {a: 1}]}",
			"{user_id: {$exists: false}, a: 1}" },
		/* As it is: operators, the scope's own name, other shapes, no scope. */
		{ STORE_SCOPE_USER, "{$and: [{user_id: 'u'}, {a: 1, $or: [{b: 1}]}]}", NULL },
		{ STORE_SCOPE_USER, "{$and: [{user_id: 'u'}, {a: 1, user_id: 'v'}]}", NULL },
		{ STORE_SCOPE_USER, "{$and: [{user_id: 'u'}, {a: 1}, {b: 1}]}", NULL },
		{ STORE_SCOPE_USER, "{$and: [{user_id: 'u'}]}", NULL },
		{ STORE_SCOPE_USER, "{$and: [{user_id: 'u', x: 1}, {a: 1}]}", NULL },
		{ STORE_SCOPE_USER, "{$and: [{user_id: 'u'}, {a: 1}], b: 1}", NULL },
		{ STORE_SCOPE_SHARED, "{$and: [{user_id: 'u'}, {a: 1}]}", NULL },
	};
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct slice filter = notation_parse(table[i].filter);
		struct slice expected =
			notation_parse(table[i].sent == NULL ? table[i].filter : table[i].sent);
		struct store_task t = { .scope = table[i].scope, .filter = filter };
		bson_t sent;
		mongodb_filter_init(&sent, &t);
		struct slice got = slice_of(bson_get_data(&sent), sent.len);
		if (!slice_eq(got, expected)) {
			fail_msg("%s became %s", table[i].filter, notation_print(got));
		}
		bson_destroy(&sent);
		free((void *)(uintptr_t)filter.p);
		free((void *)(uintptr_t)expected.p);
	}
}

/* A server from 4.4 on says which value was there already; the owner in an index is the runtime's. */
static void test_duplicates(void **state)
{
	static const struct {
		const char *reply, *noted;
		enum store_scope_kind scope;
	} table[] = {
		{ "{keyPattern: {x: 1}, keyValue: {x: 'foo'}}",
			"{index: 0, keyPattern: {x: 1}, keyValue: {x: 'foo'}}", STORE_SCOPE_USER },
		{ "{writeErrors: [{index: 0, keyPattern: {user_id: 1, a: 1}, keyValue: {user_id: 'u', a: 2}}]}",
			"{index: 0, keyPattern: {a: 1}, keyValue: {a: 2}}", STORE_SCOPE_USER },
		{ "{keyPattern: {user_id: 1, 'a.b': -1}, keyValue: {user_id: 'u', 'a.b': null}}",
			"{index: 0, keyPattern: {user_id: 1, 'a.b': -1}, keyValue: {user_id: 'u', 'a.b': null}}",
			STORE_SCOPE_SHARED },
		{ "{keyPattern: {x: 1}, keyValue: {}}",
			"{index: 0, keyPattern: {x: 1}, keyValue: {x: null}}", STORE_SCOPE_APP },
		{ "{keyPattern: 1, keyValue: {x: 1}}", "", STORE_SCOPE_APP },
		{ "{writeErrors: [1]}", "", STORE_SCOPE_APP },
		{ "{}", "", STORE_SCOPE_APP },
	};
	const bson_error_t error = { .domain = MONGOC_ERROR_SERVER,
		.code = 11000,
		.message = "E11000 duplicate key error collection: c index: i dup key: { : 1 }" };
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct slice reply = notation_parse(table[i].reply);
		struct slice noted =
			table[i].noted[0] == '\0' ? SLICE_NULL : notation_parse(table[i].noted);
		struct store_task t = { .scope = table[i].scope };
		bson_t b;
		writer_init(&t.duplicates, 1000);
		assert_true(bson_init_static(&b, reply.p, reply.n));
		assert_int_equal(mongodb_fail(&t, &error, &b, true), STORE_E_DUPLICATE);
		if (!slice_eq(buffer_slice(&t.duplicates.b), noted)) {
			fail_msg("%s", table[i].reply);
		}
		writer_deinit(&t.duplicates);
		free((void *)(uintptr_t)reply.p);
		free((void *)(uintptr_t)noted.p);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_classes),
		cmocka_unit_test(test_unconfirmed),
		cmocka_unit_test(test_duplicates),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_address),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_bad_address),
		cmocka_unit_test_setup_teardown(test_turns, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lanes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_take_all, setup, teardown),
		cmocka_unit_test(test_threads),
		cmocka_unit_test_setup_teardown(test_last_one_first, setup, teardown),
		cmocka_unit_test(test_filter),
	};
	log_init("test-mongodb", LOG_ERROR);
	if (map_init() != 0) {
		return 1;
	}
	mongoc_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
