/* Admission counts, refuses in order, and gives everything back. */
/* cmocka.h needs what stands before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "common/base/map.h"
#include "director/execute/admit.h"

#include <stdio.h>
#include <stdlib.h>

static void limits_hold_and_are_given_back(void **state)
{
	struct admission a = { .limits = { .per_user = 2, .per_plugin = 3, .total = 4 } };
	struct user_context alice = { .user_id = SLICE("alice") };
	struct user_context bob = { .user_id = SLICE("bob") };
	struct user_context again = { .user_id = SLICE("alice") }; /* another token of hers */
	unsigned p = 0;
	unsigned q = 0;
	struct admit_user *u[4];
	struct admit_user *none = NULL;
	assert_int_equal(admit_enter(&a, &alice, &p, &u[0]), ADMIT_OK);
	assert_int_equal(admit_enter(&a, &again, &p, &u[1]), ADMIT_OK);
	assert_ptr_equal(u[0], u[1]);
	assert_int_equal(admit_enter(&a, &alice, &q, &none), ADMIT_USER_FULL);
	assert_int_equal(admit_enter(&a, &bob, &p, &u[2]), ADMIT_OK);
	assert_int_equal(admit_enter(&a, &bob, &p, &none), ADMIT_PLUGIN_FULL);
	assert_int_equal(admit_enter(&a, &bob, &q, &u[3]), ADMIT_OK);
	struct user_context carol = { .user_id = SLICE("carol") };
	assert_int_equal(admit_enter(&a, &carol, &q, &none), ADMIT_FULL);
	assert_null(none);
	assert_int_equal(p, 3);
	assert_int_equal(q, 1);
	admit_leave(&a, u[0], &p);
	assert_int_equal(admit_enter(&a, &carol, &q, &u[0]), ADMIT_OK);
	admit_leave(&a, u[0], &q);
	admit_leave(&a, u[1], &p);
	admit_leave(&a, u[2], &p);
	admit_leave(&a, u[3], &q);
	assert_int_equal(a.total + p + q, 0);
	assert_int_equal(a.idle, 3);
	admission_deinit(&a);
	assert_null(a.users);
}

static void idle_users_do_not_pile_up(void **state)
{
	struct admission a = { .limits = { .per_user = 1, .per_plugin = 1, .total = 1 } };
	unsigned p = 0;
	for (int i = 0; i < 20000; i++) {
		char id[16];
		struct admit_user *u;
		(void)snprintf(id, sizeof(id), "u%d", i);
		struct user_context user = { .user_id = slice_str(id) };
		assert_int_equal(admit_enter(&a, &user, &p, &u), ADMIT_OK);
		admit_leave(&a, u, &p);
		assert_in_range(a.idle, 1, 4097);
	}
	admission_deinit(&a);
}

/* Who has a call in flight is no idle one, whoever else comes and goes. */
static void users_in_flight_stay(void **state)
{
	struct admission a = { .limits = { .per_user = 1, .per_plugin = 10, .total = 10 } };
	unsigned p = 0;
	struct user_context alice = { .user_id = SLICE("alice") };
	struct admit_user *hers;
	struct admit_user *u;
	assert_int_equal(admit_enter(&a, &alice, &p, &hers), ADMIT_OK);
	for (int i = 0; i < 10000; i++) {
		char id[16];
		(void)snprintf(id, sizeof(id), "u%d", i);
		struct user_context user = { .user_id = slice_str(id) };
		assert_int_equal(admit_enter(&a, &user, &p, &u), ADMIT_OK);
		admit_leave(&a, u, &p);
		assert_int_equal(admit_enter(&a, &alice, &p, &u), ADMIT_USER_FULL);
	}
	admit_leave(&a, hers, &p);
	assert_int_equal(p, 0);
	admission_deinit(&a);
	assert_null(a.users);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(limits_hold_and_are_given_back),
		cmocka_unit_test(idle_users_do_not_pile_up),
		cmocka_unit_test(users_in_flight_stay),
	};
	return map_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
