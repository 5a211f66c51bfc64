/* How many connections one client has: a v4 address, or the /64 that a v6 host has for itself. */
/* cmocka.h needs what stands before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "common/base/map.h"
#include "director/http/crowd.h"

static struct address address(const char *text)
{
	struct address a;
	assert_true(address_parse(slice_str(text), &a));
	return a;
}

static void a_client_is_counted_once(void **state)
{
	static const struct {
		const char *first, *same, *other;
	} cases[] = {
		{ "192.0.2.1", "192.0.2.1", "192.0.2.2" },
		{ "2001:db8:1:2::1", "2001:db8:1:2:ffff::9", "2001:db8:1:3::1" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct crowd c = { NULL };
		struct address first = address(cases[i].first);
		struct address same = address(cases[i].same);
		struct address other = address(cases[i].other);
		assert_int_equal(crowd_enter(&c, &first, 2), 0);
		assert_int_equal(crowd_enter(&c, &same, 2), 0);
		assert_int_equal(crowd_enter(&c, &same, 2), CROWD_FULL);
		assert_int_equal(crowd_enter(&c, &first, 2), CROWD_FULL);
		assert_int_equal(crowd_enter(&c, &other, 2), 0);
		/* Whoever leaves makes room for one. */
		crowd_leave(&c, &first);
		assert_int_equal(crowd_enter(&c, &same, 2), 0);
		assert_int_equal(crowd_enter(&c, &first, 2), CROWD_FULL);
		crowd_leave(&c, &same);
		crowd_leave(&c, &first);
		crowd_leave(&c, &other);
		assert_null(c.entries);
	}
}

static void nobody_may_enter(void **state)
{
	struct crowd c = { NULL };
	struct address a = address("192.0.2.1");
	assert_int_equal(crowd_enter(&c, &a, 0), CROWD_FULL);
	assert_null(c.entries);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_client_is_counted_once),
		cmocka_unit_test(nobody_may_enter),
	};
	return map_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
