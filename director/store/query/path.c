#include "director/store/query/path.h"

#include "common/base/clock.h"

#include <errno.h>
#include <stdlib.h>

/* A lookup or an element costs a fixed part and one unit for this many bytes. */
enum { BYTES_PER_UNIT = 64, UNITS_PER_CLOCK = 20000 };

void path_parts_deinit(struct path_parts *parts)
{
	free(parts->p);
	*parts = (struct path_parts){ 0 };
}

static int parts_push(struct path_parts *parts, struct slice name)
{
	if (parts->n == parts->cap) {
		size_t cap = parts->cap == 0 ? 16 : parts->cap * 2;
		struct path_part *p = reallocarray(parts->p, cap, sizeof(*p));
		if (p == NULL) {
			return -ENOMEM;
		}
		parts->p = p;
		parts->cap = cap;
	}
	uint64_t index = 0;
	bool number = index_parse(name, &index);
	parts->p[parts->n++] = (struct path_part){ name, number ? (int64_t)index : -1 };
	return 0;
}

int path_parts_add(struct path_parts *parts,
	struct slice text,
	uint32_t *ret_first,
	uint32_t *ret_n,
	struct store_failure *f)
{
	size_t first = parts->n;
	struct slice rest = text;
	for (bool more = true; more;) {
		const uint8_t *dot = rest.n == 0 ? NULL : memchr(rest.p, '.', rest.n);
		struct slice name = slice_of(rest.p, dot == NULL ? rest.n : (size_t)(dot - rest.p));
		if (name.n == 0) {
			return store_fail(f, STORE_E_INVALID,
				"the field name \"%.*s\" has an empty part", STORE_NAME(text));
		}
		if (parts->n - first == PATH_PARTS_MAX) {
			return store_fail(f, STORE_E_INVALID,
				"the field name \"%.*s\" has more than %d parts", STORE_NAME(text),
				PATH_PARTS_MAX);
		}
		if (parts_push(parts, name) < 0) {
			return -ENOMEM;
		}
		more = dot != NULL;
		rest = more ? slice_skip(rest, name.n + 1) : rest;
	}
	*ret_first = (uint32_t)first;
	*ret_n = (uint32_t)(parts->n - first);
	return 0;
}

void budget_charge(struct budget *b, size_t bytes)
{
	uint64_t units = 1 + bytes / BYTES_PER_UNIT;
	if (b->until_check > units) {
		b->until_check -= units;
		return;
	}
	b->until_check = UNITS_PER_CLOCK;
	if (b->deadline_ms != 0 && clock_ms() > b->deadline_ms) {
		b->late = true;
	}
}

struct walk {
	struct path path;
	enum path_end end;
	struct budget *budget;
	path_visit_fn visit;
	void *arg;
	int64_t *element; /* path_match(): of the outermost array; -1 outside of any */
};

/* The walkers call each other at most twice for each part of the path (PATH_PARTS_MAX). */
static bool match_value(const struct walk *w, struct value v, unsigned part);

static bool emit(const struct walk *w, struct value v)
{
	budget_charge(w->budget, value_is_document(v) ? v.data.n : 0);
	return w->visit(w->arg, v) || budget_spent(w->budget);
}

static bool match_in_object(const struct walk *w, struct slice document, unsigned part)
{
	budget_charge(w->budget, document.n);
	return match_value(w, document_find(document, w->path.parts[part].name), part + 1);
}

/* `part` is to be found inside the array: in each of its documents, and as an index. */
static bool match_in_array(const struct walk *w, struct slice array, unsigned part)
{
	struct document_iter it = document_iter(array);
	struct element e;
	bool last = part + 1 == w->path.n;
	bool outermost = *w->element < 0;
	for (int64_t i = 0; document_next(&it, &e); i++) {
		budget_charge(w->budget, 0);
		*w->element = outermost ? i : *w->element;
		if (e.value.type == BT_OBJECT && match_in_object(w, e.value.data, part)) {
			return true;
		}
		*w->element = outermost ? -1 : *w->element;
		if (i != w->path.parts[part].index) {
			continue;
		}
		/* An element that is named by its index is not expanded again. */
		if (last && emit(w, e.value)) {
			return true;
		}
		if (!last && e.value.type == BT_OBJECT &&
			match_in_object(w, e.value.data, part + 1)) {
			return true;
		}
		if (!last && e.value.type == BT_ARRAY &&
			match_in_array(w, e.value.data, part + 1)) {
			return true;
		}
	}
	return budget_spent(w->budget);
}

