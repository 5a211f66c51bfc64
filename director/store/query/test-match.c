/* Filters against documents: what matches, what does not, and what is refused by name. */
/* cmocka.h needs what stands before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "director/store/query/match.h"
#include "director/store/query/notation.h"

#include <stdio.h>
#include <stdlib.h>

static const struct match_limits limits = { 1000, 1000 };

struct match_case {
	bool expected;
	const char *document;
	const char *filter;
};

/* clang-format off */
static const struct match_case cases[] = {
	/* Equality. */
	{ true,  "{a: 1}", "{}" },
	{ true,  "{a: 1}", "{a: 1}" },
	{ false, "{a: 1}", "{a: 2}" },
	{ false, "{a: 1}", "{b: 1}" },
	{ true,  "{a: 1, b: 2}", "{a: 1, b: 2}" },
	{ false, "{a: 1, b: 2}", "{a: 1, b: 3}" },
	{ true,  "{a: 'x'}", "{a: 'x'}" },
	{ false, "{a: 'x'}", "{a: 'X'}" },
	{ false, "{a: 'x'}", "{a: 'x\\x00'}" },
	{ true,  "{a: 'x\\x00y'}", "{a: 'x\\x00y'}" },
	{ false, "{a: 'x\\x00y'}", "{a: 'x\\x00z'}" },
	{ false, "{a: '1'}", "{a: 1}" },
	{ true,  "{a: true}", "{a: true}" },
	{ false, "{a: 1}", "{a: true}" },
	{ false, "{a: false}", "{a: 0}" },
	{ true,  "{a: OID(0102030405060708090a0b0c)}", "{a: OID(0102030405060708090a0b0c)}" },
	{ false, "{a: OID(0102030405060708090a0b0c)}", "{a: OID(0102030405060708090a0b0d)}" },
	{ true,  "{a: DATE(5)}", "{a: DATE(5)}" },
	{ false, "{a: DATE(5)}", "{a: 5}" },
	{ false, "{a: DATE(5)}", "{a: TS(5)}" },
	{ true,  "{a: BIN(0,01ff)}", "{a: BIN(0,01ff)}" },
	{ false, "{a: BIN(0,01ff)}", "{a: BIN(1,01ff)}" },
	{ true,  "{a: MinKey}", "{a: MinKey}" },
	{ false, "{a: MinKey}", "{a: MaxKey}" },
	{ true,  "{a: 1}", "{a: {$eq: 1}}" },
	{ false, "{a: 1}", "{a: {$eq: 2}}" },
	/* Bits. */
	{ true,  "{a: 54}", "{a: {$bitsAllSet: 50}}" },
	{ false, "{a: 54}", "{a: {$bitsAllSet: 51}}" },
	{ true,  "{a: 54}", "{a: {$bitsAllSet: [1, 5]}}" },
	{ true,  "{a: 54}", "{a: {$bitsAnySet: [0, 5]}}" },
	{ false, "{a: 54}", "{a: {$bitsAnySet: [0, 3]}}" },
	{ true,  "{a: 54}", "{a: {$bitsAllClear: [0, 3]}}" },
	{ false, "{a: 54}", "{a: {$bitsAllClear: [0, 1]}}" },
	{ true,  "{a: 54}", "{a: {$bitsAnyClear: [0, 1]}}" },
	{ false, "{a: 54}", "{a: {$bitsAnyClear: [1, 2]}}" },
	{ true,  "{a: -1}", "{a: {$bitsAllSet: [0, 63, 200]}}" },
	{ true,  "{a: 5}", "{a: {$bitsAllClear: [200]}}" },
	{ true,  "{a: 20.0}", "{a: {$bitsAllSet: BIN(0,14)}}" },
	{ false, "{a: 20.5}", "{a: {$bitsAllSet: 4}}" },
	{ false, "{a: 'x'}", "{a: {$bitsAllClear: 4}}" },
	{ false, "{}", "{a: {$bitsAllClear: 4}}" },
	{ true,  "{a: BIN(0,0080)}", "{a: {$bitsAllSet: [15]}}" },
	{ true,  "{a: BIN(0,0080)}", "{a: {$bitsAllClear: [14, 99]}}" },
	{ true,  "{a: [1, 4]}", "{a: {$bitsAllSet: [2]}}" },
	{ true,  "{a: 5}", "{a: {$bitsAllSet: []}}" },
	{ false, "{a: 5}", "{a: {$bitsAnySet: 0}}" },
	{ true,  "{a: 5}", "{a: 5, $comment: 'x'}" },
	{ false, "{a: 5}", "{$and: [{$comment: 'x', a: 6}]}" },
	/* Numbers are one type. */
	{ true,  "{a: 1}", "{a: 1.0}" },
	{ true,  "{a: 1}", "{a: 1L}" },
	{ true,  "{a: 1L}", "{a: DEC(1.0)}" },
	{ true,  "{a: DEC(10)}", "{a: DEC(1e1)}" },
	{ true,  "{a: 0.0}", "{a: -0.0}" },
	{ true,  "{a: DEC(-0)}", "{a: 0}" },
	{ false, "{a: 9007199254740993L}", "{a: 9007199254740992.0}" },
	{ true,  "{a: 9007199254740992L}", "{a: 9007199254740992.0}" },
	{ false, "{a: 0.1}", "{a: DEC(0.1)}" },
	{ true,  "{a: 0.5}", "{a: DEC(0.50)}" },
	{ true,  "{a: NaN}", "{a: NaN}" },
	{ true,  "{a: NaN}", "{a: DEC(NaN)}" },
	{ false, "{a: NaN}", "{a: 0}" },
	{ true,  "{a: Infinity}", "{a: DEC(Infinity)}" },
	{ false, "{a: Infinity}", "{a: -Infinity}" },
	/* Null and missing. */
	{ true,  "{a: null}", "{a: null}" },
	{ true,  "{b: 1}", "{a: null}" },
	{ false, "{a: 0}", "{a: null}" },
	{ true,  "{a: [1, null]}", "{a: null}" },
	{ false, "{a: []}", "{a: null}" },
	{ true,  "{a: {}}", "{'a.b': null}" },
	{ true,  "{a: 5}", "{'a.b': null}" },
	{ false, "{a: []}", "{'a.b': null}" },
	{ false, "{a: [1, 2]}", "{'a.b': null}" },
	{ true,  "{a: [{b: 1}, {c: 2}]}", "{'a.b': null}" },
	{ false, "{a: [{b: 1}, {b: 2}]}", "{'a.b': null}" },
	{ true,  "{a: [{b: 1}, {b: null}]}", "{'a.b': null}" },
	/* Documents: all fields, in order. */
	{ true,  "{a: {b: 1, c: 2}}", "{a: {b: 1, c: 2}}" },
	{ false, "{a: {b: 1, c: 2}}", "{a: {c: 2, b: 1}}" },
	{ false, "{a: {b: 1, c: 2}}", "{a: {b: 1}}" },
	{ true,  "{a: {b: 1.0}}", "{a: {b: 1}}" },
	{ true,  "{a: {}}", "{a: {}}" },
	{ false, "{a: {b: 1}}", "{a: {}}" },
	{ true,  "{a: {b: {c: [1, {d: 2}]}}}", "{a: {b: {c: [1, {d: 2}]}}}" },
	/* Dotted paths. */
	{ true,  "{a: {b: 1}}", "{'a.b': 1}" },
	{ false, "{a: {b: 1}}", "{'a.c': 1}" },
	{ false, "{a: 1}", "{'a.b': 1}" },
	{ true,  "{a: {b: {c: 'x'}}}", "{'a.b.c': 'x'}" },
	{ true,  "{a: [{b: 1}, {b: 2}]}", "{'a.b': 2}" },
	{ false, "{a: [{b: 1}, {b: 2}]}", "{'a.b': 3}" },
	{ true,  "{a: [{b: [1, 2]}, {b: 3}]}", "{'a.b': 2}" },
	{ false, "{a: [[{b: 1}]]}", "{'a.b': 1}" },
	{ true,  "{a: [[{b: 1}]]}", "{'a.0.b': 1}" },
	{ true,  "{a: [5, {b: 1}]}", "{'a.1.b': 1}" },
	{ false, "{a: [5, {b: 1}]}", "{'a.0.b': 1}" },
	{ true,  "{a: [{b: 1}]}", "{'a.0': {b: 1}}" },
	{ true,  "{a: {'0': 'x'}}", "{'a.0': 'x'}" },
	{ true,  "{a: [{'0': 'x'}]}", "{'a.0': 'x'}" },
	{ true,  "{a: [1, 2]}", "{'a.1': 2}" },
	{ false, "{a: [1, 2]}", "{'a.01': 2}" },
	{ false, "{a: [1, 2]}", "{'a.2': 2}" },
	{ false, "{a: [5, [2, 4]]}", "{'a.1': 2}" },
	{ true,  "{a: [5, [2, 4]]}", "{'a.1': [2, 4]}" },
	{ true,  "{a: [5, [2, 4]]}", "{'a.1.0': 2}" },
	/* Arrays: the array itself or an element. */
	{ true,  "{a: [1, 2, 3]}", "{a: 2}" },
	{ false, "{a: [1, 2, 3]}", "{a: 4}" },
	{ true,  "{a: [1, 2]}", "{a: [1, 2]}" },
	{ false, "{a: [1, 2]}", "{a: [2, 1]}" },
	{ false, "{a: [1, 2]}", "{a: [1]}" },
	{ true,  "{a: [[1, 2], 3]}", "{a: [1, 2]}" },
	{ false, "{a: [[1, 2], 3]}", "{a: 1}" },
	{ true,  "{a: []}", "{a: []}" },
	{ true,  "{a: [{b: 1}]}", "{a: {b: 1}}" },
	/* Ranges stay inside a bracket of types. */
	{ true,  "{a: 5}", "{a: {$gt: 4}}" },
	{ false, "{a: 5}", "{a: {$gt: 5}}" },
	{ true,  "{a: 5}", "{a: {$gte: 5}}" },
	{ true,  "{a: 5}", "{a: {$lt: 5.5}}" },
	{ true,  "{a: 5}", "{a: {$lte: 5L}}" },
	{ false, "{a: 5}", "{a: {$lt: 5}}" },
	{ true,  "{a: 5}", "{a: {$gt: 4, $lt: 6}}" },
	{ false, "{a: 5}", "{a: {$gt: 4, $lt: 5}}" },
	{ false, "{a: 'x'}", "{a: {$gt: 4}}" },
	{ false, "{a: 5}", "{a: {$lt: 'x'}}" },
	{ true,  "{a: 'b'}", "{a: {$gt: 'a'}}" },
	{ true,  "{a: 'ab'}", "{a: {$gt: 'a'}}" },
	{ false, "{b: 1}", "{a: {$lt: 5}}" },
	{ false, "{a: null}", "{a: {$lt: 5}}" },
	{ true,  "{a: null}", "{a: {$gte: null}}" },
	{ true,  "{b: 1}", "{a: {$lte: null}}" },
	{ false, "{a: null}", "{a: {$gt: null}}" },
	{ false, "{a: NaN}", "{a: {$lt: 5}}" },
	{ false, "{a: 5}", "{a: {$gt: NaN}}" },
	{ true,  "{a: NaN}", "{a: {$gte: NaN}}" },
	{ true,  "{a: 5}", "{a: {$lt: MaxKey}}" },
	{ true,  "{a: 'x'}", "{a: {$gt: MinKey}}" },
	{ false, "{a: 'x'}", "{a: {$lt: MinKey}}" },
	{ true,  "{a: [1, 9]}", "{a: {$gt: 8}}" },
	{ true,  "{a: [1, 9]}", "{a: {$gt: 8, $lt: 2}}" },
	{ true,  "{a: [3]}", "{a: {$gt: [2]}}" },
	{ true,  "{a: DATE(10)}", "{a: {$gt: DATE(9)}}" },
	{ true,  "{a: DATE(-10)}", "{a: {$lt: DATE(0)}}" },
	{ true,  "{a: OID(010000000000000000000000)}", "{a: {$lt: OID(020000000000000000000000)}}" },
	{ true,  "{a: false}", "{a: {$lt: true}}" },
	{ true,  "{a: {b: 1}}", "{a: {$gt: {b: 0}}}" },
	{ true,  "{a: DEC(1e100)}", "{a: {$gt: 9223372036854775807L}}" },
	{ true,  "{a: DEC(-1e400)}", "{a: {$lt: -1.0e308}}" },
	/* $ne, $nin, $not: the opposite, so a missing field satisfies them. */
	{ true,  "{a: 1}", "{a: {$ne: 2}}" },
	{ false, "{a: 1}", "{a: {$ne: 1.0}}" },
	{ true,  "{b: 1}", "{a: {$ne: 2}}" },
	{ false, "{b: 1}", "{a: {$ne: null}}" },
	{ false, "{a: [1, 2]}", "{a: {$ne: 2}}" },
	{ true,  "{a: [1, 2]}", "{a: {$ne: 3}}" },
	{ true,  "{a: [{b: 1}]}", "{'a.b': {$ne: 2}}" },
	{ false, "{a: [{b: 1}, {b: 2}]}", "{'a.b': {$ne: 2}}" },
	{ true,  "{a: 3}", "{a: {$not: {$gt: 3}}}" },
	{ false, "{a: 4}", "{a: {$not: {$gt: 3}}}" },
	{ true,  "{b: 4}", "{a: {$not: {$gt: 3}}}" },
	{ true,  "{a: 'x'}", "{a: {$not: {$gt: 3}}}" },
	{ true,  "{a: 9}", "{a: {$not: {$gt: 3, $lt: 8}}}" },
	{ false, "{a: 5}", "{a: {$not: {$gt: 3, $lt: 8}}}" },
	{ false, "{a: 'abc'}", "{a: {$not: /b/}}" },
	{ true,  "{a: 'abc'}", "{a: {$not: /z/}}" },
	{ true,  "{a: 5}", "{a: {$not: {$not: {$eq: 5}}}}" },
	/* $in, $nin. */
	{ true,  "{a: 2}", "{a: {$in: [1, 2, 3]}}" },
	{ true,  "{a: 2}", "{a: {$in: ['2', 2.0]}}" },
	{ false, "{a: 4}", "{a: {$in: [1, 2, 3]}}" },
	{ false, "{a: 4}", "{a: {$in: []}}" },
	{ true,  "{a: [9, 3]}", "{a: {$in: [1, 2, 3]}}" },
	{ true,  "{b: 1}", "{a: {$in: [1, null]}}" },
	{ true,  "{a: 'hello'}", "{a: {$in: [1, /^he/]}}" },
	{ true,  "{a: 1}", "{a: {$in: [1, /^he/]}}" },
	{ false, "{a: 'jello'}", "{a: {$in: [1, /^he/]}}" },
	{ true,  "{a: [1, 2]}", "{a: {$in: [[1, 2]]}}" },
	{ true,  "{a: {x: 1}}", "{a: {$in: [{x: 1}]}}" },
	{ true,  "{a: 4}", "{a: {$nin: [1, 2]}}" },
	{ false, "{a: 1}", "{a: {$nin: [1, 2]}}" },
	{ true,  "{b: 1}", "{a: {$nin: [1, 2]}}" },
	{ false, "{b: 1}", "{a: {$nin: [null]}}" },
	{ false, "{a: 'hello'}", "{a: {$nin: [/l/]}}" },
	{ true,  "{a: 4}", "{a: {$nin: []}}" },
	/* $exists. */
	{ true,  "{a: null}", "{a: {$exists: true}}" },
	{ false, "{b: 1}", "{a: {$exists: true}}" },
	{ true,  "{b: 1}", "{a: {$exists: false}}" },
	{ false, "{a: 1}", "{a: {$exists: 0}}" },
	{ true,  "{a: {b: 1}}", "{'a.b': {$exists: 1}}" },
	{ false, "{a: []}", "{'a.b': {$exists: true}}" },
	{ true,  "{a: []}", "{'a.b': {$exists: false}}" },
	{ true,  "{a: [{b: 1}, 2]}", "{'a.b': {$exists: true}}" },
	{ true,  "{a: [1]}", "{'a.0': {$exists: true}}" },
	{ false, "{a: [1]}", "{'a.1': {$exists: true}}" },
	/* $type. */
	{ true,  "{a: 'x'}", "{a: {$type: 'string'}}" },
	{ true,  "{a: 'x'}", "{a: {$type: 2}}" },
	{ false, "{a: 1}", "{a: {$type: 'string'}}" },
	{ true,  "{a: 1L}", "{a: {$type: 'number'}}" },
	{ true,  "{a: 1L}", "{a: {$type: 18.0}}" },
	{ true,  "{a: 1}", "{a: {$type: ['string', 'int']}}" },
	{ true,  "{a: [1, 'x']}", "{a: {$type: 'string'}}" },
	{ true,  "{a: [1]}", "{a: {$type: 'array'}}" },
	{ false, "{b: [1]}", "{a: {$type: 'null'}}" },
	{ true,  "{a: null}", "{a: {$type: 10}}" },
	{ true,  "{a: MinKey}", "{a: {$type: -1}}" },
	{ false, "{a: 1}", "{a: {$type: 'maxKey'}}" },
	{ true,  "{a: DATE(1)}", "{a: {$type: 'date'}}" },
	/* $size. */
	{ true,  "{a: [1, 2]}", "{a: {$size: 2}}" },
	{ true,  "{a: []}", "{a: {$size: 0}}" },
	{ false, "{a: [1, 2]}", "{a: {$size: 1}}" },
	{ false, "{a: 1}", "{a: {$size: 1}}" },
	{ false, "{b: 1}", "{a: {$size: 0}}" },
	{ false, "{a: [[1, 2]]}", "{a: {$size: 2}}" },
	{ true,  "{a: [{b: [1]}]}", "{'a.b': {$size: 1.0}}" },
	/* $all. */
	{ true,  "{a: [1, 2, 3]}", "{a: {$all: [2, 3]}}" },
	{ false, "{a: [1, 2, 3]}", "{a: {$all: [2, 4]}}" },
	{ true,  "{a: 2}", "{a: {$all: [2]}}" },
	{ false, "{a: [1]}", "{a: {$all: []}}" },
	{ true,  "{a: ['ab', 'cd']}", "{a: {$all: [/^a/, 'cd']}}" },
	{ true,  "{a: [[1, 2], 3]}", "{a: {$all: [[1, 2]]}}" },
	{ true,  "{a: [{x: 1}, {x: 5}]}", "{a: {$all: [{$elemMatch: {x: 1}}, {$elemMatch: {x: {$gt: 4}}}]}}" },
	{ false, "{a: [{x: 1}]}", "{a: {$all: [{$elemMatch: {x: 1}}, {$elemMatch: {x: {$gt: 4}}}]}}" },
	/* $elemMatch. */
	{ true,  "{a: [1, 5, 9]}", "{a: {$elemMatch: {$gt: 4, $lt: 6}}}" },
	{ false, "{a: [1, 9]}", "{a: {$elemMatch: {$gt: 4, $lt: 6}}}" },
	{ false, "{a: 5}", "{a: {$elemMatch: {$gt: 4, $lt: 6}}}" },
	{ true,  "{a: [{x: 1, y: 2}, {x: 3, y: 4}]}", "{a: {$elemMatch: {x: 3, y: 4}}}" },
	{ false, "{a: [{x: 1, y: 2}, {x: 3, y: 4}]}", "{a: {$elemMatch: {x: 1, y: 4}}}" },
	{ true,  "{a: [{x: 1, y: 2}, {x: 3, y: 4}]}", "{'a.x': 1, 'a.y': 4}" },
	{ true,  "{a: [{x: {y: [7]}}]}", "{a: {$elemMatch: {'x.y': 7}}}" },
	{ true,  "{a: [{x: 1}]}", "{a: {$elemMatch: {$or: [{x: 1}, {x: 2}]}}}" },
	{ false, "{a: [{x: 3}]}", "{a: {$elemMatch: {$or: [{x: 1}, {x: 2}]}}}" },
	{ true,  "{a: [[1, 2], [3]]}", "{a: {$elemMatch: {$elemMatch: {$eq: 3}}}}" },
	{ false, "{a: [[1, 2], [3]]}", "{a: {$elemMatch: {$elemMatch: {$eq: 4}}}}" },
	{ true,  "{a: [[8, 9]]}", "{a: {$elemMatch: {'0': 8}}}" },
	{ false, "{a: [1, 2]}", "{a: {$elemMatch: {x: 1}}}" },
	{ true,  "{a: [{}]}", "{a: {$elemMatch: {}}}" },
	{ false, "{a: [1]}", "{a: {$elemMatch: {}}}" },
	{ true,  "{a: [1, 2]}", "{a: {$elemMatch: {$not: {$gt: 1}}}}" },
	{ true,  "{a: [1, 2]}", "{a: {$not: {$elemMatch: {$gt: 2}}}}" },
	{ true,  "{a: ['x', 3]}", "{a: {$elemMatch: {$in: [3, 4]}}}" },
	{ true,  "{a: [{b: [{c: 1}, {c: 2}]}]}", "{'a.b': {$elemMatch: {c: 2}}}" },
	/* $mod. */
	{ true,  "{a: 10}", "{a: {$mod: [4, 2]}}" },
	{ false, "{a: 10}", "{a: {$mod: [4, 1]}}" },
	{ true,  "{a: 10.9}", "{a: {$mod: [4, 2]}}" },
	{ true,  "{a: -5}", "{a: {$mod: [3, -2]}}" },
	{ true,  "{a: DEC(1.2e1)}", "{a: {$mod: [5, 2]}}" },
	{ false, "{a: 'x'}", "{a: {$mod: [4, 0]}}" },
	{ false, "{a: NaN}", "{a: {$mod: [4, 0]}}" },
	{ true,  "{a: -9223372036854775808L}", "{a: {$mod: [-1, 0]}}" },
	{ true,  "{a: [1, 8]}", "{a: {$mod: [4, 0]}}" },
	/* $regex. */
	{ true,  "{a: 'hello'}", "{a: /ell/}" },
	{ false, "{a: 'hello'}", "{a: /ELL/}" },
	{ true,  "{a: 'hello'}", "{a: /ELL/i}" },
	{ true,  "{a: 'hello'}", "{a: {$regex: '^h.*o$'}}" },
	{ true,  "{a: 'hello'}", "{a: {$regex: 'HELLO', $options: 'i'}}" },
	{ true,  "{a: 'hello'}", "{a: {$options: 'i', $regex: 'HELLO'}}" },
	{ true,  "{a: 'x\\x0ay'}", "{a: {$regex: '^y', $options: 'm'}}" },
	{ false, "{a: 'x\\x0ay'}", "{a: {$regex: '^y'}}" },
	{ true,  "{a: 'x\\x0ay'}", "{a: {$regex: 'x.y', $options: 's'}}" },
	{ true,  "{a: 'ab'}", "{a: {$regex: 'a b', $options: 'x'}}" },
	{ false, "{a: 5}", "{a: /5/}" },
	{ true,  "{a: ['no', 'yes']}", "{a: /^y/}" },
	{ true,  "{a: /ab/i}", "{a: /ab/i}" },
	{ false, "{a: /ab/i}", "{a: /ab/}" },
	{ true,  "{a: 'h\\xc3\\xa4'}", "{a: {$regex: '^h.$'}}" },
	{ true,  "{a: 'abc'}", "{a: {$regex: 'a', $ne: 'x'}}" },
	{ false, "{a: 'abc'}", "{a: {$regex: 'a', $ne: 'abc'}}" },
	{ true,  "{a: /ab/i}", "{a: {$eq: /ab/i}}" },
	{ false, "{a: 'ab'}", "{a: {$eq: /ab/i}}" },
	/* $and, $or, $nor. */
	{ true,  "{a: 1, b: 2}", "{$and: [{a: 1}, {b: 2}]}" },
	{ false, "{a: 1, b: 2}", "{$and: [{a: 1}, {b: 3}]}" },
	{ true,  "{a: 1, b: 2}", "{$or: [{a: 9}, {b: 2}]}" },
	{ false, "{a: 1, b: 2}", "{$or: [{a: 9}, {b: 9}]}" },
	{ true,  "{a: 1, b: 2}", "{$nor: [{a: 9}, {b: 9}]}" },
	{ false, "{a: 1, b: 2}", "{$nor: [{a: 9}, {b: 2}]}" },
	{ false, "{a: 1, b: 2}", "{a: 2, $or: [{a: 1}, {b: 2}]}" },
	{ false, "{a: 1, b: 2}", "{$or: [{a: 1}], b: 3}" },
	{ true,  "{a: 1, b: 2}", "{$or: [{$and: [{a: 1}, {b: 9}]}, {$and: [{a: 1}, {b: 2}]}]}" },
	{ true,  "{a: 1}", "{$and: [{}]}" },
	{ false, "{a: 1}", "{$nor: [{}]}" },
	{ true,  "{a: 1, b: 2}", "{$or: [{a: 1, b: 9}, {a: 1, b: 2}]}" },
	/* The same field twice in one filter: later keys are not dropped inside $and. */
	{ false, "{a: 1, b: 2}", "{$and: [{a: 1, b: 3}]}" },
	{ false, "{u: 'x'}", "{$and: [{u: 'x'}, {u: 'y'}]}" },
};
/* clang-format on */

