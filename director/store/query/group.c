#include "director/store/query/group.h"

#include "common/base/map.h"
#include "director/store/query/arith.h"
#include "director/store/query/collect.h"
#include "director/store/query/compare.h"
#include "director/store/query/key.h"
#include "director/store/query/number.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

enum accumulator_kind {
	ACCUMULATE_SUM,
	ACCUMULATE_AVG,
	ACCUMULATE_MIN,
	ACCUMULATE_MAX,
	ACCUMULATE_FIRST,
	ACCUMULATE_LAST,
	ACCUMULATE_PUSH,
	ACCUMULATE_ADD_TO_SET,
	ACCUMULATE_COUNT,
	ACCUMULATORS,
};

static const char *const kind_names[ACCUMULATORS] = { "$sum", "$avg", "$min", "$max", "$first",
	"$last", "$push", "$addToSet", "$count" };

enum { FIELDS_MAX = 64 };

struct field {
	struct slice name;
	enum accumulator_kind kind;
	struct expression *expression;
};

/* A sum of numbers: whole ones exactly, doubles with what rounding took (Neumaier). */
struct sum {
	int64_t whole;
	double doubles;
	double lost;
	bool has_double;
	bool has_int64;
	bool wide; /* the whole ones left an int64 and went on as doubles */
};

struct state {
	struct sum sum;
	uint64_t n;
	bool any;
	uint8_t type; /* of the value kept in `bytes` */
	struct buffer bytes;
	struct document_writer
		array; /* $push, $addToSet: the elements, as they stand in an array */
	struct value_set seen;
};

struct bucket {
	UT_hash_handle hh;
	struct state *states; /* one for each field */
	uint8_t *id;
	size_t n_id;
	uint8_t id_type;
	size_t n_key;
	uint8_t key[];
};

struct group {
	struct expression *id;
	struct field fields[FIELDS_MAX];
	unsigned n;
	struct bucket *buckets; /* in the order of their making */
	struct bucket *next;
	bool flushing;
	struct buffer key;
	size_t bytes;
	size_t limit;
};

/* --- compiling --- */

static int accumulator_compile(
	struct field *field, const struct element *e, struct store_failure *f)
{
	unsigned kind = 0;
	while (kind < ACCUMULATORS && !slice_eq(e->name, slice_str(kind_names[kind]))) {
		kind++;
	}
	if (kind == ACCUMULATORS) {
		return store_fail(f, STORE_E_UNSUPPORTED, "unsupported operator %.*s in $group",
			STORE_NAME(e->name));
	}
	field->kind = (enum accumulator_kind)kind;
	if (kind == ACCUMULATE_COUNT) {
		return e->value.type == BT_OBJECT && document_is_empty(e->value.data)
			? 0
			: store_fail(f, STORE_E_INVALID, "$count in $group needs {}");
	}
	return expression_compile(&field->expression, e->value, f);
}

static int field_compile(struct group *g, const struct element *e, struct store_failure *f)
{
	struct document_iter it = document_iter(e->value.data);
	struct element operator;
	struct element surplus;
	if (g->n == FIELDS_MAX) {
		return store_fail(f, STORE_E_LIMIT, "$group with more than %d fields", FIELDS_MAX);
	}
	if (e->name.n == 0 || memchr(e->name.p, '.', e->name.n) != NULL ||
		name_is_operator(e->name)) {
		return store_fail(f, STORE_E_INVALID, "$group: \"%.*s\" is no name of a new field",
			STORE_NAME(e->name));
	}
	if (e->value.type != BT_OBJECT || !document_next(&it, &operator) ||
		document_next(&it, &surplus)) {
		return store_fail(f, STORE_E_INVALID,
			"$group: %.*s needs one operator such as $sum", STORE_NAME(e->name));
	}
	struct field *field = &g->fields[g->n];
	field->name = e->name;
	int r = accumulator_compile(field, &operator, f);
	g->n += r == 0 ? 1 : 0;
	return r;
}

