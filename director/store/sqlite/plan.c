#include "director/store/sqlite/plan.h"

#include "director/store/query/compare.h"
#include "director/store/query/key.h"
#include "director/store/query/number.h"

#include <errno.h>
#include <stdlib.h>

/* What an index can do for a task. */
struct offer {
	const struct sqlite_index *index;
	struct matcher_bounds fields[INDEX_FIELDS_MAX + 1]; /* [given]: those of the next field */
	unsigned given;
	size_t ranges;
	bool bounded, sorted, descending;
	unsigned score;
};

/* --- what is known of a field --- */

/* A whole array has no key, and a sparse index nothing that is missing. */
static bool has_key(const struct sqlite_index *index, struct value v)
{
	return v.type != BT_ARRAY && v.type != BT_UNDEFINED && v.type != BT_REGEX &&
		!(index->spec.sparse && v.type == BT_NULL);
}

static bool all_have_keys(const struct sqlite_index *index, const struct matcher_bounds *b)
{
	for (size_t i = 0; i < b->n; i++) {
		if (!has_key(index, b->values[i])) {
			return false;
		}
	}
	return b->n > 0;
}

/* Kinds of values whose keys stand in their order, beside all others of their kind. */
static bool has_order(struct value v)
{
	return value_is_number(v) || v.type == BT_STRING || v.type == BT_DATE || v.type == BT_OID ||
		v.type == BT_BOOL;
}

/* --- the order of the keys --- */

static bool is_given(const struct offer *o, struct slice name)
{
	for (unsigned i = 0; i < o->given; i++) {
		if (slice_eq(o->index->spec.fields[i].name, name)) {
			return true;
		}
	}
	return false;
}

const struct sqlite_index *index_of_ids(void)
{
	static const struct sqlite_index index = { .spec = { .name = SLICE("_id_"),
							   .unique = true,
							   .n = 1,
							   .fields = {
								   { .name = SLICE("_id") } } } };
	return &index;
}

/* The sort's fields, but for those that have one value, are the index's to its end. */
static bool sort_follows(const struct offer *o, struct slice sort, bool *ret_descending)
{
	const struct index_spec *spec = &o->index->spec;
	struct document_iter it = document_iter(sort);
	struct element e;
	unsigned at = o->given;
	while (document_next(&it, &e)) {
		int64_t direction = 0;
		if (is_given(o, e.name)) {
			continue;
		}
		if (at == spec->n || !slice_eq(spec->fields[at].name, e.name) ||
			!value_whole(e.value, &direction)) {
			return at == spec->n && o->index == index_of_ids();
		}
		bool descending = (direction < 0) != spec->fields[at].inverted;
		if (at > o->given && descending != *ret_descending) {
			return false;
		}
		*ret_descending = descending;
		at++;
	}
	return at == spec->n && at > o->given;
}

static bool is_sorted(struct offer *o, const struct store_task *t)
{
	bool all = !o->index->spec.sparse || o->given > 0 || o->bounded;
	return t->sorter != NULL && !o->index->loose && o->ranges == 1 && all &&
		sort_follows(o, t->sort, &o->descending);
}

static bool wants_few(const struct store_task *t)
{
	return t->op == STORE_FIND ? t->limit > 0 : t->op == STORE_MODIFY || !t->multi;
}

/* --- choosing --- */

static void make_offer(
	struct offer *o, const struct sqlite_index *index, const struct store_task *t)
{
	*o = (struct offer){ .index = index, .ranges = 1 };
	bool several = false;
	while (o->given < index->spec.n) {
		struct matcher_bounds *b = &o->fields[o->given];
		bool any = matcher_bounds(t->matcher, index->spec.fields[o->given].name, b);
		if (!any || !all_have_keys(index, b) || b->n > PLAN_RANGES_MAX / o->ranges) {
			o->bounded = any && (has_order(b->low) || has_order(b->high));
			break;
		}
		several = several || b->n > 1;
		o->ranges *= b->n;
		o->given++;
	}
	o->sorted = is_sorted(o, t);
	o->score = o->given * 8 - (several ? 1 : 0) + (o->bounded ? 4 : 0);
	if (o->sorted && (o->score > 0 || wants_few(t))) {
		o->score += 2;
	}
}

static bool is_open(const struct sqlite_index *index, const struct value *owner)
{
	return !index->owned || owner != NULL;
}

static void consider(
	struct offer *best, const struct sqlite_index *index, const struct store_task *t)
{
	struct offer o;
	make_offer(&o, index, t);
	*best = o.score > best->score ? o : *best;
}