static void filters_have_their_verdicts(void **state)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct slice document = notation_parse(cases[i].document);
		struct slice filter = notation_parse(cases[i].filter);
		struct store_failure f = { 0 };
		struct budget budget = { 0 };
		struct matcher *m = NULL;
		int r = matcher_compile(&m, filter, &limits, &f);
		if (r != 0) {
			fail_msg("%s: %s", cases[i].filter, f.message);
		}
		if (matcher_match(m, document, &budget) != cases[i].expected) {
			fail_msg("%s on %s: expected %d", cases[i].filter, cases[i].document,
				cases[i].expected);
		}
		matcher_free(m);
		free((void *)filter.p);
		free((void *)document.p);
	}
}

struct refusal {
	enum store_error error;
	const char *filter;
	const char *text; /* is in the message */
};

static const struct refusal refusals[] = {
	{ STORE_E_UNSUPPORTED, "{$where: '1'}", "unsupported operator $where" },
	{ STORE_E_UNSUPPORTED, "{$expr: {$eq: [1, 1]}}", "unsupported operator $expr" },
	{ STORE_E_UNSUPPORTED, "{$text: {$search: 'x'}}", "unsupported operator $text" },
	{ STORE_E_UNSUPPORTED, "{$jsonSchema: {}}", "unsupported operator $jsonSchema" },
	{ STORE_E_UNSUPPORTED, "{$gt: 1}", "unsupported operator $gt" },
	{ STORE_E_UNSUPPORTED, "{$not: {a: 1}}", "unsupported operator $not" },
	{ STORE_E_UNSUPPORTED, "{a: {$near: [1, 2]}}", "unsupported operator $near" },
	{ STORE_E_UNSUPPORTED, "{$jsonSchema: {required: ['a']}}",
		"unsupported operator $jsonSchema" },
	{ STORE_E_INVALID, "{a: {$bitsAllSet: -1}}", "bits need" },
	{ STORE_E_INVALID, "{a: {$bitsAnySet: 1.5}}", "bits need" },
	{ STORE_E_INVALID, "{a: {$bitsAllClear: 'x'}}", "bits need" },
	{ STORE_E_INVALID, "{a: {$bitsAnyClear: [1, -1]}}", "position of a bit" },
	{ STORE_E_UNSUPPORTED, "{a: {$not: {$foo: 1}}}", "unsupported operator $foo" },
	{ STORE_E_UNSUPPORTED, "{a: {$and: [{$gt: 1}]}}", "unsupported operator $and" },
	{ STORE_E_UNSUPPORTED, "{$and: [{$or: [{$where: 1}]}]}", "unsupported operator $where" },
	{ STORE_E_UNSUPPORTED, "{a: {$elemMatch: {$where: 1}}}", "unsupported operator $where" },
	{ STORE_E_UNSUPPORTED, "{a: {$elemMatch: {b: {$x: 1}}}}", "unsupported operator $x" },
	{ STORE_E_UNSUPPORTED, "{a: {b: {$gt: 1}}}", "unsupported operator $gt inside a compared" },
	{ STORE_E_UNSUPPORTED, "{a: {b: 1, $gt: 1}}", "unsupported operator $gt" },
	{ STORE_E_UNSUPPORTED, "{a: [{$gt: 1}]}", "unsupported operator $gt inside a compared" },
	{ STORE_E_UNSUPPORTED, "{a: {$in: [{$gt: 1}]}}", "unsupported operator $gt" },
	{ STORE_E_UNSUPPORTED, "{a: {$all: [{$gt: 1}]}}", "unsupported operator $gt inside $all" },
	{ STORE_E_UNSUPPORTED, "{a: {$ref: 'x', $id: 1}}", "unsupported operator $ref" },
	{ STORE_E_INVALID, "{a: {$gt: 1, b: 2}}", "mixes operators with the field b" },
	{ STORE_E_INVALID, "{$and: []}", "$and needs an array that is not empty" },
	{ STORE_E_INVALID, "{$or: {a: 1}}", "$or needs an array" },
	{ STORE_E_INVALID, "{$nor: [1]}", "$nor needs documents" },
	{ STORE_E_INVALID, "{a: {$in: 5}}", "needs an array, not an int32" },
	{ STORE_E_INVALID, "{a: {$all: 5}}", "$all needs an array" },
	{ STORE_E_INVALID, "{a: {$elemMatch: 5}}", "$elemMatch needs a document" },
	{ STORE_E_INVALID, "{a: {$size: -1}}", "$size needs" },
	{ STORE_E_INVALID, "{a: {$size: 1.5}}", "$size needs" },
	{ STORE_E_INVALID, "{a: {$size: 'x'}}", "$size needs" },
	{ STORE_E_INVALID, "{a: {$mod: [0, 1]}}", "$mod needs" },
	{ STORE_E_INVALID, "{a: {$mod: [2]}}", "$mod needs" },
	{ STORE_E_INVALID, "{a: {$mod: [2, 1, 0]}}", "$mod needs" },
	{ STORE_E_INVALID, "{a: {$mod: [NaN, 1]}}", "$mod needs" },
	{ STORE_E_INVALID, "{a: {$type: 'foo'}}", "\"foo\"" },
	{ STORE_E_INVALID, "{a: {$type: 99}}", "$type needs" },
	{ STORE_E_INVALID, "{a: {$type: []}}", "$type with an empty array" },
	{ STORE_E_INVALID, "{a: {$not: 5}}", "$not needs" },
	{ STORE_E_INVALID, "{a: {$not: {}}}", "$not needs" },
	{ STORE_E_INVALID, "{a: {$not: {b: 1}}}", "mixes operators with the field b" },
	{ STORE_E_INVALID, "{a: {$gt: /x/}}", "regular expression" },
	{ STORE_E_INVALID, "{a: {$ne: /x/}}", "regular expression" },
	{ STORE_E_INVALID, "{a: {$regex: 5}}", "$regex needs" },
	{ STORE_E_INVALID, "{a: {$regex: '('}}", "not valid" },
	{ STORE_E_INVALID, "{a: {$regex: 'x', $options: 'g'}}", "\"g\"" },
	{ STORE_E_INVALID, "{a: {$regex: 'x', $options: 5}}", "$options needs" },
	{ STORE_E_INVALID, "{a: {$options: 'i'}}", "$options without $regex" },
	{ STORE_E_INVALID, "{a: {$regex: '\\C'}}", "not valid" },
	{ STORE_E_INVALID, "{'a..b': 1}", "empty part" },
	{ STORE_E_INVALID, "{'': 1}", "empty part" },
	{ STORE_E_INVALID, "{'a.': 1}", "empty part" },
};

