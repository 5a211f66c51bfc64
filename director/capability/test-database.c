/*
 * database.*: what arrives in a CALL becomes a store command, and its result a REPLY. The store is a
 * real one on a file; the director round it is this program.
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
#include "common/base/test-folder.h"
#include "common/proto/frame.h"
#include "director/capability/calls.h"
#include "director/capability/capability.h"
#include "director/capability/cursors.h"
#include "director/director.h"
#include "director/store/query/notation.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* --- the director round it --- */

struct capability_call {
	uint16_t code;
	uint64_t work_id;
	struct slice args;
	const char *user;
	const char *plugin;
	bool worker_gone;
	bool may_cross; /* database.cross_user was granted */
	bool answered;
	char error[32]; /* code of a failure; empty: a reply */
	char message[1024];
	struct slice reply; /* on the heap */
};

static uv_loop_t loop;
static struct settings settings;
static struct director director = { .loop = &loop, .settings = &settings, .app_id = SLICE("app") };
static struct worker worker;
static char dir[TEST_FOLDER_BYTES];

struct director *capability_director(const struct capability_call *c)
{
	return &director;
}

struct slice capability_plugin(const struct capability_call *c)
{
	return slice_str(c->plugin);
}

struct slice capability_user(const struct capability_call *c)
{
	return slice_str(c->user);
}

struct worker *capability_worker(const struct capability_call *c)
{
	return c->worker_gone ? NULL : &worker;
}

struct slice capability_app(const struct capability_call *c)
{
	return director.app_id;
}

uint16_t capability_code(const struct capability_call *c)
{
	return c->code;
}

struct slice capability_args(const struct capability_call *c)
{
	return c->args;
}

uint64_t capability_work_id(const struct capability_call *c)
{
	return c->work_id;
}

void **capability_worker_slot(struct capability_call *c, void (*release)(void *))
{
	static void *none;
	if (c->worker_gone) {
		none = NULL;
		return &none;
	}
	worker.slots[0].release = release;
	return &worker.slots[0].state;
}

bool capability_collection_is_shared(const struct capability_call *c, struct slice collection)
{
	return slice_starts(collection, SLICE("shared"));
}

struct slice capability_collection_alias(const struct capability_call *c, struct slice collection)
{
	return slice_eq(collection, SLICE("renamed")) ? SLICE("app/p/c") : SLICE_NULL;
}

void capability_each_alias(const struct capability_call *c,
	void (*fn)(void *arg, struct slice collection, struct slice physical),
	void *arg)
{
	fn(arg, SLICE("renamed"), SLICE("app/p/c"));
}

bool capability_may(const struct capability_call *c, enum capability_code permission)
{
	assert_int_equal(permission, CAP_DATABASE_CROSS_USER);
	return c->may_cross;
}

void capability_deny(struct capability_call *c, const char *permission, const char *what)
{
	capability_fail(c, "permission_denied", "%s needs %s", what, permission);
}

void capability_reply(struct capability_call *c, struct slice result)
{
	assert_false(c->answered);
	assert_true(result.n <= FRAME_PAYLOAD_MAX - 5);
	uint8_t *p = malloc(result.n + 1);
	memcpy(p, result.p, result.n);
	c->reply = slice_of(p, result.n);
	c->answered = true;
}

void capability_fail(struct capability_call *c, const char *code, const char *format, ...)
{
	va_list args;
	assert_false(c->answered);
	va_start(args, format);
	(void)vsnprintf(c->message, sizeof(c->message), format, args);
	va_end(args);
	(void)snprintf(c->error, sizeof(c->error), "%s", code);
	c->answered = true;
}

void capability_fail_with(
	struct capability_call *c, const char *code, struct slice message, struct slice details)
{
	capability_fail(c, code, "%.*s%.*s", (int)message.n, (const char *)message.p,
		(int)details.n, (const char *)details.p);
}

static int setup(void **state)
{
	char why[256] = "";
	struct store_config config;
	settings.cursor_bytes = 4 << 20;
	settings.bulk_writes = 1000;
	settings.cursors_per_request = 8;
	settings.cursors_per_worker = 10;
	settings.cursor_idle_ms = 60000;
	settings.bson_depth = 64;
	settings.bson_keys = 100000;
	worker = (struct worker){ 0 };
	if (test_folder_make(dir, "test-database") != 0 || uv_loop_init(&loop) != 0) {
		return -1;
	}
	store_config_init(&config);
	config.loop = &loop;
	config.state_dir = dir;
	return store_open(&director.store, &config, why);
}

static void on_closed(void *arg)
{
	*(bool *)arg = true;
}

static int teardown(void **state)
{
	bool closed = false;
	store_close(director.store, on_closed, &closed);
	while (!closed) {
		(void)uv_run(&loop, UV_RUN_ONCE);
	}
	store_free(director.store);
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	cursors_free(worker.slots[0].state);
	return uv_loop_close(&loop) != 0 || test_folder_remove(dir) != 0 ? -1 : 0;
}

/* --- calls --- */

static void run_bytes(struct capability_call *c, uint16_t code, struct slice args)
{
	c->code = code;
	c->args = args;
	c->answered = false;
	c->error[0] = 0;
	c->reply = SLICE_NULL;
	capability_database(c);
	while (!c->answered) {
		(void)uv_run(&loop, UV_RUN_ONCE);
	}
}

static void run(struct capability_call *c, uint16_t code, const char *args)
{
	struct slice document = notation_parse(args);
	run_bytes(c, code, document);
	free((void *)document.p);
}

