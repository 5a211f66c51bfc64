/* Commands carried out over documents in memory: what each operation means, without a database. */
/* cmocka.h needs what stands before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "common/base/map.h"
#include "director/store/memory.h"
#include "director/store/query/notation.h"

#include <stdio.h>
#include <stdlib.h>

static struct store_limits limits;
static struct oid_source ids;
static struct memory_store memory;

static const struct store_scope shared = { STORE_SCOPE_SHARED, SLICE("app"), SLICE("p"),
	SLICE_NULL };

/* A command as text; what is NULL is not there. */
struct command {
	enum store_op op;
	const char *filter, *update, *sort, *projection, *field;
	uint64_t skip, limit;
	bool multi, upsert, ordered, remove, return_new;
};

static int setup(void **state)
{
	limits = (struct store_limits){
		.document_bytes = 2000,
		.filter_bytes = 4000,
		.result_bytes = 20000,
		.in_values = 100,
		.skip = 1000,
		.regex_bytes = 100,
		.operation_ms = 2000,
		.collections = 10,
	};
	memory_init(&memory);
	return oid_source_init(&ids);
}

static int teardown(void **state)
{
	memory_deinit(&memory);
	return 0;
}

static void put(const char *text)
{
	struct slice d = notation_parse(text);
	memory_put(&memory, "app/p/c", d);
	free((void *)d.p);
}

static struct slice parse(const char *text)
{
	return text == NULL ? SLICE_NULL : notation_parse(text);
}

static void run(struct store_task *t, const struct command *c)
{
	struct store_command command = {
		.op = c->op,
		.collection = SLICE("c"),
		.filter = parse(c->filter),
		.update = parse(c->update),
		.sort = parse(c->sort),
		.projection = parse(c->projection),
		.field = slice_str(c->field),
		.skip = c->skip,
		.limit = c->limit,
		.multi = c->multi,
		.upsert = c->upsert,
		.ordered = c->ordered,
		.remove = c->remove,
		.return_new = c->return_new,
	};
	if (store_task_init(t, &shared, &command, &limits, &ids) == 0) {
		memory_run(&memory, t);
	}
	free((void *)command.filter.p);
	free((void *)command.update.p);
	free((void *)command.sort.p);
	free((void *)command.projection.p);
}

/* The documents of the collection, as text. */
static void print_all(struct buffer *b, struct slice row)
{
	struct slice d;
	buffer_clear(b);
	while (document_take(&row, &d)) {
		char *text = notation_print(d);
		assert_int_equal(buffer_printf(b, "%s%s", b->n > 0 ? " " : "", text), 0);
		free(text);
	}
	assert_int_equal(buffer_append_byte(b, 0), 0);
}

static void assert_row(struct slice row, const char *expected)
{
	struct buffer b;
	buffer_init(&b, 1 << 20);
	print_all(&b, row);
	assert_string_equal((char *)b.p, expected);
	buffer_deinit(&b);
}

static void assert_stored(const char *expected)
{
	struct buffer row;
	buffer_init(&row, 1 << 20);
	for (size_t i = 0; i < MEMORY_DOCUMENTS_MAX; i++) {
		if (memory.documents[i].collection[0] != 0) {
			assert_int_equal(buffer_append(&row, memory.documents[i].bytes), 0);
		}
	}
	assert_row(buffer_slice(&row), expected);
	buffer_deinit(&row);
}

static void assert_ok(const struct store_task *t)
{
	if (t->result.error != STORE_OK) {
		fail_msg("%d: %s", t->result.error, t->result.message);
	}
}

static void assert_refused(const struct store_task *t, enum store_error e, const char *text)
{
	if (t->result.error != e || strstr(t->result.message, text) == NULL) {
		fail_msg("expected %d \"%s\", got %d \"%s\"", e, text, t->result.error,
			t->result.message);
	}
	assert_int_equal(t->result.documents.n, 0);
}

static void find_case(const struct command *c, const char *expected)
{
	struct store_task t;
	run(&t, c);
	assert_ok(&t);
	assert_row(t.result.documents, expected);
	store_task_deinit(&t);
}

