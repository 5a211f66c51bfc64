/* On a clock of its own. */
/* cmocka.h needs what stands before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "common/base/limiter.h"

#include <errno.h>
#include <stdio.h>

#define START UINT64_C(1000000)

static struct limiter *make(uint64_t n, uint64_t window_ms, size_t keys)
{
	struct limiter *l = NULL;
	assert_int_equal(limiter_new(&l, (struct limit){ n, window_ms }, keys), 0);
	return l;
}

static bool take(struct limiter *l, const char *key, uint64_t at)
{
	struct limit_state state;
	limiter_take(l, slice_str(key), at, &state);
	return state.allowed;
}

static unsigned take_all(struct limiter *l, const char *key, uint64_t at)
{
	unsigned n = 0;
	while (take(l, key, at)) {
		n++;
	}
	return n;
}

static void whole_allowance_at_once(void **state)
{
	struct limiter *l = make(60, 60000, 100);
	assert_int_equal(take_all(l, "a", START), 60);
	/* Each key has its own. */
	assert_int_equal(take_all(l, "b", START), 60);
	/* One a second flows in; what was refused costs nothing. */
	assert_int_equal(take_all(l, "a", START + 999), 0);
	assert_int_equal(take_all(l, "a", START + 1000), 1);
	assert_int_equal(take_all(l, "a", START + 31000), 30);
	/* Never more than all. */
	assert_int_equal(take_all(l, "a", START + 10000000), 60);
	(void)limiter_free(l);
}

static void what_clients_are_told(void **state)
{
	struct limiter *l = make(4, 8000, 1);
	struct limit_state s;
	static const struct limit_state expected[] = {
		{ true, 3, 2000, 0 },
		{ true, 2, 4000, 0 },
		{ true, 1, 6000, 0 },
		{ true, 0, 8000, 0 },
		{ false, 0, 8000, 2000 },
	};
	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
		limiter_take(l, SLICE("a"), START, &s);
		assert_int_equal(s.allowed, expected[i].allowed);
		assert_int_equal(s.left, expected[i].left);
		assert_int_equal(s.full_ms, expected[i].full_ms);
		assert_int_equal(s.retry_ms, expected[i].retry_ms);
	}
	limiter_take(l, SLICE("a"), START + 500, &s);
	assert_int_equal(s.retry_ms, 1500);
	/* Who comes when told is served. */
	limiter_take(l, SLICE("a"), START + 2000, &s);
	assert_true(s.allowed);
	(void)limiter_free(l);
	/* Less than a millisecond is one: nobody is told to come back at once. */
	l = make(7000, 1000, 1);
	assert_int_equal(take_all(l, "a", START), 7000);
	limiter_take(l, SLICE("a"), START, &s);
	assert_int_equal(s.retry_ms, 1);
	assert_int_equal(s.full_ms, 1000);
	(void)limiter_free(l);
}

/* Over any stretch of time no more than the allowance and what flowed in. */
static void never_more(void **state)
{
	struct limiter *l = make(100, 10000, 100);
	uint64_t seed = 1;
	uint64_t now = START;
	unsigned taken = 0;
	for (int i = 0; i < 100000; i++) {
		seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407U;
		now += (seed >> 33) % 50;
		taken += take(l, "a", now) ? 1 : 0;
		assert_true(taken <= 100 + (now - START) / 100 + 1);
	}
	/* Nor less: it was asked for more often than that. */
	assert_true(taken >= (now - START) / 100);
	(void)limiter_free(l);
}

static void fast_rates(void **state)
{
	struct limiter *l = make(LIMIT_MAX, 60000, 1);
	struct limit_state s;
	limiter_take(l, SLICE("a"), START, &s);
	assert_true(s.allowed);
	assert_int_equal(s.left, LIMIT_MAX - 1);
	(void)limiter_free(l);
}

/* A flood of keys: each still has no more than its own, and one that is used up is not forgotten by
 * newcomers who only look in. */
static void floods_do_not_forgive(void **state)
{
	struct limiter *l = make(10, 60000, 1024);
	char key[32];
	assert_int_equal(take_all(l, "hog", START), 10);
	unsigned forgiven = 0;
	for (int i = 0; i < 100000; i++) {
		(void)snprintf(key, sizeof(key), "key %d", i);
		assert_true(take(l, key, START + 1));
		forgiven += i % 100 == 0 && take(l, "hog", START + 1) ? 1 : 0;
	}
	assert_int_equal(forgiven, 0);
	(void)limiter_free(l);
}

static void bad_limits(void **state)
{
	struct limiter *l;
	assert_int_equal(limiter_new(&l, (struct limit){ 0, 60000 }, 1), -EINVAL);
	assert_int_equal(limiter_new(&l, (struct limit){ LIMIT_MAX + 1, 60000 }, 1), -EINVAL);
	assert_int_equal(limiter_new(&l, (struct limit){ 1, 999 }, 1), -EINVAL);
	assert_null(limiter_free(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_allowance_at_once),
		cmocka_unit_test(what_clients_are_told),
		cmocka_unit_test(never_more),
		cmocka_unit_test(fast_rates),
		cmocka_unit_test(floods_do_not_forgive),
		cmocka_unit_test(bad_limits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