static void drop(struct capability_call *c)
{
	free((void *)c->reply.p);
	c->reply = SLICE_NULL;
}

static void expect(struct capability_call *c, uint16_t code, const char *args, const char *expected)
{
	run(c, code, args);
	if (c->error[0] != 0) {
		fail_msg("%s: %s %s", args, c->error, c->message);
	}
	char *text = notation_print(c->reply);
	assert_string_equal(text, expected);
	free(text);
	drop(c);
}

static void expect_fail(struct capability_call *c,
	uint16_t code,
	const char *args,
	const char *error,
	const char *message)
{
	run(c, code, args);
	if (strcmp(c->error, error) != 0 || strstr(c->message, message) == NULL) {
		fail_msg("%s: expected %s \"%s\", got %s \"%s\"", args, error, message, c->error,
			c->message);
	}
	drop(c);
}

/* A batch: its cursor and documents. */
static uint32_t batch(struct capability_call *c, unsigned *ret_n)
{
	struct slice row = slice_skip(c->reply, 4);
	struct slice d;
	assert_true(c->reply.n >= 4);
	*ret_n = 0;
	while (document_take(&row, &d)) {
		(*ret_n)++;
	}
	assert_int_equal(row.n, 0);
	return get_u32(c->reply.p);
}

static void expect_batch(
	struct capability_call *c, uint16_t code, const char *args, bool more, unsigned n)
{
	unsigned found = 0;
	run(c, code, args);
	if (c->error[0] != 0) {
		fail_msg("%s: %s %s", args, c->error, c->message);
	}
	uint32_t cursor = batch(c, &found);
	assert_int_equal(found, n);
	assert_int_equal(cursor != 0, more);
	drop(c);
}

static struct capability_call call_of(const char *user)
{
	return (struct capability_call){ .work_id = 1, .user = user, .plugin = "p" };
}

/* clang-format off */
static void every_command_is_answered(void **state)
{
	struct capability_call c = call_of("alice");
	expect(&c, CAP_DATABASE_INSERT, "{collection: 'c', documents: [{_id: 1, a: 1}, {_id: 2, a: 2}]}",
		"{inserted: 2L, ids: [1, 2], errors: []}");
	expect(&c, CAP_DATABASE_INSERT, "{collection: 'c', documents: [{_id: 3}, {_id: 1}, {_id: 4}], ordered: false}",
		"{inserted: 2L, ids: [3, 1, 4], errors: [{index: 1, code: 'duplicate_key', message: 'there is a document with this _id already', keyPattern: {_id: 1}, keyValue: {_id: 1}}]}");
	expect(&c, CAP_DATABASE_INSERT, "{collection: 'c', documents: [{_id: 5}, {_id: 1}, {_id: 6}]}",
		"{inserted: 1L, ids: [5, 1, 6], errors: [{index: 1, code: 'duplicate_key', message: 'there is a document with this _id already', keyPattern: {_id: 1}, keyValue: {_id: 1}}]}");
	expect(&c, CAP_DATABASE_CREATE_INDEX, "{collection: 'u', index: {key: {a: 1, 'b.c': -1}, name: 'i', unique: true}}", "{n: 0L}");
	expect(&c, CAP_DATABASE_INSERT, "{collection: 'u', documents: [{_id: 1, a: 'x', b: {c: 5}}, {_id: 2}]}", "{inserted: 2L, ids: [1, 2], errors: []}");
	expect(&c, CAP_DATABASE_INSERT, "{collection: 'u', documents: [{_id: 3, a: 'x', b: {c: 5}}, {_id: 4, b: 1}, {_id: 5, a: 2}], ordered: false}",
		"{inserted: 1L, ids: [3, 4, 5], errors: ["
		"{index: 0, code: 'duplicate_key', message: 'there is a document with this key in the unique index i already', keyPattern: {a: 1, \"b.c\": -1}, keyValue: {a: 'x', \"b.c\": 5}}, "
		"{index: 1, code: 'duplicate_key', message: 'there is a document with this key in the unique index i already', keyPattern: {a: 1, \"b.c\": -1}, keyValue: {a: null, \"b.c\": null}}]}");
	expect_fail(&c, CAP_DATABASE_UPDATE, "{collection: 'u', filter: {_id: 2}, update: {$set: {a: 'x', 'b.c': 5}}}", "duplicate_key",
		"already{\"index\":0,\"keyPattern\":{\"a\":1,\"b.c\":-1},\"keyValue\":{\"a\":\"x\",\"b.c\":5}}");
	expect_fail(&c, CAP_DATABASE_MODIFY, "{collection: 'u', filter: {_id: 1, z: 1}, update: {$set: {a: 7}}, upsert: true}", "duplicate_key",
		"already{\"index\":0,\"keyPattern\":{\"_id\":1},\"keyValue\":{\"_id\":1}}");
	expect_batch(&c, CAP_DATABASE_FIND, "{collection: 'c', filter: {a: {$gte: 1}}, sort: {a: -1}, projection: {a: 1}, skip: 1, limit: 5}", false, 1);
	expect_batch(&c, CAP_DATABASE_FIND, "{collection: 'c'}", false, 5);
	expect_batch(&c, CAP_DATABASE_FIND, "{collection: 'none'}", false, 0);
	expect(&c, CAP_DATABASE_COUNT, "{collection: 'c', filter: {a: {$exists: false}}}", "{n: 3L}");
	expect(&c, CAP_DATABASE_DISTINCT, "{collection: 'c', field: 'a'}", "{values: [1, 2]}");
	expect_batch(&c, CAP_DATABASE_AGGREGATE, "{collection: 'c', pipeline: [{$group: {_id: '$a'}}]}", false, 3);
	expect_fail(&c, CAP_DATABASE_AGGREGATE, "{collection: 'c', pipeline: [{$lookup: {}}]}", "unsupported", "$lookup");
	expect_fail(&c, CAP_DATABASE_AGGREGATE, "{collection: 'c'}", "invalid_argument", "pipeline is missing");
	expect(&c, CAP_DATABASE_CREATE_INDEX, "{collection: 'c', index: {key: {a: 1}, name: 'i'}}", "{n: 0L}");
	expect_batch(&c, CAP_DATABASE_INDEXES, "{collection: 'c'}", false, 2);
	expect(&c, CAP_DATABASE_DROP_INDEX, "{collection: 'c', name: 'i'}", "{n: 0L}");
	expect_fail(&c, CAP_DATABASE_DROP_INDEX, "{collection: 'c', name: 'i'}", "invalid_argument", "no index with the name i");
	expect_batch(&c, CAP_DATABASE_INDEXES, "{collection: 'c'}", false, 1);
	expect(&c, CAP_DATABASE_UPDATE, "{collection: 'c', filter: {}, update: {$set: {a: 1}}, multi: true}", "{matched: 5L, modified: 4L}");
	expect(&c, CAP_DATABASE_UPDATE, "{collection: 'c', filter: {_id: 9}, update: {$set: {a: 1}}, upsert: true}",
		"{matched: 0L, modified: 0L, upserted: 9}");
	expect(&c, CAP_DATABASE_UPDATE, "{collection: 'c', filter: {_id: 9}, update: {b: 7}}", "{matched: 1L, modified: 1L}");
	expect(&c, CAP_DATABASE_MODIFY, "{collection: 'c', filter: {_id: 9}, update: {$inc: {b: 1}}, new: true, projection: {b: 1, _id: 0}}", "{value: {b: 8}}");
	expect(&c, CAP_DATABASE_MODIFY, "{collection: 'c', filter: {_id: 9}, remove: true, projection: {user_id: 0}}", "{value: {_id: 9, b: 8}}");
	expect(&c, CAP_DATABASE_MODIFY, "{collection: 'c', filter: {_id: 9}, remove: true}", "{value: null}");
	expect(&c, CAP_DATABASE_DELETE, "{collection: 'c', filter: {_id: 5}}", "{deleted: 1L}");
	expect(&c, CAP_DATABASE_DELETE, "{collection: 'c', filter: {}, multi: true}", "{deleted: 4L}");
}

