/* Every number of the breaker, on a clock that the test turns. */
/* cmocka.h needs what stands before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "director/hosts/breaker.h"

static const uint64_t SECOND = 1000;
static const uint64_t MINUTE = 60000;

static const struct breaker_policy usual = {
	.burst = 5,
	.burst_ms = 60000,
	.crashes = 10,
	.crashes_ms = 600000,
	.init_failures = 3,
	.open_ms = 30000,
	.open_max_ms = 900000,
	.successes = 3,
	.opens = 10,
	.opens_ms = 86400000,
	.violations = 3,
	.violations_ms = 3600000,
	.source_ms = 600000,
};

static const struct breaker_crash whole = { .weight = BREAKER_WHOLE };
static const struct breaker_crash half = { .weight = BREAKER_HALF };
static const struct breaker_crash init = { .weight = BREAKER_WHOLE, .init = true };
static const struct breaker_crash violation = { .weight = BREAKER_WHOLE, .violation = true };

/* `n` crashes, `every` ms apart; what the last did. The clock is left there. */
static enum breaker_action crash(struct breaker *b,
	const struct breaker_policy *policy,
	const struct breaker_crash *what,
	unsigned n,
	uint64_t every,
	uint64_t *now)
{
	enum breaker_action action = BREAKER_NOTHING;
	for (unsigned i = 0; i < n; i++) {
		*now += i == 0 ? 0 : every;
		action = breaker_crashed(b, policy, what, *now);
	}
	return action;
}

static void test_five_in_a_minute(void **state)
{
	struct breaker b = { 0 };
	uint64_t now = 1;
	assert_int_equal(crash(&b, &usual, &whole, 4, 14 * SECOND, &now), BREAKER_NOTHING);
	now += 14 * SECOND;
	assert_int_equal(breaker_crashed(&b, &usual, &whole, now), BREAKER_STOP);
	assert_int_equal(b.state, BREAKER_OPEN);
	assert_int_equal(breaker_wait_ms(&b, now), 30 * SECOND);
}

static void test_five_in_more_than_a_minute(void **state)
{
	struct breaker b = { 0 };
	uint64_t now = 1;
	assert_int_equal(crash(&b, &usual, &whole, 5, 15 * SECOND, &now), BREAKER_NOTHING);
	assert_int_equal(b.state, BREAKER_CLOSED);
}

static void test_ten_in_ten_minutes(void **state)
{
	struct breaker b = { 0 };
	uint64_t now = 1;
	/* One every 60 s never makes five in a minute. */
	assert_int_equal(crash(&b, &usual, &whole, 9, MINUTE, &now), BREAKER_NOTHING);
	now += MINUTE;
	assert_int_equal(breaker_crashed(&b, &usual, &whole, now), BREAKER_STOP);

	b = (struct breaker){ 0 };
	assert_int_equal(crash(&b, &usual, &whole, 20, 67 * SECOND, &now), BREAKER_NOTHING);
}

static void test_a_deadline_kill_weighs_half(void **state)
{
	struct breaker b = { 0 };
	uint64_t now = 1;
	assert_int_equal(crash(&b, &usual, &half, 9, SECOND, &now), BREAKER_NOTHING);
	assert_int_equal(breaker_crashed(&b, &usual, &half, now), BREAKER_STOP);
}

static void test_three_failed_starts_in_a_row(void **state)
{
	struct breaker b = { 0 };
	uint64_t now = 1;
	/* However long it takes. */
	assert_int_equal(crash(&b, &usual, &init, 2, 60 * MINUTE, &now), BREAKER_NOTHING);
	breaker_started(&b);
	assert_int_equal(crash(&b, &usual, &init, 2, 60 * MINUTE, &now), BREAKER_NOTHING);
	now += 60 * MINUTE;
	assert_int_equal(breaker_crashed(&b, &usual, &init, now), BREAKER_STOP);
}

