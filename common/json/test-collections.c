/* cmocka.h needs what stands before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "common/json/collections.h"

#include <errno.h>
#include <stdlib.h>

/* Reads `text`. @return the normal form or, with a '!' in front, why there is none; free() it. */
static char *read_text(const char *text)
{
	json_t *tree = NULL;
	json_t *out = NULL;
	struct json_why why = { "" };
	char *answer = NULL;
	assert_int_equal(json_tree_parse(slice_str(text), &tree, NULL), 0);
	int r = collections_read(tree, "", &out, &why);
	if (r == 0) {
		answer = json_dumps(out, JSON_COMPACT);
		json_decref(out);
	} else {
		assert_int_equal(r, -EBADMSG);
		assert_true(asprintf(&answer, "!%s", why.text) > 0);
	}
	json_decref(tree);
	return answer;
}

static const struct {
	const char *in, *out;
} rows[] = {
	{ "{}", "[]" },
	{ "{\"collections\":null}", "[]" },
	{ "{\"collections\":[]}", "[]" },
	{ "{\"collections\":[\"a\",{\"name\":\"b\"}]}", "[{\"name\":\"a\"},{\"name\":\"b\"}]" },
	/* The seed's. */
	{ "{\"collections\":{\"x\":{\"indexes\":[{\"field\":\"id\",\"unique\":true},{\"field\":\"t\"}]}},"
	  "\"initial_data\":{\"config\":{\"on\":true}}}",
		"[{\"name\":\"x\",\"indexes\":[{\"key\":{\"id\":1},\"name\":\"id_1\",\"unique\":true},"
		"{\"key\":{\"t\":1},\"name\":\"t_1\"}]},"
		"{\"name\":\"config\",\"initial_data\":[{\"on\":true}]}]" },
	/* What stands at the top counts, not what is below it as well. */
	{ "{\"collections\":[\"a\"],\"database_schema\":{\"collections\":[\"b\"]}}",
		"[{\"name\":\"a\"}]" },
	{ "{\"collections\":[{\"name\":\"a\",\"initial_data\":{\"x\":1}}],\"initial_data\":{\"a\":[{\"y\":2}]}}",
		"[{\"name\":\"a\",\"initial_data\":[{\"x\":1},{\"y\":2}]}]" },
	{ "{\"collections\":{\"a\":{\"indexes\":[[{\"field\":\"b\",\"order\":\"desc\"},{\"c\":1}]]}}}",
		"[{\"name\":\"a\",\"indexes\":[{\"key\":{\"b\":-1,\"c\":1},\"name\":\"b_-1_c_1\"}]}]" },
	{ "{\"collections\":{\"a\":{\"indexes\":[{\"key\":{\"b\":1},\"expire_after_seconds\":0,\"sparse\":null}]}}}",
		"[{\"name\":\"a\",\"indexes\":[{\"key\":{\"b\":1},\"name\":\"b_1\",\"expireAfterSeconds\":0}]}]" },
	{ "{\"collections\":[\"a\",\"a\"]}", "!collections: a: declared twice" },
	{ "{\"collections\":[{\"name\":\".a\"}]}",
		"!collections: names must be 1 to 64 of the characters A-Z a-z 0-9 . _ -" },
	{ "{\"collections\":{\"a\":{\"indexes\":[[\"b\",\"b\"]]}}}",
		"!collections: a: an index must be a name, a list of names or an object" },
	{ "{\"collections\":{\"a\":{\"indexes\":[[[\"b\",1,2]]]}}}",
		"!collections: a: an index must be a name, a list of names or an object" },
	{ "{\"collections\":{\"a\":{\"indexes\":[{\"field\":\"b\",\"unique\":1}]}}}",
		"!collections: a: an index does not take this \"unique\"" },
	{ "{\"collections\":{\"a\":{\"indexes\":[{\"field\":\"b\",\"ttl\":-1}]}}}",
		"!collections: a: an index does not take this \"ttl\"" },
	{ "{\"collections\":{\"a\":{\"indexes\":{}}}}",
		"!collections: a: indexes must be a list of at most 64" },
	{ "{\"collections\":[{\"name\":\"a\",\"scope\":\"user\"}],\"initial_data\":{\"a\":{}}}",
		"!collections: a: initial data needs the scope app" },
	{ "{\"initial_data\":{\"a/b\":{}}}",
		"!collections: names must be 1 to 64 of the characters A-Z a-z 0-9 . _ -" },
};

static void every_form(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *out = read_text(rows[i].in);
		assert_string_equal(out, rows[i].out);
		free(out);
	}
}

/* {"collections":{"a":{"MEMBER":[ITEM,ITEM,…]}}} */
static char *many(const char *member, const char *item, size_t n)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);
	(void)fprintf(f, "{\"collections\":{\"a\":{\"%s\":[", member);
	for (size_t i = 0; i < n; i++) {
		(void)fprintf(f, "%s%s", i == 0 ? "" : ",", item);
	}
	(void)fputs("]}}}", f);
	(void)fclose(f);
	char *out = read_text(text);
	free(text);
	return out;
}

static void bounds(void **state)
{
	static const struct {
		const char *member, *item, *why;
		size_t most;
	} limits[] = {
		{ "indexes", "\"b\"", "!collections: a: indexes must be a list of at most 64", 64 },
		{ "initial_data", "{}",
			"!collections: a: more than 1000 documents of initial data in all", 1000 },
	};
	for (size_t i = 0; i < 2; i++) {
		char *out = many(limits[i].member, limits[i].item, limits[i].most);
		assert_int_equal(out[0], '[');
		free(out);
		out = many(limits[i].member, limits[i].item, limits[i].most + 1);
		assert_string_equal(out, limits[i].why);
		free(out);
	}
}

static void names_are_bounded(void **state)
{
	char field[200];
	char text[512];
	memset(field, 'f', sizeof(field));
	for (size_t n = 126; n <= 127; n++) {
		field[n] = '\0';
		(void)snprintf(text, sizeof(text),
			"{\"collections\":{\"a\":{\"indexes\":[\"%s\"]}}}", field);
		char *out = read_text(text);
		if (n == 126) {
			assert_int_equal(out[0], '[');
		} else {
			assert_string_equal(
				out, "!collections: a: the name of an index has 1 to 128 bytes");
		}
		free(out);
		field[n] = 'f';
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_form),
		cmocka_unit_test(bounds),
		cmocka_unit_test(names_are_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
