#include "director/store/query/reshape.h"

#include "director/store/query/number.h"
#include "director/store/query/pathset.h"

#include <errno.h>
#include <stdlib.h>

enum field_kind { FIELD_KEEP, FIELD_DROP, FIELD_COMPUTE };

struct field {
	enum field_kind kind;
	struct expression *expression;
	struct value value; /* for the document at hand */
};

/* A path as it will be, in reshape.text, which moves while it grows. */
struct named {
	size_t at;
	size_t n;
	struct field field;
	uint32_t entry; /* of the set; UINT32_MAX: none */
};

struct reshape {
	enum reshape_kind kind;
	bool keep; /* fields that are not named are kept */
	struct buffer text;
	struct named *named;
	uint32_t n;
	uint32_t cap;
	struct pathset set; /* payload: index into named */
};

/* --- compiling --- */

struct compiler {
	struct reshape *s;
	struct store_failure *failure;
	struct buffer prefix; /* of the names so far, each with a dot behind it */
	unsigned depth;
	bool included;
	bool excluded;
	bool id_named;
	bool id_excluded;
};

static int too_long(struct compiler *c)
{
	return store_fail(c->failure, STORE_E_LIMIT,
		"the names of a stage have more than %zu bytes", c->s->text.limit);
}

/* Notes a field under its whole path; on success it owns the expression. */
static int field_add(struct compiler *c, struct slice name, struct field field)
{
	struct reshape *s = c->s;
	if (s->n == s->cap) {
		uint32_t cap = s->cap == 0 ? 8 : s->cap * 2;
		struct named *named = reallocarray(s->named, cap, sizeof(*named));
		if (named == NULL) {
			return -ENOMEM;
		}
		s->named = named;
		s->cap = cap;
	}
	size_t at = s->text.n;
	int r = buffer_append(&s->text, buffer_slice(&c->prefix));
	r = r < 0 ? r : buffer_append(&s->text, name);
	if (r < 0) {
		return r == -ENOBUFS ? too_long(c) : r;
	}
	s->named[s->n++] = (struct named){ at, s->text.n - at, field, UINT32_MAX };
	return 0;
}

static bool is_id(const struct compiler *c, struct slice name)
{
	return c->prefix.n == 0 && slice_eq(name, SLICE("_id"));
}

static int switch_add(struct compiler *c, struct slice name, bool on)
{
	if (is_id(c, name)) {
		c->id_named = true;
		c->id_excluded = !on;
	} else {
		c->included = c->included || on;
		c->excluded = c->excluded || !on;
	}
	return field_add(c, name, (struct field){ .kind = on ? FIELD_KEEP : FIELD_DROP });
}

static int computed_add(struct compiler *c, struct slice name, struct value v)
{
	struct field field = { .kind = FIELD_COMPUTE };
	int r = expression_compile(&field.expression, v, c->failure);
	if (r != 0) {
		return r;
	}
	c->included = true;
	c->id_named = c->id_named || is_id(c, name);
	r = field_add(c, name, field);
	if (r != 0) {
		expression_free(field.expression);
	}
	return r;
}

static bool begins_with_operator(struct slice document)
{
	struct document_iter it = document_iter(document);
	struct element e;
	return document_next(&it, &e) && name_is_operator(e.name);
}

static int document_compile(struct compiler *c, struct slice document);

/* {a: {b: …}} is {"a.b": …}. */
static int nested_compile(struct compiler *c, const struct element *e)
{
	size_t n = c->prefix.n;
	int r = buffer_append(&c->prefix, e->name);
	r = r < 0 ? r : buffer_append_byte(&c->prefix, '.');
	r = r == -ENOBUFS ? too_long(c) : r;
	r = r != 0 ? r : document_compile(c, e->value.data);
	c->prefix.n = n;
	return r;
}

static int element_compile(struct compiler *c, const struct element *e)
{
	bool on_off = value_is_number(e->value) || e->value.type == BT_BOOL;
	if (memchr(e->name.p, '$', e->name.n) != NULL) {
		return store_fail(c->failure, STORE_E_UNSUPPORTED,
			"unsupported operator $ in the name %.*s", STORE_NAME(e->name));
	}
	if (on_off && c->s->kind == RESHAPE_PROJECT) {
		return switch_add(c, e->name, value_truth(e->value));
	}
	if (e->value.type == BT_OBJECT && !document_is_empty(e->value.data) &&
		!begins_with_operator(e->value.data)) {
		return nested_compile(c, e);
	}
	return computed_add(c, e->name, e->value);
}

/* Nests as deep as the stage. */
static int document_compile(struct compiler *c, struct slice document)
{
	struct document_iter it = document_iter(document);
	struct element e;
	int r = 0;
	if (++c->depth > DOCUMENT_DEPTH_MAX) {
		return store_fail(c->failure, STORE_E_LIMIT,
			"the stage is nested deeper than %d levels (a fixed limit)",
			DOCUMENT_DEPTH_MAX);
	}
	while (r == 0 && document_next(&it, &e)) {
		r = element_compile(c, &e);
	}
	c->depth--;
	return r;
}