static void names_are_the_plugin_s_own(void **state)
{
	struct capability_call alice = call_of("alice");
	struct capability_call nobody = call_of(NULL);
	struct capability_call other = call_of("alice");
	other.plugin = "q";
	expect(&alice, CAP_DATABASE_COLLECTIONS, "{}", "{values: []}");
	expect(&alice, CAP_DATABASE_INSERT, "{collection: 'a', documents: [{_id: 1}]}", "{inserted: 1L, ids: [1], errors: []}");
	expect(&other, CAP_DATABASE_INSERT, "{collection: 'b', documents: [{_id: 1}]}", "{inserted: 1L, ids: [1], errors: []}");
	expect(&alice, CAP_DATABASE_COLLECTIONS, "{}", "{values: ['a']}");
	expect(&nobody, CAP_DATABASE_COLLECTIONS, "{}", "{values: ['a']}");
	expect(&alice, CAP_DATABASE_INSERT, "{collection: 'renamed', documents: [{_id: 1}]}", "{inserted: 1L, ids: [1], errors: []}");
	expect(&alice, CAP_DATABASE_COLLECTIONS, "{}", "{values: ['a', 'c', 'renamed']}");
	expect_fail(&alice, CAP_DATABASE_COLLECTIONS, "{plugin: 'q'}", "invalid_argument", "unknown field 'plugin'");
	expect_fail(&alice, CAP_DATABASE_COLLECTIONS, "{collection: 'a'}", "invalid_argument", "unknown field 'collection'");
}

