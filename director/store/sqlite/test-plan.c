/*
 * The planner: which way is chosen for a filter and an order, and that what comes of it is what comes
 * without any index. Engine and file without threads.
 */
/* cmocka.h needs what stands before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "common/base/map.h"
#include "common/base/test-folder.h"
#include "director/store/query/notation.h"
#include "director/store/sqlite/schema.h"
#include "director/store/sqlite/source.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct store_limits limits = { .document_bytes = 100000,
	.filter_bytes = 60000,
	.result_bytes = 4 << 20,
	.in_values = 1000,
	.skip = 1000,
	.regex_bytes = 1000,
	.operation_ms = 60000,
	.collections = 100,
	.stages = 50,
	.indexes = 20,
	.index_fields = 16,
	.index_keys = 1000 };
static const struct store_scope alice = { STORE_SCOPE_USER, SLICE("app"), SLICE("p"),
	SLICE("alice") };
static const struct store_scope bob = { STORE_SCOPE_USER, SLICE("app"), SLICE("p"), SLICE("bob") };
static const struct store_scope nobody = { STORE_SCOPE_APP, SLICE("app"), SLICE("p"), SLICE_NULL };
static const struct store_scope shared = { STORE_SCOPE_SHARED, SLICE("app"), SLICE("p"),
	SLICE_NULL };

static struct connection connection;
static struct oid_source ids;
static char dir[TEST_FOLDER_BYTES];

static int setup(void **state)
{
	char path[128];
	char why[256];
	if (test_folder_make(dir, "test-plan") != 0 || oid_source_init(&ids) != 0) {
		return -1;
	}
	(void)snprintf(path, sizeof(path), "%s/mozaiks.db", dir);
	/* Nothing here is about what a disk keeps. */
	int r = schema_open(&connection, path, false, why);
	return r != 0 || sqlite3_exec(connection.db, "PRAGMA synchronous=OFF", NULL, NULL, NULL);
}

static int teardown(void **state)
{
	sqlite_connection_close(&connection);
	return test_folder_remove(dir);
}

/* --- commands --- */

struct command {
	const struct store_scope *scope;
	enum store_op op;
	const char *filter, *sort, *update, *document, *index, *collection;
	uint64_t limit, skip;
	bool multi;
};

struct parsed {
	struct slice s[5];
};

static struct slice parse(struct parsed *p, unsigned i, const char *text)
{
	p->s[i] = text == NULL ? SLICE_NULL : notation_parse(text);
	return p->s[i];
}

/* Compiles and plans. */
static void begin(struct store_task *t, struct source *source, const struct command *c)
{
	struct parsed p = { 0 };
	struct store_command command = {
		.op = c->op,
		.collection = slice_str(c->collection == NULL ? "c" : c->collection),
		.filter = parse(&p, 0, c->filter),
		.sort = parse(&p, 1, c->sort),
		.update = parse(&p, 2, c->update),
		.documents = parse(&p, 3, c->document),
		.index = parse(&p, 4, c->index),
		.field = c->op == STORE_INDEX_DROP ? SLICE("*") : SLICE_NULL,
		.limit = c->limit,
		.skip = c->skip,
		.multi = c->multi,
		.remove = c->op == STORE_MODIFY && c->update == NULL,
	};
	if (store_task_init(t, c->scope, &command, &limits, &ids) != 0 ||
		store_task_compile(t) != 0) {
		fail_msg("%s: %s", c->filter, t->result.message);
	}
	for (unsigned i = 0; i < 5; i++) {
		free((void *)(uintptr_t)p.s[i].p);
	}
	assert_int_equal(source_init(source, &connection, t), 0);
}

static void run(struct store_task *t, const struct command *c)
{
	struct source source;
	assert_int_equal(sqlite_connection_run(&connection, ST_BEGIN), 0);
	begin(t, &source, c);
	assert_int_equal(engine_run(t, &source.engine), 0);
	source_deinit(&source);
	assert_int_equal(
		sqlite_connection_run(&connection, store_task_keeps(t) ? ST_COMMIT : ST_ROLLBACK),
		0);
	sqlite_connection_forget(&connection);
}

