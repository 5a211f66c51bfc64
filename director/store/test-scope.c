/*
 * The scope guard, row by row of the attack table (SECURITY.md, group E) as far as the operations
 * exist: what a plugin may write, what it becomes, and what is refused. Then what the rewritten
 * commands reach, over documents of two users, two plugins and two apps.
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
#include "common/json/bson_check.h"
#include "director/store/memory.h"
#include "director/store/query/notation.h"
#include "director/store/scope.h"

#include <stdio.h>
#include <stdlib.h>

static const struct store_limits limits = { 4000, 4000, 100000, 100, 1000, 1000, 2000, 10, 50, 20,
	16, 1000 };
static struct oid_source ids;
static struct memory_store memory;

static const struct store_scope alice = { STORE_SCOPE_USER, SLICE("app"), SLICE("p"),
	SLICE("alice") };
static const struct store_scope nobody = { STORE_SCOPE_APP, SLICE("app"), SLICE("p"), SLICE_NULL };
static const struct store_scope shared = { STORE_SCOPE_SHARED, SLICE("app"), SLICE("p"),
	SLICE_NULL };

/* --- what becomes of the words --- */

typedef int (*rewrite_fn)(const struct store_scope *s,
	struct slice in,
	struct document_writer *w,
	struct store_failure *f);

static int as_filter(const struct store_scope *s,
	struct slice in,
	struct document_writer *w,
	struct store_failure *f)
{
	return scope_filter(s, in, w, f);
}

static int as_update(const struct store_scope *s,
	struct slice in,
	struct document_writer *w,
	struct store_failure *f)
{
	return scope_update(s, in, false, w, f);
}

static int as_upsert(const struct store_scope *s,
	struct slice in,
	struct document_writer *w,
	struct store_failure *f)
{
	return scope_update(s, in, true, w, f);
}

static int as_document(const struct store_scope *s,
	struct slice in,
	struct document_writer *w,
	struct store_failure *f)
{
	static const uint8_t oid[OID_BYTES] = { 0 };
	return scope_document(s, in, oid, w, f);
}

/* One row: the words and what they become; "!" begins the text of a refusal. */
struct rewrite {
	rewrite_fn rewrite;
	const struct store_scope *scope;
	const char *in;
	const char *out;
};

static void check_rewrite(const struct rewrite *c)
{
	struct slice in = notation_parse(c->in);
	struct document_writer w;
	struct store_failure f = { 0 };
	writer_init(&w, 1 << 20);
	int r = c->rewrite(c->scope, in, &w, &f);
	if (c->out[0] == '!') {
		if (r != (int)STORE_E_PERMISSION || strstr(f.message, c->out + 1) == NULL) {
			fail_msg("%s: expected a refusal, got %d \"%s\"", c->in, r, f.message);
		}
	} else {
		if (r != 0 || w.error != 0) {
			fail_msg("%s: %d %s", c->in, r, f.message);
		}
		struct slice expected = notation_parse(c->out);
		char *got = notation_print(buffer_slice(&w.b));
		char *wanted = notation_print(expected);
		if (strcmp(got, wanted) != 0) {
			fail_msg("%s: expected %s, got %s", c->in, wanted, got);
		}
		free(got);
		free(wanted);
		free((void *)expected.p);
	}
	writer_deinit(&w);
	free((void *)in.p);
}

static void check_rewrites(const struct rewrite *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		check_rewrite(&rows[i]);
	}
}

#define CHECK(rows) check_rewrites((rows), sizeof(rows) / sizeof((rows)[0]))

/* clang-format off */