static void choose(struct offer *best,
	const struct sqlite_indexes *x,
	const struct store_task *t,
	bool by_id,
	const struct value *owner)
{
	*best = (struct offer){ 0 };
	for (unsigned i = 0; i < x->n; i++) {
		if (is_open(&x->p[i], owner)) {
			consider(best, &x->p[i], t);
		}
	}
	if (by_id) {
		consider(best, index_of_ids(), t);
	}
}

/* --- ranges --- */

/* What follows every key that begins like this one. */
static int after(struct slice key, struct buffer *ret)
{
	int r = buffer_append(ret, key);
	while (r == 0 && ret->n > 0 && ret->p[ret->n - 1] == 0xff) {
		ret->n--;
	}
	if (r == 0 && ret->n == 0) {
		return buffer_append_byte(ret, 0xff); /* no key begins so: brackets are small */
	}
	if (r == 0) {
		ret->p[ret->n - 1]++;
	}
	return r;
}

static int append_key(struct buffer *key, const struct index_field *field, struct value v)
{
	size_t start = key->n;
	int r = key_append(key, v);
	if (field->inverted) {
		key_invert(key, start);
	}
	return r;
}

/* One end of a range: the key so far and the bound, or where the bound's kind of values begins. */
static int append_end(
	struct buffer *key, const struct index_field *field, struct value bound, struct value other)
{
	if (has_order(bound)) {
		return append_key(key, field, bound);
	}
	uint8_t bracket = (uint8_t)value_bracket(other.type);
	return buffer_append_byte(key, field->inverted ? (uint8_t)~bracket : bracket);
}

static int make_range(const struct offer *o, struct slice prefix, struct index_range *ret)
{
	struct buffer high;
	struct value low = VALUE_MISSING;
	struct value top = VALUE_MISSING;
	const struct index_field *field = &o->index->spec.fields[o->bounded ? o->given : 0];
	if (o->bounded) {
		const struct matcher_bounds *b = &o->fields[o->given];
		low = has_order(b->low) ? b->low : low;
		top = has_order(b->high) && (!o->index->loose || !has_order(low)) ? b->high : top;
	}
	if (o->bounded && field->inverted) {
		struct value first = top;
		top = low;
		low = first;
	}
	buffer_init(&ret->low, SIZE_MAX);
	buffer_init(&ret->high, SIZE_MAX);
	buffer_init(&high, SIZE_MAX);
	int r = buffer_append(&ret->low, prefix);
	r = r < 0 ? r : buffer_append(&high, prefix);
	if (r == 0 && o->bounded) {
		r = append_end(&ret->low, field, low, top);
		r = r < 0 ? r : append_end(&high, field, top, low);
	}
	ret->low.n = indexes_cut(buffer_slice(&ret->low)).n;
	r = r < 0 ? r : after(indexes_cut(buffer_slice(&high)), &ret->high);
	buffer_deinit(&high);
	return r;
}

/* The given values of the combination with this number, each with its key. */
static int append_given(const struct offer *o, size_t number, struct buffer *key)
{
	int r = 0;
	size_t left = o->ranges;
	for (unsigned i = 0; i < o->given && r == 0; i++) {
		const struct matcher_bounds *b = &o->fields[i];
		left /= b->n;
		const struct index_field *field = &o->index->spec.fields[i];
		r = append_key(key, field, b->values[number / left % b->n]);
	}
	return r;
}

static int make_ranges(struct index_plan *p, const struct offer *o, const struct value *owner)
{
	struct buffer key;
	int r = 0;
	p->ranges = calloc(o->ranges == 0 ? 1 : o->ranges, sizeof(*p->ranges));
	if (p->ranges == NULL) {
		return -ENOMEM;
	}
	buffer_init(&key, SIZE_MAX);
	while (r == 0 && p->n < o->ranges) {
		buffer_clear(&key);
		r = o->index->owned ? key_append(&key, *owner) : 0;
		r = r < 0 ? r : append_given(o, p->n, &key);
		r = r < 0 ? r : make_range(o, buffer_slice(&key), &p->ranges[p->n++]);
	}
	buffer_deinit(&key);
	return r;
}

int index_plan_choose(struct index_plan *ret,
	const struct sqlite_indexes *x,
	const struct store_task *t,
	bool by_id,
	const struct value *owner)
{
	struct offer best;
	*ret = (struct index_plan){ 0 };
	choose(&best, x, t, by_id, owner);
	if (best.score == 0) {
		return 0;
	}
	ret->index = best.index;
	ret->given = best.given;
	ret->bounded = best.bounded;
	ret->sorted = best.sorted;
	ret->descending = best.descending;
	return make_ranges(ret, &best, owner);
}

void index_plan_deinit(struct index_plan *p)
{
	for (size_t i = 0; i < p->n; i++) {
		buffer_deinit(&p->ranges[i].low);
		buffer_deinit(&p->ranges[i].high);
	}
	free(p->ranges);
	*p = (struct index_plan){ 0 };
}
