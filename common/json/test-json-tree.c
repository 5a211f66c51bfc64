/* Trees: strict reading with line and column, and getters that name the field and the rule. */
/* cmocka.h needs what stands before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "common/json/tree.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static json_t *parse(const char *text)
{
	json_t *tree = NULL;
	struct json_why why = { .text = "" };
	int r = json_tree_parse(slice_str(text), &tree, &why);
	assert_string_equal(why.text, "");
	assert_int_equal(r, 0);
	return tree;
}

static void reads_any_value(void **state)
{
	json_t *tree = parse(" {\"a\":[1,2.5,\"x\",null,true]} ");
	assert_int_equal(json_array_size(json_object_get(tree, "a")), 5);
	json_decref(tree);
	tree = parse("7");
	assert_true(json_is_integer(tree));
	json_decref(tree);
}

static void refuses_with_line_and_column(void **state)
{
	static const struct {
		const char *text;
		const char *why;
	} cases[] = {
		{ "", "line 1, column 1: an empty text" },
		{ "{\n  \"a\": 1,\n}\n", "line 3, column 1: a comma without a member after it" },
		{ "{\"a\": 'x'}", "line 1, column 7: something that is not a JSON value" },
		{ "{} {}", "line 1, column 4: text after the end of the value" },
		{ "{\n\"a\": \"\xff\"}", "line 2, column 7: invalid UTF-8" },
		{ "{\"a\":1,\"a\":2}",
			"line 1, before column 11: a name that occurs twice in one object" },
		{ "[{\"b\":\n{\"a\":1,\n\"\\u0061\":2}}]",
			"line 3, before column 9: a name that occurs twice in one object" },
		{ "[99999999999999999999]", "line 1, before column 22: a number out of range" },
		{ "[1e999]", "line 1, before column 7: a number out of range" },
		{ "[\"a\\u0000\"]",
			"line 1, before column 11: a NUL character (\\u0000) in a string" },
		{ "{\"a\\u0000\":1}",
			"line 1, before column 11: a NUL character (\\u0000) in a string" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *tree = NULL;
		struct json_why why = { .text = "" };
		assert_int_equal(json_tree_parse(slice_str(cases[i].text), &tree, &why), -EBADMSG);
		assert_string_equal(why.text, cases[i].why);
		assert_null(tree);
		assert_int_equal(json_tree_parse(slice_str(cases[i].text), &tree, NULL), -EBADMSG);
	}
}

/* jansson alone goes 2,048 levels deep. */
static void bounds_the_depth(void **state)
{
	char text[2 * 100];
	json_t *tree;
	struct json_why why;
	memset(text, '[', 100);
	memset(text + 100, ']', 100);
	assert_int_equal(json_tree_parse(slice_of(text, 200), &tree, &why), -EBADMSG);
	assert_string_equal(why.text, "line 1, column 65: more than 64 levels of nesting");
	assert_int_equal(json_tree_parse(slice_of(text + 36, 128), &tree, &why), 0);
	json_decref(tree);
}

static void needs_an_object(void **state)
{
	struct json_why why;
	struct json_fields f;
	json_t *tree = parse("[]");
	assert_false(json_fields_init(&f, tree, "", &why));
	assert_string_equal(why.text, "must be an object");
	assert_false(json_fields_init(&f, tree, "manifest", &why));
	assert_string_equal(why.text, "manifest: must be an object");
	assert_false(json_fields_init(&f, NULL, "", &why));
	json_decref(tree);
}