static void test_half_open_needs_three_successes(void **state)
{
	struct breaker b = { 0 };
	uint64_t now = 1;
	(void)crash(&b, &usual, &whole, 5, 0, &now);
	assert_int_equal(breaker_tick(&b, now + 30 * SECOND - 1), BREAKER_NOTHING);
	assert_int_equal(breaker_wait_ms(&b, now + 30 * SECOND - 1), 1);
	now += 30 * SECOND;
	assert_int_equal(breaker_tick(&b, now), BREAKER_TRY);
	assert_int_equal(b.state, BREAKER_TRYING);
	assert_int_equal(breaker_wait_ms(&b, now), 0);
	assert_int_equal(breaker_succeeded(&b, &usual), BREAKER_NOTHING);
	assert_int_equal(breaker_succeeded(&b, &usual), BREAKER_NOTHING);
	assert_int_equal(breaker_succeeded(&b, &usual), BREAKER_RESUME);
	assert_int_equal(b.state, BREAKER_CLOSED);
	/* And begins to count anew. */
	assert_int_equal(crash(&b, &usual, &whole, 4, 0, &now), BREAKER_NOTHING);
}

static void test_one_crash_opens_a_half_open_one(void **state)
{
	struct breaker b = { 0 };
	uint64_t now = 1;
	(void)crash(&b, &usual, &whole, 5, 0, &now);
	now += 30 * SECOND;
	(void)breaker_tick(&b, now);
	(void)breaker_succeeded(&b, &usual);
	(void)breaker_succeeded(&b, &usual);
	assert_int_equal(breaker_crashed(&b, &usual, &half, now), BREAKER_STOP);
	assert_int_equal(breaker_wait_ms(&b, now), 60 * SECOND);
	/* The successes before do not count for the next try. */
	now += 60 * SECOND;
	assert_int_equal(breaker_tick(&b, now), BREAKER_TRY);
	assert_int_equal(breaker_succeeded(&b, &usual), BREAKER_NOTHING);
	assert_int_equal(b.state, BREAKER_TRYING);
}

static void test_it_opens_for_longer_and_at_most_fifteen_minutes(void **state)
{
	struct breaker_policy policy = usual;
	struct breaker b = { 0 };
	uint64_t now = 1;
	policy.opens = 0; /* never disabled */
	(void)crash(&b, &policy, &whole, 5, 0, &now);
	for (unsigned n = 1; n <= 40; n++) {
		uint64_t expected = n * 30 * SECOND < 15 * MINUTE ? n * 30 * SECOND : 15 * MINUTE;
		assert_int_equal(breaker_wait_ms(&b, now), expected);
		now += expected;
		assert_int_equal(breaker_tick(&b, now), BREAKER_TRY);
		assert_int_equal(breaker_crashed(&b, &policy, &whole, now), BREAKER_STOP);
	}
}

static void test_opens_are_forgotten_after_a_day(void **state)
{
	struct breaker b = { 0 };
	uint64_t now = 1;
	(void)crash(&b, &usual, &whole, 5, 0, &now);
	now += usual.opens_ms;
	assert_int_equal(breaker_tick(&b, now), BREAKER_TRY);
	assert_int_equal(breaker_crashed(&b, &usual, &whole, now), BREAKER_STOP);
	assert_int_equal(breaker_wait_ms(&b, now), 30 * SECOND);
	assert_int_equal(b.total_opens, 2);
}

