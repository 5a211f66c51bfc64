#include "director/store/query/arith.h"
#include "director/store/query/collect.h"
#include "director/store/query/compare.h"
#include "director/store/query/key.h"
#include "director/store/query/number.h"
#include "director/store/query/updater.h"

#include <errno.h>

static const uint8_t empty_document[DOCUMENT_EMPTY_BYTES] = { DOCUMENT_EMPTY_BYTES };

bool update_leaf_creates(const struct apply *a, const struct update_op *op)
{
	switch (op->kind) {
	case UPDATE_UNSET:
	case UPDATE_PULL:
	case UPDATE_PULL_ALL:
	case UPDATE_POP:
	case UPDATE_RENAME:
		return false;
	case UPDATE_SET_ON_INSERT:
		return a->inserting;
	case UPDATE_MOVED:
		return op->value.type != BT_MISSING;
	case UPDATE_SET:
	case UPDATE_INC:
	case UPDATE_MUL:
	case UPDATE_MIN:
	case UPDATE_MAX:
	case UPDATE_BIT:
	case UPDATE_PUSH:
	case UPDATE_ADD_TO_SET:
	case UPDATE_CURRENT_DATE:
		break;
	}
	return true;
}

/* --- numbers --- */

static int arithmetic_failed(
	const struct apply *a, const struct update_op *op, struct slice name, int r)
{
	if (r == -ENOTSUP) {
		return store_fail(a->failure, STORE_E_UNSUPPORTED,
			"%s of the field %.*s, a decimal128, is not supported",
			update_kind_name(op->kind), STORE_NAME(name));
	}
	return store_fail(a->failure, STORE_E_INVALID,
		"%s of the field %.*s leaves the range of an int64", update_kind_name(op->kind),
		STORE_NAME(name));
}

static int number_wanted(
	const struct apply *a, const struct update_op *op, struct slice name, struct value v)
{
	if (!value_is_number(v)) {
		return store_fail(a->failure, STORE_E_INVALID, "%s of the field %.*s, which is %s",
			update_kind_name(op->kind), STORE_NAME(name), value_type_name(v.type));
	}
	return 0;
}

static int apply_inc(
	const struct apply *a, const struct update_op *op, struct slice name, struct value v)
{
	struct number result;
	if (v.type == BT_MISSING) {
		writer_value(a->w, name, op->value);
		return 0;
	}
	int r = number_wanted(a, op, name, v);
	if (r != 0) {
		return r;
	}
	r = number_add(v, op->value, &result);
	if (r < 0) {
		return arithmetic_failed(a, op, name, r);
	}
	writer_value(a->w, name, number_view(&result));
	return 0;
}

/* What is missing is a zero of the factor's type. */
static int apply_mul(
	const struct apply *a, const struct update_op *op, struct slice name, struct value v)
{
	struct number zero;
	struct number result;
	if (v.type == BT_MISSING) {
		number_set_int32(&zero, 0);
		v = number_view(&zero);
	}
	int r = number_wanted(a, op, name, v);
	if (r != 0) {
		return r;
	}
	r = number_multiply(v, op->value, &result);
	if (r < 0) {
		return arithmetic_failed(a, op, name, r);
	}
	writer_value(a->w, name, number_view(&result));
	return 0;
}

static int64_t bits_of(struct value v)
{
	return v.type == BT_INT32 ? value_int32(v) : value_int64(v);
}

static int apply_bit(
	const struct apply *a, const struct update_op *op, struct slice name, struct value v)
{
	uint8_t wide = op->value.type;
	int64_t x = 0;
	int64_t y = bits_of(op->value);
	if (v.type != BT_MISSING) {
		if (v.type != BT_INT32 && v.type != BT_INT64) {
			return store_fail(a->failure, STORE_E_INVALID,
				"$bit of the field %.*s, which is %s", STORE_NAME(name),
				value_type_name(v.type));
		}
		x = bits_of(v);
		wide = v.type == BT_INT64 ? BT_INT64 : wide;
	}
	int64_t result = op->bit == BIT_AND ? x & y : op->bit == BIT_OR ? x | y : x ^ y;
	if (wide == BT_INT64) {
		writer_int64(a->w, name, result);
	} else {
		writer_int32(a->w, name, (int32_t)result);
	}
	return 0;
}