static void change(const struct command *c)
{
	struct store_task t;
	run(&t, c);
	if (t.result.error != STORE_OK) {
		fail_msg("%s", t.result.message);
	}
	store_task_deinit(&t);
}

static void index_on(const struct store_scope *scope, const char *spec)
{
	change(&(struct command){ scope, STORE_INDEX_CREATE, .index = spec });
}

static void insert(const struct store_scope *scope, const char *document)
{
	change(&(struct command){ scope, STORE_INSERT, .document = document });
}

static void expect_plan(const struct command *c, const char *expected)
{
	struct store_task t;
	struct source source;
	struct buffer text;
	buffer_init(&text, 1000);
	begin(&t, &source, c);
	assert_int_equal(source_explain(&source, &text), 0);
	assert_int_equal(buffer_append_byte(&text, 0), 0);
	if (strcmp((const char *)text.p, expected) != 0) {
		fail_msg("%s, %s: expected \"%s\", got \"%s\"", c->filter, c->sort, expected,
			(const char *)text.p);
	}
	source_deinit(&source);
	store_task_deinit(&t);
	buffer_deinit(&text);
}

/* --- which way --- */

/* clang-format off */

#define PLAN(expected, ...) expect_plan(&(struct command){ &alice, STORE_FIND, __VA_ARGS__ }, expected)

static void without_an_index(void **state)
{
	PLAN("nothing", "{a: 1}");
	insert(&alice, "{_id: 1, a: 1}");
	PLAN("owner", "{a: 1}");
	PLAN("owner", "{}", "{a: 1}", .limit = 1);
	PLAN("1 ids", "{_id: 1, a: 1}");
	PLAN("3 ids", "{_id: {$in: [1, 2, 3]}}");
	expect_plan(&(struct command){ &nobody, STORE_FIND, "{a: 1}" }, "nobody");
	expect_plan(&(struct command){ &shared, STORE_FIND, "{a: 1}" }, "collection");
	expect_plan(&(struct command){ &shared, STORE_FIND, "{user_id: 'bob'}" }, "owner");
}

static void values_and_bounds(void **state)
{
	insert(&alice, "{_id: 1, a: 1, b: 1, c: 1}");
	index_on(&alice, "{key: {a: 1, b: 1, c: -1}, name: 'abc'}");
	PLAN("abc: 1 given, 1 range", "{a: 1}");
	PLAN("abc: 1 given, 1 range", "{a: {$eq: 1}, c: 3}");
	PLAN("abc: 3 given, 1 range", "{c: 1, a: 1, b: 1}");
	PLAN("abc: 2 given, 1 range", "{$and: [{a: 1}, {$and: [{b: null}]}]}");
	PLAN("abc: 0 given, bounds, 1 range", "{a: {$gt: 1}}");
	PLAN("abc: 0 given, bounds, 1 range", "{a: {$gte: 1, $lt: 5}, b: 2}");
	PLAN("abc: 1 given, bounds, 1 range", "{a: 1, b: {$lte: 'x'}}");
	PLAN("abc: 1 given, 3 ranges", "{a: {$in: [1, 2, 'x']}}");
	PLAN("abc: 2 given, bounds, 6 ranges", "{a: {$in: [1, 2, 'x']}, b: {$in: [1, null]}, c: {$gt: 1}}");
	/* Not a condition of every match, or none that keys know. */
	PLAN("owner", "{b: 1}");
	PLAN("owner", "{$or: [{a: 1}, {b: 1}]}");
	PLAN("owner", "{$nor: [{a: 1}]}");
	PLAN("owner", "{a: {$ne: 1}}");
	PLAN("owner", "{a: {$not: {$gt: 1}}}");
	PLAN("owner", "{a: [1]}");
	PLAN("owner", "{a: {$in: [1, [2]]}}");
	PLAN("owner", "{a: {$gt: null}}");
	PLAN("owner", "{a: {$gt: [1]}}");
	PLAN("owner", "{a: {$exists: true}}");
	PLAN("owner", "{a: /x/}");
	PLAN("owner", "{a: {$elemMatch: {$gt: 1}}}");
	PLAN("1 ids", "{_id: 1, a: 1}");
	/* Another user's scope is the same index; everybody's is not: its keys begin with the owner. */
	expect_plan(&(struct command){ &bob, STORE_COUNT, "{a: 1}" }, "abc: 1 given, 1 range");
	expect_plan(&(struct command){ &nobody, STORE_COUNT, "{a: 1}" }, "abc: 1 given, 1 range");
	expect_plan(&(struct command){ &shared, STORE_COUNT, "{a: 1}" }, "collection");
	expect_plan(&(struct command){ &alice, STORE_DELETE, "{a: {$lt: 1}}", .multi = true }, "abc: 0 given, bounds, 1 range");
	expect_plan(&(struct command){ &alice, STORE_UPDATE, "{a: 1}", .update = "{$inc: {a: 1}}", .multi = true }, "abc: 1 given, 1 range");
}

