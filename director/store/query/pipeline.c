#include "director/store/query/pipeline.h"

#include "director/store/query/collect.h"
#include "director/store/query/group.h"
#include "director/store/query/number.h"
#include "director/store/query/reshape.h"
#include "director/store/query/sort.h"

#include <errno.h>
#include <stdlib.h>

enum stage_kind {
	STAGE_MATCH,
	STAGE_RESHAPE,
	STAGE_GROUP,
	STAGE_SORT,
	STAGE_LIMIT,
	STAGE_SKIP,
	STAGE_UNWIND,
	STAGE_COUNT,
};

struct stage {
	enum stage_kind kind;
	const char *name;
	struct matcher *matcher;
	struct reshape *reshape;
	struct group *group;
	struct sort *sort;
	struct collect collected; /* STAGE_SORT */
	uint64_t n;               /* $limit, $skip: how many; of $count: how many there were */
	uint64_t seen;
	struct slice field;      /* $count, $unwind: a name, a path */
	struct slice index;      /* $unwind: includeArrayIndex */
	bool keeps_empty;        /* $unwind: preserveNullAndEmptyArrays */
	struct path_parts parts; /* $unwind: of `field` */
	uint32_t n_parts;
	struct document_writer out; /* the document that goes on */
	struct arena arena;
};

struct pipeline {
	struct pipeline_limits limits;
	struct stage *stages;
	unsigned n;
	unsigned cap;
	unsigned holders; /* stages that hold on to documents, and share the limit */
	/* Stages before this one need no more documents: a $limit there has had its fill. */
	unsigned full;
};

/* --- compiling --- */

struct compiler {
	struct pipeline *p;
	struct store_failure *failure;
};

typedef int (*stage_fn)(struct compiler *c, struct stage *s, struct value v);

static int stage_wants(struct compiler *c, const struct stage *s, const char *what, struct value v)
{
	return store_fail(c->failure, STORE_E_INVALID, "%s needs %s, not %s", s->name, what,
		value_type_name(v.type));
}

static int compile_match(struct compiler *c, struct stage *s, struct value v)
{
	s->kind = STAGE_MATCH;
	return v.type == BT_OBJECT
		? matcher_compile(&s->matcher, v.data, &c->p->limits.match, c->failure)
		: stage_wants(c, s, "a filter", v);
}

static int compile_reshape(
	struct compiler *c, struct stage *s, enum reshape_kind kind, struct value v)
{
	s->kind = STAGE_RESHAPE;
	return reshape_compile(&s->reshape, kind, v, c->p->limits.text_bytes, c->failure);
}

static int compile_project(struct compiler *c, struct stage *s, struct value v)
{
	return compile_reshape(c, s, RESHAPE_PROJECT, v);
}

static int compile_add(struct compiler *c, struct stage *s, struct value v)
{
	return compile_reshape(c, s, RESHAPE_ADD, v);
}

static int compile_unset(struct compiler *c, struct stage *s, struct value v)
{
	return compile_reshape(c, s, RESHAPE_UNSET, v);
}

static int compile_group(struct compiler *c, struct stage *s, struct value v)
{
	s->kind = STAGE_GROUP;
	return group_compile(&s->group, v, c->failure);
}

static int compile_sort(struct compiler *c, struct stage *s, struct value v)
{
	s->kind = STAGE_SORT;
	if (v.type != BT_OBJECT || document_is_empty(v.data)) {
		return stage_wants(c, s, "the names of fields", v);
	}
	return sort_compile(&s->sort, v.data, c->failure);
}

static int number_of(
	struct compiler *c, struct stage *s, struct value v, int64_t least, uint64_t *ret)
{
	int64_t n = 0;
	if (!value_whole(v, &n) || n < least) {
		return store_fail(c->failure, STORE_E_INVALID, "%s needs a whole number from %d on",
			s->name, (int)least);
	}
	*ret = (uint64_t)n;
	return 0;
}

static int compile_limit(struct compiler *c, struct stage *s, struct value v)
{
	s->kind = STAGE_LIMIT;
	return number_of(c, s, v, 1, &s->n);
}

static int compile_skip(struct compiler *c, struct stage *s, struct value v)
{
	s->kind = STAGE_SKIP;
	int r = number_of(c, s, v, 0, &s->n);
	if (r == 0 && s->n > c->p->limits.skip) {
		return store_fail(c->failure, STORE_E_LIMIT,
			"$skip is %llu; the limit is %u (MOZAIKS_MAX_SKIP)",
			(unsigned long long)s->n, c->p->limits.skip);
	}
	return r;
}

