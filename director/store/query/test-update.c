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
	/* $mul, $min, $max, $bit */
	{ "{_id: 1, a: 3}", "{$mul: {a: 2}}", "{_id: 1, a: 6}" },
	{ "{_id: 1, a: 3}", "{$mul: {a: 0.5}}", "{_id: 1, a: 1.5}" },
	{ "{_id: 1, a: 2147483647}", "{$mul: {a: 2}}", "{_id: 1, a: 4294967294L}" },
	{ "{_id: 1}", "{$mul: {a: 2}}", "{_id: 1, a: 0}" },
	{ "{_id: 1}", "{$mul: {a: 2L}}", "{_id: 1, a: 0L}" },
	{ "{_id: 1}", "{$mul: {a: 2.5}}", "{_id: 1, a: 0.0}" },
	{ "{_id: 1, a: 5}", "{$min: {a: 3}}", "{_id: 1, a: 3}" },
	{ "{_id: 1, a: 5}", "{$min: {a: 5.0}}", "{_id: 1, a: 5}" },
	{ "{_id: 1, a: 5}", "{$max: {a: 'x'}}", "{_id: 1, a: 'x'}" },
	{ "{_id: 1, a: 5}", "{$max: {a: 3, b: 1}}", "{_id: 1, a: 5, b: 1}" },
	{ "{_id: 1, a: 13}", "{$bit: {a: {and: 10}}}", "{_id: 1, a: 8}" },
	{ "{_id: 1, a: 3}", "{$bit: {a: {or: 5L}}}", "{_id: 1, a: 7L}" },
	{ "{_id: 1, a: 1}", "{$bit: {a: {xor: 5}, b: {or: 2}}}", "{_id: 1, a: 4, b: 2}" },
	/* $push with modifiers */
	{ "{_id: 1, a: [1]}", "{$push: {a: {$each: [2, 3]}}}", "{_id: 1, a: [1, 2, 3]}" },
	{ "{_id: 1}", "{$push: {a: {$each: []}}}", "{_id: 1, a: []}" },
	{ "{_id: 1, a: [1, 2]}", "{$push: {a: {$each: [8, 9], $position: 1}}}", "{_id: 1, a: [1, 8, 9, 2]}" },
	{ "{_id: 1, a: [1, 2]}", "{$push: {a: {$each: [9], $position: -1}}}", "{_id: 1, a: [1, 9, 2]}" },
	{ "{_id: 1, a: [1, 2]}", "{$push: {a: {$each: [9], $position: -7}}}", "{_id: 1, a: [9, 1, 2]}" },
	{ "{_id: 1, a: [1, 2]}", "{$push: {a: {$each: [9], $position: 7}}}", "{_id: 1, a: [1, 2, 9]}" },
	{ "{_id: 1, a: [1, 2]}", "{$push: {a: {$each: [3, 4], $slice: -3}}}", "{_id: 1, a: [2, 3, 4]}" },
	{ "{_id: 1, a: [1, 2]}", "{$push: {a: {$each: [3, 4], $slice: 3}}}", "{_id: 1, a: [1, 2, 3]}" },
	{ "{_id: 1, a: [1, 2]}", "{$push: {a: {$each: [3], $slice: 0}}}", "{_id: 1, a: []}" },
	{ "{_id: 1, a: [5, 1]}", "{$push: {a: {$each: [3], $sort: 1}}}", "{_id: 1, a: [1, 3, 5]}" },
	{ "{_id: 1, a: [5, 'x', 1]}", "{$push: {a: {$each: [3], $sort: -1, $slice: 2}}}", "{_id: 1, a: ['x', 5]}" },
	{ "{_id: 1, a: [{n: 2, s: 'a'}, {n: 1, s: 'b'}]}", "{$push: {a: {$each: [{n: 1, s: 'c'}], $sort: {n: 1, s: -1}}}}",
	  "{_id: 1, a: [{n: 1, s: 'c'}, {n: 1, s: 'b'}, {n: 2, s: 'a'}]}" },
	{ "{_id: 1, a: [{n: 2}, 7]}", "{$push: {a: {$each: [], $sort: {n: 1}}}}", "{_id: 1, a: [7, {n: 2}]}" },
	{ "{_id: 1, a: [1, 1]}", "{$addToSet: {a: {$each: [2, 1, 2, 3]}}}", "{_id: 1, a: [1, 1, 2, 3]}" },
	/* $pop, $pullAll, $rename */
	{ "{_id: 1, a: [1, 2, 3]}", "{$pop: {a: 1}}", "{_id: 1, a: [1, 2]}" },
	{ "{_id: 1, a: [1, 2, 3]}", "{$pop: {a: -1}}", "{_id: 1, a: [2, 3]}" },
	{ "{_id: 1, a: []}", "{$pop: {a: 1, b: -1}}", "{_id: 1, a: []}" },
	{ "{_id: 1, a: [1, 2, 1, 'x', {b: 1}]}", "{$pullAll: {a: [1.0, {b: 1}]}}", "{_id: 1, a: [2, 'x']}" },
	{ "{_id: 1, a: 1, b: 2}", "{$rename: {a: 'c'}}", "{_id: 1, b: 2, c: 1}" },
	{ "{_id: 1, a: 1, b: 2}", "{$rename: {a: 'b'}}", "{_id: 1, b: 1}" },
	{ "{_id: 1, b: 2}", "{$rename: {a: 'b'}}", "{_id: 1, b: 2}" },
	{ "{_id: 1, b: 2}", "{$rename: {a: 'c.d'}}", "{_id: 1, b: 2}" },
	{ "{_id: 1, a: {b: 1}, c: 5}", "{$rename: {'a.b': 'd.e'}}", "{_id: 1, a: {}, c: 5, d: {e: 1}}" },
	{ "{_id: 1, a: 1}", "{$rename: {a: 'b'}, $set: {c: 1}}", "{_id: 1, b: 1, c: 1}" },
	/* Every element. */
	{ "{_id: 1, a: [1, 2]}", "{$inc: {'a.$[]': 1}}", "{_id: 1, a: [2, 3]}" },
	{ "{_id: 1, a: [{b: 1}, {c: 1}]}", "{$set: {'a.$[].b': 5}}", "{_id: 1, a: [{b: 5}, {c: 1, b: 5}]}" },
	{ "{_id: 1, a: [{b: [1]}, {b: []}]}", "{$mul: {'a.$[].b.$[]': 3}}", "{_id: 1, a: [{b: [3]}, {b: []}]}" },
	{ "{_id: 1, a: []}", "{$set: {'a.$[]': 1}}", "{_id: 1, a: []}" },
	{ "{_id: 1, a: [1, 2]}", "{$unset: {'a.$[]': 1}}", "{_id: 1, a: [null, null]}" },
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
		if (update_compile(&u, update, SLICE_NULL, &limits, &f) != 0) {
			fail_msg("%s: %s", cases[i].update, f.message);
		}
		/* Twice: an update is applied to many documents. */
		for (int k = 0; k < 2; k++) {
			if (update_apply(u, NULL, document, now, &budget, &result, &f) != 0) {
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
	{ STORE_E_UNSUPPORTED, "{$where: 1}", "unsupported operator $where" },
	{ STORE_E_UNSUPPORTED, "{$push: {a: {$each: [1], $foo: 1}}}",
		"unsupported operator $foo in $push" },
	{ STORE_E_UNSUPPORTED, "{$addToSet: {a: {$each: [1], $slice: 1}}}",
		"unsupported operator $slice in $addToSet" },
	{ STORE_E_INVALID, "{$push: {a: {$slice: 1}}}", "needs $each" },
	{ STORE_E_INVALID, "{$push: {a: {$each: 1}}}", "$each of $push needs an array" },
	{ STORE_E_INVALID, "{$push: {a: {$each: [], $sort: 2}}}", "$sort needs" },
	{ STORE_E_INVALID, "{$push: {a: {$each: [], $slice: 1.5}}}", "$slice needs" },
	{ STORE_E_INVALID, "{$push: {a: {$each: [], $position: 'x'}}}", "$position needs" },
	{ STORE_E_INVALID, "{$push: {a: {$each: [{$x: 1}]}}}", "$x cannot be stored" },
	{ STORE_E_UNSUPPORTED, "{$set: {'a.$x': 1}}", "unsupported operator $x in the field a.$x" },
	{ STORE_E_UNSUPPORTED, "{$set: {'a.$[X]': 1}}", "unsupported operator $[X]" },
	{ STORE_E_INVALID, "{$set: {'$[].b': 1}}", "the name of an array comes first" },
	{ STORE_E_INVALID, "{$set: {'a.$[x].b': 1}}", "no arrayFilters say what $[x] is" },
	{ STORE_E_INVALID, "{$set: {'a.$.b.$': 1}}", "more than once" },
	{ STORE_E_INVALID, "{$mul: {a: 'x'}}", "needs a number" },
	{ STORE_E_INVALID, "{$bit: {a: {not: 1}}}", "$bit needs" },
	{ STORE_E_INVALID, "{$bit: {a: {or: 1.0}}}", "$bit needs" },
	{ STORE_E_INVALID, "{$pop: {a: 2}}", "$pop needs" },
	{ STORE_E_INVALID, "{$pullAll: {a: 2}}", "$pullAll needs an array" },
	{ STORE_E_INVALID, "{$rename: {a: 1}}", "needs a name" },
	{ STORE_E_INVALID, "{$rename: {a: 'a'}}", "conflicts" },
	{ STORE_E_INVALID, "{$rename: {a: 'a.b'}}", "conflicts" },
	{ STORE_E_INVALID, "{$rename: {a: 'b'}, $set: {b: 1}}", "conflicts" },
	{ STORE_E_INVALID, "{$rename: {a: 'b.$[]'}}", "no positional operators" },
	{ STORE_E_INVALID, "{$rename: {a: ''}}", "empty part" },
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
		int r = update_compile(&u, update, SLICE_NULL, &limits, &f);
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
	{ STORE_E_INVALID, "{_id: 1}", "{$set: {'a.$[]': 1}}", "there is nothing" },
	{ STORE_E_INVALID, "{_id: 1, a: 5}", "{$set: {'a.$[]': 1}}", "there is an int32" },
	{ STORE_E_INVALID, "{_id: 1, a: [1]}", "{$set: {'a.$': 1}}", "$ stands for no element" },
	{ STORE_E_INVALID, "{_id: 1, a: [1]}", "{$set: {'a.$[]': 1, 'a.0': 2}}", "conflicts" },
	{ STORE_E_INVALID, "{_id: 1}", "{$rename: {_id: 'a'}}", "_id cannot be changed" },
	{ STORE_E_INVALID, "{_id: 1, a: [1]}", "{$rename: {'a.0': 'b'}}",
		"an element of an array" },
	{ STORE_E_INVALID, "{_id: 1, a: [1], b: 1}", "{$rename: {b: 'a.0'}}",
		"an element of an array" },
	{ STORE_E_INVALID, "{_id: 1, a: 'x'}", "{$mul: {a: 1}}",
		"$mul of the field a, which is a string" },
	{ STORE_E_INVALID, "{_id: 1, a: 1.5}", "{$bit: {a: {or: 1}}}",
		"$bit of the field a, which is a double" },
	{ STORE_E_INVALID, "{_id: 1, a: 9223372036854775807L}", "{$mul: {a: 2}}",
		"$mul of the field a leaves" },
	{ STORE_E_INVALID, "{_id: 1, a: 5}", "{$pop: {a: 1}}", "$pop on the field a" },
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
		assert_int_equal(update_compile(&u, update, SLICE_NULL, &limits, &f), 0);
		int r = update_apply(u, NULL, document, now, &budget, &result, &f);
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
	assert_int_equal(update_compile(&u, update, SLICE_NULL, &small, &f), 0);
	assert_int_equal(update_apply(u, NULL, document, now, &budget, &result, &f), STORE_E_LIMIT);
	assert_non_null(strstr(f.message, "MOZAIKS_MAX_DOCUMENT_BYTES"));
	update_free(u);
	small.document_bytes++;
	assert_int_equal(update_compile(&u, update, SLICE_NULL, &small, &f), 0);
	assert_int_equal(update_apply(u, NULL, document, now, &budget, &result, &f), 0);
	assert_int_equal(result.n, small.document_bytes);
	update_free(u);
	free((void *)update.p);
	free((void *)document.p);
}

/* Depth 64 may be reached by an update and not be passed. */
static void depth_is_bounded(void **state)
{
	for (int parts = 60; parts <= 64; parts++) {
		char text[1000];
		char path[200] = "a";
		for (int i = 1; i < parts; i++) {
			memcpy(path + 2 * i - 1, ".a", 3);
		}
		(void)snprintf(text, sizeof(text), "{$set: {'%s': {x: 1}}}", path);
		struct slice update = notation_parse(text);
		struct store_failure f = { 0 };
		struct update *u = NULL;
		int r = update_compile(&u, update, SLICE_NULL, &limits, &f);
		assert_int_equal(r, parts <= 63 ? 0 : (int)STORE_E_LIMIT);
		if (r == 0) {
			struct slice result = SLICE_NULL;
			struct budget budget = { 0 };
			struct slice document = notation_parse("{_id: 1}");
			assert_int_equal(
				update_apply(u, NULL, document, now, &budget, &result, &f), 0);
			assert_true(document_depth_within(result, (unsigned)parts + 1));
			assert_false(document_depth_within(result, (unsigned)parts));
			free((void *)document.p);
		}
		update_free(u);
		free((void *)update.p);
	}
}

/* clang-format off */
static const struct {
	const char *filter;
	const char *document;
	const char *update;
	const char *array_filters; /* {filters: […]} */
	const char *expected;      /* begins with '!': the error's text */
} positions[] = {
	{ "{a: 2}", "{_id: 1, a: [1, 2, 2]}", "{$set: {'a.$': 9}}", NULL, "{_id: 1, a: [1, 9, 2]}" },
	{ "{'a.b': 2}", "{_id: 1, a: [{b: 1}, {b: 2}]}", "{$set: {'a.$.c': 9}}", NULL, "{_id: 1, a: [{b: 1}, {b: 2, c: 9}]}" },
	{ "{a: {$elemMatch: {b: 2, c: 1}}}", "{_id: 1, a: [{b: 2}, {b: 2, c: 1}]}", "{$inc: {'a.$.b': 1}}", NULL,
	  "{_id: 1, a: [{b: 2}, {b: 3, c: 1}]}" },
	{ "{$and: [{u: 1}, {a: {$gte: 3}}]}", "{_id: 1, u: 1, a: [1, 5, 6]}", "{$mul: {'a.$': 2}}", NULL, "{_id: 1, u: 1, a: [1, 10, 6]}" },
	{ "{'a.b': 3}", "{_id: 1, a: [{b: [1]}, {b: [2, 3]}]}", "{$set: {'a.$.x': 1}}", NULL, "{_id: 1, a: [{b: [1]}, {b: [2, 3], x: 1}]}" },
	{ "{a: {$not: {$eq: 7}}}", "{_id: 1, a: [1]}", "{$set: {'a.$': 1}}", NULL, "!$ stands for no element" },
	{ "{_id: 1}", "{_id: 1, a: [1]}", "{$set: {'a.$': 1}}", NULL, "!$ stands for no element" },
	{ "{}", "{_id: 1, a: [1, 5, 9]}", "{$set: {'a.$[x]': 0}}", "{filters: [{x: {$gte: 5}}]}", "{_id: 1, a: [1, 0, 0]}" },
	{ "{}", "{_id: 1, a: [{b: 1, c: 1}, {b: 2, c: 1}]}", "{$set: {'a.$[x].c': 7}}", "{filters: [{'x.b': 2}]}",
	  "{_id: 1, a: [{b: 1, c: 1}, {b: 2, c: 7}]}" },
	{ "{}", "{_id: 1, a: [{b: [1, 2]}, {b: [3], k: 1}]}", "{$inc: {'a.$[x].b.$[y]': 10}}", "{filters: [{'x.k': 1}, {y: {$gt: 0}}]}",
	  "{_id: 1, a: [{b: [1, 2]}, {b: [13], k: 1}]}" },
	{ "{}", "{_id: 1, a: [1, 2, 3]}", "{$set: {'a.$[x]': 0}}", "{filters: [{$or: [{x: 1}, {x: 3}]}]}", "{_id: 1, a: [0, 2, 0]}" },
	{ "{}", "{_id: 1, a: [{b: 1}]}", "{$set: {'a.$[x].b': 0}}", "{filters: [{'x.b': 9}]}", "{_id: 1, a: [{b: 1}]}" },
	{ "{}", "{_id: 1}", "{$set: {'a.$[x]': 0}}", "{filters: [{x: 9}]}", "!there is nothing" },
	{ "{}", "{_id: 1}", "{$set: {a: 0}}", "{filters: [{x: 9}]}", "!has no $[x]" },
	{ "{}", "{_id: 1}", "{$set: {'a.$[x]': 0}}", "{filters: [{x: 9}, {'x.a': 1}]}", "!two of arrayFilters" },
	{ "{}", "{_id: 1}", "{$set: {'a.$[x]': 0}}", "{filters: [{x: 9, y: 1}]}", "!about one name" },
	{ "{}", "{_id: 1}", "{$set: {'a.$[x]': 0}}", "{filters: [{X: 9}]}", "!about one name" },
	{ "{}", "{_id: 1}", "{$set: {'a.$[x]': 0}}", "{filters: [{}]}", "!about one name" },
	{ "{}", "{_id: 1}", "{$set: {'a.$[x]': 0}}", "{filters: [{x: {$foo: 1}}]}", "!unsupported operator $foo" },
	{ "{}", "{_id: 1}", "{$set: {'a.$[x]': 0}}", "{filters: [5]}", "!needs documents" },
	{ "{}", "{_id: 1}", "{a: 1}", "{filters: [{x: 1}]}", "!go with update operators" },
};
/* clang-format on */

static int apply_position(size_t i, struct slice *ret, struct update **u, struct store_failure *f)
{
	const char *filters = positions[i].array_filters;
	struct budget budget = { 0 };
	struct matcher *m = NULL;
	static struct slice texts[4];
	for (int k = 0; k < 4; k++) {
		free((void *)texts[k].p);
	}
	texts[0] = notation_parse(positions[i].filter);
	texts[1] = notation_parse(positions[i].document);
	texts[2] = notation_parse(positions[i].update);
	texts[3] = notation_parse(filters == NULL ? "{}" : filters);
	assert_int_equal(matcher_compile(&m, texts[0], &limits.match, f), 0);
	int r = update_compile(
		u, texts[2], document_find(texts[3], SLICE("filters")).data, &limits, f);
	if (r == 0) {
		assert_true(matcher_match(m, texts[1], &budget));
		r = update_apply(*u, m, texts[1], now, &budget, ret, f);
	}
	matcher_free(m);
	return r;
}

static void positions_are_found(void **state)
{
	for (size_t i = 0; i < sizeof(positions) / sizeof(positions[0]); i++) {
		const char *expected = positions[i].expected;
		struct store_failure f = { 0 };
		struct update *u = NULL;
		struct slice result = SLICE_NULL;
		int r = apply_position(i, &result, &u, &f);
		if (expected[0] == '!') {
			if (r <= 0 || strstr(f.message, expected + 1) == NULL) {
				fail_msg("%s: %d %s", positions[i].update, r, f.message);
			}
		} else {
			if (r != 0) {
				fail_msg("%s: %s", positions[i].update, f.message);
			}
			assert_document(result, expected, positions[i].update);
		}
		update_free(u);
	}
}

/* {'a.$': 1} shows the element that the filter found. */
static void projections_show_the_match(void **state)
{
	struct slice filter = notation_parse("{'a.b': 2}");
	struct slice document = notation_parse("{_id: 1, a: [{b: 1}, {b: 2}, {b: 2, c: 1}], d: 1}");
	struct slice spec = notation_parse("{'a.$': 1}");
	struct store_failure f = { 0 };
	struct budget budget = { 0 };
	struct matcher *m = NULL;
	struct projection *p = NULL;
	struct document_writer w;
	writer_init(&w, 4096);
	assert_int_equal(matcher_compile(&m, filter, &limits.match, &f), 0);
	assert_int_equal(projection_compile(&p, spec, &limits.match, &f), 0);
	assert_int_equal(projection_apply(p, m, document, &budget, &w, &f), 0);
	assert_document(buffer_slice(&w.b), "{_id: 1, a: [{b: 2}]}", "a.$");
	assert_int_equal(projection_apply(p, NULL, document, &budget, &w, &f), STORE_E_INVALID);
	assert_non_null(strstr(f.message, "$ stands for no element"));
	projection_free(p);
	matcher_free(m);
	writer_deinit(&w);
	free((void *)filter.p);
	free((void *)document.p);
	free((void *)spec.p);
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
	{ "{_id: 1, a: [1, 2]}", "{$inc: {'a.$[]': 1}}", "{_id: 1, a: [2, 3]}" },
	{ "{_id: 1, a: 5}", "{$rename: {a: 'b'}}", "{_id: 1, b: 5}" },
	{ "{_id: 1, a: 5}", "{$set: {'a.$': 1}}", "!there is an int32" },
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
		assert_int_equal(update_compile(&u, update, SLICE_NULL, &limits, &f), 0);
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
	{ "{_id: 1, a: [1, 2, 3], b: 1}", "{a: {$slice: 2}}", "{_id: 1, a: [1, 2], b: 1}" },
	{ "{_id: 1, a: [1, 2, 3], b: 1}", "{a: {$slice: -2}}", "{_id: 1, a: [2, 3], b: 1}" },
	{ "{_id: 1, a: [1, 2, 3], b: 1}", "{a: {$slice: 0}}", "{_id: 1, a: [], b: 1}" },
	{ "{_id: 1, a: [1, 2, 3], b: 1}", "{a: {$slice: [1, 1]}}", "{_id: 1, a: [2], b: 1}" },
	{ "{_id: 1, a: [1, 2, 3], b: 1}", "{a: {$slice: [-2, 1]}}", "{_id: 1, a: [2], b: 1}" },
	{ "{_id: 1, a: [1, 2, 3], b: 1}", "{a: {$slice: [-9, 2]}}", "{_id: 1, a: [1, 2], b: 1}" },
	{ "{_id: 1, a: [1, 2, 3], b: 1}", "{a: {$slice: [7, 2]}}", "{_id: 1, a: [], b: 1}" },
	{ "{_id: 1, a: [1, 2, 3], b: 1, c: 2}", "{a: {$slice: 1}, b: 1}", "{_id: 1, a: [1], b: 1}" },
	{ "{_id: 1, a: [1, 2, 3], b: 1, c: 2}", "{a: {$slice: 1}, b: 0}", "{_id: 1, a: [1], c: 2}" },
	{ "{_id: 1, a: [1, 2, 3], b: 1}", "{a: {$slice: 1}, _id: 0}", "{a: [1], b: 1}" },
	{ "{_id: 1, a: [1, 2, 3], b: 1}", "{a: {$slice: 1}, _id: 1}", "{_id: 1, a: [1], b: 1}" },
	{ "{_id: 1, a: 5, b: 1}", "{a: {$slice: 1}}", "{_id: 1, a: 5, b: 1}" },
	{ "{_id: 1, a: {b: [1, 2], c: 3}}", "{'a.b': {$slice: 1}}", "{_id: 1, a: {b: [1], c: 3}}" },
	{ "{_id: 1, a: [{x: 1}, {x: 5}, {x: 6}], b: 1}", "{a: {$elemMatch: {x: {$gt: 3}}}}", "{_id: 1, a: [{x: 5}]}" },
	{ "{_id: 1, a: [1, 5, 7], b: 1}", "{a: {$elemMatch: {$gt: 3}}, b: 1}", "{_id: 1, a: [5], b: 1}" },
	{ "{_id: 1, a: [1], b: 1}", "{a: {$elemMatch: {$gt: 3}}, b: 1}", "{_id: 1, b: 1}" },
	{ "{_id: 1, a: 5, b: 1}", "{a: {$elemMatch: {$gt: 3}}, b: 1}", "{_id: 1, b: 1}" },
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
		if (projection_compile(&p, spec, &limits.match, &f) != 0) {
			fail_msg("%s: %s", projections[i].update, f.message);
		}
		if (p == NULL) {
			writer_raw(&w, document);
		} else {
			struct budget budget = { 0 };
			assert_int_equal(projection_apply(p, NULL, document, &budget, &w, &f), 0);
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
		{ "{a: {$meta: 'textScore'}}", "unsupported operator $meta" },
		{ "{a: {$slice: 'x'}}", "$slice needs a whole number" },
		{ "{a: {$slice: [1]}}", "$slice needs a whole number" },
		{ "{a: {$slice: [1, 0]}}", "keep 1 element" },
		{ "{a: {$slice: 1, $elemMatch: {b: 1}}}", "more than one operator" },
		{ "{a: {$elemMatch: 5}}", "$elemMatch needs a document" },
		{ "{a: {$elemMatch: {b: {$foo: 1}}}}", "unsupported operator $foo" },
		{ "{'a.b': {$elemMatch: {b: 1}}}", "only of a field at the top" },
		{ "{a: 0, b: {$elemMatch: {b: 1}}}", "all kept or all dropped" },
		{ "{'a.$.b': 1}", "unsupported operator $" },
		{ "{'a.$': 0}", "needs 1 or true" },
		{ "{'a.$': 1, 'b.$': 1}", "no more than once" },
		{ "{a: 'x'}", "the projection of a needs" },
		{ "{a: '$b'}", "the projection of a needs" },
		{ "{a: 1, 'a.b': 1}", "conflicts" },
		{ "{'a..b': 1}", "empty part" },
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct slice spec = notation_parse(bad[i].spec);
		struct store_failure f = { 0 };
		struct projection *p = NULL;
		if (projection_compile(&p, spec, &limits.match, &f) <= 0 ||
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
		cmocka_unit_test(positions_are_found),
		cmocka_unit_test(projections_show_the_match),
		cmocka_unit_test(results_are_bounded),
		cmocka_unit_test(depth_is_bounded),
		cmocka_unit_test(upserts_begin_with_the_filter),
		cmocka_unit_test(projections_keep_or_drop),
		cmocka_unit_test(bad_projections_are_named),
		cmocka_unit_test(stored_names_are_checked),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
