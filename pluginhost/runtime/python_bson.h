/*
 * Python objects <-> BSON, natively: bson.encode() of Debian's python3-bson is four to six times
 * slower, and its decoder twice.
 *
 * Types as motor has them: dict and other mappings, list, tuple, str, int (int32 or int64 by value),
 * bson.Int64, float, bool, None, datetime (naive means UTC; milliseconds), ObjectId, bytes, Binary,
 * Decimal128, Regex and compiled patterns (flags i, m, s, x), Timestamp, MinKey, MaxKey, DBRef; and
 * uuid.UUID as binary of subtype 4, both ways. Decoded datetimes are naive UTC, integers of 64 bits
 * are bson.Int64.
 *
 * Source of the format: bsonspec.org, version 1.1. Holding the GIL.
 */
#pragma once

#include "common/base/buffer.h"
#include "pluginhost/runtime/python_api.h"

/* Classes of the bson package; filled by python_bson_types_init(). */
struct python_bson_types {
	PyObject *object_id;
	PyObject *object_id_bytes; /* the descriptor of its 12 bytes */
	PyObject *binary;
	PyObject *decimal128;
	PyObject *int64;
	PyObject *regex;
	PyObject *pattern; /* re.Pattern */
	PyObject *timestamp;
	PyObject *min_key;
	PyObject *max_key;
	PyObject *dbref;
	PyObject *uuid;
	PyObject *invalid_document; /* bson.errors */
	PyObject *invalid_bson;
};

/** Imports them. @return 0, or -1 with a Python exception. */
int python_bson_types_init(struct python_bson_types *t);
void python_bson_types_deinit(struct python_bson_types *t);

/**
 * Appends `document` (a mapping) as one BSON document; what was appended stays there on failure.
 * @param root how messages call the document, e.g. "document".
 * @return 0; -ENOBUFS over the buffer's limit, without a Python exception; -1 with one
 *   (bson.errors.InvalidDocument, which names the place; OverflowError; MemoryError).
 */
int python_bson_encode(const struct python_bson_types *t,
	struct buffer *out,
	PyObject *document,
	const char *root);

/**
 * Takes one document off the front of `bytes`. Lengths are checked, nesting is bounded.
 * @return a new dict, or NULL with bson.errors.InvalidBSON or MemoryError.
 */
PyObject *python_bson_decode(const struct python_bson_types *t, struct slice *bytes);
