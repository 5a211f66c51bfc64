#include "director/store/query/update.h"

#include "director/store/query/compare.h"
#include "director/store/query/number.h"
#include "director/store/query/stored.h"
#include "director/store/query/updater.h"

#include <errno.h>

static const uint8_t empty_document[DOCUMENT_EMPTY_BYTES] = { DOCUMENT_EMPTY_BYTES };

static const struct update_op *op_of(const struct apply *a, uint32_t entry)
{
	return &a->u->ops[a->set->entries[entry].payload];
}

static const struct update_op *leaf_op(const struct apply *a, struct pathset_range r)
{
	return op_of(a, r.low);
}

static bool range_creates(const struct apply *a, struct pathset_range r)
{
	for (uint32_t i = r.low; i < r.high; i++) {
		if (update_leaf_creates(a, op_of(a, i))) {
			return true;
		}
	}
	return false;
}

/* --- the walk; it nests as deep as the paths (PATH_PARTS_MAX) --- */

static int apply_object(
	const struct apply *a, struct slice document, struct pathset_range r, unsigned level);
static int apply_array(
	const struct apply *a, struct slice array, struct pathset_range r, unsigned level);

static void mark_seen(const struct apply *a, struct pathset_range group, unsigned level)
{
	a->set->entries[group.low].seen |= (uint64_t)1 << level;
}

static bool was_seen(const struct apply *a, struct pathset_range group, unsigned level)
{
	return (a->set->entries[group.low].seen >> level & 1) != 0;
}

static int create_field(
	const struct apply *a, struct slice name, struct pathset_range group, unsigned level);

/* Makes the fields of the range that the document did not have. */
static int create_missing(const struct apply *a, struct pathset_range r, unsigned level)
{
	int result = 0;
	for (uint32_t low = r.low; low < r.high && result == 0;) {
		struct pathset_range group = pathset_group(a->set, r, level, low);
		if (!was_seen(a, group, level)) {
			result = create_field(
				a, pathset_part(a->set, low, level)->name, group, level);
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
	if (pathset_is_leaf(a->set, group, level)) {
		return update_leaf(a, leaf_op(a, group), name, VALUE_MISSING, false);
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
	if (pathset_is_leaf(a->set, group, level)) {
		return update_leaf(a, leaf_op(a, group), name, v, in_array);
	}
	if (!value_is_document(v)) {
		if (range_creates(a, group)) {
			return store_fail(a->failure, STORE_E_INVALID,
				"cannot make the field %.*s: %.*s is %s",
				STORE_NAME(a->set->entries[group.low].text), STORE_NAME(name),
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
		if (pathset_find(a->set, r, level, e.name, &group)) {
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
		struct pathset_range group = pathset_group(a->set, r, level, low);
		const struct path_part *part = pathset_part(a->set, low, level);
		low = group.high;
		if (was_seen(a, group, level) || !range_creates(a, group)) {
			continue;
		}
		if (part->index < 0) {
			return store_fail(a->failure, STORE_E_INVALID,
				"cannot make the field %.*s: %.*s is no index of the array",
				STORE_NAME(a->set->entries[group.low].text),
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
		if (pathset_find(a->set, r, level, name, &group)) {
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

/* What a path leads to, through documents only. @return 0; positive and the failure. */
static int find_renamed(const struct apply *a,
	const struct pathset_entry *e,
	struct slice document,
	struct value *ret)
{
	struct value v = { BT_OBJECT, document };
	for (uint32_t i = 0; i < e->n_parts; i++) {
		if (v.type == BT_ARRAY) {
			return store_fail(a->failure, STORE_E_INVALID,
				"$rename of the field %.*s: an element of an array has no name",
				STORE_NAME(e->text));
		}
		budget_charge(a->budget, v.data.n);
		v = v.type == BT_OBJECT ? document_find(v.data, a->set->parts.p[e->part + i].name)
					: VALUE_MISSING;
	}
	*ret = v;
	return 0;
}

static int moved_depth(const struct apply *a, const struct pathset_entry *to, struct value v)
{
	if (value_is_document(v) &&
		(to->n_parts >= DOCUMENT_DEPTH_MAX ||
			!document_depth_within(v.data, DOCUMENT_DEPTH_MAX - to->n_parts))) {
		return store_fail(a->failure, STORE_E_LIMIT,
			"the field %.*s would be nested deeper than %d levels (a fixed limit)",
			STORE_NAME(to->text), DOCUMENT_DEPTH_MAX);
	}
	return 0;
}

/* Gives each end of a $rename what the document has at its beginning. */
static int resolve_renames(const struct apply *a, struct slice document)
{
	struct update *u = a->u;
	int r = 0;
	for (uint32_t i = 0; i < a->set->n && r == 0; i++) {
		const struct pathset_entry *from = &a->set->entries[i];
		if (op_of(a, i)->kind != UPDATE_RENAME) {
			continue;
		}
		/* The other end was added right after it. */
		struct update_op *to = &u->ops[from->payload + 1];
		r = find_renamed(a, from, document, &to->value);
	}
	for (uint32_t i = 0; i < a->set->n && r == 0; i++) {
		const struct update_op *op = op_of(a, i);
		struct value replaced;
		if (op->kind == UPDATE_MOVED && op->value.type != BT_MISSING) {
			r = find_renamed(a, &a->set->entries[i], document, &replaced);
			r = r != 0 ? r : moved_depth(a, &a->set->entries[i], op->value);
		}
	}
	return r;
}

static int resolve_paths(struct apply *a, const struct matcher *filter, struct slice document)
{
	int r = 0;
	a->set = &a->u->set;
	if (a->u->positional) {
		r = update_position_resolve(a, filter, document);
		a->set = &a->u->concrete;
	}
	return r == 0 && a->u->renames ? resolve_renames(a, document) : r;
}

static int apply_operators(struct apply *a, const struct matcher *filter, struct slice document)
{
	int resolved = resolve_paths(a, filter, document);
	if (resolved != 0) {
		return resolved;
	}
	for (uint32_t i = 0; i < a->set->n; i++) {
		a->set->entries[i].seen = 0;
	}
	budget_charge(a->budget, document.n);
	writer_reset(a->w);
	size_t start = writer_open(a->w);
	int r = apply_object(a, document, pathset_all(a->set), 0);
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
	const struct matcher *filter,
	struct slice document,
	int64_t now_ms,
	struct budget *budget,
	struct slice *ret,
	struct store_failure *f)
{
	struct apply a = { u, &u->set, &u->out, f, budget, now_ms, false };
	struct value id = document_find(document, SLICE("_id"));
	int r = 0;
	if (u->replacement) {
		struct value other = document_find(u->document, SLICE("_id"));
		if (other.type != BT_MISSING && value_compare(id, other) != 0) {
			return id_changed(f);
		}
		r = write_with_id(&a, id, u->document);
	} else {
		r = apply_operators(&a, filter, document);
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
	struct apply inner = { seed.u, &seed.u->set, &a->u->scratch, a->failure, a->budget,
		a->now_ms, true };
	int r = matcher_each_equality(filter, seed_add, &seed);
	r = r != 0 ? r : pathset_finish(&seed.u->set, a->failure);
	r = r != 0
		? r
		: apply_operators(&inner, NULL, slice_of(empty_document, sizeof(empty_document)));
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
	struct apply a = { u, &u->set, &u->out, f, budget, now_ms, true };
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
		r = apply_operators(&a, NULL, buffer_slice(&u->scratch.b));
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
