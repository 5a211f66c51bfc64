/*
 * No memory: every allocation on the way of a command fails once, the first, the second, … until the
 * command succeeds. Each time it is answered "unavailable", and nothing leaks (the sanitizers look).
 */
/* cmocka.h needs what stands before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "common/base/map.h"
#include "director/store/engine.h"
#include "director/store/query/notation.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* Allocations left before one fails; negative: none fails. The linker sends the calls here
 * (-Wl,--wrap). */
static int allocations_left = -1;

void *__real_malloc(size_t n);
void *__real_calloc(size_t k, size_t n);
void *__real_realloc(void *p, size_t n);
void *__real_reallocarray(void *p, size_t k, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t k, size_t n);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_reallocarray(void *p, size_t k, size_t n);

static bool fails(void)
{
	if (allocations_left < 0) {
		return false;
	}
	return allocations_left-- == 0;
}

void *__wrap_malloc(size_t n)
{
	return fails() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t k, size_t n)
{
	return fails() ? NULL : __real_calloc(k, n);
}

void *__wrap_realloc(void *p, size_t n)
{
	return fails() ? NULL : __real_realloc(p, n);
}

void *__wrap_reallocarray(void *p, size_t k, size_t n)
{
	return fails() ? NULL : __real_reallocarray(p, k, n);
}

/* --- a storage that takes no memory --- */

enum { ROWS = 100, ROW_BYTES = 400 };

struct rows {
	struct engine_source source;
	uint8_t bytes[ROWS][ROW_BYTES];
	size_t n[ROWS];
	size_t at;
};

static struct rows rows;

static int rows_next(struct engine_source *s, int64_t *ret_rid, struct slice *ret_document)
{
	while (rows.at < ROWS && rows.n[rows.at] == 0) {
		rows.at++;
	}
	if (rows.at == ROWS) {
		return 0;
	}
	*ret_rid = (int64_t)rows.at;
	*ret_document = slice_of(rows.bytes[rows.at], rows.n[rows.at]);
	rows.at++;
	return 1;
}

static int rows_load(struct engine_source *s, int64_t rid, struct slice *ret_document)
{
	*ret_document = slice_of(rows.bytes[rid], rows.n[rid]);
	return 1;
}

static int rows_replace(struct engine_source *s, int64_t rid, struct slice document)
{
	assert_true(document.n <= ROW_BYTES);
	memcpy(rows.bytes[rid], document.p, document.n);
	rows.n[rid] = document.n;
	return 0;
}

static int rows_insert(struct engine_source *s, struct slice document, struct value id)
{
	size_t i = 0;
	while (i < ROWS && rows.n[i] != 0) {
		if (value_same(
			    document_find(slice_of(rows.bytes[i], rows.n[i]), SLICE("_id")), id)) {
			return 0;
		}
		i++;
	}
	return i == ROWS ? -ENOSPC : rows_replace(s, (int64_t)i, document) + 1;
}

static int rows_remove(struct engine_source *s, int64_t rid)
{
	rows.n[rid] = 0;
	return 0;
}

static void rows_fill(void)
{
	static const struct engine_source_ops ops = {
		.next = rows_next,
		.load = rows_load,
		.insert = rows_insert,
		.replace = rows_replace,
		.remove = rows_remove,
	};
	rows = (struct rows){ .source = { &ops } };
	for (int i = 0; i < ROWS - 10; i++) {
		char text[200];
		(void)snprintf(text, sizeof(text),
			"{_id: %d, user_id: 'alice', a: %d, s: 'text %d', l: [%d, {x: 1}], p: [{x: 1}]}",
			i, i % 7, i % 13, i);
		struct slice d = notation_parse(text);
		(void)rows_replace(NULL, i, d);
		free((void *)d.p);
	}
}

/* --- commands --- */

static const struct store_limits limits = { 4000, 4000, 100000, 100, 1000, 1000, 60000, 10, 50, 20,
	16, 1000 };
static struct oid_source ids;

struct command {
	enum store_op op;
	const char *filter, *update, *sort, *projection, *documents;
	const char *filters; /* {f: […]}: arrayFilters */
	const char *stages;  /* {s: […]}: a pipeline */
	bool multi, upsert, remove, return_new;
};

