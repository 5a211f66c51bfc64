/* Comparing and deciding. */
#include "director/store/query/compare.h"
#include "director/store/query/operators.h"

/* --- comparing --- */

int operator_compare_values(struct value a, struct value b)
{
	if (a.type == BT_MISSING || b.type == BT_MISSING) {
		return (int)(b.type == BT_MISSING) * (int)(a.type != BT_MISSING) -
			(int)(a.type == BT_MISSING) * (int)(b.type != BT_MISSING);
	}
	return value_compare(a, b);
}

struct value operator_compare(
	struct evaluation *x, operator_ref op, const struct value *v, unsigned n)
{
	int c = operator_compare_values(v[0], v[1]);
	budget_charge(x->budget, v[0].data.n + v[1].data.n);
	switch (op->variant) {
	case V_EQ:
		return operator_make_bool(c == 0);
	case V_NE:
		return operator_make_bool(c != 0);
	case V_GT:
		return operator_make_bool(c > 0);
	case V_GTE:
		return operator_make_bool(c >= 0);
	case V_LT:
		return operator_make_bool(c < 0);
	case V_LTE:
		return operator_make_bool(c <= 0);
	default:
		return operator_make_int(x, (c > 0) - (c < 0));
	}
}

/* --- deciding --- */

struct value operator_lazy_and(const struct expression *e, struct evaluation *x, uint32_t i)
{
	for (uint32_t k = i + 1; k < e->nodes[i].end; k = e->nodes[k].end) {
		if (!value_truth(expression_eval(e, x, k))) {
			return operator_make_bool(false);
		}
	}
	return operator_make_bool(true);
}

struct value operator_lazy_or(const struct expression *e, struct evaluation *x, uint32_t i)
{
	for (uint32_t k = i + 1; k < e->nodes[i].end; k = e->nodes[k].end) {
		if (value_truth(expression_eval(e, x, k))) {
			return operator_make_bool(true);
		}
	}
	return operator_make_bool(false);
}

struct value operator_not(struct evaluation *x, operator_ref op, const struct value *v, unsigned n)
{
	return operator_make_bool(!value_truth(v[0]));
}

struct value operator_lazy_cond(const struct expression *e, struct evaluation *x, uint32_t i)
{
	uint32_t yes = e->nodes[i + 1].end;
	uint32_t no = e->nodes[yes].end;
	return expression_eval(e, x, value_truth(expression_eval(e, x, i + 1)) ? yes : no);
}

struct value operator_lazy_if_null(const struct expression *e, struct evaluation *x, uint32_t i)
{
	struct value v = VALUE_MISSING;
	for (uint32_t k = i + 1; k < e->nodes[i].end; k = e->nodes[k].end) {
		v = expression_eval(e, x, k);
		if (!operator_is_nothing(v)) {
			return v;
		}
	}
	return v;
}
