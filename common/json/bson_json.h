/*
 * JSON <-> BSON of our own, iterative. libbson's reader of JSON is not strict (json_to_bson.c says
 * what it gets wrong) and its writer recurses.
 *
 * JSON -> BSON: what json_scan() accepts and is an object. Integers become int32 or int64, other
 * numbers and larger integers double; what does not fit a finite double is refused, so are
 * duplicate names at every level and names with a NUL. Extended JSON is read only with
 * JSON_BSON_EXTENDED, and then only an object with this one member and nothing else in it:
 *
 *   {"$oid": "24 hexadecimal digits"}
 *   {"$date": "2026-11-21T12:00:00.000Z"}, {"$date": {"$numberLong": "ms"}}, {"$date": ms}
 *   {"$numberLong": "integer"}
 *   {"$numberDecimal": "text"}
 *   {"$binary": {"base64": "…", "subType": "00"}}
 *
 * Everything else that starts with $ stays data; one of these forms with a text that cannot be read
 * is an error.
 *
 * BSON -> JSON: ObjectId -> its 24 hex digits, date -> ISO 8601 "2026-11-21T12:00:00.000Z",
 * Decimal128 -> a string, binary -> base64 string; NaN and infinities are an error. With
 * JSON_BSON_EXTENDED: the extended forms instead ({"$oid": …}), which read back as the same BSON;
 * int64 is {"$numberLong": …} there. Types that bson_check() lets through and JSON -> BSON does not
 * make (regular expression, timestamp, min key, max key) have MongoDB's canonical forms with
 * JSON_BSON_EXTENDED and strings without; those that it refuses become strings (undefined: null).
 *
 * Any thread. The process has called map_init().
 */
#pragma once

#include "common/base/buffer.h"
#include "common/json/scan.h"

#include <bson/bson.h>

enum json_bson_flags { JSON_BSON_PLAIN = 0, JSON_BSON_EXTENDED = 1 };

/* Members of one object that is turned into BSON. */
enum { JSON_MEMBERS_MAX = 10000 };

/**
 * Appends one BSON document to `out`. Takes memory only through `out` and for objects with more
 * than 16 members.
 * @param out unchanged on failure.
 * @param ret_failure NULL, or set with -EBADMSG.
 * @return 0; -EBADMSG and `ret_failure`; -ENOBUFS over the limit of `out` or 2^31 - 1 bytes;
 *   -ENOMEM.
 */
int json_to_bson_bytes(
	struct slice text, int flags, struct buffer *out, struct json_failure *ret_failure);

/**
 * The same for those who go on with libbson. (libbson itself aborts when it gets no memory.)
 * @param ret_bson initialised by the caller (bson_init); the members are appended to it, unchecked
 *   against those that are there. Unchanged on failure.
 * @return as json_to_bson_bytes().
 */
int json_to_bson(struct slice text, int flags, bson_t *ret_bson, struct json_failure *ret_failure);

/**
 * Appends one JSON object. The BSON has passed bson_check() or is our own.
 * @param out unchanged on failure.
 * @return 0; -EDOM for NaN or an infinity; -EBADMSG when libbson finds it broken or it nests deeper
 *   than BSON_DEPTH_MAX; -ENOBUFS; -ENOMEM.
 */
int bson_to_json(struct slice document, int flags, struct buffer *out);
