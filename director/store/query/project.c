#include "director/store/query/project.h"

#include "director/store/query/number.h"
#include "director/store/query/pathset.h"

#include <errno.h>
#include <stdlib.h>

enum field_kind {
	FIELD_WHOLE,   /* kept or dropped, as the projection says */
	FIELD_SLICE,   /* some elements in a row */
	FIELD_ELEMENT, /* the one element that a filter finds */
};

struct field {
	enum field_kind kind;
	struct slice name; /* of FIELD_ELEMENT: at the top of the document */
	int64_t skip;      /* FIELD_SLICE: from the end when negative */
	int64_t limit;     /* -1: all that follow */
	/* FIELD_ELEMENT: by $elemMatch; NULL: by what found the document. */
	struct matcher *matcher;
	struct document_writer condition; /* the matcher's */
	int64_t element;                  /* of the document at hand; -1: none */
};

struct projection {
	struct pathset set; /* payload: index into fields */
	struct field *fields;
	uint32_t n;
	uint32_t cap;
	bool keep;     /* what is named is kept; else dropped */
	bool elements; /* some field is a FIELD_ELEMENT */
	const struct match_limits *limits;
};

/* What the spec says as a whole, while it is read. */
struct reading {
	bool named; /* a field other than _id that is kept or dropped */
	bool keep;
	bool has_id;
	bool id;
};

static int field_put(
	struct projection *p, struct slice path, struct field field, struct store_failure *f)
{
	if (p->n == p->cap) {
		uint32_t cap = p->cap == 0 ? 8 : p->cap * 2;
		struct field *fields = reallocarray(p->fields, cap, sizeof(*fields));
		if (fields == NULL) {
			return -ENOMEM;
		}
		p->fields = fields;
		p->cap = cap;
	}
	int r = pathset_add(&p->set, path, p->n, f);
	if (r == 0) {
		p->fields[p->n++] = field;
	}
	return r;
}

static int note_keep(struct reading *reading, struct slice name, bool keep, struct store_failure *f)
{
	if (reading->named && reading->keep != keep) {
		return store_fail(f, STORE_E_INVALID,
			"the projection of %.*s: fields are either all kept or all dropped",
			STORE_NAME(name));
	}
	reading->named = true;
	reading->keep = keep;
	return 0;
}

/* --- operators --- */

static int slice_number(struct value v, int64_t *ret, struct store_failure *f)
{
	if (!value_whole(v, ret) || *ret < -INT32_MAX || *ret > INT32_MAX) {
		return store_fail(f, STORE_E_INVALID,
			"$slice needs a whole number, or two: how many to skip and how many to keep");
	}
	return 0;
}

static int slice_add(struct projection *p,
	struct reading *reading,
	struct slice path,
	struct value v,
	struct store_failure *f)
{
	struct field field = { .kind = FIELD_SLICE, .limit = -1 };
	struct document_iter it = document_iter(v.data);
	struct element skip;
	struct element limit;
	struct element surplus;
	int r = 0;
	if (v.type == BT_ARRAY) {
		if (!document_next(&it, &skip) || !document_next(&it, &limit) ||
			document_next(&it, &surplus)) {
			return slice_number(VALUE_MISSING, &field.skip, f);
		}
		r = slice_number(skip.value, &field.skip, f);
		r = r != 0 ? r : slice_number(limit.value, &field.limit, f);
		if (r == 0 && field.limit <= 0) {
			r = store_fail(
				f, STORE_E_INVALID, "$slice needs to keep 1 element or more");
		}
	} else {
		int64_t n = 0;
		r = slice_number(v, &n, f);
		field.skip = n < 0 ? n : 0;
		field.limit = n < 0 ? -1 : n;
	}
	return r != 0 ? r : field_put(p, path, field, f);
}