static void many_values_are_not_multiplied_for_ever(void **state)
{
	char text[8000];
	size_t n = (size_t)snprintf(text, sizeof(text), "{b: {$in: [1, 2]}, a: {$in: [0");
	for (int i = 1; i < 501; i++) {
		n += (size_t)snprintf(text + n, sizeof(text) - n, ", %d", i);
	}
	(void)snprintf(text + n, sizeof(text) - n, "]}}");
	insert(&alice, "{_id: 1, a: 1, b: 1}");
	index_on(&alice, "{key: {a: 1, b: 1}, name: 'ab'}");
	PLAN("ab: 1 given, 501 ranges", text);
}

static void orders(void **state)
{
	insert(&alice, "{_id: 1, a: 1, b: 1, c: 1}");
	index_on(&alice, "{key: {a: 1, b: -1}, name: 'ab'}");
	PLAN("ab: 0 given, 1 range, in order", "{}", "{a: 1, b: -1}", .limit = 10);
	PLAN("ab: 0 given, 1 range, in order, backwards", "{}", "{a: -1, b: 1}", .limit = 10);
	PLAN("ab: 1 given, 1 range, in order, backwards", "{a: 1}", "{b: 1}");
	PLAN("ab: 1 given, 1 range, in order", "{a: 1}", "{a: 1, b: -1}");
	PLAN("ab: 1 given, bounds, 1 range, in order, backwards", "{a: 1, b: {$gt: 5, $lt: 9}}", "{b: 1}");
	PLAN("ab: 0 given, bounds, 1 range, in order", "{a: {$gt: 5}}", "{a: 1, b: -1}");
	/* All documents are wanted anyway: in order they would be read here and there. */
	PLAN("owner", "{}", "{a: 1, b: -1}");
	/* Fields that the index does not have, or has otherwise; documents that are equal in `a` keep
	 * their order of insertion. */
	PLAN("owner", "{}", "{a: 1}", .limit = 1);
	PLAN("owner", "{}", "{a: 1, b: 1}", .limit = 1);
	PLAN("owner", "{}", "{a: -1, b: -1}", .limit = 1);
	PLAN("owner", "{}", "{b: -1, a: 1}", .limit = 1);
	PLAN("ab: 1 given, 1 range", "{a: 1}", "{b: 1, c: 1}");
	PLAN("ab: 1 given, 2 ranges", "{a: {$in: [1, 2]}}", "{b: 1}");
	expect_plan(&(struct command){ &alice, STORE_MODIFY, "{}", "{a: 1, b: -1}" }, "ab: 0 given, 1 range, in order");
	expect_plan(&(struct command){ &alice, STORE_UPDATE, "{}", "{a: 1, b: -1}", "{$set: {c: 1}}" }, "ab: 0 given, 1 range, in order");
	/* A second index that does more of the work. */
	index_on(&alice, "{key: {c: 1}, name: 'c'}");
	PLAN("c: 1 given, 1 range", "{c: 1}", "{a: 1, b: 1}", .limit = 1);
	PLAN("ab: 1 given, 1 range, in order, backwards", "{c: {$gt: 1}, a: 1}", "{b: 1}");
}

