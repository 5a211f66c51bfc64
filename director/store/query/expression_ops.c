#include "director/store/query/arith.h"
#include "director/store/query/calendar.h"
#include "director/store/query/compare.h"
#include "director/store/query/expressions.h"
#include "director/store/query/number.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>

/* Which of several operators that share a function. */
enum variant {
	V_ADD,
	V_MULTIPLY,
	V_ABS,
	V_CEIL,
	V_FLOOR,
	V_SQRT,
	V_EQ,
	V_NE,
	V_GT,
	V_GTE,
	V_LT,
	V_LTE,
	V_CMP,
	V_LOWER,
	V_UPPER,
	V_FIRST,
	V_LAST,
	V_MIN,
	V_MAX,
	V_SUM,
	V_AVG,
	V_YEAR,
	V_MONTH,
	V_DAY,
	V_HOUR,
	V_MINUTE,
	V_SECOND,
	V_MILLISECOND,
	V_DAY_OF_WEEK,
	V_DAY_OF_YEAR,
	V_TO_INT,
	V_TO_LONG,
	V_TO_DOUBLE,
};

typedef const struct expression_operator *operator_ref;

/* --- results --- */

static struct value refuse(struct evaluation *x, operator_ref op, const char *wants, struct value v)
{
	if (x->error == 0) {
		x->error = store_fail(x->failure, STORE_E_INVALID, "%s needs %s, not %s", op->name,
			wants, v.type == BT_MISSING ? "nothing" : value_type_name(v.type));
	}
	return VALUE_MISSING;
}

static bool is_nothing(struct value v)
{
	return v.type == BT_MISSING || v.type == BT_NULL || v.type == BT_UNDEFINED;
}

static struct value make_null(void)
{
	return (struct value){ .type = BT_NULL };
}

static struct value make_bool(bool b)
{
	static const uint8_t bytes[] = { 0, 1 };
	return (struct value){ BT_BOOL, slice_of(&bytes[b ? 1 : 0], 1) };
}

static struct value make_number(struct evaluation *x, const struct number *n)
{
	return arena_value(x->arena, number_view(n));
}

static struct value make_int(struct evaluation *x, int64_t i)
{
	struct number n;
	number_set_int(&n, i);
	return make_number(x, &n);
}

static struct value make_double(struct evaluation *x, double d)
{
	struct number n;
	number_set_double(&n, d);
	return make_number(x, &n);
}

static struct value make_date(struct evaluation *x, int64_t ms)
{
	struct number n;
	number_set_int64(&n, ms);
	struct value v = make_number(x, &n);
	v.type = v.type == BT_INT64 ? BT_DATE : v.type;
	return v;
}

static struct value decimal_refused(struct evaluation *x, operator_ref op)
{
	if (x->error == 0) {
		x->error = store_fail(x->failure, STORE_E_UNSUPPORTED,
			"%s of a decimal128 is not supported", op->name);
	}
	return VALUE_MISSING;
}

/* A plain number, which a decimal128 is not. @return false: refused. */
static bool number_wanted(struct evaluation *x, operator_ref op, struct value v)
{
	if (v.type == BT_DECIMAL) {
		(void)decimal_refused(x, op);
		return false;
	}
	if (!value_is_number(v)) {
		(void)refuse(x, op, "a number", v);
		return false;
	}
	return true;
}

/* --- arithmetic --- */

typedef int (*calculate_fn)(struct value a, struct value b, struct number *ret);

/* What leaves an int64 goes on as a double. @return false: refused. */
static bool step(struct evaluation *x, operator_ref op, struct number *sum, struct value v)
{
	calculate_fn calculate = op->variant == V_MULTIPLY ? number_multiply : number_add;
	struct number result;
	if (!number_wanted(x, op, v)) {
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
		return refuse(x, op, "a date that stays in its range", date);
	}
	return make_date(x, sum);
}

static struct value op_add(struct evaluation *x, operator_ref op, const struct value *v, unsigned n)
{
	struct number sum;
	struct value date = VALUE_MISSING;
	number_set_int32(&sum, op->variant == V_MULTIPLY ? 1 : 0);
	for (unsigned i = 0; i < n; i++) {
		if (is_nothing(v[i])) {
			return make_null();
		}
		if (v[i].type == BT_DATE && op->variant == V_ADD && date.type == BT_MISSING) {
			date = v[i];
		} else if (!step(x, op, &sum, v[i])) {
			return VALUE_MISSING;
		}
	}
	return date.type == BT_DATE ? add_to_date(x, op, date, &sum) : make_number(x, &sum);
}