static int element_match_add(struct projection *p,
	struct reading *reading,
	struct slice path,
	struct value v,
	struct store_failure *f)
{
	struct field field = { .kind = FIELD_ELEMENT, .name = path };
	if (memchr(path.p, '.', path.n) != NULL) {
		return store_fail(f, STORE_E_UNSUPPORTED,
			"$elemMatch in the projection of %.*s: only of a field at the top",
			STORE_NAME(path));
	}
	p->elements = true;
	writer_init(&field.condition, SIZE_MAX);
	size_t start = writer_open(&field.condition);
	size_t inner = writer_open_in(&field.condition, BT_OBJECT, path);
	writer_value(&field.condition, SLICE("$elemMatch"), v);
	writer_close(&field.condition, inner);
	writer_close(&field.condition, start);
	int r = field.condition.error;
	r = r != 0 ? r : note_keep(reading, path, true, f);
	r = r != 0
		? r
		: matcher_compile(&field.matcher, buffer_slice(&field.condition.b), p->limits, f);
	r = r != 0 ? r : field_put(p, path, field, f);
	if (r != 0) {
		matcher_free(field.matcher);
		writer_deinit(&field.condition);
	}
	return r;
}

static const struct {
	const char *name;
	int (*add)(struct projection *p,
		struct reading *reading,
		struct slice path,
		struct value v,
		struct store_failure *f);
} operators[] = {
	{ "$slice", slice_add },
	{ "$elemMatch", element_match_add },
};

static int operator_add(struct projection *p,
	struct reading *reading,
	struct slice path,
	struct slice document,
	struct store_failure *f)
{
	struct document_iter it = document_iter(document);
	struct element e = { 0 };
	struct element surplus;
	(void)document_next(&it, &e);
	for (size_t i = 0; i < sizeof(operators) / sizeof(operators[0]); i++) {
		if (!slice_eq(e.name, slice_str(operators[i].name))) {
			continue;
		}
		if (document_next(&it, &surplus)) {
			return store_fail(f, STORE_E_INVALID,
				"the projection of %.*s has more than one operator",
				STORE_NAME(path));
		}
		return operators[i].add(p, reading, path, e.value, f);
	}
	return store_fail(f, STORE_E_UNSUPPORTED, "unsupported operator %.*s in a projection",
		STORE_NAME(e.name));
}

/* {"a.$": 1} */
static int by_match_add(struct projection *p,
	struct reading *reading,
	const struct element *e,
	struct store_failure *f)
{
	struct slice array = slice_of(e->name.p, e->name.n - 2);
	struct field field = { .kind = FIELD_ELEMENT, .name = array };
	for (uint32_t i = 0; i < p->n; i++) {
		if (p->fields[i].kind == FIELD_ELEMENT && p->fields[i].matcher == NULL) {
			return store_fail(f, STORE_E_INVALID,
				"a projection has the operator $ no more than once");
		}
	}
	p->elements = true;
	int r = note_keep(reading, e->name, true, f);
	return r != 0 ? r : field_put(p, array, field, f);
}

/* --- fields --- */

static bool begins_with_operator(struct value v)
{
	struct document_iter it = document_iter(v.data);
	struct element inner;
	return v.type == BT_OBJECT && document_next(&it, &inner) && name_is_operator(inner.name);
}

static bool ends_in_match(struct slice name)
{
	return name.n > 2 && name.p[name.n - 1] == '$' && name.p[name.n - 2] == '.';
}

static int field_check(const struct element *e, struct store_failure *f)
{
	size_t n = ends_in_match(e->name) ? e->name.n - 2 : e->name.n;
	for (size_t i = 0; i < n; i++) {
		if (e->name.p[i] == '$' && (i == 0 || e->name.p[i - 1] == '.')) {
			return store_fail(f, STORE_E_UNSUPPORTED,
				"unsupported operator $ in the projection of %.*s",
				STORE_NAME(e->name));
		}
	}
	if (!value_is_number(e->value) && e->value.type != BT_BOOL) {
		return store_fail(f, STORE_E_INVALID,
			"the projection of %.*s needs 1, 0, true or false", STORE_NAME(e->name));
	}
	return 0;
}