static void finds(void **state)
{
	put("{_id: 1, a: 3, b: 'x'}");
	put("{_id: 2, a: 1, b: 'y'}");
	put("{_id: 3, a: 2, b: 'x'}");
	find_case(&(struct command){ .filter = "{b: 'x'}" },
		"{_id: 1, a: 3, b: 'x'} {_id: 3, a: 2, b: 'x'}");
	find_case(
		&(struct command){
			.filter = "{}", .sort = "{a: 1}", .projection = "{a: 1, _id: 0}" },
		"{a: 1} {a: 2} {a: 3}");
	find_case(&(struct command){ .sort = "{b: -1, a: 1}", .projection = "{_id: 1}" },
		"{_id: 2} {_id: 3} {_id: 1}");
	find_case(&(struct command){ .skip = 1, .limit = 1, .projection = "{_id: 1}" }, "{_id: 2}");
	find_case(
		&(struct command){
			.skip = 1, .limit = 1, .sort = "{a: 1}", .projection = "{_id: 1}" },
		"{_id: 3}");
	find_case(&(struct command){ .skip = 9 }, "");
	find_case(&(struct command){ .skip = 9, .sort = "{a: 1}" }, "");
	find_case(&(struct command){ .filter = "{a: {$gt: 5}}" }, "");
}

/* A sort that wants few keeps few: the bytes of a result bound what is wanted, not what is there. */
static void sorts_in_bounded_memory(void **state)
{
	for (int i = 0; i < 200; i++) {
		char text[300];
		(void)snprintf(text, sizeof(text), "{_id: %d, k: %d, pad: '%0180d'}", i,
			(i * 7919) % 200, 0);
		put(text);
	}
	find_case(
		&(struct command){
			.sort = "{k: 1}", .limit = 3, .skip = 1, .projection = "{k: 1, _id: 0}" },
		"{k: 1} {k: 2} {k: 3}");
	find_case(
		&(struct command){ .sort = "{k: -1}", .limit = 2, .projection = "{k: 1, _id: 0}" },
		"{k: 199} {k: 198}");
	struct store_task t;
	run(&t, &(struct command){ .sort = "{k: 1}" });
	assert_refused(&t, STORE_E_LIMIT,
		"sorting needs more than 20000 bytes (MOZAIKS_MAX_RESULT_BYTES)");
	store_task_deinit(&t);
	run(&t, &(struct command){ .filter = "{}" });
	assert_refused(&t, STORE_E_LIMIT, "the result has more than 20000 bytes");
	store_task_deinit(&t);
}

static void equal_keys_keep_their_order(void **state)
{
	for (int i = 0; i < 150; i++) {
		char text[60];
		(void)snprintf(text, sizeof(text), "{_id: %d, k: %d}", i, i % 2);
		put(text);
	}
	find_case(&(struct command){ .sort = "{k: 1}", .limit = 4 },
		"{_id: 0, k: 0} {_id: 2, k: 0} {_id: 4, k: 0} {_id: 6, k: 0}");
}