static struct value op_subtract(
	struct evaluation *x, operator_ref op, const struct value *v, unsigned n)
{
	struct number result;
	int64_t ms = 0;
	if (is_nothing(v[0]) || is_nothing(v[1])) {
		return make_null();
	}
	if (v[0].type == BT_DATE && v[1].type == BT_DATE) {
		if (__builtin_sub_overflow(value_int64(v[0]), value_int64(v[1]), &ms)) {
			return refuse(x, op, "dates that are nearer to each other", v[1]);
		}
		number_set_int64(&result, ms);
		return make_number(x, &result);
	}
	if (v[0].type == BT_DATE && value_truncated(v[1], &ms)) {
		if (__builtin_sub_overflow(value_int64(v[0]), ms, &ms)) {
			return refuse(x, op, "a date that stays in its range", v[0]);
		}
		return make_date(x, ms);
	}
	if (!number_wanted(x, op, v[0]) || !number_wanted(x, op, v[1])) {
		return VALUE_MISSING;
	}
	if (number_subtract(v[0], v[1], &result) == -ERANGE) {
		number_set_double(&result, number_to_double(v[0]) - number_to_double(v[1]));
	}
	return make_number(x, &result);
}

static bool is_zero(struct value v)
{
	return fpclassify(number_to_double(v)) == FP_ZERO;
}

static struct value op_divide(
	struct evaluation *x, operator_ref op, const struct value *v, unsigned n)
{
	if (is_nothing(v[0]) || is_nothing(v[1])) {
		return make_null();
	}
	if (!number_wanted(x, op, v[0]) || !number_wanted(x, op, v[1])) {
		return VALUE_MISSING;
	}
	if (is_zero(v[1])) {
		return refuse(x, op, "a divisor that is not zero", v[1]);
	}
	return make_double(x, number_to_double(v[0]) / number_to_double(v[1]));
}

