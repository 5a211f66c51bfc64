#include "director/store/query/index.h"

#include "director/store/query/key.h"
#include "director/store/query/number.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

/* --- compiling --- */

/* Whether its direction is another one than the first field's. */
static bool is_inverted(const struct index_spec *s, int64_t direction)
{
	struct element first;
	int64_t ahead = 1;
	struct document_iter it = document_iter(s->keys);
	return document_next(&it, &first) && value_whole(first.value, &ahead) && ahead != direction;
}

static int field_add(struct index_spec *s, const struct element *e, struct store_failure *f)
{
	int64_t direction = 0;
	if (s->n == INDEX_FIELDS_MAX) {
		return store_fail(
			f, STORE_E_LIMIT, "an index of more than %d fields", INDEX_FIELDS_MAX);
	}
	if (e->value.type == BT_STRING) {
		return store_fail(f, STORE_E_UNSUPPORTED, "unsupported kind of index: \"%.*s\"",
			STORE_NAME(value_string(e->value)));
	}
	if (!value_whole(e->value, &direction) || (direction != 1 && direction != -1)) {
		return store_fail(
			f, STORE_E_INVALID, "the index on %.*s needs 1 or -1", STORE_NAME(e->name));
	}
	if (memchr(e->name.p, '$', e->name.n) != NULL) {
		return store_fail(f, STORE_E_INVALID, "an index on %.*s", STORE_NAME(e->name));
	}
	struct index_field *field = &s->fields[s->n++];
	field->name = e->name;
	field->inverted = is_inverted(s, direction);
	return path_parts_add(&s->parts, e->name, &field->part, &field->n_parts, f);
}

static int take_keys(struct index_spec *s, struct value v, struct store_failure *f)
{
	struct document_iter it = document_iter(v.data);
	struct element e;
	int r = 0;
	s->keys = v.data;
	while (v.type == BT_OBJECT && r == 0 && document_next(&it, &e)) {
		r = field_add(s, &e, f);
	}
	return r;
}

static int take_name(struct index_spec *s, struct value v, struct store_failure *f)
{
	struct slice name = v.type == BT_STRING ? value_string(v) : SLICE_NULL;
	if (name.n == 0 || name.n > INDEX_NAME_MAX || memchr(name.p, 0, name.n) != NULL) {
		return store_fail(f, STORE_E_INVALID,
			"the name of an index has 1 to %d bytes (a fixed limit) and no NUL",
			INDEX_NAME_MAX);
	}
	s->name = name;
	return 0;
}

static int take_bool(bool *ret, const char *name, struct value v, struct store_failure *f)
{
	*ret = value_truth(v);
	return v.type == BT_BOOL || value_is_number(v)
		? 0
		: store_fail(f, STORE_E_INVALID, "%s needs true or false", name);
}

static int take_unique(struct index_spec *s, struct value v, struct store_failure *f)
{
	return take_bool(&s->unique, "unique", v, f);
}

static int take_sparse(struct index_spec *s, struct value v, struct store_failure *f)
{
	return take_bool(&s->sparse, "sparse", v, f);
}

static int take_expire(struct index_spec *s, struct value v, struct store_failure *f)
{
	if (!value_whole(v, &s->expire) || s->expire < 0 || s->expire > INT32_MAX) {
		return store_fail(f, STORE_E_INVALID,
			"expireAfterSeconds needs a whole number from 0 to %d", INT32_MAX);
	}
	return 0;
}

static const struct {
	const char *name;
	int (*take)(struct index_spec *s, struct value v, struct store_failure *f);
} options[] = {
	{ "key", take_keys },
	{ "name", take_name },
	{ "unique", take_unique },
	{ "sparse", take_sparse },
	{ "expireAfterSeconds", take_expire },
};

static int option_take(struct index_spec *s, const struct element *e, struct store_failure *f)
{
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		if (slice_eq(e->name, slice_str(options[i].name))) {
			return options[i].take(s, e->value, f);
		}
	}
	return store_fail(f, STORE_E_UNSUPPORTED, "unsupported option of an index: %.*s",
		STORE_NAME(e->name));
}

int index_compile(struct index_spec *s, struct slice spec, struct store_failure *f)
{
	struct document_iter it = document_iter(spec);
	struct element e;
	int r = 0;
	*s = (struct index_spec){ .expire = -1 };
	while (r == 0 && document_next(&it, &e)) {
		r = option_take(s, &e, f);
	}
	if (r != 0) {
		return r;
	}
	if (s->n == 0 || s->name.n == 0) {
		return store_fail(f, STORE_E_INVALID, "an index needs a key and a name");
	}
	if (slice_eq(s->name, SLICE("_id_")) || slice_eq(s->name, SLICE("owner")) ||
		(s->n == 1 && slice_eq(s->fields[0].name, SLICE("_id")))) {
		return store_fail(
			f, STORE_E_INVALID, "there is an index on _id and user_id already");
	}
	if (s->sparse && s->n > 1) {
		return store_fail(f, STORE_E_UNSUPPORTED, "sparse is of an index of one field");
	}
	if (s->expire >= 0 && (s->n > 1 || s->unique)) {
		return store_fail(f, STORE_E_UNSUPPORTED,
			"expireAfterSeconds is of an index of one field that is not unique");
	}
	return 0;
}

