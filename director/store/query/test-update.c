/* Updates and projections: a document before and after, and what is refused by name. */
/* cmocka.h needs what stands before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "director/store/query/notation.h"
#include "director/store/query/project.h"
#include "director/store/query/stored.h"
#include "director/store/query/update.h"

#include <stdio.h>
#include <stdlib.h>

static const struct update_limits limits = { { 1000, 1000 }, 4096 };
static const int64_t now = 1800000000123;
static const uint8_t oid[OID_BYTES] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 };

struct update_case {
	const char *document;
	const char *update;
	const char *expected;
};

/* clang-format off */
static const struct update_case cases[] = {
	/* $set */
	{ "{_id: 1, a: 1}", "{$set: {a: 2}}", "{_id: 1, a: 2}" },
	{ "{_id: 1, a: 1}", "{$set: {b: 2}}", "{_id: 1, a: 1, b: 2}" },
	{ "{_id: 1, a: 1, b: 2}", "{$set: {a: {x: [1]}}}", "{_id: 1, a: {x: [1]}, b: 2}" },
	{ "{_id: 1}", "{$set: {c: 1, a: 2, b: 3}}", "{_id: 1, a: 2, b: 3, c: 1}" },
	{ "{_id: 1, a: {b: 1}}", "{$set: {'a.b': 2}}", "{_id: 1, a: {b: 2}}" },
	{ "{_id: 1, a: {b: 1}}", "{$set: {'a.c': 2}}", "{_id: 1, a: {b: 1, c: 2}}" },
	{ "{_id: 1}", "{$set: {'a.b.c': 2}}", "{_id: 1, a: {b: {c: 2}}}" },
	{ "{_id: 1}", "{$set: {'a.b': 1, 'a.c': 2, 'd': 3}}", "{_id: 1, a: {b: 1, c: 2}, d: 3}" },
	{ "{_id: 1, a: [1, 2]}", "{$set: {'a.0': 9}}", "{_id: 1, a: [9, 2]}" },
	{ "{_id: 1, a: [1]}", "{$set: {'a.3': 9}}", "{_id: 1, a: [1, null, null, 9]}" },
	{ "{_id: 1, a: [{x: 1}]}", "{$set: {'a.0.x': 2, 'a.0.y': 3}}", "{_id: 1, a: [{x: 2, y: 3}]}" },
	{ "{_id: 1, a: []}", "{$set: {'a.1.x': 2}}", "{_id: 1, a: [null, {x: 2}]}" },
	{ "{_id: 1, a: [0,1,2,3,4,5,6,7,8,9,10]}", "{$set: {'a.10': 'x', 'a.9': 'y', 'a.12': 'z'}}",
	  "{_id: 1, a: [0, 1, 2, 3, 4, 5, 6, 7, 8, 'y', 'x', null, 'z']}" },
	{ "{_id: 1}", "{$set: {'a.0': 5}}", "{_id: 1, a: {'0': 5}}" },
	{ "{_id: 1}", "{$set: {_id: 1, a: 1}}", "{_id: 1, a: 1}" },
	{ "{_id: 1, a: 1}", "{$set: {}}", "{_id: 1, a: 1}" },
	{ "{_id: 1, a: {b: 1}, c: 1}", "{$set: {a: 5}, $unset: {c: ''}}", "{_id: 1, a: 5}" },
	/* $unset */
	{ "{_id: 1, a: 1, b: 2}", "{$unset: {a: ''}}", "{_id: 1, b: 2}" },
	{ "{_id: 1, a: 1}", "{$unset: {z: 1}}", "{_id: 1, a: 1}" },
	{ "{_id: 1, a: {b: 1, c: 2}}", "{$unset: {'a.b': 1}}", "{_id: 1, a: {c: 2}}" },
	{ "{_id: 1, a: {b: 1}}", "{$unset: {'a.b': 1}}", "{_id: 1, a: {}}" },
	{ "{_id: 1, a: 5}", "{$unset: {'a.b': 1}}", "{_id: 1, a: 5}" },
	{ "{_id: 1, a: [1, 2]}", "{$unset: {'a.0': 1}}", "{_id: 1, a: [null, 2]}" },
	{ "{_id: 1, a: [1]}", "{$unset: {'a.5': 1, 'a.x': 1}}", "{_id: 1, a: [1]}" },
	{ "{_id: 1}", "{$unset: {'a.b.c': 1}}", "{_id: 1}" },
	/* $inc */
	{ "{_id: 1, a: 1}", "{$inc: {a: 2}}", "{_id: 1, a: 3}" },
	{ "{_id: 1, a: 1}", "{$inc: {a: -2}}", "{_id: 1, a: -1}" },
	{ "{_id: 1}", "{$inc: {a: 2}}", "{_id: 1, a: 2}" },
	{ "{_id: 1}", "{$inc: {'a.b': 2L}}", "{_id: 1, a: {b: 2L}}" },
	{ "{_id: 1, a: 1}", "{$inc: {a: 0.5}}", "{_id: 1, a: 1.5}" },
	{ "{_id: 1, a: 1.5}", "{$inc: {a: 1}}", "{_id: 1, a: 2.5}" },
	{ "{_id: 1, a: 1}", "{$inc: {a: 2L}}", "{_id: 1, a: 3L}" },
	{ "{_id: 1, a: 2147483647}", "{$inc: {a: 1}}", "{_id: 1, a: 2147483648L}" },
	{ "{_id: 1, a: [1, 2]}", "{$inc: {'a.1': 5}}", "{_id: 1, a: [1, 7]}" },
	/* $push */
	{ "{_id: 1, a: [1]}", "{$push: {a: 2}}", "{_id: 1, a: [1, 2]}" },
	{ "{_id: 1}", "{$push: {a: 2}}", "{_id: 1, a: [2]}" },
	{ "{_id: 1, a: [1]}", "{$push: {a: [2, 3]}}", "{_id: 1, a: [1, [2, 3]]}" },
	{ "{_id: 1, a: {b: [{x: 1}]}}", "{$push: {'a.b': {x: 2}}}", "{_id: 1, a: {b: [{x: 1}, {x: 2}]}}" },
	{ "{_id: 1, a: [[1]]}", "{$push: {'a.0': 2}}", "{_id: 1, a: [[1, 2]]}" },
	{ "{_id: 1, a: []}", "{$push: {a: null}}", "{_id: 1, a: [null]}" },
	/* $addToSet */
	{ "{_id: 1, a: [1]}", "{$addToSet: {a: 2}}", "{_id: 1, a: [1, 2]}" },
	{ "{_id: 1, a: [1, 2]}", "{$addToSet: {a: 2}}", "{_id: 1, a: [1, 2]}" },
	{ "{_id: 1, a: [1, 2]}", "{$addToSet: {a: 2.0}}", "{_id: 1, a: [1, 2]}" },
	{ "{_id: 1}", "{$addToSet: {a: 'x'}}", "{_id: 1, a: ['x']}" },
	{ "{_id: 1, a: [{x: 1, y: 2}]}", "{$addToSet: {a: {x: 1, y: 2}}}", "{_id: 1, a: [{x: 1, y: 2}]}" },
	{ "{_id: 1, a: [{x: 1, y: 2}]}", "{$addToSet: {a: {y: 2, x: 1}}}", "{_id: 1, a: [{x: 1, y: 2}, {y: 2, x: 1}]}" },
	/* $pull */
	{ "{_id: 1, a: [1, 2, 1, 3]}", "{$pull: {a: 1}}", "{_id: 1, a: [2, 3]}" },
	{ "{_id: 1, a: [1, 2, 3]}", "{$pull: {a: {$gte: 2}}}", "{_id: 1, a: [1]}" },
	{ "{_id: 1, a: [1, 2, 3]}", "{$pull: {a: {$in: [1, 3]}}}", "{_id: 1, a: [2]}" },
	{ "{_id: 1, a: [{x: 1, y: 1}, {x: 2}]}", "{$pull: {a: {x: 1}}}", "{_id: 1, a: [{x: 2}]}" },
	{ "{_id: 1, a: [{x: 1}, {x: 5}, 7]}", "{$pull: {a: {x: {$gt: 3}}}}", "{_id: 1, a: [{x: 1}, 7]}" },
	{ "{_id: 1, a: ['ab', 'cd']}", "{$pull: {a: /^a/}}", "{_id: 1, a: ['cd']}" },
	{ "{_id: 1, a: [[1], [2]]}", "{$pull: {a: [1]}}", "{_id: 1, a: [[2]]}" },
	{ "{_id: 1, b: 1}", "{$pull: {a: 1}}", "{_id: 1, b: 1}" },
	{ "{_id: 1, a: {b: [1, 2]}}", "{$pull: {'a.b': 2}}", "{_id: 1, a: {b: [1]}}" },
	{ "{_id: 1, a: []}", "{$pull: {a: {$exists: true}}}", "{_id: 1, a: []}" },
	{ "{_id: 1, a: [null, 1]}", "{$pull: {a: null}}", "{_id: 1, a: [1]}" },
	/* $currentDate */
	{ "{_id: 1}", "{$currentDate: {a: true}}", "{_id: 1, a: DATE(1800000000123)}" },
	{ "{_id: 1, a: 5}", "{$currentDate: {a: {$type: 'date'}}}", "{_id: 1, a: DATE(1800000000123)}" },
	{ "{_id: 1}", "{$currentDate: {'a.b': {$type: 'timestamp'}}}", "{_id: 1, a: {b: TS(7730941132800000001)}}" },
	/* $setOnInsert does nothing to what is there. */
	{ "{_id: 1, a: 1}", "{$setOnInsert: {a: 2, b: 3}}", "{_id: 1, a: 1}" },
	{ "{_id: 1, a: [1]}", "{$setOnInsert: {'a.x': 2}, $set: {b: 1}}", "{_id: 1, a: [1], b: 1}" },
	/* Several at once. */
	{ "{_id: 1, n: 1, t: ['x'], d: 1}", "{$set: {s: 1}, $inc: {n: 1}, $push: {t: 'y'}, $unset: {d: 1}}",
	  "{_id: 1, n: 2, t: ['x', 'y'], s: 1}" },
	/* Replacements keep _id. */
	{ "{_id: 1, a: 1}", "{b: 2}", "{_id: 1, b: 2}" },
	{ "{_id: 1, a: 1}", "{b: 2, _id: 1}", "{_id: 1, b: 2}" },
	{ "{_id: 1, a: 1}", "{_id: 1.0, b: 2}", "{_id: 1, b: 2}" },
	{ "{_id: 1, a: 1}", "{}", "{_id: 1}" },
	{ "{_id: OID(010203040506070809101112), a: 1}", "{a: 2}", "{_id: <07:010203040506070809101112>, a: 2}" },
};
/* clang-format on */