static struct value op_mod(struct evaluation *x, operator_ref op, const struct value *v, unsigned n)
{
	if (is_nothing(v[0]) || is_nothing(v[1])) {
		return make_null();
	}
	if (!number_wanted(x, op, v[0]) || !number_wanted(x, op, v[1])) {
		return VALUE_MISSING;
	}
	if (is_zero(v[1])) {
		return refuse(x, op, "a divisor that is not zero", v[1]);
	}
	if (v[0].type == BT_DOUBLE || v[1].type == BT_DOUBLE) {
		return make_double(x, fmod(number_to_double(v[0]), number_to_double(v[1])));
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
	return make_number(x, &result);
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
static struct value op_unary(
	struct evaluation *x, operator_ref op, const struct value *v, unsigned n)
{
	struct number zero;
	struct number result;
	if (is_nothing(v[0])) {
		return make_null();
	}
	if (!number_wanted(x, op, v[0])) {
		return VALUE_MISSING;
	}
	if (op->variant == V_SQRT && number_to_double(v[0]) < 0) {
		return refuse(x, op, "a number that is not negative", v[0]);
	}
	if (v[0].type == BT_DOUBLE || op->variant == V_SQRT) {
		return make_double(x, on_double(op->variant, number_to_double(v[0])));
	}
	int64_t i = 0;
	(void)value_whole(v[0], &i);
	if (op->variant != V_ABS || i >= 0) {
		return v[0];
	}
	number_set_int32(&zero, 0);
	if (number_subtract(number_view(&zero), v[0], &result) == -ERANGE) {
		return refuse(x, op, "a number whose absolute value is an int64", v[0]);
	}
	return make_number(x, &result);
}

/* To a number of decimal places, halves to the even neighbour. */
static struct value op_round(
	struct evaluation *x, operator_ref op, const struct value *v, unsigned n)
{
	int64_t places = 0;
	if (is_nothing(v[0])) {
		return make_null();
	}
	if (!number_wanted(x, op, v[0])) {
		return VALUE_MISSING;
	}
	if (n > 1 && (!value_whole(v[1], &places) || places < -20 || places > 100)) {
		return refuse(x, op, "-20 to 100 decimal places", v[1]);
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
		return make_number(x, &result);
	}
	if (v[0].type == BT_INT64) {
		number_set_int64(&result, whole);
		return make_number(x, &result);
	}
	return make_int(x, whole);
}

/* --- comparing --- */

/* What is missing comes before null here, unlike in a filter. */
static int compare(struct value a, struct value b)
{
	if (a.type == BT_MISSING || b.type == BT_MISSING) {
		return (int)(b.type == BT_MISSING) * (int)(a.type != BT_MISSING) -
			(int)(a.type == BT_MISSING) * (int)(b.type != BT_MISSING);
	}
	return value_compare(a, b);
}

static struct value op_compare(
	struct evaluation *x, operator_ref op, const struct value *v, unsigned n)
{
	int c = compare(v[0], v[1]);
	budget_charge(x->budget, v[0].data.n + v[1].data.n);
	switch (op->variant) {
	case V_EQ:
		return make_bool(c == 0);
	case V_NE:
		return make_bool(c != 0);
	case V_GT:
		return make_bool(c > 0);
	case V_GTE:
		return make_bool(c >= 0);
	case V_LT:
		return make_bool(c < 0);
	case V_LTE:
		return make_bool(c <= 0);
	default:
		return make_int(x, (c > 0) - (c < 0));
	}
}

/* --- deciding --- */

static struct value lazy_and(const struct expression *e, struct evaluation *x, uint32_t i)
{
	for (uint32_t k = i + 1; k < e->nodes[i].end; k = e->nodes[k].end) {
		if (!value_truth(expression_eval(e, x, k))) {
			return make_bool(false);
		}
	}
	return make_bool(true);
}

static struct value lazy_or(const struct expression *e, struct evaluation *x, uint32_t i)
{
	for (uint32_t k = i + 1; k < e->nodes[i].end; k = e->nodes[k].end) {
		if (value_truth(expression_eval(e, x, k))) {
			return make_bool(true);
		}
	}
	return make_bool(false);
}

static struct value op_not(struct evaluation *x, operator_ref op, const struct value *v, unsigned n)
{
	return make_bool(!value_truth(v[0]));
}

static struct value lazy_cond(const struct expression *e, struct evaluation *x, uint32_t i)
{
	uint32_t yes = e->nodes[i + 1].end;
	uint32_t no = e->nodes[yes].end;
	return expression_eval(e, x, value_truth(expression_eval(e, x, i + 1)) ? yes : no);
}

static struct value lazy_if_null(const struct expression *e, struct evaluation *x, uint32_t i)
{
	struct value v = VALUE_MISSING;
	for (uint32_t k = i + 1; k < e->nodes[i].end; k = e->nodes[k].end) {
		v = expression_eval(e, x, k);
		if (!is_nothing(v)) {
			return v;
		}
	}
	return v;
}

/* --- text --- */

static struct value op_concat(
	struct evaluation *x, operator_ref op, const struct value *v, unsigned n)
{
	struct buffer text;
	buffer_init(&text, x->arena->limit);
	struct value result = VALUE_MISSING;
	int r = 0;
	for (unsigned i = 0; i < n && r == 0; i++) {
		if (is_nothing(v[i])) {
			buffer_deinit(&text);
			return make_null();
		}
		if (v[i].type != BT_STRING) {
			buffer_deinit(&text);
			return refuse(x, op, "strings", v[i]);
		}
		r = buffer_append(&text, value_string(v[i]));
	}
	if (r < 0) {
		x->error = r;
	} else {
		result = arena_string(x->arena, buffer_slice(&text));
	}
	buffer_deinit(&text);
	return result;
}

static const struct slice iso_format = { (const uint8_t *)"%Y-%m-%dT%H:%M:%S.%LZ", 21 };

static struct value date_text(
	struct evaluation *x, operator_ref op, struct slice format, struct value date);

/* A number or a date is taken for its text, and nothing for an empty one. */
static struct value text_wanted(struct evaluation *x, operator_ref op, struct value v)
{
	char text[32];
	int64_t i = 0;
	if (v.type == BT_STRING) {
		return v;
	}
	if (is_nothing(v)) {
		return arena_string(x->arena, SLICE_NULL);
	}
	if (v.type == BT_DATE) {
		return date_text(x, op, iso_format, v);
	}
	if (!value_is_number(v)) {
		return refuse(x, op, "a string, a number or a date", v);
	}
	if (!number_wanted(x, op, v)) {
		return VALUE_MISSING;
	}
	if (v.type == BT_DOUBLE) {
		(void)snprintf(text, sizeof(text), "%.16g", number_to_double(v));
	} else {
		(void)value_whole(v, &i);
		(void)snprintf(text, sizeof(text), "%lld", (long long)i);
	}
	return arena_string(x->arena, slice_str(text));
}

/* The letters of ASCII only, as MongoDB has it. */
static struct value op_case(
	struct evaluation *x, operator_ref op, const struct value *v, unsigned n)
{
	struct value text = text_wanted(x, op, v[0]);
	if (text.type != BT_STRING) {
		return VALUE_MISSING;
	}
	size_t bytes = text.data.n;
	uint8_t *p = arena_take(x->arena, bytes);
	char low = op->variant == V_LOWER ? 'A' : 'a';
	if (p == NULL) {
		return VALUE_MISSING;
	}
	memcpy(p, text.data.p, bytes);
	/* Behind the length. */
	for (size_t i = 4; i < bytes; i++) {
		if (p[i] >= low && p[i] < low + 26) {
			p[i] ^= 0x20;
		}
	}
	return (struct value){ BT_STRING, slice_of(p, bytes) };
}

static bool begins_character(uint8_t c)
{
	return (c & 0xc0) != 0x80;
}

static struct value op_length(
	struct evaluation *x, operator_ref op, const struct value *v, unsigned n)
{
	int64_t length = 0;
	if (v[0].type != BT_STRING) {
		return refuse(x, op, "a string", v[0]);
	}
	struct slice text = value_string(v[0]);
	for (size_t i = 0; i < text.n; i++) {
		length += begins_character(text.p[i]) ? 1 : 0;
	}
	return make_int(x, length);
}

/* Where character `n` begins; the end when there are fewer. */
static size_t character_at(struct slice text, int64_t n)
{
	size_t i = 0;
	for (; i < text.n && n > 0; n--) {
		i++;
		while (i < text.n && !begins_character(text.p[i])) {
			i++;
		}
	}
	return i;
}

static struct value op_substring(
	struct evaluation *x, operator_ref op, const struct value *v, unsigned n)
{
	int64_t start = 0;
	int64_t length = 0;
	struct value text = text_wanted(x, op, v[0]);
	if (text.type != BT_STRING) {
		return VALUE_MISSING;
	}
	if (!value_whole(v[1], &start) || start < 0 || !value_whole(v[2], &length) || length < 0) {
		return refuse(x, op, "whole numbers that are not negative", v[1]);
	}
	struct slice rest = value_string(text);
	rest = slice_skip(rest, character_at(rest, start));
	return arena_string(x->arena, slice_of(rest.p, character_at(rest, length)));
}

/* --- arrays --- */

static uint64_t length_of(struct slice array)
{
	struct document_iter it = document_iter(array);
	struct element e;
	uint64_t n = 0;
	while (document_next(&it, &e)) {
		n++;
	}
	return n;
}

static struct value op_size(
	struct evaluation *x, operator_ref op, const struct value *v, unsigned n)
{
	if (v[0].type != BT_ARRAY) {
		return refuse(x, op, "an array", v[0]);
	}
	budget_charge(x->budget, v[0].data.n);
	return make_int(x, (int64_t)length_of(v[0].data));
}

static struct value element_at(struct evaluation *x, struct slice array, int64_t index)
{
	struct document_iter it = document_iter(array);
	struct element e;
	budget_charge(x->budget, array.n);
	uint64_t at = (uint64_t)index;
	if (index < 0) {
		uint64_t n = length_of(array);
		uint64_t back = (uint64_t)0 - (uint64_t)index;
		if (back > n) {
			return VALUE_MISSING;
		}
		at = n - back;
	}
	for (uint64_t i = 0; document_next(&it, &e); i++) {
		if (i == at) {
			return e.value;
		}
	}
	return VALUE_MISSING;
}

static struct value op_element(
	struct evaluation *x, operator_ref op, const struct value *v, unsigned n)
{
	int64_t index = op->variant == V_LAST ? -1 : 0;
	if (is_nothing(v[0])) {
		return make_null();
	}
	if (v[0].type != BT_ARRAY) {
		return refuse(x, op, "an array", v[0]);
	}
	if (n > 1 && !value_whole(v[1], &index)) {
		return is_nothing(v[1]) ? make_null() : refuse(x, op, "a whole number", v[1]);
	}
	return element_at(x, v[0].data, index);
}

static struct value op_in(struct evaluation *x, operator_ref op, const struct value *v, unsigned n)
{
	struct document_iter it = document_iter(v[1].data);
	struct element e;
	if (v[1].type != BT_ARRAY) {
		return refuse(x, op, "an array", v[1]);
	}
	while (document_next(&it, &e)) {
		budget_charge(x->budget, e.value.data.n);
		if (compare(v[0], e.value) == 0) {
			return make_bool(true);
		}
	}
	return make_bool(false);
}

static struct value op_is_array(
	struct evaluation *x, operator_ref op, const struct value *v, unsigned n)
{
	return make_bool(v[0].type == BT_ARRAY);
}

static struct value op_concat_arrays(
	struct evaluation *x, operator_ref op, const struct value *v, unsigned n)
{
	struct document_writer w;
	char text[24];
	uint64_t at = 0;
	struct value wrong = VALUE_MISSING;
	struct value result = make_null();
	bool nothing = false;
	writer_init(&w, x->arena->limit);
	size_t start = writer_open(&w);
	for (unsigned i = 0; i < n; i++) {
		struct document_iter it = document_iter(v[i].data);
		struct element e;
		nothing = nothing || is_nothing(v[i]);
		wrong = !is_nothing(v[i]) && v[i].type != BT_ARRAY ? v[i] : wrong;
		while (v[i].type == BT_ARRAY && document_next(&it, &e)) {
			budget_charge(x->budget, 0);
			writer_value(&w, index_name(at++, text), e.value);
		}
	}
	writer_close(&w, start);
	if (wrong.type != BT_MISSING) {
		result = refuse(x, op, "arrays", wrong);
	} else if (w.error != 0) {
		x->error = x->error == 0 ? w.error : x->error;
	} else if (!nothing) {
		result = arena_value(x->arena, (struct value){ BT_ARRAY, buffer_slice(&w.b) });
	}
	writer_deinit(&w);
	return result;
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
	if (is_nothing(v)) {
		return;
	}
	int c = f->best.type == BT_MISSING ? 0 : value_compare(v, f->best);
	if (f->best.type == BT_MISSING || (f->op->variant == V_MIN ? c < 0 : c > 0)) {
		f->best = v;
	}
}

static struct value op_fold(
	struct evaluation *x, operator_ref op, const struct value *v, unsigned n)
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
		return make_number(x, &f.sum);
	}
	if (op->variant == V_AVG) {
		return f.n == 0
			? make_null()
			: make_double(x, number_to_double(number_view(&f.sum)) / (double)f.n);
	}
	return f.best.type == BT_MISSING ? make_null() : f.best;
}

