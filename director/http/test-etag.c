/* cmocka.h needs what stands before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "director/http/etag.h"

static void tags(void **state)
{
	char a[ETAG_LENGTH];
	char b[ETAG_LENGTH];
	etag_make(SLICE("a"), a);
	etag_make(SLICE("a"), b);
	assert_memory_equal(a, b, sizeof(a));
	etag_make(SLICE("b"), b);
	assert_memory_not_equal(a, b, sizeof(a));
	etag_make(SLICE_NULL, b);
	assert_true(a[0] == '"' && a[ETAG_LENGTH - 1] == '"');
}

static void lists(void **state)
{
	static const char *const yes[] = { "\"x\"", "*", " \"a\", \"x\"", "W/\"x\"",
		"\"a\",W/\"x\" ", "\"a,b\" , \"x\"", ",,\"x\"" };
	static const char *const no[] = { "", "x", "\"x", "x\"", "\"y\"", "\"a\" * ", "w/\"x\"",
		"\"", "\"a\", x, \"x\"", "\"\"", "\"ax\"", "W/" };
	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
		if (!etag_matches(slice_str(yes[i]), SLICE("\"x\""))) {
			fail_msg("%s does not match", yes[i]);
		}
	}
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
		if (etag_matches(slice_str(no[i]), SLICE("\"x\""))) {
			fail_msg("%s matches", no[i]);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tags),
		cmocka_unit_test(lists),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