static void assert_document(struct slice got, const char *expected, const char *what)
{
	char *text = notation_print(got);
	char *wanted = NULL;
	if (strchr(expected, '<') == NULL) {
		struct slice d = notation_parse(expected);
		wanted = notation_print(d);
		free((void *)d.p);
	} else {
		wanted = strdup(expected);
	}
	if (strcmp(text, wanted) != 0) {
		fail_msg("%s: expected %s, got %s", what, wanted, text);
	}
	free(text);
	free(wanted);
}

static void documents_are_updated(void **state)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct slice document = notation_parse(cases[i].document);
		struct slice update = notation_parse(cases[i].update);
		struct slice result = SLICE_NULL;
		struct store_failure f = { 0 };
		struct budget budget = { 0 };
		struct update *u = NULL;
		if (update_compile(&u, update, &limits, &f) != 0) {
			fail_msg("%s: %s", cases[i].update, f.message);
		}
		/* Twice: an update is applied to many documents. */
		for (int k = 0; k < 2; k++) {
			if (update_apply(u, document, now, &budget, &result, &f) != 0) {
				fail_msg("%s: %s", cases[i].update, f.message);
			}
			assert_document(result, cases[i].expected, cases[i].update);
		}
		update_free(u);
		free((void *)update.p);
		free((void *)document.p);
	}
}