/* --- documents --- */

static struct value op_merge_objects(
	struct evaluation *x, operator_ref op, const struct value *v, unsigned n)
{
	struct document_writer w;
	struct value result = VALUE_MISSING;
	writer_init(&w, x->arena->limit);
	size_t start = writer_open(&w);
	for (unsigned i = 0; i < n && x->error == 0; i++) {
		struct document_iter it = document_iter(v[i].data);
		struct element e;
		if (!is_nothing(v[i]) && v[i].type != BT_OBJECT) {
			(void)refuse(x, op, "documents", v[i]);
		}
		/* A name keeps its first place and gets its last value. */
		while (v[i].type == BT_OBJECT && document_next(&it, &e)) {
			bool before = false;
			struct value last = e.value;
			for (unsigned k = 0; k < n; k++) {
				struct value other = v[k].type == BT_OBJECT && k != i
					? document_find(v[k].data, e.name)
					: VALUE_MISSING;
				budget_charge(x->budget, v[k].data.n);
				before = before || (k < i && other.type != BT_MISSING);
				last = k > i && other.type != BT_MISSING ? other : last;
			}
			if (!before) {
				writer_value(&w, e.name, last);
			}
		}
	}
	writer_close(&w, start);
	if (w.error != 0) {
		x->error = x->error == 0 ? w.error : x->error;
	} else {
		result = arena_value(x->arena, (struct value){ BT_OBJECT, buffer_slice(&w.b) });
	}
	writer_deinit(&w);
	return result;
}

