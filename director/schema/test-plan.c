/* cmocka.h needs what stands before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "common/base/map.h"
#include "common/json/collections.h"
#include "director/schema/plan.h"
#include "director/store/query/document.h"
#include "director/store/query/notation.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>

static json_t *declared_of(const char *text)
{
	struct json_why why = { "" };
	json_t *tree = NULL;
	json_t *out = NULL;
	assert_int_equal(json_tree_parse(slice_str(text), &tree, NULL), 0);
	assert_int_equal(collections_read(tree, "", &out, &why), 0);
	json_decref(tree);
	return out;
}

/* What `text` becomes on top of a record, which is replaced by the one afterwards. */
static struct plan plan_on(const char *text, json_t **record)
{
	struct json_why why = { "" };
	struct plan p;
	struct buffer b;
	json_t *declared = declared_of(text);
	assert_int_equal(plan_make(&p, declared, *record, &why), 0);
	json_decref(declared);
	json_decref(*record);
	*record = NULL;
	buffer_init(&b, SIZE_MAX);
	assert_int_equal(plan_write_record(&p, 1000, &b), 0);
	struct value set = document_find(buffer_slice(&b), SLICE("$set"));
	assert_int_equal(set.type, BT_OBJECT);
	assert_int_equal(plan_read_record(set.data, record), 0);
	buffer_deinit(&b);
	return p;
}

static void expect_list(const json_t *list, const char *text)
{
	char *got = json_dumps(list, JSON_COMPACT);
	assert_string_equal(got, text);
	free(got);
}

#define INDEX_A "{\"collection\":\"c\",\"spec\":{\"key\":{\"a\":1},\"name\":\"a_1\"}}"
#define UNIQUE_A \
	"{\"collection\":\"c\",\"spec\":{\"key\":{\"a\":1},\"name\":\"a_1\",\"unique\":true}}"
#define INDEX_B "{\"collection\":\"c\",\"spec\":{\"key\":{\"b.x\":-1},\"name\":\"b.x_-1\"}}"
#define USERS_A "{\"collection\":\"c\",\"spec\":{\"key\":{\"a\":1},\"name\":\"a_1\"},\"user\":true}"

static void indexes_come_and_go(void **state)
{
	static const struct {
		const char *declared, *drop, *create;
	} steps[] = {
		{ "{\"collections\":{\"c\":{\"indexes\":[\"a\"]}}}", "[]", "[" INDEX_A "]" },
		{ "{\"collections\":{\"c\":{\"indexes\":[\"a\"]}}}", "[]", "[]" },
		{ "{\"collections\":{\"c\":{\"indexes\":[\"a\",[[\"b.x\",-1]]]}}}", "[]",
			"[" INDEX_B "]" },
		/* The same name, otherwise. */
		{ "{\"collections\":{\"c\":{\"indexes\":[{\"field\":\"a\",\"unique\":true}]}}}",
			"[" INDEX_A "," INDEX_B "]", "[" UNIQUE_A "]" },
		{ "{\"collections\":{\"c\":{\"scope\":\"user\",\"indexes\":[\"a\"]}}}",
			"[" UNIQUE_A "]", "[" USERS_A "]" },
		{ "{}", "[" USERS_A "]", "[]" },
		{ "{}", "[]", "[]" },
	};
	json_t *record = NULL;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		struct plan p = plan_on(steps[i].declared, &record);
		expect_list(p.drop, steps[i].drop);
		expect_list(p.create, steps[i].create);
		plan_deinit(&p);
	}
	json_decref(record);
}

static void an_index_as_the_store_takes_it(void **state)
{
	json_t *record = NULL;
	struct buffer b;
	struct plan p = plan_on(
		"{\"collections\":{\"c\":{\"indexes\":[{\"field\":\"a\",\"unique\":true}]}}}",
		&record);
	buffer_init(&b, SIZE_MAX);
	assert_int_equal(plan_index(json_array_get(p.create, 0), &b), 0);
	char *text = notation_print(buffer_slice(&b));
	assert_string_equal(text, "{key: {a: 1}, name: 'a_1', unique: true}");
	free(text);
	buffer_deinit(&b);
	plan_deinit(&p);
	json_decref(record);
}

static size_t documents_in(const struct plan *p, size_t i)
{
	struct slice row = buffer_slice(&p->inserts[i].documents);
	struct slice document;
	size_t n = 0;
	while (document_take(&row, &document)) {
		assert_int_not_equal(document_find(document, SLICE("_id")).type, BT_MISSING);
		n++;
	}
	return n;
}

static void documents_are_stored_once(void **state)
{
	static const struct {
		const char *data;
		size_t n;
	} steps[] = {
		{ "[{\"x\":1},{\"x\":1},{\"_id\":\"a\",\"x\":2}]", 3 },
		{ "[{\"x\":1},{\"x\":1},{\"_id\":\"a\",\"x\":2}]", 0 },
		/* In another order; a third of the same; what has an _id may change. */
		{ "[{\"_id\":\"a\",\"x\":3},{\"x\":1},{\"x\":1},{\"x\":1}]", 1 },
		{ "[]", 0 },
		/* What was there once does not come again. */
		{ "[{\"x\":1},{\"_id\":\"a\"},{\"_id\":\"b\"}]", 1 },
	};
	json_t *record = NULL;
	char text[200];
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		(void)snprintf(text, sizeof(text), "{\"initial_data\":{\"c\":%s}}", steps[i].data);
		struct plan p = plan_on(text, &record);
		assert_int_equal(p.n_documents, steps[i].n);
		assert_int_equal(p.n_inserts, steps[i].n > 0 ? 1 : 0);
		assert_int_equal(steps[i].n > 0 ? documents_in(&p, 0) : 0, steps[i].n);
		plan_deinit(&p);
	}
	json_decref(record);
}