static void counts_and_distinct_values(void **state)
{
	static const struct {
		struct command c;
		uint64_t n;
	} counts[] = {
		{ { .op = STORE_COUNT }, 4 },
		{ { .op = STORE_COUNT, .filter = "{a: {$gte: 2}}" }, 3 },
		{ { .op = STORE_COUNT, .filter = "{a: {$gte: 2}}", .limit = 2 }, 2 },
		{ { .op = STORE_COUNT, .filter = "{a: {$gte: 2}}", .skip = 2 }, 1 },
		{ { .op = STORE_COUNT, .skip = 1, .limit = 2 }, 2 },
		{ { .op = STORE_COUNT, .skip = 9 }, 0 },
	};
	struct store_task t;
	put("{_id: 1, a: 1, t: ['x', 'y']}");
	put("{_id: 2, a: 2, t: ['y', 'z']}");
	put("{_id: 3, a: 2.0, t: []}");
	put("{_id: 4, a: [2, 3], n: [{v: 1}, {v: 2}, {w: 3}]}");
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		run(&t, &counts[i].c);
		assert_ok(&t);
		assert_int_equal(t.result.n, counts[i].n);
		store_task_deinit(&t);
	}
	static const struct {
		const char *field, *filter, *expected;
	} distincts[] = {
		{ "t", NULL, "{values: ['x', 'y', 'z']}" },
		{ "a", NULL, "{values: [1, 2, 3]}" },
		{ "a", "{_id: {$gt: 1}}", "{values: [2, 3]}" },
		{ "n.v", NULL, "{values: [1, 2]}" },
		{ "none", NULL, "{values: []}" },
		{ "t.0", NULL, "{values: ['x', 'y']}" },
	};
	for (size_t i = 0; i < sizeof(distincts) / sizeof(distincts[0]); i++) {
		run(&t,
			&(struct command){ .op = STORE_DISTINCT,
				.field = distincts[i].field,
				.filter = distincts[i].filter });
		assert_ok(&t);
		assert_row(t.result.documents, distincts[i].expected);
		store_task_deinit(&t);
	}
	run(&t, &(struct command){ .op = STORE_DISTINCT });
	assert_refused(&t, STORE_E_INVALID, "the field is missing");
	store_task_deinit(&t);
	run(&t, &(struct command){ .op = STORE_DISTINCT, .field = "a..b" });
	assert_refused(&t, STORE_E_INVALID, "empty part");
	store_task_deinit(&t);
}

static void updates(void **state)
{
	struct store_task t;
	put("{_id: 1, a: 1}");
	put("{_id: 2, a: 1}");
	put("{_id: 3, a: 5}");
	run(&t,
		&(struct command){
			.op = STORE_UPDATE, .filter = "{a: 1}", .update = "{$inc: {a: 1}}" });
	assert_ok(&t);
	assert_int_equal(t.result.n, 1);
	assert_int_equal(t.result.modified, 1);
	store_task_deinit(&t);
	assert_stored("{_id: 1, a: 2} {_id: 2, a: 1} {_id: 3, a: 5}");
	run(&t,
		&(struct command){ .op = STORE_UPDATE,
			.filter = "{a: {$lt: 5}}",
			.update = "{$set: {a: 2}}",
			.multi = true });
	assert_ok(&t);
	assert_int_equal(t.result.n, 2);
	assert_int_equal(t.result.modified, 1); /* one had it already */
	store_task_deinit(&t);
	assert_stored("{_id: 1, a: 2} {_id: 2, a: 2} {_id: 3, a: 5}");
	run(&t, &(struct command){ .op = STORE_UPDATE, .filter = "{_id: 3}", .update = "{b: 1}" });
	assert_ok(&t);
	store_task_deinit(&t);
	assert_stored("{_id: 1, a: 2} {_id: 2, a: 2} {_id: 3, b: 1}");
	run(&t, &(struct command){ .op = STORE_UPDATE, .filter = "{_id: 9}", .update = "{b: 1}" });
	assert_ok(&t);
	assert_int_equal(t.result.n, 0);
	assert_int_equal(t.result.upserted_id.n, 0);
	store_task_deinit(&t);
	run(&t,
		&(struct command){
			.op = STORE_UPDATE, .filter = "{}", .update = "{b: 1}", .multi = true });
	assert_refused(&t, STORE_E_INVALID, "replacement cannot be applied to many");
	store_task_deinit(&t);
	run(&t, &(struct command){ .op = STORE_UPDATE, .filter = "{}" });
	assert_refused(&t, STORE_E_INVALID, "the update is missing");
	store_task_deinit(&t);
}