static int unset_add(struct compiler *c, struct value v)
{
	if (v.type != BT_STRING || value_string(v).n == 0 ||
		memchr(value_string(v).p, '$', value_string(v).n) != NULL ||
		memchr(value_string(v).p, 0, value_string(v).n) != NULL) {
		return store_fail(c->failure, STORE_E_INVALID, "$unset needs names of fields");
	}
	return field_add(c, value_string(v), (struct field){ .kind = FIELD_DROP });
}

static int unset_compile(struct compiler *c, struct value spec)
{
	struct document_iter it = document_iter(spec.data);
	struct element e;
	int r = 0;
	if (spec.type != BT_ARRAY) {
		return unset_add(c, spec);
	}
	while (r == 0 && document_next(&it, &e)) {
		r = unset_add(c, e.value);
	}
	return r;
}

static int project_finish(struct compiler *c)
{
	struct reshape *s = c->s;
	if (c->included && c->excluded) {
		return store_fail(c->failure, STORE_E_INVALID,
			"$project: fields are either all kept or all dropped");
	}
	/* _id alone decides only when nothing else is named. */
	s->keep = c->excluded || (!c->included && c->id_excluded);
	if (!s->keep && !c->id_named) {
		return field_add(c, SLICE("_id"), (struct field){ .kind = FIELD_KEEP });
	}
	return 0;
}

static int paths_finish(struct reshape *s, struct store_failure *f)
{
	int r = 0;
	for (uint32_t i = 0; i < s->n && r == 0; i++) {
		struct slice path = slice_of(s->text.p + s->named[i].at, s->named[i].n);
		/* What is dropped where nothing else is kept needs no path. */
		if (s->named[i].field.kind != FIELD_DROP || s->keep) {
			r = pathset_add(&s->set, path, i, f);
		}
	}
	r = r != 0 ? r : pathset_finish(&s->set, f);
	for (uint32_t i = 0; i < s->set.n && r == 0; i++) {
		s->named[s->set.entries[i].payload].entry = i;
	}
	return r;
}

static int spec_compile(struct compiler *c, struct value spec)
{
	int r = 0;
	if (c->s->kind == RESHAPE_UNSET) {
		r = unset_compile(c, spec);
	} else if (spec.type != BT_OBJECT || document_is_empty(spec.data)) {
		return store_fail(c->failure, STORE_E_INVALID,
			"%s needs a document that is not empty",
			c->s->kind == RESHAPE_PROJECT ? "$project" : "$addFields");
	} else {
		r = document_compile(c, spec.data);
	}
	if (r == 0 && c->s->kind == RESHAPE_PROJECT) {
		r = project_finish(c);
	} else {
		c->s->keep = true;
	}
	return r != 0 ? r : paths_finish(c->s, c->failure);
}

int reshape_compile(struct reshape **ret,
	enum reshape_kind kind,
	struct value spec,
	size_t bytes,
	struct store_failure *f)
{
	struct compiler c = { .s = calloc(1, sizeof(*c.s)), .failure = f };
	if (c.s == NULL) {
		return -ENOMEM;
	}
	c.s->kind = kind;
	buffer_init(&c.s->text, bytes);
	buffer_init(&c.prefix, bytes);
	int r = spec_compile(&c, spec);
	buffer_deinit(&c.prefix);
	if (r != 0) {
		reshape_free(c.s);
		return r;
	}
	*ret = c.s;
	return 0;
}

struct reshape *reshape_free(struct reshape *s)
{
	if (s != NULL) {
		for (uint32_t i = 0; i < s->n; i++) {
			expression_free(s->named[i].field.expression);
		}
		free(s->named);
		buffer_deinit(&s->text);
		pathset_deinit(&s->set);
		free(s);
	}
	return NULL;
}

/* --- applying --- */

struct walk {
	struct reshape *s;
	struct evaluation *x;
	struct document_writer *w;
};

static const struct field *field_of(const struct walk *k, uint32_t entry)
{
	return &k->s->named[k->s->set.entries[entry].payload].field;
}

/* Whether something in the range is to be written where there is nothing. */
static bool makes(const struct walk *k, struct pathset_range r)
{
	for (uint32_t i = r.low; i < r.high; i++) {
		const struct field *field = field_of(k, i);
		if (field->kind == FIELD_COMPUTE && field->value.type != BT_MISSING) {
			return true;
		}
	}
	return false;
}

static bool computes(const struct walk *k, struct pathset_range r)
{
	for (uint32_t i = r.low; i < r.high; i++) {
		if (field_of(k, i)->kind == FIELD_COMPUTE) {
			return true;
		}
	}
	return false;
}

/* The walkers nest as deep as the document, which is bounded (expression.c, stored.c). */
static void write_members(
	const struct walk *k, struct slice document, struct pathset_range r, unsigned level);

