/* Waiting times and Retry-After. */
/* cmocka.h needs what stands before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "director/execute/shed.h"

static void half_the_deadline_and_no_more_than_two_seconds(void **state)
{
	assert_int_equal(shed_wait_ms(2000, 30000), 2000);
	assert_int_equal(shed_wait_ms(2000, 4000), 2000);
	assert_int_equal(shed_wait_ms(2000, 3000), 1500);
	assert_int_equal(shed_wait_ms(2000, 50), 25);
}

static void retry_after_is_the_time_of_those_that_wait(void **state)
{
	/* ceil(waiting x mean / places), in seconds. */
	assert_int_equal(shed_retry_after_s(10, 500000, 1), 5);
	assert_int_equal(shed_retry_after_s(10, 510000, 1), 6);
	assert_int_equal(shed_retry_after_s(10, 500000, 2), 3);
	assert_int_equal(shed_retry_after_s(256, 10000000, 1), 30);
	assert_int_equal(shed_retry_after_s(0, 0, 0), 1);
	assert_int_equal(shed_retry_after_s(1, 1, 64), 1);
}

static void the_mean_follows(void **state)
{
	uint64_t mean = shed_mean(0, 800);
	assert_int_equal(mean, 800);
	assert_int_equal(shed_mean(mean, 1600), 900);
	for (int i = 0; i < 100; i++) {
		mean = shed_mean(mean, 100);
	}
	assert_in_range(mean, 100, 110);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(half_the_deadline_and_no_more_than_two_seconds),
		cmocka_unit_test(retry_after_is_the_time_of_those_that_wait),
		cmocka_unit_test(the_mean_follows),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
