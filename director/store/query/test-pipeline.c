/* Aggregation: documents in, documents out; expressions; what is refused by name; limits. */
/* cmocka.h needs what stands before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "common/base/clock.h"
#include "common/base/map.h"
#include "director/store/query/calendar.h"
#include "director/store/query/notation.h"
#include "director/store/query/pipeline.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static const struct pipeline_limits limits = { { 1000, 1000 }, 50, 100, 100000, 20000 };

struct out {
	struct document_writer w; /* {r: [documents]} */
	uint64_t n;
};

static int keep(void *arg, struct slice document)
{
	struct out *out = (struct out *)arg;
	char text[24];
	writer_value(&out->w, index_name(out->n++, text), (struct value){ BT_OBJECT, document });
	return out->w.error;
}

static void release(struct slice s)
{
	free((void *)(uintptr_t)s.p);
}

/* Runs "{stages: […]}" over "{r: […]}". The text is the caller's; NULL: refused, see `f`. */
static char *run(const char *documents,
	const char *stages,
	const struct pipeline_limits *l,
	struct budget *budget,
	struct store_failure *f)
{
	struct slice in = notation_parse(documents);
	struct slice spec = notation_parse(stages);
	struct out out = { 0 };
	struct pipeline *p = NULL;
	char *text = NULL;
	struct element e;
	writer_init(&out.w, (size_t)1 << 20);
	size_t root = writer_open(&out.w);
	size_t array = writer_open_in(&out.w, BT_ARRAY, SLICE("r"));
	int r = pipeline_compile(&p, document_find(spec, SLICE("stages")).data, l, f);
	if (r == 0) {
		struct pipeline_run run = { p, budget, 1709210096007, f, keep, &out };
		struct document_iter it = document_iter(document_find(in, SLICE("r")).data);
		while (r == 0 && !pipeline_is_full(p) && document_next(&it, &e)) {
			r = pipeline_push(&run, e.value.data);
		}
		r = r != 0 ? r : pipeline_finish(&run);
	}
	writer_close(&out.w, array);
	writer_close(&out.w, root);
	if (r == 0) {
		text = notation_print(buffer_slice(&out.w.b));
	} else {
		assert_int_equal(r, f->error);
	}
	pipeline_free(p);
	writer_deinit(&out.w);
	release(in);
	release(spec);
	return text;
}

static void expect(const char *documents, const char *stages, const char *expected)
{
	struct store_failure f = { 0 };
	struct budget budget = { 0 };
	char *text = run(documents, stages, &limits, &budget, &f);
	struct slice d = notation_parse(expected);
	char *wanted = notation_print(d);
	if (text == NULL || strcmp(text, wanted) != 0) {
		fail_msg(
			"%s: expected %s, got %s", stages, wanted, text == NULL ? f.message : text);
	}
	free(text);
	free(wanted);
	release(d);
}