static bool is_plain_name(struct slice name)
{
	return name.n > 0 && !name_is_operator(name) && memchr(name.p, '.', name.n) == NULL &&
		memchr(name.p, 0, name.n) == NULL;
}

static int compile_count(struct compiler *c, struct stage *s, struct value v)
{
	s->kind = STAGE_COUNT;
	if (v.type != BT_STRING || !is_plain_name(value_string(v))) {
		return stage_wants(c, s, "the name of a field", v);
	}
	s->field = value_string(v);
	return 0;
}

static int unwind_path(struct compiler *c, struct stage *s, struct value v)
{
	uint32_t first = 0;
	struct slice text = v.type == BT_STRING ? value_string(v) : SLICE_NULL;
	if (text.n < 2 || text.p[0] != '$' || text.p[1] == '$' ||
		memchr(text.p, 0, text.n) != NULL) {
		return stage_wants(c, s, "a path such as \"$items\"", v);
	}
	s->field = slice_skip(text, 1);
	return path_parts_add(&s->parts, s->field, &first, &s->n_parts, c->failure);
}

static int unwind_option(struct compiler *c, struct stage *s, const struct element *e)
{
	if (slice_eq(e->name, SLICE("path"))) {
		return unwind_path(c, s, e->value);
	}
	if (slice_eq(e->name, SLICE("includeArrayIndex"))) {
		if (e->value.type != BT_STRING || !is_plain_name(value_string(e->value))) {
			return stage_wants(c, s, "includeArrayIndex to be a name", e->value);
		}
		s->index = value_string(e->value);
		return 0;
	}
	if (slice_eq(e->name, SLICE("preserveNullAndEmptyArrays"))) {
		s->keeps_empty = value_truth(e->value);
		return e->value.type == BT_BOOL
			? 0
			: stage_wants(
				  c, s, "preserveNullAndEmptyArrays to be true or false", e->value);
	}
	return store_fail(
		c->failure, STORE_E_UNSUPPORTED, "$unwind does not know %.*s", STORE_NAME(e->name));
}

static int compile_unwind(struct compiler *c, struct stage *s, struct value v)
{
	struct document_iter it = document_iter(v.data);
	struct element e;
	int r = 0;
	s->kind = STAGE_UNWIND;
	if (v.type != BT_OBJECT) {
		return unwind_path(c, s, v);
	}
	while (r == 0 && document_next(&it, &e)) {
		r = unwind_option(c, s, &e);
	}
	return r == 0 && s->field.n == 0 ? stage_wants(c, s, "a path", v) : r;
}

static struct stage *stage_add(struct compiler *c, const char *name)
{
	struct pipeline *p = c->p;
	if (p->n == p->cap) {
		unsigned cap = p->cap == 0 ? 8 : p->cap * 2;
		struct stage *stages = reallocarray(p->stages, cap, sizeof(*stages));
		if (stages == NULL) {
			return NULL;
		}
		p->stages = stages;
		p->cap = cap;
	}
	struct stage *s = &p->stages[p->n++];
	*s = (struct stage){ .name = name };
	writer_init(&s->out, p->limits.result_bytes);
	arena_init(&s->arena, p->limits.result_bytes);
	return s;
}

/* Two stages: {$group: {_id: v, count: {$sum: 1}}}, {$sort: {count: -1}}. */
static int compile_sort_by_count(struct compiler *c, struct stage *s, struct value v)
{
	static const uint8_t by_count[] = { 16, 0, 0, 0, BT_INT32, 'c', 'o', 'u', 'n', 't', 0, 0xff,
		0xff, 0xff, 0xff, 0 };
	bool expression = (v.type == BT_STRING && slice_starts(value_string(v), SLICE("$"))) ||
		(v.type == BT_OBJECT && !document_is_empty(v.data));
	if (!expression) {
		return stage_wants(c, s, "a field or an expression", v);
	}
	s->kind = STAGE_GROUP;
	int r = group_compile_count(&s->group, v, c->failure);
	if (r != 0) {
		return r;
	}
	struct stage *sort = stage_add(c, "$sortByCount");
	if (sort == NULL) {
		return -ENOMEM;
	}
	sort->kind = STAGE_SORT;
	return sort_compile(&sort->sort, slice_of(by_count, sizeof(by_count)), c->failure);
}