/* E2: the scope is never merged into the plugin's object. */
static void e2_filters_are_scoped(void **state)
{
	static const struct rewrite rows[] = {
		{ as_filter, &alice, "{}", "{$and: [{user_id: 'alice'}, {}]}" },
		{ as_filter, &alice, "{a: 1}", "{$and: [{user_id: 'alice'}, {a: 1}]}" },
		{ as_filter, &alice, "{$or: [{a: 1}, {}]}", "{$and: [{user_id: 'alice'}, {$or: [{a: 1}, {}]}]}" },
		/* The caller's own id, as the seeds write it: said already. */
		{ as_filter, &alice, "{user_id: 'alice'}", "{$and: [{user_id: 'alice'}, {}]}" },
		{ as_filter, &alice, "{_id: 1, user_id: {$eq: 'alice'}}", "{$and: [{user_id: 'alice'}, {_id: 1}]}" },
		{ as_filter, &alice, "{$and: [{user_id: 'alice'}, {a: 1}]}", "{$and: [{user_id: 'alice'}, {$and: [{}, {a: 1}]}]}" },
		/* Where it is not required of every match it stays, and says nothing new. */
		{ as_filter, &alice, "{$or: [{user_id: 'alice'}, {a: 1}]}",
		  "{$and: [{user_id: 'alice'}, {$or: [{user_id: 'alice'}, {a: 1}]}]}" },
		{ as_filter, &alice, "{$nor: [{$and: [{user_id: 'alice'}]}]}",
		  "{$and: [{user_id: 'alice'}, {$nor: [{$and: [{user_id: 'alice'}]}]}]}" },
		/* A field of that name elsewhere is the plugin's own. */
		{ as_filter, &alice, "{'a.user_id': 'bob', b: {user_id: 'bob'}, c: {$elemMatch: {user_id: 'bob'}}, user_ids: 'bob'}",
		  "{$and: [{user_id: 'alice'}, {'a.user_id': 'bob', b: {user_id: 'bob'}, c: {$elemMatch: {user_id: 'bob'}}, user_ids: 'bob'}]}" },
		{ as_filter, &nobody, "{a: 1}", "{$and: [{user_id: {$exists: false}}, {a: 1}]}" },
		{ as_filter, &shared, "{user_id: 'bob'}", "{user_id: 'bob'}" },
		{ as_filter, &shared, "{}", "{}" },
		/* Refused, at any depth. */
		{ as_filter, &alice, "{user_id: 'bob'}", "!user_id may only be compared" },
		{ as_filter, &alice, "{user_id: 'alice\\x00'}", "!user_id may only" },
		{ as_filter, &alice, "{user_id: 'alic'}", "!user_id may only" },
		{ as_filter, &alice, "{user_id: null}", "!user_id may only" },
		{ as_filter, &alice, "{user_id: {$ne: null}}", "!user_id may only" },
		{ as_filter, &alice, "{user_id: {$ne: 'alice'}}", "!user_id may only" },
		{ as_filter, &alice, "{user_id: {$in: ['alice', 'bob']}}", "!user_id may only" },
		{ as_filter, &alice, "{user_id: {$in: ['alice']}}", "!user_id may only" },
		{ as_filter, &alice, "{user_id: {$exists: true}}", "!user_id may only" },
		{ as_filter, &alice, "{user_id: {$eq: 'alice', $gt: ''}}", "!user_id may only" },
		{ as_filter, &alice, "{user_id: {$gt: ''}}", "!user_id may only" },
		{ as_filter, &alice, "{user_id: {$not: {$eq: 'alice'}}}", "!user_id may only" },
		{ as_filter, &alice, "{user_id: {}}", "!user_id may only" },
		{ as_filter, &alice, "{user_id: ['alice']}", "!user_id may only" },
		{ as_filter, &alice, "{user_id: /alice/}", "!user_id may only" },
		{ as_filter, &alice, "{user_id: {$regex: '.'}}", "!user_id may only" },
		{ as_filter, &alice, "{'user_id.x': 1}", "!user_id.x may only" },
		{ as_filter, &alice, "{'user_id.0': 'alice'}", "!user_id.0 may only" },
		{ as_filter, &alice, "{$or: [{user_id: 'bob'}]}", "!user_id may only" },
		{ as_filter, &alice, "{$nor: [{a: 1}, {user_id: 'bob'}]}", "!user_id may only" },
		{ as_filter, &alice, "{$and: [{$or: [{$nor: [{user_id: {$ne: 'x'}}]}]}]}", "!user_id may only" },
		{ as_filter, &nobody, "{user_id: 'alice'}", "!user_id cannot be named in a call without a user" },
		{ as_filter, &nobody, "{user_id: {$exists: false}}", "!user_id cannot be named" },
		{ as_filter, &nobody, "{$or: [{user_id: 'alice'}]}", "!user_id cannot be named" },
		{ as_filter, &nobody, "{'user_id.x': 1}", "!user_id.x cannot be named" },
		{ as_filter, &nobody, "{user_id: ''}", "!user_id cannot be named" },
	};
	CHECK(rows);
}

