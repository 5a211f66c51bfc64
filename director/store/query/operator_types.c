/* What a value is, and what it is as another type. */
#include "director/store/query/operators.h"

#include <stdio.h>

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

struct value operator_type(struct evaluation *x, operator_ref op, const struct value *v, unsigned n)
{
	return arena_string(x->arena, slice_str(type_alias(v[0].type)));
}

struct value operator_is_number(
	struct evaluation *x, operator_ref op, const struct value *v, unsigned n)
{
	return operator_make_bool(value_is_number(v[0]));
}

struct value operator_to_string(
	struct evaluation *x, operator_ref op, const struct value *v, unsigned n)
{
	char text[64];
	int64_t i = 0;
	if (operator_is_nothing(v[0])) {
		return operator_make_null();
	}
	if (v[0].type == BT_STRING) {
		return v[0];
	}
	if (v[0].type == BT_BOOL) {
		return arena_string(x->arena, value_bool(v[0]) ? SLICE("true") : SLICE("false"));
	}
	if (v[0].type == BT_DATE) {
		return operator_date_text(x, op, operator_iso_format, v[0]);
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
	return operator_refuse(
		x, op, "a string, a whole number, a boolean, a date or an ObjectId", v[0]);
}

struct value operator_to_number(
	struct evaluation *x, operator_ref op, const struct value *v, unsigned n)
{
	struct number result;
	int64_t i = 0;
	if (operator_is_nothing(v[0])) {
		return operator_make_null();
	}
	if (v[0].type == BT_BOOL) {
		i = value_bool(v[0]) ? 1 : 0;
	} else if (op->variant == V_TO_DOUBLE) {
		return operator_number_wanted(x, op, v[0])
			? operator_make_double(x, number_to_double(v[0]))
			: VALUE_MISSING;
	} else if (v[0].type == BT_DATE && op->variant == V_TO_LONG) {
		i = value_int64(v[0]);
	} else if (!value_truncated(v[0], &i) ||
		(op->variant == V_TO_INT && (i < INT32_MIN || i > INT32_MAX))) {
		return operator_refuse(x, op, "a number in the range of the result", v[0]);
	}
	if (op->variant == V_TO_INT) {
		number_set_int32(&result, (int32_t)i);
	} else if (op->variant == V_TO_LONG) {
		number_set_int64(&result, i);
	} else {
		number_set_double(&result, (double)i);
	}
	return operator_make_number(x, &result);
}