static struct group *group_new(void)
{
	struct group *g = calloc(1, sizeof(*g));
	if (g != NULL) {
		buffer_init(&g->key, SIZE_MAX);
	}
	return g;
}

static int spec_compile(struct group *g, struct slice spec, struct store_failure *f)
{
	struct document_iter it = document_iter(spec);
	struct element e;
	int r = 0;
	while (r == 0 && document_next(&it, &e)) {
		r = slice_eq(e.name, SLICE("_id")) ? expression_compile(&g->id, e.value, f)
						   : field_compile(g, &e, f);
	}
	if (r == 0 && g->id == NULL) {
		r = store_fail(f, STORE_E_INVALID, "$group needs an _id");
	}
	return r;
}

int group_compile(struct group **ret, struct value spec, struct store_failure *f)
{
	if (spec.type != BT_OBJECT) {
		return store_fail(f, STORE_E_INVALID, "$group needs a document, not %s",
			value_type_name(spec.type));
	}
	struct group *g = group_new();
	int r = g == NULL ? -ENOMEM : spec_compile(g, spec.data, f);
	if (r != 0) {
		group_free(g);
		return r;
	}
	*ret = g;
	return 0;
}

int group_compile_count(struct group **ret, struct value v, struct store_failure *f)
{
	struct group *g = group_new();
	int r = g == NULL ? -ENOMEM : expression_compile(&g->id, v, f);
	if (r != 0) {
		group_free(g);
		return r;
	}
	g->fields[0] = (struct field){ .name = SLICE("count"), .kind = ACCUMULATE_COUNT };
	g->n = 1;
	*ret = g;
	return 0;
}

/* --- buckets --- */

static void bucket_free(struct group *g, struct bucket *b)
{
	for (unsigned i = 0; b->states != NULL && i < g->n; i++) {
		buffer_deinit(&b->states[i].bytes);
		writer_deinit(&b->states[i].array);
		value_set_deinit(&b->states[i].seen);
	}
	free(b->states);
	free(b->id);
	free(b);
}

struct group *group_free(struct group *g)
{
	struct bucket *b;
	struct bucket *next;
	if (g == NULL) {
		return NULL;
	}
	HASH_ITER (hh, g->buckets, b, next) {
		HASH_DEL(g->buckets, b);
		bucket_free(g, b);
	}
	for (unsigned i = 0; i < FIELDS_MAX; i++) {
		expression_free(g->fields[i].expression);
	}
	expression_free(g->id);
	buffer_deinit(&g->key);
	free(g);
	return NULL;
}

void group_limit(struct group *g, size_t bytes)
{
	g->limit = bytes;
}

static int charge(struct group *g, size_t n)
{
	if (n > g->limit - g->bytes) {
		return -ENOBUFS;
	}
	g->bytes += n;
	return 0;
}

static int bucket_fill(struct group *g, struct bucket *b, struct value id)
{
	b->states = calloc(g->n == 0 ? 1 : g->n, sizeof(*b->states));
	b->id = malloc(id.data.n == 0 ? 1 : id.data.n);
	if (b->states == NULL || b->id == NULL) {
		return -ENOMEM;
	}
	for (unsigned i = 0; i < g->n; i++) {
		buffer_init(&b->states[i].bytes, g->limit);
		writer_init(&b->states[i].array, g->limit);
		value_set_init(&b->states[i].seen, g->limit);
	}
	if (id.data.n > 0) {
		memcpy(b->id, id.data.p, id.data.n);
	}
	b->n_id = id.data.n;
	b->id_type = id.type;
	b->n_key = g->key.n;
	memcpy(b->key, g->key.p, g->key.n);
	HASH_ADD_KEYPTR(hh, g->buckets, b->key, b->n_key, b);
	return b->hh.tbl == NULL ? -ENOMEM : 0;
}