static int apply_extreme(
	const struct apply *a, const struct update_op *op, struct slice name, struct value v)
{
	int c = v.type == BT_MISSING ? 0 : value_compare(op->value, v);
	bool replaced = v.type == BT_MISSING || (op->kind == UPDATE_MIN ? c < 0 : c > 0);
	writer_value(a->w, name, replaced ? op->value : v);
	return 0;
}

/* --- arrays --- */

static int array_wanted(
	const struct apply *a, const struct update_op *op, struct slice name, struct value v)
{
	if (v.type != BT_ARRAY && v.type != BT_MISSING) {
		return store_fail(a->failure, STORE_E_INVALID, "%s on the field %.*s, which is %s",
			update_kind_name(op->kind), STORE_NAME(name), value_type_name(v.type));
	}
	return 0;
}

/* Elements that are being put together, in their order or by a sort's keys. */
struct gathering {
	const struct apply *a;
	const struct update_op *op;
	struct collect elements; /* as "documents": struct value */
};

static int gather(struct gathering *g, struct value v)
{
	const struct push_modifiers *m = &g->op->push;
	int r = collect_begin(&g->elements);
	if (r == 0 && m->sort != NULL) {
		struct slice fields = v.type == BT_OBJECT
			? v.data
			: slice_of(empty_document, sizeof(empty_document));
		r = sort_key(m->sort, fields, g->a->budget, &g->elements.keys);
	} else if (r == 0 && m->sort_whole != 0) {
		size_t start = g->elements.keys.n;
		r = key_append(&g->elements.keys, v);
		for (size_t i = start; m->sort_whole < 0 && i < g->elements.keys.n; i++) {
			g->elements.keys.p[i] = (uint8_t)~g->elements.keys.p[i];
		}
	}
	return r < 0 ? r : collect_end(&g->elements, slice_of(&v, sizeof(v)));
}

static int gather_all(struct gathering *g, struct slice array)
{
	struct document_iter it = document_iter(array);
	struct element e;
	int r = 0;
	while (r == 0 && document_next(&it, &e)) {
		r = gather(g, e.value);
	}
	return r;
}

/* How many elements stand before the new ones. */
static uint64_t insert_at(const struct push_modifiers *m, struct slice array)
{
	struct document_iter it = document_iter(array);
	struct element e;
	uint64_t n = 0;
	while (document_next(&it, &e)) {
		n++;
	}
	if (!m->placed) {
		return n;
	}
	if (m->position >= 0) {
		return (uint64_t)m->position < n ? (uint64_t)m->position : n;
	}
	uint64_t back = (uint64_t)-m->position;
	return back < n ? n - back : 0;
}

static int gather_pushed(struct gathering *g, struct slice array)
{
	uint64_t before = insert_at(&g->op->push, array);
	struct document_iter it = document_iter(array);
	struct element e;
	int r = 0;
	for (uint64_t i = 0; r == 0 && i < before && document_next(&it, &e); i++) {
		r = gather(g, e.value);
	}
	r = r < 0 ? r : gather_all(g, g->op->value.data);
	while (r == 0 && document_next(&it, &e)) {
		r = gather(g, e.value);
	}
	return r;
}

