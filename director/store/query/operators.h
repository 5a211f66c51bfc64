/*
 * The operators of expressions, by family: operator_*.c. expression_ops.c has the table of their names.
 */
#pragma once

#include "director/store/query/arith.h"
#include "director/store/query/expressions.h"
#include "director/store/query/number.h"

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
typedef struct value operator_fn(
	struct evaluation *x, operator_ref op, const struct value *v, unsigned n);
typedef struct value operator_lazy_fn(const struct expression *e, struct evaluation *x, uint32_t i);

/* --- what they share --- */

/** Fails the evaluation: "$name needs WANTS, not TYPE". @return VALUE_MISSING. */
struct value operator_refuse(
	struct evaluation *x, operator_ref op, const char *wants, struct value v);
/** A plain number, which a decimal128 is not. @return false: refused. */
bool operator_number_wanted(struct evaluation *x, operator_ref op, struct value v);
/** Missing or null. */
bool operator_is_nothing(struct value v);

struct value operator_make_null(void);
struct value operator_make_bool(bool b);
struct value operator_make_number(struct evaluation *x, const struct number *n);
struct value operator_make_int(struct evaluation *x, int64_t i);
struct value operator_make_double(struct evaluation *x, double d);
struct value operator_make_date(struct evaluation *x, int64_t ms);

/** What is missing comes before null here, unlike in a filter. */
int operator_compare_values(struct value a, struct value b);

extern const struct slice operator_iso_format;
/** A date as text. */
struct value operator_date_text(
	struct evaluation *x, operator_ref op, struct slice format, struct value date);

/* --- the operators --- */

operator_fn operator_add, operator_case, operator_compare, operator_concat, operator_concat_arrays,
	operator_date_part, operator_date_to_string, operator_divide, operator_element,
	operator_fold, operator_in, operator_is_array, operator_is_number, operator_length,
	operator_merge_objects, operator_mod, operator_not, operator_round, operator_size,
	operator_substring, operator_subtract, operator_to_number, operator_to_string,
	operator_type, operator_unary;
operator_lazy_fn operator_lazy_and, operator_lazy_cond, operator_lazy_if_null, operator_lazy_or;