/* {a: -1, b: -1, c: 1} is {a: 1, b: 1, c: -1} read backwards. */
static void directions_are_those_of_the_first_field(void **state)
{
	insert(&alice, "{_id: 1, a: 1, b: 1, c: 1}");
	index_on(&shared, "{key: {a: -1, b: -1, c: 1}, name: 'abc'}");
	PLAN("abc: 0 given, 1 range, in order", "{}", "{a: 1, b: 1, c: -1}", .limit = 1);
	PLAN("abc: 0 given, 1 range, in order, backwards", "{}", "{a: -1, b: -1, c: 1}", .limit = 1);
	PLAN("abc: 2 given, 1 range, in order, backwards", "{a: 1, b: 'x'}", "{c: 1}");
	PLAN("owner", "{}", "{a: 1, b: 1, c: 1}", .limit = 1);
	PLAN("owner", "{}", "{a: 1, b: -1, c: -1}", .limit = 1);
}

/* An index of a file of version 6: whatever its directions, all of its keys go up. */
static void older_indexes_have_no_directions(void **state)
{
	struct store_task t;
	index_on(&alice, "{key: {a: 1, b: -1}, name: 'ab'}");
	assert_int_equal(sqlite3_exec(connection.db, "UPDATE idx SET directed = 0", NULL, NULL, NULL), SQLITE_OK);
	insert(&alice, "{_id: 1, a: 1, b: 1}");
	insert(&alice, "{_id: 2, a: 1, b: 2}");
	PLAN("ab: 0 given, 1 range, in order", "{}", "{a: 1, b: 1}", .limit = 1);
	PLAN("owner", "{}", "{a: 1, b: -1}", .limit = 1);
	run(&t, &(struct command){ &alice, STORE_FIND, "{}", "{a: 1, b: 1}", .limit = 1 });
	assert_int_equal(value_int32(document_find(t.result.documents, SLICE("_id"))), 1);
	store_task_deinit(&t);
	run(&t, &(struct command){ &alice, STORE_COUNT, "{a: 1, b: {$gt: 1}}" });
	assert_int_equal(t.result.n, 1);
	store_task_deinit(&t);
}

static void the_order_of_ids(void **state)
{
	insert(&alice, "{_id: 1, a: 1}");
	PLAN("_id_: 0 given, 1 range, in order", "{}", "{_id: 1}", .limit = 10);
	PLAN("_id_: 0 given, 1 range, in order, backwards", "{a: 1}", "{_id: -1}", .limit = 10);
	/* No two have the same: nothing is left to sort by. */
	PLAN("_id_: 0 given, 1 range, in order", "{}", "{_id: 1, a: -1}", .limit = 10);
	PLAN("_id_: 0 given, bounds, 1 range, in order", "{_id: {$gt: 5}}", "{_id: 1}");
	PLAN("_id_: 0 given, bounds, 1 range", "{_id: {$gt: 5, $lt: 9}}");
	PLAN("_id_: 0 given, bounds, 1 range", "{_id: {$gt: 5}}", "{a: 1}", .limit = 1);
	PLAN("2 ids", "{_id: {$in: [5, 6]}}", "{_id: 1}", .limit = 1);
	PLAN("owner", "{}", "{_id: 1}");
	PLAN("owner", "{}", "{a: 1, _id: 1}", .limit = 1);
	PLAN("owner", "{_id: {$gt: null}}");
	expect_plan(&(struct command){ &nobody, STORE_FIND, "{}", "{_id: 1}", .limit = 1 }, "_id_: 0 given, 1 range, in order");
	expect_plan(&(struct command){ &shared, STORE_FIND, "{}", "{_id: 1}", .limit = 1 }, "_id_: 0 given, 1 range, in order");
	expect_plan(&(struct command){ &shared, STORE_MODIFY, "{}", "{_id: -1}" }, "_id_: 0 given, 1 range, in order, backwards");
	expect_plan(&(struct command){ &shared, STORE_FIND, "{user_id: 'bob'}", "{_id: 1}", .limit = 1 }, "owner");
	expect_plan(&(struct command){ &alice, STORE_DELETE, "{_id: {$lt: 1}}", .multi = true }, "_id_: 0 given, bounds, 1 range");
	/* A declared one knows more, or as much and comes first. */
	index_on(&alice, "{key: {a: 1, _id: -1}, name: 'a'}");
	PLAN("a: 1 given, bounds, 1 range, in order", "{a: 1, _id: {$gt: 5}}", "{_id: -1}");
	PLAN("a: 0 given, 1 range, in order", "{}", "{a: 1, _id: -1}", .limit = 1);
	PLAN("_id_: 0 given, 1 range, in order, backwards", "{}", "{_id: -1}", .limit = 1);
}