static void a_list_of_writes_is_one_call(void **state)
{
	struct capability_call c = call_of("alice");
	struct capability_call bob = call_of("bob");
	static const char duplicate[] = "code: 'duplicate_key', message: 'there is a document with this _id already', keyPattern: {_id: 1}, keyValue: {_id: 1}";
	char expected[1000];
	expect(&c, CAP_DATABASE_BULK, "{collection: 'l', writes: [{insert: {documents: [{_id: 1}, {_id: 2}]}}, {update: {filter: {_id: 2}, update: {$set: {a: 1}}}}, "
		"{update: {filter: {_id: 3}, update: {a: 1}, upsert: true}}, {update: {filter: {}, update: {$inc: {a: 1}}, multi: true}}, {delete: {filter: {_id: 1}}}]}",
		"{results: [{i: 0, inserted: 2L, errors: []}, {i: 1, matched: 1L, modified: 1L}, {i: 2, matched: 0L, modified: 0L, upserted: 3}, "
		"{i: 3, matched: 3L, modified: 3L}, {i: 4, deleted: 1L}]}");
	expect(&bob, CAP_DATABASE_BULK, "{collection: 'l', writes: [{delete: {filter: {}, multi: true}}]}", "{results: [{i: 0, deleted: 0L}]}");
	/* In order: nothing behind the first that fails, and no word of it. */
	expect(&c, CAP_DATABASE_INSERT, "{collection: 'l', documents: [{_id: 1}]}", "{inserted: 1L, ids: [1], errors: []}");
	(void)snprintf(expected, sizeof(expected), "{results: [{i: 0, deleted: 1L}, {i: 1, inserted: 1L, errors: [{index: 1, %s}]}]}", duplicate);
	expect(&c, CAP_DATABASE_BULK, "{collection: 'l', writes: [{delete: {filter: {_id: 2}}}, {insert: {documents: [{_id: 2}, {_id: 1}, {_id: 4}]}}, {delete: {filter: {}, multi: true}}]}", expected);
	expect(&c, CAP_DATABASE_COUNT, "{collection: 'l'}", "{n: 3L}");
	expect(&c, CAP_DATABASE_BULK, "{collection: 'l', writes: [{update: {filter: {user_id: 'bob'}, update: {a: 1}}}, {delete: {filter: {}}}]}",
		"{results: [{i: 0, code: 'permission_denied', message: 'user_id may only be compared for equality with the caller\\x27s own id'}]}");
	/* Without one: all the others. An update's duplicate says of what. */
	expect(&c, CAP_DATABASE_CREATE_INDEX, "{collection: 'l', index: {key: {u: 1}, name: 'u', unique: true, sparse: true}}", "{n: 0L}");
	expect(&c, CAP_DATABASE_BULK, "{collection: 'l', ordered: false, writes: [{update: {filter: {_id: 1}, update: {$set: {u: 5}}}}, {update: {filter: {_id: 2}, update: {$set: {u: 5}}}}, {delete: {filter: {_id: 3}}}]}",
		"{results: [{i: 0, matched: 1L, modified: 1L}, {i: 1, code: 'duplicate_key', message: 'there is a document with this key in the unique index u already', keyPattern: {u: 1}, keyValue: {u: 5}}, {i: 2, deleted: 1L}]}");
	expect(&c, CAP_DATABASE_BULK, "{collection: 'l', writes: []}", "{results: []}");
}

static void a_list_is_refused_as_a_whole(void **state)
{
	struct capability_call c = call_of("alice");
	expect_fail(&c, CAP_DATABASE_BULK, "{collection: 'l'}", "invalid_argument", "writes is missing");
	expect_fail(&c, CAP_DATABASE_BULK, "{collection: 'l', writes: 5}", "invalid_argument", "writes must be an array");
	expect_fail(&c, CAP_DATABASE_BULK, "{collection: 'l', writes: [{insert: {documents: [{_id: 1}]}}, 5]}", "invalid_argument", "writes.1: it is one of insert, update and delete");
	expect_fail(&c, CAP_DATABASE_BULK, "{collection: 'l', writes: [{delete: {filter: {}}, insert: {}}]}", "invalid_argument", "writes.0: it is one of");
	expect_fail(&c, CAP_DATABASE_BULK, "{collection: 'l', writes: [{find: {}}]}", "invalid_argument", "writes.0: it is one of");
	expect_fail(&c, CAP_DATABASE_BULK, "{collection: 'l', writes: [{delete: {}}]}", "invalid_argument", "writes.0: filter is missing");
	expect_fail(&c, CAP_DATABASE_BULK, "{collection: 'l', writes: [{delete: {filter: {}, collection: 'm'}}]}", "invalid_argument", "writes.0: unknown field 'collection'");
	expect_fail(&c, CAP_DATABASE_BULK, "{collection: 'l', writes: [{delete: {filter: {}, all_users: true}}]}", "invalid_argument", "writes.0: unknown field 'all_users'");
	expect_fail(&c, CAP_DATABASE_BULK, "{collection: 'l', all_users: true, writes: []}", "permission_denied", "database.cross_user");
	settings.bulk_writes = 1;
	expect_fail(&c, CAP_DATABASE_BULK, "{collection: 'l', writes: [{insert: {documents: [{_id: 1}]}}, {delete: {filter: {}}}]}", "limit_exceeded", "a list of 2 writes; the limit is 1 (MOZAIKS_MAX_BULK_WRITES)");
	settings.bulk_writes = 1000;
	/* Nothing of it was done. */
	expect(&c, CAP_DATABASE_COUNT, "{collection: 'l'}", "{n: 0L}");
}

/* More than are submitted at a time, and each fails with a message: the answer fits a frame. */
static void a_long_list_fits_its_answer(void **state)
{
	struct capability_call c = call_of("alice");
	struct buffer b;
	buffer_init(&b, 1U << 20);
	assert_int_equal(buffer_append(&b, SLICE("{collection: 'l', ordered: false, writes: [{insert: {documents: [{_id: 'x'}]}}")), 0);
	for (int i = 1; i < 1000; i++) {
		assert_int_equal(buffer_printf(&b, ", {update: {filter: {_id: %d}, update: {$set: {'%0400d.': 1}}, upsert: true}}", i, i), 0);
	}
	assert_int_equal(buffer_append(&b, slice_of("]}", 3)), 0);
	run(&c, CAP_DATABASE_BULK, (const char *)b.p);
	assert_string_equal(c.error, "");
	struct document_iter it = document_iter(document_find(c.reply, SLICE("results")).data);
	struct element e;
	unsigned n = 0;
	while (document_next(&it, &e)) {
		n++;
	}
	assert_int_equal(n, 1000);
	assert_true(c.reply.n < FRAME_PAYLOAD_MAX);
	drop(&c);
	buffer_deinit(&b);
}