static void write_leaf(
	const struct walk *k, const struct field *field, struct slice name, struct value v)
{
	if (field->kind == FIELD_COMPUTE) {
		v = field->value;
	}
	if (field->kind != FIELD_DROP && v.type != BT_MISSING) {
		writer_value(k->w, name, v);
	}
}

static void write_nested(const struct walk *k,
	struct slice name,
	struct value v,
	struct pathset_range group,
	unsigned level);

static void write_array(const struct walk *k,
	struct slice name,
	struct slice array,
	struct pathset_range group,
	unsigned level)
{
	struct document_iter it = document_iter(array);
	struct element e;
	char text[24];
	uint64_t n = 0;
	size_t start = writer_open_in(k->w, BT_ARRAY, name);
	while (!budget_spent(k->x->budget) && document_next(&it, &e)) {
		size_t before = k->w->b.n;
		budget_charge(k->x->budget, e.value.data.n);
		write_nested(k, index_name(n, text), e.value, group, level);
		n += k->w->b.n > before ? 1 : 0;
	}
	writer_close(k->w, start);
}

/* A field on the way to what is named, or an element of an array there. */
static void write_nested(const struct walk *k,
	struct slice name,
	struct value v,
	struct pathset_range group,
	unsigned level)
{
	if (v.type == BT_ARRAY) {
		write_array(k, name, v.data, group, level);
	} else if (v.type == BT_OBJECT || makes(k, group)) {
		/* What is computed takes the place of a plain value. */
		size_t start = writer_open_in(k->w, BT_OBJECT, name);
		write_members(k, v.type == BT_OBJECT ? v.data : SLICE_NULL, group, level + 1);
		writer_close(k->w, start);
	} else if (k->s->keep && v.type != BT_MISSING) {
		writer_value(k->w, name, v);
	}
}

/* What a $project computes comes behind what it keeps, also in the place of a field. */
static bool comes_last(const struct walk *k, const struct field *field)
{
	return field->kind == FIELD_COMPUTE && !k->s->keep;
}

/* The group of an entry, and whether the entry is the one that the stage named first in it. */
static struct pathset_range group_of(const struct walk *k,
	struct pathset_range r,
	unsigned level,
	uint32_t entry,
	bool *ret_first)
{
	struct pathset_range group = { entry, entry + 1 };
	uint32_t payload = k->s->set.entries[entry].payload;
	(void)pathset_find(
		&k->s->set, r, level, pathset_part(&k->s->set, entry, level)->name, &group);
	*ret_first = true;
	for (uint32_t i = group.low; i < group.high; i++) {
		*ret_first = *ret_first && k->s->set.entries[i].payload >= payload;
	}
	return group;
}

/* What the document does not have comes behind it, in the order of the stage. */
static void write_missing(
	const struct walk *k, struct slice document, struct pathset_range r, unsigned level)
{
	for (uint32_t i = 0; i < k->s->n; i++) {
		uint32_t entry = k->s->named[i].entry;
		bool first = false;
		if (entry < r.low || entry >= r.high) {
			continue;
		}
		struct pathset_range group = group_of(k, r, level, entry, &first);
		struct slice name = pathset_part(&k->s->set, entry, level)->name;
		bool leaf = pathset_is_leaf(&k->s->set, group, level);
		bool last = leaf && comes_last(k, field_of(k, group.low));
		if (!first || !makes(k, group) ||
			(!last && document_find(document, name).type != BT_MISSING)) {
			continue;
		}
		if (leaf) {
			write_leaf(k, field_of(k, group.low), name, VALUE_MISSING);
		} else {
			write_nested(k, name, VALUE_MISSING, group, level);
		}
	}
}

static void write_members(
	const struct walk *k, struct slice document, struct pathset_range r, unsigned level)
{
	struct document_iter it = document_iter(document);
	struct element e;
	budget_charge(k->x->budget, document.n);
	while (document_next(&it, &e)) {
		struct pathset_range group;
		if (!pathset_find(&k->s->set, r, level, e.name, &group)) {
			if (k->s->keep) {
				writer_raw(k->w, e.raw);
			}
		} else if (pathset_is_leaf(&k->s->set, group, level)) {
			if (!comes_last(k, field_of(k, group.low))) {
				write_leaf(k, field_of(k, group.low), e.name, e.value);
			}
		} else {
			write_nested(k, e.name, e.value, group, level);
		}
	}
	if (computes(k, r)) {
		budget_charge(k->x->budget, document.n * (r.high - r.low) + (size_t)k->s->n * 64);
		write_missing(k, document, r, level);
	}
}

int reshape_apply(
	struct reshape *s, struct evaluation *x, struct slice document, struct document_writer *w)
{
	struct walk k = { s, x, w };
	for (uint32_t i = 0; i < s->n; i++) {
		struct field *field = &s->named[i].field;
		if (field->kind == FIELD_COMPUTE &&
			expression_evaluate(field->expression, x, document, &field->value) != 0) {
			return x->error;
		}
	}
	size_t start = writer_open(w);
	write_members(&k, document, pathset_all(&s->set), 0);
	writer_close(w, start);
	return 0;
}