/* {$and: [{$and: … [{}] …}]} */
static int filter_nested(unsigned levels)
{
	struct document_writer in;
	struct document_writer w;
	struct store_failure f = { 0 };
	size_t opened[2 * DOCUMENT_DEPTH_MAX + 8];
	size_t n = 0;
	writer_init(&in, 1 << 20);
	writer_init(&w, 1 << 20);
	opened[n++] = writer_open(&in);
	for (unsigned i = 1; i < levels; i++) {
		opened[n++] = writer_open_in(&in, BT_ARRAY, SLICE("$and"));
		opened[n++] = writer_open_in(&in, BT_OBJECT, SLICE("0"));
	}
	while (n > 0) {
		writer_close(&in, opened[--n]);
	}
	int r = scope_filter(&alice, buffer_slice(&in.b), &w, &f);
	writer_deinit(&in);
	writer_deinit(&w);
	return r;
}

static void e2_filters_have_a_depth(void **state)
{
	assert_int_equal(filter_nested(DOCUMENT_DEPTH_MAX), 0);
	assert_int_equal(filter_nested(DOCUMENT_DEPTH_MAX + 1), (int)STORE_E_LIMIT);
}

static void documents_get_their_owner(void **state)
{
	static const struct rewrite rows[] = {
		{ as_document, &alice, "{_id: 1, a: 1}", "{_id: 1, a: 1, user_id: 'alice'}" },
		{ as_document, &alice, "{a: 1, _id: 1}", "{_id: 1, a: 1, user_id: 'alice'}" },
		{ as_document, &alice, "{user_id: 'alice', _id: 1}", "{_id: 1, user_id: 'alice'}" },
		{ as_document, &alice, "{a: 1}", "{_id: OID(000000000000000000000000), a: 1, user_id: 'alice'}" },
		{ as_document, &alice, "{_id: 1, x: {user_id: 'bob'}}", "{_id: 1, x: {user_id: 'bob'}, user_id: 'alice'}" },
		{ as_document, &nobody, "{_id: 1, a: 1}", "{_id: 1, a: 1}" },
		{ as_document, &shared, "{_id: 1, user_id: 'bob'}", "{_id: 1, user_id: 'bob'}" },
		{ as_document, &alice, "{_id: 1, user_id: 'bob'}", "!user_id is the caller's" },
		{ as_document, &alice, "{_id: 1, user_id: null}", "!user_id is the caller's" },
		{ as_document, &alice, "{_id: 1, user_id: ['alice']}", "!user_id is the caller's" },
		{ as_document, &alice, "{_id: 1, user_id: 'alice\\x00'}", "!user_id is the caller's" },
		{ as_document, &nobody, "{_id: 1, user_id: 'alice'}", "!user_id cannot be stored in a call without a user" },
		{ as_document, &nobody, "{_id: 1, user_id: ''}", "!user_id cannot be stored in a call without a user" },
	};
	CHECK(rows);
}

