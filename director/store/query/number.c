#include "director/store/query/number.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* The double that is as large as the first integers beyond int64. */
#define INT64_LIMIT 0x1p63

typedef unsigned __int128 uint128;

enum {
	DECIMAL_BIAS = 6176,
	DECIMAL_DIGITS = 34,
	/* "%.*e" with this precision prints every digit that a double has. */
	DOUBLE_PRECISION = 766,
};

struct decimal {
	enum number_kind kind;
	bool negative;
	int exponent;
	uint128 coefficient;
};

static uint128 power_of_ten(unsigned n)
{
	uint128 p = 1;
	while (n-- > 0) {
		p *= 10;
	}
	return p;
}

static uint64_t half(const uint8_t *p)
{
	uint64_t v = 0;
	for (int i = 7; i >= 0; i--) {
		v = v << 8 | p[i];
	}
	return v;
}

static struct decimal decimal_read(struct value v)
{
	uint64_t low = half(v.data.p);
	uint64_t high = half(v.data.p + 8);
	struct decimal d = { .kind = NUMBER_FINITE, .negative = high >> 63 != 0 };
	unsigned combination = (unsigned)(high >> 58) & 31;
	if (combination >= 30) {
		d.kind = combination == 31 ? NUMBER_NAN : NUMBER_INFINITE;
		return d;
	}
	if (combination >= 24) {
		/* The form for larger coefficients: all of them exceed 34 digits, so it is zero. */
		d.exponent = (int)(high >> 47 & 0x3fff) - DECIMAL_BIAS;
		return d;
	}
	d.exponent = (int)(high >> 49 & 0x3fff) - DECIMAL_BIAS;
	d.coefficient = (uint128)(high & 0x1ffffffffffff) << 64 | low;
	if (d.coefficient >= power_of_ten(DECIMAL_DIGITS)) {
		d.coefficient = 0;
	}
	return d;
}

static struct decimal decimal_of_int(int64_t i)
{
	uint64_t magnitude = i < 0 ? -(uint64_t)i : (uint64_t)i;
	return (struct decimal){ NUMBER_FINITE, i < 0, 0, magnitude };
}

static unsigned count_digits(uint128 c)
{
	unsigned n = 0;
	for (; c > 0; c /= 10) {
		n++;
	}
	return n;
}

static int decimal_sign(const struct decimal *d)
{
	if (d->kind == NUMBER_FINITE && d->coefficient == 0) {
		return 0;
	}
	return d->negative ? -1 : 1;
}

static int order(bool less, bool greater)
{
	return (int)greater - (int)less;
}

/* Two finite numbers of the same sign that is not zero, by magnitude. */
static int magnitude_compare(const struct decimal *a, const struct decimal *b)
{
	int top_a = (int)count_digits(a->coefficient) + a->exponent;
	int top_b = (int)count_digits(b->coefficient) + b->exponent;
	if (top_a != top_b) {
		return order(top_a<top_b, top_a> top_b);
	}
	/* The same number of digits before the point: the exponents differ by 33 at most, and the
	 * scaled coefficient has 34 digits at most. */
	uint128 ca = a->coefficient;
	uint128 cb = b->coefficient;
	if (a->exponent > b->exponent) {
		ca *= power_of_ten((unsigned)(a->exponent - b->exponent));
	} else {
		cb *= power_of_ten((unsigned)(b->exponent - a->exponent));
	}
	return order(ca<cb, ca> cb);
}

static int decimal_compare(const struct decimal *a, const struct decimal *b)
{
	if (a->kind == NUMBER_NAN || b->kind == NUMBER_NAN) {
		return order(b->kind != NUMBER_NAN, a->kind != NUMBER_NAN);
	}
	int sign_a = decimal_sign(a);
	int sign_b = decimal_sign(b);
	if (sign_a != sign_b || sign_a == 0) {
		return sign_a - sign_b;
	}
	if (a->kind == NUMBER_INFINITE || b->kind == NUMBER_INFINITE) {
		return sign_a * order(b->kind == NUMBER_INFINITE, a->kind == NUMBER_INFINITE);
	}
	return sign_a * magnitude_compare(a, b);
}