static const struct {
	const char *document;
	const char *expression;
	const char *expected; /* {v: …}; {}: nothing */
} expressions[] = {
	/* clang-format off */
	{ "{a: 1}", "'$a'", "{v: 1}" },
	{ "{a: 1}", "'$b'", "{}" },
	{ "{a: {b: {c: 5}}}", "'$a.b.c'", "{v: 5}" },
	{ "{a: [{b: 1}, {c: 2}, {b: [3]}, 4]}", "'$a.b'", "{v: [1, [3]]}" },
	{ "{a: [[{b: 1}], {b: 2}]}", "'$a.b'", "{v: [[1], 2]}" },
	{ "{a: [1, 2]}", "'$a.0'", "{v: []}" },
	{ "{a: 5}", "'$a.b'", "{}" },
	{ "{a: 1}", "'$$ROOT'", "{v: {a: 1}}" },
	{ "{a: 1}", "'$$CURRENT.a'", "{v: 1}" },
	{ "{a: 1}", "'$$REMOVE'", "{}" },
	{ "{a: 1}", "'$$NOW'", "{v: DATE(1709210096007)}" },
	{ "{a: 1}", "{$literal: '$a'}", "{v: '$a'}" },
	{ "{a: 1}", "'text'", "{v: 'text'}" },
	{ "{a: 1}", "{x: '$a', y: '$none', z: [1, '$none']}", "!names" },
	{ "{a: 1}", "['$a', {b: '$a', c: '$none'}, '$none']", "{v: [1, {b: 1}, null]}" },
	{ "{a: 1, b: 2L, c: 1.5}", "{$add: ['$a', 2]}", "{v: 3}" },
	{ "{a: 1, b: 2L, c: 1.5}", "{$add: ['$a', '$b']}", "{v: 3L}" },
	{ "{a: 1, b: 2L, c: 1.5}", "{$add: ['$a', '$c']}", "{v: 2.5}" },
	{ "{a: 2147483647}", "{$add: ['$a', 1]}", "{v: 2147483648L}" },
	{ "{a: 9223372036854775807L}", "{$add: ['$a', 1]}", "{v: 9223372036854775808.0}" },
	{ "{a: null}", "{$add: ['$a', 1]}", "{v: null}" },
	{ "{}", "{$multiply: ['$a', 1]}", "{v: null}" },
	{ "{a: 3}", "{$multiply: ['$a', 4, 0.5]}", "{v: 6.0}" },
	{ "{a: DATE(1000)}", "{$add: ['$a', 500]}", "{v: DATE(1500)}" },
	{ "{a: DATE(1000), b: DATE(400)}", "{$subtract: ['$a', '$b']}", "{v: 600L}" },
	{ "{a: DATE(1000)}", "{$subtract: ['$a', 1]}", "{v: DATE(999)}" },
	{ "{a: 7}", "{$subtract: ['$a', 9]}", "{v: -2}" },
	{ "{a: 7}", "{$divide: ['$a', 2]}", "{v: 3.5}" },
	{ "{a: 7}", "{$divide: ['$a', 0]}", "!not zero" },
	{ "{a: -7}", "{$mod: ['$a', 3]}", "{v: -1}" },
	{ "{a: 7.5}", "{$mod: ['$a', 2]}", "{v: 1.5}" },
	{ "{a: -7}", "{$abs: '$a'}", "{v: 7}" },
	{ "{a: -2147483648}", "{$abs: '$a'}", "{v: 2147483648L}" },
	{ "{a: 1.2}", "[{$ceil: '$a'}, {$floor: '$a'}, {$sqrt: 9}]", "{v: [2.0, 1.0, 3.0]}" },
	{ "{a: 2.5}", "[{$round: '$a'}, {$round: [1.25, 1]}, {$round: [155, -1]}]", "{v: [2.0, 1.2, 160]}" },
	{ "{a: 1}", "[{$eq: ['$a', 1.0]}, {$eq: ['$b', null]}, {$lt: ['$b', null]}]", "{v: [true, false, true]}" },
	{ "{a: 1}", "[{$ne: ['$a', 1]}, {$gt: ['$a', 'x']}, {$gte: ['x', '$a']}]", "{v: [false, false, true]}" },
	{ "{a: 1}", "[{$lte: ['$a', 1]}, {$cmp: ['$a', 2]}, {$cmp: [2, '$a']}, {$cmp: ['$b', '$c']}]", "{v: [true, -1, 1, 0]}" },
	{ "{a: 0}", "[{$and: []}, {$and: [1, '$a']}, {$or: []}, {$or: ['$b', 'x']}, {$not: ['$a']}]", "{v: [true, false, false, true, true]}" },
	{ "{a: 0}", "{$or: [1, {$divide: [1, '$a']}]}", "{v: true}" },
	{ "{a: 0}", "{$cond: {if: '$a', then: 1, else: 2}}", "{v: 2}" },
	{ "{a: 1}", "{$cond: ['$a', 1, {$divide: [1, 0]}]}", "{v: 1}" },
	{ "{a: null}", "{$ifNull: ['$a', '$b', 3]}", "{v: 3}" },
	{ "{s: 'x'}", "{$concat: ['$s', '-', 'y']}", "{v: 'x-y'}" },
	{ "{s: null}", "{$concat: ['$s', 'y']}", "{v: null}" },
	{ "{s: 5}", "{$concat: ['$s']}", "!needs strings" },
	{ "{s: 'aB\xc3\x84'}", "[{$toLower: '$s'}, {$toUpper: '$s'}, {$strLenCP: '$s'}]", "{v: ['ab\xc3\x84', 'AB\xc3\x84', 3]}" },
	{ "{s: '\xc3\xa4\xc3\xb6\xc3\xbc'}", "[{$substrCP: ['$s', 1, 1]}, {$substrCP: ['$s', 1, 9]}, {$substrCP: ['$s', 9, 1]}]", "{v: ['\xc3\xb6', '\xc3\xb6\xc3\xbc', '']}" },
	{ "{i: 12, l: -5L, f: 2.5, d: DATE(0)}", "[{$toUpper: '$i'}, {$toLower: '$l'}, {$toUpper: '$f'}, {$toLower: '$d'}, {$toUpper: '$none'}]",
	  "{v: ['12', '-5', '2.5', '1970-01-01t00:00:00.000z', '']}" },
	{ "{f: 1e20}", "[{$toLower: '$f'}, {$substrCP: [1234, 1, 2]}, {$substrCP: [null, 0, 1]}]", "{v: ['1e+20', '23', '']}" },
	{ "{b: true}", "{$toUpper: '$b'}", "!needs a string, a number or a date, not a boolean" },
	{ "{b: [1]}", "{$substrCP: ['$b', 0, 1]}", "!needs a string, a number or a date, not an array" },
	{ "{b: DEC(1)}", "{$toLower: '$b'}", "!decimal128" },
	{ "{l: [1, 2, 3]}", "[{$size: '$l'}, {$arrayElemAt: ['$l', 0]}, {$arrayElemAt: ['$l', -1]}]", "{v: [3, 1, 3]}" },
	{ "{l: [1, 2, 3]}", "{$arrayElemAt: ['$l', 7]}", "{}" },
	{ "{l: [1, 2, 3]}", "[{$first: '$l'}, {$last: '$l'}, {$in: [2, '$l']}, {$in: ['x', '$l']}]", "{v: [1, 3, true, false]}" },
	{ "{l: 5}", "{$size: '$l'}", "!needs an array, not an int32" },
	{ "{l: [1]}", "[{$isArray: ['$l']}, {$isArray: '$x'}]", "{v: [true, false]}" },
	{ "{l: [1]}", "{$concatArrays: ['$l', [2, '$none'], '$l']}", "{v: [1, 2, null, 1]}" },
	{ "{l: [1]}", "{$concatArrays: ['$l', '$none']}", "{v: null}" },
	{ "{l: [1, 'x', 2.5]}", "[{$sum: '$l'}, {$avg: '$l'}, {$min: '$l'}, {$max: '$l'}]", "{v: [3.5, 1.75, 1, 'x']}" },
	{ "{a: 1, b: 5}", "[{$sum: ['$a', '$b']}, {$max: ['$a', '$b', '$c']}, {$avg: '$c'}]", "{v: [6, 5, null]}" },
	{ "{a: {x: 1, y: 2}, b: {y: 3, z: 4}}", "{$mergeObjects: ['$a', '$none', '$b']}", "{v: {x: 1, y: 3, z: 4}}" },
	{ "{d: DATE(1709210096007)}", "[{$year: '$d'}, {$month: '$d'}, {$dayOfMonth: '$d'}, {$hour: '$d'}, {$minute: '$d'}]", "{v: [2024, 2, 29, 12, 34]}" },
	{ "{d: DATE(1709210096007)}", "[{$second: '$d'}, {$millisecond: '$d'}, {$dayOfWeek: '$d'}, {$dayOfYear: '$d'}]", "{v: [56, 7, 5, 60]}" },
	{ "{d: DATE(1709210096007)}", "{$dateToString: {date: '$d'}}", "{v: '2024-02-29T12:34:56.007Z'}" },
	{ "{d: DATE(-1)}", "{$dateToString: {date: '$d', format: '%Y/%m/%d %H:%M:%S.%L %j %w %%'}}", "{v: '1969/12/31 23:59:59.999 365 4 %'}" },
	{ "{d: null}", "{$dateToString: {date: '$d', onNull: 'none'}}", "{v: 'none'}" },
	{ "{d: DATE(0)}", "{$dateToString: {date: '$d', format: '%q'}}", "!a format of" },
	{ "{d: DATE(0)}", "{$dateToString: {date: '$d', timezone: 'Europe/Berlin'}}", "!UTC" },
	{ "{a: 1}", "[{$type: '$a'}, {$type: '$b'}, {$isNumber: '$a'}]", "{v: ['int', 'missing', true]}" },
	{ "{a: 12, d: DATE(0), o: OID(0102030405060708090a0b0c)}", "[{$toString: '$a'}, {$toString: '$d'}, {$toString: '$o'}, {$toString: true}]",
	  "{v: ['12', '1970-01-01T00:00:00.000Z', '0102030405060708090a0b0c', 'true']}" },
	{ "{a: 1.9, d: DATE(5)}", "[{$toInt: '$a'}, {$toLong: '$d'}, {$toDouble: 2}, {$toInt: true}]", "{v: [1, 5L, 2.0, 1]}" },
	{ "{a: 1e10}", "{$toInt: '$a'}", "!in the range" },
	{ "{a: DEC(1)}", "{$add: ['$a', 1]}", "!decimal128" },
	/* clang-format on */
};

