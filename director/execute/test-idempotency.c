/* Keys and their answers: what is repeated, what is refused, and what is given up for room. */
/* cmocka.h needs what stands before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "common/base/map.h"
#include "director/execute/idempotency.h"

#include <stdio.h>

static struct idempotency *all;
static struct idempotency_entry *entry;
static struct idempotency_answer answer;

static int make(uint64_t ms, uint64_t bytes, uint64_t per_user)
{
	const struct idempotency_policy policy = { ms, bytes, per_user };
	return idempotency_new(&all, &policy);
}

static int begin(const char *user, const char *key, uint64_t body, uint64_t now)
{
	return idempotency_begin(
		all, SLICE("notes"), slice_str(user), slice_str(key), body, now, &entry, &answer);
}

static void finish(const char *text, uint64_t now)
{
	const struct slice body[2] = { slice_str(text), SLICE("!") };
	idempotency_finish(entry, 201, body, now);
}

static int teardown(void **state)
{
	all = idempotency_free(all);
	return 0;
}

static void an_answer_is_repeated(void **state)
{
	assert_int_equal(make(1000, 100000, 10), 0);
	assert_int_equal(begin("alice", "k", 1, 0), IDEMPOTENCY_NEW);
	assert_int_equal(begin("alice", "k", 1, 0), IDEMPOTENCY_RUNNING);
	assert_int_equal(begin("alice", "k", 2, 0), IDEMPOTENCY_OTHER);
	finish("done", 0);
	assert_int_equal(begin("alice", "k", 1, 999), IDEMPOTENCY_KEPT);
	assert_int_equal(answer.status, 201);
	assert_true(slice_eq(answer.body, SLICE("done!")));
	assert_int_equal(begin("alice", "k", 2, 999), IDEMPOTENCY_OTHER);
	/* Its time is over. */
	assert_int_equal(begin("alice", "k", 2, 1000), IDEMPOTENCY_NEW);
	assert_int_equal(idempotency_bytes(all), 0);
	idempotency_release(entry);
}

static void others_have_keys_of_their_own(void **state)
{
	assert_int_equal(make(1000, 100000, 10), 0);
	assert_int_equal(begin("alice", "k", 1, 0), IDEMPOTENCY_NEW);
	finish("alice's", 0);
	assert_int_equal(begin("bob", "k", 2, 0), IDEMPOTENCY_NEW);
	idempotency_release(entry);
	assert_int_equal(begin("ALICE", "k", 1, 0), IDEMPOTENCY_NEW);
	idempotency_release(entry);
	assert_int_equal(idempotency_begin(all, SLICE("NOTES"), SLICE("alice"), SLICE("k"), 1, 0,
				 &entry, &answer),
		IDEMPOTENCY_NEW);
	idempotency_release(entry);
	/* Names that are the same put together are not the same. */
	assert_int_equal(begin("alicek", "", 2, 0), IDEMPOTENCY_NEW);
	idempotency_release(entry);
	assert_int_equal(begin("alic", "ek", 1, 0), IDEMPOTENCY_NEW);
	idempotency_release(entry);
	assert_int_equal(idempotency_begin(all, SLICE("notesa"), SLICE("lice"), SLICE("k"), 1, 0,
				 &entry, &answer),
		IDEMPOTENCY_NEW);
	idempotency_release(entry);
}

static void what_has_no_answer_leaves_the_key_free(void **state)
{
	assert_int_equal(make(1000, 100000, 10), 0);
	assert_int_equal(begin("alice", "k", 1, 0), IDEMPOTENCY_NEW);
	idempotency_release(entry);
	assert_int_equal(begin("alice", "k", 2, 0), IDEMPOTENCY_NEW);
	idempotency_release(entry);
}