static int double_compare(double a, double b)
{
	if (isnan(a) || isnan(b)) {
		return order(!isnan(b), !isnan(a));
	}
	return order(a<b, a> b);
}

static int int_double_compare(int64_t i, double d)
{
	if (isnan(d)) {
		return 1;
	}
	if (d >= INT64_LIMIT || d < -INT64_LIMIT) {
		return d > 0 ? -1 : 1;
	}
	int64_t whole = (int64_t)d;
	if (i != whole) {
		return order(i<whole, i> whole);
	}
	double fraction = d - trunc(d);
	return order(fraction > 0, fraction < 0);
}

static void trim_zeros(struct number_digits *r)
{
	while (r->n > 0 && r->d[r->n - 1] == 0) {
		r->n--;
	}
}

static void digits_of_decimal(const struct decimal *d, struct number_digits *ret)
{
	uint8_t reversed[40];
	unsigned n = 0;
	for (uint128 c = d->coefficient; c > 0; c /= 10) {
		reversed[n++] = (uint8_t)(c % 10);
	}
	for (unsigned i = 0; i < n; i++) {
		ret->d[i] = reversed[n - 1 - i];
	}
	ret->kind = d->kind;
	ret->sign = decimal_sign(d);
	ret->exponent = d->exponent + (int)n;
	ret->n = n;
	trim_zeros(ret);
}

static void digits_of_double(double d, struct number_digits *ret)
{
	char text[DOUBLE_PRECISION + 32];
	ret->kind = isnan(d) ? NUMBER_NAN : isinf(d) ? NUMBER_INFINITE : NUMBER_FINITE;
	ret->sign = order(d<0, d> 0);
	ret->n = 0;
	ret->exponent = 0;
	if (ret->kind != NUMBER_FINITE || ret->sign == 0) {
		return;
	}
	/* d.ddd…e±x, exact; the point may be any one byte. */
	(void)snprintf(text, sizeof(text), "%.*e", DOUBLE_PRECISION, fabs(d));
	ret->d[ret->n++] = (uint8_t)(text[0] - '0');
	for (unsigned i = 0; i < DOUBLE_PRECISION; i++) {
		ret->d[ret->n++] = (uint8_t)(text[2 + i] - '0');
	}
	ret->exponent = (int)strtol(text + 2 + DOUBLE_PRECISION + 1, NULL, 10) + 1;
	trim_zeros(ret);
}

static bool is_int(struct value v)
{
	return v.type == BT_INT32 || v.type == BT_INT64;
}

static int64_t int_of(struct value v)
{
	return v.type == BT_INT32 ? value_int32(v) : value_int64(v);
}

static struct decimal decimal_of(struct value v)
{
	return is_int(v) ? decimal_of_int(int_of(v)) : decimal_read(v);
}

void number_digits(struct value v, struct number_digits *ret)
{
	if (v.type == BT_DOUBLE) {
		double d = value_double(v);
		if (fabs(d) < INT64_LIMIT && !(trunc(d) < d) && !(trunc(d) > d)) {
			struct decimal whole = decimal_of_int((int64_t)d);
			digits_of_decimal(&whole, ret);
			return;
		}
		digits_of_double(d, ret);
		return;
	}
	struct decimal d = decimal_of(v);
	digits_of_decimal(&d, ret);
}

static int digits_compare(const struct number_digits *a, const struct number_digits *b)
{
	if (a->exponent != b->exponent) {
		return a->exponent - b->exponent;
	}
	unsigned n = a->n < b->n ? a->n : b->n;
	int c = memcmp(a->d, b->d, n);
	return c != 0 ? c : order(a->n<b->n, a->n> b->n);
}