static void expressions_have_values(void **state)
{
	for (size_t i = 0; i < sizeof(expressions) / sizeof(expressions[0]); i++) {
		char documents[512];
		char stages[512];
		char expected[512];
		const char *wanted = expressions[i].expected;
		struct store_failure f = { 0 };
		struct budget budget = { 0 };
		(void)snprintf(documents, sizeof(documents), "{r: [%s]}", expressions[i].document);
		(void)snprintf(stages, sizeof(stages), "{stages: [{$project: {_id: 0, v: %s}}]}",
			expressions[i].expression);
		if (wanted[0] != '!') {
			(void)snprintf(expected, sizeof(expected), "{r: [%s]}", wanted);
			expect(documents, stages, expected);
		} else if (strcmp(wanted, "!names") == 0) {
			/* Nested names are paths of the new document. */
			expect(documents, stages, "{r: [{v: {x: 1, z: [1, null]}}]}");
		} else {
			char *text = run(documents, stages, &limits, &budget, &f);
			if (text != NULL || strstr(f.message, wanted + 1) == NULL) {
				fail_msg("%s: got %s, \"%s\"", stages, text, f.message);
			}
		}
	}
}

static void documents_are_reshaped(void **state)
{
	static const char d[] =
		"{r: [{_id: 1, a: 1, b: {c: 2, d: 3}, e: [{f: 1, g: 2}, 5, {g: 3}]}]}";
	expect(d, "{stages: [{$project: {a: 1, 'b.c': 1}}]}", "{r: [{_id: 1, a: 1, b: {c: 2}}]}");
	expect(d, "{stages: [{$project: {b: {c: 1}, _id: false}}]}", "{r: [{b: {c: 2}}]}");
	expect(d, "{stages: [{$project: {e: 0, 'b.d': 0}}]}", "{r: [{_id: 1, a: 1, b: {c: 2}}]}");
	expect(d, "{stages: [{$project: {_id: 0}}]}",
		"{r: [{a: 1, b: {c: 2, d: 3}, e: [{f: 1, g: 2}, 5, {g: 3}]}]}");
	expect(d, "{stages: [{$project: {'e.f': 1}}]}", "{r: [{_id: 1, e: [{f: 1}, {}]}]}");
	expect(d, "{stages: [{$project: {_id: '$a', n: '$none'}}]}", "{r: [{_id: 1}]}");
	expect(d, "{stages: [{$addFields: {'e.h': '$a', 'x.y': 9}}]}",
		"{r: [{_id: 1, a: 1, b: {c: 2, d: 3}, e: [{f: 1, g: 2, h: 1}, {h: 1}, {g: 3, h: 1}], x: "
		"{y: 9}}]}");
	expect(d, "{stages: [{$set: {a: '$$REMOVE', e: [], b: {c: 'z'}}}]}",
		"{r: [{_id: 1, b: {c: 'z', d: 3}, e: []}]}");
	expect(d, "{stages: [{$set: {a: {p: '$a'}}}, {$unset: ['e', 'b.c']}]}",
		"{r: [{_id: 1, a: {p: 1}, b: {d: 3}}]}");
	expect(d, "{stages: [{$unset: 'e.g'}, {$unset: 'b'}]}",
		"{r: [{_id: 1, a: 1, e: [{f: 1}, 5, {}]}]}");
}

