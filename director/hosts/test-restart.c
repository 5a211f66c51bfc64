/* When the next worker may start, on a clock that the test turns. */
/* cmocka.h needs what stands before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "director/hosts/restart.h"

static const struct restart_policy usual = {
	.first_ms = 100, .max_ms = 60000, .healthy_ms = 60000, .rate = 20, .at_once = 4
};

/* The wait of 4/5 to 6/5 of `ms`. */
static void assert_wait(uint64_t wait, uint64_t ms)
{
	assert_in_range(wait, ms * 4 / 5, ms * 6 / 5);
}

static void test_back_off(void **state)
{
	static const uint64_t expected[] = { 100, 250, 500, 1000, 2000, 4000, 8000, 16000, 32000,
		60000, 60000, 60000 };
	static const uint32_t chances[] = { 0, 1, 12345, UINT32_MAX };
	for (unsigned c = 0; c < sizeof(chances) / sizeof(chances[0]); c++) {
		struct restart r = { 0 };
		uint64_t now = 1000;
		assert_int_equal(restart_wait_ms(&r, now), 0);
		for (unsigned i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
			restart_crashed(&r, &usual, 0, false, chances[c], now);
			assert_wait(restart_wait_ms(&r, now), expected[i]);
			now += restart_wait_ms(&r, now);
			assert_int_equal(restart_wait_ms(&r, now), 0);
		}
	}
}

static void test_no_wait_is_longer_than_the_longest(void **state)
{
	struct restart_policy small = usual;
	struct restart r = { 0 };
	small.max_ms = 300;
	static const uint64_t expected[] = { 100, 250, 300, 300, 300, 300 };
	for (unsigned i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
		restart_crashed(&r, &small, 0, false, 0, 0);
		assert_wait(restart_wait_ms(&r, 0), expected[i]);
	}
}

static void test_jitter_reaches_both_ends(void **state)
{
	struct restart r = { 0 };
	restart_crashed(&r, &usual, 0, false, 0, 0);
	assert_int_equal(restart_wait_ms(&r, 0), 80);
	r = (struct restart){ 0 };
	restart_crashed(&r, &usual, 0, false, 40, 0);
	assert_int_equal(restart_wait_ms(&r, 0), 120);
}

static void test_many_crashes_do_not_overflow(void **state)
{
	struct restart r = { 0 };
	for (unsigned i = 0; i < 100000; i++) {
		restart_crashed(&r, &usual, 0, false, 0, 0);
	}
	assert_wait(restart_wait_ms(&r, 0), 60000);
}

static void test_what_begins_the_count_anew(void **state)
{
	static const struct {
		uint64_t ready_ms;
		bool succeeded;
		unsigned crashes;
	} cases[] = {
		{ 0, false, 4 },
		{ 59999, true, 4 },
		{ 60000, false, 4 },
		{ 60000, true, 1 },
	};
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct restart r = { .crashes = 3 };
		restart_crashed(&r, &usual, cases[i].ready_ms, cases[i].succeeded, 0, 0);
		assert_int_equal(r.crashes, cases[i].crashes);
	}
}

static void test_forgotten(void **state)
{
	struct restart r = { 0 };
	restart_crashed(&r, &usual, 0, false, 0, 0);
	restart_forget(&r);
	assert_int_equal(restart_wait_ms(&r, 0), 0);
	assert_int_equal(r.crashes, 0);
}

/* How many of `n` plugins' restarts are let through in `ms`. */
static unsigned count_restarts(unsigned n, uint64_t ms)
{
	struct restart_rate all = { 0 };
	struct restart plugins[64] = { 0 };
	unsigned taken = 0;
	for (uint64_t now = 5000; now < 5000 + ms; now++) {
		for (unsigned i = 0; i < n; i++) {
			while (restart_take(&all, &plugins[i], &usual, now) == 0) {
				taken++;
			}
		}
	}
	return taken;
}

static void test_twenty_restarts_a_second_and_half_for_one_plugin(void **state)
{
	/* A burst of a second's worth, then the rate. */
	assert_int_equal(count_restarts(64, 1), 20);
	assert_in_range(count_restarts(64, 10000), 218, 220);
	assert_int_equal(count_restarts(1, 1), 10);
	assert_in_range(count_restarts(1, 10000), 108, 110);
}

static void test_the_wait_for_the_rate_is_long_enough(void **state)
{
	struct restart_rate all = { 0 };
	struct restart r = { 0 };
	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(restart_take(&all, &r, &usual, 7000), 0);
	}
	uint64_t wait = restart_take(&all, &r, &usual, 7000);
	assert_int_equal(wait, 100);
	assert_int_not_equal(restart_take(&all, &r, &usual, 7000 + wait - 1), 0);
	assert_int_equal(restart_take(&all, &r, &usual, 7000 + wait), 0);
}

static void test_share(void **state)
{
	static const struct restart_policy one = { .at_once = 1 };
	assert_int_equal(restart_share(&usual), 2);
	assert_int_equal(restart_share(&one), 1);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_back_off),
		cmocka_unit_test(test_no_wait_is_longer_than_the_longest),
		cmocka_unit_test(test_jitter_reaches_both_ends),
		cmocka_unit_test(test_many_crashes_do_not_overflow),
		cmocka_unit_test(test_what_begins_the_count_anew),
		cmocka_unit_test(test_forgotten),
		cmocka_unit_test(test_twenty_restarts_a_second_and_half_for_one_plugin),
		cmocka_unit_test(test_the_wait_for_the_rate_is_long_enough),
		cmocka_unit_test(test_share),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
