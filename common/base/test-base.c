/* Slices, buffers and log escaping. */
/* cmocka.h needs what stands before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "common/base/buffer.h"
#include "common/base/map.h"
#include "common/base/slice.h"

#include <errno.h>
#include <stdlib.h>

static void slice_compares(void **state)
{
	assert_true(slice_eq(SLICE("ab"), SLICE("ab")));
	assert_false(slice_eq(SLICE("ab"), SLICE("abc")));
	assert_true(slice_eq(SLICE_NULL, SLICE("")));
	assert_true(slice_eq_nocase(SLICE("Host"), SLICE("hOST")));
	assert_false(slice_eq_nocase(SLICE("a@"), SLICE("a`")));
	assert_true(slice_eq_secret(SLICE("s3"), SLICE("s3")));
	assert_false(slice_eq_secret(SLICE("s3"), SLICE("s4")));
}

static void slice_refuses_bad_numbers(void **state)
{
	static const char *bad[] = { "", "-1", "+1", " 1", "01", "1 ", "18446744073709551616",
		"0x1", "101" };
	uint64_t value = 7;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_false(slice_to_u64(slice_str(bad[i]), 100, &value));
		assert_int_equal(value, 7);
	}
	assert_true(slice_to_u64(SLICE("100"), 100, &value));
	assert_int_equal(value, 100);
	assert_true(slice_to_u64(SLICE("18446744073709551615"), UINT64_MAX, &value));
}

static void utf8_is_strict(void **state)
{
	static const char *good[] = { "", "plain ascii, long enough", "h\xc3\xa4", "\xe2\x82\xac",
		"\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf", "\xed\x9f\xbf", "\xee\x80\x80" };
	static const char *bad[] = { "\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80",
		"\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xc3", "\xe2\x82",
		"12345678\xff", "1234567\xc3" };
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_true(slice_is_utf8(slice_str(good[i])));
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_false(slice_is_utf8(slice_str(bad[i])));
	}
}

static void buffer_keeps_its_limit(void **state)
{
	struct buffer b;
	buffer_init(&b, 300);
	for (int i = 0; i < 30; i++) {
		assert_int_equal(buffer_append(&b, SLICE("0123456789")), 0);
	}
	assert_int_equal(buffer_append_byte(&b, 'x'), -ENOBUFS);
	assert_int_equal(b.n, 300);
	buffer_consume(&b, 295);
	assert_true(slice_eq(buffer_slice(&b), SLICE("56789")));
	assert_int_equal(buffer_printf(&b, "%d", 12345), 0);
	assert_true(slice_eq(buffer_slice(&b), SLICE("5678912345")));
	buffer_deinit(&b);
}

static void json_strings_are_escaped(void **state)
{
	struct buffer b;
	buffer_init(&b, 1000);
	assert_int_equal(buffer_append_json(&b, SLICE("a\"\\\n\x01\x7f\xc3\xa4")), 0);
	assert_true(slice_eq(buffer_slice(&b), SLICE("\"a\\\"\\\\\\n\\u0001\\u007f\xc3\xa4\"")));
	buffer_clear(&b);
	assert_int_equal(buffer_append_json(&b, SLICE("x\xff\n")), 0);
	assert_true(slice_eq(buffer_slice(&b), SLICE("\"x\\ufffd\\n\"")));
	buffer_deinit(&b);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(slice_compares),
		cmocka_unit_test(slice_refuses_bad_numbers),
		cmocka_unit_test(utf8_is_strict),
		cmocka_unit_test(buffer_keeps_its_limit),
		cmocka_unit_test(json_strings_are_escaped),
	};
	return map_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
