#include "director/store/query/document.h"

#include <errno.h>
#include <stdio.h>

static uint32_t read_u32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint64_t read_u64(const uint8_t *p)
{
	return (uint64_t)read_u32(p) | (uint64_t)read_u32(p + 4) << 32;
}

struct document_iter document_iter(struct slice document)
{
	size_t n = document.n < DOCUMENT_EMPTY_BYTES ? 0 : read_u32(document.p);
	if (n < DOCUMENT_EMPTY_BYTES || n > document.n) {
		return (struct document_iter){ 0 };
	}
	return (struct document_iter){ document.p + 4, document.p + n - 1 };
}

/* Length of a text that carries its own length, 0 when it does not fit. */
static size_t counted_size(const uint8_t *p, size_t left, size_t extra, size_t least)
{
	if (left < 4) {
		return 0;
	}
	size_t n = read_u32(p);
	return n < least || n > left || extra > left - n ? 0 : n + extra;
}

static size_t regex_size(const uint8_t *p, size_t left)
{
	const uint8_t *pattern_end = memchr(p, 0, left);
	if (pattern_end == NULL) {
		return 0;
	}
	size_t n = (size_t)(pattern_end - p) + 1;
	const uint8_t *options_end = memchr(p + n, 0, left - n);
	return options_end == NULL ? 0 : (size_t)(options_end - p) + 1;
}

/* Fixed sizes of payloads, plus one so that 0 means "not fixed". */
static const uint8_t fixed_size[256] = {
	[BT_DOUBLE] = 9,
	[BT_UNDEFINED] = 1,
	[BT_OID] = OID_BYTES + 1,
	[BT_BOOL] = 2,
	[BT_DATE] = 9,
	[BT_NULL] = 1,
	[BT_INT32] = 5,
	[BT_TIMESTAMP] = 9,
	[BT_INT64] = 9,
	[BT_DECIMAL] = 17,
	[BT_MAXKEY] = 1,
	[BT_MINKEY] = 1,
};

/* Size of a payload of the type at `p`; false when it is cut or unknown. */
static bool payload_size(uint8_t type, const uint8_t *p, size_t left, size_t *ret)
{
	if (fixed_size[type] != 0) {
		*ret = (size_t)fixed_size[type] - 1;
		return *ret <= left;
	}
	switch (type) {
	case BT_STRING:
	case BT_CODE:
	case BT_SYMBOL:
		*ret = counted_size(p, left, 4, 1);
		break;
	case BT_OBJECT:
	case BT_ARRAY:
		*ret = counted_size(p, left, 0, DOCUMENT_EMPTY_BYTES);
		break;
	case BT_CODE_SCOPE:
		*ret = counted_size(p, left, 0, 14);
		break;
	case BT_BINARY:
		*ret = counted_size(p, left, 5, 0);
		break;
	case BT_DBPOINTER:
		*ret = counted_size(p, left, 4 + OID_BYTES, 1);
		break;
	case BT_REGEX:
		*ret = regex_size(p, left);
		break;
	default:
		return false;
	}
	return *ret > 0;
}

bool document_next(struct document_iter *it, struct element *ret)
{
	if (it->p >= it->end) {
		return false;
	}
	const uint8_t *start = it->p;
	const uint8_t *name = start + 1;
	const uint8_t *nul = memchr(name, 0, (size_t)(it->end - name));
	size_t n = 0;
	if (nul == NULL || !payload_size(*start, nul + 1, (size_t)(it->end - nul - 1), &n)) {
		it->p = it->end;
		return false;
	}
	ret->name = slice_of(name, (size_t)(nul - name));
	ret->value = (struct value){ *start, slice_of(nul + 1, n) };
	it->p = nul + 1 + n;
	ret->raw = slice_of(start, (size_t)(it->p - start));
	return true;
}

struct value document_find(struct slice document, struct slice name)
{
	struct document_iter it = document_iter(document);
	struct element e;
	while (document_next(&it, &e)) {
		if (slice_eq(e.name, name)) {
			return e.value;
		}
	}
	return VALUE_MISSING;
}