struct refusal {
	enum store_error error;
	const char *update;
	const char *text;
};

static const struct refusal refusals[] = {
	{ STORE_E_UNSUPPORTED, "{$mul: {a: 2}}", "unsupported operator $mul" },
	{ STORE_E_UNSUPPORTED, "{$rename: {a: 'b'}}", "unsupported operator $rename" },
	{ STORE_E_UNSUPPORTED, "{$pop: {a: 1}}", "unsupported operator $pop" },
	{ STORE_E_UNSUPPORTED, "{$pullAll: {a: [1]}}", "unsupported operator $pullAll" },
	{ STORE_E_UNSUPPORTED, "{$min: {a: 1}}", "unsupported operator $min" },
	{ STORE_E_UNSUPPORTED, "{$bit: {a: {or: 1}}}", "unsupported operator $bit" },
	{ STORE_E_UNSUPPORTED, "{$where: 1}", "unsupported operator $where" },
	{ STORE_E_UNSUPPORTED, "{$push: {a: {$each: [1]}}}",
		"unsupported operator $each in $push" },
	{ STORE_E_UNSUPPORTED, "{$addToSet: {a: {$each: [1]}}}",
		"unsupported operator $each in $addToSet" },
	{ STORE_E_UNSUPPORTED, "{$set: {'a.$': 1}}", "unsupported operator $ in the field a.$" },
	{ STORE_E_UNSUPPORTED, "{$set: {'a.$[]': 1}}", "unsupported operator $[] in" },
	{ STORE_E_UNSUPPORTED, "{$set: {'a.$[x].b': 1}}", "unsupported operator $[x] in" },
	{ STORE_E_UNSUPPORTED, "{$pull: {a: {$foo: 1}}}", "unsupported operator $foo" },
	{ STORE_E_UNSUPPORTED, "{$inc: {a: DEC(1)}}", "decimal128" },
	{ STORE_E_INVALID, "{$set: {a: 1}, b: 2}", "mixes operators with the field b" },
	{ STORE_E_INVALID, "{b: 2, $set: {a: 1}}", "$set cannot be stored" },
	{ STORE_E_INVALID, "{$set: 5}", "$set needs a document" },
	{ STORE_E_INVALID, "{$inc: {a: 'x'}}", "needs a number, not a string" },
	{ STORE_E_INVALID, "{$currentDate: {a: 'x'}}", "$currentDate needs" },
	{ STORE_E_INVALID, "{$set: {a: 1, 'a.b': 2}}", "conflicts" },
	{ STORE_E_INVALID, "{$set: {a: 1}, $inc: {a: 2}}", "conflicts" },
	{ STORE_E_INVALID, "{$set: {'a.b.c': 1}, $unset: {'a.b': 2}}", "conflicts" },
	{ STORE_E_INVALID, "{$set: {'a..b': 1}}", "empty part" },
	{ STORE_E_INVALID, "{$set: {'': 1}}", "empty part" },
	{ STORE_E_INVALID, "{$set: {a: {$x: 1}}}", "$x cannot be stored" },
	{ STORE_E_INVALID, "{$set: {a: {'b.c': 1}}}", "contains '.'" },
	{ STORE_E_INVALID, "{$set: {a: {'': 1}}}", "empty name" },
	{ STORE_E_INVALID, "{$push: {a: {b: {$x: 1}}}}", "$x cannot be stored" },
	{ STORE_E_INVALID, "{a: {$x: 1}}", "$x cannot be stored" },
	{ STORE_E_INVALID, "{'a.b': 1}", "contains '.'" },
	{ STORE_E_INVALID, "{_id: [1]}", "_id cannot be an array" },
};

