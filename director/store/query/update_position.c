/*
 * Positional operators in the paths of an update: `$` (the element that made the filter match), `$[]`
 * (every element), `$[name]` (those that arrayFilters say). For one document they become paths with
 * indexes, which are then applied as any others.
 */
#include "director/store/query/number.h"
#include "director/store/query/updater.h"

#include <errno.h>
#include <stdlib.h>

enum position {
	POSITION_NONE, /* a name or an index */
	POSITION_MATCH,
	POSITION_ALL,
	POSITION_FILTER,
	POSITION_UNKNOWN,
};

static bool is_filter_name(struct slice name)
{
	if (name.n == 0 || name.p[0] < 'a' || name.p[0] > 'z') {
		return false;
	}
	for (size_t i = 1; i < name.n; i++) {
		uint8_t c = name.p[i];
		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))) {
			return false;
		}
	}
	return true;
}

static struct slice filter_name(struct slice part)
{
	return slice_of(part.p + 2, part.n - 3);
}

static enum position position_of(struct slice part)
{
	if (!name_is_operator(part)) {
		return POSITION_NONE;
	}
	if (part.n == 1) {
		return POSITION_MATCH;
	}
	if (slice_eq(part, SLICE("$[]"))) {
		return POSITION_ALL;
	}
	if (part.n > 3 && slice_starts(part, SLICE("$[")) && part.p[part.n - 1] == ']' &&
		is_filter_name(filter_name(part))) {
		return POSITION_FILTER;
	}
	return POSITION_UNKNOWN;
}

/* --- checking --- */

static struct update_filter *find_filter(struct update *u, struct slice name)
{
	for (uint32_t i = 0; i < u->n_filters; i++) {
		if (slice_eq(u->filters[i].name, name)) {
			return &u->filters[i];
		}
	}
	return NULL;
}

static int part_check(struct update *u,
	struct slice part,
	struct slice path,
	bool first,
	unsigned *matches,
	struct store_failure *f)
{
	enum position position = position_of(part);
	if (position == POSITION_NONE) {
		return 0;
	}
	if (position == POSITION_UNKNOWN) {
		return store_fail(f, STORE_E_UNSUPPORTED,
			"unsupported operator %.*s in the field %.*s", STORE_NAME(part),
			STORE_NAME(path));
	}
	if (first) {
		return store_fail(f, STORE_E_INVALID,
			"the field %.*s begins with %.*s: the name of an array comes first",
			STORE_NAME(path), STORE_NAME(part));
	}
	u->positional = true;
	if (position == POSITION_MATCH) {
		u->by_match = true;
		if (++*matches > 1) {
			return store_fail(f, STORE_E_INVALID,
				"the field %.*s has the operator $ more than once",
				STORE_NAME(path));
		}
	}
	if (position == POSITION_FILTER) {
		struct update_filter *filter = find_filter(u, filter_name(part));
		if (filter == NULL) {
			return store_fail(f, STORE_E_INVALID,
				"the field %.*s: no arrayFilters say what %.*s is",
				STORE_NAME(path), STORE_NAME(part));
		}
		filter->used = true;
	}
	return 0;
}

int update_position_check(struct update *u, struct slice path, struct store_failure *f)
{
	struct slice rest = path;
	unsigned matches = 0;
	bool first = true;
	int r = 0;
	while (r == 0 && rest.n > 0) {
		const uint8_t *dot = memchr(rest.p, '.', rest.n);
		struct slice part = slice_of(rest.p, dot == NULL ? rest.n : (size_t)(dot - rest.p));
		r = part_check(u, part, path, first, &matches, f);
		first = false;
		rest = dot == NULL ? SLICE_NULL : slice_skip(rest, part.n + 1);
	}
	return r;
}