/* E6: updates keep off the owner and what lies below it; an upsert carries it. */
static void e6_updates_keep_the_owner(void **state)
{
	static const struct rewrite rows[] = {
		{ as_update, &alice, "{$set: {a: 1}}", "{$set: {a: 1}}" },
		{ as_update, &alice, "{$set: {a: 1, user_id: 'alice'}}", "{$set: {a: 1, user_id: 'alice'}}" },
		{ as_update, &alice, "{$set: {'a.user_id': 'bob', b: {user_id: 'bob'}}}", "{$set: {'a.user_id': 'bob', b: {user_id: 'bob'}}}" },
		{ as_upsert, &alice, "{$set: {a: 1}}", "{$set: {a: 1}, $setOnInsert: {user_id: 'alice'}}" },
		{ as_upsert, &alice, "{$setOnInsert: {b: 1}, $set: {a: 1}}", "{$setOnInsert: {b: 1, user_id: 'alice'}, $set: {a: 1}}" },
		{ as_upsert, &alice, "{$set: {a: 1, user_id: 'alice'}}", "{$set: {a: 1, user_id: 'alice'}}" },
		{ as_upsert, &alice, "{$setOnInsert: {user_id: 'alice'}}", "{$setOnInsert: {user_id: 'alice'}}" },
		{ as_upsert, &nobody, "{$set: {a: 1}}", "{$set: {a: 1}}" },
		{ as_upsert, &shared, "{$set: {user_id: 'bob'}}", "{$set: {user_id: 'bob'}}" },
		/* Replacements. */
		{ as_update, &alice, "{a: 1}", "{a: 1, user_id: 'alice'}" },
		{ as_update, &alice, "{}", "{user_id: 'alice'}" },
		{ as_update, &alice, "{_id: 1, user_id: 'alice', a: 1}", "{_id: 1, user_id: 'alice', a: 1}" },
		{ as_upsert, &alice, "{a: 1}", "{a: 1, user_id: 'alice'}" },
		{ as_update, &nobody, "{a: 1}", "{a: 1}" },
		{ as_update, &alice, "{a: 1, user_id: 'bob'}", "!user_id is the caller's" },
		{ as_update, &nobody, "{a: 1, user_id: 'bob'}", "!user_id cannot be stored" },
		/* Every operator, the known and the unknown. */
		{ as_update, &alice, "{$set: {user_id: 'bob'}}", "!user_id is the caller's" },
		{ as_update, &alice, "{$set: {'user_id.x': 1}}", "!user_id.x is the caller's" },
		{ as_update, &alice, "{$set: {'user_id.x': 'alice'}}", "!user_id.x is the caller's" },
		{ as_upsert, &alice, "{$setOnInsert: {'user_id.x': 'alice'}}", "!user_id.x is the caller's" },
		{ as_update, &nobody, "{$set: {user_id: ''}}", "!user_id cannot be stored" },
		{ as_update, &alice, "{$unset: {user_id: ''}}", "!user_id is the caller's" },
		{ as_update, &alice, "{$unset: {user_id: 'alice'}}", "!user_id is the caller's" },
		{ as_update, &alice, "{$inc: {user_id: 1}}", "!user_id is the caller's" },
		{ as_update, &alice, "{$push: {user_id: 'alice'}}", "!user_id is the caller's" },
		{ as_update, &alice, "{$addToSet: {user_id: 'alice'}}", "!user_id is the caller's" },
		{ as_update, &alice, "{$pull: {user_id: 'alice'}}", "!user_id is the caller's" },
		{ as_update, &alice, "{$currentDate: {user_id: true}}", "!user_id is the caller's" },
		{ as_update, &alice, "{$rename: {user_id: 'x'}}", "!user_id is the caller's" },
		{ as_update, &alice, "{$rename: {x: 'user_id'}}", "!user_id is the caller's" },
		{ as_update, &alice, "{$set: {'user_id.$[]': 'x'}}", "!user_id.$[] is the caller's" },
		{ as_update, &alice, "{$push: {user_id: {$each: ['x']}}}", "!user_id is the caller's" },
		{ as_update, &alice, "{$max: {user_id: 'zzz'}}", "!user_id is the caller's" },
		{ as_update, &alice, "{$min: {user_id: 'alice'}}", "!user_id is the caller's" },
		{ as_update, &alice, "{$rename: {x: 'user_id.y'}}", "!user_id is the caller's" },
		{ as_update, &alice, "{$mul: {user_id: 1}}", "!user_id is the caller's" },
		{ as_update, &alice, "{$min: {'user_id': 'a'}}", "!user_id is the caller's" },
		{ as_upsert, &alice, "{$setOnInsert: {user_id: 'bob'}}", "!user_id is the caller's" },
		{ as_upsert, &alice, "{$set: {a: 1}, $setOnInsert: {'user_id.x': 1}}", "!user_id.x is the caller's" },
		{ as_update, &nobody, "{$set: {user_id: 'alice'}}", "!user_id cannot be stored" },
		{ as_upsert, &nobody, "{$setOnInsert: {user_id: 'alice'}}", "!user_id cannot be stored" },
		{ as_update, &nobody, "{$unset: {user_id: 1}}", "!user_id cannot be stored" },
	};
	CHECK(rows);
}

