/* Values that operators make, and what they refuse. */
#include "director/store/query/operators.h"

struct value operator_refuse(
	struct evaluation *x, operator_ref op, const char *wants, struct value v)
{
	if (x->error == 0) {
		x->error = store_fail(x->failure, STORE_E_INVALID, "%s needs %s, not %s", op->name,
			wants, v.type == BT_MISSING ? "nothing" : value_type_name(v.type));
	}
	return VALUE_MISSING;
}

bool operator_is_nothing(struct value v)
{
	return v.type == BT_MISSING || v.type == BT_NULL || v.type == BT_UNDEFINED;
}

struct value operator_make_null(void)
{
	return (struct value){ .type = BT_NULL };
}

struct value operator_make_bool(bool b)
{
	static const uint8_t bytes[] = { 0, 1 };
	return (struct value){ BT_BOOL, slice_of(&bytes[b ? 1 : 0], 1) };
}

struct value operator_make_number(struct evaluation *x, const struct number *n)
{
	return arena_value(x->arena, number_view(n));
}

struct value operator_make_int(struct evaluation *x, int64_t i)
{
	struct number n;
	number_set_int(&n, i);
	return operator_make_number(x, &n);
}

struct value operator_make_double(struct evaluation *x, double d)
{
	struct number n;
	number_set_double(&n, d);
	return operator_make_number(x, &n);
}

struct value operator_make_date(struct evaluation *x, int64_t ms)
{
	struct number n;
	number_set_int64(&n, ms);
	struct value v = operator_make_number(x, &n);
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

bool operator_number_wanted(struct evaluation *x, operator_ref op, struct value v)
{
	if (v.type == BT_DECIMAL) {
		(void)decimal_refused(x, op);
		return false;
	}
	if (!value_is_number(v)) {
		(void)operator_refuse(x, op, "a number", v);
		return false;
	}
	return true;
}
