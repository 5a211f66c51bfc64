#include "director/store/query/update.h"

#include "director/store/query/compare.h"
#include "director/store/query/number.h"
#include "director/store/query/stored.h"
#include "director/store/query/updater.h"

#include <errno.h>

/* One application. */
struct apply {
	struct update *u;
	struct document_writer *w;
	struct store_failure *failure;
	struct budget *budget;
	int64_t now_ms;
	bool inserting;
};

static const uint8_t empty_document[DOCUMENT_EMPTY_BYTES] = { DOCUMENT_EMPTY_BYTES };

/* --- applying one operation --- */

static const struct update_op *leaf_op(const struct apply *a, struct pathset_range r)
{
	return &a->u->ops[a->u->set.entries[r.low].payload];
}

/* Whether the operation makes a field where there is none. */
static bool op_creates(const struct apply *a, const struct update_op *op)
{
	switch (op->kind) {
	case UPDATE_UNSET:
	case UPDATE_PULL:
		return false;
	case UPDATE_SET_ON_INSERT:
		return a->inserting;
	case UPDATE_SET:
	case UPDATE_INC:
	case UPDATE_PUSH:
	case UPDATE_ADD_TO_SET:
	case UPDATE_CURRENT_DATE:
		break;
	}
	return true;
}

static bool range_creates(const struct apply *a, struct pathset_range r)
{
	for (uint32_t i = r.low; i < r.high; i++) {
		if (op_creates(a, &a->u->ops[a->u->set.entries[i].payload])) {
			return true;
		}
	}
	return false;
}

static int apply_inc(const struct apply *a, struct slice name, struct value v, struct value by)
{
	if (v.type == BT_MISSING) {
		writer_value(a->w, name, by);
		return 0;
	}
	if (v.type == BT_DECIMAL) {
		return store_fail(a->failure, STORE_E_UNSUPPORTED,
			"$inc of the field %.*s, a decimal128, is not supported", STORE_NAME(name));
	}
	if (!value_is_number(v)) {
		return store_fail(a->failure, STORE_E_INVALID,
			"$inc of the field %.*s, which is %s", STORE_NAME(name),
			value_type_name(v.type));
	}
	if (v.type == BT_DOUBLE || by.type == BT_DOUBLE) {
		double x = v.type == BT_DOUBLE ? value_double(v) : 0;
		double y = by.type == BT_DOUBLE ? value_double(by) : 0;
		int64_t i = 0;
		if (v.type != BT_DOUBLE && value_whole(v, &i)) {
			x = (double)i;
		}
		if (by.type != BT_DOUBLE && value_whole(by, &i)) {
			y = (double)i;
		}
		writer_double(a->w, name, x + y);
		return 0;
	}
	int64_t x = 0;
	int64_t y = 0;
	int64_t sum = 0;
	(void)value_whole(v, &x);
	(void)value_whole(by, &y);
	if (__builtin_add_overflow(x, y, &sum)) {
		return store_fail(a->failure, STORE_E_INVALID,
			"$inc of the field %.*s leaves the range of an int64", STORE_NAME(name));
	}
	if (v.type == BT_INT32 && by.type == BT_INT32 && sum >= INT32_MIN && sum <= INT32_MAX) {
		writer_int32(a->w, name, (int32_t)sum);
	} else {
		writer_int64(a->w, name, sum);
	}
	return 0;
}

static int array_wanted(
	const struct apply *a, const struct update_op *op, struct slice name, struct value v)
{
	if (v.type != BT_ARRAY && v.type != BT_MISSING) {
		return store_fail(a->failure, STORE_E_INVALID, "%s on the field %.*s, which is %s",
			update_kind_name(op->kind), STORE_NAME(name), value_type_name(v.type));
	}
	return 0;
}