static const struct {
	const char *name;
	stage_fn compile;
} stage_table[] = {
	{ "$match", compile_match },
	{ "$project", compile_project },
	{ "$addFields", compile_add },
	{ "$set", compile_add },
	{ "$unset", compile_unset },
	{ "$group", compile_group },
	{ "$sort", compile_sort },
	{ "$limit", compile_limit },
	{ "$skip", compile_skip },
	{ "$unwind", compile_unwind },
	{ "$count", compile_count },
	{ "$sortByCount", compile_sort_by_count },
};

static int stage_compile(struct compiler *c, struct value v)
{
	struct document_iter it = document_iter(v.data);
	struct element e;
	struct element surplus;
	if (v.type != BT_OBJECT || !document_next(&it, &e) || document_next(&it, &surplus)) {
		return store_fail(c->failure, STORE_E_INVALID,
			"a stage is a document with one name such as $match");
	}
	for (size_t i = 0; i < sizeof(stage_table) / sizeof(stage_table[0]); i++) {
		if (slice_eq(e.name, slice_str(stage_table[i].name))) {
			struct stage *s = stage_add(c, stage_table[i].name);
			return s == NULL ? -ENOMEM : stage_table[i].compile(c, s, e.value);
		}
	}
	return store_fail(
		c->failure, STORE_E_UNSUPPORTED, "unsupported stage %.*s", STORE_NAME(e.name));
}

static bool holds(const struct stage *s)
{
	return s->kind == STAGE_GROUP || s->kind == STAGE_SORT;
}

/* A sort keeps no more than a $limit right behind it lets through. */
static uint64_t wanted_of(const struct pipeline *p, unsigned i)
{
	return i + 1 < p->n && p->stages[i + 1].kind == STAGE_LIMIT ? p->stages[i + 1].n : 0;
}

static size_t share_of(const struct pipeline *p)
{
	return p->limits.result_bytes / (p->holders == 0 ? 1 : p->holders);
}

static void share_limit(struct pipeline *p)
{
	for (unsigned i = 0; i < p->n; i++) {
		p->holders += holds(&p->stages[i]) ? 1 : 0;
	}
	for (unsigned i = 0; i < p->n; i++) {
		struct stage *s = &p->stages[i];
		if (s->kind == STAGE_GROUP) {
			group_limit(s->group, share_of(p));
		}
		if (s->kind == STAGE_SORT) {
			collect_init(&s->collected, share_of(p), wanted_of(p, i));
		}
	}
}

static int stages_compile(struct compiler *c, struct slice stages)
{
	struct document_iter it = document_iter(stages);
	struct element e;
	unsigned n = 0;
	int r = 0;
	while (r == 0 && document_next(&it, &e)) {
		if (++n > c->p->limits.stages) {
			return store_fail(c->failure, STORE_E_LIMIT,
				"a pipeline of more than %u stages (MOZAIKS_MAX_PIPELINE_STAGES)",
				c->p->limits.stages);
		}
		r = stage_compile(c, e.value);
	}
	return r;
}

int pipeline_compile(struct pipeline **ret,
	struct slice stages,
	const struct pipeline_limits *limits,
	struct store_failure *f)
{
	struct compiler c = { calloc(1, sizeof(*c.p)), f };
	if (c.p == NULL) {
		return -ENOMEM;
	}
	c.p->limits = *limits;
	int r = stages_compile(&c, stages);
	if (r != 0) {
		pipeline_free(c.p);
		return r;
	}
	share_limit(c.p);
	*ret = c.p;
	return 0;
}

struct pipeline *pipeline_free(struct pipeline *p)
{
	if (p == NULL) {
		return NULL;
	}
	for (unsigned i = 0; i < p->n; i++) {
		struct stage *s = &p->stages[i];
		matcher_free(s->matcher);
		reshape_free(s->reshape);
		group_free(s->group);
		sort_free(s->sort);
		collect_deinit(&s->collected);
		path_parts_deinit(&s->parts);
		writer_deinit(&s->out);
		arena_deinit(&s->arena);
	}
	free(p->stages);
	free(p);
	return NULL;
}

/* --- running --- */

static int push(struct pipeline_run *run, unsigned i, struct slice document);

static int too_much(struct pipeline_run *run, const struct stage *s, int r)
{
	if (r != -ENOBUFS) {
		return r;
	}
	return store_fail(run->failure, STORE_E_LIMIT,
		"%s needs more than %zu bytes (MOZAIKS_MAX_RESULT_BYTES, for %u such stages)",
		s->name, share_of(run->p), run->p->holders == 0 ? 1 : run->p->holders);
}