static void groups_accumulate(void **state)
{
	static const char d[] =
		"{r: [{k: 1, n: 1, s: 'a'}, {k: 1.0, n: 2L, s: 'b'}, {k: 2, n: 0.5}, {n: 'x', s: 'a'}, "
		"{k: null, n: null}, {k: 1, n: 3, s: 'a'}]}";
	expect(d, "{stages: [{$group: {_id: '$k', s: {$sum: '$n'}, c: {$count: {}}}}]}",
		"{r: [{_id: 1, s: 6L, c: 3}, {_id: 2, s: 0.5, c: 1}, {_id: null, s: 0, c: 2}]}");
	expect(d,
		"{stages: [{$group: {_id: '$k', a: {$avg: '$n'}, f: {$first: '$s'}, l: {$last: '$s'}}}]}",
		"{r: [{_id: 1, a: 2.0, f: 'a', l: 'a'}, {_id: 2, a: 0.5, f: null, l: null}, {_id: null, a: null, f: "
		"'a', l: null}]}");
	expect(d,
		"{stages: [{$group: {_id: null, lo: {$min: '$n'}, hi: {$max: '$n'}, p: {$push: '$s'}, u: {$addToSet: '$s'}}}]}",
		"{r: [{_id: null, lo: 0.5, hi: 'x', p: ['a', 'b', 'a', 'a'], u: ['a', 'b']}]}");
	expect("{r: [{n: 0.1}, {n: 0.2}, {n: 0.3}, {n: -0.6}]}",
		"{stages: [{$group: {_id: 1, s: {$sum: '$n'}}}, {$project: {s: {$lt: [{$abs: '$s'}, 1e-16]}}}]}",
		"{r: [{_id: 1, s: true}]}");
	expect("{r: [{n: 9223372036854775807L}, {n: 1}]}",
		"{stages: [{$group: {_id: 1, s: {$sum: '$n'}}}]}",
		"{r: [{_id: 1, s: 9223372036854775808.0}]}");
	expect("{r: [{n: 2147483647}, {n: 1}]}", "{stages: [{$group: {_id: 1, s: {$sum: '$n'}}}]}",
		"{r: [{_id: 1, s: 2147483648L}]}");
	expect(d, "{stages: [{$sortByCount: '$k'}, {$limit: 1}]}", "{r: [{_id: 1, count: 3}]}");
	expect("{r: []}", "{stages: [{$group: {_id: null}}]}", "{r: []}");
}

