#include "director/store/query/compare.h"

#include "director/store/query/number.h"

/* Brackets in their order; 0 (unknown types) never occurs in a checked document. */
static const uint8_t brackets[256] = {
	[BT_MINKEY] = 1,
	[BT_UNDEFINED] = 2,
	[BT_MISSING] = 3,
	[BT_NULL] = 3,
	[BT_INT32] = 4,
	[BT_INT64] = 4,
	[BT_DOUBLE] = 4,
	[BT_DECIMAL] = 4,
	[BT_STRING] = 5,
	[BT_SYMBOL] = 5,
	[BT_OBJECT] = 6,
	[BT_ARRAY] = 7,
	[BT_BINARY] = 8,
	[BT_OID] = 9,
	[BT_BOOL] = 10,
	[BT_DATE] = 11,
	[BT_TIMESTAMP] = 12,
	[BT_REGEX] = 13,
	[BT_DBPOINTER] = 14,
	[BT_CODE] = 15,
	[BT_CODE_SCOPE] = 16,
	[BT_MAXKEY] = 17,
};

int value_bracket(uint8_t type)
{
	return brackets[type];
}

static int bytes_compare(struct slice a, struct slice b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int c = n == 0 ? 0 : memcmp(a.p, b.p, n);
	return c != 0 ? c : (int)(a.n > b.n) - (int)(a.n < b.n);
}

static int binary_compare(struct value a, struct value b)
{
	if (a.data.n != b.data.n) {
		return a.data.n < b.data.n ? -1 : 1;
	}
	/* After the length: the subtype, then the bytes. */
	return bytes_compare(slice_skip(a.data, 4), slice_skip(b.data, 4));
}

static int regex_compare(struct value a, struct value b)
{
	struct slice pattern_a;
	struct slice pattern_b;
	struct slice options_a;
	struct slice options_b;
	value_regex(a, &pattern_a, &options_a);
	value_regex(b, &pattern_b, &options_b);
	int c = bytes_compare(pattern_a, pattern_b);
	return c != 0 ? c : bytes_compare(options_a, options_b);
}

/* Values of the same bracket that hold no others. */
static int scalar_compare(struct value a, struct value b)
{
	switch (a.type) {
	case BT_INT32:
	case BT_INT64:
	case BT_DOUBLE:
	case BT_DECIMAL:
		return number_compare(a, b);
	case BT_STRING:
	case BT_SYMBOL:
		return bytes_compare(value_string(a), value_string(b));
	case BT_DATE: {
		int64_t x = value_int64(a);
		int64_t y = value_int64(b);
		return (int)(x > y) - (int)(x < y);
	}
	case BT_TIMESTAMP: {
		uint64_t x = value_uint64(a);
		uint64_t y = value_uint64(b);
		return (int)(x > y) - (int)(x < y);
	}
	case BT_BOOL:
		return (int)value_bool(a) - (int)value_bool(b);
	case BT_BINARY:
		return binary_compare(a, b);
	case BT_REGEX:
		return regex_compare(a, b);
	case BT_MISSING:
	case BT_NULL:
		return 0;
	default:
		return bytes_compare(a.data, b.data);
	}
}

struct level {
	struct document_iter a;
	struct document_iter b;
	bool names; /* a document; in an array the names are its indexes */
};

/* Compares a pair; two documents or arrays are left to the caller, who goes into them. */
static int pair_compare(struct value a, struct value b, bool *ret_nested)
{
	int c = value_bracket(a.type) - value_bracket(b.type);
	*ret_nested = false;
	if (c != 0) {
		return c;
	}
	if (value_is_document(a)) {
		*ret_nested = true;
		return 0;
	}
	return scalar_compare(a, b);
}

/* One step inside the innermost pair of documents: 0 to go on. */
static int step(struct level *stack, unsigned *depth)
{
	struct level *top = &stack[*depth - 1];
	struct element a;
	struct element b;
	bool more_a = document_next(&top->a, &a);
	bool more_b = document_next(&top->b, &b);
	if (!more_a || !more_b) {
		(*depth)--;
		return (int)more_a - (int)more_b;
	}
	int c = value_bracket(a.value.type) - value_bracket(b.value.type);
	if (c == 0 && top->names) {
		c = bytes_compare(a.name, b.name);
	}
	if (c != 0) {
		return c;
	}
	bool nested = false;
	c = pair_compare(a.value, b.value, &nested);
	if (!nested) {
		return c;
	}
	if (*depth == DOCUMENT_DEPTH_MAX) {
		/* Deeper than any document that was let in: an order, though not the documented. */
		return bytes_compare(a.value.data, b.value.data);
	}
	stack[(*depth)++] = (struct level){ document_iter(a.value.data),
		document_iter(b.value.data), a.value.type == BT_OBJECT };
	return 0;
}

int value_compare(struct value a, struct value b)
{
	bool nested = false;
	int c = pair_compare(a, b, &nested);
	if (!nested) {
		return c;
	}
	struct level stack[DOCUMENT_DEPTH_MAX];
	unsigned depth = 1;
	stack[0] =
		(struct level){ document_iter(a.data), document_iter(b.data), a.type == BT_OBJECT };
	while (depth > 0) {
		c = step(stack, &depth);
		if (c != 0) {
			return c;
		}
	}
	return 0;
}