/* --- whole commands --- */

static const struct {
	const char *collection;
	const char *document;
} everything[] = {
	{ "app/p/c", "{_id: 1, a: 1, user_id: 'alice'}" },
	{ "app/p/c", "{_id: 2, a: 1, user_id: 'bob'}" },
	{ "app/p/c", "{_id: 3, a: 1}" },
	{ "app/q/c", "{_id: 4, a: 1, user_id: 'alice'}" },
	{ "other/p/c", "{_id: 5, a: 1, user_id: 'alice'}" },
	{ "app/c", "{_id: 6, a: 1, user_id: 'alice'}" },
	{ "app/p/d", "{_id: 7, a: 1, user_id: 'alice'}" },
	{ "app/p/c", "{_id: 8, a: 1, user_id: 'alicea'}" },
	{ "app/p/c", "{_id: 9, a: 1, user_id: ''}" },
	{ "app/p/c", "{_id: 10, a: 1, user_id: null}" },
	/* Only a declared collection can have got such an owner, before it was one no more. */
	{ "app/p/c", "{_id: 11, a: 1, user_id: ['alice', 'bob']}" },
};

static int setup(void **state)
{
	memory_init(&memory);
	for (size_t i = 0; i < sizeof(everything) / sizeof(everything[0]); i++) {
		struct slice d = notation_parse(everything[i].document);
		memory_put(&memory, everything[i].collection, d);
		free((void *)d.p);
	}
	return oid_source_init(&ids);
}

static int teardown(void **state)
{
	memory_deinit(&memory);
	return 0;
}

struct command {
	const struct store_scope *scope;
	enum store_op op;
	const char *collection, *filter, *update, *document;
	bool multi, upsert, remove;
};

static void run(struct store_task *t, const struct command *c)
{
	struct store_command command = {
		.op = c->op,
		.collection = slice_str(c->collection == NULL ? "c" : c->collection),
		.filter = c->filter == NULL ? SLICE_NULL : notation_parse(c->filter),
		.update = c->update == NULL ? SLICE_NULL : notation_parse(c->update),
		.documents = c->document == NULL ? SLICE_NULL : notation_parse(c->document),
		.field = SLICE("_id"),
		.multi = c->multi,
		.upsert = c->upsert,
		.remove = c->remove,
	};
	if (store_task_init(t, c->scope, &command, &limits, &ids) == 0) {
		memory_run(&memory, t);
	}
	free((void *)command.filter.p);
	free((void *)command.update.p);
	free((void *)command.documents.p);
}

/* Runs it and returns the ids that it found or the number that it touched. */
static void expect_ids(const struct command *c, const char *expected)
{
	struct store_task t;
	run(&t, c);
	assert_int_equal(t.result.error, STORE_OK);
	char *text = notation_print(t.result.documents);
	assert_string_equal(text, expected);
	free(text);
	store_task_deinit(&t);
}

static void expect_error(const struct command *c, enum store_error e, const char *text)
{
	struct store_task t;
	run(&t, c);
	if (t.result.error != e || strstr(t.result.message, text) == NULL) {
		fail_msg("expected %d \"%s\", got %d \"%s\"", e, text, t.result.error,
			t.result.message);
	}
	store_task_deinit(&t);
}

static size_t stored(void)
{
	size_t n = 0;
	for (size_t i = 0; i < MEMORY_DOCUMENTS_MAX; i++) {
		n += memory.documents[i].collection[0] != 0 ? 1 : 0;
	}
	return n;
}

static void assert_untouched(size_t i)
{
	struct slice d = notation_parse(everything[i].document);
	assert_true(slice_eq(d, memory.documents[i].bytes));
	free((void *)d.p);
}