static int bucket_find(struct group *g, struct value id, struct bucket **ret)
{
	buffer_clear(&g->key);
	int r = key_append(&g->key, id);
	if (r < 0) {
		return r;
	}
	HASH_FIND(hh, g->buckets, g->key.p, g->key.n, *ret);
	if (*ret != NULL) {
		return 0;
	}
	r = charge(g, sizeof(**ret) + g->key.n + id.data.n + g->n * sizeof(struct state));
	if (r < 0) {
		return r;
	}
	struct bucket *b = calloc(1, sizeof(*b) + g->key.n);
	if (b == NULL) {
		return -ENOMEM;
	}
	r = bucket_fill(g, b, id);
	if (r < 0) {
		bucket_free(g, b);
		return r;
	}
	*ret = b;
	return 0;
}

/* --- accumulating --- */

static void sum_double(struct sum *s, double d)
{
	double t = s->doubles + d;
	if (isfinite(t)) {
		s->lost += fabs(s->doubles) >= fabs(d) ? s->doubles - t + d : d - t + s->doubles;
	}
	s->doubles = t;
}

static void sum_add(struct sum *s, struct value v)
{
	int64_t i = 0;
	if (v.type == BT_DOUBLE) {
		s->has_double = true;
		sum_double(s, value_double(v));
		return;
	}
	(void)value_whole(v, &i);
	s->has_int64 = s->has_int64 || v.type == BT_INT64;
	if (__builtin_add_overflow(s->whole, i, &s->whole)) {
		/* The overflowing addition has wrapped: it is undone, and both go on as doubles. */
		s->whole = (int64_t)((uint64_t)s->whole - (uint64_t)i);
		sum_double(s, (double)s->whole);
		sum_double(s, (double)i);
		s->whole = 0;
		s->wide = true;
	}
}

static double sum_total(const struct sum *s)
{
	double lost = isfinite(s->lost) && isfinite(s->doubles) ? s->lost : 0;
	return (double)s->whole + s->doubles + lost;
}

static void sum_result(const struct sum *s, struct number *ret)
{
	if (s->has_double || s->wide) {
		number_set_double(ret, sum_total(s));
	} else if (s->has_int64) {
		number_set_int64(ret, s->whole);
	} else {
		number_set_int(ret, s->whole);
	}
}

static int keep_value(struct group *g, struct state *s, struct value v)
{
	if (v.data.n > s->bytes.n) {
		int r = charge(g, v.data.n - s->bytes.n);
		if (r < 0) {
			return r;
		}
	}
	buffer_clear(&s->bytes);
	s->any = true;
	s->type = v.type == BT_MISSING ? BT_NULL : v.type;
	return buffer_append(&s->bytes, v.data);
}

static bool is_nothing(struct value v)
{
	return v.type == BT_MISSING || v.type == BT_NULL || v.type == BT_UNDEFINED;
}

static int keep_extreme(struct group *g, struct state *s, bool least, struct value v)
{
	if (is_nothing(v)) {
		return 0;
	}
	struct value kept = { s->type, buffer_slice(&s->bytes) };
	int c = s->any ? value_compare(v, kept) : 0;
	return !s->any || (least ? c < 0 : c > 0) ? keep_value(g, s, v) : 0;
}

static int push_value(struct group *g, struct state *s, struct value v)
{
	char text[24];
	struct slice name = index_name(s->n++, text);
	int r = charge(g, v.data.n + name.n + 2);
	if (r == 0) {
		writer_value(&s->array, name, v);
		r = s->array.error;
	}
	return r;
}

static int add_value(struct group *g, struct state *s, struct value v)
{
	size_t before = s->seen.bytes;
	int r = value_set_add(&s->seen, v);
	if (r <= 0) {
		return r;
	}
	r = charge(g, s->seen.bytes - before);
	return r < 0 ? r : push_value(g, s, v);
}