/* --- dates --- */

static struct value op_date_part(
	struct evaluation *x, operator_ref op, const struct value *v, unsigned n)
{
	struct calendar c;
	if (is_nothing(v[0])) {
		return make_null();
	}
	if (v[0].type != BT_DATE) {
		return refuse(x, op, "a date", v[0]);
	}
	calendar_of(value_int64(v[0]), &c);
	const int64_t parts[] = {
		[0] = c.year,
		[V_MONTH - V_YEAR] = c.month,
		[V_DAY - V_YEAR] = c.day,
		[V_HOUR - V_YEAR] = c.hour,
		[V_MINUTE - V_YEAR] = c.minute,
		[V_SECOND - V_YEAR] = c.second,
		[V_MILLISECOND - V_YEAR] = c.millisecond,
		[V_DAY_OF_WEEK - V_YEAR] = c.day_of_week,
		[V_DAY_OF_YEAR - V_YEAR] = c.day_of_year,
	};
	return make_int(x, parts[op->variant - V_YEAR]);
}

/* One %x of a format. @return 0; -EINVAL: not known; errors of the buffer. */
static int format_one(struct buffer *b, uint8_t c, const struct calendar *d)
{
	switch (c) {
	case 'Y':
		return buffer_printf(b, "%04lld", (long long)d->year);
	case 'm':
		return buffer_printf(b, "%02d", d->month);
	case 'd':
		return buffer_printf(b, "%02d", d->day);
	case 'H':
		return buffer_printf(b, "%02d", d->hour);
	case 'M':
		return buffer_printf(b, "%02d", d->minute);
	case 'S':
		return buffer_printf(b, "%02d", d->second);
	case 'L':
		return buffer_printf(b, "%03d", d->millisecond);
	case 'j':
		return buffer_printf(b, "%03d", d->day_of_year);
	case 'w':
		return buffer_printf(b, "%d", d->day_of_week);
	case 'z':
		return buffer_append(b, SLICE("+0000"));
	case 'Z':
		return buffer_append(b, SLICE("+000"));
	case '%':
		return buffer_append_byte(b, '%');
	default:
		return -EINVAL;
	}
}

