/* Requests that kill workers, on a clock that the test turns. */
/* cmocka.h needs what stands before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "common/base/map.h"
#include "director/execute/quarantine.h"

#include <stdio.h>

static const uint64_t MINUTE = 60000;
static const uint64_t NOW = 1000000;

static const struct quarantine_policy usual = {
	.crashes = 2,
	.window_ms = 600000,
	.ms = 600000,
	.max_ms = 24ULL * 3600 * 1000,
	.user_crashes = 5,
	.user_wait_ms = 60000,
};

static int setup(void **state)
{
	return quarantine_new((struct quarantine **)state, &usual);
}

static int teardown(void **state)
{
	*state = quarantine_free(*state);
	return 0;
}

static uint64_t request(const struct quarantine *q, const char *body)
{
	return quarantine_request(q, SLICE("p"), SLICE("POST /api/execute"), slice_str(body));
}

static uint64_t user(const struct quarantine *q, const char *name)
{
	return quarantine_user(q, SLICE("p"), slice_str(name));
}

static enum quarantine_verdict ask(
	struct quarantine *q, const char *body, const char *name, uint64_t now, uint64_t *wait)
{
	uint64_t unused;
	return quarantine_ask(
		q, request(q, body), user(q, name), now, wait == NULL ? &unused : wait);
}

/* One crash with this alone in flight. */
static uint64_t crash(struct quarantine *q, const char *body, const char *name, uint64_t now)
{
	struct quarantine_suspect who = { request(q, body), user(q, name) };
	struct quarantine_suspect blamed;
	uint64_t quarantined = quarantine_crashed(q, &who, 1, now, &blamed);
	assert_int_equal(blamed.request, who.request);
	assert_int_equal(blamed.user, who.user);
	return quarantined;
}

static void two_crashes_quarantine_for_ten_minutes(void **state)
{
	struct quarantine *q = *state;
	uint64_t wait = 0;
	assert_int_equal(ask(q, "boom", "eve", NOW, NULL), QUARANTINE_CLEAN);
	assert_int_equal(crash(q, "boom", "eve", NOW), 0);
	assert_int_equal(ask(q, "boom", "eve", NOW, NULL), QUARANTINE_ALONE);
	assert_int_equal(crash(q, "boom", "eve", NOW + 9 * MINUTE), request(q, "boom"));
	uint64_t then = NOW + 9 * MINUTE;
	/* For everybody, and nothing else. */
	assert_int_equal(ask(q, "boom", "bob", then, &wait), QUARANTINE_REFUSED);
	assert_int_equal(wait, 10 * MINUTE);
	assert_int_equal(ask(q, "boom2", "eve", then, NULL), QUARANTINE_CLEAN);
	assert_int_equal(ask(q, "boom", "bob", then + 10 * MINUTE - 1, &wait), QUARANTINE_REFUSED);
	assert_int_equal(wait, 1);
	assert_int_equal(ask(q, "boom", "bob", then + 10 * MINUTE, NULL), QUARANTINE_CLEAN);
}

static void two_crashes_far_apart_do_not(void **state)
{
	struct quarantine *q = *state;
	assert_int_equal(crash(q, "boom", "eve", NOW), 0);
	assert_int_equal(ask(q, "boom", "eve", NOW + 10 * MINUTE, NULL), QUARANTINE_CLEAN);
	assert_int_equal(crash(q, "boom", "eve", NOW + 10 * MINUTE), 0);
}

static void each_time_is_twice_as_long_up_to_a_day(void **state)
{
	struct quarantine *q = *state;
	uint64_t now = NOW;
	uint64_t expected = 10 * MINUTE;
	for (int i = 0; i < 30; i++) {
		uint64_t wait = 0;
		(void)crash(q, "boom", "eve", now);
		assert_int_equal(crash(q, "boom", "eve", now), request(q, "boom"));
		assert_int_equal(ask(q, "boom", "bob", now, &wait), QUARANTINE_REFUSED);
		assert_int_equal(wait, expected);
		now += wait;
		expected = expected * 2 > usual.max_ms ? usual.max_ms : expected * 2;
	}
	assert_int_equal(expected, usual.max_ms);
}