static void each_sees_its_own(void **state)
{
	static const struct store_scope bob = { STORE_SCOPE_USER, SLICE("app"), SLICE("p"), SLICE("bob") };
	static const struct store_scope eve = { STORE_SCOPE_USER, SLICE("app"), SLICE("p"), SLICE("eve") };
	static const struct store_scope alice_q = { STORE_SCOPE_USER, SLICE("app"), SLICE("q"), SLICE("alice") };
	static const struct store_scope alice_other = { STORE_SCOPE_USER, SLICE("other"), SLICE("p"), SLICE("alice") };
	static const struct store_scope core = { STORE_SCOPE_SHARED, SLICE("app"), SLICE_NULL, SLICE_NULL };
	expect_ids(&(struct command){ &alice, STORE_DISTINCT }, "{values: [1]}");
	expect_ids(&(struct command){ &bob, STORE_DISTINCT }, "{values: [2]}");
	expect_ids(&(struct command){ &eve, STORE_DISTINCT }, "{values: []}");
	expect_ids(&(struct command){ &nobody, STORE_DISTINCT }, "{values: [3]}");
	expect_ids(&(struct command){ &shared, STORE_DISTINCT }, "{values: [1, 2, 3, 8, 9, 10, 11]}");
	expect_ids(&(struct command){ &alice_q, STORE_DISTINCT }, "{values: [4]}");
	expect_ids(&(struct command){ &alice_other, STORE_DISTINCT }, "{values: [5]}");
	expect_ids(&(struct command){ &core, STORE_DISTINCT }, "{values: [6]}");
	expect_ids(&(struct command){ &alice, STORE_DISTINCT, .collection = "d" }, "{values: [7]}");
	expect_ids(&(struct command){ &alice, STORE_DISTINCT, .filter = "{$or: [{a: 1}, {}]}" }, "{values: [1]}");
	expect_ids(&(struct command){ &alice, STORE_DISTINCT, .filter = "{$nor: [{user_id: 'alice'}]}" }, "{values: []}");
	expect_ids(&(struct command){ &alice, STORE_DISTINCT, .filter = "{_id: 2}" }, "{values: []}");
}

static void each_changes_its_own(void **state)
{
	struct store_task t;
	run(&t, &(struct command){ &alice, STORE_UPDATE, .filter = "{}", .update = "{$set: {a: 9}}", .multi = true });
	assert_int_equal(t.result.n, 1);
	store_task_deinit(&t);
	for (size_t i = 1; i < 11; i++) {
		assert_untouched(i);
	}
	run(&t, &(struct command){ &alice, STORE_DELETE, .filter = "{$or: [{_id: 2}, {a: {$exists: true}}]}", .multi = true });
	assert_int_equal(t.result.n, 1);
	store_task_deinit(&t);
	assert_int_equal(stored(), 10);
	run(&t, &(struct command){ &nobody, STORE_UPDATE, .filter = "{}", .update = "{b: 1}" });
	assert_int_equal(t.result.n, 1);
	store_task_deinit(&t);
	assert_untouched(1);
	assert_untouched(3);
}

/* An upsert that finds nothing of the caller's inserts a document of the caller's. */
static void upserts_stay_inside(void **state)
{
	struct store_task t;
	run(&t, &(struct command){ &alice, STORE_UPDATE, .filter = "{_id: 20, user_id: 'alice'}", .update = "{$set: {a: 2}}", .upsert = true });
	assert_int_equal(t.result.error, STORE_OK);
	store_task_deinit(&t);
	expect_ids(&(struct command){ &alice, STORE_DISTINCT }, "{values: [1, 20]}");
	run(&t, &(struct command){ &alice, STORE_MODIFY, .filter = "{_id: 21}", .update = "{a: 2}", .upsert = true });
	assert_int_equal(t.result.error, STORE_OK);
	store_task_deinit(&t);
	expect_ids(&(struct command){ &alice, STORE_DISTINCT }, "{values: [1, 20, 21]}");
	run(&t, &(struct command){ &nobody, STORE_UPDATE, .filter = "{_id: 22}", .update = "{$set: {a: 2}}", .upsert = true });
	store_task_deinit(&t);
	expect_ids(&(struct command){ &nobody, STORE_DISTINCT }, "{values: [3, 22]}");
	/* The id is another's: its existence shows, nothing of it does (E16). */
	expect_error(&(struct command){ &alice, STORE_UPDATE, .filter = "{_id: 2}", .update = "{$set: {a: 2}}", .upsert = true },
		STORE_E_DUPLICATE, "there is a document with this _id already");
	assert_untouched(1);
	expect_error(&(struct command){ &alice, STORE_INSERT, .document = "{_id: 2}" }, STORE_E_DUPLICATE, "there is a document with this _id already");
}