/* One of many documents cannot be updated: none is. */
static void a_failed_update_changes_nothing(void **state)
{
	struct store_task t;
	put("{_id: 1, a: 1}");
	put("{_id: 2, a: 'x'}");
	run(&t,
		&(struct command){ .op = STORE_UPDATE,
			.filter = "{}",
			.update = "{$inc: {a: 1}}",
			.multi = true });
	assert_refused(&t, STORE_E_INVALID, "$inc of the field a, which is a string");
	assert_int_equal(t.result.n, 0);
	store_task_deinit(&t);
	assert_stored("{_id: 1, a: 1} {_id: 2, a: 'x'}");
}

static void upserts(void **state)
{
	struct store_task t;
	run(&t,
		&(struct command){ .op = STORE_UPDATE,
			.filter = "{_id: 7, k: 'v'}",
			.update = "{$set: {a: 1}, $setOnInsert: {b: 2}}",
			.upsert = true });
	assert_ok(&t);
	assert_int_equal(t.result.n, 0);
	assert_row(t.result.upserted_id, "{_id: 7}");
	store_task_deinit(&t);
	assert_stored("{_id: 7, k: 'v', a: 1, b: 2}");
	run(&t,
		&(struct command){ .op = STORE_UPDATE,
			.filter = "{_id: 7}",
			.update = "{$set: {a: 2}, $setOnInsert: {b: 9}}",
			.upsert = true });
	assert_ok(&t);
	assert_int_equal(t.result.n, 1);
	assert_int_equal(t.result.upserted_id.n, 0);
	store_task_deinit(&t);
	assert_stored("{_id: 7, k: 'v', a: 2, b: 2}");
	run(&t,
		&(struct command){ .op = STORE_UPDATE,
			.filter = "{_id: 7, k: 'w'}",
			.update = "{$set: {a: 3}}",
			.upsert = true });
	assert_refused(&t, STORE_E_DUPLICATE, "_id already");
	store_task_deinit(&t);
	assert_stored("{_id: 7, k: 'v', a: 2, b: 2}");
}

static void removes(void **state)
{
	struct store_task t;
	put("{_id: 1, a: 1}");
	put("{_id: 2, a: 1}");
	put("{_id: 3, a: 2}");
	run(&t, &(struct command){ .op = STORE_DELETE, .filter = "{a: 1}" });
	assert_int_equal(t.result.n, 1);
	store_task_deinit(&t);
	assert_stored("{_id: 2, a: 1} {_id: 3, a: 2}");
	run(&t, &(struct command){ .op = STORE_DELETE, .filter = "{}", .multi = true });
	assert_int_equal(t.result.n, 2);
	store_task_deinit(&t);
	assert_stored("");
}

static void modify_case(const struct command *c, const char *returned, const char *stored)
{
	struct store_task t;
	run(&t, c);
	assert_ok(&t);
	assert_row(t.result.documents, returned);
	store_task_deinit(&t);
	assert_stored(stored);
}

static void finds_and_modifies(void **state)
{
	put("{_id: 1, a: 3}");
	put("{_id: 2, a: 1}");
	modify_case(
		&(struct command){ .op = STORE_MODIFY, .filter = "{}", .update = "{$set: {b: 1}}" },
		"{_id: 1, a: 3}", "{_id: 1, a: 3, b: 1} {_id: 2, a: 1}");
	modify_case(&(struct command){ .op = STORE_MODIFY,
			    .filter = "{}",
			    .sort = "{a: 1}",
			    .update = "{$inc: {a: 1}}",
			    .return_new = true },
		"{_id: 2, a: 2}", "{_id: 1, a: 3, b: 1} {_id: 2, a: 2}");
	modify_case(&(struct command){ .op = STORE_MODIFY,
			    .filter = "{}",
			    .sort = "{a: -1}",
			    .projection = "{b: 1, _id: 0}",
			    .update = "{c: 1}" },
		"{b: 1}", "{_id: 1, c: 1} {_id: 2, a: 2}");
	modify_case(
		&(struct command){ .op = STORE_MODIFY, .filter = "{a: 99}", .update = "{c: 1}" },
		"", "{_id: 1, c: 1} {_id: 2, a: 2}");
	modify_case(&(struct command){ .op = STORE_MODIFY,
			    .filter = "{_id: 3}",
			    .update = "{$set: {c: 1}}",
			    .upsert = true },
		"", "{_id: 1, c: 1} {_id: 2, a: 2} {_id: 3, c: 1}");
	modify_case(&(struct command){ .op = STORE_MODIFY,
			    .filter = "{_id: 4}",
			    .update = "{$set: {c: 1}}",
			    .upsert = true,
			    .return_new = true },
		"{_id: 4, c: 1}", "{_id: 1, c: 1} {_id: 2, a: 2} {_id: 3, c: 1} {_id: 4, c: 1}");
	modify_case(&(struct command){ .op = STORE_MODIFY,
			    .filter = "{c: 1}",
			    .sort = "{_id: -1}",
			    .remove = true },
		"{_id: 4, c: 1}", "{_id: 1, c: 1} {_id: 2, a: 2} {_id: 3, c: 1}");
	struct store_task t;
	run(&t,
		&(struct command){
			.op = STORE_MODIFY, .filter = "{}", .update = "{a: 1}", .remove = true });
	assert_refused(&t, STORE_E_INVALID, "remove goes with neither");
	store_task_deinit(&t);
}

