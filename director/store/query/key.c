#include "director/store/query/key.h"

#include "director/store/query/compare.h"
#include "director/store/query/number.h"

#include <errno.h>

enum { CLASS_NAN = 1, CLASS_MINUS_INF, CLASS_NEGATIVE, CLASS_ZERO, CLASS_POSITIVE, CLASS_INF };

/* Exponents of decimal128 go from -6176 to 6145; the offset makes them positive. */
enum { EXPONENT_OFFSET = 8192 };

static int append_u64(struct buffer *b, uint64_t v)
{
	uint8_t bytes[8];
	for (int i = 0; i < 8; i++) {
		bytes[i] = (uint8_t)(v >> (56 - 8 * i));
	}
	return buffer_append(b, slice_of(bytes, sizeof(bytes)));
}

static int append_text(struct buffer *b, struct slice s)
{
	int r = 0;
	while (s.n > 0 && r == 0) {
		const uint8_t *nul = memchr(s.p, 0, s.n);
		size_t n = nul == NULL ? s.n : (size_t)(nul - s.p);
		r = buffer_append(b, slice_of(s.p, n));
		s = slice_skip(s, n);
		if (r == 0 && nul != NULL) {
			r = buffer_append(b, slice_of("\x00\xff", 2));
			s = slice_skip(s, 1);
		}
	}
	return r < 0 ? r : buffer_append(b, slice_of("\x00\x00", 2));
}

static uint8_t number_class(const struct number_digits *d)
{
	switch (d->kind) {
	case NUMBER_NAN:
		return CLASS_NAN;
	case NUMBER_INFINITE:
		return d->sign < 0 ? CLASS_MINUS_INF : CLASS_INF;
	case NUMBER_FINITE:
		break;
	}
	return d->sign == 0 ? CLASS_ZERO : d->sign < 0 ? CLASS_NEGATIVE : CLASS_POSITIVE;
}

static int append_number(struct buffer *b, struct value v)
{
	struct number_digits d;
	uint8_t out[3 + NUMBER_DIGITS_MAX / 2 + 1];
	size_t n = 0;
	number_digits(v, &d);
	uint8_t class = number_class(&d);
	out[n++] = class;
	if (class == CLASS_NEGATIVE || class == CLASS_POSITIVE) {
		unsigned exponent = (unsigned)(d.exponent + EXPONENT_OFFSET);
		out[n++] = (uint8_t)(exponent >> 8);
		out[n++] = (uint8_t)exponent;
		for (unsigned i = 0; i < d.n; i += 2) {
			unsigned pair = d.d[i] * 10U + (i + 1 < d.n ? d.d[i + 1] : 0U);
			/* The lowest bit says that more follows: a number that goes on is larger. */
			out[n++] = (uint8_t)(pair * 2 + (i + 2 < d.n ? 1 : 0));
		}
	}
	for (size_t i = 1; class == CLASS_NEGATIVE && i < n; i++) {
		out[i] = (uint8_t)~out[i];
	}
	return buffer_append(b, slice_of(out, n));
}

static int append_binary(struct buffer *b, struct value v)
{
	uint32_t n = (uint32_t)v.data.n - 5;
	uint8_t size[4] = { (uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n };
	int r = buffer_append(b, slice_of(size, sizeof(size)));
	return r < 0 ? r : buffer_append(b, slice_skip(v.data, 4));
}

static int append_regex(struct buffer *b, struct value v)
{
	struct slice pattern;
	struct slice options;
	value_regex(v, &pattern, &options);
	int r = append_text(b, pattern);
	return r < 0 ? r : append_text(b, options);
}

static int append_body(struct buffer *b, struct value v, unsigned depth);

static int append_document(struct buffer *b, struct value v, unsigned depth)
{
	struct document_iter it = document_iter(v.data);
	struct element e;
	int r = depth >= DOCUMENT_DEPTH_MAX ? -EINVAL : 0;
	while (r == 0 && document_next(&it, &e)) {
		r = buffer_append_byte(b, (uint8_t)value_bracket(e.value.type));
		if (r == 0 && v.type == BT_OBJECT) {
			r = append_text(b, e.name);
		}
		r = r < 0 ? r : append_body(b, e.value, depth + 1);
	}
	return r < 0 ? r : buffer_append_byte(b, 0);
}

static int append_body(struct buffer *b, struct value v, unsigned depth)
{
	switch (v.type) {
	case BT_INT32:
	case BT_INT64:
	case BT_DOUBLE:
	case BT_DECIMAL:
		return append_number(b, v);
	case BT_STRING:
	case BT_SYMBOL:
		return append_text(b, value_string(v));
	case BT_OBJECT:
	case BT_ARRAY:
		return append_document(b, v, depth);
	case BT_BINARY:
		return append_binary(b, v);
	case BT_DATE:
		/* The sign inverted: negative before positive. */
		return append_u64(b, (uint64_t)value_int64(v) ^ (uint64_t)1 << 63);
	case BT_TIMESTAMP:
		return append_u64(b, value_uint64(v));
	case BT_BOOL:
		return buffer_append_byte(b, value_bool(v) ? 1 : 0);
	case BT_OID:
		return buffer_append(b, v.data);
	case BT_REGEX:
		return append_regex(b, v);
	case BT_MISSING:
	case BT_NULL:
	case BT_UNDEFINED:
	case BT_MINKEY:
	case BT_MAXKEY:
		return 0;
	default:
		return append_text(b, v.data);
	}
}

int key_append(struct buffer *b, struct value v)
{
	int r = buffer_append_byte(b, (uint8_t)value_bracket(v.type));
	return r < 0 ? r : append_body(b, v, 0);
}

void key_invert(struct buffer *b, size_t from)
{
	for (size_t i = from; i < b->n; i++) {
		b->p[i] = (uint8_t)~b->p[i];
	}
}
