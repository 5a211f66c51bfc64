/* Arrays, and documents made of several. */
#include "director/store/query/operators.h"

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

struct value operator_size(struct evaluation *x, operator_ref op, const struct value *v, unsigned n)
{
	if (v[0].type != BT_ARRAY) {
		return operator_refuse(x, op, "an array", v[0]);
	}
	budget_charge(x->budget, v[0].data.n);
	return operator_make_int(x, (int64_t)length_of(v[0].data));
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

struct value operator_element(
	struct evaluation *x, operator_ref op, const struct value *v, unsigned n)
{
	int64_t index = op->variant == V_LAST ? -1 : 0;
	if (operator_is_nothing(v[0])) {
		return operator_make_null();
	}
	if (v[0].type != BT_ARRAY) {
		return operator_refuse(x, op, "an array", v[0]);
	}
	if (n > 1 && !value_whole(v[1], &index)) {
		return operator_is_nothing(v[1]) ? operator_make_null()
						 : operator_refuse(x, op, "a whole number", v[1]);
	}
	return element_at(x, v[0].data, index);
}

struct value operator_in(struct evaluation *x, operator_ref op, const struct value *v, unsigned n)
{
	struct document_iter it = document_iter(v[1].data);
	struct element e;
	if (v[1].type != BT_ARRAY) {
		return operator_refuse(x, op, "an array", v[1]);
	}
	while (document_next(&it, &e)) {
		budget_charge(x->budget, e.value.data.n);
		if (operator_compare_values(v[0], e.value) == 0) {
			return operator_make_bool(true);
		}
	}
	return operator_make_bool(false);
}

struct value operator_is_array(
	struct evaluation *x, operator_ref op, const struct value *v, unsigned n)
{
	return operator_make_bool(v[0].type == BT_ARRAY);
}

struct value operator_concat_arrays(
	struct evaluation *x, operator_ref op, const struct value *v, unsigned n)
{
	struct document_writer w;
	char text[24];
	uint64_t at = 0;
	struct value wrong = VALUE_MISSING;
	struct value result = operator_make_null();
	bool nothing = false;
	writer_init(&w, x->arena->limit);
	size_t start = writer_open(&w);
	for (unsigned i = 0; i < n; i++) {
		struct document_iter it = document_iter(v[i].data);
		struct element e;
		nothing = nothing || operator_is_nothing(v[i]);
		wrong = !operator_is_nothing(v[i]) && v[i].type != BT_ARRAY ? v[i] : wrong;
		while (v[i].type == BT_ARRAY && document_next(&it, &e)) {
			budget_charge(x->budget, 0);
			writer_value(&w, index_name(at++, text), e.value);
		}
	}
	writer_close(&w, start);
	if (wrong.type != BT_MISSING) {
		result = operator_refuse(x, op, "arrays", wrong);
	} else if (w.error != 0) {
		x->error = x->error == 0 ? w.error : x->error;
	} else if (!nothing) {
		result = arena_value(x->arena, (struct value){ BT_ARRAY, buffer_slice(&w.b) });
	}
	writer_deinit(&w);
	return result;
}

/* --- documents --- */

struct value operator_merge_objects(
	struct evaluation *x, operator_ref op, const struct value *v, unsigned n)
{
	struct document_writer w;
	struct value result = VALUE_MISSING;
	writer_init(&w, x->arena->limit);
	size_t start = writer_open(&w);
	for (unsigned i = 0; i < n && x->error == 0; i++) {
		struct document_iter it = document_iter(v[i].data);
		struct element e;
		if (!operator_is_nothing(v[i]) && v[i].type != BT_OBJECT) {
			(void)operator_refuse(x, op, "documents", v[i]);
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