static void in_company_the_suspicion_is_shared(void **state)
{
	struct quarantine *q = *state;
	struct quarantine_suspect all[4];
	struct quarantine_suspect blamed;
	const char *bodies[] = { "boom", "a", "b", "c" };
	for (int i = 0; i < 4; i++) {
		char name[8];
		(void)snprintf(name, sizeof(name), "u%d", i);
		all[i] = (struct quarantine_suspect){ request(q, bodies[i]), user(q, name) };
	}
	/* A quarter for each, seven times: none has two yet. */
	for (int i = 0; i < 7; i++) {
		assert_int_equal(quarantine_crashed(q, all, 4, NOW, &blamed), 0);
	}
	assert_int_not_equal(quarantine_crashed(q, all, 4, NOW, &blamed), 0);
}

/* The proof: suspected in company, it crashes alone. Two crashes in all. */
static void alone_it_is_proven_guilty(void **state)
{
	struct quarantine *q = *state;
	struct quarantine_suspect all[] = {
		{ request(q, "boom"), user(q, "eve") },
		{ request(q, "fine"), user(q, "bob") },
	};
	struct quarantine_suspect blamed;
	assert_int_equal(quarantine_crashed(q, all, 2, NOW, &blamed), 0);
	assert_int_equal(ask(q, "fine", "bob", NOW, NULL), QUARANTINE_ALONE);
	quarantine_succeeded(q, request(q, "fine"));
	assert_int_equal(ask(q, "fine", "bob", NOW, NULL), QUARANTINE_CLEAN);
	assert_int_equal(ask(q, "boom", "eve", NOW, NULL), QUARANTINE_ALONE);
	assert_int_equal(crash(q, "boom", "eve", NOW), request(q, "boom"));
}

static void one_that_crashes_now_and_then_is_not_cleared(void **state)
{
	struct quarantine *q = *state;
	(void)crash(q, "flaky", "eve", NOW);
	quarantine_succeeded(q, request(q, "flaky"));
	assert_int_equal(ask(q, "flaky", "eve", NOW, NULL), QUARANTINE_ALONE);
	assert_int_not_equal(crash(q, "flaky", "eve", NOW), 0);
}

/* However often the same request was in flight, it is one. */
static void the_same_request_many_times_is_one(void **state)
{
	struct quarantine *q = *state;
	struct quarantine_suspect all[10];
	struct quarantine_suspect blamed;
	for (int i = 0; i < 10; i++) {
		all[i] = (struct quarantine_suspect){ request(q, "boom"), user(q, "eve") };
	}
	assert_int_equal(quarantine_crashed(q, all, 10, NOW, &blamed), 0);
	assert_int_equal(blamed.user, user(q, "eve"));
	assert_int_equal(quarantine_crashed(q, all, 10, NOW, &blamed), request(q, "boom"));
}

static void suspects_run_one_at_a_time(void **state)
{
	struct quarantine *q = *state;
	assert_true(quarantine_begin(q, request(q, "boom")));
	(void)crash(q, "boom", "eve", NOW);
	assert_true(quarantine_begin(q, request(q, "boom")));
	assert_false(quarantine_begin(q, request(q, "boom")));
	quarantine_over(q, request(q, "boom"));
	assert_true(quarantine_begin(q, request(q, "boom")));
}

static void six_crashing_requests_slow_a_user_down(void **state)
{
	struct quarantine *q = *state;
	char body[16];
	uint64_t wait = 0;
	for (int i = 0; i < 5; i++) {
		(void)snprintf(body, sizeof(body), "boom %d", i);
		(void)crash(q, body, "eve", NOW);
	}
	assert_int_equal(ask(q, "fine", "eve", NOW, NULL), QUARANTINE_CLEAN);
	assert_int_equal(ask(q, "fine", "eve", NOW, NULL), QUARANTINE_CLEAN);
	(void)crash(q, "boom 5", "eve", NOW);
	/* One a minute. */
	assert_int_equal(ask(q, "fine", "eve", NOW, NULL), QUARANTINE_CLEAN);
	assert_int_equal(ask(q, "fine", "eve", NOW, &wait), QUARANTINE_SLOWED);
	assert_int_equal(wait, MINUTE);
	assert_int_equal(ask(q, "fine", "eve", NOW + MINUTE - 1, &wait), QUARANTINE_SLOWED);
	assert_int_equal(wait, 1);
	assert_int_equal(ask(q, "fine", "eve", NOW + MINUTE, NULL), QUARANTINE_CLEAN);
	/* Nobody else, and at no other plugin. */
	assert_int_equal(ask(q, "fine", "bob", NOW, NULL), QUARANTINE_CLEAN);
	assert_int_not_equal(user(q, "eve"), quarantine_user(q, SLICE("other"), SLICE("eve")));
	/* Until ten minutes are over. */
	assert_int_equal(ask(q, "fine", "eve", NOW + 10 * MINUTE, NULL), QUARANTINE_CLEAN);
	assert_int_equal(ask(q, "fine", "eve", NOW + 10 * MINUTE, NULL), QUARANTINE_CLEAN);
}

