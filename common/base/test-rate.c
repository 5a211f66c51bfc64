/* A rate: one second's worth at once, then as fast as it leaks. */
/* cmocka.h needs what stands before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "common/base/rate.h"

static unsigned take_all(struct rate *r, uint64_t per_second, uint64_t now_ms)
{
	unsigned n = 0;
	while (n < 100000 && rate_take(r, per_second, now_ms)) {
		n++;
	}
	return n;
}

static void a_second_s_worth_comes_at_once(void **state)
{
	struct rate r = { 0 };
	assert_int_equal(take_all(&r, 500, 1000), 500);
	assert_int_equal(take_all(&r, 500, 1001), 0);
	assert_int_equal(take_all(&r, 500, 1002), 1);
	assert_int_equal(take_all(&r, 500, 1102), 50);
	assert_int_equal(take_all(&r, 500, 999999), 500);
}

static void slow_rates_leak_too(void **state)
{
	struct rate r = { 0 };
	assert_int_equal(take_all(&r, 1, 0), 1);
	for (uint64_t ms = 1; ms < 1000; ms++) {
		assert_false(rate_take(&r, 1, ms));
	}
	assert_true(rate_take(&r, 1, 1000));
	/* A third of a second and a bit. */
	r = (struct rate){ 0 };
	assert_true(rate_take(&r, 3, 0));
	assert_false(rate_is_idle(&r, 3, 333));
	assert_true(rate_is_idle(&r, 3, 334));
}

static void nothing_is_no_limit(void **state)
{
	struct rate r = { 0 };
	assert_int_equal(take_all(&r, 0, 5), 100000);
	assert_int_equal(rate_charge(&r, 0, UINT64_MAX, 5), 0);
	assert_true(rate_is_idle(&r, 0, 5));
}

static void debts_take_time(void **state)
{
	struct rate r = { 0 };
	assert_int_equal(rate_charge(&r, 100, 100, 0), 0);
	assert_int_equal(rate_charge(&r, 100, 1, 0), 10);
	assert_int_equal(rate_charge(&r, 100, 200, 10), 2000);
	assert_int_equal(rate_charge(&r, 100, 0, 2009), 1);
	assert_int_equal(rate_charge(&r, 100, 0, 2010), 0);
	assert_false(rate_is_idle(&r, 100, 3009));
	assert_true(rate_is_idle(&r, 100, 3010));
}

/* The largest rate, and a message full of the smallest frames: nothing overflows. */
static void large_numbers_stay_numbers(void **state)
{
	struct rate r = { 0 };
	assert_int_equal(rate_charge(&r, RATE_MAX, RATE_MAX, 7), 0);
	assert_false(rate_take(&r, RATE_MAX, 7));
	assert_int_equal(rate_charge(&r, RATE_MAX, RATE_MAX, 7), 1000);
	assert_true(rate_take(&r, RATE_MAX, UINT64_MAX));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_second_s_worth_comes_at_once),
		cmocka_unit_test(slow_rates_leak_too),
		cmocka_unit_test(nothing_is_no_limit),
		cmocka_unit_test(debts_take_time),
		cmocka_unit_test(large_numbers_stay_numbers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