static struct evaluation evaluation_of(struct pipeline_run *run, struct stage *s)
{
	arena_clear(&s->arena);
	return (struct evaluation){ .arena = &s->arena,
		.budget = run->budget,
		.now_ms = run->now_ms,
		.failure = run->failure };
}

static void out_begin(struct stage *s)
{
	buffer_clear(&s->out.b);
	s->out.error = 0;
}

/* A document that stage `i` has made goes on. */
static int out_push(struct pipeline_run *run, unsigned i)
{
	struct stage *s = &run->p->stages[i];
	struct slice document = buffer_slice(&s->out.b);
	if (s->out.error != 0) {
		return too_much(run, s, s->out.error);
	}
	if (!document_depth_within(document, DOCUMENT_DEPTH_MAX)) {
		return store_fail(run->failure, STORE_E_LIMIT,
			"%s makes a document nested deeper than %d levels (a fixed limit)", s->name,
			DOCUMENT_DEPTH_MAX);
	}
	return push(run, i + 1, document);
}

static int push_match(struct pipeline_run *run, unsigned i, struct slice document)
{
	bool match = matcher_match(run->p->stages[i].matcher, document, run->budget);
	return match ? push(run, i + 1, document) : 0;
}

static int push_reshape(struct pipeline_run *run, unsigned i, struct slice document)
{
	struct stage *s = &run->p->stages[i];
	struct evaluation x = evaluation_of(run, s);
	out_begin(s);
	int r = reshape_apply(s->reshape, &x, document, &s->out);
	if (budget_spent(run->budget)) {
		return 0;
	}
	return r != 0 ? too_much(run, s, r) : out_push(run, i);
}

static int push_group(struct pipeline_run *run, unsigned i, struct slice document)
{
	struct stage *s = &run->p->stages[i];
	struct evaluation x = evaluation_of(run, s);
	return too_much(run, s, group_add(s->group, &x, document));
}

static int push_sort(struct pipeline_run *run, unsigned i, struct slice document)
{
	struct stage *s = &run->p->stages[i];
	int r = collect_begin(&s->collected);
	r = r < 0 ? r : sort_key(s->sort, document, run->budget, &s->collected.keys);
	r = r < 0 ? r : collect_end(&s->collected, document);
	return too_much(run, s, r);
}

static int push_limit(struct pipeline_run *run, unsigned i, struct slice document)
{
	struct stage *s = &run->p->stages[i];
	if (s->seen == s->n) {
		return 0;
	}
	if (++s->seen == s->n && run->p->full < i + 1) {
		run->p->full = i + 1;
	}
	return push(run, i + 1, document);
}

static int push_skip(struct pipeline_run *run, unsigned i, struct slice document)
{
	struct stage *s = &run->p->stages[i];
	if (s->seen < s->n) {
		s->seen++;
		return 0;
	}
	return push(run, i + 1, document);
}

/* --- $unwind --- */

/* Through documents only: an array on the way has no such field. */
static struct value unwind_value(const struct stage *s, struct slice document)
{
	struct value v = { BT_OBJECT, document };
	for (uint32_t i = 0; i < s->n_parts; i++) {
		v = v.type == BT_OBJECT ? document_find(v.data, s->parts.p[i].name) : VALUE_MISSING;
	}
	return v;
}

/* Writes the document with `v` at the path; nests as deep as the path. */
static void unwind_write(struct stage *s, struct slice document, uint32_t level, struct value v)
{
	struct document_iter it = document_iter(document);
	struct element e;
	while (document_next(&it, &e)) {
		if (level == 0 && s->index.n > 0 && slice_eq(e.name, s->index)) {
			continue; /* it comes last, with its new value */
		}
		bool named = slice_eq(e.name, s->parts.p[level].name);
		bool last = level + 1 == s->n_parts;
		if (named && last) {
			if (v.type != BT_MISSING) {
				writer_value(&s->out, e.name, v);
			}
		} else if (named && e.value.type == BT_OBJECT) {
			size_t start = writer_open_in(&s->out, BT_OBJECT, e.name);
			unwind_write(s, e.value.data, level + 1, v);
			writer_close(&s->out, start);
		} else {
			writer_raw(&s->out, e.raw);
		}
	}
}