/* The scope is the call's: its user, nobody, or the declared collection. */
static void the_call_gives_the_scope(void **state)
{
	struct capability_call alice = call_of("alice");
	struct capability_call bob = call_of("bob");
	struct capability_call nobody = call_of(NULL);
	struct capability_call other = call_of("alice");
	other.plugin = "q";
	expect(&alice, CAP_DATABASE_INSERT, "{collection: 'c', documents: [{_id: 1}]}", "{inserted: 1L, ids: [1], errors: []}");
	expect(&nobody, CAP_DATABASE_INSERT, "{collection: 'c', documents: [{_id: 2}]}", "{inserted: 1L, ids: [2], errors: []}");
	expect(&alice, CAP_DATABASE_INSERT, "{collection: 'shared', documents: [{_id: 3}]}", "{inserted: 1L, ids: [3], errors: []}");
	expect(&alice, CAP_DATABASE_DISTINCT, "{collection: 'c', field: '_id'}", "{values: [1]}");
	expect(&bob, CAP_DATABASE_DISTINCT, "{collection: 'c', field: '_id'}", "{values: []}");
	expect(&nobody, CAP_DATABASE_DISTINCT, "{collection: 'c', field: '_id'}", "{values: [2]}");
	expect(&other, CAP_DATABASE_DISTINCT, "{collection: 'c', field: '_id'}", "{values: []}");
	expect(&bob, CAP_DATABASE_DISTINCT, "{collection: 'shared', field: '_id'}", "{values: [3]}");
	expect_fail(&alice, CAP_DATABASE_FIND, "{collection: 'c', filter: {user_id: 'bob'}}", "permission_denied", "user_id");
	expect_fail(&nobody, CAP_DATABASE_INSERT, "{collection: 'c', documents: [{user_id: 'bob'}]}", "permission_denied", "user_id");
}

/* all_users: with the permission, and where it is written; nowhere else. */
static void all_users_need_a_grant(void **state)
{
	struct capability_call alice = call_of("alice");
	struct capability_call bob = call_of("bob");
	struct capability_call nobody = call_of(NULL);
	expect(&alice, CAP_DATABASE_INSERT, "{collection: 'c', documents: [{_id: 1, a: 1}]}", "{inserted: 1L, ids: [1], errors: []}");
	expect(&nobody, CAP_DATABASE_INSERT, "{collection: 'c', documents: [{_id: 2, a: 1}]}", "{inserted: 1L, ids: [2], errors: []}");
	static const struct {
		uint16_t code;
		const char *args;
	} every[] = {
		{ CAP_DATABASE_FIND, "{collection: 'c', all_users: true}" },
		{ CAP_DATABASE_COUNT, "{collection: 'c', all_users: true}" },
		{ CAP_DATABASE_DISTINCT, "{collection: 'c', field: 'a', all_users: true}" },
		{ CAP_DATABASE_AGGREGATE, "{collection: 'c', pipeline: [], all_users: true}" },
		{ CAP_DATABASE_INSERT, "{collection: 'c', documents: [{user_id: 'bob'}], all_users: true}" },
		{ CAP_DATABASE_UPDATE, "{collection: 'c', filter: {}, update: {$set: {a: 2}}, multi: true, all_users: true}" },
		{ CAP_DATABASE_DELETE, "{collection: 'c', filter: {}, multi: true, all_users: true}" },
		{ CAP_DATABASE_MODIFY, "{collection: 'c', filter: {}, remove: true, all_users: true}" },
	};
	for (size_t i = 0; i < sizeof(every) / sizeof(every[0]); i++) {
		expect_fail(&bob, every[i].code, every[i].args, "permission_denied", "all_users needs database.cross_user");
	}
	bob.may_cross = true;
	/* The grant alone widens nothing. */
	expect(&bob, CAP_DATABASE_COUNT, "{collection: 'c'}", "{n: 0L}");
	expect(&bob, CAP_DATABASE_COUNT, "{collection: 'c', all_users: false}", "{n: 0L}");
	expect_fail(&bob, CAP_DATABASE_FIND, "{collection: 'c', filter: {user_id: 'alice'}}", "permission_denied", "user_id");
	expect(&bob, CAP_DATABASE_COUNT, "{collection: 'c', all_users: true}", "{n: 2L}");
	expect(&bob, CAP_DATABASE_DISTINCT, "{collection: 'c', field: '_id', filter: {user_id: 'alice'}, all_users: true}", "{values: [1]}");
	expect_batch(&bob, CAP_DATABASE_FIND, "{collection: 'c', all_users: true}", false, 2);
	expect_batch(&bob, CAP_DATABASE_AGGREGATE, "{collection: 'c', pipeline: [{$group: {_id: '$user_id'}}], all_users: true}", false, 2);
	expect(&bob, CAP_DATABASE_UPDATE, "{collection: 'c', filter: {_id: 1}, update: {$set: {a: 2}}, all_users: true}", "{matched: 1L, modified: 1L}");
	expect(&bob, CAP_DATABASE_INSERT, "{collection: 'c', documents: [{_id: 3, user_id: 'alice'}], all_users: true}", "{inserted: 1L, ids: [3], errors: []}");
	expect(&alice, CAP_DATABASE_DISTINCT, "{collection: 'c', field: '_id'}", "{values: [1, 3]}");
	/* Still the plugin's own collections. */
	struct capability_call other = bob;
	other.plugin = "q";
	expect(&other, CAP_DATABASE_COUNT, "{collection: 'c', all_users: true}", "{n: 0L}");
	expect_fail(&bob, CAP_DATABASE_CREATE_INDEX, "{collection: 'c', index: {key: {a: 1}, name: 'i'}, all_users: true}", "invalid_argument", "unknown field 'all_users'");
	expect_fail(&bob, CAP_DATABASE_FIND, "{collection: 'c', all_users: 1}", "invalid_argument", "all_users must be true or false");
}

