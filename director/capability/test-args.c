/* JSON arguments of capabilities: typed, bounded, nothing unknown. */
/* cmocka.h needs what stands before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "director/capability/args.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { NAME, LIST, EXTRA, FIELDS };

static const struct args_field template[FIELDS] = {
	[NAME] = { "name", ARGS_STRING, true, 8 },
	[LIST] = { "list", ARGS_ARRAY, false, 0 },
	[EXTRA] = { "extra", ARGS_ANY, false, 0 },
};

static void values_are_found(void **state)
{
	struct args a;
	struct args_field f[FIELDS];
	char why[256];
	memcpy(f, template, sizeof(f));
	struct slice text =
		SLICE("{\"extra\":{\"x\":1},\"na\\u006de\":\"a\\u00e4\\n\",\"list\":null}");
	assert_int_equal(args_read(&a, text, f, FIELDS, why), 0);
	assert_true(slice_eq(f[NAME].value, SLICE("a\xc3\xa4\n")));
	assert_null(f[LIST].value.p);
	assert_true(slice_eq(f[EXTRA].value, SLICE("{\"x\":1}")));
	args_deinit(&a);
}

static void rules_are_named(void **state)
{
	static const struct {
		const char *text, *message;
	} bad[] = {
		{ "{}", "'name' is missing" },
		{ "{\"name\":null}", "'name' must be a string" },
		{ "{\"name\":1}", "'name' must be a string" },
		{ "{\"name\":\"123456789\"}", "more than 8 bytes" },
		{ "{\"name\":\"a\\u0000b\"}", "NUL" },
		{ "{\"name\":\"a\",\"list\":{}}", "'list' must be an array" },
		{ "{\"name\":\"a\",\"name\":\"b\"}", "'name' is given twice" },
		{ "{\"name\":\"a\",\"user\":1}", "unknown argument" },
		{ "[]", "no JSON object" },
		{ "{\"name\":\"a\"} x", "no JSON object" },
		{ "", "no JSON object" },
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct args a;
		struct args_field f[FIELDS];
		char why[256] = "";
		memcpy(f, template, sizeof(f));
		assert_int_equal(args_read(&a, slice_str(bad[i].text), f, FIELDS, why), -EBADMSG);
		if (strstr(why, bad[i].message) == NULL) {
			fail_msg("%s: %s, wanted %s", bad[i].text, why, bad[i].message);
		}
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_are_found),
		cmocka_unit_test(rules_are_named),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