/* Two directors, or one that was killed before it kept the record, store the same documents. */
static void ids_follow_from_the_content(void **state)
{
	const char *text = "{\"initial_data\":{\"c\":[{\"x\":1},{\"x\":1}],\"d\":[{\"x\":1}]}}";
	json_t *record = NULL;
	json_t *other = NULL;
	struct plan p = plan_on(text, &record);
	struct plan q = plan_on(text, &other);
	assert_int_equal(p.n_inserts, 2);
	for (size_t i = 0; i < 2; i++) {
		assert_true(slice_eq(buffer_slice(&p.inserts[i].documents),
			buffer_slice(&q.inserts[i].documents)));
	}
	/* Equal documents have ids of their own, and so have those of another collection. */
	struct slice row = buffer_slice(&p.inserts[0].documents);
	struct slice other_row = buffer_slice(&p.inserts[1].documents);
	struct slice a = SLICE_NULL;
	struct slice b = SLICE_NULL;
	struct slice c = SLICE_NULL;
	assert_true(document_take(&row, &a));
	assert_true(document_take(&row, &b));
	assert_true(document_take(&other_row, &c));
	assert_false(slice_eq(a, b));
	assert_false(slice_eq(a, c));
	plan_deinit(&p);
	plan_deinit(&q);
	json_decref(record);
	json_decref(other);
}

static void what_is_there_is_left_out(void **state)
{
	json_t *record = NULL;
	struct plan p = plan_on(
		"{\"initial_data\":{\"c\":[{\"_id\":1},{\"_id\":2},{\"_id\":3}]}}", &record);
	struct buffer b;
	buffer_init(&b, SIZE_MAX);
	assert_int_equal(plan_stored_filter(&p.inserts[0], &b), 0);
	char *text = notation_print(buffer_slice(&b));
	assert_string_equal(text, "{_id: {$in: [1, 2, 3]}}");
	struct slice found = notation_parse("{_id: 2}");
	assert_int_equal(plan_leave_out(&p.inserts[0], found), 0);
	assert_int_equal(documents_in(&p, 0), 2);
	free((void *)(uintptr_t)found.p);
	free(text);
	buffer_deinit(&b);
	plan_deinit(&p);
	json_decref(record);
}

static void extended_json(void **state)
{
	json_t *record = NULL;
	struct plan p =
		plan_on("{\"initial_data\":{\"c\":{\"at\":{\"$date\":\"2026-01-02T03:04:05Z\"}}}}",
			&record);
	struct slice row = buffer_slice(&p.inserts[0].documents);
	struct slice document;
	assert_true(document_take(&row, &document));
	assert_int_equal(document_find(document, SLICE("at")).type, BT_DATE);
	plan_deinit(&p);
	json_decref(record);
}

static void what_cannot_be_stored(void **state)
{
	struct json_why why = { "" };
	struct plan p;
	json_t *declared =
		declared_of("{\"initial_data\":{\"c\":[{},{\"at\":{\"$date\":\"soon\"}}]}}");
	assert_int_equal(plan_make(&p, declared, NULL, &why), -EBADMSG);
	assert_memory_equal(why.text, "initial data of c, document 2: ", 31);
	plan_deinit(&p);
	json_decref(declared);
}

/* Of a record that somebody has damaged. */
static void broken_records(void **state)
{
	static const char *const texts[] = { "{}", "{digest: 1, indexes: '[]'}",
		"{digest: 'x', indexes: '{'}",
		"{digest: 'x', indexes: '[1,[],{}]', documents: [1, 'm']}",
		"{digest: 'x', indexes: '{\"a\":1}', documents: 'm'}" };
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct json_why why;
		struct plan p;
		json_t *record = NULL;
		struct slice document = notation_parse(texts[i]);
		int r = plan_read_record(document, &record);
		assert_true(r == 0 || r == -EBADMSG);
		json_t *declared = declared_of("{\"collections\":{\"c\":{\"indexes\":[\"a\"]}}}");
		assert_int_equal(plan_make(&p, declared, record, &why), 0);
		expect_list(p.create, "[" INDEX_A "]");
		plan_deinit(&p);
		json_decref(declared);
		json_decref(record);
		free((void *)(uintptr_t)document.p);
	}
}

static int setup(void **state)
{
	return sodium_init() < 0 || map_init() < 0 ? -1 : 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(indexes_come_and_go),
		cmocka_unit_test(an_index_as_the_store_takes_it),
		cmocka_unit_test(documents_are_stored_once),
		cmocka_unit_test(ids_follow_from_the_content),
		cmocka_unit_test(what_is_there_is_left_out),
		cmocka_unit_test(extended_json),
		cmocka_unit_test(what_cannot_be_stored),
		cmocka_unit_test(broken_records),
	};
	return cmocka_run_group_tests(tests, setup, NULL);
}