bool document_is_empty(struct slice document)
{
	return document.n <= DOCUMENT_EMPTY_BYTES;
}

bool document_take(struct slice *row, struct slice *ret)
{
	if (row->n < DOCUMENT_EMPTY_BYTES) {
		return false;
	}
	size_t n = read_u32(row->p);
	if (n < DOCUMENT_EMPTY_BYTES || n > row->n || row->p[n - 1] != 0) {
		return false;
	}
	*ret = slice_of(row->p, n);
	*row = slice_skip(*row, n);
	return true;
}

bool document_depth_within(struct slice document, unsigned max)
{
	struct document_iter open[DOCUMENT_DEPTH_MAX];
	unsigned depth = 1;
	if (max > DOCUMENT_DEPTH_MAX || max == 0) {
		return false;
	}
	open[0] = document_iter(document);
	while (depth > 0) {
		struct element e;
		if (!document_next(&open[depth - 1], &e)) {
			depth--;
		} else if (value_is_document(e.value)) {
			if (depth == max) {
				return false;
			}
			open[depth++] = document_iter(e.value.data);
		}
	}
	return true;
}

struct slice value_string(struct value v)
{
	return slice_of(v.data.p + 4, v.data.n - 5);
}

int32_t value_int32(struct value v)
{
	return (int32_t)read_u32(v.data.p);
}

int64_t value_int64(struct value v)
{
	return (int64_t)read_u64(v.data.p);
}

uint64_t value_uint64(struct value v)
{
	return read_u64(v.data.p);
}

double value_double(struct value v)
{
	uint64_t bits = read_u64(v.data.p);
	double d = 0;
	memcpy(&d, &bits, sizeof(d));
	return d;
}

bool value_bool(struct value v)
{
	return v.data.p[0] != 0;
}

void value_regex(struct value v, struct slice *ret_pattern, struct slice *ret_options)
{
	size_t n = strnlen((const char *)v.data.p, v.data.n);
	*ret_pattern = slice_of(v.data.p, n);
	*ret_options = slice_of(v.data.p + n + 1, v.data.n - n - 2);
}

const char *value_type_name(uint8_t type)
{
	static const char *const names[256] = {
		[BT_MISSING] = "a missing field",
		[BT_DOUBLE] = "a double",
		[BT_STRING] = "a string",
		[BT_OBJECT] = "a document",
		[BT_ARRAY] = "an array",
		[BT_BINARY] = "binary data",
		[BT_UNDEFINED] = "undefined",
		[BT_OID] = "an ObjectId",
		[BT_BOOL] = "a boolean",
		[BT_DATE] = "a date",
		[BT_NULL] = "null",
		[BT_REGEX] = "a regular expression",
		[BT_DBPOINTER] = "a DBPointer",
		[BT_CODE] = "JavaScript code",
		[BT_SYMBOL] = "a symbol",
		[BT_CODE_SCOPE] = "JavaScript code",
		[BT_INT32] = "an int32",
		[BT_TIMESTAMP] = "a timestamp",
		[BT_INT64] = "an int64",
		[BT_DECIMAL] = "a decimal128",
		[BT_MAXKEY] = "MaxKey",
		[BT_MINKEY] = "MinKey",
	};
	return names[type] == NULL ? "an unknown type" : names[type];
}

static void put(struct document_writer *w, const void *p, size_t n)
{
	if (w->error == 0) {
		w->error = buffer_append(&w->b, slice_of(p, n));
	}
}

static void put_u32(struct document_writer *w, uint32_t v)
{
	uint8_t bytes[4] = { (uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16),
		(uint8_t)(v >> 24) };
	put(w, bytes, sizeof(bytes));
}

static void put_u64(struct document_writer *w, uint64_t v)
{
	put_u32(w, (uint32_t)v);
	put_u32(w, (uint32_t)(v >> 32));
}

static void put_head(struct document_writer *w, uint8_t type, struct slice name)
{
	put(w, &type, 1);
	put(w, name.p, name.n);
	put(w, "", 1);
}