static int filter_add(struct update *u, struct slice condition, struct store_failure *f)
{
	struct update_filter *filter = &u->filters[u->n_filters];
	int r = matcher_compile(&filter->matcher, condition, &u->limits.match, f);
	if (r != 0) {
		return r;
	}
	u->n_filters++;
	if (!matcher_common_name(filter->matcher, &filter->name) || !is_filter_name(filter->name)) {
		return store_fail(f, STORE_E_INVALID,
			"each of arrayFilters is about one name: a lower case letter, then letters "
			"and digits");
	}
	if (find_filter(u, filter->name) != filter) {
		return store_fail(f, STORE_E_INVALID, "two of arrayFilters are about %.*s",
			STORE_NAME(filter->name));
	}
	return 0;
}

int update_filters_compile(struct update *u, struct slice filters, struct store_failure *f)
{
	struct document_iter it = document_iter(filters);
	struct element e;
	uint32_t n = 0;
	int r = 0;
	while (document_next(&it, &e)) {
		n++;
	}
	if (n > u->limits.match.in_values) {
		return store_fail(f, STORE_E_LIMIT,
			"arrayFilters with more than %u filters (MOZAIKS_MAX_IN_VALUES)",
			u->limits.match.in_values);
	}
	if (n == 0) {
		return 0;
	}
	u->filters = calloc(n, sizeof(*u->filters));
	if (u->filters == NULL) {
		return -ENOMEM;
	}
	it = document_iter(filters);
	while (r == 0 && document_next(&it, &e)) {
		r = e.value.type == BT_OBJECT
			? filter_add(u, e.value.data, f)
			: store_fail(f, STORE_E_INVALID, "arrayFilters needs documents, not %s",
				  value_type_name(e.value.type));
	}
	return r;
}

int update_filters_used(const struct update *u, struct store_failure *f)
{
	for (uint32_t i = 0; i < u->n_filters; i++) {
		if (!u->filters[i].used) {
			return store_fail(f, STORE_E_INVALID,
				"the update has no $[%.*s], which arrayFilters are about",
				STORE_NAME(u->filters[i].name));
		}
	}
	return 0;
}

/* --- the paths of one document --- */

/* A name in u->concrete_text, which moves while it grows. */
struct span {
	size_t at;
	size_t n;
	uint32_t payload;
};

struct resolve {
	const struct apply *a;
	struct buffer prefix; /* the path so far */
	int64_t element;      /* what `$` stands for */
	const struct pathset_entry *entry;
	struct span *spans;
	size_t n;
	size_t cap;
};

static int too_many(const struct resolve *x)
{
	return store_fail(x->a->failure, STORE_E_LIMIT,
		"the update reaches too many elements: their paths have more than %zu bytes "
		"(MOZAIKS_MAX_DOCUMENT_BYTES times 4)",
		x->a->u->concrete_text.limit);
}

static int bounded(const struct resolve *x, int r)
{
	return r == -ENOBUFS ? too_many(x) : r;
}

static int add_path(struct resolve *x)
{
	struct buffer *text = &x->a->u->concrete_text;
	struct slice path = slice_skip(buffer_slice(&x->prefix), 1);
	if (x->n == x->cap) {
		size_t cap = x->cap == 0 ? 16 : x->cap * 2;
		struct span *spans = reallocarray(x->spans, cap, sizeof(*spans));
		if (spans == NULL) {
			return -ENOMEM;
		}
		x->spans = spans;
		x->cap = cap;
	}
	x->spans[x->n++] = (struct span){ text->n, path.n, x->entry->payload };
	return bounded(x, buffer_append(text, path));
}

static struct slice part_name(const struct resolve *x, unsigned level)
{
	return x->a->u->set.parts.p[x->entry->part + level].name;
}

/* Steps nest as deep as the path (PATH_PARTS_MAX). */
static int resolve_value(struct resolve *x, struct value v, unsigned level);

static int resolve_child(struct resolve *x, struct slice name, struct value v, unsigned level)
{
	size_t n = x->prefix.n;
	int r = buffer_append_byte(&x->prefix, '.');
	r = r < 0 ? r : buffer_append(&x->prefix, name);
	r = bounded(x, r);
	r = r != 0 ? r : resolve_value(x, v, level + 1);
	x->prefix.n = n;
	return r;
}