static void gets_fields(void **state)
{
	json_t *tree =
		parse("{\"name\":\"h\xc3\xa4\",\"empty\":\"\",\"n\":-5,\"on\":true,\"off\":false,"
		      "\"tags\":[\"a\",\"bc\"],\"none\":[],\"o\":{\"x\":1,\"p\":{\"y\":2}},"
		      "\"list\":[{\"z\":3},4]}");
	struct json_why why = { .text = "" };
	struct json_fields f;
	struct json_fields child;
	struct json_fields inner;
	struct slice s;
	int64_t n;
	bool on = false;
	bool off = true;
	const json_t *array = NULL;
	assert_true(json_fields_init(&f, tree, "", &why));
	assert_true(json_field_string(&f, "name", JSON_REQUIRED, 3, 3, &s));
	assert_true(slice_eq(s, SLICE("h\xc3\xa4")));
	assert_int_equal(s.p[s.n], 0);
	assert_true(json_field_string(&f, "empty", JSON_REQUIRED, 0, 10, &s));
	assert_int_equal(s.n, 0);
	assert_true(json_field_int(&f, "n", JSON_REQUIRED, -5, -5, &n));
	assert_int_equal(n, -5);
	assert_true(json_field_bool(&f, "on", JSON_REQUIRED, &on));
	assert_true(json_field_bool(&f, "off", JSON_REQUIRED, &off));
	assert_true(on && !off);
	assert_true(json_field_strings(&f, "tags", JSON_REQUIRED, 2, 2, &array));
	assert_int_equal(json_array_size(array), 2);
	assert_true(json_field_strings(&f, "none", JSON_REQUIRED, 0, 2, &array));
	assert_int_equal(json_array_size(array), 0);
	assert_true(json_field_object(&f, "o", JSON_REQUIRED, &child));
	assert_true(json_field_int(&child, "x", JSON_REQUIRED, 0, 9, &n));
	assert_int_equal(n, 1);
	assert_true(json_field_object(&child, "p", JSON_REQUIRED, &inner));
	assert_false(json_field_int(&inner, "y", JSON_REQUIRED, 3, 9, &n));
	assert_string_equal(why.text, "o.p.y: must be an integer from 3 to 9");
	assert_true(json_field_array(&f, "list", JSON_REQUIRED, 2, &array));
	assert_true(json_field_item(&f, "list", array, 0, &child));
	assert_false(json_field_int(&child, "z", JSON_REQUIRED, 4, 9, &n));
	assert_string_equal(why.text, "list[0].z: must be an integer from 4 to 9");
	assert_false(json_field_item(&f, "list", array, 1, &child));
	assert_string_equal(why.text, "list: value 1 must be an object");
	assert_false(json_field_item(&f, "list", array, 2, &child));
	json_decref(tree);
}

static void leaves_defaults_where_nothing_is(void **state)
{
	json_t *tree = parse("{\"null\":null}");
	struct json_why why = { .text = "" };
	struct json_fields f;
	struct json_fields child;
	static const char *const names[] = { "null", "absent" };
	static const char *const texts[] = { "x.null: must not be null", "x.absent: is missing" };
	assert_true(json_fields_init(&f, tree, "x", &why));
	for (size_t i = 0; i < 2; i++) {
		struct slice s = SLICE("default");
		int64_t n = 7;
		bool on = true;
		const json_t *array = tree;
		assert_true(json_field_string(&f, names[i], JSON_OPTIONAL, 1, 9, &s));
		assert_true(json_field_int(&f, names[i], JSON_OPTIONAL, 1, 9, &n));
		assert_true(json_field_bool(&f, names[i], JSON_OPTIONAL, &on));
		assert_true(json_field_array(&f, names[i], JSON_OPTIONAL, 9, &array));
		assert_true(json_field_strings(&f, names[i], JSON_OPTIONAL, 9, 9, &array));
		assert_true(json_field_object(&f, names[i], JSON_OPTIONAL, &child));
		assert_true(s.n == 7 && n == 7 && on && array == tree && child.object == NULL);
		/* Inside an object that is not there all is absent. */
		assert_true(json_field_int(&child, "y", JSON_OPTIONAL, 1, 9, &n));
		assert_string_equal(why.text, "");

		assert_false(json_field_string(&f, names[i], JSON_REQUIRED, 1, 9, &s));
		assert_string_equal(why.text, texts[i]);
		assert_false(json_field_int(&f, names[i], JSON_REQUIRED, 1, 9, &n));
		assert_false(json_field_bool(&f, names[i], JSON_REQUIRED, &on));
		assert_false(json_field_strings(&f, names[i], JSON_REQUIRED, 9, 9, &array));
		assert_false(json_field_array(&f, names[i], JSON_REQUIRED, 9, &array));
		assert_false(json_field_object(&f, names[i], JSON_REQUIRED, &child));
		assert_true(s.n == 7 && n == 7 && on && array == tree && child.object == NULL);
		why.text[0] = '\0';
	}
	json_decref(tree);
}