/* What an operator calls a collection in the database; scoped as ever. */
static void collections_have_other_names(void **state)
{
	struct capability_call alice = call_of("alice");
	struct capability_call bob = call_of("bob");
	expect(&alice, CAP_DATABASE_INSERT, "{collection: 'c', documents: [{_id: 1}]}", "{inserted: 1L, ids: [1], errors: []}");
	expect(&bob, CAP_DATABASE_INSERT, "{collection: 'renamed', documents: [{_id: 2}]}", "{inserted: 1L, ids: [2], errors: []}");
	struct capability_call other = alice;
	other.plugin = "q";
	expect(&other, CAP_DATABASE_DISTINCT, "{collection: 'renamed', field: '_id'}", "{values: [1]}");
	expect(&bob, CAP_DATABASE_DISTINCT, "{collection: 'c', field: '_id'}", "{values: [2]}");
}

static void arguments_are_strict(void **state)
{
	struct capability_call c = call_of("alice");
	static const struct {
		uint16_t code;
		const char *args;
		const char *message;
	} bad[] = {
		{ CAP_DATABASE_FIND, "{}", "collection is missing" },
		{ CAP_DATABASE_FIND, "{collection: 5}", "collection must be a string" },
		{ CAP_DATABASE_FIND, "{collection: 'c', filter: []}", "filter must be a document" },
		{ CAP_DATABASE_FIND, "{collection: 'c', filter: null}", "filter must be a document" },
		{ CAP_DATABASE_FIND, "{collection: 'c', limit: -1}", "limit must be a whole number" },
		{ CAP_DATABASE_FIND, "{collection: 'c', limit: 'x'}", "limit must be a whole number" },
		{ CAP_DATABASE_FIND, "{collection: 'c', hint: 'x'}", "unknown field 'hint'" },
		{ CAP_DATABASE_FIND, "{collection: 'c', update: {}}", "unknown field 'update'" },
		{ CAP_DATABASE_FIND, "{collection: 'c', user_id: 'bob'}", "unknown field 'user_id'" },
		{ CAP_DATABASE_DISTINCT, "{collection: 'c'}", "field is missing" },
		{ CAP_DATABASE_INSERT, "{collection: 'c'}", "documents is missing" },
		{ CAP_DATABASE_INSERT, "{collection: 'c', documents: {}}", "documents must be an array of documents" },
		{ CAP_DATABASE_INSERT, "{collection: 'c', documents: [5]}", "documents must be an array of documents" },
		{ CAP_DATABASE_INSERT, "{collection: 'c', documents: []}", "no document to insert" },
		{ CAP_DATABASE_UPDATE, "{collection: 'c', filter: {}}", "update is missing" },
		{ CAP_DATABASE_UPDATE, "{collection: 'c', filter: {}, update: {$set: {a: 1}}, multi: 1}", "multi must be true or false" },
		{ CAP_DATABASE_DELETE, "{collection: 'c'}", "filter is missing" },
		{ CAP_DATABASE_MODIFY, "{collection: 'c', filter: {}}", "the update is missing" },
		{ CAP_DATABASE_NEXT, "{cursor: 1}", "no such open cursor" },
		{ CAP_DATABASE_CLOSE, "{cursor: 1}", "no such open cursor" },
		{ CAP_DATABASE_NEXT, "{cursor: 'x'}", "cursor must be a cursor's number" },
		{ CAP_DATABASE_NEXT, "{}", "cursor is missing" },
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		expect_fail(&c, bad[i].code, bad[i].args, "invalid_argument", bad[i].message);
	}
	expect_fail(&c, CAP_DATABASE_FIND, "{collection: 'c', filter: {$where: '1'}}", "unsupported", "unsupported operator $where");
	run_bytes(&c, CAP_DATABASE_FIND, SLICE("\x05\0\0\0\0\0"));
	assert_string_equal(c.error, "invalid_argument");
	assert_non_null(strstr(c.message, "bytes after the document"));
	run_bytes(&c, CAP_DATABASE_FIND, SLICE("\xff\xff\xff\x7f\0"));
	assert_string_equal(c.error, "limit_exceeded");
}
/* clang-format on */

static void run_nested(struct capability_call *c, unsigned levels)
{
	struct buffer text;
	buffer_init(&text, 4096);
	(void)buffer_append(&text, SLICE("{collection: 'c', filter: {a: "));
	/* The arguments and the filter are two. */
	for (unsigned i = 2; i < levels; i++) {
		(void)buffer_append(&text, SLICE("{a: "));
	}
	(void)buffer_append(&text, SLICE("1}}"));
	for (unsigned i = 2; i < levels; i++) {
		(void)buffer_append_byte(&text, '}');
	}
	(void)buffer_append_byte(&text, 0);
	run(c, CAP_DATABASE_COUNT, (const char *)text.p);
	drop(c);
	buffer_deinit(&text);
}

static void nesting_is_bounded(void **state)
{
	struct capability_call c = call_of("alice");
	run_nested(&c, 64);
	assert_string_equal(c.error, "");
	run_nested(&c, 65);
	assert_string_equal(c.error, "limit_exceeded");
	assert_non_null(
		strstr(c.message, "nesting deeper than the limit of 64 (MOZAIKS_MAX_BSON_DEPTH; "));
}