/* $push and $addToSet. */
static int apply_append(
	const struct apply *a, const struct update_op *op, struct slice name, struct value v)
{
	struct document_iter it = document_iter(v.data);
	struct element e;
	char text[24];
	uint64_t n = 0;
	bool found = false;
	int r = array_wanted(a, op, name, v);
	if (r != 0) {
		return r;
	}
	size_t start = writer_open_in(a->w, BT_ARRAY, name);
	for (; v.type == BT_ARRAY && document_next(&it, &e); n++) {
		writer_raw(a->w, e.raw);
		found = found ||
			(op->kind == UPDATE_ADD_TO_SET && value_compare(e.value, op->value) == 0);
	}
	if (!found) {
		writer_value(a->w, index_name(n, text), op->value);
	}
	writer_close(a->w, start);
	return 0;
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
	while (document_next(&it, &e)) {
		bool out = op->pull != NULL ? matcher_match_element(op->pull, e.value, a->budget)
					    : value_compare(e.value, op->value) == 0;
		if (!out) {
			writer_value(a->w, index_name(n++, text), e.value);
		}
	}
	writer_close(a->w, start);
	return 0;
}

/* Writes what becomes of a field (BT_MISSING: there was none) under an operation. */
static int apply_leaf(const struct apply *a,
	const struct update_op *op,
	struct slice name,
	struct value v,
	bool in_array)
{
	switch (op->kind) {
	case UPDATE_SET_ON_INSERT:
		if (!a->inserting) {
			writer_value(a->w, name, v);
			return 0;
		}
		writer_value(a->w, name, op->value);
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
	case UPDATE_INC:
		return apply_inc(a, name, v, op->value);
	case UPDATE_PUSH:
	case UPDATE_ADD_TO_SET:
		return apply_append(a, op, name, v);
	case UPDATE_PULL:
		return apply_pull(a, op, name, v);
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

/* --- the walk; it nests as deep as the paths (PATH_PARTS_MAX) --- */

static int apply_object(
	const struct apply *a, struct slice document, struct pathset_range r, unsigned level);
static int apply_array(
	const struct apply *a, struct slice array, struct pathset_range r, unsigned level);

static void mark_seen(const struct apply *a, struct pathset_range group, unsigned level)
{
	a->u->set.entries[group.low].seen |= (uint64_t)1 << level;
}

static bool was_seen(const struct apply *a, struct pathset_range group, unsigned level)
{
	return (a->u->set.entries[group.low].seen >> level & 1) != 0;
}

static int create_field(
	const struct apply *a, struct slice name, struct pathset_range group, unsigned level);

/* Makes the fields of the range that the document did not have. */
static int create_missing(const struct apply *a, struct pathset_range r, unsigned level)
{
	int result = 0;
	for (uint32_t low = r.low; low < r.high && result == 0;) {
		struct pathset_range group = pathset_group(&a->u->set, r, level, low);
		if (!was_seen(a, group, level)) {
			result = create_field(
				a, pathset_part(&a->u->set, low, level)->name, group, level);
		}
		low = group.high;
	}
	return result;
}

static int create_field(
	const struct apply *a, struct slice name, struct pathset_range group, unsigned level)
{
	if (!range_creates(a, group)) {
		return 0;
	}
	if (pathset_is_leaf(&a->u->set, group, level)) {
		return apply_leaf(a, leaf_op(a, group), name, VALUE_MISSING, false);
	}
	size_t start = writer_open_in(a->w, BT_OBJECT, name);
	int r = create_missing(a, group, level + 1);
	writer_close(a->w, start);
	return r;
}

/* A field that the document has and that the group is about. */
static int apply_field(const struct apply *a,
	struct slice name,
	struct value v,
	struct pathset_range group,
	unsigned level,
	bool in_array)
{
	mark_seen(a, group, level);
	if (pathset_is_leaf(&a->u->set, group, level)) {
		return apply_leaf(a, leaf_op(a, group), name, v, in_array);
	}
	if (!value_is_document(v)) {
		if (range_creates(a, group)) {
			return store_fail(a->failure, STORE_E_INVALID,
				"cannot make the field %.*s: %.*s is %s",
				STORE_NAME(a->u->set.entries[group.low].text), STORE_NAME(name),
				value_type_name(v.type));
		}
		writer_value(a->w, name, v);
		return 0;
	}
	size_t start = writer_open_in(a->w, v.type, name);
	int r = v.type == BT_OBJECT ? apply_object(a, v.data, group, level + 1)
				    : apply_array(a, v.data, group, level + 1);
	writer_close(a->w, start);
	return r;
}

static int apply_object(
	const struct apply *a, struct slice document, struct pathset_range r, unsigned level)
{
	struct document_iter it = document_iter(document);
	struct element e;
	int result = 0;
	while (result == 0 && document_next(&it, &e)) {
		struct pathset_range group;
		if (pathset_find(&a->u->set, r, level, e.name, &group)) {
			result = apply_field(a, e.name, e.value, group, level, false);
		} else {
			writer_raw(a->w, e.raw);
		}
	}
	return result != 0 ? result : create_missing(a, r, level);
}

/* Elements behind the end of an array: what lies between becomes null. */
static int create_elements(
	const struct apply *a, struct pathset_range r, unsigned level, uint64_t n)
{
	char text[24];
	int result = 0;
	for (uint32_t low = r.low; low < r.high && result == 0;) {
		struct pathset_range group = pathset_group(&a->u->set, r, level, low);
		const struct path_part *part = pathset_part(&a->u->set, low, level);
		low = group.high;
		if (was_seen(a, group, level) || !range_creates(a, group)) {
			continue;
		}
		if (part->index < 0) {
			return store_fail(a->failure, STORE_E_INVALID,
				"cannot make the field %.*s: %.*s is no index of the array",
				STORE_NAME(a->u->set.entries[group.low].text),
				STORE_NAME(part->name));
		}
		/* A writer that is full ends this: an index may be large. */
		for (; n < (uint64_t)part->index && a->w->error == 0; n++) {
			writer_null(a->w, index_name(n, text));
		}
		result = create_field(a, index_name(n++, text), group, level);
	}
	return result;
}

static int apply_array(
	const struct apply *a, struct slice array, struct pathset_range r, unsigned level)
{
	struct document_iter it = document_iter(array);
	struct element e;
	char text[24];
	uint64_t n = 0;
	int result = 0;
	for (; result == 0 && document_next(&it, &e); n++) {
		struct pathset_range group;
		struct slice name = index_name(n, text);
		if (pathset_find(&a->u->set, r, level, name, &group)) {
			result = apply_field(a, name, e.value, group, level, true);
		} else {
			writer_value(a->w, name, e.value);
		}
	}
	return result != 0 ? result : create_elements(a, r, level, n);
}

/* --- whole documents --- */

static int writer_result(const struct apply *a)
{
	if (a->w->error == -ENOBUFS) {
		return store_fail(a->failure, STORE_E_LIMIT,
			"the document would have more than %zu bytes (MOZAIKS_MAX_DOCUMENT_BYTES)",
			a->u->limits.document_bytes);
	}
	return a->w->error;
}

static void writer_reset(struct document_writer *w)
{
	buffer_clear(&w->b);
	w->error = 0;
}

static int apply_operators(const struct apply *a, struct slice document)
{
	for (uint32_t i = 0; i < a->u->set.n; i++) {
		a->u->set.entries[i].seen = 0;
	}
	budget_charge(a->budget, document.n);
	writer_reset(a->w);
	size_t start = writer_open(a->w);
	int r = apply_object(a, document, pathset_all(&a->u->set), 0);
	writer_close(a->w, start);
	return r != 0 ? r : writer_result(a);
}

/* The fields after `id`, which comes first. */
static int write_with_id(const struct apply *a, struct value id, struct slice fields)
{
	struct document_iter it = document_iter(fields);
	struct element e;
	writer_reset(a->w);
	size_t start = writer_open(a->w);
	if (id.type != BT_MISSING) {
		writer_value(a->w, SLICE("_id"), id);
	}
	while (document_next(&it, &e)) {
		if (!slice_eq(e.name, SLICE("_id"))) {
			writer_raw(a->w, e.raw);
		}
	}
	writer_close(a->w, start);
	return writer_result(a);
}

static int id_changed(struct store_failure *f)
{
	return store_fail(f, STORE_E_INVALID, "the field _id cannot be changed");
}

int update_apply(struct update *u,
	struct slice document,
	int64_t now_ms,
	struct budget *budget,
	struct slice *ret,
	struct store_failure *f)
{
	struct apply a = { u, &u->out, f, budget, now_ms, false };
	struct value id = document_find(document, SLICE("_id"));
	int r = 0;
	if (u->replacement) {
		struct value other = document_find(u->document, SLICE("_id"));
		if (other.type != BT_MISSING && value_compare(id, other) != 0) {
			return id_changed(f);
		}
		r = write_with_id(&a, id, u->document);
	} else {
		r = apply_operators(&a, document);
		if (r == 0 &&
			!value_same(id, document_find(buffer_slice(&u->out.b), SLICE("_id")))) {
			return id_changed(f);
		}
	}
	if (r == 0) {
		*ret = buffer_slice(&u->out.b);
	}
	return r;
}

struct seed {
	struct update *u;
	struct store_failure *failure;
};

static int seed_add(void *arg, struct slice path, struct value v)
{
	struct seed *seed = (struct seed *)arg;
	struct update_op op = { .kind = UPDATE_SET, .value = v };
	return update_add(seed->u, path, op, seed->failure);
}

/* What the filter says about a document that is not there yet. */
static int seed_document(const struct apply *a, const struct matcher *filter)
{
	struct seed seed = { update_new(SLICE_NULL, &a->u->limits), a->failure };
	if (seed.u == NULL) {
		return -ENOMEM;
	}
	struct apply inner = { seed.u, &a->u->scratch, a->failure, a->budget, a->now_ms, true };
	int r = matcher_each_equality(filter, seed_add, &seed);
	r = r != 0 ? r : pathset_finish(&seed.u->set, a->failure);
	r = r != 0 ? r : apply_operators(&inner, slice_of(empty_document, sizeof(empty_document)));
	update_free(seed.u);
	return r;
}

static int check_inserted(const struct apply *a, struct value id)
{
	struct slice document = buffer_slice(&a->w->b);
	int r = stored_check_id(id, a->failure);
	return r != 0 ? r : stored_check(document, a->failure);
}

static struct value pick_id(struct value a, struct value b, const uint8_t oid[static OID_BYTES])
{
	if (a.type != BT_MISSING) {
		return a;
	}
	return b.type != BT_MISSING ? b : (struct value){ BT_OID, slice_of(oid, OID_BYTES) };
}

int update_insert(struct update *u,
	const struct matcher *filter,
	const uint8_t oid[static OID_BYTES],
	int64_t now_ms,
	struct budget *budget,
	struct slice *ret,
	struct store_failure *f)
{
	struct apply a = { u, &u->out, f, budget, now_ms, true };
	struct slice fields = u->document;
	int r = seed_document(&a, filter);
	if (r != 0) {
		return r;
	}
	struct value seeded = document_find(buffer_slice(&u->scratch.b), SLICE("_id"));
	uint8_t seeded_copy[1024];
	if (seeded.type != BT_MISSING && seeded.data.n > sizeof(seeded_copy)) {
		return store_fail(
			f, STORE_E_LIMIT, "an _id of more than %zu bytes", sizeof(seeded_copy));
	}
	if (seeded.type != BT_MISSING && seeded.data.n > 0) {
		memcpy(seeded_copy, seeded.data.p, seeded.data.n);
		seeded.data.p = seeded_copy;
	}
	if (!u->replacement) {
		r = apply_operators(&a, buffer_slice(&u->scratch.b));
		/* The result becomes the source of the last step, which puts _id first. */
		struct document_writer swap = u->out;
		u->out = u->scratch;
		u->scratch = swap;
		fields = buffer_slice(&u->scratch.b);
		if (r != 0) {
			return r;
		}
	}
	struct value id = document_find(fields, SLICE("_id"));
	if (seeded.type != BT_MISSING && id.type != BT_MISSING && value_compare(seeded, id) != 0) {
		return id_changed(f);
	}
	id = pick_id(id, seeded, oid);
	r = write_with_id(&a, id, fields);
	r = r != 0 ? r : check_inserted(&a, id);
	if (r == 0) {
		*ret = buffer_slice(&u->out.b);
	}
	return r;
}