static int decimal_double_compare(struct value decimal, double d)
{
	struct decimal a = decimal_read(decimal);
	struct decimal b = { .kind = isnan(d) ? NUMBER_NAN : NUMBER_INFINITE, .negative = d < 0 };
	if (a.kind != NUMBER_FINITE || !isfinite(d)) {
		if (isfinite(d)) {
			b = decimal_of_int((d > 0) - (d < 0));
		}
		return decimal_compare(&a, &b);
	}
	int sign_a = decimal_sign(&a);
	int sign_b = order(d<0, d> 0);
	if (sign_a != sign_b || sign_a == 0) {
		return sign_a - sign_b;
	}
	/* Far apart is decided by an approximation whose error is below one in 10^15. */
	long double near = (long double)a.coefficient * powl(10.0L, (long double)a.exponent);
	long double other = fabsl((long double)d);
	if (near < other * 0.999999L || near > other * 1.000001L) {
		return near < other ? -sign_a : sign_a;
	}
	struct number_digits x;
	struct number_digits y;
	digits_of_decimal(&a, &x);
	digits_of_double(d, &y);
	return sign_a * digits_compare(&x, &y);
}

int number_compare(struct value a, struct value b)
{
	if (is_int(a) && is_int(b)) {
		return order(int_of(a) < int_of(b), int_of(a) > int_of(b));
	}
	if (a.type == BT_DOUBLE && b.type == BT_DOUBLE) {
		return double_compare(value_double(a), value_double(b));
	}
	if (is_int(a) && b.type == BT_DOUBLE) {
		return int_double_compare(int_of(a), value_double(b));
	}
	if (a.type == BT_DOUBLE && is_int(b)) {
		return -int_double_compare(int_of(b), value_double(a));
	}
	if (b.type == BT_DOUBLE) {
		return decimal_double_compare(a, value_double(b));
	}
	if (a.type == BT_DOUBLE) {
		return -decimal_double_compare(b, value_double(a));
	}
	struct decimal x = decimal_of(a);
	struct decimal y = decimal_of(b);
	return decimal_compare(&x, &y);
}

bool number_is_nan(struct value v)
{
	return (v.type == BT_DOUBLE && isnan(value_double(v))) ||
		(v.type == BT_DECIMAL && decimal_read(v).kind == NUMBER_NAN);
}

bool value_truth(struct value v)
{
	switch (v.type) {
	case BT_MISSING:
	case BT_NULL:
	case BT_UNDEFINED:
		return false;
	case BT_BOOL:
		return value_bool(v);
	case BT_INT32:
	case BT_INT64:
		return int_of(v) != 0;
	case BT_DOUBLE:
		return fpclassify(value_double(v)) != FP_ZERO;
	case BT_DECIMAL: {
		struct decimal d = decimal_read(v);
		return d.kind != NUMBER_FINITE || d.coefficient != 0;
	}
	default:
		return true;
	}
}

static bool decimal_truncated(const struct decimal *d, int64_t *ret, bool *ret_exact)
{
	if (d->kind != NUMBER_FINITE) {
		return false;
	}
	uint128 c = d->coefficient;
	int exponent = d->exponent;
	*ret_exact = true;
	for (; exponent < 0 && c > 0; exponent++) {
		*ret_exact = *ret_exact && c % 10 == 0;
		c /= 10;
	}
	uint128 limit = (uint128)INT64_MAX + (d->negative ? 1 : 0);
	for (; exponent > 0 && c > 0 && c <= limit; exponent--) {
		c *= 10;
	}
	if (c > limit) {
		return false;
	}
	*ret = d->negative ? (int64_t)(-(uint64_t)c) : (int64_t)c;
	return true;
}

static bool truncated(struct value v, int64_t *ret, bool *ret_exact)
{
	*ret_exact = true;
	if (is_int(v)) {
		*ret = int_of(v);
		return true;
	}
	if (v.type == BT_DOUBLE) {
		double d = value_double(v);
		/* NaN fails both comparisons. */
		if (!(d >= -INT64_LIMIT && d < INT64_LIMIT)) {
			return false;
		}
		*ret_exact = !(trunc(d) < d) && !(trunc(d) > d);
		*ret = (int64_t)d;
		return true;
	}
	if (v.type == BT_DECIMAL) {
		struct decimal d = decimal_read(v);
		return decimal_truncated(&d, ret, ret_exact);
	}
	return false;
}

bool value_whole(struct value v, int64_t *ret)
{
	bool exact = false;
	int64_t i = 0;
	if (!truncated(v, &i, &exact) || !exact) {
		return false;
	}
	*ret = i;
	return true;
}

bool value_truncated(struct value v, int64_t *ret)
{
	bool exact = false;
	return truncated(v, ret, &exact);
}