/* `n` documents of about `size` bytes. */
static void fill(struct capability_call *c, unsigned n, unsigned size)
{
	char *pad = malloc(size);
	memset(pad, 'x', size);
	for (unsigned done = 0; done < n;) {
		struct document_writer w;
		char text[24];
		writer_init(&w, FRAME_PAYLOAD_MAX);
		size_t root = writer_open(&w);
		writer_string(&w, SLICE("collection"), SLICE("c"));
		size_t array = writer_open_in(&w, BT_ARRAY, SLICE("documents"));
		for (unsigned i = 0; done < n && w.b.n + size + 200 < FRAME_PAYLOAD_MAX; i++) {
			size_t d = writer_open_in(&w, BT_OBJECT, index_name(i, text));
			writer_int32(&w, SLICE("_id"), (int32_t)done++);
			writer_string(&w, SLICE("pad"), slice_of(pad, size));
			writer_close(&w, d);
		}
		writer_close(&w, array);
		writer_close(&w, root);
		run_bytes(c, CAP_DATABASE_INSERT, buffer_slice(&w.b));
		assert_string_equal(c->error, "");
		drop(c);
		writer_deinit(&w);
	}
	free(pad);
}

static void batches_follow_a_cursor(void **state)
{
	struct capability_call c = call_of("alice");
	struct capability_call other = call_of("alice");
	other.work_id = 2;
	fill(&c, 1200, 50);
	expect_batch(&c, CAP_DATABASE_FIND, "{collection: 'c'}", true, 500);
	expect_fail(&other, CAP_DATABASE_NEXT, "{cursor: 1}", "invalid_argument", "no such");
	expect_batch(&c, CAP_DATABASE_NEXT, "{cursor: 1}", true, 500);
	expect_batch(&c, CAP_DATABASE_NEXT, "{cursor: 1}", false, 200);
	expect_fail(&c, CAP_DATABASE_NEXT, "{cursor: 1}", "invalid_argument", "no such");
	expect_batch(&c, CAP_DATABASE_FIND, "{collection: 'c', limit: 500}", false, 500);
	expect_batch(&c, CAP_DATABASE_FIND, "{collection: 'c', limit: 501}", true, 500);
	expect(&c, CAP_DATABASE_CLOSE, "{cursor: 2}", "{}");
	expect_fail(&c, CAP_DATABASE_NEXT, "{cursor: 2}", "invalid_argument", "no such");
	/* A call that is over leaves nothing behind. */
	expect_batch(&c, CAP_DATABASE_FIND, "{collection: 'c'}", true, 500);
	capability_work_ended(&worker, 1);
	expect_fail(&c, CAP_DATABASE_NEXT, "{cursor: 3}", "invalid_argument", "no such");
	for (int i = 0; i < (int)settings.cursors_per_request; i++) {
		expect_batch(&c, CAP_DATABASE_FIND, "{collection: 'c'}", true, 500);
	}
	expect_fail(&c, CAP_DATABASE_FIND, "{collection: 'c'}", "limit_exceeded",
		"more than 8 cursors are open in this request (MOZAIKS_MAX_CURSORS_PER_REQUEST)");
	for (unsigned i = 8; i < 10; i++) {
		expect_batch(&other, CAP_DATABASE_FIND, "{collection: 'c'}", true, 500);
	}
	expect_fail(&other, CAP_DATABASE_FIND, "{collection: 'c'}", "limit_exceeded",
		"more than 10 cursors are open in this worker (MOZAIKS_MAX_CURSORS_PER_WORKER)");
	/* Nobody is there to fetch the rest. */
	c.worker_gone = true;
	expect_batch(&c, CAP_DATABASE_FIND, "{collection: 'c'}", false, 500);
}

static void batches_are_bounded_in_bytes(void **state)
{
	struct capability_call c = call_of("alice");
	unsigned total = 0;
	unsigned n = 0;
	fill(&c, 50, 100000);
	run(&c, CAP_DATABASE_FIND, "{collection: 'c', limit: 30}");
	for (;;) {
		uint32_t cursor = batch(&c, &n);
		assert_in_range(n, 1, 9);
		total += n;
		drop(&c);
		if (cursor == 0) {
			break;
		}
		run(&c, CAP_DATABASE_NEXT, "{cursor: 1}");
	}
	assert_int_equal(total, 30);
	/* 5 MB found, more than a worker may leave lying. */
	expect_fail(&c, CAP_DATABASE_FIND, "{collection: 'c'}", "limit_exceeded",
		"MOZAIKS_MAX_CURSOR_BYTES");
}

/* Answers that would not fit a frame are errors, before anything is done where it matters. */
static void answers_fit_a_frame(void **state)
{
	struct capability_call c = call_of("alice");
	struct document_writer w;
	char text[24];
	for (int ordered = 0; ordered < 2; ordered++) {
		writer_init(&w, FRAME_PAYLOAD_MAX);
		size_t root = writer_open(&w);
		writer_string(&w, SLICE("collection"), SLICE("many"));
		writer_bool(&w, SLICE("ordered"), ordered == 1);
		size_t array = writer_open_in(&w, BT_ARRAY, SLICE("documents"));
		for (unsigned i = 0; i < 60000; i++) {
			size_t d = writer_open_in(&w, BT_OBJECT, index_name(i, text));
			writer_close(&w, d);
		}
		writer_close(&w, array);
		writer_close(&w, root);
		assert_int_equal(w.error, 0);
		run_bytes(&c, CAP_DATABASE_INSERT, buffer_slice(&w.b));
		assert_string_equal(c.error, "limit_exceeded");
		assert_non_null(strstr(c.message, "too many documents in one insert"));
		writer_deinit(&w);
	}
	expect(&c, CAP_DATABASE_COUNT, "{collection: 'many'}", "{n: 0L}");
}

