/* Queries of URLs, and the members that become of them. */
/* cmocka.h needs what stands before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "director/execute/query.h"

#include <errno.h>

static void what_becomes_of_a_query(void **state)
{
	static const struct {
		const char *query;
		int result;
		const char *json;
	} rows[] = {
		{ "", 0, "" },
		{ "&&", 0, "" },
		{ "a=1", 0, "\"a\":\"1\"," },
		{ "a=1&b=two+words&c", 0, "\"a\":\"1\",\"b\":\"two words\",\"c\":\"\"," },
		{ "a=b=c", 0, "\"a\":\"b=c\"," },
		{ "%61=%C3%A9%22", 0, "\"a\":\"\xc3\xa9\\\"\"," },
		{ "=x", 0, "\"\":\"x\"," },
		{ "a=%4", -EINVAL, NULL },
		{ "a=%", -EINVAL, NULL },
		{ "a=%4g", -EINVAL, NULL },
		{ "a=%00", -EINVAL, NULL },
		{ "a=%FF", -EINVAL, NULL },
		{ "%C3=%A9", -EINVAL, NULL },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buffer out;
		buffer_init(&out, 1000);
		assert_int_equal(query_append_json(&out, slice_str(rows[i].query)), rows[i].result);
		if (rows[i].json != NULL) {
			assert_true(slice_eq(buffer_slice(&out), slice_str(rows[i].json)));
		}
		buffer_deinit(&out);
	}
}

static void the_limit_of_the_buffer_holds(void **state)
{
	struct buffer out;
	buffer_init(&out, 10);
	assert_int_equal(query_append_json(&out, SLICE("a=123456789")), -ENOBUFS);
	buffer_deinit(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_becomes_of_a_query),
		cmocka_unit_test(the_limit_of_the_buffer_holds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