/* @param index -1: null, it was no element. */
static int unwind_one(
	struct pipeline_run *run, unsigned i, struct slice document, struct value v, int64_t index)
{
	struct stage *s = &run->p->stages[i];
	out_begin(s);
	budget_charge(run->budget, document.n);
	size_t start = writer_open(&s->out);
	unwind_write(s, document, 0, v);
	if (s->index.n > 0 && index < 0) {
		writer_null(&s->out, s->index);
	} else if (s->index.n > 0) {
		writer_int64(&s->out, s->index, index);
	}
	writer_close(&s->out, start);
	return out_push(run, i);
}

static int push_unwind(struct pipeline_run *run, unsigned i, struct slice document)
{
	struct stage *s = &run->p->stages[i];
	struct value v = unwind_value(s, document);
	struct document_iter it = document_iter(v.data);
	struct element e;
	bool nothing = v.type == BT_MISSING || v.type == BT_NULL || v.type == BT_UNDEFINED ||
		(v.type == BT_ARRAY && document_is_empty(v.data));
	int r = 0;
	if (nothing) {
		struct value left = v.type == BT_ARRAY ? VALUE_MISSING : v;
		return s->keeps_empty ? unwind_one(run, i, document, left, -1) : 0;
	}
	if (v.type != BT_ARRAY) {
		return unwind_one(run, i, document, v, -1);
	}
	for (int64_t n = 0;
		r == 0 && i >= run->p->full && !budget_spent(run->budget) && document_next(&it, &e);
		n++) {
		r = unwind_one(run, i, document, e.value, n);
	}
	return r;
}

static int push_count(struct pipeline_run *run, unsigned i, struct slice document)
{
	run->p->stages[i].seen++;
	return 0;
}

static int push(struct pipeline_run *run, unsigned i, struct slice document)
{
	static int (*const by_kind[])(
		struct pipeline_run * run, unsigned i, struct slice document) = {
		[STAGE_MATCH] = push_match,
		[STAGE_RESHAPE] = push_reshape,
		[STAGE_GROUP] = push_group,
		[STAGE_SORT] = push_sort,
		[STAGE_LIMIT] = push_limit,
		[STAGE_SKIP] = push_skip,
		[STAGE_UNWIND] = push_unwind,
		[STAGE_COUNT] = push_count,
	};
	if (budget_spent(run->budget)) {
		return 0;
	}
	if (i == run->p->n) {
		return run->emit(run->arg, document);
	}
	budget_charge(run->budget, document.n);
	return by_kind[run->p->stages[i].kind](run, i, document);
}

int pipeline_push(struct pipeline_run *run, struct slice document)
{
	return push(run, 0, document);
}

bool pipeline_is_full(const struct pipeline *p)
{
	return p->full > 0;
}

/* --- the end --- */

static bool goes_on(const struct pipeline_run *run, unsigned i)
{
	return i >= run->p->full && !budget_spent(run->budget);
}

static int finish_group(struct pipeline_run *run, unsigned i)
{
	struct stage *s = &run->p->stages[i];
	int r = 0;
	out_begin(s);
	while (r == 0 && goes_on(run, i) && group_next(s->group, &s->out)) {
		r = out_push(run, i);
		out_begin(s);
	}
	return r;
}

static int finish_sort(struct pipeline_run *run, unsigned i)
{
	struct stage *s = &run->p->stages[i];
	int r = 0;
	collect_sort(&s->collected);
	for (size_t k = 0; k < collect_n(&s->collected) && r == 0 && goes_on(run, i); k++) {
		r = push(run, i + 1, collect_document(&s->collected, k));
	}
	return r;
}

/* Nothing comes out when nothing went in. */
static int finish_count(struct pipeline_run *run, unsigned i)
{
	struct stage *s = &run->p->stages[i];
	if (s->seen == 0) {
		return 0;
	}
	out_begin(s);
	size_t start = writer_open(&s->out);
	if (s->seen <= INT32_MAX) {
		writer_int32(&s->out, s->field, (int32_t)s->seen);
	} else {
		writer_int64(&s->out, s->field, (int64_t)s->seen);
	}
	writer_close(&s->out, start);
	return out_push(run, i);
}

int pipeline_finish(struct pipeline_run *run)
{
	int r = 0;
	for (unsigned i = 0; i < run->p->n && r == 0; i++) {
		switch ((int)run->p->stages[i].kind) {
		case STAGE_GROUP:
			r = finish_group(run, i);
			break;
		case STAGE_SORT:
			r = finish_sort(run, i);
			break;
		case STAGE_COUNT:
			r = finish_count(run, i);
			break;
		default:
			break;
		}
	}
	return r;
}