void index_deinit(struct index_spec *s)
{
	path_parts_deinit(&s->parts);
}

void index_write(struct document_writer *w,
	struct slice keys,
	struct slice name,
	bool unique,
	bool sparse,
	int64_t expire)
{
	size_t start = writer_open(w);
	writer_value(w, SLICE("key"), (struct value){ BT_OBJECT, keys });
	writer_string(w, SLICE("name"), name);
	if (unique) {
		writer_bool(w, SLICE("unique"), true);
	}
	if (sparse) {
		writer_bool(w, SLICE("sparse"), true);
	}
	if (expire >= 0) {
		writer_int32(w, SLICE("expireAfterSeconds"), (int32_t)expire);
	}
	writer_close(w, start);
}

/* --- keys --- */

/* The keys of one field's values in a row, and where each ends. */
struct column {
	struct buffer bytes;
	size_t *ends;
	unsigned n;
	unsigned cap;
};

struct gathering {
	struct column *column;
	bool inverted;
	unsigned keys;
	bool any;   /* of all fields: something is there */
	bool loose; /* an empty array is */
	int error;
};

static int add_end(struct column *c)
{
	if (c->n == c->cap) {
		unsigned cap = c->cap == 0 ? 4 : c->cap * 2;
		size_t *p = reallocarray(c->ends, cap, sizeof(*p));
		if (p == NULL) {
			return -ENOMEM;
		}
		c->ends = p;
		c->cap = cap;
	}
	c->ends[c->n++] = c->bytes.n;
	return 0;
}

static bool gather(void *arg, struct value v)
{
	struct gathering *g = (struct gathering *)arg;
	struct column *c = g->column;
	g->any = g->any || v.type != BT_MISSING;
	if (c->n == g->keys) {
		g->error = -E2BIG;
		return true;
	}
	/* An empty array is what nothing is. */
	g->loose = g->loose || v.type == BT_UNDEFINED;
	v.type = v.type == BT_UNDEFINED ? BT_NULL : v.type;
	size_t start = c->bytes.n;
	g->error = key_append(&c->bytes, v);
	if (g->inverted) {
		key_invert(&c->bytes, start);
	}
	g->error = g->error != 0 ? g->error : add_end(c);
	return g->error != 0;
}

static struct slice key_at(const struct column *c, unsigned i)
{
	size_t start = i == 0 ? 0 : c->ends[i - 1];
	return slice_of(c->bytes.p + start, c->ends[i] - start);
}

struct emission {
	const struct index_spec *s;
	const struct index_visit *v;
	struct column *columns;
	struct buffer key;
	unsigned keys;
	unsigned n;
};

/* All combinations: of most documents one; nests as deep as there are fields. */
static int emit(struct emission *e, unsigned field)
{
	int r = 0;
	if (field == e->s->n) {
		struct slice key = buffer_slice(&e->key);
		return e->n++ == e->keys ? -E2BIG : e->v->fn(e->v->arg, key);
	}
	for (unsigned i = 0; i < e->columns[field].n && r == 0; i++) {
		size_t n = e->key.n;
		r = buffer_append(&e->key, key_at(&e->columns[field], i));
		r = r < 0 ? r : emit(e, field + 1);
		e->key.n = n;
	}
	return r;
}

static int gather_fields(const struct index_spec *s,
	struct column *columns,
	struct slice document,
	struct budget *budget,
	struct gathering *g)
{
	struct value root = { BT_OBJECT, document };
	for (unsigned i = 0; i < s->n && g->error == 0; i++) {
		struct path path = { s->parts.p + s->fields[i].part, s->fields[i].n_parts };
		g->column = &columns[i];
		g->inverted = s->fields[i].inverted;
		(void)path_values(path, root, budget, gather, g);
	}
	return g->error;
}

int index_each_key(const struct index_spec *s,
	struct slice prefix,
	struct slice document,
	struct budget *budget,
	struct index_visit *v,
	struct store_failure *f)
{
	struct column *columns = calloc(s->n, sizeof(*columns));
	struct gathering g = { .keys = v->keys == 0 ? UINT_MAX : v->keys };
	struct emission e = { .s = s, .v = v, .columns = columns, .keys = g.keys };
	if (columns == NULL) {
		return -ENOMEM;
	}
	for (unsigned i = 0; i < s->n; i++) {
		buffer_init(&columns[i].bytes, SIZE_MAX);
	}
	buffer_init(&e.key, SIZE_MAX);
	int r = gather_fields(s, columns, document, budget, &g);
	r = r != 0 ? r : buffer_append(&e.key, prefix);
	if (r == 0 && (g.any || !s->sparse)) {
		r = emit(&e, 0);
	}
	for (unsigned i = 0; i < s->n; i++) {
		buffer_deinit(&columns[i].bytes);
		free(columns[i].ends);
	}
	buffer_deinit(&e.key);
	free(columns);
	v->loose = g.loose || e.n > 1;
	if (r == -E2BIG) {
		return store_fail(f, STORE_E_LIMIT,
			"a document with more than %u keys (MOZAIKS_MAX_INDEX_KEYS) in the index %.*s",
			v->keys, STORE_NAME(s->name));
	}
	return r;
}