size_t writer_open(struct document_writer *w)
{
	size_t start = w->b.n;
	put_u32(w, 0);
	return start;
}

size_t writer_open_in(struct document_writer *w, uint8_t type, struct slice name)
{
	put_head(w, type, name);
	return writer_open(w);
}

void writer_close(struct document_writer *w, size_t start)
{
	put(w, "", 1);
	if (w->error == 0) {
		uint32_t n = (uint32_t)(w->b.n - start);
		uint8_t *p = w->b.p + start;
		p[0] = (uint8_t)n;
		p[1] = (uint8_t)(n >> 8);
		p[2] = (uint8_t)(n >> 16);
		p[3] = (uint8_t)(n >> 24);
	}
}

void writer_raw(struct document_writer *w, struct slice raw)
{
	put(w, raw.p, raw.n);
}

void writer_value(struct document_writer *w, struct slice name, struct value v)
{
	put_head(w, v.type, name);
	put(w, v.data.p, v.data.n);
}

void writer_string(struct document_writer *w, struct slice name, struct slice text)
{
	put_head(w, BT_STRING, name);
	put_u32(w, (uint32_t)text.n + 1);
	put(w, text.p, text.n);
	put(w, "", 1);
}

void writer_int32(struct document_writer *w, struct slice name, int32_t value)
{
	put_head(w, BT_INT32, name);
	put_u32(w, (uint32_t)value);
}

void writer_int64(struct document_writer *w, struct slice name, int64_t value)
{
	put_head(w, BT_INT64, name);
	put_u64(w, (uint64_t)value);
}

void writer_double(struct document_writer *w, struct slice name, double value)
{
	uint64_t bits = 0;
	memcpy(&bits, &value, sizeof(bits));
	put_head(w, BT_DOUBLE, name);
	put_u64(w, bits);
}

void writer_bool(struct document_writer *w, struct slice name, bool value)
{
	uint8_t byte = value ? 1 : 0;
	put_head(w, BT_BOOL, name);
	put(w, &byte, 1);
}

void writer_null(struct document_writer *w, struct slice name)
{
	put_head(w, BT_NULL, name);
}

void writer_date(struct document_writer *w, struct slice name, int64_t unix_ms)
{
	put_head(w, BT_DATE, name);
	put_u64(w, (uint64_t)unix_ms);
}

void writer_timestamp(struct document_writer *w, struct slice name, uint64_t value)
{
	put_head(w, BT_TIMESTAMP, name);
	put_u64(w, value);
}

void writer_oid(struct document_writer *w, struct slice name, const uint8_t oid[static OID_BYTES])
{
	put_head(w, BT_OID, name);
	put(w, oid, OID_BYTES);
}

struct slice index_name(uint64_t index, char text[static 24])
{
	int n = snprintf(text, 24, "%llu", (unsigned long long)index);
	return slice_of(text, (size_t)n);
}

bool index_parse(struct slice name, uint64_t *ret)
{
	return slice_to_u64(name, UINT32_MAX, ret);
}

bool name_is_operator(struct slice name)
{
	return name.n > 0 && name.p[0] == '$';
}

struct names_level {
	struct document_iter it;
	bool array;
};

bool document_find_name(struct slice document, name_test_fn test, struct slice *ret)
{
	struct names_level open[DOCUMENT_DEPTH_MAX];
	unsigned depth = 1;
	open[0] = (struct names_level){ document_iter(document), false };
	while (depth > 0) {
		struct element e;
		struct names_level *top = &open[depth - 1];
		if (!document_next(&top->it, &e)) {
			depth--;
			continue;
		}
		if (!top->array && test(e.name)) {
			*ret = e.name;
			return true;
		}
		if (value_is_document(e.value) && depth < DOCUMENT_DEPTH_MAX) {
			open[depth++] = (struct names_level){ document_iter(e.value.data),
				e.value.type == BT_ARRAY };
		}
	}
	return false;
}