static const struct command commands[] = {
	{ STORE_FIND, .filter = "{}" },
	{ STORE_FIND,
		.filter = "{a: {$in: [1, 2, /x/]}, s: {$regex: 'x', $options: 'i'}, 'l.x': 1}",
		.sort = "{a: -1, s: 1}", .projection = "{a: 1, 'l.x': 1}" },
	{ STORE_FIND,
		.filter =
			"{$or: [{a: 1}, {$and: [{a: 2}, {l: {$elemMatch: {x: {$not: {$gt: 5}}}}}]}]}" },
	{ STORE_COUNT, .filter = "{l: {$all: [{x: 1}]}, a: {$nin: [99]}}" },
	{ STORE_DISTINCT, .filter = "{a: {$gte: 0}}" },
	{ STORE_INSERT, .documents = "{_id: 1000, b: [1, 2]}" },
	{ STORE_UPDATE, .filter = "{a: 3}", .multi = true,
		.update =
			"{$set: {'n.m.o': 1}, $inc: {a: 0}, $push: {l: {y: 1}}, $pull: {p: {x: 1}}, $unset: {s: 1}}" },
	{ STORE_UPDATE, .filter = "{_id: 2000, k: 1}", .upsert = true, .update = "{$set: {a: 1}}" },
	{ STORE_UPDATE, .filter = "{_id: 5}", .update = "{replaced: true}" },
	{ STORE_DELETE, .filter = "{a: 4}", .multi = true },
	{ STORE_MODIFY, .filter = "{a: {$gt: 1}}", .sort = "{s: 1, _id: -1}",
		.update = "{$set: {z: 1}}", .return_new = true, .projection = "{z: 1}" },
	{ STORE_MODIFY, .filter = "{a: 5}", .remove = true },
	{ STORE_FIND, .filter = "{'l.x': 1, a: {$bitsAnySet: 1}}",
		.projection = "{l: {$elemMatch: {x: 1}}, p: {$slice: 1}, s: 1}" },
	{ STORE_UPDATE, .filter = "{a: 1}", .multi = true, .filters = "{f: [{'e.x': 1}]}",
		.update =
			"{$set: {'l.$[e].q': 1}, $push: {p: {$each: [3, 1], $sort: 1}}, $rename: {s: 'r'}, $addToSet: {z: {$each: [1, 2]}}}" },
	{ STORE_AGGREGATE,
		.stages =
			"{s: [{$match: {a: {$gte: 0}}}, {$set: {'n.m': {$concat: ['$s', 'x']}, d: ['$a', {v: '$l.x'}]}}, {$unset: 'p'}, {$match: {a: 1}}]}" },
	{ STORE_AGGREGATE,
		.stages =
			"{s: [{$unwind: '$l'}, {$group: {_id: '$a', t: {$sum: '$a'}, l: {$push: '$l'}, u: {$addToSet: '$s'}, m: {$max: '$s'}}}, {$sort: {_id: 1}}, {$project: {t: {$add: ['$t', 1]}, c: {$size: '$l'}}}]}" },
	{ STORE_AGGREGATE, .stages = "{s: [{$sortByCount: '$a'}, {$count: 'n'}]}" },
};

static struct slice parse(const char *text)
{
	return text == NULL ? SLICE_NULL : notation_parse(text);
}

/* @return the answer's error. */
static enum store_error run(const struct store_command *c)
{
	static const struct store_scope alice = { STORE_SCOPE_USER, SLICE("app"), SLICE("p"),
		SLICE("alice") };
	struct store_task t;
	int r = store_task_init(&t, &alice, c, &limits, &ids);
	if (r == 0 && store_task_compile(&t) == 0) {
		r = engine_run(&t, &rows.source);
		if (r < 0) {
			(void)store_task_fail_errno(&t, r);
		}
	}
	enum store_error e = r < 0 ? STORE_E_UNAVAILABLE : t.result.error;
	store_task_deinit(&t);
	return e;
}

static void every_allocation_may_fail(void **state)
{
	assert_int_equal(oid_source_init(&ids), 0);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		struct slice filters = parse(commands[i].filters);
		struct slice stages = parse(commands[i].stages);
		struct store_command c = {
			.op = commands[i].op,
			.collection = SLICE("c"),
			.filter = parse(commands[i].filter),
			.update = parse(commands[i].update),
			.sort = parse(commands[i].sort),
			.projection = parse(commands[i].projection),
			.documents = parse(commands[i].documents),
			.array_filters = document_find(filters, SLICE("f")).data,
			.pipeline = document_find(stages, SLICE("s")).data,
			.field = SLICE("s"),
			.multi = commands[i].multi,
			.upsert = commands[i].upsert,
			.remove = commands[i].remove,
			.return_new = commands[i].return_new,
		};
		int n = 0;
		for (enum store_error e = STORE_E_UNAVAILABLE; e != STORE_OK; n++) {
			rows_fill();
			allocations_left = n;
			e = run(&c);
			bool reached = allocations_left < 0;
			allocations_left = -1;
			/* One that did not fail is the end; one that did is answered. */
			if (e != (reached ? STORE_E_UNAVAILABLE : STORE_OK)) {
				fail_msg("command %zu, allocation %d: error %d", i, n, e);
			}
		}
		assert_in_range(n, 2, 400);
		free((void *)c.filter.p);
		free((void *)c.update.p);
		free((void *)c.sort.p);
		free((void *)c.projection.p);
		free((void *)c.documents.p);
		free((void *)filters.p);
		free((void *)stages.p);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = { cmocka_unit_test(every_allocation_may_fail) };
	return map_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