static void what_is_not_supported_is_named(void **state)
{
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		struct slice update = notation_parse(refusals[i].update);
		struct store_failure f = { 0 };
		struct update *u = NULL;
		int r = update_compile(&u, update, &limits, &f);
		if (r != (int)refusals[i].error || strstr(f.message, refusals[i].text) == NULL) {
			fail_msg("%s: expected %d \"%s\", got %d \"%s\"", refusals[i].update,
				refusals[i].error, refusals[i].text, r, f.message);
		}
		assert_null(u);
		free((void *)update.p);
	}
}

static const struct {
	enum store_error error;
	const char *document;
	const char *update;
	const char *text;
} impossible[] = {
	{ STORE_E_INVALID, "{_id: 1}", "{$set: {_id: 2}}", "_id cannot be changed" },
	{ STORE_E_INVALID, "{_id: 1}", "{$set: {_id: 1.0}}", "_id cannot be changed" },
	{ STORE_E_INVALID, "{_id: 1}", "{$unset: {_id: 1}}", "_id cannot be changed" },
	{ STORE_E_INVALID, "{_id: 1}", "{$inc: {_id: 1}}", "_id cannot be changed" },
	{ STORE_E_INVALID, "{_id: {a: 1}}", "{$set: {'_id.a': 2}}", "_id cannot be changed" },
	{ STORE_E_INVALID, "{_id: 1}", "{_id: 2, a: 1}", "_id cannot be changed" },
	{ STORE_E_INVALID, "{_id: 1, a: 5}", "{$set: {'a.b': 1}}", "cannot make the field a.b" },
	{ STORE_E_INVALID, "{_id: 1, a: null}", "{$inc: {'a.b': 1}}", "cannot make the field a.b" },
	{ STORE_E_INVALID, "{_id: 1, a: []}", "{$set: {'a.x': 1}}", "no index of the array" },
	{ STORE_E_INVALID, "{_id: 1, a: 'x'}", "{$inc: {a: 1}}",
		"$inc of the field a, which is a string" },
	{ STORE_E_INVALID, "{_id: 1, a: null}", "{$inc: {a: 1}}", "which is null" },
	{ STORE_E_INVALID, "{_id: 1, a: 5}", "{$push: {a: 1}}",
		"$push on the field a, which is an int32" },
	{ STORE_E_INVALID, "{_id: 1, a: 5}", "{$pull: {a: 1}}", "$pull on the field a" },
	{ STORE_E_INVALID, "{_id: 1, a: {}}", "{$addToSet: {a: 1}}", "$addToSet on the field a" },
	{ STORE_E_INVALID, "{_id: 1, a: 9223372036854775807L}", "{$inc: {a: 1}}",
		"range of an int64" },
	{ STORE_E_UNSUPPORTED, "{_id: 1, a: DEC(1)}", "{$inc: {a: 1}}", "decimal128" },
	{ STORE_E_LIMIT, "{_id: 1, a: []}", "{$set: {'a.4000000': 1}}",
		"MOZAIKS_MAX_DOCUMENT_BYTES" },
};