static int format_date(struct buffer *b, struct slice format, int64_t ms)
{
	struct calendar c;
	int r = 0;
	calendar_of(ms, &c);
	for (size_t i = 0; i < format.n && r == 0; i++) {
		if (format.p[i] != '%') {
			r = buffer_append_byte(b, format.p[i]);
		} else if (++i < format.n) {
			r = format_one(b, format.p[i], &c);
		} else {
			r = -EINVAL;
		}
	}
	return r;
}

static struct value date_text(
	struct evaluation *x, operator_ref op, struct slice format, struct value date)
{
	struct buffer b;
	struct value result = VALUE_MISSING;
	buffer_init(&b, x->arena->limit);
	int r = format_date(&b, format, value_int64(date));
	if (r == -EINVAL) {
		(void)refuse(
			x, op, "a format of %Y %m %d %H %M %S %L %j %w %z and %%", VALUE_MISSING);
	} else if (r < 0) {
		x->error = r;
	} else {
		result = arena_string(x->arena, buffer_slice(&b));
	}
	buffer_deinit(&b);
	return result;
}

/* {date: …, format: …, onNull: …, timezone: …}: only UTC. */
static struct value op_date_to_string(
	struct evaluation *x, operator_ref op, const struct value *v, unsigned n)
{
	if (v[3].type == BT_STRING && !slice_eq(value_string(v[3]), SLICE("UTC")) &&
		!slice_eq(value_string(v[3]), SLICE("GMT"))) {
		return refuse(x, op, "UTC as its timezone", v[3]);
	}
	if (is_nothing(v[0])) {
		return v[2].type == BT_MISSING ? make_null() : v[2];
	}
	if (v[0].type != BT_DATE) {
		return refuse(x, op, "a date", v[0]);
	}
	if (v[1].type != BT_MISSING && v[1].type != BT_STRING) {
		return refuse(x, op, "a format that is a string", v[1]);
	}
	return date_text(x, op, v[1].type == BT_STRING ? value_string(v[1]) : iso_format, v[0]);
}