static void assert_refused(
	struct slice filter, const struct match_limits *l, enum store_error error, const char *text)
{
	struct store_failure f = { 0 };
	struct matcher *m = NULL;
	int r = matcher_compile(&m, filter, l, &f);
	if (r != (int)error || f.error != error || strstr(f.message, text) == NULL) {
		fail_msg("expected %d \"%s\", got %d \"%s\"", error, text, r, f.message);
	}
	assert_null(m);
}

static void what_is_not_supported_is_named(void **state)
{
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		struct slice filter = notation_parse(refusals[i].filter);
		assert_refused(filter, &limits, refusals[i].error, refusals[i].text);
		free((void *)filter.p);
	}
}

static struct slice filter_with_array(const char *op, unsigned n)
{
	struct document_writer w;
	size_t size = 0;
	char text[24];
	writer_init(&w, 1U << 20);
	size_t root = writer_open(&w);
	size_t field = writer_open_in(&w, BT_OBJECT, SLICE("a"));
	size_t array = writer_open_in(&w, BT_ARRAY, slice_str(op));
	for (unsigned i = 0; i < n; i++) {
		writer_int32(&w, index_name(i, text), (int32_t)(n - i));
	}
	writer_close(&w, array);
	writer_close(&w, field);
	writer_close(&w, root);
	assert_int_equal(w.error, 0);
	uint8_t *p = buffer_steal(&w.b, &size);
	return slice_of(p, size);
}

