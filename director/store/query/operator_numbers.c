/* Arithmetic, and what is made of several numbers. */
#include "director/store/query/compare.h"
#include "director/store/query/operators.h"

#include <errno.h>
#include <math.h>

/* --- arithmetic --- */

typedef int (*calculate_fn)(struct value a, struct value b, struct number *ret);

/* What leaves an int64 goes on as a double. @return false: refused. */
static bool step(struct evaluation *x, operator_ref op, struct number *sum, struct value v)
{
	calculate_fn calculate = op->variant == V_MULTIPLY ? number_multiply : number_add;
	struct number result;
	if (!operator_number_wanted(x, op, v)) {
		return false;
	}
	if (calculate(number_view(sum), v, &result) == -ERANGE) {
		double a = number_to_double(number_view(sum));
		double b = number_to_double(v);
		number_set_double(&result, op->variant == V_MULTIPLY ? a * b : a + b);
	}
	*sum = result;
	return true;
}

/* A date and a number of milliseconds. */
static struct value add_to_date(
	struct evaluation *x, operator_ref op, struct value date, const struct number *ms)
{
	int64_t delta = 0;
	int64_t sum = 0;
	if (!value_truncated(number_view(ms), &delta) ||
		__builtin_add_overflow(value_int64(date), delta, &sum)) {
		return operator_refuse(x, op, "a date that stays in its range", date);
	}
	return operator_make_date(x, sum);
}

struct value operator_add(struct evaluation *x, operator_ref op, const struct value *v, unsigned n)
{
	struct number sum;
	struct value date = VALUE_MISSING;
	number_set_int32(&sum, op->variant == V_MULTIPLY ? 1 : 0);
	for (unsigned i = 0; i < n; i++) {
		if (operator_is_nothing(v[i])) {
			return operator_make_null();
		}
		if (v[i].type == BT_DATE && op->variant == V_ADD && date.type == BT_MISSING) {
			date = v[i];
		} else if (!step(x, op, &sum, v[i])) {
			return VALUE_MISSING;
		}
	}
	return date.type == BT_DATE ? add_to_date(x, op, date, &sum)
				    : operator_make_number(x, &sum);
}

struct value operator_subtract(
	struct evaluation *x, operator_ref op, const struct value *v, unsigned n)
{
	struct number result;
	int64_t ms = 0;
	if (operator_is_nothing(v[0]) || operator_is_nothing(v[1])) {
		return operator_make_null();
	}
	if (v[0].type == BT_DATE && v[1].type == BT_DATE) {
		if (__builtin_sub_overflow(value_int64(v[0]), value_int64(v[1]), &ms)) {
			return operator_refuse(x, op, "dates that are nearer to each other", v[1]);
		}
		number_set_int64(&result, ms);
		return operator_make_number(x, &result);
	}
	if (v[0].type == BT_DATE && value_truncated(v[1], &ms)) {
		if (__builtin_sub_overflow(value_int64(v[0]), ms, &ms)) {
			return operator_refuse(x, op, "a date that stays in its range", v[0]);
		}
		return operator_make_date(x, ms);
	}
	if (!operator_number_wanted(x, op, v[0]) || !operator_number_wanted(x, op, v[1])) {
		return VALUE_MISSING;
	}
	if (number_subtract(v[0], v[1], &result) == -ERANGE) {
		number_set_double(&result, number_to_double(v[0]) - number_to_double(v[1]));
	}
	return operator_make_number(x, &result);
}

static bool is_zero(struct value v)
{
	return fpclassify(number_to_double(v)) == FP_ZERO;
}

struct value operator_divide(
	struct evaluation *x, operator_ref op, const struct value *v, unsigned n)
{
	if (operator_is_nothing(v[0]) || operator_is_nothing(v[1])) {
		return operator_make_null();
	}
	if (!operator_number_wanted(x, op, v[0]) || !operator_number_wanted(x, op, v[1])) {
		return VALUE_MISSING;
	}
	if (is_zero(v[1])) {
		return operator_refuse(x, op, "a divisor that is not zero", v[1]);
	}
	return operator_make_double(x, number_to_double(v[0]) / number_to_double(v[1]));
}

struct value operator_mod(struct evaluation *x, operator_ref op, const struct value *v, unsigned n)
{
	if (operator_is_nothing(v[0]) || operator_is_nothing(v[1])) {
		return operator_make_null();
	}
	if (!operator_number_wanted(x, op, v[0]) || !operator_number_wanted(x, op, v[1])) {
		return VALUE_MISSING;
	}
	if (is_zero(v[1])) {
		return operator_refuse(x, op, "a divisor that is not zero", v[1]);
	}
	if (v[0].type == BT_DOUBLE || v[1].type == BT_DOUBLE) {
		return operator_make_double(
			x, fmod(number_to_double(v[0]), number_to_double(v[1])));
	}
	int64_t a = 0;
	int64_t b = 1;
	struct number result;
	(void)value_whole(v[0], &a);
	(void)value_whole(v[1], &b);
	/* INT64_MIN / -1 does not fit. */
	int64_t rest = b == -1 ? 0 : a % b;
	if (v[0].type == BT_INT32 && v[1].type == BT_INT32) {
		number_set_int32(&result, (int32_t)rest);
	} else {
		number_set_int64(&result, rest);
	}
	return operator_make_number(x, &result);
}

