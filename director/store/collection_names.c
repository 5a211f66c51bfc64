#include "director/store/collection_names.h"

static void add(struct collection_names *x, struct slice name)
{
	char text[24];
	writer_string(&x->t->out, index_name(x->n++, text), name);
}

void collection_names_begin(struct collection_names *x, struct store_task *t)
{
	*x = (struct collection_names){ .t = t };
	x->root = writer_open(&t->out);
	x->values = writer_open_in(&t->out, BT_ARRAY, SLICE("values"));
}

void collection_names_add(struct collection_names *x, struct slice physical)
{
	struct slice name = slice_skip(physical, x->t->plugin.n);
	/* By that name the plugin reaches another one. */
	if (document_find(x->t->aliases, name).type == BT_MISSING) {
		add(x, name);
	}
}

int collection_names_add_aliases(
	struct collection_names *x, collection_names_exists_fn exists, void *arg)
{
	struct document_iter it = document_iter(x->t->aliases);
	struct element e;
	int r = 0;
	while (document_next(&it, &e) && (r == 0 || r == 1)) {
		r = exists(arg, value_string(e.value));
		if (r == 1) {
			add(x, e.name);
		}
	}
	return r == 1 ? 0 : r;
}

void collection_names_end(struct collection_names *x)
{
	writer_close(&x->t->out, x->values);
	writer_close(&x->t->out, x->root);
	x->t->result.n = x->n;
}