static void impossible_updates_are_refused(void **state)
{
	for (size_t i = 0; i < sizeof(impossible) / sizeof(impossible[0]); i++) {
		struct slice document = notation_parse(impossible[i].document);
		struct slice update = notation_parse(impossible[i].update);
		struct slice result = SLICE_NULL;
		struct store_failure f = { 0 };
		struct budget budget = { 0 };
		struct update *u = NULL;
		assert_int_equal(update_compile(&u, update, &limits, &f), 0);
		int r = update_apply(u, document, now, &budget, &result, &f);
		if (r != (int)impossible[i].error ||
			strstr(f.message, impossible[i].text) == NULL) {
			fail_msg("%s: got %d \"%s\"", impossible[i].update, r, f.message);
		}
		update_free(u);
		free((void *)update.p);
		free((void *)document.p);
	}
}

static void results_are_bounded(void **state)
{
	struct update_limits small = limits;
	struct slice document = notation_parse("{_id: 1, a: ['xxxxxxxxxxxxxxxxxxxx']}");
	struct slice update = notation_parse("{$push: {a: 'yyyyyyyyyyyyyyyyyyyy'}}");
	struct slice result = SLICE_NULL;
	struct store_failure f = { 0 };
	struct budget budget = { 0 };
	struct update *u = NULL;
	small.document_bytes = document.n + 27; /* one element is 1 + 2 + 4 + 21 */
	assert_int_equal(update_compile(&u, update, &small, &f), 0);
	assert_int_equal(update_apply(u, document, now, &budget, &result, &f), STORE_E_LIMIT);
	assert_non_null(strstr(f.message, "MOZAIKS_MAX_DOCUMENT_BYTES"));
	update_free(u);
	small.document_bytes++;
	assert_int_equal(update_compile(&u, update, &small, &f), 0);
	assert_int_equal(update_apply(u, document, now, &budget, &result, &f), 0);
	assert_int_equal(result.n, small.document_bytes);
	update_free(u);
	free((void *)update.p);
	free((void *)document.p);
}