/* E1, E4, E5: what could run code or leave the collection is not known, by name. */
static void e1_e4_e5_other_operators_are_refused(void **state)
{
	static const char *const filters[] = { "{$where: '1'}", "{$expr: {$eq: ['$$ROOT', 1]}}",
		"{a: {$function: 1}}", "{$text: {$search: 'a'}}", "{$jsonSchema: {}}",
		"{$or: [{$where: '1'}]}", "{a: {$elemMatch: {$where: '1'}}}",
		"{a: {$getField: 'user_id'}}", "{$lookup: {}}", "{$let: {}}" };
	for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++) {
		expect_error(&(struct command){ &alice, STORE_FIND, .filter = filters[i] }, STORE_E_UNSUPPORTED, "unsupported operator $");
		expect_error(&(struct command){ &alice, STORE_DELETE, .filter = filters[i], .multi = true }, STORE_E_UNSUPPORTED, "unsupported operator $");
	}
	expect_error(&(struct command){ &alice, STORE_UPDATE, .update = "{$replaceRoot: {newRoot: 1}}" }, STORE_E_UNSUPPORTED, "$replaceRoot");
	expect_error(&(struct command){ &alice, STORE_UPDATE, .update = "{$bogus: {a: 'b'}}" }, STORE_E_UNSUPPORTED, "$bogus");
}

/* E3: a name twice never gets as far as the store; both halves are refused before. */
static void e3_duplicate_names_are_refused(void **state)
{
	static const uint8_t twice[] = "\x20\x00\x00\x00\x02user_id\x00\x01\x00\x00\x00\x00"
				       "\x10user_id\x00\x01\x00\x00\x00";
	struct bson_limits l = { 1000, 64, 100 };
	struct bson_failure f = { 0 };
	struct slice document;
	struct slice bytes = slice_of(twice, sizeof(twice));
	assert_int_equal(twice[0], sizeof(twice));
	assert_true(bson_check(&bytes, &l, &document, &f) < 0);
	assert_non_null(strstr(f.what, "twice"));
}

/* E7: names of collections; E14, E15: ids are texts without NUL. */
static void e7_e14_e15_names_are_checked(void **state)
{
	static const char *const bad[] = { "", "system.users", "system.", "$cmd", "a/b", "a b", "../c",
		"app/q/c", "a\xc3\xa4", "c$", "*" };
	char long_name[122];
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		expect_error(&(struct command){ &alice, STORE_FIND, .collection = bad[i] }, STORE_E_INVALID, "is no collection name");
	}
	memset(long_name, 'x', 121);
	long_name[121] = 0;
	expect_error(&(struct command){ &alice, STORE_FIND, .collection = long_name }, STORE_E_INVALID, "is no collection name");
	struct store_failure f;
	assert_int_equal(scope_check_names(&alice, slice_of(long_name, 120), &f), 0);
	assert_int_equal(scope_check_names(&alice, slice_of("a\0b", 3), &f), STORE_E_INVALID);
	struct store_scope s = alice;
	s.user = slice_of("al\0ice", 6);
	assert_int_equal(scope_check_names(&s, SLICE("c"), &f), STORE_E_INVALID);
	s.user = SLICE_NULL;
	assert_int_equal(scope_check_names(&s, SLICE("c"), &f), STORE_E_INVALID);
	s.user = SLICE("\xff");
	assert_int_equal(scope_check_names(&s, SLICE("c"), &f), STORE_E_INVALID);
	char long_user[257];
	memset(long_user, 'u', sizeof(long_user));
	s.user = slice_of(long_user, 256);
	assert_int_equal(scope_check_names(&s, SLICE("c"), &f), 0);
	s.user = slice_of(long_user, 257);
	assert_int_equal(scope_check_names(&s, SLICE("c"), &f), STORE_E_INVALID);
	s = alice;
	s.app = SLICE("a/b");
	assert_int_equal(scope_check_names(&s, SLICE("c"), &f), STORE_E_INVALID);
	s.app = SLICE_NULL;
	assert_int_equal(scope_check_names(&s, SLICE("c"), &f), STORE_E_INVALID);
	s = alice;
	s.plugin = SLICE("p/q");
	assert_int_equal(scope_check_names(&s, SLICE("c"), &f), STORE_E_INVALID);
}