static void write_gathered(struct gathering *g, struct slice name)
{
	const struct push_modifiers *m = &g->op->push;
	char text[24];
	size_t n = collect_n(&g->elements);
	size_t low = 0;
	size_t high = n;
	if (m->sliced && m->slice >= 0) {
		high = (uint64_t)m->slice < n ? (size_t)m->slice : n;
	} else if (m->sliced) {
		uint64_t kept = (uint64_t)-m->slice;
		low = kept < n ? n - (size_t)kept : 0;
	}
	size_t start = writer_open_in(g->a->w, BT_ARRAY, name);
	for (size_t i = low; i < high; i++) {
		struct value v;
		memcpy(&v, collect_document(&g->elements, i).p, sizeof(v));
		writer_value(g->a->w, index_name(i - low, text), v);
	}
	writer_close(g->a->w, start);
}

/* Every element costs a few bytes of bookkeeping beside its own in the document. */
static size_t gathering_bytes(const struct apply *a)
{
	return a->u->limits.document_bytes * sizeof(struct value);
}

/* $push with modifiers. */
static int apply_modified_push(
	const struct apply *a, const struct update_op *op, struct slice name, struct slice array)
{
	struct gathering g = { .a = a, .op = op };
	collect_init(&g.elements, gathering_bytes(a), 0);
	budget_charge(a->budget, array.n * 8);
	int r = gather_pushed(&g, array);
	if (r == 0) {
		if (op->push.sort != NULL || op->push.sort_whole != 0) {
			collect_sort(&g.elements);
		}
		write_gathered(&g, name);
	}
	collect_deinit(&g.elements);
	if (r == -ENOBUFS) {
		return store_fail(a->failure, STORE_E_LIMIT,
			"sorting the field %.*s needs more than %zu bytes "
			"(MOZAIKS_MAX_DOCUMENT_BYTES times %zu)",
			STORE_NAME(name), gathering_bytes(a), sizeof(struct value));
	}
	return r;
}

static int apply_push(
	const struct apply *a, const struct update_op *op, struct slice name, struct value v)
{
	struct slice array = v.type == BT_ARRAY ? v.data : SLICE_NULL;
	struct document_iter it = document_iter(array);
	struct element e;
	char text[24];
	uint64_t n = 0;
	int r = array_wanted(a, op, name, v);
	if (r != 0) {
		return r;
	}
	if (op->push.each) {
		return apply_modified_push(a, op, name, array);
	}
	size_t start = writer_open_in(a->w, BT_ARRAY, name);
	for (; document_next(&it, &e); n++) {
		writer_raw(a->w, e.raw);
	}
	writer_value(a->w, index_name(n, text), op->value);
	writer_close(a->w, start);
	return 0;
}

/* $addToSet: what is there stays as it is, also twice; what is new comes once. */
static int apply_add_to_set(
	const struct apply *a, const struct update_op *op, struct slice name, struct value v)
{
	struct document_iter it = document_iter(v.type == BT_ARRAY ? v.data : SLICE_NULL);
	struct element e;
	struct value_set seen;
	char text[24];
	uint64_t n = 0;
	int r = array_wanted(a, op, name, v);
	if (r != 0) {
		return r;
	}
	value_set_init(&seen, gathering_bytes(a));
	size_t start = writer_open_in(a->w, BT_ARRAY, name);
	for (; r >= 0 && document_next(&it, &e); n++) {
		writer_raw(a->w, e.raw);
		r = value_set_add(&seen, e.value);
	}
	if (!op->push.each) {
		r = r < 0 ? r : value_set_add(&seen, op->value);
		if (r > 0) {
			writer_value(a->w, index_name(n, text), op->value);
		}
	} else {
		it = document_iter(op->value.data);
		while (r >= 0 && document_next(&it, &e)) {
			r = value_set_add(&seen, e.value);
			if (r > 0) {
				writer_value(a->w, index_name(n++, text), e.value);
			}
		}
	}
	writer_close(a->w, start);
	value_set_deinit(&seen);
	if (r == -ENOBUFS) {
		return store_fail(a->failure, STORE_E_LIMIT,
			"the set %.*s needs more than %zu bytes (MOZAIKS_MAX_DOCUMENT_BYTES times "
			"%zu)",
			STORE_NAME(name), gathering_bytes(a), sizeof(struct value));
	}
	return r < 0 ? r : 0;
}