static void limits_are_named(void **state)
{
	static const char *const ops[] = { "$in", "$nin", "$all" };
	for (size_t i = 0; i < 3; i++) {
		struct slice filter = filter_with_array(ops[i], 1001);
		assert_refused(filter, &limits, STORE_E_LIMIT, "MOZAIKS_MAX_IN_VALUES");
		free((void *)filter.p);
	}
	struct slice filter = notation_parse("{a: {$regex: 'abcdef'}}");
	struct match_limits small = { 10, 5 };
	assert_refused(filter, &small, STORE_E_LIMIT, "MOZAIKS_MAX_REGEX_BYTES");
	free((void *)filter.p);
}

static void in_finds_each_of_its_values(void **state)
{
	struct store_failure f;
	struct budget budget = { 0 };
	struct matcher *m = NULL;
	struct slice filter = filter_with_array("$in", 1000);
	assert_int_equal(matcher_compile(&m, filter, &limits, &f), 0);
	for (int i = 0; i <= 1001; i++) {
		char text[64];
		(void)snprintf(text, sizeof(text), "{a: %d%s}", i, i % 2 ? ".0" : "");
		struct slice document = notation_parse(text);
		assert_int_equal(matcher_match(m, document, &budget), i >= 1 && i <= 1000);
		free((void *)document.p);
	}
	matcher_free(m);
	free((void *)filter.p);
}