/* Depth 64 may be reached by an update and not be passed. */
static void depth_is_bounded(void **state)
{
	for (int parts = 60; parts <= 64; parts++) {
		char text[1000] = "{$set: {'a";
		for (int i = 1; i < parts; i++) {
			(void)strcat(text, ".a");
		}
		(void)strcat(text, "': {x: 1}}}");
		struct slice update = notation_parse(text);
		struct store_failure f = { 0 };
		struct update *u = NULL;
		int r = update_compile(&u, update, &limits, &f);
		assert_int_equal(r, parts <= 63 ? 0 : (int)STORE_E_LIMIT);
		if (r == 0) {
			struct slice result = SLICE_NULL;
			struct budget budget = { 0 };
			struct slice document = notation_parse("{_id: 1}");
			assert_int_equal(update_apply(u, document, now, &budget, &result, &f), 0);
			assert_true(document_depth_within(result, (unsigned)parts + 1));
			assert_false(document_depth_within(result, (unsigned)parts));
			free((void *)document.p);
		}
		update_free(u);
		free((void *)update.p);
	}
}

struct insert_case {
	const char *filter;
	const char *update;
	const char *expected; /* begins with '!': the error's text */
};

/* clang-format off */
static const struct insert_case inserts[] = {
	{ "{_id: 5}", "{$set: {a: 1}}", "{_id: 5, a: 1}" },
	{ "{a: 1}", "{$set: {b: 2}}", "{_id: <07:0102030405060708090a0b0c>, a: 1, b: 2}" },
	{ "{a: {$eq: 1}}", "{$inc: {a: 2}}", "{_id: <07:0102030405060708090a0b0c>, a: 3}" },
	{ "{_id: 1, 'a.b': 1}", "{$set: {'a.c': 2}}", "{_id: 1, a: {b: 1, c: 2}}" },
	{ "{_id: 1, n: {$gt: 5}}", "{$set: {a: 1}}", "{_id: 1, a: 1}" },
	{ "{$and: [{_id: 1}, {u: 'x'}]}", "{$set: {a: 1}}", "{_id: 1, u: 'x', a: 1}" },
	{ "{$or: [{_id: 1}]}", "{$set: {a: 1}}", "{_id: 1, a: 1}" },
	{ "{$or: [{_id: 1}, {_id: 2}]}", "{$set: {_id: 9, a: 1}}", "{_id: 9, a: 1}" },
	{ "{_id: 1, a: {$in: [1]}}", "{$set: {b: 1}}", "{_id: 1, b: 1}" },
	{ "{_id: 1}", "{$setOnInsert: {a: 1}, $set: {b: 2}}", "{_id: 1, a: 1, b: 2}" },
	{ "{x: 1}", "{$setOnInsert: {_id: 7}}", "{_id: 7, x: 1}" },
	{ "{_id: 1}", "{$push: {a: 1}, $currentDate: {d: true}, $pull: {p: 1}, $unset: {q: 1}}",
	  "{_id: 1, a: [1], d: DATE(1800000000123)}" },
	{ "{_id: 3, a: 5}", "{b: 1}", "{_id: 3, b: 1}" },
	{ "{a: 5}", "{_id: 4, b: 1}", "{_id: 4, b: 1}" },
	{ "{a: 5}", "{b: 1}", "{_id: <07:0102030405060708090a0b0c>, b: 1}" },
	{ "{_id: 3}", "{_id: 4, b: 1}", "!_id cannot be changed" },
	{ "{_id: 3}", "{$set: {_id: 4}}", "!_id cannot be changed" },
	{ "{$and: [{a: 1}, {a: 2}]}", "{$set: {b: 1}}", "!conflicts" },
	{ "{a: 1, 'a.b': 2}", "{$set: {b: 1}}", "!conflicts" },
	{ "{a: 'x'}", "{$inc: {a: 1}}", "!$inc of the field a" },
	{ "{_id: [1]}", "{$set: {a: 1}}", "!_id cannot be an array" },
	{ "{a: {'b.c': 1}}", "{$set: {d: 1}}", "!contains '.'" },
	{ "{a: {$all: [1, 2]}}", "{$set: {d: 1}}", "!conflicts" },
	{ "{a: {$ne: 1}, b: {$not: {$eq: 2}}}", "{$set: {_id: 1}}", "{_id: 1}" },
};
/* clang-format on */