/* E8: names in stored documents, also those that an update or an upsert would make. */
static void e8_stored_names_are_checked(void **state)
{
	static const char *const documents[] = { "{$a: 1}", "{a: {$b: 1}}", "{'a.b': 1}", "{'': 1}",
		"{a: [{'x.y': 1}]}", "{a: {'': 1}}" };
	for (size_t i = 0; i < sizeof(documents) / sizeof(documents[0]); i++) {
		char update[100];
		expect_error(&(struct command){ &alice, STORE_INSERT, .document = documents[i] }, STORE_E_INVALID, "cannot be stored");
		(void)snprintf(update, sizeof(update), "{$set: {x: %s}}", documents[i]);
		expect_error(&(struct command){ &alice, STORE_UPDATE, .update = update }, STORE_E_INVALID, "cannot be stored");
		(void)snprintf(update, sizeof(update), "{$push: {x: {y: %s}}}", documents[i]);
		expect_error(&(struct command){ &alice, STORE_UPDATE, .update = update }, STORE_E_INVALID, "cannot be stored");
		(void)snprintf(update, sizeof(update), "{x: %s}", documents[i]);
		expect_error(&(struct command){ &alice, STORE_UPDATE, .update = update }, STORE_E_INVALID, "cannot be stored");
	}
	expect_error(&(struct command){ &alice, STORE_UPDATE, .filter = "{x: {'a.b': 1}}", .update = "{$set: {y: 1}}", .upsert = true },
		STORE_E_INVALID, "contains '.'");
	expect_error(&(struct command){ &alice, STORE_UPDATE, .update = "{$set: {'$[].b': 1}}" }, STORE_E_INVALID, "$[]");
	assert_int_equal(stored(), 11);
}

/* clang-format on */

/* Commands that only share the last part of a physical name are apart: no spelling joins them. */
static void physical_names_never_meet(void **state)
{
	static const struct {
		const char *app, *plugin, *collection, *name;
	} names[] = {
		{ "a", "p", "c", "a/p/c" },
		{ "a", "", "c", "a/c" },
		{ "a", "", "p.c", "a/p.c" },
		{ "a.p", "", "c", "a.p/c" },
		{ "a", "p.c", "d", "a/p.c/d" },
	};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct store_task t;
		struct store_scope s = { STORE_SCOPE_SHARED, slice_str(names[i].app),
			slice_str(names[i].plugin), SLICE_NULL };
		struct store_command c = { .op = STORE_FIND,
			.collection = slice_str(names[i].collection) };
		assert_int_equal(store_task_init(&t, &s, &c, &limits, &ids), 0);
		assert_true(slice_eq(t.collection, slice_str(names[i].name)));
		assert_true(slice_starts(t.collection, t.plugin));
		store_task_deinit(&t);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(e2_filters_are_scoped),
		cmocka_unit_test(e2_filters_have_a_depth),
		cmocka_unit_test(documents_get_their_owner),
		cmocka_unit_test(e6_updates_keep_the_owner),
		cmocka_unit_test_setup_teardown(each_sees_its_own, setup, teardown),
		cmocka_unit_test_setup_teardown(each_changes_its_own, setup, teardown),
		cmocka_unit_test_setup_teardown(upserts_stay_inside, setup, teardown),
		cmocka_unit_test_setup_teardown(
			e1_e4_e5_other_operators_are_refused, setup, teardown),
		cmocka_unit_test(e3_duplicate_names_are_refused),
		cmocka_unit_test_setup_teardown(e7_e14_e15_names_are_checked, setup, teardown),
		cmocka_unit_test_setup_teardown(e8_stored_names_are_checked, setup, teardown),
		cmocka_unit_test_setup_teardown(physical_names_never_meet, setup, teardown),
	};
	return map_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
