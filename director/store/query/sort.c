#include "director/store/query/sort.h"

#include "director/store/query/compare.h"
#include "director/store/query/key.h"
#include "director/store/query/number.h"

#include <errno.h>
#include <stdlib.h>

struct sort_field {
	uint32_t part;
	uint32_t n_parts;
	bool descending;
};

struct sort {
	struct path_parts parts;
	unsigned n;
	struct sort_field fields[SORT_FIELDS_MAX];
};

static int field_add(struct sort *s, const struct element *e, struct store_failure *f)
{
	int64_t direction = 0;
	if (s->n == SORT_FIELDS_MAX) {
		return store_fail(f, STORE_E_LIMIT, "a sort by more than %d fields (a fixed limit)",
			SORT_FIELDS_MAX);
	}
	if (name_is_operator(e->name)) {
		return store_fail(f, STORE_E_UNSUPPORTED, "unsupported operator %.*s in a sort",
			STORE_NAME(e->name));
	}
	if (e->value.type == BT_OBJECT) {
		return store_fail(f, STORE_E_UNSUPPORTED,
			"the sort by %.*s: only 1 and -1 are supported", STORE_NAME(e->name));
	}
	if (!value_whole(e->value, &direction) || (direction != 1 && direction != -1)) {
		return store_fail(
			f, STORE_E_INVALID, "the sort by %.*s needs 1 or -1", STORE_NAME(e->name));
	}
	struct sort_field *field = &s->fields[s->n++];
	field->descending = direction < 0;
	return path_parts_add(&s->parts, e->name, &field->part, &field->n_parts, f);
}

int sort_compile(struct sort **ret, struct slice spec, struct store_failure *f)
{
	struct document_iter it = document_iter(spec);
	struct element e;
	int r = 0;
	if (document_is_empty(spec)) {
		*ret = NULL;
		return 0;
	}
	struct sort *s = calloc(1, sizeof(*s));
	if (s == NULL) {
		return -ENOMEM;
	}
	while (r == 0 && document_next(&it, &e)) {
		r = field_add(s, &e, f);
	}
	if (r != 0) {
		sort_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

struct sort *sort_free(struct sort *s)
{
	if (s != NULL) {
		path_parts_deinit(&s->parts);
		free(s);
	}
	return NULL;
}

struct extreme {
	struct value best;
	bool descending;
	bool any;
};

static bool keep_extreme(void *arg, struct value v)
{
	struct extreme *x = (struct extreme *)arg;
	int c = x->any ? value_compare(v, x->best) : 0;
	if (!x->any || (x->descending ? c > 0 : c < 0)) {
		x->best = v;
		x->any = true;
	}
	return false;
}

int sort_key(const struct sort *s, struct slice document, struct budget *budget, struct buffer *key)
{
	struct value root = { BT_OBJECT, document };
	int r = 0;
	for (unsigned i = 0; i < s->n && r == 0; i++) {
		const struct sort_field *field = &s->fields[i];
		struct path path = { s->parts.p + field->part, field->n_parts };
		struct extreme x = { VALUE_MISSING, field->descending, false };
		size_t start = key->n;
		(void)path_values(path, root, budget, keep_extreme, &x);
		r = key_append(key, x.best);
		for (size_t j = start; field->descending && j < key->n; j++) {
			key->p[j] = (uint8_t)~key->p[j];
		}
	}
	return r;
}