static void arrays_are_unwound(void **state)
{
	static const char d[] =
		"{r: [{_id: 1, a: {b: [1, 2]}, i: 'old'}, {_id: 2, a: {b: null}}, {_id: 3}]}";
	expect(d, "{stages: [{$unwind: '$a.b'}]}",
		"{r: [{_id: 1, a: {b: 1}, i: 'old'}, {_id: 1, a: {b: 2}, i: 'old'}]}");
	expect(d,
		"{stages: [{$unwind: {path: '$a.b', includeArrayIndex: 'i', preserveNullAndEmptyArrays: true}}]}",
		"{r: [{_id: 1, a: {b: 1}, i: 0L}, {_id: 1, a: {b: 2}, i: 1L}, {_id: 2, a: {b: null}, i: null}, {_id: 3, i: null}]}");
	expect(d, "{stages: [{$unwind: '$a.b'}, {$limit: 1}]}",
		"{r: [{_id: 1, a: {b: 1}, i: 'old'}]}");
}

static void order_and_number(void **state)
{
	static const char d[] = "{r: [{n: 3}, {n: 1}, {n: 2}, {n: 5}, {n: 4}]}";
	expect(d, "{stages: [{$sort: {n: -1}}, {$limit: 2}]}", "{r: [{n: 5}, {n: 4}]}");
	expect(d, "{stages: [{$sort: {n: 1}}, {$skip: 3}]}", "{r: [{n: 4}, {n: 5}]}");
	expect(d, "{stages: [{$limit: 2}, {$sort: {n: 1}}]}", "{r: [{n: 1}, {n: 3}]}");
	expect(d, "{stages: [{$match: {n: {$gt: 2}}}, {$count: 'x'}]}", "{r: [{x: 3}]}");
	expect(d, "{stages: [{$match: {n: 9}}, {$count: 'x'}]}", "{r: []}");
	expect(d,
		"{stages: [{$sort: {n: 1}}, {$group: {_id: {$mod: ['$n', 2]}, l: {$push: '$n'}}}, {$sort: {_id: 1}}, {$limit: 1}]}",
		"{r: [{_id: 0, l: [2, 4]}]}");
}