static double on_double(int variant, double d)
{
	switch (variant) {
	case V_ABS:
		return fabs(d);
	case V_CEIL:
		return ceil(d);
	case V_FLOOR:
		return floor(d);
	default:
		return sqrt(d);
	}
}

/* $abs, $ceil, $floor, $sqrt */
struct value operator_unary(
	struct evaluation *x, operator_ref op, const struct value *v, unsigned n)
{
	struct number zero;
	struct number result;
	if (operator_is_nothing(v[0])) {
		return operator_make_null();
	}
	if (!operator_number_wanted(x, op, v[0])) {
		return VALUE_MISSING;
	}
	if (op->variant == V_SQRT && number_to_double(v[0]) < 0) {
		return operator_refuse(x, op, "a number that is not negative", v[0]);
	}
	if (v[0].type == BT_DOUBLE || op->variant == V_SQRT) {
		return operator_make_double(x, on_double(op->variant, number_to_double(v[0])));
	}
	int64_t i = 0;
	(void)value_whole(v[0], &i);
	if (op->variant != V_ABS || i >= 0) {
		return v[0];
	}
	number_set_int32(&zero, 0);
	if (number_subtract(number_view(&zero), v[0], &result) == -ERANGE) {
		return operator_refuse(x, op, "a number whose absolute value is an int64", v[0]);
	}
	return operator_make_number(x, &result);
}

/* To a number of decimal places, halves to the even neighbour. */
struct value operator_round(
	struct evaluation *x, operator_ref op, const struct value *v, unsigned n)
{
	int64_t places = 0;
	if (operator_is_nothing(v[0])) {
		return operator_make_null();
	}
	if (!operator_number_wanted(x, op, v[0])) {
		return VALUE_MISSING;
	}
	if (n > 1 && (!value_whole(v[1], &places) || places < -20 || places > 100)) {
		return operator_refuse(x, op, "-20 to 100 decimal places", v[1]);
	}
	if (v[0].type != BT_DOUBLE && places >= 0) {
		return v[0];
	}
	double d = number_to_double(v[0]);
	double scale = pow(10, (double)places);
	double scaled = d * scale;
	double rounded = isfinite(scaled) ? rint(scaled) / scale : d;
	int64_t whole = 0;
	struct number result;
	number_set_double(&result, rounded);
	if (v[0].type == BT_DOUBLE || !value_whole(number_view(&result), &whole)) {
		return operator_make_number(x, &result);
	}
	if (v[0].type == BT_INT64) {
		number_set_int64(&result, whole);
		return operator_make_number(x, &result);
	}
	return operator_make_int(x, whole);
}

/* --- of several values, or of one array's elements --- */

struct fold {
	struct evaluation *x;
	operator_ref op;
	struct number sum;
	int64_t n;
	struct value best;
};

static void fold_value(struct fold *f, struct value v)
{
	budget_charge(f->x->budget, 0);
	if (f->op->variant == V_SUM || f->op->variant == V_AVG) {
		if (value_is_number(v) && step(f->x, f->op, &f->sum, v)) {
			f->n++;
		}
		return;
	}
	if (operator_is_nothing(v)) {
		return;
	}
	int c = f->best.type == BT_MISSING ? 0 : value_compare(v, f->best);
	if (f->best.type == BT_MISSING || (f->op->variant == V_MIN ? c < 0 : c > 0)) {
		f->best = v;
	}
}

struct value operator_fold(struct evaluation *x, operator_ref op, const struct value *v, unsigned n)
{
	struct fold f = { .x = x, .op = op, .best = VALUE_MISSING };
	number_set_int32(&f.sum, 0);
	if (n == 1 && v[0].type == BT_ARRAY) {
		struct document_iter it = document_iter(v[0].data);
		struct element e;
		while (document_next(&it, &e)) {
			fold_value(&f, e.value);
		}
	} else {
		for (unsigned i = 0; i < n; i++) {
			fold_value(&f, v[i]);
		}
	}
	if (op->variant == V_SUM) {
		return operator_make_number(x, &f.sum);
	}
	if (op->variant == V_AVG) {
		return f.n == 0 ? operator_make_null()
				: operator_make_double(
					  x, number_to_double(number_view(&f.sum)) / (double)f.n);
	}
	return f.best.type == BT_MISSING ? operator_make_null() : f.best;
}