/* From the first array on, one bound is all that a range can have, and keys have no order. */
static void arrays_make_an_index_say_less(void **state)
{
	static const char *const loose[] = { "{_id: 2, a: [0, 10], b: 1}", "{_id: 3, a: []}" };
	for (size_t i = 0; i < 2; i++) {
		index_on(&alice, "{key: {a: 1}, name: 'a'}");
		insert(&alice, "{_id: 1, a: [1], b: 1}");
		PLAN("a: 0 given, bounds, 1 range, in order", "{a: {$gt: 3}}", "{a: 1}");
		insert(&alice, loose[i]);
		PLAN("a: 0 given, bounds, 1 range", "{a: {$gt: 3}}", "{a: 1}");
		change(&(struct command){ &alice, STORE_DELETE, "{_id: {$in: [2, 3]}}", .multi = true });
		PLAN("a: 0 given, bounds, 1 range", "{a: {$gt: 3}}", "{a: 1}");
		/* What was rolled back has said nothing. */
		change(&(struct command){ &alice, STORE_INDEX_DROP });
		index_on(&alice, "{key: {a: 1}, name: 'a'}");
		assert_int_equal(sqlite_connection_run(&connection, ST_BEGIN), 0);
		struct store_task t;
		struct source source;
		begin(&t, &source, &(struct command){ &alice, STORE_INSERT, .document = loose[i] });
		assert_int_equal(engine_run(&t, &source.engine), 0);
		source_deinit(&source);
		store_task_deinit(&t);
		assert_int_equal(sqlite_connection_run(&connection, ST_ROLLBACK), 0);
		sqlite_connection_forget(&connection);
		PLAN("a: 0 given, bounds, 1 range, in order", "{a: {$gt: 3}}", "{a: 1}");
		change(&(struct command){ &alice, STORE_DELETE, "{}", .multi = true });
		change(&(struct command){ &alice, STORE_INDEX_DROP });
	}
}

static void sparse_and_shared(void **state)
{
	insert(&alice, "{_id: 1, a: 1}");
	index_on(&shared, "{key: {a: 1}, name: 'a', sparse: true}");
	PLAN("a: 1 given, 1 range", "{a: 1}");
	PLAN("owner", "{a: null}");
	PLAN("owner", "{a: {$in: [1, null]}}");
	PLAN("a: 0 given, bounds, 1 range, in order", "{a: {$lt: 5}}", "{a: 1}");
	/* It has not got those without the field. */
	PLAN("owner", "{}", "{a: 1}", .limit = 1);
	expect_plan(&(struct command){ &shared, STORE_FIND, "{a: 1}" }, "a: 1 given, 1 range");
}

static void expect_limit(const struct command *c, const char *text)
{
	struct store_task t;
	run(&t, c);
	if (t.result.error != STORE_E_LIMIT || strstr(t.result.message, text) == NULL) {
		fail_msg("expected \"%s\", got %d \"%s\"", text, t.result.error, t.result.message);
	}
	store_task_deinit(&t);
}

