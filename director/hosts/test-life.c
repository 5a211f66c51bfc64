/* A worker's life and pulse: what may follow what, and how long each takes. */
/* cmocka.h needs what stands before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "director/hosts/life.h"

static const struct life_policy usual = {
	.hello_ms = 10000,
	.load_ms = 30000,
	.grace_ms = 1000,
	.ping_ms = 5000,
	.drain_ms = 35000,
	.finish_ms = 2000,
};

/* Lets `state` have the events; what the last one did. */
static enum life_action live(enum worker_state *state, const enum life_event *events, unsigned n)
{
	struct life_step step = { LIFE_NOTHING, *state };
	for (unsigned i = 0; i < n; i++) {
		step = life_step(*state, events[i]);
		*state = step.next;
	}
	return step.action;
}

#define LIVE(state, ...)                                         \
	live(&(state), (const enum life_event[]){ __VA_ARGS__ }, \
		sizeof((const enum life_event[]){ __VA_ARGS__ }) / sizeof(enum life_event))

static void test_the_usual_life(void **context)
{
	enum worker_state s = WORKER_STARTING;
	assert_int_equal(LIVE(s, LIFE_HELLO), LIFE_CONFIGURE);
	assert_int_equal(LIVE(s, LIFE_LOADED), LIFE_SERVE);
	assert_int_equal(s, WORKER_READY);
	assert_int_equal(LIVE(s, LIFE_EMPTY), LIFE_NOTHING);
	assert_int_equal(LIVE(s, LIFE_DRAIN), LIFE_SAY_DRAIN);
	assert_int_equal(LIVE(s, LIFE_EMPTY), LIFE_LET_FINISH);
	assert_int_equal(LIVE(s, LIFE_CLOSED), LIFE_END_DONE);
	assert_int_equal(LIVE(s, LIFE_EXITED), LIFE_FREE);
}

static void test_drain_comes_before_kill(void **context)
{
	/* A drained worker is only killed when its time is over, and has two of them. */
	enum worker_state s = WORKER_READY;
	assert_int_equal(LIVE(s, LIFE_DRAIN), LIFE_SAY_DRAIN);
	assert_int_equal(life_time_ms(s, &usual), 35000);
	assert_int_equal(LIVE(s, LIFE_EMPTY), LIFE_LET_FINISH);
	assert_int_equal(life_time_ms(s, &usual), 2000);
	assert_int_equal(LIVE(s, LIFE_TIMER), LIFE_END_DONE);
	s = WORKER_READY;
	assert_int_equal(LIVE(s, LIFE_DRAIN, LIFE_TIMER), LIFE_END_DONE);
}

static void test_stuck_calls_end_it_once_the_others_are_done(void **context)
{
	enum worker_state s = WORKER_READY;
	assert_int_equal(LIVE(s, LIFE_STUCK), LIFE_NOTHING);
	assert_int_equal(s, WORKER_READY);
	assert_int_equal(LIVE(s, LIFE_DRAIN, LIFE_STUCK), LIFE_END_DONE);
}

static void test_too_late(void **context)
{
	enum worker_state s = WORKER_STARTING;
	assert_int_equal(life_time_ms(s, &usual), 10000);
	assert_int_equal(LIVE(s, LIFE_TIMER), LIFE_END_LATE);
	s = WORKER_LOADING;
	assert_int_equal(life_time_ms(s, &usual), 30000);
	assert_int_equal(LIVE(s, LIFE_TIMER), LIFE_END_LATE);
	/* One that serves is not late for anything. */
	assert_int_equal(life_time_ms(WORKER_READY, &usual), 0);
}

static void test_what_dies_by_itself(void **context)
{
	static const enum worker_state states[] = { WORKER_STARTING, WORKER_LOADING, WORKER_READY,
		WORKER_DRAINING };
	for (unsigned i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		enum worker_state s = states[i];
		assert_int_equal(LIVE(s, LIFE_CLOSED), LIFE_LET_DIE);
		assert_int_equal(s, WORKER_DYING);
		assert_int_equal(LIVE(s, LIFE_EXITED), LIFE_FREE);
		/* One that lives on is killed. */
		assert_int_equal(life_time_ms(s, &usual), 1000);
		assert_int_equal(LIVE(s, LIFE_TIMER), LIFE_KILL);
		assert_int_equal(s, WORKER_ENDING);
		s = states[i];
		assert_int_equal(LIVE(s, LIFE_EXITED), LIFE_END_DIED);
	}
}

static void test_words_out_of_order(void **context)
{
	enum worker_state s = WORKER_STARTING;
	assert_int_equal(LIVE(s, LIFE_LOADED), LIFE_REFUSE);
	s = WORKER_LOADING;
	assert_int_equal(LIVE(s, LIFE_HELLO), LIFE_REFUSE);
	s = WORKER_READY;
	assert_int_equal(LIVE(s, LIFE_HELLO), LIFE_REFUSE);
	assert_int_equal(LIVE(s, LIFE_LOADED), LIFE_REFUSE);
}

