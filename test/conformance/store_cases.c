#include "test/conformance/store_cases.h"

/* Later members of the initialiser win: what is said after the dots overrides the defaults. */
#pragma GCC diagnostic ignored "-Woverride-init"
#ifdef __clang__
#pragma GCC diagnostic ignored "-Winitializer-overrides"
#endif

#define PUT(w, docs, ...)                                                                    \
	{                                                                                    \
		.who = (w), .op = STORE_INSERT, .insert = (docs), .ordered = true, .n = ANY, \
		.modified = ANY, __VA_ARGS__                                                 \
	}
#define FIND(w, f, docs, ...)                                                               \
	{                                                                                   \
		.who = (w), .op = STORE_FIND, .filter = (f), .documents = (docs), .n = ANY, \
		.modified = ANY, __VA_ARGS__                                                \
	}
#define COUNT(w, f, count, ...)                                                              \
	{                                                                                    \
		.who = (w), .op = STORE_COUNT, .filter = (f), .n = (count), .modified = ANY, \
		__VA_ARGS__                                                                  \
	}
#define DISTINCT(w, name, f, values, ...)                                         \
	{                                                                         \
		.who = (w), .op = STORE_DISTINCT, .field = (name), .filter = (f), \
		.documents = (values), .n = ANY, .modified = ANY, __VA_ARGS__     \
	}
#define UPDATE(w, f, u, matched, changed, ...)                                                \
	{                                                                                     \
		.who = (w), .op = STORE_UPDATE, .filter = (f), .update = (u), .n = (matched), \
		.modified = (changed), .upserted = "", __VA_ARGS__                            \
	}
#define DELETE(w, f, gone, ...)                                                              \
	{                                                                                    \
		.who = (w), .op = STORE_DELETE, .filter = (f), .n = (gone), .modified = ANY, \
		__VA_ARGS__                                                                  \
	}
#define MODIFY(w, f, u, doc, ...)                                                                 \
	{                                                                                         \
		.who = (w), .op = STORE_MODIFY, .filter = (f), .update = (u), .documents = (doc), \
		.n = ANY, .modified = ANY, .upserted = "", __VA_ARGS__                            \
	}
#define AGGREGATE(w, stages, docs, ...)                                                  \
	{                                                                                \
		.who = (w), .op = STORE_AGGREGATE, .pipeline = "{stages: [" stages "]}", \
		.documents = (docs), .n = ANY, .modified = ANY, __VA_ARGS__              \
	}
#define SORTED .sort = "{}"
#define INDEX(w, spec, ...)                                                                       \
	{                                                                                         \
		.who = (w), .op = STORE_INDEX_CREATE, .index = (spec), .n = ANY, .modified = ANY, \
		__VA_ARGS__                                                                       \
	}
#define DROP_INDEX(w, name, ...)                                                                \
	{                                                                                       \
		.who = (w), .op = STORE_INDEX_DROP, .field = (name), .n = ANY, .modified = ANY, \
		__VA_ARGS__                                                                     \
	}
#define INDEXES(w, docs)                                                                           \
	{                                                                                          \
		.who = (w), .op = STORE_INDEX_LIST, .documents = (docs), .n = ANY, .modified = ANY \
	}
#define REFUSED(e, text) .error = (e), .says = (text), .n = ANY, .modified = ANY
#define INVALID(text)    REFUSED(STORE_E_INVALID, text)
#define DENIED(text)     REFUSED(STORE_E_PERMISSION, text)