static void nesting_is_bounded(void **state)
{
	char text[2000] = "{a: ";
	for (int i = 0; i < 70; i++) {
		(void)strncat(text, "{$not: ", sizeof(text) - strlen(text) - 1);
	}
	(void)strncat(text, "{$gt: 1}", sizeof(text) - strlen(text) - 1);
	for (int i = 0; i < 71; i++) {
		(void)strncat(text, "}", sizeof(text) - strlen(text) - 1);
	}
	struct slice filter = notation_parse(text);
	assert_refused(filter, &limits, STORE_E_LIMIT, "deeper than 64 levels (a fixed limit)");
	free((void *)filter.p);
}

/* A pattern that takes exponential time ends at its match limit and spoils the whole answer. */
static void evil_regex_ends(void **state)
{
	static const char *const patterns[] = { "{a: {$regex: '^(a+)+$'}}",
		"{a: {$regex: '^(a|a)*$'}}", "{a: {$regex: '(*LIMIT_MATCH=4000000000)^(a+)+$'}}" };
	struct slice document =
		notation_parse("{a: 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!'}");
	for (size_t i = 0; i < 3; i++) {
		struct store_failure f;
		struct budget budget = { 0 };
		struct matcher *m = NULL;
		struct slice filter = notation_parse(patterns[i]);
		assert_int_equal(matcher_compile(&m, filter, &limits, &f), 0);
		assert_false(matcher_match(m, document, &budget));
		assert_true(budget.regex_limit);
		assert_true(budget_spent(&budget));
		matcher_free(m);
		free((void *)filter.p);
	}
	free((void *)document.p);
}