/* ENDING is left by being freed, and by nothing else. */
static void test_the_end_is_final(void **context)
{
	for (int e = 0; e < LIFE_EVENTS_N; e++) {
		struct life_step step = life_step(WORKER_ENDING, (enum life_event)e);
		assert_int_equal(step.next, WORKER_ENDING);
		bool last = e == LIFE_EXITED || e == LIFE_TIMER;
		assert_int_equal(step.action, last ? LIFE_FREE : LIFE_NOTHING);
	}
	assert_int_not_equal(life_time_ms(WORKER_ENDING, &usual), 0);
}

/* Every end goes to ENDING, and nothing else does. */
static void test_ends_are_ends(void **context)
{
	for (int s = 0; s < WORKER_ENDING; s++) {
		for (int e = 0; e < LIFE_EVENTS_N; e++) {
			struct life_step step = life_step((enum worker_state)s, (enum life_event)e);
			bool ends = step.action == LIFE_END_LATE || step.action == LIFE_END_DONE ||
				step.action == LIFE_END_DIED || step.action == LIFE_KILL;
			assert_int_equal(ends, step.next == WORKER_ENDING);
			assert_true((int)step.next >= s);
		}
	}
}

static void test_an_idle_worker_has_two_tries(void **context)
{
	struct pulse p = { 0 };
	assert_int_equal(pulse_time_ms(&p, &usual), 5000);
	assert_int_equal(pulse_step(&p, PULSE_TIMER_IDLE), PULSE_PING);
	assert_int_equal(pulse_time_ms(&p, &usual), 5000);
	assert_true(pulse_is_good(&p));
	assert_int_equal(pulse_step(&p, PULSE_TIMER_IDLE), PULSE_PING);
	assert_false(pulse_is_good(&p));
	assert_int_equal(pulse_step(&p, PULSE_TIMER_IDLE), PULSE_KILL);
}

static void test_an_answer_makes_it_good_again(void **context)
{
	struct pulse p = { 0 };
	(void)pulse_step(&p, PULSE_TIMER_IDLE);
	assert_int_equal(pulse_step(&p, PULSE_PONG), PULSE_REST);
	(void)pulse_step(&p, PULSE_TIMER_IDLE);
	(void)pulse_step(&p, PULSE_TIMER_IDLE);
	/* Two were asked: the first answer is of the past. */
	assert_int_equal(pulse_step(&p, PULSE_PONG), PULSE_NOTHING);
	assert_false(pulse_is_good(&p));
	assert_int_equal(pulse_step(&p, PULSE_PONG), PULSE_REST);
	assert_true(pulse_is_good(&p));
	assert_int_equal(pulse_step(&p, PULSE_PONG), PULSE_REFUSE);
}

static void test_a_busy_worker_is_not_asked(void **context)
{
	struct pulse p = { 0 };
	for (int i = 0; i < 100; i++) {
		assert_int_equal(pulse_step(&p, PULSE_TIMER_BUSY), PULSE_REST);
	}
	/* Nor judged by a question from before it got busy. */
	(void)pulse_step(&p, PULSE_TIMER_IDLE);
	assert_int_equal(pulse_step(&p, PULSE_TIMER_BUSY), PULSE_REST);
	assert_true(pulse_is_good(&p));
	assert_int_equal(pulse_step(&p, PULSE_PONG), PULSE_NOTHING);
}

static void test_a_deadline_gives_it_a_second(void **context)
{
	struct pulse p = { 0 };
	assert_int_equal(pulse_step(&p, PULSE_PROBE), PULSE_PING);
	assert_int_equal(pulse_time_ms(&p, &usual), 1000);
	assert_false(pulse_is_good(&p));
	/* Another call that runs over its deadline gives it no more time. */
	assert_int_equal(pulse_step(&p, PULSE_PROBE), PULSE_NOTHING);
	assert_int_equal(pulse_step(&p, PULSE_TIMER_BUSY), PULSE_KILL);
	p = (struct pulse){ 0 };
	(void)pulse_step(&p, PULSE_PROBE);
	assert_int_equal(pulse_step(&p, PULSE_PONG), PULSE_REST);
	assert_true(pulse_is_good(&p));
	assert_int_equal(pulse_time_ms(&p, &usual), 5000);
}

static void test_names(void **context)
{
	assert_string_equal(worker_state_name(WORKER_STARTING), "starting");
	assert_string_equal(worker_state_name(WORKER_FINISHING), "finishing");
	assert_string_equal(worker_state_name(WORKER_DYING), "dying");
	assert_string_equal(worker_state_name(WORKER_ENDING), "ending");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_usual_life),
		cmocka_unit_test(test_drain_comes_before_kill),
		cmocka_unit_test(test_stuck_calls_end_it_once_the_others_are_done),
		cmocka_unit_test(test_too_late),
		cmocka_unit_test(test_what_dies_by_itself),
		cmocka_unit_test(test_words_out_of_order),
		cmocka_unit_test(test_the_end_is_final),
		cmocka_unit_test(test_ends_are_ends),
		cmocka_unit_test(test_an_idle_worker_has_two_tries),
		cmocka_unit_test(test_an_answer_makes_it_good_again),
		cmocka_unit_test(test_a_busy_worker_is_not_asked),
		cmocka_unit_test(test_a_deadline_gives_it_a_second),
		cmocka_unit_test(test_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