static void insert(struct store_task *t, const char *const *texts, size_t n, bool ordered)
{
	struct buffer row;
	struct store_command c = {
		.op = STORE_INSERT, .collection = SLICE("c"), .ordered = ordered
	};
	buffer_init(&row, 1 << 20);
	for (size_t i = 0; i < n; i++) {
		struct slice d = notation_parse(texts[i]);
		assert_int_equal(buffer_append(&row, d), 0);
		free((void *)d.p);
	}
	c.documents = buffer_slice(&row);
	if (store_task_init(t, &shared, &c, &limits, &ids) == 0) {
		memory_run(&memory, t);
	}
	buffer_deinit(&row);
}

static void inserts_in_order_or_not(void **state)
{
	static const char *const texts[] = { "{a: 0, _id: 1}", "{_id: 2}", "{_id: 1.0}",
		"{_id: 3}" };
	struct store_task t;
	insert(&t, texts, 4, true);
	assert_int_equal(t.result.error, STORE_E_DUPLICATE);
	assert_int_equal(t.result.n, 2);
	assert_int_equal(t.result.n_write_errors, 1);
	assert_int_equal(t.result.write_errors[0].index, 2);
	assert_int_equal(t.result.write_errors[0].error, STORE_E_DUPLICATE);
	assert_row(t.result.documents, "{ids: [1, 2, 1.0, 3]}");
	store_task_deinit(&t);
	assert_stored("{_id: 1, a: 0} {_id: 2}");
	insert(&t, texts, 4, false);
	assert_int_equal(t.result.n, 1);
	assert_int_equal(t.result.n_write_errors, 3);
	assert_int_equal(t.result.write_errors[2].index, 2);
	store_task_deinit(&t);
	assert_stored("{_id: 1, a: 0} {_id: 2} {_id: 3}");
}

static void inserts_make_ids(void **state)
{
	static const char *const texts[] = { "{a: 1}", "{a: 2}" };
	struct store_task t;
	insert(&t, texts, 2, true);
	assert_ok(&t);
	struct value first = document_find(memory.documents[0].bytes, SLICE("_id"));
	struct value second = document_find(memory.documents[1].bytes, SLICE("_id"));
	assert_int_equal(first.type, BT_OID);
	assert_int_equal(second.type, BT_OID);
	/* The same second and process, the next number. */
	assert_memory_equal(first.data.p + 4, second.data.p + 4, 5);
	assert_memory_not_equal(first.data.p, second.data.p, OID_BYTES);
	store_task_deinit(&t);
}

static void insert_refuses(const char *text, enum store_error e, const char *why)
{
	struct store_task t;
	insert(&t, &text, 1, true);
	assert_refused(&t, e, why);
	store_task_deinit(&t);
	assert_stored("");
}

