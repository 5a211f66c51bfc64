#include "director/store/query/arith.h"

#include "director/store/query/number.h"

#include <errno.h>

struct value number_view(const struct number *n)
{
	return (struct value){ n->type, slice_of(n->bytes, n->type == BT_INT32 ? 4 : 8) };
}

static void put_bits(struct number *ret, uint8_t type, uint64_t bits)
{
	ret->type = type;
	for (unsigned i = 0; i < 8; i++) {
		ret->bytes[i] = (uint8_t)(bits >> 8 * i);
	}
}

void number_set_int32(struct number *ret, int32_t i)
{
	put_bits(ret, BT_INT32, (uint32_t)i);
}

void number_set_int64(struct number *ret, int64_t i)
{
	put_bits(ret, BT_INT64, (uint64_t)i);
}

void number_set_double(struct number *ret, double d)
{
	uint64_t bits = 0;
	memcpy(&bits, &d, sizeof(bits));
	put_bits(ret, BT_DOUBLE, bits);
}

void number_set_int(struct number *ret, int64_t i)
{
	if (i >= INT32_MIN && i <= INT32_MAX) {
		number_set_int32(ret, (int32_t)i);
	} else {
		number_set_int64(ret, i);
	}
}

double number_to_double(struct value v)
{
	int64_t i = 0;
	if (v.type == BT_DOUBLE) {
		return value_double(v);
	}
	(void)value_whole(v, &i);
	return (double)i;
}

enum operation { ADD, SUBTRACT, MULTIPLY };

static double on_doubles(enum operation op, double a, double b)
{
	switch (op) {
	case ADD:
		return a + b;
	case SUBTRACT:
		return a - b;
	case MULTIPLY:
		break;
	}
	return a * b;
}

/* @return true when the result does not fit. */
static bool on_ints(enum operation op, int64_t a, int64_t b, int64_t *ret)
{
	switch (op) {
	case ADD:
		return __builtin_add_overflow(a, b, ret);
	case SUBTRACT:
		return __builtin_sub_overflow(a, b, ret);
	case MULTIPLY:
		break;
	}
	return __builtin_mul_overflow(a, b, ret);
}

static int calculate(enum operation op, struct value a, struct value b, struct number *ret)
{
	int64_t x = 0;
	int64_t y = 0;
	int64_t result = 0;
	if (a.type == BT_DECIMAL || b.type == BT_DECIMAL) {
		return -ENOTSUP;
	}
	if (a.type == BT_DOUBLE || b.type == BT_DOUBLE) {
		number_set_double(ret, on_doubles(op, number_to_double(a), number_to_double(b)));
		return 0;
	}
	(void)value_whole(a, &x);
	(void)value_whole(b, &y);
	if (on_ints(op, x, y, &result)) {
		return -ERANGE;
	}
	if (a.type == BT_INT32 && b.type == BT_INT32) {
		number_set_int(ret, result);
	} else {
		number_set_int64(ret, result);
	}
	return 0;
}

int number_add(struct value a, struct value b, struct number *ret)
{
	return calculate(ADD, a, b, ret);
}

int number_subtract(struct value a, struct value b, struct number *ret)
{
	return calculate(SUBTRACT, a, b, ret);
}

int number_multiply(struct value a, struct value b, struct number *ret)
{
	return calculate(MULTIPLY, a, b, ret);
}