static void test_the_tenth_opening_in_a_day_disables(void **state)
{
	struct breaker b = { 0 };
	uint64_t now = 1;
	assert_int_equal(crash(&b, &usual, &whole, 5, 0, &now), BREAKER_STOP);
	for (unsigned n = 2; n <= 9; n++) {
		now += breaker_wait_ms(&b, now);
		assert_int_equal(breaker_tick(&b, now), BREAKER_TRY);
		assert_int_equal(breaker_crashed(&b, &usual, &whole, now), BREAKER_STOP);
	}
	now += breaker_wait_ms(&b, now);
	assert_int_equal(breaker_tick(&b, now), BREAKER_TRY);
	assert_int_equal(breaker_crashed(&b, &usual, &whole, now), BREAKER_SWITCH_OFF);
	assert_int_equal(b.state, BREAKER_DISABLED);
	/* Only an operator ends that. */
	assert_int_equal(breaker_tick(&b, now + usual.opens_ms), BREAKER_NOTHING);
	assert_int_equal(breaker_renewed(&b), BREAKER_NOTHING);
	assert_int_equal(b.state, BREAKER_DISABLED);
	assert_int_equal(breaker_reset(&b), BREAKER_RESUME);
	assert_int_equal(b.state, BREAKER_CLOSED);
	assert_int_equal(crash(&b, &usual, &whole, 4, 0, &now), BREAKER_NOTHING);
	assert_int_equal(breaker_crashed(&b, &usual, &whole, now), BREAKER_STOP);
	assert_int_equal(breaker_wait_ms(&b, now), 30 * SECOND);
}

static void test_three_violations_in_an_hour_disable(void **state)
{
	struct breaker b = { 0 };
	uint64_t now = 1;
	assert_int_equal(crash(&b, &usual, &violation, 2, 30 * MINUTE, &now), BREAKER_NOTHING);
	/* The first is an hour old now. */
	now += 30 * MINUTE;
	assert_int_equal(breaker_crashed(&b, &usual, &violation, now), BREAKER_NOTHING);
	now += 29 * MINUTE;
	assert_int_equal(breaker_crashed(&b, &usual, &violation, now), BREAKER_SWITCH_OFF);
	assert_int_equal(b.state, BREAKER_DISABLED);
}

/* What a worker did on its way out is forbidden too. */
static void test_violations_count_while_it_is_open(void **state)
{
	struct breaker b = { 0 };
	uint64_t now = 1;
	assert_int_equal(crash(&b, &usual, &whole, 5, 0, &now), BREAKER_STOP);
	assert_int_equal(crash(&b, &usual, &violation, 2, 0, &now), BREAKER_NOTHING);
	assert_int_equal(b.state, BREAKER_OPEN);
	assert_int_equal(breaker_crashed(&b, &usual, &violation, now), BREAKER_SWITCH_OFF);
	assert_int_equal(b.state, BREAKER_DISABLED);
}

static void test_one_user_counts_once(void **state)
{
	struct breaker b = { 0 };
	uint64_t now = 1;
	struct breaker_crash by = { .weight = BREAKER_WHOLE, .user = 7 };
	for (unsigned i = 0; i < 50; i++) {
		by.request = 100 + i;
		assert_int_equal(breaker_crashed(&b, &usual, &by, now), BREAKER_NOTHING);
		now += SECOND;
	}
	assert_int_equal(b.state, BREAKER_CLOSED);
	/* Ten minutes after the one that counted, the next does. */
	now = 1 + 10 * MINUTE;
	(void)breaker_crashed(&b, &usual, &by, now);
	assert_int_equal(tally_sum(&b.crashes, 1, now), BREAKER_WHOLE);
}

static void test_one_request_counts_once(void **state)
{
	struct breaker b = { 0 };
	struct breaker_crash by = { .weight = BREAKER_WHOLE, .request = 9 };
	for (unsigned i = 0; i < 50; i++) {
		by.user = 100 + i;
		assert_int_equal(breaker_crashed(&b, &usual, &by, 1 + i), BREAKER_NOTHING);
	}
	assert_int_equal(b.state, BREAKER_CLOSED);
}

static void test_five_users_open_it(void **state)
{
	struct breaker b = { 0 };
	enum breaker_action action = BREAKER_NOTHING;
	for (unsigned i = 1; i <= 5; i++) {
		assert_int_equal(action, BREAKER_NOTHING);
		struct breaker_crash by = { BREAKER_WHOLE, .user = i, .request = 50 + i };
		action = breaker_crashed(&b, &usual, &by, i);
	}
	assert_int_equal(action, BREAKER_STOP);
}