static const struct {
	enum store_error error;
	const char *stages;
	const char *text;
} refusals[] = {
	/* clang-format off */
	{ STORE_E_UNSUPPORTED, "[{$lookup: {from: 'x'}}]", "unsupported stage $lookup" },
	{ STORE_E_UNSUPPORTED, "[{$facet: {}}]", "unsupported stage $facet" },
	{ STORE_E_UNSUPPORTED, "[{$out: 'x'}]", "unsupported stage $out" },
	{ STORE_E_UNSUPPORTED, "[{$replaceRoot: {newRoot: '$a'}}]", "unsupported stage $replaceRoot" },
	{ STORE_E_INVALID, "[5]", "a stage is a document with one name" },
	{ STORE_E_INVALID, "[{}]", "a stage is a document with one name" },
	{ STORE_E_INVALID, "[{$match: 1}]", "$match needs a filter, not an int32" },
	{ STORE_E_UNSUPPORTED, "[{$match: {$where: '1'}}]", "unsupported operator $where" },
	{ STORE_E_INVALID, "[{$sort: {}}]", "$sort needs the names of fields" },
	{ STORE_E_INVALID, "[{$sort: {a: 2}}]", "needs 1 or -1" },
	{ STORE_E_INVALID, "[{$limit: 0}]", "$limit needs a whole number from 1 on" },
	{ STORE_E_INVALID, "[{$limit: 1.5}]", "$limit needs" },
	{ STORE_E_INVALID, "[{$skip: -1}]", "$skip needs" },
	{ STORE_E_LIMIT, "[{$skip: 101}]", "MOZAIKS_MAX_SKIP" },
	{ STORE_E_INVALID, "[{$count: ''}]", "$count needs the name of a field" },
	{ STORE_E_INVALID, "[{$count: 'a.b'}]", "$count needs the name of a field" },
	{ STORE_E_INVALID, "[{$count: '$a'}]", "$count needs the name of a field" },
	{ STORE_E_INVALID, "[{$unwind: 'a'}]", "$unwind needs a path" },
	{ STORE_E_INVALID, "[{$unwind: '$$ROOT'}]", "$unwind needs a path" },
	{ STORE_E_INVALID, "[{$unwind: {}}]", "$unwind needs a path" },
	{ STORE_E_UNSUPPORTED, "[{$unwind: {path: '$a', x: 1}}]", "$unwind does not know x" },
	{ STORE_E_INVALID, "[{$unwind: {path: '$a', includeArrayIndex: '$b'}}]", "includeArrayIndex" },
	{ STORE_E_INVALID, "[{$project: {}}]", "$project needs a document" },
	{ STORE_E_INVALID, "[{$project: {a: 1, b: 0}}]", "all kept or all dropped" },
	{ STORE_E_INVALID, "[{$project: {a: '$b', c: 0}}]", "all kept or all dropped" },
	{ STORE_E_INVALID, "[{$project: {a: 1, 'a.b': 1}}]", "conflicts" },
	{ STORE_E_INVALID, "[{$project: {'a..b': 1}}]", "empty part" },
	{ STORE_E_UNSUPPORTED, "[{$project: {'a.$': 1}}]", "unsupported operator $ in the name" },
	{ STORE_E_UNSUPPORTED, "[{$project: {a: {$function: {}}}}]", "unsupported operator $function" },
	{ STORE_E_UNSUPPORTED, "[{$project: {a: {$let: {}}}}]", "unsupported operator $let" },
	{ STORE_E_UNSUPPORTED, "[{$project: {a: {$getField: 'b'}}}]", "unsupported operator $getField" },
	{ STORE_E_UNSUPPORTED, "[{$project: {a: '$$x'}}]", "unsupported variable $$x" },
	{ STORE_E_INVALID, "[{$project: {a: '$'}}]", "no name of a field" },
	{ STORE_E_INVALID, "[{$project: {a: '$b.$c'}}]", "no name of a field" },
	{ STORE_E_INVALID, "[{$project: {a: {$eq: [1]}}}]", "$eq needs 2 arguments, not 1" },
	{ STORE_E_INVALID, "[{$project: {a: {$add: 1, $eq: [1, 1]}}}]", "one operator stands alone" },
	{ STORE_E_INVALID, "[{$project: {a: {$cond: {if: 1, then: 2}}}}]", "$cond needs the argument else" },
	{ STORE_E_UNSUPPORTED, "[{$project: {a: {$cond: {if: 1, then: 2, else: 3, x: 4}}}}]", "$cond does not know the argument x" },
	{ STORE_E_INVALID, "[{$unset: 5}]", "$unset needs names" },
	{ STORE_E_INVALID, "[{$unset: ['a', '$b']}]", "$unset needs names" },
	{ STORE_E_INVALID, "[{$addFields: 5}]", "$addFields needs a document" },
	{ STORE_E_INVALID, "[{$group: 5}]", "$group needs a document" },
	{ STORE_E_INVALID, "[{$group: {a: {$sum: 1}}}]", "$group needs an _id" },
	{ STORE_E_INVALID, "[{$group: {_id: 1, a: 1}}]", "a needs one operator" },
	{ STORE_E_INVALID, "[{$group: {_id: 1, 'a.b': {$sum: 1}}}]", "no name of a new field" },
	{ STORE_E_UNSUPPORTED, "[{$group: {_id: 1, a: {$accumulator: 1}}}]", "unsupported operator $accumulator in $group" },
	{ STORE_E_INVALID, "[{$group: {_id: 1, a: {$count: 1}}}]", "$count in $group needs {}" },
	{ STORE_E_INVALID, "[{$sortByCount: 'a'}]", "$sortByCount needs" },
	/* clang-format on */
};