static void documents_are_checked(void **state)
{
	char large[2200];
	insert_refuses("{$a: 1}", STORE_E_INVALID, "begins with '$'");
	insert_refuses("{'a.b': 1}", STORE_E_INVALID, "contains '.'");
	insert_refuses("{_id: [1]}", STORE_E_INVALID, "_id cannot be an array");
	insert_refuses("{_id: /x/}", STORE_E_INVALID, "_id cannot be a regular expression");
	(void)snprintf(large, sizeof(large), "{a: '%01990d'}", 0);
	insert_refuses(large, STORE_E_LIMIT, "the limit is 2000 (MOZAIKS_MAX_DOCUMENT_BYTES)");
}

static void limits_are_named(void **state)
{
	struct store_task t;
	char large[4200];
	(void)snprintf(large, sizeof(large), "{a: '%03990d'}", 0);
	run(&t, &(struct command){ .filter = large });
	assert_refused(&t, STORE_E_LIMIT, "the limit is 4000 (MOZAIKS_MAX_FILTER_BYTES)");
	store_task_deinit(&t);
	run(&t, &(struct command){ .skip = 1001 });
	assert_refused(&t, STORE_E_LIMIT, "the limit is 1000 (MOZAIKS_MAX_SKIP)");
	store_task_deinit(&t);
	(void)snprintf(large, sizeof(large), "{$set: {a: '%01990d'}}", 0);
	run(&t, &(struct command){ .op = STORE_UPDATE, .update = large });
	assert_refused(&t, STORE_E_LIMIT, "the limit is 2000 (MOZAIKS_MAX_DOCUMENT_BYTES)");
	store_task_deinit(&t);
	put("{_id: 1, a: 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!'}");
	run(&t, &(struct command){ .filter = "{a: {$regex: '^(a+)+$'}}" });
	assert_refused(&t, STORE_E_LIMIT, "a regular expression took too many steps");
	store_task_deinit(&t);
	run(&t,
		&(struct command){ .op = STORE_DELETE,
			.filter = "{a: {$not: {$regex: '^(a+)+$'}}}",
			.multi = true });
	assert_refused(&t, STORE_E_LIMIT, "a regular expression took too many steps");
	store_task_deinit(&t);
	assert_int_equal(memory.documents[0].collection[0], 'a'); /* still there */
}

/* Text of a message that had to be cut is still UTF-8. */
static void messages_are_cut_between_characters(void **state)
{
	struct store_failure f;
	char name[300];
	for (size_t n = 0; n < 5; n++) {
		memset(name, 'x', sizeof(name));
		for (size_t i = n; i + 2 <= sizeof(name); i += 2) {
			memcpy(name + i, "\xc3\xa4", 2);
		}
		(void)store_fail(&f, STORE_E_INVALID, "%.*s", 290, name);
		assert_true(slice_is_utf8(slice_str(f.message)));
		assert_true(strlen(f.message) >= 253);
		struct slice s = slice_of(name, sizeof(name));
		assert_true(slice_is_utf8(slice_of(name, store_name_length(s))));
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(finds, setup, teardown),
		cmocka_unit_test_setup_teardown(sorts_in_bounded_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(equal_keys_keep_their_order, setup, teardown),
		cmocka_unit_test_setup_teardown(counts_and_distinct_values, setup, teardown),
		cmocka_unit_test_setup_teardown(updates, setup, teardown),
		cmocka_unit_test_setup_teardown(a_failed_update_changes_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(upserts, setup, teardown),
		cmocka_unit_test_setup_teardown(removes, setup, teardown),
		cmocka_unit_test_setup_teardown(finds_and_modifies, setup, teardown),
		cmocka_unit_test_setup_teardown(inserts_in_order_or_not, setup, teardown),
		cmocka_unit_test_setup_teardown(inserts_make_ids, setup, teardown),
		cmocka_unit_test_setup_teardown(documents_are_checked, setup, teardown),
		cmocka_unit_test_setup_teardown(limits_are_named, setup, teardown),
		cmocka_unit_test(messages_are_cut_between_characters),
	};
	return map_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