static bool match_end(const struct walk *w, struct value v)
{
	if (v.type == BT_ARRAY && w->end == PATH_END_EXPAND) {
		struct document_iter it = document_iter(v.data);
		struct element e;
		bool outermost = *w->element < 0;
		for (int64_t i = 0; document_next(&it, &e); i++) {
			*w->element = outermost ? i : *w->element;
			if (emit(w, e.value)) {
				return true;
			}
		}
		*w->element = outermost ? -1 : *w->element;
	}
	return emit(w, v);
}

static bool match_value(const struct walk *w, struct value v, unsigned part)
{
	if (part == w->path.n) {
		return match_end(w, v);
	}
	if (v.type == BT_OBJECT) {
		return match_in_object(w, v.data, part);
	}
	if (v.type == BT_ARRAY) {
		return match_in_array(w, v.data, part);
	}
	return emit(w, VALUE_MISSING);
}

bool path_match(struct path path,
	struct value root,
	enum path_end end,
	struct budget *budget,
	path_visit_fn visit,
	void *arg,
	int64_t *ret_element)
{
	int64_t unwanted = -1;
	struct walk w = { path, end, budget, visit, arg,
		ret_element == NULL ? &unwanted : ret_element };
	*w.element = -1;
	if (path.n > 0 && value_is_document(root)) {
		/* A document of its own, also when it is an array's element: names, not elements. */
		return match_in_object(&w, root.data, 0);
	}
	return match_value(&w, root, 0);
}

static bool values_of(const struct walk *w, struct value v, unsigned part);

static bool values_in_array(const struct walk *w, struct slice array, unsigned part)
{
	struct document_iter it = document_iter(array);
	struct element e;
	int64_t wanted = w->path.parts[part].index;
	bool any = false;
	for (int64_t i = 0; document_next(&it, &e); i++) {
		budget_charge(w->budget, 0);
		if (wanted >= 0 && i != wanted) {
			continue;
		}
		any = true;
		/* A number names one element; any other name is looked up in each document. */
		struct value inner = e.value;
		if (wanted < 0 && inner.type != BT_OBJECT) {
			inner = VALUE_MISSING;
		}
		if (values_of(w, inner, wanted >= 0 ? part + 1 : part)) {
			return true;
		}
	}
	return any ? budget_spent(w->budget) : emit(w, VALUE_MISSING);
}

static bool values_at_end(const struct walk *w, struct value v)
{
	if (v.type != BT_ARRAY) {
		return emit(w, v);
	}
	struct document_iter it = document_iter(v.data);
	struct element e;
	bool any = false;
	while (document_next(&it, &e)) {
		any = true;
		if (emit(w, e.value)) {
			return true;
		}
	}
	return !any && emit(w, (struct value){ .type = BT_UNDEFINED });
}

static bool values_of(const struct walk *w, struct value v, unsigned part)
{
	if (part == w->path.n) {
		return values_at_end(w, v);
	}
	if (v.type == BT_OBJECT) {
		budget_charge(w->budget, v.data.n);
		return values_of(w, document_find(v.data, w->path.parts[part].name), part + 1);
	}
	if (v.type == BT_ARRAY) {
		return values_in_array(w, v.data, part);
	}
	return emit(w, VALUE_MISSING);
}

bool path_values(
	struct path path, struct value root, struct budget *budget, path_visit_fn visit, void *arg)
{
	struct walk w = { path, PATH_END_EXPAND, budget, visit, arg, NULL };
	return values_of(&w, root, 0);
}