/* --- types --- */

static const char *type_alias(uint8_t type)
{
	switch (type) {
	case BT_MISSING:
		return "missing";
	case BT_DOUBLE:
		return "double";
	case BT_STRING:
		return "string";
	case BT_OBJECT:
		return "object";
	case BT_ARRAY:
		return "array";
	case BT_BINARY:
		return "binData";
	case BT_UNDEFINED:
		return "undefined";
	case BT_OID:
		return "objectId";
	case BT_BOOL:
		return "bool";
	case BT_DATE:
		return "date";
	case BT_NULL:
		return "null";
	case BT_REGEX:
		return "regex";
	case BT_INT32:
		return "int";
	case BT_TIMESTAMP:
		return "timestamp";
	case BT_INT64:
		return "long";
	case BT_DECIMAL:
		return "decimal";
	case BT_MINKEY:
		return "minKey";
	case BT_MAXKEY:
		return "maxKey";
	default:
		return "other";
	}
}

static struct value op_type(
	struct evaluation *x, operator_ref op, const struct value *v, unsigned n)
{
	return arena_string(x->arena, slice_str(type_alias(v[0].type)));
}

static struct value op_is_number(
	struct evaluation *x, operator_ref op, const struct value *v, unsigned n)
{
	return make_bool(value_is_number(v[0]));
}

static struct value op_to_string(
	struct evaluation *x, operator_ref op, const struct value *v, unsigned n)
{
	char text[64];
	int64_t i = 0;
	if (is_nothing(v[0])) {
		return make_null();
	}
	if (v[0].type == BT_STRING) {
		return v[0];
	}
	if (v[0].type == BT_BOOL) {
		return arena_string(x->arena, value_bool(v[0]) ? SLICE("true") : SLICE("false"));
	}
	if (v[0].type == BT_DATE) {
		return date_text(x, op, iso_format, v[0]);
	}
	if (v[0].type == BT_OID) {
		for (size_t k = 0; k < OID_BYTES; k++) {
			(void)snprintf(text + 2 * k, 3, "%02x", v[0].data.p[k]);
		}
		return arena_string(x->arena, slice_str(text));
	}
	if ((v[0].type == BT_INT32 || v[0].type == BT_INT64) && value_whole(v[0], &i)) {
		(void)snprintf(text, sizeof(text), "%lld", (long long)i);
		return arena_string(x->arena, slice_str(text));
	}
	return refuse(x, op, "a string, a whole number, a boolean, a date or an ObjectId", v[0]);
}

static struct value op_to_number(
	struct evaluation *x, operator_ref op, const struct value *v, unsigned n)
{
	struct number result;
	int64_t i = 0;
	if (is_nothing(v[0])) {
		return make_null();
	}
	if (v[0].type == BT_BOOL) {
		i = value_bool(v[0]) ? 1 : 0;
	} else if (op->variant == V_TO_DOUBLE) {
		return number_wanted(x, op, v[0]) ? make_double(x, number_to_double(v[0]))
						  : VALUE_MISSING;
	} else if (v[0].type == BT_DATE && op->variant == V_TO_LONG) {
		i = value_int64(v[0]);
	} else if (!value_truncated(v[0], &i) ||
		(op->variant == V_TO_INT && (i < INT32_MIN || i > INT32_MAX))) {
		return refuse(x, op, "a number in the range of the result", v[0]);
	}
	if (op->variant == V_TO_INT) {
		number_set_int32(&result, (int32_t)i);
	} else if (op->variant == V_TO_LONG) {
		number_set_int64(&result, i);
	} else {
		number_set_double(&result, (double)i);
	}
	return make_number(x, &result);
}

/* --- the table --- */

static const char *const cond_names[] = { "if", "then", "else", NULL };
static const char *const date_to_string_names[] = { "date", "format", "onNull", "timezone", NULL };

enum { MANY = EXPRESSION_ARGUMENTS_MAX };

