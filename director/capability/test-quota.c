/* Quotas of capability calls: each bites exactly at its limit and says which one it is. */
/* cmocka.h needs what stands before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "common/base/map.h"
#include "director/capability/quota.h"
#include "director/director.h"
#include "director/execute/call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A director with a clock that stands still, two plugins with a worker each, two users' calls. */
struct fixture {
	uv_loop_t loop;
	struct settings settings;
	struct director director;
	struct plugin plugins[2];
	struct worker workers[2];
	struct user_context users[2];
	struct call calls[2];
};

static int setup(void **state)
{
	struct fixture *x = calloc(1, sizeof(*x));
	assert_int_equal(uv_loop_init(&x->loop), 0);
	x->settings = (struct settings){
		.capability_calls_per_request = 3,
		.capability_calls_per_worker = 5,
		.capability_bytes_per_worker = 1000,
	};
	x->director.loop = &x->loop;
	x->director.settings = &x->settings;
	x->director.capability_users = quota_users_new();
	x->users[0].user_id = SLICE("alice");
	x->users[1].user_id = SLICE("bob");
	for (int i = 0; i < 2; i++) {
		x->workers[i].director = &x->director;
		x->workers[i].plugin = &x->plugins[i];
		x->calls[i].user = &x->users[i];
	}
	*state = x;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *x = *state;
	x->director.capability_users = quota_users_free(x->director.capability_users);
	assert_int_equal(uv_loop_close(&x->loop), 0);
	free(x);
	return 0;
}

/* Calls of `bytes` until one is refused, which must be with this text. */
static unsigned enter_all(struct worker *w, struct call *work, size_t bytes, const char *expected)
{
	char why[QUOTA_TEXT_MAX] = "";
	unsigned n = 0;
	while (n < 100000 && quota_enter(w, work, bytes, why)) {
		n++;
	}
	assert_string_equal(why, expected);
	return n;
}

/* Calls that are answered at once, until one is refused. */
static unsigned run_all(struct worker *w, struct call *work, const char *expected)
{
	char why[QUOTA_TEXT_MAX] = "";
	unsigned n = 0;
	while (n < 100000 && quota_enter(w, work, 0, why)) {
		quota_leave(w, work, 0);
		n++;
	}
	assert_string_equal(why, expected);
	return n;
}

static const char request_text[] = "more than 3 capability calls at once in one request "
				   "(MOZAIKS_MAX_CAPABILITY_CALLS_PER_REQUEST)";
static const char worker_text[] = "more than 5 capability calls at once in one worker "
				  "(MOZAIKS_MAX_CAPABILITY_CALLS_PER_WORKER)";

static void calls_at_once_are_bounded(void **state)
{
	struct fixture *x = *state;
	struct worker *w = &x->workers[0];
	assert_int_equal(enter_all(w, &x->calls[0], 0, request_text), 3);
	assert_int_equal(enter_all(w, &x->calls[1], 0, worker_text), 2);
	assert_int_equal(enter_all(w, NULL, 0, worker_text), 0);
	/* Another worker has its own. */
	assert_int_equal(enter_all(&x->workers[1], NULL, 0, worker_text), 5);
	/* An answer makes room for one, also when its request is over. */
	quota_leave(w, &x->calls[0], 0);
	assert_int_equal(enter_all(w, &x->calls[0], 0, request_text), 1);
	quota_leave(w, NULL, 0);
	assert_int_equal(enter_all(w, NULL, 0, worker_text), 1);
}

static void bytes_at_once_are_bounded(void **state)
{
	struct fixture *x = *state;
	struct worker *w = &x->workers[0];
	static const char text[] = "more than 1000 bytes of arguments at once in one worker "
				   "(MOZAIKS_MAX_CAPABILITY_BYTES_PER_WORKER)";
	assert_int_equal(enter_all(w, NULL, 400, text), 2);
	assert_int_equal(enter_all(w, NULL, 201, text), 0);
	assert_int_equal(enter_all(w, NULL, 200, text), 1);
	quota_leave(w, NULL, 400);
	assert_int_equal(enter_all(w, NULL, 400, text), 1);
	assert_int_equal(enter_all(&x->workers[1], NULL, 1001, text), 0);
}

static void a_plugin_s_rate_is_bounded(void **state)
{
	struct fixture *x = *state;
	static const char text[] = "more than 700 capability calls a second of this plugin "
				   "(MOZAIKS_CAPABILITY_RATE_PER_PLUGIN)";
	x->settings.capability_rate_per_plugin = 700;
	assert_int_equal(run_all(&x->workers[0], &x->calls[0], text), 700);
	assert_int_equal(run_all(&x->workers[0], NULL, text), 0);
	assert_int_equal(run_all(&x->workers[1], &x->calls[0], text), 700);
	x->settings.capability_rate_per_plugin = 0;
	assert_int_equal(run_all(&x->workers[0], NULL, ""), 100000);
}

static void a_user_s_rate_is_bounded(void **state)
{
	struct fixture *x = *state;
	static const char text[] = "more than 300 capability calls a second of this user "
				   "(MOZAIKS_CAPABILITY_RATE_PER_USER)";
	x->settings.capability_rate_per_user = 300;
	assert_int_equal(run_all(&x->workers[0], &x->calls[0], text), 300);
	/* Of the user, whatever the plugin; of nobody else. */
	assert_int_equal(run_all(&x->workers[1], &x->calls[0], text), 0);
	assert_int_equal(run_all(&x->workers[0], &x->calls[1], text), 300);
	assert_int_equal(run_all(&x->workers[0], NULL, ""), 100000);
}

/* What is refused takes no place. */
static void refusals_cost_nothing(void **state)
{
	struct fixture *x = *state;
	char why[QUOTA_TEXT_MAX];
	x->settings.capability_rate_per_plugin = 1;
	assert_true(quota_enter(&x->workers[0], &x->calls[0], 10, why));
	assert_false(quota_enter(&x->workers[0], &x->calls[0], 10, why));
	assert_int_equal(x->workers[0].capability_calls, 1);
	assert_int_equal(x->workers[0].capability_bytes, 10);
	assert_int_equal(x->calls[0].capability_calls, 1);
}

/* Users come and go: those who are quiet are forgotten. */
static void quiet_users_are_forgotten(void **state)
{
	enum { USERS = 20000, SECOND_OF = 2000 };
	struct fixture *x = *state;
	char why[QUOTA_TEXT_MAX];
	char id[16];
	x->settings.capability_rate_per_user = 10;
	for (int i = 0; i < USERS; i++) {
		(void)snprintf(id, sizeof(id), "user%d", i);
		x->users[0].user_id = slice_str(id);
		assert_true(quota_enter(&x->workers[0], &x->calls[0], 0, why));
		quota_leave(&x->workers[0], &x->calls[0], 0);
		if (i % SECOND_OF == 0) {
			x->loop.time += 1000;
		}
	}
	assert_in_range(quota_users_count(x->director.capability_users), 1, 8192);
}

int main(void)
{
#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	static const struct CMUnitTest tests[] = {
		WITH(calls_at_once_are_bounded),
		WITH(bytes_at_once_are_bounded),
		WITH(a_plugin_s_rate_is_bounded),
		WITH(a_user_s_rate_is_bounded),
		WITH(refusals_cost_nothing),
		WITH(quiet_users_are_forgotten),
	};
	return map_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
