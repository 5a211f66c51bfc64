#include "director/store/query/project.h"

#include "director/store/query/number.h"
#include "director/store/query/pathset.h"

#include <errno.h>
#include <stdlib.h>

struct projection {
	struct pathset set;
	bool keep; /* what is named is kept; else dropped */
};

/* What the spec says as a whole, while it is read. */
struct reading {
	bool named; /* a field other than _id */
	bool keep;
	bool has_id;
	bool id;
};

static int field_check(const struct element *e, bool *ret_keep, struct store_failure *f)
{
	struct document_iter it = document_iter(e->value.data);
	struct element inner;
	if (e->value.type == BT_OBJECT && document_next(&it, &inner) &&
		name_is_operator(inner.name)) {
		return store_fail(f, STORE_E_UNSUPPORTED,
			"unsupported operator %.*s in a projection", STORE_NAME(inner.name));
	}
	for (size_t i = 0; i < e->name.n; i++) {
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
	*ret_keep = value_truth(e->value);
	return 0;
}

static int field_add(struct projection *p,
	struct reading *reading,
	const struct element *e,
	struct store_failure *f)
{
	bool keep = false;
	int r = field_check(e, &keep, f);
	if (r != 0) {
		return r;
	}
	if (slice_eq(e->name, SLICE("_id"))) {
		reading->has_id = true;
		reading->id = keep;
		return 0;
	}
	if (reading->named && reading->keep != keep) {
		return store_fail(f, STORE_E_INVALID,
			"the projection of %.*s: fields are either all kept or all dropped",
			STORE_NAME(e->name));
	}
	reading->named = true;
	reading->keep = keep;
	return pathset_add(&p->set, e->name, 0, f);
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
	/* _id alone decides only when nothing else is named. */
	p->keep = reading.named ? reading.keep : reading.id;
	bool id_named = p->keep ? !reading.has_id || reading.id : reading.has_id && !reading.id;
	if (id_named) {
		r = pathset_add(&p->set, SLICE("_id"), 0, f);
	}
	return r != 0 ? r : pathset_finish(&p->set, f);
}

int projection_compile(struct projection **ret, struct slice spec, struct store_failure *f)
{
	if (document_is_empty(spec)) {
		*ret = NULL;
		return 0;
	}
	struct projection *p = calloc(1, sizeof(*p));
	if (p == NULL) {
		return -ENOMEM;
	}
	int r = spec_compile(p, spec, f);
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
		pathset_deinit(&p->set);
		free(p);
	}
	return NULL;
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

static void project_field(const struct projection *p,
	const struct element *e,
	struct pathset_range group,
	unsigned level,
	struct document_writer *w)
{
	if (pathset_is_leaf(&p->set, group, level)) {
		if (p->keep) {
			writer_raw(w, e->raw);
		}
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

void projection_apply(const struct projection *p, struct slice document, struct document_writer *w)
{
	size_t start = writer_open(w);
	project_object(p, document, pathset_all(&p->set), 0, w);
	writer_close(w, start);
}