static void upserts_begin_with_the_filter(void **state)
{
	for (size_t i = 0; i < sizeof(inserts) / sizeof(inserts[0]); i++) {
		struct slice filter = notation_parse(inserts[i].filter);
		struct slice update = notation_parse(inserts[i].update);
		struct slice result = SLICE_NULL;
		struct store_failure f = { 0 };
		struct budget budget = { 0 };
		struct matcher *m = NULL;
		struct update *u = NULL;
		const char *expected = inserts[i].expected;
		assert_int_equal(matcher_compile(&m, filter, &limits.match, &f), 0);
		assert_int_equal(update_compile(&u, update, &limits, &f), 0);
		int r = update_insert(u, m, oid, now, &budget, &result, &f);
		if (expected[0] == '!') {
			if (r <= 0 || strstr(f.message, expected + 1) == NULL) {
				fail_msg("%s %s: %d %s", inserts[i].filter, inserts[i].update, r,
					f.message);
			}
		} else {
			if (r != 0) {
				fail_msg("%s %s: %s", inserts[i].filter, inserts[i].update,
					f.message);
			}
			assert_document(result, expected, inserts[i].update);
		}
		matcher_free(m);
		update_free(u);
		free((void *)filter.p);
		free((void *)update.p);
	}
}

/* clang-format off */
static const struct update_case projections[] = {
	{ "{_id: 1, a: 1, b: 2}", "{}", "{_id: 1, a: 1, b: 2}" },
	{ "{_id: 1, a: 1, b: 2}", "{a: 1}", "{_id: 1, a: 1}" },
	{ "{_id: 1, a: 1, b: 2}", "{a: true, _id: 0}", "{a: 1}" },
	{ "{_id: 1, a: 1, b: 2}", "{a: 0}", "{_id: 1, b: 2}" },
	{ "{_id: 1, a: 1, b: 2}", "{a: 0, _id: 0}", "{b: 2}" },
	{ "{_id: 1, a: 1, b: 2}", "{_id: 1}", "{_id: 1}" },
	{ "{_id: 1, a: 1, b: 2}", "{_id: 0}", "{a: 1, b: 2}" },
	{ "{_id: 1, a: 1, b: 2}", "{_id: 1, a: 0}", "{_id: 1, b: 2}" },
	{ "{_id: 1, b: 2, a: 1}", "{a: 1.0, b: 1L}", "{_id: 1, b: 2, a: 1}" },
	{ "{_id: 1, a: 1}", "{z: 1}", "{_id: 1}" },
	{ "{_id: 1, a: {b: 1, c: 2}}", "{'a.b': 1}", "{_id: 1, a: {b: 1}}" },
	{ "{_id: 1, a: {b: 1, c: 2}}", "{'a.b': 0}", "{_id: 1, a: {c: 2}}" },
	{ "{_id: 1, a: {b: 1, c: 2, d: 3}}", "{'a.b': 1, 'a.d': 1}", "{_id: 1, a: {b: 1, d: 3}}" },
	{ "{_id: 1, a: [{b: 1, c: 2}, {c: 3}, 4]}", "{'a.b': 1}", "{_id: 1, a: [{b: 1}, {}]}" },
	{ "{_id: 1, a: [{b: 1, c: 2}, {c: 3}, 4]}", "{'a.b': 0}", "{_id: 1, a: [{c: 2}, {c: 3}, 4]}" },
	{ "{_id: 1, a: [[{b: 1, c: 2}], 5]}", "{'a.b': 1}", "{_id: 1, a: [[{b: 1}]]}" },
	{ "{_id: 1, a: 5}", "{'a.b': 1}", "{_id: 1}" },
	{ "{_id: 1, a: 5}", "{'a.b': 0}", "{_id: 1, a: 5}" },
	{ "{_id: 1, a: [1, 2]}", "{a: 1}", "{_id: 1, a: [1, 2]}" },
	{ "{_id: 1, a: {b: {c: 1, d: 2}}, e: 1}", "{'a.b.c': 1}", "{_id: 1, a: {b: {c: 1}}}" },
};
/* clang-format on */