/* Each is a setting, which the error names with its value; what is there already can go. */
static void limits_are_named(void **state)
{
	struct store_task t;
	limits.index_keys = 4;
	index_on(&alice, "{key: {a: 1, b: 1}, name: 'ab'}");
	expect_limit(&(struct command){ &alice, STORE_INSERT, .document = "{_id: 1, a: [1, 2, 3, 4, 5]}" }, "more than 4 keys (MOZAIKS_MAX_INDEX_KEYS) in the index ab");
	expect_limit(&(struct command){ &alice, STORE_INSERT, .document = "{_id: 1, a: [1, 2, 3], b: [1, 2]}" }, "more than 4 keys (MOZAIKS_MAX_INDEX_KEYS)");
	/* Nothing of them is left. */
	run(&t, &(struct command){ &alice, STORE_COUNT });
	assert_int_equal(t.result.n, 0);
	store_task_deinit(&t);
	insert(&alice, "{_id: 1, a: [1, 2], b: [1, 2]}");
	limits.index_keys = 2;
	expect_limit(&(struct command){ &alice, STORE_UPDATE, "{_id: 1}", .update = "{$set: {b: [3, 4]}}" }, "more than 2 keys (MOZAIKS_MAX_INDEX_KEYS)");
	change(&(struct command){ &alice, STORE_UPDATE, "{_id: 1}", .update = "{$set: {b: 3}}" });
	limits.index_keys = 1;
	change(&(struct command){ &alice, STORE_DELETE, "{_id: 1}" });
	limits.index_keys = 1000;
	limits.index_fields = 2;
	struct store_command c = { .op = STORE_INDEX_CREATE, .collection = SLICE("c"), .index = notation_parse("{key: {a: 1, b: 1, c: 1}, name: 'abc'}") };
	assert_int_equal(store_task_init(&t, &alice, &c, &limits, &ids), 0);
	assert_int_equal(store_task_compile(&t), STORE_E_LIMIT);
	assert_string_equal(t.result.message, "an index of 3 fields; the limit is 2 (MOZAIKS_MAX_INDEX_FIELDS)");
	store_task_deinit(&t);
	free((void *)(uintptr_t)c.index.p);
	limits.index_fields = 16;
	/* These are fixed, and say so. */
	index_on(&alice, "{key: {u: 1}, name: 'u', unique: true}");
	char text[1400];
	(void)snprintf(text, sizeof(text), "{_id: 5, u: '%01100d'}", 0);
	expect_limit(&(struct command){ &alice, STORE_INSERT, .document = text }, "a key of more than 1024 bytes (a fixed limit) in the unique index u");
	(void)snprintf(text, sizeof(text), "{_id: '%01100d'}", 0);
	struct store_task long_id;
	struct source source;
	assert_int_equal(sqlite_connection_run(&connection, ST_BEGIN), 0);
	begin(&long_id, &source, &(struct command){ &alice, STORE_INSERT, .document = text });
	int r = engine_run(&long_id, &source.engine);
	source_answer(&source, r);
	assert_non_null(strstr(long_id.result.message, "an _id whose key has more than 1024 bytes (a fixed limit)"));
	source_deinit(&source);
	store_task_deinit(&long_id);
	assert_int_equal(sqlite_connection_run(&connection, ST_ROLLBACK), 0);
	sqlite_connection_forget(&connection);
}

/* clang-format on */

/* --- the same with and without --- */

static uint32_t seed;

static unsigned chance(unsigned n)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % n;
}

static const char *random_value(bool arrays)
{
	static const char *const values[] = { "0", "1", "2", "3", "-1", "1.5", "2.0", "3L", "'a'",
		"'b'", "''", "'ab'", "null", "true", "false", "{x: 1}", "NaN", "DATE(5)",
		"DATE(-5)", "'\\x00a'", "[]", "[1]", "[1, 3]", "[0, 9]", "['a', 2]", "[[1], 2]",
		"[null]" };
	enum { SCALARS = 20, ALL = sizeof(values) / sizeof(values[0]) };
	return values[chance(arrays ? ALL : SCALARS)];
}

/* {_id, a?, b?, c: {d}?}, with arrays or without. */
static void random_document(char text[static 200], int id, bool arrays)
{
	/* Not the order of insertion, and of more than one type. */
	int n = snprintf(text, 200,
		id % 7 == 0           ? "{_id: 'x%d'"
			: id % 5 == 0 ? "{_id: {x: %d}"
				      : "{_id: %d",
		(int)((unsigned)id * 7919U % 100003U));
	for (const char *name = "ab"; *name != 0; name++) {
		if (chance(6) != 0) {
			n += snprintf(
				text + n, 200 - (size_t)n, ", %c: %s", *name, random_value(arrays));
		}
	}
	if (chance(3) != 0) {
		n += snprintf(text + n, 200 - (size_t)n, ", c: {d: %s}", random_value(arrays));
	}
	(void)snprintf(text + n, 200 - (size_t)n, "}");
}