static void what_is_not_supported_is_named(void **state)
{
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		char stages[512];
		struct store_failure f = { 0 };
		struct budget budget = { 0 };
		(void)snprintf(stages, sizeof(stages), "{stages: %s}", refusals[i].stages);
		char *text = run("{r: []}", stages, &limits, &budget, &f);
		if (text != NULL || f.error != refusals[i].error ||
			strstr(f.message, refusals[i].text) == NULL) {
			fail_msg("%s: got %s, %d \"%s\"", stages, text, f.error, f.message);
		}
	}
}

static void
refuse(const char *documents, const char *stages, const struct pipeline_limits *l, const char *part)
{
	struct store_failure f = { 0 };
	struct budget budget = { 0 };
	char *text = run(documents, stages, l, &budget, &f);
	if (text != NULL || f.error != STORE_E_LIMIT || strstr(f.message, part) == NULL) {
		fail_msg("%s: got %s, %d \"%s\"", stages, text, f.error, f.message);
	}
}

static void limits_hold(void **state)
{
	static const char d[] =
		"{r: [{a: 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx', b: 1}, {a: 'yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy', b: 2}]}";
	struct pipeline_limits small = limits;
	small.stages = 1;
	refuse(d, "{stages: [{$limit: 1}, {$limit: 1}]}", &small,
		"more than 1 stages (MOZAIKS_MAX_PIPELINE_STAGES)");
	small = limits;
	small.result_bytes = 100;
	refuse(d, "{stages: [{$sort: {a: 1}}]}", &small,
		"$sort needs more than 100 bytes (MOZAIKS_MAX_RESULT_BYTES");
	refuse(d, "{stages: [{$group: {_id: '$a'}}]}", &small,
		"$group needs more than 100 bytes (MOZAIKS_MAX_RESULT_BYTES");
	small.result_bytes = 1000;
	refuse(d,
		"{stages: [{$group: {_id: null, l: {$push: '$$ROOT'}}}, {$project: {m: {$concatArrays: ['$l', '$l', '$l', '$l', '$l', '$l', '$l', '$l']}}}]}",
		&small, "MOZAIKS_MAX_RESULT_BYTES");
}

