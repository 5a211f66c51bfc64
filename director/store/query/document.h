/*
 * BSON as bytes: reading without copies, writing into one buffer.
 *
 * Documents that come here have passed bson_check(); the readers nevertheless check every length
 * against what is left and end early on bytes that are no BSON, so that a damaged file cannot make
 * them read outside. Format: bsonspec.org, version 1.1.
 */
#pragma once

#include "common/base/buffer.h"

/* Type bytes of elements. */
enum {
	BT_MISSING = 0x00, /* not a type: "there is no such field" */
	BT_DOUBLE = 0x01,
	BT_STRING = 0x02,
	BT_OBJECT = 0x03,
	BT_ARRAY = 0x04,
	BT_BINARY = 0x05,
	BT_UNDEFINED = 0x06,
	BT_OID = 0x07,
	BT_BOOL = 0x08,
	BT_DATE = 0x09,
	BT_NULL = 0x0a,
	BT_REGEX = 0x0b,
	BT_DBPOINTER = 0x0c,
	BT_CODE = 0x0d,
	BT_SYMBOL = 0x0e,
	BT_CODE_SCOPE = 0x0f,
	BT_INT32 = 0x10,
	BT_TIMESTAMP = 0x11,
	BT_INT64 = 0x12,
	BT_DECIMAL = 0x13,
	BT_MAXKEY = 0x7f,
	BT_MINKEY = 0xff,
};

enum {
	DOCUMENT_DEPTH_MAX = 64, /* as bson_check() and the JSON scanner */
	DOCUMENT_EMPTY_BYTES = 5,
	OID_BYTES = 12,
	BINARY_HEAD_BYTES = 5, /* of a binary's value: its length and its subtype */
};

/* A value: its type and its bytes as they stand in the element (a string with its length). */
struct value {
	uint8_t type;
	struct slice data;
};

struct element {
	struct slice name;
	struct value value;
	struct slice raw; /* the whole element, from its type byte */
};

#define VALUE_MISSING ((struct value){ 0 })

struct document_iter {
	const uint8_t *p;
	const uint8_t *end;
};

/** Starts at the first element. Bytes that are no document have no elements. */
struct document_iter document_iter(struct slice document);

/** @return false at the end, and at the first byte that is no BSON. */
bool document_next(struct document_iter *it, struct element *ret);

/** The first element of that name; BT_MISSING when there is none. */
struct value document_find(struct slice document, struct slice name);

bool document_is_empty(struct slice document);

/** Takes one document off the front of a row of them. @return false: no (whole) document. */
bool document_take(struct slice *row, struct slice *ret);

/** True when no document in it is nested deeper than `max` (the root is 1). Iterative. */
bool document_depth_within(struct slice document, unsigned max);

static inline bool value_is_document(struct value v)
{
	return v.type == BT_OBJECT || v.type == BT_ARRAY;
}

static inline bool value_is_number(struct value v)
{
	return v.type == BT_INT32 || v.type == BT_INT64 || v.type == BT_DOUBLE ||
		v.type == BT_DECIMAL;
}

/** True when both have the same type and the same bytes. */
static inline bool value_same(struct value a, struct value b)
{
	return a.type == b.type && slice_eq(a.data, b.data);
}

/* Contents; the type has been checked by the caller. */
struct slice value_string(struct value v); /* without length and NUL; also symbol and code */
int32_t value_int32(struct value v);
int64_t value_int64(struct value v);   /* also date */
uint64_t value_uint64(struct value v); /* timestamp */
double value_double(struct value v);
bool value_bool(struct value v);
/** Pattern and options of a regular expression. */
void value_regex(struct value v, struct slice *ret_pattern, struct slice *ret_options);

/** "a string", "an array", … for messages. */
const char *value_type_name(uint8_t type);

/**
 * Writes documents. The first error sticks and makes every later call do nothing, so that only the
 * end needs a check: -ENOBUFS (over the limit of the buffer) or -ENOMEM.
 */
struct document_writer {
	struct buffer b;
	int error;
};

static inline void writer_init(struct document_writer *w, size_t limit)
{
	buffer_init(&w->b, limit);
	w->error = 0;
}

static inline void writer_deinit(struct document_writer *w)
{
	buffer_deinit(&w->b);
}

/** Starts a document at the end of the buffer. @return what document_close() wants. */
size_t writer_open(struct document_writer *w);
/** Starts a nested document; `type` is BT_OBJECT or BT_ARRAY. */
size_t writer_open_in(struct document_writer *w, uint8_t type, struct slice name);
void writer_close(struct document_writer *w, size_t start);

/** Copies an element as it stands. */
void writer_raw(struct document_writer *w, struct slice raw);
void writer_value(struct document_writer *w, struct slice name, struct value v);
void writer_string(struct document_writer *w, struct slice name, struct slice text);
void writer_int32(struct document_writer *w, struct slice name, int32_t value);
void writer_int64(struct document_writer *w, struct slice name, int64_t value);
void writer_double(struct document_writer *w, struct slice name, double value);
void writer_bool(struct document_writer *w, struct slice name, bool value);
void writer_null(struct document_writer *w, struct slice name);
void writer_date(struct document_writer *w, struct slice name, int64_t unix_ms);
void writer_timestamp(struct document_writer *w, struct slice name, uint64_t value);
void writer_oid(struct document_writer *w, struct slice name, const uint8_t oid[static OID_BYTES]);

/** The name of an array's element. `text` holds it. */
struct slice index_name(uint64_t index, char text[static 24]);

/** True and the number when it is an array index: decimal digits without needless zeros. */
bool index_parse(struct slice name, uint64_t *ret);

/* A judgement about a field's name; the names of array elements are not asked about. */
typedef bool (*name_test_fn)(struct slice name);

/**
 * Looks for a name at any depth that the test says true to. Iterative.
 * @return true and the name.
 */
bool document_find_name(struct slice document, name_test_fn test, struct slice *ret);

/** A name_test_fn: begins with '$'. */
bool name_is_operator(struct slice name);