static void names_the_field_and_the_rule(void **state)
{
	json_t *tree =
		parse("{\"n\":1.0,\"s\":\"abc\",\"b\":1,\"a\":[\"\"],\"l\":[\"abc\",1],\"o\":[],"
		      "\"big\":5}");
	struct json_why why;
	struct json_fields f;
	struct json_fields child;
	struct slice s = SLICE_NULL;
	int64_t n = 0;
	bool b = false;
	const json_t *array = NULL;
	assert_true(json_fields_init(&f, tree, "", &why));
	assert_false(json_field_int(&f, "n", JSON_OPTIONAL, INT64_MIN, INT64_MAX, &n));
	assert_string_equal(
		why.text, "n: must be an integer from -9223372036854775808 to 9223372036854775807");
	assert_false(json_field_int(&f, "big", JSON_OPTIONAL, 0, 4, &n));
	assert_string_equal(why.text, "big: must be an integer from 0 to 4");
	assert_false(json_field_int(&f, "big", JSON_OPTIONAL, 6, 9, &n));
	assert_false(json_field_string(&f, "s", JSON_OPTIONAL, 1, 2, &s));
	assert_string_equal(why.text, "s: must be a string of 1 to 2 bytes");
	assert_false(json_field_string(&f, "s", JSON_OPTIONAL, 4, 5, &s));
	assert_false(json_field_string(&f, "b", JSON_OPTIONAL, 0, 5, &s));
	assert_false(json_field_bool(&f, "b", JSON_OPTIONAL, &b));
	assert_string_equal(why.text, "b: must be true or false");
	assert_false(json_field_strings(&f, "a", JSON_OPTIONAL, 5, 5, &array));
	assert_string_equal(why.text, "a: value 0 must be a string of 1 to 5 bytes");
	assert_false(json_field_strings(&f, "l", JSON_OPTIONAL, 5, 5, &array));
	assert_string_equal(why.text, "l: value 1 must be a string of 1 to 5 bytes");
	assert_false(json_field_strings(&f, "l", JSON_OPTIONAL, 5, 2, &array));
	assert_string_equal(why.text, "l: value 0 must be a string of 1 to 2 bytes");
	assert_false(json_field_array(&f, "l", JSON_OPTIONAL, 1, &array));
	assert_string_equal(why.text, "l: must be an array of at most 1 values");
	assert_false(json_field_array(&f, "s", JSON_OPTIONAL, 1, &array));
	assert_false(json_field_object(&f, "o", JSON_OPTIONAL, &child));
	assert_string_equal(why.text, "o: must be an object");
	assert_false(json_field_refuse(&f, "s", "must not be %s", "abc"));
	assert_string_equal(why.text, "s: must not be abc");
	assert_true(s.n == 0 && n == 0 && !b && array == NULL);
	json_decref(tree);
}

static void cuts_a_path_that_is_too_long(void **state)
{
	char name[JSON_PATH_SIZE * 2];
	char text[JSON_PATH_SIZE * 2 + 32];
	struct json_why why;
	struct json_fields f;
	struct json_fields child;
	int64_t n;
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	(void)snprintf(text, sizeof(text), "{\"%s\":{\"a\":0}}", name);
	json_t *tree = parse(text);
	assert_true(json_fields_init(&f, tree, "", &why));
	assert_true(json_field_object(&f, name, JSON_REQUIRED, &child));
	assert_false(json_field_int(&child, "a", JSON_REQUIRED, 1, 2, &n));
	assert_non_null(strstr(why.text, "xa: must be an integer from 1 to 2"));
	json_decref(tree);
}

static int allocations_left;

static void *failing_malloc(size_t n)
{
	return allocations_left-- > 0 ? malloc(n) : NULL;
}

static void survives_every_failing_allocation(void **state)
{
	struct slice text = SLICE("{\"a\":[1,2.5,\"x\",{\"b\":null}],\"c\":\"a longer string\"}");
	json_malloc_t was_malloc;
	json_free_t was_free;
	json_t *tree = NULL;
	int r = -ENOMEM;
	int failed = 0;
	json_get_alloc_funcs(&was_malloc, &was_free);
	json_set_alloc_funcs(failing_malloc, free);
	for (int n = 0; r == -ENOMEM && n < 1000; n++) {
		allocations_left = n;
		r = json_tree_parse(text, &tree, NULL);
		failed += r == -ENOMEM;
	}
	json_set_alloc_funcs(was_malloc, was_free);
	assert_int_equal(r, 0);
	assert_in_range(failed, 10, 100);
	json_decref(tree);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_any_value),
		cmocka_unit_test(refuses_with_line_and_column),
		cmocka_unit_test(bounds_the_depth),
		cmocka_unit_test(needs_an_object),
		cmocka_unit_test(gets_fields),
		cmocka_unit_test(leaves_defaults_where_nothing_is),
		cmocka_unit_test(names_the_field_and_the_rule),
		cmocka_unit_test(cuts_a_path_that_is_too_long),
		cmocka_unit_test(survives_every_failing_allocation),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