/* a.0.0.0… over nested arrays and documents doubles at each level; the clock ends it. */
static void ambiguous_paths_end(void **state)
{
	char doc[4000] = "{a: ";
	char filter_text[400] = "{'a";
	for (int i = 0; i < 31; i++) {
		(void)strncat(doc, "[{'0': ", sizeof(doc) - strlen(doc) - 1);
	}
	(void)strncat(doc, "1", sizeof(doc) - strlen(doc) - 1);
	for (int i = 0; i < 31; i++) {
		(void)strncat(doc, "}]", sizeof(doc) - strlen(doc) - 1);
	}
	(void)strncat(doc, "}", sizeof(doc) - strlen(doc) - 1);
	for (int i = 0; i < 60; i++) {
		(void)strncat(filter_text, ".0", sizeof(filter_text) - strlen(filter_text) - 1);
	}
	(void)strncat(filter_text, "': 'x'}", sizeof(filter_text) - strlen(filter_text) - 1);
	struct slice document = notation_parse(doc);
	struct slice filter = notation_parse(filter_text);
	struct store_failure f;
	struct matcher *m = NULL;
	/* Long over: the first look at the clock ends it. */
	struct budget budget = { .deadline_ms = 1 };
	assert_int_equal(matcher_compile(&m, filter, &limits, &f), 0);
	assert_false(matcher_match(m, document, &budget));
	assert_true(budget.late);
	matcher_free(m);
	free((void *)filter.p);
	free((void *)document.p);
}