static void test_one_user_cannot_keep_it_half_open(void **state)
{
	struct breaker b = { 0 };
	uint64_t now = 1;
	struct breaker_crash by = { .weight = BREAKER_WHOLE, .user = 7 };
	(void)breaker_crashed(&b, &usual, &by, now);
	(void)crash(&b, &usual, &whole, 4, 0, &now);
	now += 30 * SECOND;
	assert_int_equal(breaker_tick(&b, now), BREAKER_TRY);
	assert_int_equal(breaker_crashed(&b, &usual, &by, now), BREAKER_NOTHING);
	assert_int_equal(b.state, BREAKER_TRYING);
}

static void test_violations_of_one_user_count_each(void **state)
{
	struct breaker b = { 0 };
	struct breaker_crash by = { BREAKER_WHOLE, .violation = true, .user = 7 };
	assert_int_equal(breaker_crashed(&b, &usual, &by, 1), BREAKER_NOTHING);
	assert_int_equal(breaker_crashed(&b, &usual, &by, 2), BREAKER_NOTHING);
	assert_int_equal(breaker_crashed(&b, &usual, &by, 3), BREAKER_SWITCH_OFF);
}

static void test_another_version_starts_afresh(void **state)
{
	struct breaker b = { 0 };
	uint64_t now = 1;
	(void)crash(&b, &usual, &whole, 4, 0, &now);
	assert_int_equal(breaker_renewed(&b), BREAKER_NOTHING);
	assert_int_equal(crash(&b, &usual, &whole, 4, 0, &now), BREAKER_NOTHING);
	assert_int_equal(breaker_crashed(&b, &usual, &whole, now), BREAKER_STOP);
	assert_int_equal(breaker_renewed(&b), BREAKER_RESUME);
	/* It opened all the same: the next time is longer. */
	assert_int_equal(crash(&b, &usual, &whole, 5, 0, &now), BREAKER_STOP);
	assert_int_equal(breaker_wait_ms(&b, now), 60 * SECOND);
}

static void test_limits_of_zero_are_off(void **state)
{
	static const struct breaker_policy off = { .open_ms = 1, .open_max_ms = 1 };
	struct breaker b = { 0 };
	uint64_t now = 1;
	assert_int_equal(crash(&b, &off, &whole, 500, 0, &now), BREAKER_NOTHING);
	assert_int_equal(crash(&b, &off, &init, 500, 0, &now), BREAKER_NOTHING);
	assert_int_equal(crash(&b, &off, &violation, 500, 0, &now), BREAKER_NOTHING);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_five_in_a_minute),
		cmocka_unit_test(test_five_in_more_than_a_minute),
		cmocka_unit_test(test_ten_in_ten_minutes),
		cmocka_unit_test(test_a_deadline_kill_weighs_half),
		cmocka_unit_test(test_three_failed_starts_in_a_row),
		cmocka_unit_test(test_half_open_needs_three_successes),
		cmocka_unit_test(test_one_crash_opens_a_half_open_one),
		cmocka_unit_test(test_it_opens_for_longer_and_at_most_fifteen_minutes),
		cmocka_unit_test(test_opens_are_forgotten_after_a_day),
		cmocka_unit_test(test_the_tenth_opening_in_a_day_disables),
		cmocka_unit_test(test_three_violations_in_an_hour_disable),
		cmocka_unit_test(test_one_user_counts_once),
		cmocka_unit_test(test_one_request_counts_once),
		cmocka_unit_test(test_five_users_open_it),
		cmocka_unit_test(test_one_user_cannot_keep_it_half_open),
		cmocka_unit_test(test_violations_count_while_it_is_open),
		cmocka_unit_test(test_violations_of_one_user_count_each),
		cmocka_unit_test(test_another_version_starts_afresh),
		cmocka_unit_test(test_limits_of_zero_are_off),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