static void random_condition(char text[static 200], const char *field)
{
	static const char *const shapes[] = { "'%s': %s", "'%s': {$eq: %s}", "'%s': {$gt: %s}",
		"'%s': {$gte: %s}", "'%s': {$lt: %s}", "'%s': {$lte: %s}", "'%s': {$in: [%s, %s]}",
		"'%s': {$gte: %s, $lt: %s}", "'%s': {$gt: %s, $lte: %s}", "'%s': {$ne: %s}",
		"'%s': {$in: [%s, %s, 1, 'b', null]}", "'%s': {$not: {$gt: %s}}" };
	const char *shape = shapes[chance(sizeof(shapes) / sizeof(shapes[0]))];
	const char *first = random_value(chance(5) == 0);
	const char *second = random_value(false);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	(void)snprintf(text, 200, shape, field, first, second);
#pragma GCC diagnostic pop
}

static void random_filter(char text[static 900])
{
	static const char *const fields[] = { "a", "b", "c.d" };
	static const char *const operators[] = { "$gt", "$gte", "$lt", "$lte", "$ne" };
	char conditions[3][200];
	int n = snprintf(text, 900, "{");
	const char *separator = "";
	if (chance(4) == 0) {
		n += snprintf(text + n, 900 - (size_t)n,
			chance(3) == 0 ? "_id: {%s: 'x%d'}" : "_id: {%s: %d}", operators[chance(5)],
			(int)chance(100003));
		separator = ", ";
	}
	for (int i = 0; i < 3; i++) {
		random_condition(conditions[i], fields[i]);
		if (chance(2) == 0) {
			n += snprintf(text + n, 900 - (size_t)n, "%s%s", separator, conditions[i]);
			separator = ", ";
		}
	}
	if (chance(6) == 0) {
		n += snprintf(text + n, 900 - (size_t)n, "%s$or: [{%s}, {%s}]", separator,
			conditions[0], conditions[1]);
	}
	(void)snprintf(text + n, 900 - (size_t)n, "}");
}

static const char *random_sort(void)
{
	static const char *const sorts[] = { NULL, NULL, "{a: 1}", "{a: -1}", "{a: 1, b: 1}",
		"{a: -1, b: -1}", "{a: 1, b: -1}", "{a: -1, b: 1}", "{b: 1}", "{'c.d': 1, a: 1}",
		"{'c.d': 1, a: -1}", "{'c.d': -1, a: 1}", "{b: -1, a: -1}", "{b: 1, a: -1}",
		"{_id: 1}", "{_id: -1}", "{_id: -1, a: 1}", "{a: 1, _id: -1}" };
	return sorts[chance(sizeof(sorts) / sizeof(sorts[0]))];
}

static bool uses_an_index(const struct command *c)
{
	struct store_task t;
	struct source source;
	begin(&t, &source, c);
	bool uses = source.by.index != NULL;
	source_deinit(&source);
	store_task_deinit(&t);
	return uses;
}

/* The same command for a collection that has no index but that on _id, said so that this is of no use:
 * nothing is required of _id, and what no document has is the first to sort by. */
static void say_otherwise(struct command *plain, char filter[static 2000], char sort[static 200])
{
	plain->collection = "plain";
	if (plain->filter != NULL) {
		(void)snprintf(filter, 2000, "{$or: [%s, %s]}", plain->filter, plain->filter);
		plain->filter = filter;
	}
	if (plain->sort != NULL) {
		(void)snprintf(sort, 200, "{none: 1, %s", plain->sort + 1);
		plain->sort = sort;
	}
	assert_false(uses_an_index(plain));
}

/* Runs a command on "c" with its indexes and on "plain" without; 1 when an index had a part. */
static unsigned compare(struct command *c)
{
	char filter[2000];
	char sort[200];
	struct store_task t[2];
	struct source source;
	struct command plain = *c;
	c->collection = "c";
	unsigned indexed = uses_an_index(c) ? 1 : 0;
	say_otherwise(&plain, filter, sort);
	run(&t[0], c);
	run(&t[1], &plain);
	if (t[0].result.error != t[1].result.error || t[0].result.n != t[1].result.n ||
		t[0].result.modified != t[1].result.modified ||
		!slice_eq(t[0].result.documents, t[1].result.documents)) {
		struct buffer b;
		buffer_init(&b, 1000);
		begin(&t[0], &source, c);
		(void)source_explain(&source, &b);
		fail_msg("%d %s sort %s limit %d: %d and %d documents, %.*s", (int)c->op, c->filter,
			c->sort == NULL ? "-" : c->sort, (int)c->limit, (int)t[0].result.n,
			(int)t[1].result.n, (int)b.n, (const char *)b.p);
	}
	store_task_deinit(&t[0]);
	store_task_deinit(&t[1]);
	return indexed;
}