static bool equals_one_of(const struct apply *a, struct slice array, struct value v)
{
	struct document_iter it = document_iter(array);
	struct element e;
	while (document_next(&it, &e)) {
		budget_charge(a->budget, 0);
		if (value_compare(e.value, v) == 0) {
			return true;
		}
	}
	return false;
}

static bool is_pulled(const struct apply *a, const struct update_op *op, struct value v)
{
	if (op->kind == UPDATE_PULL_ALL) {
		return equals_one_of(a, op->value.data, v);
	}
	return op->pull != NULL ? matcher_match_element(op->pull, v, a->budget)
				: value_compare(v, op->value) == 0;
}

static int apply_pull(
	const struct apply *a, const struct update_op *op, struct slice name, struct value v)
{
	struct document_iter it = document_iter(v.data);
	struct element e;
	char text[24];
	uint64_t n = 0;
	int r = array_wanted(a, op, name, v);
	if (r != 0) {
		return r;
	}
	size_t start = writer_open_in(a->w, BT_ARRAY, name);
	while (!budget_spent(a->budget) && document_next(&it, &e)) {
		if (!is_pulled(a, op, e.value)) {
			writer_value(a->w, index_name(n++, text), e.value);
		}
	}
	writer_close(a->w, start);
	return 0;
}

static int apply_pop(
	const struct apply *a, const struct update_op *op, struct slice name, struct value v)
{
	struct document_iter it = document_iter(v.data);
	struct element e;
	struct element held = { 0 };
	char text[24];
	uint64_t n = 0;
	bool holds = false;
	int r = array_wanted(a, op, name, v);
	if (r != 0) {
		return r;
	}
	size_t start = writer_open_in(a->w, BT_ARRAY, name);
	if (op->first) {
		(void)document_next(&it, &e);
	}
	/* Each is written when the next one has come: the last never is. */
	while (document_next(&it, &e)) {
		if (op->first) {
			writer_value(a->w, index_name(n++, text), e.value);
		} else if (holds) {
			writer_value(a->w, index_name(n++, text), held.value);
		}
		held = e;
		holds = true;
	}
	writer_close(a->w, start);
	return 0;
}

int update_leaf(const struct apply *a,
	const struct update_op *op,
	struct slice name,
	struct value v,
	bool in_array)
{
	switch (op->kind) {
	case UPDATE_SET_ON_INSERT:
		writer_value(a->w, name, a->inserting ? op->value : v);
		return 0;
	case UPDATE_SET:
		writer_value(a->w, name, op->value);
		return 0;
	case UPDATE_UNSET:
		/* Taking an element out would move the others. */
		if (in_array) {
			writer_null(a->w, name);
		}
		return 0;
	case UPDATE_RENAME:
		return 0;
	case UPDATE_MOVED:
		writer_value(a->w, name, op->value.type == BT_MISSING ? v : op->value);
		return 0;
	case UPDATE_INC:
		return apply_inc(a, op, name, v);
	case UPDATE_MUL:
		return apply_mul(a, op, name, v);
	case UPDATE_MIN:
	case UPDATE_MAX:
		return apply_extreme(a, op, name, v);
	case UPDATE_BIT:
		return apply_bit(a, op, name, v);
	case UPDATE_PUSH:
		return apply_push(a, op, name, v);
	case UPDATE_ADD_TO_SET:
		return apply_add_to_set(a, op, name, v);
	case UPDATE_PULL:
	case UPDATE_PULL_ALL:
		return apply_pull(a, op, name, v);
	case UPDATE_POP:
		return apply_pop(a, op, name, v);
	case UPDATE_CURRENT_DATE:
		if (op->timestamp) {
			writer_timestamp(a->w, name, (uint64_t)(a->now_ms / 1000) << 32 | 1);
		} else {
			writer_date(a->w, name, a->now_ms);
		}
		return 0;
	}
	return 0;
}
