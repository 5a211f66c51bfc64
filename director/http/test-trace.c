/* cmocka.h needs what stands before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "director/http/trace.h"

#define ID   "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN "00f067aa0ba902b7"

static const uint8_t bytes[TRACE_RANDOM] = { 0xab, 0xcd, [16] = 0x12, 0x34 };
#define OWN      "00-abcd0000000000000000000000000000-1234000000000000-00"
#define CHILD(f) "00-" ID "-1234000000000000-" f

static void check(const char *parent, const char *expected)
{
	char made[TRACE_LENGTH + 1] = "";
	bool continues = trace_make(slice_str(parent), bytes, made);
	assert_string_equal(made, expected);
	assert_int_equal(continues, slice_starts(slice_str(expected), SLICE("00-" ID)));
}

static void continued(void **state)
{
	check("00-" ID "-" SPAN "-01", CHILD("01"));
	check("00-" ID "-" SPAN "-00", CHILD("00"));
	/* Flags that we do not know are not passed on. */
	check("00-" ID "-" SPAN "-ff", CHILD("01"));
	check("00-" ID "-" SPAN "-fe", CHILD("00"));
	/* Later versions, with more behind or without. */
	check("01-" ID "-" SPAN "-01", CHILD("01"));
	check("cc-" ID "-" SPAN "-01-what the future brings", CHILD("01"));
}

static void begun(void **state)
{
	static const char *const bad[] = {
		"",
		"00",
		"00-" ID "-" SPAN,
		"00-" ID "-" SPAN "-0",
		"00-" ID "-" SPAN "-01-",
		"00-" ID "-" SPAN "-01-more",
		"00-" ID "-" SPAN "-011",
		"01-" ID "-" SPAN "-01.more",
		"ff-" ID "-" SPAN "-01",
		"0g-" ID "-" SPAN "-01",
		"00-00000000000000000000000000000000-" SPAN "-01",
		"00-" ID "-0000000000000000-01",
		"00-4BF92F3577B34DA6A3CE929D0E0E4736-" SPAN "-01",
		"00_" ID "-" SPAN "-01",
		"00-" ID "_" SPAN "-01",
		"00-" ID "-" SPAN "_01",
		"00-" ID "-" SPAN "-0x",
		" 00-" ID "-" SPAN "-01",
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		check(bad[i], OWN);
	}
}

static void never_zero(void **state)
{
	static const uint8_t zeros[TRACE_RANDOM];
	char made[TRACE_LENGTH];
	assert_false(trace_make(SLICE_NULL, zeros, made));
	assert_memory_equal(
		made, "00-10000000000000000000000000000000-1000000000000000-00", TRACE_LENGTH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(continued),
		cmocka_unit_test(begun),
		cmocka_unit_test(never_zero),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