static void projections_keep_or_drop(void **state)
{
	for (size_t i = 0; i < sizeof(projections) / sizeof(projections[0]); i++) {
		struct slice document = notation_parse(projections[i].document);
		struct slice spec = notation_parse(projections[i].update);
		struct store_failure f = { 0 };
		struct projection *p = NULL;
		struct document_writer w;
		writer_init(&w, 4096);
		if (projection_compile(&p, spec, &f) != 0) {
			fail_msg("%s: %s", projections[i].update, f.message);
		}
		if (p == NULL) {
			writer_raw(&w, document);
		} else {
			projection_apply(p, document, &w);
		}
		assert_int_equal(w.error, 0);
		assert_document(buffer_slice(&w.b), projections[i].expected, projections[i].update);
		projection_free(p);
		writer_deinit(&w);
		free((void *)spec.p);
		free((void *)document.p);
	}
}

static void bad_projections_are_named(void **state)
{
	static const struct {
		const char *spec;
		const char *text;
	} bad[] = {
		{ "{a: 1, b: 0}", "all kept or all dropped" },
		{ "{a: {$slice: 2}}", "unsupported operator $slice" },
		{ "{a: {$elemMatch: {b: 1}}}", "unsupported operator $elemMatch" },
		{ "{'a.$': 1}", "unsupported operator $" },
		{ "{a: 'x'}", "the projection of a needs" },
		{ "{a: '$b'}", "the projection of a needs" },
		{ "{a: 1, 'a.b': 1}", "conflicts" },
		{ "{'a..b': 1}", "empty part" },
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct slice spec = notation_parse(bad[i].spec);
		struct store_failure f = { 0 };
		struct projection *p = NULL;
		if (projection_compile(&p, spec, &f) <= 0 ||
			strstr(f.message, bad[i].text) == NULL) {
			fail_msg("%s: %s", bad[i].spec, f.message);
		}
		assert_null(p);
		free((void *)spec.p);
	}
}

/* Names that begin with '$', hold a '.' or are empty, at any depth; arrays with other names. */
static void stored_names_are_checked(void **state)
{
	static const char *const good[] = { "{}", "{a: 1, b: {c: [1, {d: 2}]}}", "{a: [[], [[]]]}",
		"{constructor: 1, __proto__: 2, 'a b': 3, 'x$': 1}" };
	static const char *const bad[] = { "{$a: 1}", "{a: {$b: 1}}", "{a: [{$b: 1}]}",
		"{'a.b': 1}", "{a: [1, {'x.y': 1}]}", "{'': 1}", "{a: {'': 1}}" };
	struct store_failure f;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct slice d = notation_parse(good[i]);
		assert_int_equal(stored_check(d, &f), 0);
		free((void *)d.p);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct slice d = notation_parse(bad[i]);
		assert_int_equal(stored_check(d, &f), STORE_E_INVALID);
		free((void *)d.p);
	}
	struct slice d = notation_parse("{a: [5, 6]}");
	uint8_t *p = (uint8_t *)d.p;
	uint8_t *name = memchr(p, '1', d.n);
	*name = '7';
	assert_int_equal(stored_check(d, &f), STORE_E_INVALID);
	assert_non_null(strstr(f.message, "\"7\" instead of the index 1"));
	free(p);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(documents_are_updated),
		cmocka_unit_test(what_is_not_supported_is_named),
		cmocka_unit_test(impossible_updates_are_refused),
		cmocka_unit_test(results_are_bounded),
		cmocka_unit_test(depth_is_bounded),
		cmocka_unit_test(upserts_begin_with_the_filter),
		cmocka_unit_test(projections_keep_or_drop),
		cmocka_unit_test(bad_projections_are_named),
		cmocka_unit_test(stored_names_are_checked),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