/* clang-format off */
const struct store_case store_cases[] = {
/* --- find ------------------------------------------------------------------------------------- */
{ "find: nothing in a collection that is not there", {
	FIND(SHARED, NULL, ""),
	COUNT(SHARED, "{a: 1}", 0),
	DISTINCT(SHARED, "a", NULL, "{values: []}"),
} },
{ "find: equality", {
	PUT(SHARED, "{_id: 1, a: 1, b: 'x'} {_id: 2, a: 2, b: 'x'} {_id: 3, a: 2}", .n = 3),
	FIND(SHARED, NULL, "{_id: 1, a: 1, b: 'x'} {_id: 2, a: 2, b: 'x'} {_id: 3, a: 2}"),
	FIND(SHARED, "{}", "{_id: 1, a: 1, b: 'x'} {_id: 2, a: 2, b: 'x'} {_id: 3, a: 2}"),
	FIND(SHARED, "{a: 2}", "{_id: 2, a: 2, b: 'x'} {_id: 3, a: 2}"),
	FIND(SHARED, "{a: 2, b: 'x'}", "{_id: 2, a: 2, b: 'x'}"),
	FIND(SHARED, "{a: {$eq: 1}}", "{_id: 1, a: 1, b: 'x'}"),
	FIND(SHARED, "{_id: 3}", "{_id: 3, a: 2}"),
	FIND(SHARED, "{a: 9}", ""),
} },
{ "find: numbers are equal across their types", {
	PUT(SHARED, "{_id: 1, a: 1} {_id: 2, a: 1L} {_id: 3, a: 1.0} {_id: 4, a: '1'}"),
	FIND(SHARED, "{a: 1}", "{_id: 1, a: 1} {_id: 2, a: 1L} {_id: 3, a: 1.0}"),
	FIND(SHARED, "{_id: 2.0}", "{_id: 2, a: 1L}"),
} },
{ "find: null matches what is missing", {
	PUT(SHARED, "{_id: 1, a: null} {_id: 2} {_id: 3, a: 0}"),
	FIND(SHARED, "{a: null}", "{_id: 1, a: null} {_id: 2}"),
	FIND(SHARED, "{a: {$ne: null}}", "{_id: 3, a: 0}"),
} },
{ "find: an array matches by its elements and as a whole", {
	PUT(SHARED, "{_id: 1, a: [1, 2]} {_id: 2, a: [2, 3]} {_id: 3, a: 2}"),
	FIND(SHARED, "{a: 2}", "{_id: 1, a: [1, 2]} {_id: 2, a: [2, 3]} {_id: 3, a: 2}"),
	FIND(SHARED, "{a: [1, 2]}", "{_id: 1, a: [1, 2]}"),
	FIND(SHARED, "{a: [2, 1]}", ""),
	FIND(SHARED, "{a.0: 2}", "{_id: 2, a: [2, 3]}"),
} },
{ "find: documents are compared with the order of their fields", {
	PUT(SHARED, "{_id: 1, a: {x: 1, y: 2}} {_id: 2, a: {y: 2, x: 1}}"),
	FIND(SHARED, "{a: {x: 1, y: 2}}", "{_id: 1, a: {x: 1, y: 2}}"),
	FIND(SHARED, "{a.x: 1}", "{_id: 1, a: {x: 1, y: 2}} {_id: 2, a: {y: 2, x: 1}}"),
} },
{ "find: dotted paths go through arrays of documents", {
	PUT(SHARED, "{_id: 1, a: [{b: 1}, {b: 2}]} {_id: 2, a: {b: 2}} {_id: 3, a: [{c: 2}]}"),
	FIND(SHARED, "{a.b: 2}", "{_id: 1, a: [{b: 1}, {b: 2}]} {_id: 2, a: {b: 2}}"),
	FIND(SHARED, "{a.1.b: 2}", "{_id: 1, a: [{b: 1}, {b: 2}]}"),
} },
{ "find: ranges", {
	PUT(SHARED, "{_id: 1, a: 1} {_id: 2, a: 2.5} {_id: 3, a: 3L} {_id: 4, a: 'b'} {_id: 5}"),
	FIND(SHARED, "{a: {$gt: 1}}", "{_id: 2, a: 2.5} {_id: 3, a: 3L}"),
	FIND(SHARED, "{a: {$gte: 1, $lt: 3}}", "{_id: 1, a: 1} {_id: 2, a: 2.5}"),
	FIND(SHARED, "{a: {$lte: 2.5}}", "{_id: 1, a: 1} {_id: 2, a: 2.5}"),
	FIND(SHARED, "{a: {$gt: 'a'}}", "{_id: 4, a: 'b'}"),
	FIND(SHARED, "{a: {$ne: 1}}",
		"{_id: 2, a: 2.5} {_id: 3, a: 3L} {_id: 4, a: 'b'} {_id: 5}"),
} },
{ "find: ranges of dates", {
	PUT(SHARED, "{_id: 1, at: DATE(1000)} {_id: 2, at: DATE(2000)} {_id: 3, at: DATE(-5)}"),
	FIND(SHARED, "{at: {$gte: DATE(1000)}}", "{_id: 1, at: DATE(1000)} {_id: 2, at: DATE(2000)}"),
	FIND(SHARED, "{at: {$lt: DATE(0)}}", "{_id: 3, at: DATE(-5)}"),
} },
{ "find: $in and $nin", {
	PUT(SHARED, "{_id: 1, a: 1} {_id: 2, a: [2, 3]} {_id: 3} {_id: 4, a: 'abc'}"),
	FIND(SHARED, "{a: {$in: [1, 3]}}", "{_id: 1, a: 1} {_id: 2, a: [2, 3]}"),
	FIND(SHARED, "{a: {$in: [null]}}", "{_id: 3}"),
	FIND(SHARED, "{a: {$in: []}}", ""),
	FIND(SHARED, "{a: {$nin: [1, 2]}}", "{_id: 3} {_id: 4, a: 'abc'}"),
	FIND(SHARED, "{_id: {$in: [4, 1, 9]}}", "{_id: 1, a: 1} {_id: 4, a: 'abc'}"),
} },
{ "find: one value twice in $in", {
	PUT(SHARED, "{_id: 1, a: 1} {_id: 2, a: 2}"),
	FIND(SHARED, "{_id: {$in: [1, 2, 1, 1.0, 1L]}}", "{_id: 1, a: 1} {_id: 2, a: 2}"),
	COUNT(SHARED, "{_id: {$in: [2, 2]}}", 1),
	COUNT(SHARED, "{a: {$in: [2, 1, 2]}}", 2),
	UPDATE(SHARED, "{_id: {$in: [1, 1]}}", "{$inc: {a: 1}}", 1, 1, .multi = true),
	FIND(SHARED, "{_id: 1}", "{_id: 1, a: 2}"),
	DELETE(SHARED, "{_id: {$in: [1, 1, 2]}}", 2, .multi = true),
} },
{ "find: a regular expression in $in", {
	PUT(SHARED, "{_id: 1, a: 'abc'} {_id: 2, a: 'bcd'}"),
	FIND(SHARED, "{a: {$in: [/^b/]}}", "{_id: 2, a: 'bcd'}"),
} },
{ "find: $exists", {
	PUT(SHARED, "{_id: 1, a: null} {_id: 2} {_id: 3, b: {c: 1}}"),
	FIND(SHARED, "{a: {$exists: true}}", "{_id: 1, a: null}"),
	FIND(SHARED, "{a: {$exists: false}}", "{_id: 2} {_id: 3, b: {c: 1}}"),
	FIND(SHARED, "{b.c: {$exists: true}}", "{_id: 3, b: {c: 1}}"),
} },
{ "find: $type", {
	PUT(SHARED, "{_id: 1, a: 1} {_id: 2, a: 'x'} {_id: 3, a: 1.5} {_id: 4, a: null} {_id: 5, a: 2L}"),
	FIND(SHARED, "{a: {$type: 'string'}}", "{_id: 2, a: 'x'}"),
	FIND(SHARED, "{a: {$type: 16}}", "{_id: 1, a: 1}"),
	FIND(SHARED, "{a: {$type: ['null', 'double']}}", "{_id: 3, a: 1.5} {_id: 4, a: null}"),
} },
{ "find: $type number", {
	PUT(SHARED, "{_id: 1, a: 1} {_id: 2, a: 'x'} {_id: 3, a: 1.5} {_id: 5, a: 2L}"),
	FIND(SHARED, "{a: {$type: 'number'}}", "{_id: 1, a: 1} {_id: 3, a: 1.5} {_id: 5, a: 2L}"),
} },
{ "find: $size, $all, $elemMatch", {
	PUT(SHARED, "{_id: 1, a: [1, 2, 3]} {_id: 2, a: [{x: 1, y: 1}, {x: 2, y: 0}]} {_id: 3, a: []}"),
	FIND(SHARED, "{a: {$size: 0}}", "{_id: 3, a: []}"),
	FIND(SHARED, "{a: {$all: [3, 1]}}", "{_id: 1, a: [1, 2, 3]}"),
	FIND(SHARED, "{a: {$elemMatch: {$gt: 2, $lt: 9}}}", "{_id: 1, a: [1, 2, 3]}"),
} },
{ "find: $elemMatch on documents", {
	PUT(SHARED, "{_id: 1, a: [{x: 1, y: 1}, {x: 2, y: 0}]}"),
	FIND(SHARED, "{a: {$elemMatch: {x: 1, y: 1}}}", "{_id: 1, a: [{x: 1, y: 1}, {x: 2, y: 0}]}"),
	FIND(SHARED, "{a: {$elemMatch: {x: 1, y: 0}}}", ""),
} },
{ "find: $mod", {
	PUT(SHARED, "{_id: 1, a: 4} {_id: 2, a: 5} {_id: 3, a: 'x'}"),
	FIND(SHARED, "{a: {$mod: [4, 1]}}", "{_id: 2, a: 5}"),
} },
{ "find: $and, $or, $nor, $not", {
	PUT(SHARED, "{_id: 1, a: 1, b: 1} {_id: 2, a: 1, b: 2} {_id: 3, a: 2, b: 2} {_id: 4}"),
	FIND(SHARED, "{$and: [{a: 1}, {b: 2}]}", "{_id: 2, a: 1, b: 2}"),
	FIND(SHARED, "{$or: [{a: 2}, {b: 1}]}", "{_id: 1, a: 1, b: 1} {_id: 3, a: 2, b: 2}"),
	FIND(SHARED, "{$nor: [{a: 1}, {a: 2}]}", "{_id: 4}"),
	FIND(SHARED, "{a: {$not: {$gt: 1}}}", "{_id: 1, a: 1, b: 1} {_id: 2, a: 1, b: 2} {_id: 4}"),
	FIND(SHARED, "{b: 2, $or: [{a: 1}, {$and: [{a: 2}, {_id: 9}]}]}", "{_id: 2, a: 1, b: 2}"),
} },
{ "find: regular expressions", {
	PUT(SHARED, "{_id: 1, a: 'Apple'} {_id: 2, a: 'banana'} {_id: 3, a: 'grape\nline'} {_id: 4, a: 5}"),
	FIND(SHARED, "{a: /an/}", "{_id: 2, a: 'banana'}"),
	FIND(SHARED, "{a: {$regex: '^app', $options: 'i'}}", "{_id: 1, a: 'Apple'}"),
	FIND(SHARED, "{a: {$regex: '^line', $options: 'm'}}", "{_id: 3, a: 'grape\nline'}"),
	FIND(SHARED, "{a: {$not: /[b-g]/}}", "{_id: 4, a: 5}"),
} },
{ "find: by ObjectId", {
	PUT(SHARED, "{_id: OID(0102030405060708090a0b0c), a: 1} {_id: OID(0102030405060708090a0b0d), a: 2}"),
	FIND(SHARED, "{_id: OID(0102030405060708090a0b0d)}", "{_id: OID(0102030405060708090a0b0d), a: 2}"),
	FIND(SHARED, "{_id: '0102030405060708090a0b0d'}", ""),
} },
{ "find: sorted", {
	PUT(SHARED, "{_id: 1, a: 2, b: 1} {_id: 2, a: 1, b: 2} {_id: 3, a: 2, b: 0}"),
	FIND(SHARED, NULL, "{_id: 2, a: 1, b: 2} {_id: 3, a: 2, b: 0} {_id: 1, a: 2, b: 1}", .sort = "{a: 1, b: 1}"),
	FIND(SHARED, NULL, "{_id: 1, a: 2, b: 1} {_id: 3, a: 2, b: 0} {_id: 2, a: 1, b: 2}", .sort = "{a: -1, b: -1}"),
	FIND(SHARED, NULL, "{_id: 3, a: 2, b: 0} {_id: 2, a: 1, b: 2} {_id: 1, a: 2, b: 1}", .sort = "{_id: -1}"),
} },
{ "find: types have an order", {
	PUT(SHARED, "{_id: 1, a: 'x'} {_id: 2, a: 5} {_id: 3} {_id: 4, a: true} {_id: 5, a: DATE(1)} {_id: 6, a: {b: 1}}"),
	FIND(SHARED, NULL, "{_id: 3} {_id: 2, a: 5} {_id: 1, a: 'x'} {_id: 6, a: {b: 1}} {_id: 4, a: true} {_id: 5, a: DATE(1)}",
		.sort = "{a: 1}"),
} },
{ "find: an array is sorted by its least or greatest element", {
	PUT(SHARED, "{_id: 1, a: [5, 1]} {_id: 2, a: 3} {_id: 3, a: [2, 4]}"),
	FIND(SHARED, NULL, "{_id: 1, a: [5, 1]} {_id: 3, a: [2, 4]} {_id: 2, a: 3}", .sort = "{a: 1}"),
	FIND(SHARED, NULL, "{_id: 1, a: [5, 1]} {_id: 3, a: [2, 4]} {_id: 2, a: 3}", .sort = "{a: -1}"),
} },
{ "find: skip and limit", {
	PUT(SHARED, "{_id: 1} {_id: 2} {_id: 3} {_id: 4} {_id: 5}"),
	FIND(SHARED, NULL, "{_id: 2} {_id: 3}", .sort = "{_id: 1}", .skip = 1, .limit = 2),
	FIND(SHARED, NULL, "{_id: 1}", .sort = "{_id: 1}", .limit = 1),
	FIND(SHARED, NULL, "{_id: 5}", .sort = "{_id: 1}", .skip = 4),
	FIND(SHARED, NULL, "", .sort = "{_id: 1}", .skip = 5),
	FIND(SHARED, "{_id: {$gt: 1}}", "{_id: 3} {_id: 2}", .sort = "{_id: -1}", .skip = 2, .limit = 9),
} },
{ "find: projections", {
	PUT(SHARED, "{_id: 1, a: 1, b: {c: 2, d: 3}, e: [{f: 1, g: 2}]}"),
	FIND(SHARED, NULL, "{_id: 1, a: 1}", .projection = "{a: 1}"),
	FIND(SHARED, NULL, "{a: 1}", .projection = "{a: true, _id: 0}"),
	FIND(SHARED, NULL, "{_id: 1, b: {c: 2, d: 3}, e: [{f: 1, g: 2}]}", .projection = "{a: 0}"),
	FIND(SHARED, NULL, "{a: 1, b: {c: 2, d: 3}, e: [{f: 1, g: 2}]}", .projection = "{_id: 0}"),
	FIND(SHARED, NULL, "{_id: 1, b: {c: 2}}", .projection = "{b.c: 1}"),
	FIND(SHARED, NULL, "{_id: 1, a: 1, b: {d: 3}, e: [{f: 1, g: 2}]}", .projection = "{b.c: 0}"),
	FIND(SHARED, NULL, "{_id: 1}", .projection = "{z: 1}"),
} },
{ "find: projections go through arrays", {
	PUT(SHARED, "{_id: 1, e: [{f: 1, g: 2}, {g: 3}]}"),
	FIND(SHARED, NULL, "{_id: 1, e: [{f: 1}, {}]}", .projection = "{e.f: 1}"),
	FIND(SHARED, NULL, "{_id: 1, e: [{g: 2}, {g: 3}]}", .projection = "{e.f: 0}"),
} },
{ "find: a projection cannot mix", {
	FIND(SHARED, NULL, NULL, .projection = "{a: 1, b: 0}", INVALID("projection")),
} },
/* --- count, distinct --------------------------------------------------------------------------- */
{ "count", {
	PUT(SHARED, "{_id: 1, a: 1} {_id: 2, a: 1} {_id: 3, a: 2} {_id: 4}"),
	COUNT(SHARED, NULL, 4),
	COUNT(SHARED, "{a: 1}", 2),
	COUNT(SHARED, "{a: {$gt: 9}}", 0),
	COUNT(SHARED, NULL, 2, .limit = 2),
	COUNT(SHARED, NULL, 1, .skip = 3),
	COUNT(SHARED, "{a: {$exists: true}}", 1, .skip = 1, .limit = 1),
	COUNT(SHARED, NULL, 0, .skip = 9),
} },
{ "distinct", {
	PUT(SHARED, "{_id: 1, a: 1} {_id: 2, a: 'x'} {_id: 3, a: 1} {_id: 4} {_id: 5, a: null}"),
	DISTINCT(SHARED, "a", NULL, "{values: [1, 'x', null]}", .n = 3),
	DISTINCT(SHARED, "a", "{_id: {$lt: 2}}", "{values: [1]}"),
	DISTINCT(SHARED, "zz", NULL, "{values: []}", .n = 0),
} },
{ "distinct: of arrays and documents in them", {
	PUT(SHARED, "{_id: 1, a: [1, 2], b: [{c: 1}, {c: 2}]} {_id: 2, a: [2, 3], b: {c: 2}} {_id: 3, a: []}"),
	DISTINCT(SHARED, "a", NULL, "{values: [1, 2, 3]}"),
	DISTINCT(SHARED, "b.c", NULL, "{values: [1, 2]}"),
} },
/* --- insert ------------------------------------------------------------------------------------ */
{ "insert: answers the ids", {
	PUT(SHARED, "{_id: 7, a: 1} {_id: 'x'} {_id: {a: 1, b: 2}}", .documents = "{ids: [7, 'x', {a: 1, b: 2}]}", .n = 3),
	FIND(SHARED, NULL, "{_id: 7, a: 1} {_id: 'x'} {_id: {a: 1, b: 2}}"),
} },
{ "insert: makes the ids that are missing", {
	PUT(SHARED, "{a: 1} {a: 2} {a: 3, b: {_id: 5}}", .n = 3),
	COUNT(SHARED, "{_id: {$type: 'objectId'}}", 3),
	DISTINCT(SHARED, "a", NULL, "{values: [1, 2, 3]}"),
} },
{ "insert: _id comes first", {
	PUT(SHARED, "{a: 1, _id: 2, b: 3}"),
	FIND(SHARED, NULL, "{_id: 2, a: 1, b: 3}"),
} },
{ "insert: every type comes back as it went in", {
	PUT(SHARED, "{_id: 1, d: 1.5, s: 'te\\xc3\\xa4xt', o: {p: {}}, a: [1, 'x', {}], b: BIN(0,00ff10), i: OID(0102030405060708090a0b0c), t: true, f: false, at: DATE(1700000000123), n: null, z: -7, l: 9007199254740993L}"),
	FIND(SHARED, NULL, "{_id: 1, d: 1.5, s: 'te\\xc3\\xa4xt', o: {p: {}}, a: [1, 'x', {}], b: BIN(0,00ff10), i: OID(0102030405060708090a0b0c), t: true, f: false, at: DATE(1700000000123), n: null, z: -7, l: 9007199254740993L}"),
} },
{ "insert: arrays in arrays", {
	PUT(SHARED, "{_id: 1, a: [[1, 2], [], [[3]]]}"),
	FIND(SHARED, "{a: [1, 2]}", "{_id: 1, a: [[1, 2], [], [[3]]]}"),
} },
{ "insert: rare types come back as they went in", {
	PUT(SHARED, "{_id: 1, r: /a+/i, lo: MinKey, hi: MaxKey, ts: TS(77), dec: DEC(1.50)}"),
	FIND(SHARED, NULL, "{_id: 1, r: /a+/i, lo: MinKey, hi: MaxKey, ts: TS(77), dec: DEC(1.50)}"),
} },
{ "insert: infinity", {
	PUT(SHARED, "{_id: 1, a: -Infinity} {_id: 2, a: Infinity}"),
	FIND(SHARED, "{a: {$gt: 1}}", "{_id: 2, a: Infinity}"),
} },
{ "insert: not-a-number", {
	PUT(SHARED, "{_id: 1, a: NaN} {_id: 2, a: 1}"),
	FIND(SHARED, "{a: NaN}", "{_id: 1, a: NaN}"),
	FIND(SHARED, "{a: {$gt: 0}}", "{_id: 2, a: 1}"),
} },
{ "insert: a text with a NUL in it", {
	PUT(SHARED, "{_id: 1, a: 'x\\x00y'}"),
	FIND(SHARED, "{a: 'x\\x00y'}", "{_id: 1, a: 'x\\x00y'}"),
	FIND(SHARED, "{a: 'x'}", ""),
} },
{ "insert: a taken _id", {
	PUT(SHARED, "{_id: 1, a: 1}"),
	PUT(SHARED, "{_id: 1, a: 2}", .n = 0, .error = STORE_E_DUPLICATE, .says = "_id", .refused = "0 duplicate_key"),
	FIND(SHARED, NULL, "{_id: 1, a: 1}"),
} },
{ "insert: a taken _id of another numeric type", {
	PUT(SHARED, "{_id: 1}"),
	PUT(SHARED, "{_id: 1.0}", .n = 0, .error = STORE_E_DUPLICATE),
	PUT(SHARED, "{_id: 1L}", .n = 0, .error = STORE_E_DUPLICATE),
	COUNT(SHARED, NULL, 1),
} },
{ "insert: in order, up to the first that is refused", {
	PUT(SHARED, "{_id: 2}"),
	PUT(SHARED, "{_id: 1} {_id: 2} {_id: 3}", .n = 1, .error = STORE_E_DUPLICATE, .refused = "1 duplicate_key", .documents = "{ids: [1, 2, 3]}"),
	FIND(SHARED, NULL, "{_id: 1} {_id: 2}"),
} },
{ "insert: in any order, all that are not refused", {
	PUT(SHARED, "{_id: 2} {_id: 4}"),
	PUT(SHARED, "{_id: 1} {_id: 2} {_id: 3} {_id: 4} {_id: 5}", .ordered = false, .n = 3, .error = STORE_E_DUPLICATE, .refused = "1 duplicate_key, 3 duplicate_key"),
	FIND(SHARED, NULL, "{_id: 1} {_id: 2} {_id: 3} {_id: 4} {_id: 5}"),
} },
{ "insert: the same _id twice in one command", {
	PUT(SHARED, "{_id: 1, a: 1} {_id: 1, a: 2}", .n = 1, .error = STORE_E_DUPLICATE, .refused = "1 duplicate_key"),
	FIND(SHARED, NULL, "{_id: 1, a: 1}"),
} },
{ "insert: names that cannot be stored", {
	PUT(SHARED, "{_id: 1, $a: 1}", INVALID("$a")),
	PUT(SHARED, "{_id: 1, a.b: 1}", INVALID("a.b")),
	PUT(SHARED, "{_id: 1, a: {'': 1}}", INVALID("empty name")),
	PUT(SHARED, "{_id: [1]}", INVALID("_id")),
	PUT(SHARED, "{_id: 1} {_id: 2, $a: 1}", INVALID("$a")),
	COUNT(SHARED, NULL, 0),
} },
/* --- update ------------------------------------------------------------------------------------ */
{ "update: $set", {
	PUT(SHARED, "{_id: 1, a: 1} {_id: 2, a: 1}"),
	UPDATE(SHARED, "{_id: 1}", "{$set: {a: 'new', b: {c: 1}}}", 1, 1),
	FIND(SHARED, NULL, "{_id: 1, a: 'new', b: {c: 1}} {_id: 2, a: 1}"),
	UPDATE(SHARED, "{_id: 1}", "{$set: {b.d: 2, e.f: 3}}", 1, 1),
	FIND(SHARED, "{_id: 1}", "{_id: 1, a: 'new', b: {c: 1, d: 2}, e: {f: 3}}"),
} },
{ "update: one or all", {
	PUT(SHARED, "{_id: 1, a: 1} {_id: 2, a: 1} {_id: 3, a: 2}"),
	UPDATE(SHARED, "{a: 1}", "{$set: {b: 1}}", 1, 1),
	COUNT(SHARED, "{b: 1}", 1),
	UPDATE(SHARED, "{a: 1}", "{$set: {b: 2}}", 2, 2, .multi = true),
	COUNT(SHARED, "{b: 2}", 2),
	UPDATE(SHARED, NULL, "{$set: {c: 1}}", 3, 3, .multi = true),
	COUNT(SHARED, "{c: 1}", 3),
} },
{ "update: the first in an order", {
	PUT(ALICE, "{_id: 1, a: 2, g: 1} {_id: 2, a: 3, g: 1} {_id: 3, a: 1, g: 1} {_id: 4, a: 9}"),
	PUT(BOB, "{_id: 5, a: 100, g: 1}"),
	UPDATE(ALICE, "{g: 1}", "{$set: {b: 1}}", 1, 1, .sort = "{a: -1}"),
	UPDATE(ALICE, "{g: 1}", "{$set: {b: 1}}", 1, 0, .sort = "{a: -1}"),
	UPDATE(ALICE, "{g: 1}", "{a: 1, g: 5}", 1, 1, .sort = "{a: 1, _id: 1}"),
	UPDATE(ALICE, "{g: 2}", "{$set: {b: 1}}", 0, 0, .sort = "{a: 1}"),
	FIND(ALICE, NULL, "{_id: 1, a: 2, g: 1, user_id: 'alice'} {_id: 2, a: 3, g: 1, user_id: 'alice', b: 1} {_id: 3, a: 1, g: 5, user_id: 'alice'} {_id: 4, a: 9, user_id: 'alice'}"),
	UPDATE(ALICE, "{_id: 6, g: 2}", "{$set: {b: 1}}", 0, 0, .sort = "{a: 1}", .upsert = true, .upserted = "{_id: 6}"),
	COUNT(BOB, "{b: 1}", 0),
	UPDATE(ALICE, "{g: 1}", "{$set: {b: 2}}", ANY, ANY, .sort = "{a: 1}", .multi = true, INVALID("one document is sorted")),
} },
{ "update: what does not change is matched, not modified", {
	PUT(SHARED, "{_id: 1, a: 1}"),
	UPDATE(SHARED, "{_id: 1}", "{$set: {a: 1}}", 1, 0),
	UPDATE(SHARED, "{_id: 9}", "{$set: {a: 2}}", 0, 0),
} },
{ "update: nothing without a match", {
	UPDATE(SHARED, "{_id: 1}", "{$set: {a: 1}}", 0, 0),
	UPDATE(SHARED, NULL, "{$set: {a: 1}}", 0, 0, .multi = true),
	COUNT(SHARED, NULL, 0),
} },
{ "update: $unset", {
	PUT(SHARED, "{_id: 1, a: 1, b: {c: 1, d: 2}}"),
	UPDATE(SHARED, "{_id: 1}", "{$unset: {a: '', b.c: '', z: ''}}", 1, 1),
	FIND(SHARED, NULL, "{_id: 1, b: {d: 2}}"),
} },
{ "update: $inc keeps and widens types", {
	PUT(SHARED, "{_id: 1, i: 1, l: 1L, d: 1.5}"),
	UPDATE(SHARED, "{_id: 1}", "{$inc: {i: 2, l: 2, d: 2, m.k: -1}}", 1, 1),
	FIND(SHARED, NULL, "{_id: 1, i: 3, l: 3L, d: 3.5, m: {k: -1}}"),
	UPDATE(SHARED, "{_id: 1}", "{$inc: {i: 2147483647L}}", 1, 1),
	FIND(SHARED, NULL, "{i: 2147483650L}", .projection = "{i: 1, _id: 0}"),
} },
{ "update: $inc of what is no number", {
	PUT(SHARED, "{_id: 1, a: 'x'}"),
	UPDATE(SHARED, "{_id: 1}", "{$inc: {a: 1}}", ANY, ANY, INVALID("$inc")),
	UPDATE(SHARED, "{_id: 1}", "{$inc: {b: 'x'}}", ANY, ANY, INVALID("$inc")),
	FIND(SHARED, NULL, "{_id: 1, a: 'x'}"),
} },
{ "update: of many, none when one cannot be", {
	PUT(SHARED, "{_id: 1, a: 1} {_id: 2, a: 'x'} {_id: 3, a: 1}"),
	UPDATE(SHARED, NULL, "{$inc: {a: 1}}", ANY, ANY, .multi = true, INVALID("$inc")),
	FIND(SHARED, NULL, "{_id: 1, a: 1} {_id: 2, a: 'x'} {_id: 3, a: 1}"),
} },
{ "update: $push", {
	PUT(SHARED, "{_id: 1, a: [1]} {_id: 2, a: 5}"),
	UPDATE(SHARED, "{_id: 1}", "{$push: {a: 2, b: {c: 1}}}", 1, 1),
	FIND(SHARED, "{_id: 1}", "{_id: 1, a: [1, 2], b: [{c: 1}]}"),
	UPDATE(SHARED, "{_id: 2}", "{$push: {a: 2}}", ANY, ANY, INVALID("$push")),
} },
{ "update: $push of an array is one element", {
	PUT(SHARED, "{_id: 1, a: [1]}"),
	UPDATE(SHARED, "{_id: 1}", "{$push: {a: [3]}}", 1, 1),
	FIND(SHARED, NULL, "{_id: 1, a: [1, [3]]}"),
} },
{ "update: $pull", {
	PUT(SHARED, "{_id: 1, a: [1, 5, 2, 5], c: ['q']}"),
	UPDATE(SHARED, "{_id: 1}", "{$pull: {a: 5}}", 1, 1),
	FIND(SHARED, NULL, "{_id: 1, a: [1, 2], c: ['q']}"),
	UPDATE(SHARED, "{_id: 1}", "{$pull: {a: 77, z: 1}}", 1, 0),
} },
{ "update: $pull with conditions", {
	PUT(SHARED, "{_id: 1, a: [1, 5, 2], b: [{x: 1, y: 1}, {x: 2}]}"),
	UPDATE(SHARED, "{_id: 1}", "{$pull: {b: {x: 1}}}", 1, 1),
	UPDATE(SHARED, "{_id: 1}", "{$pull: {a: {$gte: 2}}}", 1, 1),
	FIND(SHARED, NULL, "{_id: 1, a: [1], b: [{x: 2}]}"),
} },
{ "update: $addToSet", {
	PUT(SHARED, "{_id: 1, a: [1, {x: 1}]}"),
	UPDATE(SHARED, "{_id: 1}", "{$addToSet: {a: 1}}", 1, 0),
	UPDATE(SHARED, "{_id: 1}", "{$addToSet: {a: {x: 1}}}", 1, 0),
	UPDATE(SHARED, "{_id: 1}", "{$addToSet: {a: 2, b: 3}}", 1, 1),
	FIND(SHARED, NULL, "{_id: 1, a: [1, {x: 1}, 2], b: [3]}"),
} },
{ "update: $currentDate", {
	PUT(SHARED, "{_id: 1}"),
	UPDATE(SHARED, "{_id: 1}", "{$currentDate: {a: true, b: {$type: 'date'}}}", 1, 1),
	COUNT(SHARED, "{a: {$type: 'date', $gt: DATE(1700000000000)}, b: {$type: 'date'}}", 1),
} },
{ "update: elements of arrays by index", {
	PUT(SHARED, "{_id: 1, a: [1, {b: 2}]}"),
	UPDATE(SHARED, "{_id: 1}", "{$set: {a.0: 'x', a.1.b: 'y'}}", 1, 1),
	FIND(SHARED, NULL, "{_id: 1, a: ['x', {b: 'y'}]}"),
} },
{ "update: $setOnInsert does nothing to what is there", {
	PUT(SHARED, "{_id: 1, a: 1}"),
	UPDATE(SHARED, "{_id: 1}", "{$setOnInsert: {a: 2}, $set: {b: 1}}", 1, 1, .upsert = true),
	FIND(SHARED, NULL, "{_id: 1, a: 1, b: 1}"),
} },
{ "update: _id stays", {
	PUT(SHARED, "{_id: 1, a: 1}"),
	UPDATE(SHARED, "{a: 1}", "{$set: {_id: 2}}", ANY, ANY, INVALID("_id")),
	UPDATE(SHARED, "{a: 1}", "{$set: {_id: 1, b: 2}}", 1, 1),
	FIND(SHARED, NULL, "{_id: 1, a: 1, b: 2}"),
} },
{ "update: no way through a scalar", {
	PUT(SHARED, "{_id: 1, a: 5}"),
	UPDATE(SHARED, "{_id: 1}", "{$set: {a.b: 1}}", ANY, ANY, INVALID("a")),
	FIND(SHARED, NULL, "{_id: 1, a: 5}"),
} },
{ "update: two operators on one field", {
	PUT(SHARED, "{_id: 1, a: 5}"),
	UPDATE(SHARED, "{_id: 1}", "{$set: {a: 1}, $inc: {a: 1}}", ANY, ANY, INVALID("a")),
	UPDATE(SHARED, "{_id: 1}", "{$set: {a: 1, a.b: 1}}", ANY, ANY, INVALID("a")),
	FIND(SHARED, NULL, "{_id: 1, a: 5}"),
} },
{ "update: new fields come in the order of their names", {
	PUT(SHARED, "{_id: 1, m: 1}"),
	UPDATE(SHARED, "{_id: 1}", "{$set: {z: 1, b: 2, m: 3}, $inc: {c: 1}}", 1, 1),
	FIND(SHARED, NULL, "{_id: 1, m: 3, b: 2, c: 1, z: 1}"),
} },
/* --- replace ----------------------------------------------------------------------------------- */
{ "replace", {
	PUT(SHARED, "{_id: 1, a: 1, b: 2} {_id: 2, a: 1}"),
	UPDATE(SHARED, "{_id: 1}", "{c: 3}", 1, 1),
	FIND(SHARED, NULL, "{_id: 1, c: 3} {_id: 2, a: 1}"),
	UPDATE(SHARED, "{_id: 1}", "{_id: 1, d: 4}", 1, 1),
	FIND(SHARED, "{_id: 1}", "{_id: 1, d: 4}"),
	UPDATE(SHARED, "{_id: 1}", "{_id: 1, d: 4}", 1, 0),
	UPDATE(SHARED, "{_id: 9}", "{d: 4}", 0, 0),
} },
{ "replace: another _id, and many at once", {
	PUT(SHARED, "{_id: 1, a: 1}"),
	UPDATE(SHARED, "{a: 1}", "{_id: 2, a: 2}", ANY, ANY, INVALID("_id")),
	UPDATE(SHARED, "{a: 1}", "{a: 2}", ANY, ANY, .multi = true, INVALID("replacement")),
	UPDATE(SHARED, "{a: 1}", "{a: 2, $set: {b: 1}}", ANY, ANY, INVALID("$set")),
	FIND(SHARED, NULL, "{_id: 1, a: 1}"),
} },
/* --- upsert ------------------------------------------------------------------------------------ */
{ "upsert: the filter's equalities, then the update", {
	UPDATE(SHARED, "{_id: 5, a: 1, b: {$gt: 3}, c: {$eq: 'x'}}", "{$set: {d: 2}, $setOnInsert: {e: 3}}", 0, 0,
		.upsert = true, .upserted = "{_id: 5}"),
	FIND(SHARED, NULL, "{_id: 5, a: 1, c: 'x', d: 2, e: 3}"),
	UPDATE(SHARED, "{_id: 5, a: 1}", "{$set: {d: 9}, $setOnInsert: {e: 9}}", 1, 1, .upsert = true),
	FIND(SHARED, NULL, "{_id: 5, a: 1, c: 'x', d: 9, e: 3}"),
} },
{ "upsert: $and and $inc and $push", {
	UPDATE(SHARED, "{$and: [{_id: 1}, {a: 2}]}", "{$inc: {n: 1}, $push: {l: 'x'}}", 0, 0, .upsert = true, .upserted = "{_id: 1}"),
	FIND(SHARED, NULL, "{_id: 1, a: 2, l: ['x'], n: 1}"),
	UPDATE(SHARED, "{$and: [{_id: 1}, {a: 2}]}", "{$inc: {n: 1}, $push: {l: 'y'}}", 1, 1, .upsert = true),
	FIND(SHARED, NULL, "{_id: 1, a: 2, l: ['x', 'y'], n: 2}"),
} },
{ "upsert: an _id is made when none is named", {
	UPDATE(SHARED, "{a: 1}", "{$set: {b: 1}}", 0, 0, .upsert = true, .upserted = NULL),
	COUNT(SHARED, "{_id: {$type: 'objectId'}, a: 1, b: 1}", 1),
} },
{ "upsert: of many inserts one", {
	UPDATE(SHARED, "{a: 1, _id: 4}", "{$set: {b: 1}}", 0, 0, .upsert = true, .multi = true, .upserted = "{_id: 4}"),
	FIND(SHARED, NULL, "{_id: 4, a: 1, b: 1}"),
} },
{ "upsert: a replacement takes only _id from the filter", {
	UPDATE(SHARED, "{_id: 3, a: 1}", "{b: 2}", 0, 0, .upsert = true, .upserted = "{_id: 3}"),
	FIND(SHARED, NULL, "{_id: 3, b: 2}"),
	UPDATE(SHARED, "{_id: 3}", "{b: 5}", 1, 1, .upsert = true),
	FIND(SHARED, NULL, "{_id: 3, b: 5}"),
} },
{ "upsert: a taken _id", {
	PUT(SHARED, "{_id: 1, a: 1}"),
	UPDATE(SHARED, "{_id: 1, a: 2}", "{$set: {b: 1}}", ANY, ANY, .upsert = true, REFUSED(STORE_E_DUPLICATE, "_id")),
	FIND(SHARED, NULL, "{_id: 1, a: 1}"),
} },
{ "upsert: what cannot be inserted may still find something", {
	PUT(SHARED, "{_id: 1, a: [5]}"),
	UPDATE(SHARED, "{_id: 1, a: 5}", "{$push: {a: 6}}", 1, 1, .upsert = true),
	FIND(SHARED, NULL, "{_id: 1, a: [5, 6]}"),
	UPDATE(SHARED, "{_id: 2, a: 5}", "{$push: {a: 6}}", ANY, ANY, .upsert = true, INVALID("$push")),
	COUNT(SHARED, NULL, 1),
} },
/* --- operators of updates ---------------------------------------------------------------------- */
{ "update: $mul, $min, $max", {
	PUT(SHARED, "{_id: 1, a: 3, b: 5, c: 5}"),
	UPDATE(SHARED, "{_id: 1}", "{$mul: {a: 2}, $min: {b: 2}, $max: {c: 7}}", 1, 1),
	FIND(SHARED, NULL, "{_id: 1, a: 6, b: 2, c: 7}"),
	UPDATE(SHARED, "{_id: 1}", "{$min: {b: 9}, $max: {c: 1}}", 1, 0),
	UPDATE(SHARED, "{_id: 1}", "{$mul: {z: 2}}", 1, 1),
	FIND(SHARED, NULL, "{_id: 1, a: 6, b: 2, c: 7, z: 0}"),
} },
{ "update: $mul of what is no number", {
	PUT(SHARED, "{_id: 1, a: 'x'}"),
	UPDATE(SHARED, "{_id: 1}", "{$mul: {a: 2}}", ANY, ANY, INVALID("$mul of the field a")),
	FIND(SHARED, NULL, "{_id: 1, a: 'x'}"),
} },
{ "update: $bit", {
	PUT(SHARED, "{_id: 1, a: 13, b: 3L}"),
	UPDATE(SHARED, "{_id: 1}", "{$bit: {a: {and: 10}, b: {or: 4L}}}", 1, 1),
	FIND(SHARED, NULL, "{_id: 1, a: 8, b: 7L}"),
} },
{ "update: $rename", {
	PUT(SHARED, "{_id: 1, a: 1, b: {c: 2}}"),
	UPDATE(SHARED, "{_id: 1}", "{$rename: {a: 'x', nothing: 'y'}}", 1, 1),
	FIND(SHARED, NULL, "{_id: 1, b: {c: 2}, x: 1}"),
	UPDATE(SHARED, "{_id: 1}", "{$rename: {'b.c': 'b.d'}}", 1, 1),
	FIND(SHARED, NULL, "{_id: 1, b: {d: 2}, x: 1}"),
} },
{ "update: $pop and $pullAll", {
	PUT(SHARED, "{_id: 1, a: [1, 2, 3, 2], b: [1, 2]}"),
	UPDATE(SHARED, "{_id: 1}", "{$pop: {b: -1}, $pullAll: {a: [2]}}", 1, 1),
	FIND(SHARED, NULL, "{_id: 1, a: [1, 3], b: [2]}"),
	UPDATE(SHARED, "{_id: 1}", "{$pop: {a: 1}}", 1, 1),
	FIND(SHARED, NULL, "{_id: 1, a: [1], b: [2]}"),
} },
{ "update: $push with $each, $position and $slice", {
	PUT(SHARED, "{_id: 1, a: [1, 2]}"),
	UPDATE(SHARED, "{_id: 1}", "{$push: {a: {$each: [3, 4]}}}", 1, 1),
	FIND(SHARED, NULL, "{_id: 1, a: [1, 2, 3, 4]}"),
	UPDATE(SHARED, "{_id: 1}", "{$push: {a: {$each: [9], $position: 1, $slice: 3}}}", 1, 1),
	FIND(SHARED, NULL, "{_id: 1, a: [1, 9, 2]}"),
	UPDATE(SHARED, "{_id: 1}", "{$push: {a: {$each: [7], $slice: -2}}}", 1, 1),
	FIND(SHARED, NULL, "{_id: 1, a: [2, 7]}"),
} },
{ "update: $push with $sort", {
	PUT(SHARED, "{_id: 1, a: [5, 1], b: [{n: 2}, {n: 1}]}"),
	UPDATE(SHARED, "{_id: 1}", "{$push: {a: {$each: [3], $sort: -1}, b: {$each: [{n: 0}], $sort: {n: 1}}}}", 1, 1),
	FIND(SHARED, NULL, "{_id: 1, a: [5, 3, 1], b: [{n: 0}, {n: 1}, {n: 2}]}"),
} },
{ "update: $addToSet with $each", {
	PUT(SHARED, "{_id: 1, a: [1]}"),
	UPDATE(SHARED, "{_id: 1}", "{$addToSet: {a: {$each: [1, 2, 2, 3]}}}", 1, 1),
	FIND(SHARED, NULL, "{_id: 1, a: [1, 2, 3]}"),
} },
{ "update: the element that matched", {
	PUT(ALICE, "{_id: 1, a: [1, 2, 3], b: [{x: 1}, {x: 2}]}"),
	UPDATE(ALICE, "{_id: 1, a: 2}", "{$set: {'a.$': 9}}", 1, 1),
	UPDATE(ALICE, "{'b.x': 2}", "{$set: {'b.$.y': 1}}", 1, 1),
	UPDATE(ALICE, "{b: {$elemMatch: {x: 1}}}", "{$inc: {'b.$.x': 10}}", 1, 1),
	FIND(ALICE, NULL, "{_id: 1, a: [1, 9, 3], b: [{x: 11}, {x: 2, y: 1}], user_id: 'alice'}"),
	UPDATE(ALICE, "{_id: 1}", "{$set: {'a.$': 9}}", ANY, ANY, INVALID("$ stands for no element")),
	MODIFY(ALICE, "{a: 9}", "{$set: {'a.$': 2}}", "{_id: 1, a: [1, 2, 3]}", .return_new = true, .projection = "{a: 1}"),
} },
{ "update: every element", {
	PUT(SHARED, "{_id: 1, a: [1, 2], b: [{x: 1}, {}]} {_id: 2, a: [5], b: []}"),
	UPDATE(SHARED, NULL, "{$inc: {'a.$[]': 1}, $set: {'b.$[].y': 7}}", 2, 2, .multi = true),
	FIND(SHARED, NULL, "{_id: 1, a: [2, 3], b: [{x: 1, y: 7}, {y: 7}]} {_id: 2, a: [6], b: []}"),
	UPDATE(SHARED, "{_id: 1}", "{$set: {'zzz.$[]': 1}}", ANY, ANY, INVALID("needs an array before $[]")),
} },
{ "update: the elements that arrayFilters say", {
	PUT(SHARED, "{_id: 1, a: [1, 5, 9], b: [{x: 1, y: [1, 2]}, {x: 2, y: [3]}]}"),
	UPDATE(SHARED, "{_id: 1}", "{$set: {'a.$[big]': 0}}", 1, 1, .array_filters = "{filters: [{big: {$gte: 5}}]}"),
	UPDATE(SHARED, "{_id: 1}", "{$inc: {'b.$[e].y.$[n]': 10}}", 1, 1, .array_filters = "{filters: [{'e.x': 1}, {n: 2}]}"),
	FIND(SHARED, NULL, "{_id: 1, a: [1, 0, 0], b: [{x: 1, y: [1, 12]}, {x: 2, y: [3]}]}"),
	UPDATE(SHARED, "{_id: 1}", "{$set: {'a.$[x]': 0}}", ANY, ANY, INVALID("no arrayFilters")),
	UPDATE(SHARED, "{_id: 1}", "{$set: {a: 0}}", ANY, ANY, .array_filters = "{filters: [{x: 1}]}", INVALID("has no $[x]")),
	UPDATE(SHARED, "{_id: 1}", "{$set: {'a.$[x]': 0}}", ANY, ANY, .array_filters = "{filters: [{x: {$where: '1'}}]}", REFUSED(STORE_E_UNSUPPORTED, "$where")),
	MODIFY(SHARED, "{_id: 1}", "{$set: {'a.$[x]': 4}}", "{_id: 1, a: [1, 4, 4]}", .array_filters = "{filters: [{x: 0}]}", .return_new = true, .projection = "{a: 1}"),
} },
{ "find: bits", {
	PUT(SHARED, "{_id: 1, a: 54} {_id: 2, a: 20.0} {_id: 3, a: 'x'} {_id: 4, a: 1}"),
	FIND(SHARED, "{a: {$bitsAllSet: [2, 4]}}", "{_id: 1, a: 54} {_id: 2, a: 20.0}"),
	FIND(SHARED, "{a: {$bitsAnySet: 34}}", "{_id: 1, a: 54}"),
	FIND(SHARED, "{a: {$bitsAllClear: [1, 2]}}", "{_id: 4, a: 1}"),
	FIND(SHARED, "{a: {$bitsAnyClear: 6}}", "{_id: 2, a: 20.0} {_id: 4, a: 1}"),
	FIND(SHARED, "{a: {$bitsAllSet: -1}}", NULL, INVALID("bits need")),
} },
{ "find: some elements of an array", {
	PUT(SHARED, "{_id: 1, a: [1, 2, 3], b: 1}"),
	FIND(SHARED, NULL, "{_id: 1, a: [1, 2], b: 1}", .projection = "{a: {$slice: 2}}"),
	FIND(SHARED, NULL, "{_id: 1, a: [3], b: 1}", .projection = "{a: {$slice: -1}}"),
	FIND(SHARED, NULL, "{_id: 1, a: [2], b: 1}", .projection = "{a: {$slice: [1, 1]}}"),
} },
{ "find: the element of an array that matches", {
	PUT(SHARED, "{_id: 1, a: [{x: 1}, {x: 5}, {x: 6}], b: 1}"),
	FIND(SHARED, NULL, "{_id: 1, a: [{x: 5}]}", .projection = "{a: {$elemMatch: {x: {$gt: 3}}}}"),
} },
{ "find: the element that the filter found", {
	PUT(SHARED, "{_id: 1, a: [{x: 1}, {x: 5}, {x: 6}], b: 1}"),
	FIND(SHARED, "{'a.x': 5}", "{_id: 1, a: [{x: 5}]}", .projection = "{'a.$': 1}"),
} },
{ "refused: $jsonSchema", {
	FIND(SHARED, "{$jsonSchema: {required: ['a']}}", NULL, REFUSED(STORE_E_UNSUPPORTED, "$jsonSchema")),
} },
/* --- aggregate --------------------------------------------------------------------------------- */
{ "aggregate: nothing, and everything", {
	AGGREGATE(SHARED, "", ""),
	PUT(SHARED, "{_id: 1, a: 1} {_id: 2, a: 2}"),
	AGGREGATE(SHARED, "", "{_id: 1, a: 1} {_id: 2, a: 2}"),
	AGGREGATE(SHARED, "{$match: {a: 2}}", "{_id: 2, a: 2}"),
	AGGREGATE(SHARED, "{$match: {a: {$gt: 0}}}, {$match: {_id: 1}}", "{_id: 1, a: 1}"),
} },
{ "aggregate: $sort, $skip, $limit", {
	PUT(SHARED, "{_id: 1, a: 3} {_id: 2, a: 1} {_id: 3, a: 2} {_id: 4, a: 4}"),
	AGGREGATE(SHARED, "{$sort: {a: -1}}", "{_id: 4, a: 4} {_id: 1, a: 3} {_id: 3, a: 2} {_id: 2, a: 1}", SORTED),
	AGGREGATE(SHARED, "{$sort: {a: 1}}, {$skip: 1}, {$limit: 2}", "{_id: 3, a: 2} {_id: 1, a: 3}", SORTED),
	AGGREGATE(SHARED, "{$sort: {a: 1}}, {$limit: 2}, {$skip: 1}", "{_id: 3, a: 2}", SORTED),
	AGGREGATE(SHARED, "{$limit: 3}, {$count: 'n'}", "{n: 3}"),
} },
{ "aggregate: $project", {
	PUT(SHARED, "{_id: 1, a: 1, b: {c: 2, d: 3}, e: [{f: 1, g: 2}, {g: 3}]}"),
	AGGREGATE(SHARED, "{$project: {a: 1}}", "{_id: 1, a: 1}"),
	AGGREGATE(SHARED, "{$project: {a: 0, b: 0}}", "{_id: 1, e: [{f: 1, g: 2}, {g: 3}]}"),
	AGGREGATE(SHARED, "{$project: {_id: 0, s: {$add: ['$a', '$b.c', 10]}, f: '$e.g'}}", "{s: 13, f: [2, 3]}"),
} },
{ "aggregate: $project of names with dots", {
	PUT(SHARED, "{_id: 1, a: 1, b: {c: 2, d: 3}, e: [{f: 1, g: 2}, {g: 3}]}"),
	AGGREGATE(SHARED, "{$project: {_id: 0, 'b.c': 1, 'e.f': 1}}", "{b: {c: 2}, e: [{f: 1}, {}]}"),
} },
{ "aggregate: $set of names with dots", {
	PUT(SHARED, "{_id: 1, a: 1, b: {c: 2}}"),
	AGGREGATE(SHARED, "{$set: {a: 'x', 'b.d': '$a'}}", "{_id: 1, a: 'x', b: {c: 2, d: 1}}"),
} },
{ "aggregate: $addFields, $set, $unset", {
	PUT(SHARED, "{_id: 1, a: 1, b: {c: 2}}"),
	AGGREGATE(SHARED, "{$addFields: {d: {$multiply: ['$a', 5]}}}", "{_id: 1, a: 1, b: {c: 2}, d: 5}"),
	AGGREGATE(SHARED, "{$set: {a: 'x', d: '$b.c'}}", "{_id: 1, a: 'x', b: {c: 2}, d: 2}"),
	AGGREGATE(SHARED, "{$unset: 'b'}", "{_id: 1, a: 1}"),
	AGGREGATE(SHARED, "{$unset: ['a', 'b.c']}", "{_id: 1, b: {}}"),
} },
{ "aggregate: $group", {
	PUT(SHARED, "{_id: 1, k: 'x', n: 1} {_id: 2, k: 'y', n: 10} {_id: 3, k: 'x', n: 2.5} {_id: 4, n: 7}"),
	AGGREGATE(SHARED, "{$group: {_id: '$k', s: {$sum: '$n'}, c: {$sum: 1}, a: {$avg: '$n'}, lo: {$min: '$n'}, hi: {$max: '$n'}}}",
		"{_id: 'x', s: 3.5, c: 2, a: 1.75, lo: 1, hi: 2.5} {_id: 'y', s: 10, c: 1, a: 10.0, lo: 10, hi: 10} {_id: null, s: 7, c: 1, a: 7.0, lo: 7, hi: 7}"),
	AGGREGATE(SHARED, "{$group: {_id: null, n: {$sum: 1}}}", "{_id: null, n: 4}"),
	AGGREGATE(SHARED, "{$match: {_id: 99}}, {$group: {_id: null, n: {$sum: 1}}}", ""),
	AGGREGATE(SHARED, "{$sort: {_id: 1}}, {$group: {_id: '$k', l: {$push: '$n'}, f: {$first: '$n'}, e: {$last: '$n'}}}",
		"{_id: 'x', l: [1, 2.5], f: 1, e: 2.5} {_id: 'y', l: [10], f: 10, e: 10} {_id: null, l: [7], f: 7, e: 7}"),
} },
{ "aggregate: groups by several values and of sets", {
	PUT(SHARED, "{_id: 1, a: 1, b: 1, c: 'p'} {_id: 2, a: 1, b: 1, c: 'p'} {_id: 3, a: 1, b: 2, c: 'q'}"),
	AGGREGATE(SHARED, "{$group: {_id: {a: '$a', b: '$b'}, s: {$addToSet: '$c'}}}", "{_id: {a: 1, b: 1}, s: ['p']} {_id: {a: 1, b: 2}, s: ['q']}"),
} },
{ "aggregate: $unwind", {
	PUT(SHARED, "{_id: 1, t: ['a', 'b']} {_id: 2, t: []} {_id: 3} {_id: 4, t: 'c'}"),
	AGGREGATE(SHARED, "{$unwind: '$t'}", "{_id: 1, t: 'a'} {_id: 1, t: 'b'} {_id: 4, t: 'c'}"),
	AGGREGATE(SHARED, "{$unwind: {path: '$t', preserveNullAndEmptyArrays: true}}", "{_id: 1, t: 'a'} {_id: 1, t: 'b'} {_id: 2} {_id: 3} {_id: 4, t: 'c'}"),
	AGGREGATE(SHARED, "{$match: {_id: 1}}, {$unwind: {path: '$t', includeArrayIndex: 'i'}}", "{_id: 1, t: 'a', i: 0L} {_id: 1, t: 'b', i: 1L}"),
	AGGREGATE(SHARED, "{$unwind: '$t'}, {$group: {_id: '$t', n: {$sum: 1}}}, {$sort: {_id: 1}}", "{_id: 'a', n: 1} {_id: 'b', n: 1} {_id: 'c', n: 1}", SORTED),
} },
{ "aggregate: $count and $sortByCount", {
	PUT(SHARED, "{_id: 1, k: 'x'} {_id: 2, k: 'y'} {_id: 3, k: 'x'}"),
	AGGREGATE(SHARED, "{$count: 'n'}", "{n: 3}"),
	AGGREGATE(SHARED, "{$match: {k: 'z'}}, {$count: 'n'}", ""),
	AGGREGATE(SHARED, "{$sortByCount: '$k'}", "{_id: 'x', count: 2} {_id: 'y', count: 1}", SORTED),
} },
{ "aggregate: comparing and deciding", {
	PUT(SHARED, "{_id: 1, a: 5, b: 'x'} {_id: 2, a: 1}"),
	AGGREGATE(SHARED, "{$project: {big: {$gt: ['$a', 3]}, is: {$cond: [{$eq: ['$b', 'x']}, 'yes', 'no']}, b: {$ifNull: ['$b', 'none']}}}",
		"{_id: 1, big: true, is: 'yes', b: 'x'} {_id: 2, big: false, is: 'no', b: 'none'}"),
	AGGREGATE(SHARED, "{$project: {_id: 0, r: {$and: [{$gte: ['$a', 1]}, {$not: [{$lt: ['$a', 2]}]}]}}}", "{r: true} {r: false}"),
} },
{ "aggregate: dates and text", {
	PUT(SHARED, "{_id: 1, at: DATE(1709210096007), s: 'Ab'}"),
	AGGREGATE(SHARED, "{$project: {_id: 0, y: {$year: '$at'}, m: {$month: '$at'}, d: {$dayOfMonth: '$at'}, t: {$concat: [{$toUpper: '$s'}, '-', {$toLower: '$s'}]}}}",
		"{y: 2024, m: 2, d: 29, t: 'AB-ab'}"),
	AGGREGATE(SHARED, "{$group: {_id: {$dateToString: {format: '%Y-%m-%d', date: '$at'}}, n: {$sum: 1}}}", "{_id: '2024-02-29', n: 1}"),
} },
{ "aggregate: two users, and nobody", {
	PUT(ALICE, "{_id: 1, a: 1} {_id: 2, a: 2}"),
	PUT(BOB, "{_id: 3, a: 10}"),
	PUT(APP, "{_id: 4, a: 100}"),
	AGGREGATE(ALICE, "", "{_id: 1, a: 1, user_id: 'alice'} {_id: 2, a: 2, user_id: 'alice'}"),
	AGGREGATE(ALICE, "{$group: {_id: null, s: {$sum: '$a'}}}", "{_id: null, s: 3}"),
	AGGREGATE(BOB, "{$match: {$or: [{a: {$gt: 0}}, {_id: 1}]}}, {$group: {_id: '$user_id', s: {$sum: '$a'}}}", "{_id: 'bob', s: 10}"),
	AGGREGATE(APP, "{$count: 'n'}", "{n: 1}"),
	AGGREGATE(OTHER_PLUGIN, "{$count: 'n'}", ""),
	AGGREGATE(ALICE, "{$match: {user_id: 'bob'}}", NULL, DENIED("user_id")),
	AGGREGATE(ALICE, "{$match: {$or: [{user_id: {$ne: 'alice'}}]}}", NULL, DENIED("user_id")),
	AGGREGATE(ALICE, "{$project: {a: 1}}, {$match: {user_id: 'bob'}}", ""),
	AGGREGATE(ALICE, "{$addFields: {user_id: 'bob'}}, {$match: {user_id: 'bob'}}, {$count: 'n'}", "{n: 2}"),
	AGGREGATE(APP, "{$match: {user_id: 'alice'}}", NULL, DENIED("user_id")),
} },
{ "refused: stages and expressions that leave the collection", {
	AGGREGATE(ALICE, "{$lookup: {from: 'c', as: 'x', pipeline: []}}", NULL, REFUSED(STORE_E_UNSUPPORTED, "unsupported stage $lookup")),
	AGGREGATE(ALICE, "{$unionWith: 'c'}", NULL, REFUSED(STORE_E_UNSUPPORTED, "$unionWith")),
	AGGREGATE(ALICE, "{$graphLookup: {}}", NULL, REFUSED(STORE_E_UNSUPPORTED, "$graphLookup")),
	AGGREGATE(ALICE, "{$facet: {a: []}}", NULL, REFUSED(STORE_E_UNSUPPORTED, "$facet")),
	AGGREGATE(ALICE, "{$out: 'x'}", NULL, REFUSED(STORE_E_UNSUPPORTED, "$out")),
	AGGREGATE(ALICE, "{$merge: 'x'}", NULL, REFUSED(STORE_E_UNSUPPORTED, "$merge")),
	AGGREGATE(ALICE, "{$documents: []}", NULL, REFUSED(STORE_E_UNSUPPORTED, "$documents")),
	AGGREGATE(ALICE, "{$collStats: {}}", NULL, REFUSED(STORE_E_UNSUPPORTED, "$collStats")),
	AGGREGATE(ALICE, "{$project: {a: {$function: {body: 'x', args: [], lang: 'js'}}}}", NULL, REFUSED(STORE_E_UNSUPPORTED, "$function")),
	AGGREGATE(ALICE, "{$group: {_id: null, a: {$accumulator: {}}}}", NULL, REFUSED(STORE_E_UNSUPPORTED, "$accumulator")),
	AGGREGATE(ALICE, "{$project: {a: {$let: {vars: {}, in: 1}}}}", NULL, REFUSED(STORE_E_UNSUPPORTED, "$let")),
	AGGREGATE(ALICE, "{$project: {a: '$$USER_ROLES'}}", NULL, REFUSED(STORE_E_UNSUPPORTED, "$$USER_ROLES")),
	AGGREGATE(ALICE, "{$match: {$expr: {$eq: [1, 1]}}}", NULL, REFUSED(STORE_E_UNSUPPORTED, "$expr")),
	AGGREGATE(ALICE, "{$limit: 0}", NULL, INVALID("$limit")),
	AGGREGATE(ALICE, "{$group: {a: 1}}", NULL, INVALID("$group")),
	AGGREGATE(ALICE, "{$match: {}, $limit: 1}", NULL, INVALID("a stage is")),
} },
/* --- indexes ----------------------------------------------------------------------------------- */
#define ID_INDEX "{key: {_id: 1}, name: '_id_'}"
{ "index: made, listed, dropped", {
	INDEXES(ALICE, ""),
	INDEX(ALICE, "{key: {a: 1}, name: 'a_1'}"),
	INDEX(ALICE, "{key: {a: 1, 'b.c': -1}, name: 'both'}"),
	INDEX(ALICE, "{key: {a: 1}, name: 'a_1'}"),
	INDEXES(ALICE, ID_INDEX " {key: {a: 1}, name: 'a_1'} {key: {a: 1, 'b.c': -1}, name: 'both'}"),
	INDEX(ALICE, "{key: {b: 1}, name: 'a_1'}", INVALID("another index with the name a_1")),
	DROP_INDEX(ALICE, "none", INVALID("no index with the name none")),
	DROP_INDEX(ALICE, "a_1"),
	INDEXES(ALICE, ID_INDEX " {key: {a: 1, 'b.c': -1}, name: 'both'}"),
	DROP_INDEX(ALICE, "*"),
	INDEXES(ALICE, ID_INDEX),
} },
{ "index: what it finds is what there is", {
	PUT(ALICE, "{_id: 1, a: 1} {_id: 2, a: [1, 2]} {_id: 3, a: 1.0, b: 'x'} {_id: 4} {_id: 5, a: null} {_id: 6, a: []}"),
	PUT(BOB, "{_id: 7, a: 1}"),
	INDEX(ALICE, "{key: {a: 1, b: 1}, name: 'i'}"),
	FIND(ALICE, "{a: 1}", "{_id: 1, a: 1} {_id: 2, a: [1, 2]} {_id: 3, a: 1.0, b: 'x'}", .projection = "{user_id: 0}"),
	FIND(ALICE, "{b: 'x', a: 1}", "{_id: 3, a: 1.0, b: 'x'}", .projection = "{user_id: 0}"),
	FIND(ALICE, "{a: null}", "{_id: 4} {_id: 5, a: null}", .projection = "{user_id: 0}"),
	FIND(ALICE, "{a: [1, 2]}", "{_id: 2, a: [1, 2]}", .projection = "{user_id: 0}"),
	FIND(BOB, "{a: 1}", "{_id: 7, a: 1}", .projection = "{user_id: 0}"),
	UPDATE(ALICE, "{_id: 1}", "{$set: {a: 9}}", 1, 1),
	FIND(ALICE, "{a: 9}", "{_id: 1, a: 9}", .projection = "{user_id: 0}"),
	COUNT(ALICE, "{a: 1}", 2),
	DELETE(ALICE, "{a: 1}", 2, .multi = true),
	COUNT(ALICE, "{a: 1}", 0),
	COUNT(BOB, "{a: 1}", 1),
} },
{ "index: the order of _id and of mixed directions", {
	INDEX(ALICE, "{key: {a: 1, b: -1}, name: 'ab'}"),
	INDEX(SHARED, "{key: {b: -1, a: -1, c: 1}, name: 'bac'}"),
	PUT(ALICE, "{_id: 3, a: 1, b: 'x', c: 1} {_id: 'k', a: 1, b: 2, c: 2} {_id: 1, a: 2, b: 'x', c: 1} {_id: 2, a: 2}", .n = 4),
	PUT(BOB, "{_id: 0, a: 1, b: 5, c: 0}", .n = 1),
	FIND(ALICE, NULL, "{_id: 3, c: 1} {_id: 'k', c: 2} {_id: 1, c: 1}", .sort = "{a: 1, b: -1}", .limit = 3, .projection = "{c: 1}"),
	FIND(ALICE, NULL, "{_id: 2, a: 2} {_id: 1, a: 2}", .sort = "{a: -1, b: 1}", .limit = 2, .projection = "{a: 1}"),
	FIND(ALICE, "{a: 1, b: {$gte: 2}}", "{_id: 'k', b: 2}", .sort = "{b: -1}", .projection = "{b: 1}"),
	FIND(SHARED, "{b: 'x'}", "{_id: 1, a: 2} {_id: 3, a: 1}", .sort = "{a: -1, c: 1}", .projection = "{a: 1}"),
	FIND(ALICE, NULL, "{_id: 1, a: 2} {_id: 2, a: 2} {_id: 3, a: 1}", .sort = "{_id: 1}", .limit = 3, .projection = "{a: 1}"),
	FIND(ALICE, NULL, "{_id: 'k', a: 1} {_id: 3, a: 1}", .sort = "{_id: -1}", .limit = 2, .projection = "{a: 1}"),
	FIND(ALICE, "{_id: {$gt: 1}}", "{_id: 2, a: 2} {_id: 3, a: 1}", .sort = "{_id: 1, a: -1}", .projection = "{a: 1}"),
	FIND(SHARED, "{_id: {$lte: 1}}", "{_id: 0, a: 1} {_id: 1, a: 2}", .sort = "{_id: 1}", .limit = 5, .projection = "{a: 1}"),
	UPDATE(ALICE, "{a: 1}", "{$set: {a: 3}}", 1, 1, .sort = "{_id: 1}"),
	FIND(ALICE, "{a: 3}", "{_id: 3, a: 3}", .projection = "{a: 1}"),
} },
{ "index: unique among one owner's documents", {
	INDEX(ALICE, "{key: {e: 1}, name: 'e_1', unique: true}"),
	PUT(ALICE, "{_id: 1, e: 'x'}", .n = 1),
	PUT(BOB, "{_id: 2, e: 'x'}", .n = 1),
	PUT(ALICE, "{_id: 3, e: 'x'}", REFUSED(STORE_E_DUPLICATE, "unique index e_1"), .n = 0),
	PUT(ALICE, "{_id: 4, e: 'y'}", .n = 1),
	UPDATE(ALICE, "{_id: 4}", "{$set: {e: 'x'}}", ANY, ANY, REFUSED(STORE_E_DUPLICATE, "e_1")),
	UPDATE(ALICE, "{_id: 4}", "{$set: {e: 'z'}}", 1, 1),
	UPDATE(ALICE, "{_id: 5}", "{$set: {e: 'x'}}", ANY, ANY, .upsert = true, REFUSED(STORE_E_DUPLICATE, "")),
	PUT(ALICE, "{_id: 6}", .n = 1),
	PUT(ALICE, "{_id: 7}", REFUSED(STORE_E_DUPLICATE, "e_1"), .n = 0),
	DELETE(ALICE, "{_id: 1}", 1),
	PUT(ALICE, "{_id: 8, e: 'x'}", .n = 1),
	INDEXES(BOB, ID_INDEX " {key: {e: 1}, name: 'e_1', unique: true}"),
} },
{ "index: unique in a shared collection", {
	INDEX(SHARED, "{key: {e: 1}, name: 'e_1', unique: true}"),
	PUT(SHARED, "{_id: 1, e: 1} {_id: 2, e: 2} {_id: 3, e: 1.0} {_id: 4, e: 3}", REFUSED(STORE_E_DUPLICATE, "e_1"), .ordered = false, .n = 3, .refused = "2 duplicate_key"),
	COUNT(SHARED, NULL, 3),
	PUT(SHARED, "{_id: 5, e: 5, user_id: 'alice'}", .n = 1),
	PUT(SHARED, "{_id: 6, e: 5, user_id: 'bob'}", REFUSED(STORE_E_DUPLICATE, "e_1"), .n = 0),
} },
{ "index: unique among what has no owner", {
	INDEX(APP, "{key: {e: 1}, name: 'e_1', unique: true}"),
	PUT(APP, "{_id: 1, e: 'x'}", .n = 1),
	PUT(ALICE, "{_id: 2, e: 'x'}", .n = 1),
	PUT(BOB, "{_id: 3, e: 'x'}", .n = 1),
	PUT(APP, "{_id: 4, e: 'x'}", REFUSED(STORE_E_DUPLICATE, "e_1"), .n = 0),
	PUT(ALICE, "{_id: 5, e: 'x'}", REFUSED(STORE_E_DUPLICATE, "e_1"), .n = 0),
} },
{ "index: one of each owner is not one of all", {
	INDEX(ALICE, "{key: {e: 1}, name: 'e_1'}"),
	INDEX(BOB, "{key: {e: 1}, name: 'e_1'}"),
	INDEX(SHARED, "{key: {e: 1}, name: 'e_1'}", REFUSED(STORE_E_INVALID, "another index with the name e_1")),
	INDEXES(SHARED, ID_INDEX " {key: {e: 1}, name: 'e_1'}"),
} },
{ "index: unique and sparse", {
	INDEX(ALICE, "{key: {e: 1}, name: 'e_1', unique: true, sparse: true}"),
	PUT(ALICE, "{_id: 1} {_id: 2} {_id: 3, e: 1}", .n = 3),
	PUT(ALICE, "{_id: 4, e: 1}", REFUSED(STORE_E_DUPLICATE, "e_1"), .n = 0),
	FIND(ALICE, "{e: null}", "{_id: 1} {_id: 2}", .projection = "{user_id: 0}"),
	INDEXES(ALICE, ID_INDEX " {key: {e: 1}, name: 'e_1', unique: true, sparse: true}"),
} },
{ "index: unique over what is there already", {
	PUT(ALICE, "{_id: 1, e: 1} {_id: 2, e: 1}"),
	INDEX(ALICE, "{key: {e: 1}, name: 'e_1', unique: true}", REFUSED(STORE_E_DUPLICATE, "")),
	DELETE(ALICE, "{_id: 2}", 1),
	INDEX(ALICE, "{key: {e: 1}, name: 'e_1', unique: true}"),
} },
{ "index: of documents that expire", {
	INDEX(ALICE, "{key: {at: 1}, name: 'at_1', expireAfterSeconds: 3600}"),
	INDEXES(ALICE, ID_INDEX " {key: {at: 1}, name: 'at_1', expireAfterSeconds: 3600}"),
	PUT(ALICE, "{_id: 1, at: DATE(1709210096007)}"),
} },
{ "index: what is refused", {
	INDEX(ALICE, "{key: {a: 'text'}, name: 'x'}", REFUSED(STORE_E_UNSUPPORTED, "\"text\"")),
	INDEX(ALICE, "{key: {a: 2}, name: 'x'}", INVALID("needs 1 or -1")),
	INDEX(ALICE, "{key: {}, name: 'x'}", INVALID("a key and a name")),
	INDEX(ALICE, "{key: {a: 1}}", INVALID("a key and a name")),
	INDEX(ALICE, "{key: {_id: 1}, name: 'x'}", INVALID("already")),
	INDEX(ALICE, "{key: {a: 1}, name: 'x', partialFilterExpression: {a: 1}}", REFUSED(STORE_E_UNSUPPORTED, "partialFilterExpression")),
	INDEX(ALICE, "{key: {a: 1}, name: 'x', collation: {locale: 'de'}}", REFUSED(STORE_E_UNSUPPORTED, "collation")),
	INDEX(ALICE, "{key: {a: 1, b: 1}, name: 'x', expireAfterSeconds: 1}", REFUSED(STORE_E_UNSUPPORTED, "expireAfterSeconds")),
	INDEX(ALICE, "{key: {a: 1}, name: 'x', expireAfterSeconds: -1}", INVALID("expireAfterSeconds")),
} },
/* --- delete ------------------------------------------------------------------------------------ */
{ "delete: one or all", {
	PUT(SHARED, "{_id: 1, a: 1} {_id: 2, a: 1} {_id: 3, a: 1} {_id: 4, a: 2}"),
	DELETE(SHARED, "{a: 1}", 1),
	COUNT(SHARED, "{a: 1}", 2),
	DELETE(SHARED, "{a: 1}", 2, .multi = true),
	FIND(SHARED, NULL, "{_id: 4, a: 2}"),
	DELETE(SHARED, "{a: 1}", 0, .multi = true),
	DELETE(SHARED, NULL, 1, .multi = true),
	COUNT(SHARED, NULL, 0),
} },
/* --- find and modify --------------------------------------------------------------------------- */
{ "modify: the document before or after", {
	PUT(SHARED, "{_id: 1, a: 1}"),
	MODIFY(SHARED, "{_id: 1}", "{$inc: {a: 1}}", "{_id: 1, a: 1}", .n = 1),
	MODIFY(SHARED, "{_id: 1}", "{$inc: {a: 1}}", "{_id: 1, a: 3}", .return_new = true, .n = 1),
	MODIFY(SHARED, "{_id: 9}", "{$inc: {a: 1}}", "", .n = 0),
} },
{ "modify: the first in an order, projected", {
	PUT(SHARED, "{_id: 1, a: 1, s: 'x'} {_id: 2, a: 2, s: 'x'} {_id: 3, a: 3, s: 'x'}"),
	MODIFY(SHARED, "{s: 'x'}", "{$set: {s: 'y'}}", "{a: 3}", .sort = "{a: -1}", .projection = "{a: 1, _id: 0}"),
	FIND(SHARED, "{s: 'y'}", "{_id: 3, a: 3, s: 'y'}"),
} },
{ "modify: replacing", {
	PUT(SHARED, "{_id: 1, a: 1}"),
	MODIFY(SHARED, "{_id: 1}", "{b: 1}", "{_id: 1, b: 1}", .return_new = true),
	FIND(SHARED, NULL, "{_id: 1, b: 1}"),
} },
{ "modify: removing", {
	PUT(SHARED, "{_id: 1, a: 1} {_id: 2, a: 2}"),
	MODIFY(SHARED, NULL, NULL, "{_id: 2, a: 2}", .remove = true, .sort = "{a: -1}", .n = 1),
	FIND(SHARED, NULL, "{_id: 1, a: 1}"),
	MODIFY(SHARED, "{_id: 2}", NULL, "", .remove = true, .n = 0),
} },
{ "modify: upserting", {
	MODIFY(SHARED, "{_id: 1}", "{$set: {a: 1}}", "", .upsert = true, .upserted = "{_id: 1}", .n = 0),
	MODIFY(SHARED, "{_id: 2}", "{$set: {a: 2}}", "{_id: 2, a: 2}", .upsert = true, .return_new = true, .upserted = "{_id: 2}", .n = 0),
	MODIFY(SHARED, "{_id: 2}", "{$set: {a: 3}}", "{_id: 2, a: 3}", .upsert = true, .return_new = true, .n = 1),
	FIND(SHARED, NULL, "{_id: 1, a: 1} {_id: 2, a: 3}"),
} },
{ "modify: what is refused changes nothing", {
	PUT(SHARED, "{_id: 1, a: 'x'}"),
	MODIFY(SHARED, "{_id: 1}", "{$inc: {a: 1}}", NULL, INVALID("$inc")),
	MODIFY(SHARED, "{_id: 1}", "{$set: {a: 1}}", NULL, .remove = true, INVALID("remove")),
	FIND(SHARED, NULL, "{_id: 1, a: 'x'}"),
} },
/* --- scope ------------------------------------------------------------------------------------- */
{ "scope: two users never see each other's documents", {
	PUT(ALICE, "{_id: 1, a: 1} {_id: 2, a: 2}", .n = 2),
	PUT(BOB, "{_id: 3, a: 1}"),
	FIND(ALICE, NULL, "{_id: 1, a: 1, user_id: 'alice'} {_id: 2, a: 2, user_id: 'alice'}"),
	FIND(BOB, NULL, "{_id: 3, a: 1, user_id: 'bob'}"),
	FIND(BOB, "{_id: 1}", ""),
	FIND(BOB, "{$or: [{_id: 1}, {a: {$gte: 0}}]}", "{_id: 3, a: 1, user_id: 'bob'}"),
	FIND(BOB, "{$nor: [{a: 99}]}", "{_id: 3, a: 1, user_id: 'bob'}"),
	FIND(BOB, "{user_id: 'bob', a: 1}", "{_id: 3, a: 1, user_id: 'bob'}"),
	COUNT(BOB, NULL, 1),
	COUNT(ALICE, "{a: 1}", 1),
	DISTINCT(BOB, "a", NULL, "{values: [1]}"),
	DISTINCT(BOB, "user_id", NULL, "{values: ['bob']}"),
} },
{ "scope: two users never change each other's documents", {
	PUT(ALICE, "{_id: 1, a: 1}"),
	PUT(BOB, "{_id: 2, a: 1}"),
	UPDATE(BOB, "{_id: 1}", "{$set: {a: 9}}", 0, 0),
	UPDATE(BOB, NULL, "{$set: {a: 5}}", 1, 1, .multi = true),
	UPDATE(BOB, "{_id: 1}", "{a: 9}", 0, 0),
	DELETE(BOB, "{_id: 1}", 0),
	DELETE(BOB, "{$or: [{_id: 1}, {_id: 2}]}", 1, .multi = true),
	MODIFY(BOB, "{_id: 1}", "{$set: {a: 9}}", "", .return_new = true),
	MODIFY(BOB, "{_id: 1}", NULL, "", .remove = true),
	FIND(ALICE, NULL, "{_id: 1, a: 1, user_id: 'alice'}"),
	FIND(BOB, NULL, ""),
} },
{ "scope: the owner cannot be chosen", {
	PUT(ALICE, "{_id: 1, user_id: 'bob'}", DENIED("user_id")),
	PUT(ALICE, "{_id: 1, user_id: 'alice', a: 1}", .n = 1),
	UPDATE(ALICE, "{_id: 1}", "{$set: {user_id: 'bob'}}", ANY, ANY, DENIED("user_id")),
	UPDATE(ALICE, "{_id: 1}", "{$unset: {user_id: ''}}", ANY, ANY, DENIED("user_id")),
	UPDATE(ALICE, "{_id: 1}", "{user_id: 'bob'}", ANY, ANY, DENIED("user_id")),
	FIND(ALICE, "{user_id: 'bob'}", NULL, DENIED("user_id")),
	FIND(ALICE, "{user_id: {$ne: 'alice'}}", NULL, DENIED("user_id")),
	FIND(ALICE, "{$or: [{user_id: 'bob'}]}", NULL, DENIED("user_id")),
	MODIFY(ALICE, "{_id: 1}", "{$inc: {user_id: 1}}", NULL, DENIED("user_id")),
	FIND(ALICE, NULL, "{_id: 1, user_id: 'alice', a: 1}"),
} },
{ "scope: updates and replacements keep the owner", {
	PUT(ALICE, "{_id: 1, a: 1}"),
	UPDATE(ALICE, "{_id: 1}", "{$set: {user_id: 'alice', a: 2}}", 1, 1),
	FIND(ALICE, NULL, "{_id: 1, a: 2, user_id: 'alice'}"),
	UPDATE(ALICE, "{_id: 1}", "{b: 1}", 1, 1),
	FIND(ALICE, NULL, "{_id: 1, b: 1}", .projection = "{user_id: 0}"),
	MODIFY(ALICE, "{_id: 1}", "{c: 1}", "{_id: 1, c: 1}", .return_new = true, .projection = "{user_id: 0}"),
	COUNT(ALICE, "{user_id: 'alice'}", 1),
} },
{ "scope: upserts belong to the caller", {
	UPDATE(ALICE, "{_id: 1}", "{$set: {a: 1}}", 0, 0, .upsert = true, .upserted = "{_id: 1}"),
	COUNT(ALICE, "{_id: 1, a: 1, user_id: 'alice'}", 1),
	COUNT(BOB, NULL, 0),
	UPDATE(BOB, "{_id: 1}", "{$set: {a: 9}}", ANY, ANY, .upsert = true, REFUSED(STORE_E_DUPLICATE, "_id")),
	UPDATE(BOB, "{_id: 2, user_id: 'bob'}", "{$set: {a: 2}, $setOnInsert: {b: 1}}", 0, 0, .upsert = true, .upserted = "{_id: 2}"),
	COUNT(BOB, "{_id: 2, a: 2, b: 1, user_id: 'bob'}", 1),
	UPDATE(BOB, "{_id: 3}", "{c: 1}", 0, 0, .upsert = true, .upserted = "{_id: 3}"),
	COUNT(BOB, "{_id: 3, c: 1, user_id: 'bob'}", 1),
	MODIFY(BOB, "{_id: 4}", "{$set: {d: 1}}", NULL, .upsert = true, .return_new = true, .upserted = "{_id: 4}"),
	COUNT(BOB, "{_id: 4, d: 1, user_id: 'bob'}", 1),
	COUNT(ALICE, NULL, 1),
} },
{ "scope: a taken _id of another user says no more than that", {
	PUT(ALICE, "{_id: 1, secret: 'alices'}"),
	PUT(BOB, "{_id: 1}", .n = 0, .error = STORE_E_DUPLICATE, .says = "there is a document with this _id already"),
	FIND(ALICE, NULL, "{_id: 1, secret: 'alices', user_id: 'alice'}"),
} },
{ "scope: without a user, documents without an owner", {
	PUT(ALICE, "{_id: 1, a: 1}"),
	PUT(APP, "{_id: 2, a: 1}"),
	FIND(APP, NULL, "{_id: 2, a: 1}"),
	FIND(APP, "{a: 1}", "{_id: 2, a: 1}"),
	COUNT(APP, NULL, 1),
	UPDATE(APP, "{a: 1}", "{$set: {a: 2}}", 1, 1, .multi = true),
	PUT(APP, "{_id: 3, user_id: 'alice'}", DENIED("user_id")),
	FIND(APP, "{user_id: 'alice'}", NULL, DENIED("user_id")),
	UPDATE(APP, "{_id: 2}", "{$set: {user_id: 'alice'}}", ANY, ANY, DENIED("user_id")),
	DELETE(APP, NULL, 1, .multi = true),
	FIND(ALICE, NULL, "{_id: 1, a: 1, user_id: 'alice'}"),
} },
{ "scope: upserts without a user", {
	UPDATE(APP, "{_id: 1, a: 1}", "{$set: {b: 1}}", 0, 0, .upsert = true, .upserted = "{_id: 1}"),
	FIND(APP, NULL, "{_id: 1, a: 1, b: 1}"),
	UPDATE(APP, "{_id: 1}", "{$set: {b: 2}}", 1, 1, .upsert = true),
	COUNT(ALICE, NULL, 0),
} },
{ "scope: two plugins, two apps and the core have collections of their own", {
	PUT(ALICE, "{_id: 1, a: 'plugin'}"),
	PUT(OTHER_PLUGIN, "{_id: 1, a: 'other plugin'}"),
	PUT(OTHER_APP, "{_id: 1, a: 'other app'}"),
	PUT(CORE, "{_id: 1, a: 'core'}"),
	FIND(ALICE, NULL, "{_id: 1, a: 'plugin', user_id: 'alice'}"),
	FIND(OTHER_PLUGIN, NULL, "{_id: 1, a: 'other plugin', user_id: 'alice'}"),
	FIND(OTHER_APP, NULL, "{_id: 1, a: 'other app', user_id: 'alice'}"),
	FIND(CORE, NULL, "{_id: 1, a: 'core'}"),
	DELETE(OTHER_PLUGIN, NULL, 1, .multi = true),
	DELETE(OTHER_APP, NULL, 1, .multi = true),
	DELETE(CORE, NULL, 1, .multi = true),
	COUNT(ALICE, NULL, 1),
} },
{ "scope: shared documents are everybody's", {
	PUT(SHARED, "{_id: 1, user_id: 'bob', a: 1} {_id: 2, a: 1}"),
	FIND(SHARED, "{user_id: 'bob'}", "{_id: 1, user_id: 'bob', a: 1}"),
	UPDATE(SHARED, NULL, "{$set: {a: 2}}", 2, 2, .multi = true),
	FIND(BOB, NULL, "{_id: 1, user_id: 'bob', a: 2}"),
} },
{ "scope: a field that is called user_id further down is the plugin's", {
	PUT(ALICE, "{_id: 1, x: {user_id: 'bob'}}"),
	FIND(ALICE, "{x.user_id: 'bob'}", "{_id: 1, x: {user_id: 'bob'}, user_id: 'alice'}"),
} },
{ "scope: a projection can leave the owner out", {
	PUT(ALICE, "{_id: 1, a: 1}"),
	PUT(BOB, "{_id: 2, a: 1}"),
	FIND(ALICE, NULL, "{_id: 1, a: 1}", .projection = "{user_id: 0}"),
} },
/* --- refused ----------------------------------------------------------------------------------- */
{ "refused: operators that nobody knows, by their names", {
	PUT(SHARED, "{_id: 1, a: 1}"),
	FIND(SHARED, "{$where: 'true'}", NULL, REFUSED(STORE_E_UNSUPPORTED, "$where")),
	FIND(SHARED, "{a: {$bogus: 1}}", NULL, REFUSED(STORE_E_UNSUPPORTED, "$bogus")),
	FIND(SHARED, "{$expr: {$eq: [1, 1]}}", NULL, REFUSED(STORE_E_UNSUPPORTED, "$expr")),
	COUNT(SHARED, "{$or: [{a: {$near: 1}}]}", ANY, REFUSED(STORE_E_UNSUPPORTED, "$near")),
	DISTINCT(SHARED, "a", "{$text: {$search: 'x'}}", NULL, REFUSED(STORE_E_UNSUPPORTED, "$text")),
	UPDATE(SHARED, NULL, "{$bogus: {a: 1}}", ANY, ANY, REFUSED(STORE_E_UNSUPPORTED, "$bogus")),
	DELETE(SHARED, "{a: {$bogus: 1}}", ANY, .multi = true, REFUSED(STORE_E_UNSUPPORTED, "$bogus")),
	MODIFY(SHARED, "{$where: '1'}", "{$set: {a: 2}}", NULL, REFUSED(STORE_E_UNSUPPORTED, "$where")),
	FIND(SHARED, NULL, "{_id: 1, a: 1}"),
} },
{ "refused: arguments of the wrong type", {
	FIND(SHARED, "{a: {$in: 1}}", NULL, INVALID("$in")),
	FIND(SHARED, "{$and: []}", NULL, INVALID("$and")),
	FIND(SHARED, "{a: {$size: -1}}", NULL, INVALID("$size")),
	FIND(SHARED, "{a: {$mod: [0, 1]}}", NULL, INVALID("$mod")),
	FIND(SHARED, "{a: {$regex: '('}}", NULL, INVALID("")),
	FIND(SHARED, NULL, NULL, .sort = "{a: 2}", REFUSED(STORE_E_INVALID, "sort")),
	UPDATE(SHARED, NULL, NULL, ANY, ANY, INVALID("update")),
	DISTINCT(SHARED, NULL, NULL, NULL, INVALID("field")),
} },
};
const size_t store_cases_n = sizeof(store_cases) / sizeof(store_cases[0]);