static void planner_sees_equalities(void **state)
{
	static const struct {
		const char *filter;
		size_t n; /* 0: none */
	} plans[] = {
		{ "{_id: 1}", 1 },
		{ "{_id: {$eq: 1}}", 1 },
		{ "{_id: {$in: [1, 2, 3]}}", 3 },
		{ "{$and: [{x: 1}, {_id: 'q'}]}", 1 },
		{ "{$and: [{$and: [{_id: 'q'}]}], y: {$gt: 3}}", 1 },
		{ "{_id: {$gt: 1}}", 0 },
		{ "{$or: [{_id: 1}, {x: 1}]}", 0 },
		{ "{_id: {$ne: 1}}", 0 },
		{ "{_id: {$not: {$eq: 1}}}", 0 },
		{ "{'_id.x': 1}", 0 },
		{ "{a: {$elemMatch: {_id: 1}}}", 0 },
		{ "{_id: {$in: [1, /x/]}}", 0 },
		{ "{$nor: [{_id: 1}]}", 0 },
	};
	for (size_t i = 0; i < sizeof(plans) / sizeof(plans[0]); i++) {
		struct slice filter = notation_parse(plans[i].filter);
		struct store_failure f;
		struct matcher *m = NULL;
		const struct value *values = NULL;
		size_t n = 0;
		assert_int_equal(matcher_compile(&m, filter, &limits, &f), 0);
		bool found = matcher_equals_any(m, SLICE("_id"), &values, &n);
		if (found != (plans[i].n > 0) || n != plans[i].n) {
			fail_msg("%s: %d, %zu values", plans[i].filter, found, n);
		}
		matcher_free(m);
		free((void *)filter.p);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(filters_have_their_verdicts),
		cmocka_unit_test(what_is_not_supported_is_named),
		cmocka_unit_test(limits_are_named),
		cmocka_unit_test(in_finds_each_of_its_values),
		cmocka_unit_test(nesting_is_bounded),
		cmocka_unit_test(evil_regex_ends),
		cmocka_unit_test(ambiguous_paths_end),
		cmocka_unit_test(planner_sees_equalities),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