static struct value child_named(struct value v, const struct path_part *part)
{
	struct document_iter it = document_iter(v.data);
	struct element e;
	if (v.type == BT_OBJECT) {
		return document_find(v.data, part->name);
	}
	if (v.type == BT_ARRAY && part->index >= 0) {
		for (int64_t i = 0; document_next(&it, &e); i++) {
			if (i == part->index) {
				return e.value;
			}
		}
	}
	return VALUE_MISSING;
}

static bool element_passes(struct resolve *x, const struct update_filter *filter, struct value v)
{
	struct document_writer *w = &x->a->u->element;
	buffer_clear(&w->b);
	w->error = 0;
	size_t start = writer_open(w);
	writer_value(w, filter->name, v);
	writer_close(w, start);
	return w->error == 0 && matcher_match(filter->matcher, buffer_slice(&w->b), x->a->budget);
}

static int resolve_elements(struct resolve *x, struct value v, unsigned level)
{
	struct slice part = part_name(x, level);
	enum position position = position_of(part);
	const struct update_filter *filter =
		position == POSITION_FILTER ? find_filter(x->a->u, filter_name(part)) : NULL;
	struct document_iter it = document_iter(v.data);
	struct element e;
	char text[24];
	int r = 0;
	for (int64_t i = 0; r == 0 && document_next(&it, &e); i++) {
		budget_charge(x->a->budget, 0);
		bool wanted = position == POSITION_ALL ||
			(position == POSITION_MATCH && i == x->element) ||
			(filter != NULL && element_passes(x, filter, e.value));
		if (budget_spent(x->a->budget)) {
			return 0; /* the caller looks */
		}
		if (filter != NULL && x->a->u->element.error != 0) {
			return x->a->u->element.error;
		}
		if (wanted) {
			r = resolve_child(x, index_name((uint64_t)i, text), e.value, level);
		}
	}
	return r;
}

static int resolve_value(struct resolve *x, struct value v, unsigned level)
{
	if (level == x->entry->n_parts) {
		return add_path(x);
	}
	const struct path_part *part = &x->a->u->set.parts.p[x->entry->part + level];
	if (position_of(part->name) == POSITION_NONE) {
		budget_charge(x->a->budget, value_is_document(v) ? v.data.n : 0);
		return resolve_child(x, part->name, child_named(v, part), level);
	}
	if (v.type != BT_ARRAY) {
		return store_fail(x->a->failure, STORE_E_INVALID,
			"the field %.*s needs an array before %.*s; there is %s",
			STORE_NAME(x->entry->text), STORE_NAME(part->name),
			v.type == BT_MISSING ? "nothing" : value_type_name(v.type));
	}
	if (position_of(part->name) == POSITION_MATCH && x->element < 0) {
		return store_fail(x->a->failure, STORE_E_INVALID,
			"the field %.*s: the filter names no array, so that $ stands for no element",
			STORE_NAME(x->entry->text));
	}
	return resolve_elements(x, v, level);
}

static int fill(struct resolve *x)
{
	struct update *u = x->a->u;
	int r = 0;
	for (size_t i = 0; i < x->n && r == 0; i++) {
		struct slice path = slice_of(u->concrete_text.p + x->spans[i].at, x->spans[i].n);
		r = pathset_add(&u->concrete, path, x->spans[i].payload, x->a->failure);
	}
	return r != 0 ? r : pathset_finish(&u->concrete, x->a->failure);
}

int update_position_resolve(
	const struct apply *a, const struct matcher *filter, struct slice document)
{
	struct update *u = a->u;
	struct resolve x = { .a = a, .element = -1 };
	struct value root = { BT_OBJECT, document };
	int r = 0;
	if (u->by_match && filter != NULL && !a->inserting) {
		(void)matcher_match_at(filter, document, a->budget, &x.element);
	}
	buffer_init(&x.prefix, u->concrete_text.limit);
	buffer_clear(&u->concrete_text);
	pathset_clear(&u->concrete);
	for (uint32_t i = 0; i < u->set.n && r == 0; i++) {
		x.entry = &u->set.entries[i];
		r = resolve_value(&x, root, 0);
	}
	r = r != 0 ? r : fill(&x);
	buffer_deinit(&x.prefix);
	free(x.spans);
	return r;
}