/* A document of 1000 bytes and more. */
#define LONG100 "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
#define LONG500 LONG100 LONG100 LONG100 LONG100 LONG100

const struct store_case tight_cases[] = {
{ "limits: a document", {
	PUT(SHARED, "{_id: 1, a: '" LONG500 "'}", .n = 1),
	PUT(SHARED, "{_id: 2, a: '" LONG500 LONG500 "'}", REFUSED(STORE_E_LIMIT, "MOZAIKS_MAX_DOCUMENT_BYTES")),
	PUT(SHARED, "{_id: 3} {_id: 4, a: '" LONG500 LONG500 "'}", REFUSED(STORE_E_LIMIT, "MOZAIKS_MAX_DOCUMENT_BYTES")),
	COUNT(SHARED, NULL, 1),
} },
{ "limits: a document that an update makes", {
	PUT(SHARED, "{_id: 1, l: ['" LONG500 "']}"),
	UPDATE(SHARED, "{_id: 1}", "{$push: {l: '" LONG500 "'}}", ANY, ANY, REFUSED(STORE_E_LIMIT, "MOZAIKS_MAX_DOCUMENT_BYTES")),
	UPDATE(SHARED, NULL, "{$addToSet: {l: '" LONG500 "a'}}", ANY, ANY, .multi = true, REFUSED(STORE_E_LIMIT, "MOZAIKS_MAX_DOCUMENT_BYTES")),
	MODIFY(SHARED, "{_id: 1}", "{$push: {l: '" LONG500 "'}}", NULL, REFUSED(STORE_E_LIMIT, "MOZAIKS_MAX_DOCUMENT_BYTES")),
	UPDATE(SHARED, "{_id: 1}", "{a: '" LONG500 LONG500 "'}", ANY, ANY, REFUSED(STORE_E_LIMIT, "MOZAIKS_MAX_DOCUMENT_BYTES")),
	FIND(SHARED, NULL, "{_id: 1, l: ['" LONG500 "']}"),
} },
{ "limits: a result", {
	PUT(SHARED, "{_id: 1, a: '" LONG500 "'} {_id: 2, a: '" LONG500 "'} {_id: 3, a: '" LONG500 "'} {_id: 4, a: '" LONG500 "'} {_id: 5, a: '" LONG500 "b'}"),
	FIND(SHARED, NULL, NULL, REFUSED(STORE_E_LIMIT, "MOZAIKS_MAX_RESULT_BYTES")),
	FIND(SHARED, "{_id: {$lt: 3}}", "{_id: 1, a: '" LONG500 "'} {_id: 2, a: '" LONG500 "'}"),
	FIND(SHARED, NULL, "{_id: 1} {_id: 2} {_id: 3} {_id: 4} {_id: 5}", .projection = "{_id: 1}"),
	COUNT(SHARED, NULL, 5),
} },
{ "limits: a result of distinct", {
	PUT(SHARED, "{_id: 1, a: '" LONG500 "1'} {_id: 2, a: '" LONG500 "2'} {_id: 3, a: '" LONG500 "3'} {_id: 4, a: '" LONG500 "4'} {_id: 5, a: '" LONG500 "5'}"),
	DISTINCT(SHARED, "a", NULL, NULL, REFUSED(STORE_E_LIMIT, "MOZAIKS_MAX_RESULT_BYTES")),
	DISTINCT(SHARED, "a", "{_id: 2}", "{values: ['" LONG500 "2']}"),
} },
{ "limits: a filter", {
	FIND(SHARED, "{a: '" LONG500 LONG500 LONG500 "'}", NULL, REFUSED(STORE_E_LIMIT, "MOZAIKS_MAX_FILTER_BYTES")),
	FIND(SHARED, "{a: {$in: [1, 2, 3, 4, 5]}}", "", .n = 0),
	FIND(SHARED, "{a: {$in: [1, 2, 3, 4, 5, 6]}}", NULL, REFUSED(STORE_E_LIMIT, "MOZAIKS_MAX_IN_VALUES")),
	FIND(SHARED, "{a: /0123456789012345678901/}", NULL, REFUSED(STORE_E_LIMIT, "MOZAIKS_MAX_REGEX_BYTES")),
	FIND(SHARED, NULL, "", .skip = 10),
	FIND(SHARED, NULL, NULL, .skip = 11, REFUSED(STORE_E_LIMIT, "MOZAIKS_MAX_SKIP")),
} },
{ "limits: indexes", {
	INDEX(SHARED, "{key: {a: 1}, name: 'a'}"),
	INDEX(SHARED, "{key: {b: 1}, name: 'b'}"),
	INDEX(SHARED, "{key: {c: 1}, name: 'c'}", REFUSED(STORE_E_LIMIT, "MOZAIKS_MAX_INDEXES")),
} },
{ "limits: a pipeline", {
	AGGREGATE(SHARED, "{$limit: 1}, {$limit: 1}, {$limit: 1}", ""),
	AGGREGATE(SHARED, "{$limit: 1}, {$limit: 1}, {$limit: 1}, {$limit: 1}", NULL, REFUSED(STORE_E_LIMIT, "MOZAIKS_MAX_PIPELINE_STAGES")),
	AGGREGATE(SHARED, "{$skip: 11}", NULL, REFUSED(STORE_E_LIMIT, "MOZAIKS_MAX_SKIP")),
	AGGREGATE(SHARED, "{$match: {a: '" LONG500 LONG500 LONG500 "'}}", NULL, REFUSED(STORE_E_LIMIT, "MOZAIKS_MAX_FILTER_BYTES")),
} },
};
const size_t tight_cases_n = sizeof(tight_cases) / sizeof(tight_cases[0]);