static void the_oldest_of_a_user_goes_first(void **state)
{
	char key[16];
	assert_int_equal(make(1000, 1000000, 3), 0);
	assert_int_equal(begin("bob", "k", 1, 0), IDEMPOTENCY_NEW);
	finish("bob's", 0);
	for (int i = 0; i < 5; i++) {
		(void)snprintf(key, sizeof(key), "k%d", i);
		assert_int_equal(begin("alice", key, 1, 0), IDEMPOTENCY_NEW);
		finish("x", 0);
	}
	assert_int_equal(begin("alice", "k2", 1, 0), IDEMPOTENCY_KEPT);
	assert_int_equal(begin("bob", "k", 1, 0), IDEMPOTENCY_KEPT);
	assert_int_equal(begin("alice", "k1", 1, 0), IDEMPOTENCY_NEW);
	idempotency_release(entry);
}

static void what_runs_is_not_given_up(void **state)
{
	struct idempotency_entry *running[5];
	char key[16];
	assert_int_equal(make(1000, 1000000, 3), 0);
	for (int i = 0; i < 5; i++) {
		(void)snprintf(key, sizeof(key), "k%d", i);
		assert_int_equal(begin("alice", key, 1, 0), IDEMPOTENCY_NEW);
		running[i] = entry;
	}
	assert_int_equal(begin("alice", "k0", 1, 5000), IDEMPOTENCY_RUNNING);
	for (int i = 0; i < 5; i++) {
		idempotency_release(running[i]);
	}
}

static void bytes_are_bounded(void **state)
{
	char text[1000];
	char key[16];
	assert_int_equal(make(1000, 20000, 1000), 0);
	(void)snprintf(text, sizeof(text), "%0999d", 0);
	for (int i = 0; i < 100; i++) {
		(void)snprintf(key, sizeof(key), "k%d", i);
		assert_int_equal(begin("alice", key, 1, 0), IDEMPOTENCY_NEW);
		finish(text, 0);
		assert_true(idempotency_bytes(all) <= 20000);
	}
	assert_true(idempotency_bytes(all) > 15000);
	assert_int_equal(begin("alice", "k99", 1, 0), IDEMPOTENCY_KEPT);
	assert_int_equal(begin("alice", "k0", 1, 0), IDEMPOTENCY_NEW);
	/* One that is too long for a quarter of it is not kept. */
	struct slice body[2] = { { NULL, 0 }, { NULL, 0 } };
	static uint8_t much[5000];
	body[0] = slice_of(much, sizeof(much));
	idempotency_finish(entry, 200, body, 0);
	assert_int_equal(begin("alice", "k0", 1, 0), IDEMPOTENCY_NEW);
	idempotency_release(entry);
}

static void without_a_time_nothing_is_kept(void **state)
{
	assert_int_equal(make(0, 100000, 10), 0);
	assert_int_equal(begin("alice", "k", 1, 5), IDEMPOTENCY_NEW);
	finish("x", 5);
	assert_int_equal(idempotency_bytes(all), 0);
	assert_int_equal(begin("alice", "k", 2, 5), IDEMPOTENCY_NEW);
	idempotency_release(entry);
}

static void keys(void **state)
{
	char text[257];
	(void)snprintf(text, sizeof(text), "%0256d", 0);
	assert_true(idempotency_is_key(SLICE("8e03978e-40d5-43dd-bc93-6894a57f9324")));
	assert_true(idempotency_is_key(slice_of(text, 255)));
	assert_false(idempotency_is_key(slice_of(text, 256)));
	assert_false(idempotency_is_key(SLICE("")));
	assert_false(idempotency_is_key(SLICE("a\tb")));
	assert_false(idempotency_is_key(SLICE("\xc3\xa9")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(an_answer_is_repeated, teardown),
		cmocka_unit_test_teardown(others_have_keys_of_their_own, teardown),
		cmocka_unit_test_teardown(what_has_no_answer_leaves_the_key_free, teardown),
		cmocka_unit_test_teardown(the_oldest_of_a_user_goes_first, teardown),
		cmocka_unit_test_teardown(what_runs_is_not_given_up, teardown),
		cmocka_unit_test_teardown(bytes_are_bounded, teardown),
		cmocka_unit_test_teardown(without_a_time_nothing_is_kept, teardown),
		cmocka_unit_test(keys),
	};
	return map_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
