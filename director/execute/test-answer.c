/* What becomes of the JSON text that a plugin returned. */
/* cmocka.h needs what stands before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "director/execute/answer.h"

#include <errno.h>
#include <stdlib.h>

static void expect(const char *text, int status, bool add_detail, const char *error)
{
	struct answer a;
	const char *why = NULL;
	assert_int_equal(answer_judge(slice_str(text), &a, &why), 0);
	assert_int_equal(a.status, status);
	assert_int_equal(a.add_detail, add_detail);
	if (error != NULL) {
		assert_true(slice_eq(a.error, slice_str(error)));
	}
	if (!add_detail) {
		assert_int_equal(a.cut, slice_str(text).n);
	}
}

static void values_are_200(void **state)
{
	static const char *texts[] = { "{}", "null", "[]", "3", "\"error\"", "[{\"error\":1}]",
		"{\"a\":{\"error\":1}}", "{\"Error\":1}", "{\"errors\":1}",
		"{\"error_code\":\"NOT_FOUND\"}" };
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		expect(texts[i], 200, false, NULL);
	}
}

static void errors_get_their_status(void **state)
{
	expect("{\"error\":\"x\"}", 400, true, "\"x\"");
	expect("{\"error\":null}", 400, true, "null");
	expect("{\"\\u0065rror\":\"x\"}", 400, true, "\"x\"");
	expect("{\"error\":\"x\",\"error_code\":\"VALIDATION_ERROR\"}", 422, true, NULL);
	expect("{\"error_code\":\"NOT_FOUND\",\"error\":\"x\"}", 404, true, NULL);
	expect("{\"error\":1,\"error_code\":\"FORBIDDEN\"}", 403, true, NULL);
	expect("{\"error\":1,\"error_code\":\"PERMISSION_DENIED\"}", 403, true, NULL);
	expect("{\"error\":1,\"error_code\":\"UNAUTHORIZED\"}", 403, true, NULL);
	expect("{\"error\":1,\"error_code\":\"CONFLICT\"}", 409, true, NULL);
	expect("{\"error\":1,\"error_code\":\"RATE_LIMITED\"}", 429, true, NULL);
	expect("{\"error\":1,\"error_code\":\"OTHER\"}", 400, true, NULL);
	expect("{\"error\":1,\"error_code\":404}", 400, true, NULL);
	expect("{\"error\":1,\"detail\":2}", 400, false, NULL);
}

static void detail_goes_before_the_last_brace(void **state)
{
	struct answer a;
	const char *why;
	struct slice text = SLICE("{\"error\":{\"a\":1}} \n");
	assert_int_equal(answer_judge(text, &a, &why), 0);
	assert_true(slice_eq(slice_of(text.p, a.cut), SLICE("{\"error\":{\"a\":1}")));
	assert_true(slice_eq(a.error, SLICE("{\"a\":1}")));
}

static void what_is_not_json_is_refused(void **state)
{
	static const char *texts[] = { "", "{", "NaN", "{\"a\":NaN}", "{\"a\":Infinity}", "{} {}",
		"\"\xff\"", "{'a':1}", "\"\\ud800\"" };
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct answer a;
		const char *why = NULL;
		assert_int_equal(answer_judge(slice_str(texts[i]), &a, &why), -EBADMSG);
		assert_non_null(why);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_are_200),
		cmocka_unit_test(errors_get_their_status),
		cmocka_unit_test(detail_goes_before_the_last_brace),
		cmocka_unit_test(what_is_not_json_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
