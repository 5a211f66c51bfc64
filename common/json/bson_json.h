/*
 * JSON <-> BSON of our own (libbson's reader of JSON is not strict, see the file head of
 * bson_json.c for what it gets wrong).
 *
 * JSON -> BSON: integers become int32 or int64, what does not fit a finite double is refused;
 * duplicate names are refused at every level. Extended JSON is read only with JSON_BSON_EXTENDED,
 * and then only {"$oid"}, {"$date"}, {"$numberLong"}, {"$numberDecimal"}, {"$binary"}; everything
 * else that starts with $ stays data.
 *
 * BSON -> JSON: ObjectId -> its 24 hex digits, date -> ISO 8601 "2026-11-21T12:00:00.000Z",
 * Decimal128 -> a string, binary -> base64 string; NaN and infinities are an error. With
 * JSON_BSON_EXTENDED: the extended forms instead ({"$oid": …}).
 */
#pragma once

#include <bson/bson.h>

#include "common/base/buffer.h"
#include "common/json/scan.h"

enum json_bson_flags { JSON_BSON_PLAIN = 0, JSON_BSON_EXTENDED = 1 };

/**
 * @param ret_bson initialised by the caller (bson_init); the members are appended to it. The text
 *   must be an object. Untouched in meaning on failure: destroy it.
 * @return 0; -EBADMSG and `ret_failure`; -ENOMEM.
 */
int json_to_bson(struct slice text, int flags, bson_t *ret_bson, struct json_failure *ret_failure);

/** Appends one JSON object. The BSON has passed bson_check() or is our own.
 * @return 0; -EDOM for NaN or an infinity; -ENOBUFS; -ENOMEM. */
int bson_to_json(struct slice document, int flags, struct buffer *out);