/* A stage that nests what it gets, again and again, comes to an end. */
static void depth_is_bounded(void **state)
{
	char stages[4000];
	size_t n = (size_t)snprintf(stages, sizeof(stages), "{stages: [");
	for (int i = 0; i < 40; i++) {
		n += (size_t)snprintf(
			stages + n, sizeof(stages) - n, "{$project: {a: {a: {a: '$$ROOT'}}}}, ");
	}
	(void)snprintf(stages + n, sizeof(stages) - n, "{$limit: 1}]}");
	refuse("{r: [{x: 1}]}", stages, &limits, "nested deeper than 64 levels");

	char open[71];
	char close[71];
	memset(open, '[', 70);
	memset(close, ']', 70);
	open[70] = close[70] = '\0';
	(void)snprintf(stages, sizeof(stages), "{stages: [{$project: {v: %s1%s}}]}", open, close);
	refuse("{r: [{x: 1}]}", stages, &limits, "nested deeper than 64 levels");
}

static void time_is_bounded(void **state)
{
	static const char stages[] =
		"{stages: [{$unwind: '$a'}, {$set: {b: '$c'}}, {$unwind: '$b'}, {$set: {d: '$c'}}, {$unwind: '$d'}, {$group: {_id: '$d'}}]}";
	struct store_failure f = { 0 };
	struct budget budget = { .deadline_ms = clock_ms() + 50 };
	char document[9000];
	char ones[2001] = "";
	for (size_t i = 0; i < 1000; i++) {
		memcpy(ones + 2 * i, ",1", 3);
	}
	(void)snprintf(document, sizeof(document), "{r: [{a: [0%s], c: [0%s]}]}", ones, ones);
	uint64_t before = clock_ms();
	free(run(document, stages, &limits, &budget, &f));
	assert_true(budget_spent(&budget));
	assert_true(clock_ms() - before < 5000);
}

static void calendars_agree(void **state)
{
	static const struct {
		int64_t ms;
		int64_t year;
		int month, day, day_of_year, day_of_week;
	} dates[] = {
		{ 0, 1970, 1, 1, 1, 5 },
		{ -1, 1969, 12, 31, 365, 4 },
		{ 951782400000, 2000, 2, 29, 60, 3 },
		{ 4107542400000, 2100, 3, 1, 60, 2 },
		{ -62135596800000, 1, 1, 1, 1, 2 },
		{ -62167219200000, 0, 1, 1, 1, 7 },
		{ 253402300799999, 9999, 12, 31, 365, 6 },
	};
	for (size_t i = 0; i < sizeof(dates) / sizeof(dates[0]); i++) {
		struct calendar c;
		calendar_of(dates[i].ms, &c);
		assert_int_equal(c.year, dates[i].year);
		assert_int_equal(c.month, dates[i].month);
		assert_int_equal(c.day, dates[i].day);
		assert_int_equal(c.day_of_year, dates[i].day_of_year);
		assert_int_equal(c.day_of_week, dates[i].day_of_week);
	}
	struct calendar c;
	calendar_of(INT64_MIN, &c);
	calendar_of(INT64_MAX, &c);
	assert_true(c.year > 292000000);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(expressions_have_values),
		cmocka_unit_test(documents_are_reshaped),
		cmocka_unit_test(groups_accumulate),
		cmocka_unit_test(arrays_are_unwound),
		cmocka_unit_test(order_and_number),
		cmocka_unit_test(what_is_not_supported_is_named),
		cmocka_unit_test(limits_hold),
		cmocka_unit_test(depth_is_bounded),
		cmocka_unit_test(time_is_bounded),
		cmocka_unit_test(calendars_agree),
	};
	if (map_init() != 0) {
		return 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