static void the_oldest_of_4096_is_forgotten(void **state)
{
	struct quarantine *q = *state;
	char body[32];
	for (int i = 0; i <= QUARANTINE_REQUESTS; i++) {
		(void)snprintf(body, sizeof(body), "boom %d", i);
		(void)crash(q, body, "eve", NOW);
	}
	assert_int_equal(quarantine_ask_again(q, request(q, "boom 0"), NOW), QUARANTINE_CLEAN);
	assert_int_equal(quarantine_ask_again(q, request(q, "boom 1"), NOW), QUARANTINE_ALONE);
	assert_int_equal(quarantine_ask_again(q, request(q, "boom 4096"), NOW), QUARANTINE_ALONE);
}

static void every_part_of_a_request_counts(void **state)
{
	struct quarantine *q = *state;
	uint64_t one = quarantine_request(q, SLICE("p"), SLICE("r"), SLICE("b"));
	assert_int_equal(one, quarantine_request(q, SLICE("p"), SLICE("r"), SLICE("b")));
	assert_int_not_equal(one, quarantine_request(q, SLICE("q"), SLICE("r"), SLICE("b")));
	assert_int_not_equal(one, quarantine_request(q, SLICE("p"), SLICE("s"), SLICE("b")));
	assert_int_not_equal(one, quarantine_request(q, SLICE("p"), SLICE("r"), SLICE("c")));
	assert_int_not_equal(quarantine_request(q, SLICE("pr"), SLICE(""), SLICE("b")),
		quarantine_request(q, SLICE("p"), SLICE("r"), SLICE("b")));
	/* Another runtime has another key. */
	struct quarantine *other;
	assert_int_equal(quarantine_new(&other, &usual), 0);
	assert_int_not_equal(one, quarantine_request(other, SLICE("p"), SLICE("r"), SLICE("b")));
	(void)quarantine_free(other);
}

static void zero_switches_it_off(void **state)
{
	static const struct quarantine_policy off = { .window_ms = 600000, .ms = 1, .max_ms = 1 };
	struct quarantine *q;
	assert_int_equal(quarantine_new(&q, &off), 0);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(crash(q, "boom", "eve", NOW), 0);
		assert_int_equal(ask(q, "boom", "eve", NOW, NULL), QUARANTINE_CLEAN);
	}
	(void)quarantine_free(q);
}

static void nobody_in_flight(void **state)
{
	struct quarantine_suspect blamed = { 1, 1 };
	assert_int_equal(quarantine_crashed(*state, NULL, 0, NOW, &blamed), 0);
	assert_int_equal(blamed.request, 0);
	assert_int_equal(blamed.user, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(two_crashes_quarantine_for_ten_minutes),
		TEST(two_crashes_far_apart_do_not),
		TEST(each_time_is_twice_as_long_up_to_a_day),
		TEST(in_company_the_suspicion_is_shared),
		TEST(alone_it_is_proven_guilty),
		TEST(one_that_crashes_now_and_then_is_not_cleared),
		TEST(the_same_request_many_times_is_one),
		TEST(suspects_run_one_at_a_time),
		TEST(six_crashing_requests_slow_a_user_down),
		TEST(the_oldest_of_4096_is_forgotten),
		TEST(every_part_of_a_request_counts),
		TEST(zero_switches_it_off),
		TEST(nobody_in_flight),
	};
	return map_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