/* clang-format off */
static const struct expression_operator table[] = {
	{ "$add",          0, MANY, op_add, .variant = V_ADD },
	{ "$multiply",     0, MANY, op_add, .variant = V_MULTIPLY },
	{ "$subtract",     2, 2, op_subtract },
	{ "$divide",       2, 2, op_divide },
	{ "$mod",          2, 2, op_mod },
	{ "$abs",          1, 1, op_unary, .variant = V_ABS },
	{ "$ceil",         1, 1, op_unary, .variant = V_CEIL },
	{ "$floor",        1, 1, op_unary, .variant = V_FLOOR },
	{ "$sqrt",         1, 1, op_unary, .variant = V_SQRT },
	{ "$round",        1, 2, op_round },
	{ "$eq",           2, 2, op_compare, .variant = V_EQ },
	{ "$ne",           2, 2, op_compare, .variant = V_NE },
	{ "$gt",           2, 2, op_compare, .variant = V_GT },
	{ "$gte",          2, 2, op_compare, .variant = V_GTE },
	{ "$lt",           2, 2, op_compare, .variant = V_LT },
	{ "$lte",          2, 2, op_compare, .variant = V_LTE },
	{ "$cmp",          2, 2, op_compare, .variant = V_CMP },
	{ "$and",          0, MANY, .lazy = lazy_and },
	{ "$or",           0, MANY, .lazy = lazy_or },
	{ "$not",          1, 1, op_not },
	{ "$cond",         3, 3, .lazy = lazy_cond, .named = cond_names, .required = 3 },
	{ "$ifNull",       2, MANY, .lazy = lazy_if_null },
	{ "$concat",       0, MANY, op_concat },
	{ "$toLower",      1, 1, op_case, .variant = V_LOWER },
	{ "$toUpper",      1, 1, op_case, .variant = V_UPPER },
	{ "$strLenCP",     1, 1, op_length },
	{ "$substrCP",     3, 3, op_substring },
	{ "$size",         1, 1, op_size },
	{ "$arrayElemAt",  2, 2, op_element },
	{ "$first",        1, 1, op_element, .variant = V_FIRST },
	{ "$last",         1, 1, op_element, .variant = V_LAST },
	{ "$in",           2, 2, op_in },
	{ "$isArray",      1, 1, op_is_array },
	{ "$concatArrays", 0, MANY, op_concat_arrays },
	{ "$min",          1, MANY, op_fold, .variant = V_MIN },
	{ "$max",          1, MANY, op_fold, .variant = V_MAX },
	{ "$sum",          1, MANY, op_fold, .variant = V_SUM },
	{ "$avg",          1, MANY, op_fold, .variant = V_AVG },
	{ "$mergeObjects", 0, MANY, op_merge_objects },
	{ "$year",         1, 1, op_date_part, .variant = V_YEAR },
	{ "$month",        1, 1, op_date_part, .variant = V_MONTH },
	{ "$dayOfMonth",   1, 1, op_date_part, .variant = V_DAY },
	{ "$hour",         1, 1, op_date_part, .variant = V_HOUR },
	{ "$minute",       1, 1, op_date_part, .variant = V_MINUTE },
	{ "$second",       1, 1, op_date_part, .variant = V_SECOND },
	{ "$millisecond",  1, 1, op_date_part, .variant = V_MILLISECOND },
	{ "$dayOfWeek",    1, 1, op_date_part, .variant = V_DAY_OF_WEEK },
	{ "$dayOfYear",    1, 1, op_date_part, .variant = V_DAY_OF_YEAR },
	{ "$dateToString", 4, 4, op_date_to_string, .named = date_to_string_names, .required = 1 },
	{ "$type",         1, 1, op_type },
	{ "$isNumber",     1, 1, op_is_number },
	{ "$toString",     1, 1, op_to_string },
	{ "$toInt",        1, 1, op_to_number, .variant = V_TO_INT },
	{ "$toLong",       1, 1, op_to_number, .variant = V_TO_LONG },
	{ "$toDouble",     1, 1, op_to_number, .variant = V_TO_DOUBLE },
};
/* clang-format on */

const struct expression_operator *expression_operator_find(struct slice name)
{
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (slice_eq(name, slice_str(table[i].name))) {
			return &table[i];
		}
	}
	return NULL;
}