static int number_taken(
	const struct field *field, struct state *s, struct evaluation *x, struct value v)
{
	if (v.type == BT_DECIMAL) {
		x->error = store_fail(x->failure, STORE_E_UNSUPPORTED,
			"%s of a decimal128 is not supported", kind_names[field->kind]);
		return x->error;
	}
	if (value_is_number(v)) {
		sum_add(&s->sum, v);
		s->n++;
	}
	return 0;
}

static int accumulate(struct group *g,
	const struct field *field,
	struct state *s,
	struct evaluation *x,
	struct value v)
{
	switch (field->kind) {
	case ACCUMULATE_SUM:
	case ACCUMULATE_AVG:
		return number_taken(field, s, x, v);
	case ACCUMULATE_COUNT:
		s->sum.whole++;
		return 0;
	case ACCUMULATE_MIN:
	case ACCUMULATE_MAX:
		return keep_extreme(g, s, field->kind == ACCUMULATE_MIN, v);
	case ACCUMULATE_FIRST:
		return s->any ? 0 : keep_value(g, s, v);
	case ACCUMULATE_LAST:
		return keep_value(g, s, v);
	case ACCUMULATE_PUSH:
		return v.type == BT_MISSING ? 0 : push_value(g, s, v);
	case ACCUMULATE_ADD_TO_SET:
		return v.type == BT_MISSING ? 0 : add_value(g, s, v);
	case ACCUMULATORS:
		break;
	}
	return 0;
}

int group_add(struct group *g, struct evaluation *x, struct slice document)
{
	struct value id;
	struct bucket *b = NULL;
	int r = expression_evaluate(g->id, x, document, &id);
	if (r != 0) {
		return r;
	}
	/* The group of what is missing is that of null. */
	id.type = id.type == BT_MISSING ? BT_NULL : id.type;
	r = bucket_find(g, id, &b);
	for (unsigned i = 0; i < g->n && r == 0; i++) {
		struct value v = VALUE_MISSING;
		if (g->fields[i].expression != NULL) {
			r = expression_evaluate(g->fields[i].expression, x, document, &v);
		}
		r = r != 0 ? r : accumulate(g, &g->fields[i], &b->states[i], x, v);
	}
	return r;
}

/* --- results --- */

static void write_array(struct document_writer *w, struct slice name, const struct state *s)
{
	size_t start = writer_open_in(w, BT_ARRAY, name);
	writer_raw(w, buffer_slice(&s->array.b));
	writer_close(w, start);
}

static void write_field(struct document_writer *w, const struct field *field, const struct state *s)
{
	struct number n;
	switch (field->kind) {
	case ACCUMULATE_SUM:
	case ACCUMULATE_COUNT:
		sum_result(&s->sum, &n);
		writer_value(w, field->name, number_view(&n));
		return;
	case ACCUMULATE_AVG:
		if (s->n == 0) {
			writer_null(w, field->name);
		} else {
			writer_double(w, field->name, sum_total(&s->sum) / (double)s->n);
		}
		return;
	case ACCUMULATE_MIN:
	case ACCUMULATE_MAX:
	case ACCUMULATE_FIRST:
	case ACCUMULATE_LAST:
		writer_value(w, field->name,
			s->any ? (struct value){ s->type, buffer_slice(&s->bytes) }
			       : (struct value){ .type = BT_NULL });
		return;
	case ACCUMULATE_PUSH:
	case ACCUMULATE_ADD_TO_SET:
		write_array(w, field->name, s);
		return;
	case ACCUMULATORS:
		break;
	}
}

bool group_next(struct group *g, struct document_writer *w)
{
	if (!g->flushing) {
		g->flushing = true;
		g->next = g->buckets;
	}
	struct bucket *b = g->next;
	if (b == NULL) {
		return false;
	}
	size_t start = writer_open(w);
	writer_value(w, SLICE("_id"), (struct value){ b->id_type, slice_of(b->id, b->n_id) });
	for (unsigned i = 0; i < g->n; i++) {
		write_field(w, &g->fields[i], &b->states[i]);
	}
	writer_close(w, start);
	g->next = (struct bucket *)b->hh.next;
	return true;
}
