/* The operators by their names. */
#include "director/store/query/operators.h"

static const char *const cond_names[] = { "if", "then", "else", NULL };
static const char *const date_to_string_names[] = { "date", "format", "onNull", "timezone", NULL };

enum { MANY = EXPRESSION_ARGUMENTS_MAX };

/* clang-format off */
static const struct expression_operator table[] = {
	{ "$add",          0, MANY, operator_add, .variant = V_ADD },
	{ "$multiply",     0, MANY, operator_add, .variant = V_MULTIPLY },
	{ "$subtract",     2, 2, operator_subtract },
	{ "$divide",       2, 2, operator_divide },
	{ "$mod",          2, 2, operator_mod },
	{ "$abs",          1, 1, operator_unary, .variant = V_ABS },
	{ "$ceil",         1, 1, operator_unary, .variant = V_CEIL },
	{ "$floor",        1, 1, operator_unary, .variant = V_FLOOR },
	{ "$sqrt",         1, 1, operator_unary, .variant = V_SQRT },
	{ "$round",        1, 2, operator_round },
	{ "$eq",           2, 2, operator_compare, .variant = V_EQ },
	{ "$ne",           2, 2, operator_compare, .variant = V_NE },
	{ "$gt",           2, 2, operator_compare, .variant = V_GT },
	{ "$gte",          2, 2, operator_compare, .variant = V_GTE },
	{ "$lt",           2, 2, operator_compare, .variant = V_LT },
	{ "$lte",          2, 2, operator_compare, .variant = V_LTE },
	{ "$cmp",          2, 2, operator_compare, .variant = V_CMP },
	{ "$and",          0, MANY, .lazy = operator_lazy_and },
	{ "$or",           0, MANY, .lazy = operator_lazy_or },
	{ "$not",          1, 1, operator_not },
	{ "$cond",         3, 3, .lazy = operator_lazy_cond, .named = cond_names, .required = 3 },
	{ "$ifNull",       2, MANY, .lazy = operator_lazy_if_null },
	{ "$concat",       0, MANY, operator_concat },
	{ "$toLower",      1, 1, operator_case, .variant = V_LOWER },
	{ "$toUpper",      1, 1, operator_case, .variant = V_UPPER },
	{ "$strLenCP",     1, 1, operator_length },
	{ "$substrCP",     3, 3, operator_substring },
	{ "$size",         1, 1, operator_size },
	{ "$arrayElemAt",  2, 2, operator_element },
	{ "$first",        1, 1, operator_element, .variant = V_FIRST },
	{ "$last",         1, 1, operator_element, .variant = V_LAST },
	{ "$in",           2, 2, operator_in },
	{ "$isArray",      1, 1, operator_is_array },
	{ "$concatArrays", 0, MANY, operator_concat_arrays },
	{ "$min",          1, MANY, operator_fold, .variant = V_MIN },
	{ "$max",          1, MANY, operator_fold, .variant = V_MAX },
	{ "$sum",          1, MANY, operator_fold, .variant = V_SUM },
	{ "$avg",          1, MANY, operator_fold, .variant = V_AVG },
	{ "$mergeObjects", 0, MANY, operator_merge_objects },
	{ "$year",         1, 1, operator_date_part, .variant = V_YEAR },
	{ "$month",        1, 1, operator_date_part, .variant = V_MONTH },
	{ "$dayOfMonth",   1, 1, operator_date_part, .variant = V_DAY },
	{ "$hour",         1, 1, operator_date_part, .variant = V_HOUR },
	{ "$minute",       1, 1, operator_date_part, .variant = V_MINUTE },
	{ "$second",       1, 1, operator_date_part, .variant = V_SECOND },
	{ "$millisecond",  1, 1, operator_date_part, .variant = V_MILLISECOND },
	{ "$dayOfWeek",    1, 1, operator_date_part, .variant = V_DAY_OF_WEEK },
	{ "$dayOfYear",    1, 1, operator_date_part, .variant = V_DAY_OF_YEAR },
	{ "$dateToString", 4, 4, operator_date_to_string, .named = date_to_string_names, .required = 1 },
	{ "$type",         1, 1, operator_type },
	{ "$isNumber",     1, 1, operator_is_number },
	{ "$toString",     1, 1, operator_to_string },
	{ "$toInt",        1, 1, operator_to_number, .variant = V_TO_INT },
	{ "$toLong",       1, 1, operator_to_number, .variant = V_TO_LONG },
	{ "$toDouble",     1, 1, operator_to_number, .variant = V_TO_DOUBLE },
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