static int field_add(struct projection *p,
	struct reading *reading,
	const struct element *e,
	struct store_failure *f)
{
	struct field whole = { .kind = FIELD_WHOLE };
	if (begins_with_operator(e->value)) {
		return operator_add(p, reading, e->name, e->value.data, f);
	}
	int r = field_check(e, f);
	if (r != 0) {
		return r;
	}
	bool keep = value_truth(e->value);
	if (ends_in_match(e->name)) {
		return keep
			? by_match_add(p, reading, e, f)
			: store_fail(f, STORE_E_INVALID, "the projection of %.*s needs 1 or true",
				  STORE_NAME(e->name));
	}
	if (slice_eq(e->name, SLICE("_id"))) {
		reading->has_id = true;
		reading->id = keep;
		return 0;
	}
	r = note_keep(reading, e->name, keep, f);
	return r != 0 ? r : field_put(p, e->name, whole, f);
}

static int spec_compile(struct projection *p, struct slice spec, struct store_failure *f)
{
	struct reading reading = { 0 };
	struct document_iter it = document_iter(spec);
	struct element e;
	int r = 0;
	while (r == 0 && document_next(&it, &e)) {
		r = field_add(p, &reading, &e, f);
	}
	if (r != 0) {
		return r;
	}
	/* _id alone decides only when nothing else is named; beside $slice the others stay. */
	p->keep = reading.named ? reading.keep : reading.id && p->n == 0;
	bool id_named = p->keep ? !reading.has_id || reading.id : reading.has_id && !reading.id;
	if (id_named) {
		r = field_put(p, SLICE("_id"), (struct field){ .kind = FIELD_WHOLE }, f);
	}
	return r != 0 ? r : pathset_finish(&p->set, f);
}

int projection_compile(struct projection **ret,
	struct slice spec,
	const struct match_limits *limits,
	struct store_failure *f)
{
	if (document_is_empty(spec)) {
		*ret = NULL;
		return 0;
	}
	struct projection *p = calloc(1, sizeof(*p));
	if (p == NULL) {
		return -ENOMEM;
	}
	p->limits = limits;
	int r = spec_compile(p, spec, f);
	p->limits = NULL; /* the caller's */
	if (r != 0) {
		projection_free(p);
		return r;
	}
	*ret = p;
	return 0;
}

struct projection *projection_free(struct projection *p)
{
	if (p != NULL) {
		for (uint32_t i = 0; i < p->n; i++) {
			matcher_free(p->fields[i].matcher);
			writer_deinit(&p->fields[i].condition);
		}
		free(p->fields);
		pathset_deinit(&p->set);
		free(p);
	}
	return NULL;
}

bool projection_is_plain(const struct projection *p)
{
	for (uint32_t i = 0; i < p->n; i++) {
		if (p->fields[i].kind != FIELD_WHOLE) {
			return false;
		}
	}
	return true;
}

/* The walkers nest as deep as the document (DOCUMENT_DEPTH_MAX): an array inside an array takes no
 * part of the path. */
static void project_object(const struct projection *p,
	struct slice document,
	struct pathset_range r,
	unsigned level,
	struct document_writer *w);

static void project_array(const struct projection *p,
	struct slice array,
	struct pathset_range r,
	unsigned level,
	struct document_writer *w)
{
	struct document_iter it = document_iter(array);
	struct element e;
	char text[24];
	uint64_t n = 0;
	while (document_next(&it, &e)) {
		if (!value_is_document(e.value)) {
			if (!p->keep) {
				writer_value(w, index_name(n++, text), e.value);
			}
			continue;
		}
		size_t start = writer_open_in(w, e.value.type, index_name(n++, text));
		if (e.value.type == BT_OBJECT) {
			project_object(p, e.value.data, r, level, w);
		} else {
			project_array(p, e.value.data, r, level, w);
		}
		writer_close(w, start);
	}
}

static uint64_t array_length(struct slice array)
{
	struct document_iter it = document_iter(array);
	struct element e;
	uint64_t n = 0;
	while (document_next(&it, &e)) {
		n++;
	}
	return n;
}

