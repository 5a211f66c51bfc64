#include "director/store/mongodb/filter.h"

#include "director/store/mongodb/command.h"

/* The one field of the scope, when the filter is {$and: [{<scope>}, {<own>}]}. */
static bool take_apart(struct slice filter, struct element *ret_scope, struct slice *ret_own)
{
	struct document_iter it = document_iter(filter);
	struct element both;
	struct element first;
	struct element second;
	struct element more;
	if (!document_next(&it, &both) || !slice_eq(both.name, SLICE("$and")) ||
		both.value.type != BT_ARRAY || document_next(&it, &more)) {
		return false;
	}
	struct document_iter parts = document_iter(both.value.data);
	if (!document_next(&parts, &first) || first.value.type != BT_OBJECT ||
		!document_next(&parts, &second) || second.value.type != BT_OBJECT ||
		document_next(&parts, &more)) {
		return false;
	}
	struct document_iter scope = document_iter(first.value.data);
	*ret_own = second.value.data;
	return document_next(&scope, ret_scope) && !document_next(&scope, &more);
}

/* Conditions of plain fields that can stand beside the scope. */
static bool stands_beside(struct slice own, struct slice scope_name)
{
	struct document_iter it = document_iter(own);
	struct element e;
	while (document_next(&it, &e)) {
		if (e.name.n == 0 || e.name.p[0] == '$' || slice_eq(e.name, scope_name)) {
			return false;
		}
	}
	return true;
}

void mongodb_filter_init(bson_t *ret, const struct store_task *t)
{
	struct element scope;
	struct slice own;
	bson_t view;
	if (t->scope == STORE_SCOPE_SHARED || !take_apart(t->filter, &scope, &own) ||
		!stands_beside(own, scope.name)) {
		mongodb_view(ret, t->filter);
		return;
	}
	struct document_writer w;
	writer_init(&w, t->filter.n);
	size_t start = writer_open(&w);
	struct document_iter it = document_iter(own);
	struct element e;
	writer_raw(&w, scope.raw);
	while (document_next(&it, &e)) {
		writer_raw(&w, e.raw);
	}
	writer_close(&w, start);
	if (w.error < 0) {
		/* No memory: the long form will do. */
		mongodb_view(ret, t->filter);
	} else {
		mongodb_view(&view, buffer_slice(&w.b));
		bson_copy_to(&view, ret);
	}
	writer_deinit(&w);
}