static void insert_into_both(const struct store_scope *scope, int id, bool arrays)
{
	char text[200];
	struct command c = { scope, STORE_INSERT, .document = text };
	random_document(text, id, arrays);
	(void)compare(&c);
}

static unsigned compare_some(unsigned commands, bool arrays, int *id)
{
	static const struct store_scope *const scopes[] = { &alice, &bob, &nobody };
	static const enum store_op ops[] = { STORE_FIND, STORE_FIND, STORE_FIND, STORE_COUNT,
		STORE_UPDATE, STORE_MODIFY, STORE_DELETE };
	unsigned indexed = 0;
	for (unsigned i = 0; i < commands; i++) {
		char filter[900];
		char update[100];
		struct command c = { scopes[chance(3)], ops[chance(7)], filter };
		random_filter(filter);
		(void)snprintf(update, sizeof(update), "{$set: {a: %s}}", random_value(arrays));
		c.multi = (c.op == STORE_DELETE || c.op == STORE_UPDATE) && chance(3) == 0;
		c.update = c.op == STORE_UPDATE || (c.op == STORE_MODIFY && chance(2) == 0) ? update
											    : NULL;
		c.sort = c.op == STORE_FIND || c.op == STORE_MODIFY ||
				(c.op == STORE_UPDATE && !c.multi)
			? random_sort()
			: NULL;
		c.limit = c.op == STORE_FIND && chance(2) == 0 ? 1 + chance(5) : 0;
		c.skip = c.op == STORE_FIND ? chance(3) : 0;
		indexed += compare(&c);
		insert_into_both(scopes[chance(3)], (*id)++, arrays);
	}
	return indexed;
}

/*
 * Commands and documents by chance, on a collection with indexes and on one without: after each both
 * gave the same answer, and at the end both hold the same documents. PLAN_SEED repeats a run.
 */
static void compare_with_a_scan(bool arrays)
{
	const char *wanted = getenv("PLAN_SEED");
	int id = 1;
	uint8_t random[4];
	assert_int_equal(getentropy(random, sizeof(random)), 0);
	seed = wanted != NULL ? (uint32_t)strtoul(wanted, NULL, 10)
			      : (uint32_t)(random[0] | random[1] << 8 | random[2] << 16);
	print_message("PLAN_SEED=%u\n", seed);
	index_on(&alice, "{key: {a: 1, b: 1}, name: 'ab'}");
	index_on(&alice, "{key: {a: 1}, name: 'a'}");
	index_on(&shared, "{key: {'c.d': 1, a: -1}, name: 'cd'}");
	index_on(&alice, "{key: {b: 1}, name: 'b', sparse: true}");
	index_on(&alice, "{key: {b: -1, a: 1}, name: 'ba'}");
	index_on(&shared, "{key: {a: -1, _id: 1}, name: 'a_id'}");
	for (int i = 0; i < 40; i++) {
		insert_into_both(&alice, id++, arrays);
	}
	unsigned indexed = compare_some(600, arrays, &id);
	assert_true(indexed > 200);
	struct command all = { &shared, STORE_FIND, "{}", "{_id: 1}" };
	(void)compare(&all);
}

static void the_same_with_an_index(void **state)
{
	compare_with_a_scan(false);
}

static void the_same_with_arrays(void **state)
{
	compare_with_a_scan(true);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	static const struct CMUnitTest tests[] = {
		TEST(without_an_index),
		TEST(values_and_bounds),
		TEST(many_values_are_not_multiplied_for_ever),
		TEST(orders),
		TEST(directions_are_those_of_the_first_field),
		TEST(older_indexes_have_no_directions),
		TEST(the_order_of_ids),
		TEST(arrays_make_an_index_say_less),
		TEST(sparse_and_shared),
		TEST(limits_are_named),
		TEST(the_same_with_an_index),
		TEST(the_same_with_arrays),
	};
#undef TEST
	return map_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