/* One plugin each: what is there counts in the next step. */
const struct store_case quota_cases[] = {
{ "quotas: documents of a user and of a plugin", {
	PUT(ALICE, "{_id: 1} {_id: 2} {_id: 3}", .n = 3),
	PUT(ALICE, "{_id: 4}", REFUSED(STORE_E_LIMIT, "this user would have 4 documents stored; the quota is 3 (MOZAIKS_QUOTA_USER_DOCUMENTS)")),
	PUT(ALICE, "{_id: 4} {_id: 5}", REFUSED(STORE_E_LIMIT, "this user would have 5 documents stored")),
	UPDATE(ALICE, "{_id: 1}", "{$set: {a: 1}}", 1, 1),
	UPDATE(ALICE, "{_id: 1}", "{$set: {a: 2}}", 1, 1, .upsert = true),
	UPDATE(ALICE, "{_id: 9}", "{$set: {a: 2}}", ANY, ANY, .upsert = true, REFUSED(STORE_E_LIMIT, "this user would have 4 documents")),
	PUT(BOB, "{_id: 11} {_id: 12}", .n = 2),
	PUT(BOB, "{_id: 13}", REFUSED(STORE_E_LIMIT, "this plugin would have 6 documents stored; the quota is 5 (MOZAIKS_QUOTA_PLUGIN_DOCUMENTS)")),
	PUT(APP, "{_id: 14}", REFUSED(STORE_E_LIMIT, "MOZAIKS_QUOTA_PLUGIN_DOCUMENTS")),
	DELETE(ALICE, "{_id: 2}", 1),
	PUT(BOB, "{_id: 13}", .n = 1),
	PUT(ALICE, "{_id: 2}", REFUSED(STORE_E_LIMIT, "MOZAIKS_QUOTA_PLUGIN_DOCUMENTS")),
	DELETE(ALICE, NULL, 2, .multi = true),
	PUT(ALICE, "{_id: 2} {_id: 3}", .n = 2),
	COUNT(ALICE, NULL, 2),
	COUNT(BOB, NULL, 3),
} },
{ "quotas: bytes of a user", {
	PUT(OTHER_PLUGIN, "{_id: 1, a: '" LONG500 "'}", .n = 1),
	PUT(OTHER_PLUGIN, "{_id: 2, a: '" LONG500 "'}", REFUSED(STORE_E_LIMIT, "MOZAIKS_QUOTA_USER_BYTES")),
	UPDATE(OTHER_PLUGIN, "{_id: 1}", "{$set: {b: '" LONG500 "'}}", ANY, ANY, REFUSED(STORE_E_LIMIT, "MOZAIKS_QUOTA_USER_BYTES")),
	UPDATE(OTHER_PLUGIN, "{_id: 1}", "{$set: {a: '" LONG100 LONG100 LONG100 LONG100 "'}}", 1, 1),
	UPDATE(OTHER_PLUGIN, "{_id: 1}", "{$set: {a: '" LONG500 "'}}", 1, 1),
	UPDATE(OTHER_PLUGIN, "{_id: 2}", "{$set: {a: '" LONG500 "'}}", ANY, ANY, .upsert = true, REFUSED(STORE_E_LIMIT, "MOZAIKS_QUOTA_USER_BYTES")),
	MODIFY(OTHER_PLUGIN, "{_id: 1}", "{$set: {b: '" LONG500 "'}}", NULL, REFUSED(STORE_E_LIMIT, "MOZAIKS_QUOTA_USER_BYTES")),
	UPDATE(OTHER_PLUGIN, "{_id: 1}", "{$set: {a: ''}}", 1, 1),
	PUT(OTHER_PLUGIN, "{_id: 2, a: '" LONG500 "'}", .n = 1),
	DELETE(OTHER_PLUGIN, "{_id: 1}", 1),
	COUNT(OTHER_PLUGIN, NULL, 1),
} },
};
const size_t quota_cases_n = sizeof(quota_cases) / sizeof(quota_cases[0]);
/* clang-format on */

void tight_limits(struct store_config *c)
{
	c->document_bytes = 1000;
	c->filter_bytes = 1200;
	c->result_bytes = 2300;
	c->in_values = 5;
	c->regex_bytes = 20;
	c->skip = 10;
	c->stages = 3;
	c->indexes = 2;
	/* One of each plugin's is for the test of this limit. */
	c->collections = (unsigned)tight_cases_n + 1;
}

void quota_limits(struct store_config *c)
{
	c->user_documents = 3;
	c->plugin_documents = 5;
	c->user_bytes = 1000;
	/* Not every server knows the size of a collection to the byte. */
	c->plugin_bytes = 0;
}