/* Writes the array's elements from `low` on, at most `n`. */
static void write_some(
	struct slice name, struct slice array, uint64_t low, uint64_t n, struct document_writer *w)
{
	struct document_iter it = document_iter(array);
	struct element e;
	char text[24];
	uint64_t written = 0;
	size_t start = writer_open_in(w, BT_ARRAY, name);
	for (uint64_t i = 0; written < n && document_next(&it, &e); i++) {
		if (i >= low) {
			writer_value(w, index_name(written++, text), e.value);
		}
	}
	writer_close(w, start);
}

static void project_slice(
	const struct field *field, const struct element *e, struct document_writer *w)
{
	uint64_t low = (uint64_t)field->skip;
	if (e->value.type != BT_ARRAY) {
		writer_raw(w, e->raw);
		return;
	}
	if (field->skip < 0) {
		uint64_t length = array_length(e->value.data);
		uint64_t back = (uint64_t)-field->skip;
		low = back < length ? length - back : 0;
	}
	write_some(e->name, e->value.data, low,
		field->limit < 0 ? UINT64_MAX : (uint64_t)field->limit, w);
}

static void project_leaf(const struct projection *p,
	const struct field *field,
	const struct element *e,
	struct document_writer *w)
{
	switch (field->kind) {
	case FIELD_SLICE:
		project_slice(field, e, w);
		return;
	case FIELD_ELEMENT:
		if (field->element >= 0 && e->value.type == BT_ARRAY) {
			write_some(e->name, e->value.data, (uint64_t)field->element, 1, w);
		} else if (field->matcher == NULL) {
			writer_raw(w, e->raw);
		}
		return;
	case FIELD_WHOLE:
		if (p->keep) {
			writer_raw(w, e->raw);
		}
		return;
	}
}

static void project_field(const struct projection *p,
	const struct element *e,
	struct pathset_range group,
	unsigned level,
	struct document_writer *w)
{
	if (pathset_is_leaf(&p->set, group, level)) {
		project_leaf(p, &p->fields[p->set.entries[group.low].payload], e, w);
		return;
	}
	if (!value_is_document(e->value)) {
		/* Nothing of the path below a plain value: kept only when naming means dropping. */
		if (!p->keep) {
			writer_raw(w, e->raw);
		}
		return;
	}
	size_t start = writer_open_in(w, e->value.type, e->name);
	if (e->value.type == BT_OBJECT) {
		project_object(p, e->value.data, group, level + 1, w);
	} else {
		project_array(p, e->value.data, group, level + 1, w);
	}
	writer_close(w, start);
}

static void project_object(const struct projection *p,
	struct slice document,
	struct pathset_range r,
	unsigned level,
	struct document_writer *w)
{
	struct document_iter it = document_iter(document);
	struct element e;
	while (document_next(&it, &e)) {
		struct pathset_range group;
		if (pathset_find(&p->set, r, level, e.name, &group)) {
			project_field(p, &e, group, level, w);
		} else if (!p->keep) {
			writer_raw(w, e.raw);
		}
	}
}

/* Which element each FIELD_ELEMENT is in this document. */
static int find_elements(struct projection *p,
	const struct matcher *filter,
	struct slice document,
	struct budget *budget,
	struct store_failure *f)
{
	for (uint32_t i = 0; i < p->n; i++) {
		struct field *field = &p->fields[i];
		if (field->kind != FIELD_ELEMENT) {
			continue;
		}
		const struct matcher *m = field->matcher != NULL ? field->matcher : filter;
		field->element = -1;
		if (m != NULL) {
			(void)matcher_match_at(m, document, budget, &field->element);
		}
		if (field->matcher == NULL && field->element < 0) {
			return store_fail(f, STORE_E_INVALID,
				"the projection of %.*s.$: the filter names no array, so that $ stands "
				"for no element",
				STORE_NAME(field->name));
		}
	}
	return 0;
}

int projection_apply(struct projection *p,
	const struct matcher *filter,
	struct slice document,
	struct budget *budget,
	struct document_writer *w,
	struct store_failure *f)
{
	int r = p->elements ? find_elements(p, filter, document, budget, f) : 0;
	if (r != 0) {
		return r;
	}
	size_t start = writer_open(w);
	project_object(p, document, pathset_all(&p->set), 0, w);
	writer_close(w, start);
	return 0;
}