static void values_that_do_not_fit_are_refused(void **state)
{
	struct capability_call c = call_of("alice");
	for (int i = 0; i < 12; i++) {
		struct document_writer w;
		char text[24];
		static uint8_t pad[100000];
		memset(pad, 'a' + i, sizeof(pad));
		writer_init(&w, FRAME_PAYLOAD_MAX);
		size_t root = writer_open(&w);
		writer_string(&w, SLICE("collection"), SLICE("c"));
		size_t array = writer_open_in(&w, BT_ARRAY, SLICE("documents"));
		size_t d = writer_open_in(&w, BT_OBJECT, index_name(0, text));
		writer_string(&w, SLICE("pad"), slice_of(pad, sizeof(pad)));
		writer_close(&w, d);
		writer_close(&w, array);
		writer_close(&w, root);
		run_bytes(&c, CAP_DATABASE_INSERT, buffer_slice(&w.b));
		assert_string_equal(c.error, "");
		drop(&c);
		writer_deinit(&w);
	}
	expect_fail(&c, CAP_DATABASE_DISTINCT, "{collection: 'c', field: 'pad'}", "limit_exceeded",
		"an answer holds");
}

/* {collection: 'c', NAME: VALUE}, or with an array of VALUE; the bytes of which nothing is checked. */
static void expect_refused(uint16_t code, const char *name, struct slice value, const char *message)
{
	struct capability_call c = call_of("alice");
	struct document_writer w;
	writer_init(&w, FRAME_PAYLOAD_MAX);
	size_t root = writer_open(&w);
	writer_string(&w, SLICE("collection"), SLICE("c"));
	if (code == CAP_DATABASE_INSERT) {
		size_t array = writer_open_in(&w, BT_ARRAY, slice_str(name));
		writer_value(&w, SLICE("0"), (struct value){ BT_OBJECT, value });
		writer_close(&w, array);
	} else {
		writer_value(&w, slice_str(name), (struct value){ BT_OBJECT, value });
	}
	writer_close(&w, root);
	run_bytes(&c, code, buffer_slice(&w.b));
	if (strcmp(c.error, "invalid_argument") != 0 || strstr(c.message, message) == NULL) {
		fail_msg("%s: expected \"%s\", got %s \"%s\"", name, message, c.error, c.message);
	}
	writer_deinit(&w);
}

static void expect_refused_everywhere(struct slice value, const char *message)
{
	expect_refused(CAP_DATABASE_FIND, "filter", value, message);
	expect_refused(CAP_DATABASE_INSERT, "documents", value, message);
	expect_refused(CAP_DATABASE_UPDATE, "update", value, message);
	expect_refused(CAP_DATABASE_AGGREGATE, "pipeline", value, message);
}

/* The threat table's E3: a name that stands twice, at the top and further down. */
static void e3_a_name_twice(void **state)
{
	struct document_writer w;
	writer_init(&w, 1000);
	size_t root = writer_open(&w);
	writer_string(&w, SLICE("user_id"), SLICE("alice"));
	writer_string(&w, SLICE("user_id"), SLICE("bob"));
	writer_close(&w, root);
	expect_refused_everywhere(buffer_slice(&w.b), "twice");
	struct document_writer outer;
	writer_init(&outer, 1000);
	root = writer_open(&outer);
	writer_value(&outer, SLICE("$set"), (struct value){ BT_OBJECT, buffer_slice(&w.b) });
	writer_close(&outer, root);
	expect_refused_everywhere(buffer_slice(&outer.b), "twice");
	writer_deinit(&outer);
	writer_deinit(&w);
}

/* E1, E9: types that stand for code or for what is no value any more. */
static void e1_e9_types_that_are_refused(void **state)
{
	static const struct {
		uint8_t type;
		struct slice data;
		const char *message;
	} rows[] = {
		{ BT_CODE, SLICE("\x02\0\0\0f\0"), "JavaScript code" },
		{ BT_CODE_SCOPE, SLICE("\x0f\0\0\0\x02\0\0\0f\0\x05\0\0\0\0"), "JavaScript code" },
		{ BT_SYMBOL, SLICE("\x02\0\0\0s\0"), "symbol" },
		{ BT_DBPOINTER, SLICE("\x02\0\0\0c\0iiiiiiiiiiii"), "DBPointer" },
		{ BT_UNDEFINED, SLICE(""), "undefined" },
		{ 0x20, SLICE(""), "unknown type" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct document_writer w;
		writer_init(&w, 1000);
		size_t root = writer_open(&w);
		writer_value(&w, SLICE("x"), (struct value){ rows[i].type, rows[i].data });
		writer_close(&w, root);
		expect_refused_everywhere(buffer_slice(&w.b), rows[i].message);
		writer_deinit(&w);
	}
}

int main(void)
{
	log_init("test", LOG_ERROR);
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	static const struct CMUnitTest tests[] = {
		TEST(every_command_is_answered),
		TEST(names_are_the_plugin_s_own),
		TEST(a_list_of_writes_is_one_call),
		TEST(a_list_is_refused_as_a_whole),
		TEST(a_long_list_fits_its_answer),
		TEST(the_call_gives_the_scope),
		TEST(all_users_need_a_grant),
		TEST(collections_have_other_names),
		TEST(arguments_are_strict),
		TEST(e3_a_name_twice),
		TEST(e1_e9_types_that_are_refused),
		TEST(nesting_is_bounded),
		TEST(batches_follow_a_cursor),
		TEST(batches_are_bounded_in_bytes),
		TEST(answers_fit_a_frame),
		TEST(values_that_do_not_fit_are_refused),
	};
#undef TEST
	return map_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
