/* Names, passwords, the hashing threads, the throttle on a virtual clock, refresh tokens. */
#include "common/base/map.h"
#include "director/users/hasher.h"
#include "director/users/names.h"
#include "director/users/sessions.h"
#include "director/users/throttle.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* clang-format off */
#include <cmocka.h>
/* clang-format on */

/* ---- names ---------------------------------------------------------------------------------- */

static void test_names(void **state)
{
	static const char *const good[] = { "a", "Ann", "0", "a.b-c_d+e@f", "ann@example.org" };
	static const char *const bad[] = { "", ".a", "-a", "a b", "a\tb", "a/b", "a$b",
		"{\"$gt\":\"\"}", "\xc3\xbcmit", "\xd0\xb0nn" /* a Cyrillic a */, "a\xff",
		"12345678901234567890123456789012345678901234567890123456789012345" };
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_null(user_name_refusal(slice_str(good[i])));
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_non_null(user_name_refusal(slice_str(bad[i])));
	}
	assert_non_null(user_name_refusal(SLICE("a\0b")));
	assert_null(user_name_refusal(slice_of(bad[11], 64)));
}

static void test_emails(void **state)
{
	static const char *const good[] = { "a@b", "Ann.B+tag@mail-1.example.org",
		"a@xn--bcher-kva.de" };
	static const char *const bad[] = { "", "a", "@", "a@", "@b", "a b@c", "a@b@c", "a@b.",
		"a@.b", "a@-b", "a@b-", "a@b..c", "a\"@b", "a<b@c", "a@b c", "a@b\n", "\xc3\xbc@b",
		"a@\xc3\xbc" };
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_null(user_email_refusal(slice_str(good[i])));
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_non_null(user_email_refusal(slice_str(bad[i])));
	}
	assert_non_null(user_email_refusal(SLICE("a\0@b")));
}

static void test_keys(void **state)
{
	uint8_t a[USER_KEY_MAX];
	uint8_t b[USER_KEY_MAX];
	assert_true(slice_eq(user_key(SLICE("AnnZ"), a), SLICE("annz")));
	assert_true(slice_eq(user_key(SLICE("\xc3\x9cMIT"), a), SLICE("\xc3\x9cmit")));
	assert_false(slice_eq(user_key(SLICE("ann"), a), user_key(SLICE("\xd0\xb0nn"), b)));
	assert_int_equal(user_key(SLICE("a\0b"), a).n, 0);
	assert_int_equal(user_key(SLICE("\xff"), a).n, 0);
	char longest[USER_KEY_MAX + 1];
	memset(longest, 'A', sizeof(longest));
	assert_int_equal(user_key(slice_of(longest, USER_KEY_MAX), a).n, USER_KEY_MAX);
	assert_int_equal(user_key(slice_of(longest, USER_KEY_MAX + 1), a).n, 0);
	assert_null(user_full_name_refusal(SLICE("\xd0\x90\xd0\xbd\xd0\xbd\xd0\xb0")));
	assert_non_null(user_full_name_refusal(SLICE("a\nb")));
}

/* ---- passwords ------------------------------------------------------------------------------ */

static const struct password_rules rules = { .min_characters = 8, .max_bytes = 64, .kinds = 2 };
static const struct password_cost cheap = { .memory_bytes = 64 * 1024, .passes = 1 };

static bool judged(struct slice password, const char *word)
{
	char why[PASSWORD_WHY_SIZE];
	bool good =
		password_is_good(&rules, password, SLICE("Annabella1"), SLICE("ann@b.org"), why);
	return word == NULL ? good : !good && strstr(why, word) != NULL;
}

static void test_rules(void **state)
{
	char longest[65];
	memset(longest, '1', sizeof(longest));
	longest[0] = 'a';
	assert_true(judged(SLICE("passw0rd"), NULL));
	assert_true(judged(SLICE("passw0r"), "MOZAIKS_PASSWORD_MIN_LENGTH"));
	/* Characters, not bytes. */
	assert_true(judged(SLICE("\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc"
				 "a"),
		"MOZAIKS_PASSWORD_MIN_LENGTH"));
	assert_true(judged(SLICE("password"), "MOZAIKS_PASSWORD_KINDS"));
	assert_true(judged(slice_of(longest, 64), NULL));
	assert_true(judged(slice_of(longest, 65), "MOZAIKS_PASSWORD_MAX_BYTES"));
	assert_true(judged(SLICE("passw0rd\0x"), "NUL"));
	assert_true(judged(SLICE("passw0rd\xff"), "UTF-8"));
	assert_true(judged(SLICE("annaBELLA1"), "username"));
	assert_true(judged(SLICE("ANN@b.org"), "e-mail"));
}

static void test_argon2(void **state)
{
	char hash[PASSWORD_HASH_SIZE];
	char other[PASSWORD_HASH_SIZE];
	assert_int_equal(password_hash(&cheap, SLICE("secret"), hash), 0);
	assert_int_equal(password_hash(&cheap, SLICE("secret"), other), 0);
	assert_string_not_equal(hash, other);
	assert_memory_equal(hash, "$argon2id$", 10);
	assert_int_equal(password_verify(slice_str(hash), SLICE("secret")), 1);
	assert_int_equal(password_verify(slice_str(hash), SLICE("Secret")), 0);
	assert_int_equal(password_verify(slice_str(hash), SLICE("")), 0);
	assert_int_equal(password_verify(slice_str(hash), SLICE("secret\0")), 0);
	assert_false(password_is_old(&cheap, slice_str(hash)));
	const struct password_cost dearer = { .memory_bytes = 128 * 1024, .passes = 1 };
	assert_true(password_is_old(&dearer, slice_str(hash)));
	/* Four lanes, as other libraries make them: of the reference implementation. */
	struct slice lanes = SLICE("$argon2id$v=19$m=256,t=2,p=4$c29tZXNhbHRzb21lc2Fsd"
				   "A$5CZ0y4EFo8aGNnTOqyj0Zv3Ly//FEsr0bPZ6BGnEO9U");
	assert_int_equal(password_verify(lanes, SLICE("password")), 1);
	assert_int_equal(password_verify(lanes, SLICE("Password")), 0);
	assert_true(password_is_old(&cheap, lanes));
}

static void test_bcrypt(void **state)
{
	/* Made with another implementation (libxcrypt's command line, Python's crypt). */
	struct slice hash = SLICE("$2b$04$abcdefghijklmnopqrstuuyvPXIbu7xe6/CED2DzX8z6Si09MlzlW");
	assert_int_equal(password_kind_of(hash), PASSWORD_BCRYPT);
	assert_int_equal(password_verify(hash, SLICE("pw")), 1);
	assert_int_equal(password_verify(hash, SLICE("pW")), 0);
	assert_int_equal(password_verify(hash, SLICE("pw\0")), 0);
	assert_true(password_is_old(&cheap, hash));
	static const char *const others[] = { "", "*", "$", "pw", "$2b$", "$1$abc$def",
		"$2x$04$abcdefghijklmnopqrstuuyvPXIbu7xe6/CED2DzX8z6Si09MlzlW",
		"$2b$31$abcdefghijklmnopqrstuuyvPXIbu7xe6/CED2DzX8z6Si09MlzlW",
		"$2b$03$abcdefghijklmnopqrstuuyvPXIbu7xe6/CED2DzX8z6Si09MlzlW", "$argon2id$",
		"$argon2id$v=19$m=1,t=1,p=1$$", "$argon2x$" };
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		assert_int_equal(password_verify(slice_str(others[i]), SLICE("pw")), 0);
	}
}

/* ---- the threads ---------------------------------------------------------------------------- */

struct seen {
	unsigned n;
	unsigned matches;
	int error;
	char hash[PASSWORD_HASH_SIZE];
};

static void on_hash(void *owner, const struct hash_result *r)
{
	struct seen *s = owner;
	s->n++;
	s->matches += r->match;
	s->error = r->error;
	if (r->hash != NULL) {
		(void)snprintf(s->hash, sizeof(s->hash), "%s", r->hash);
	}
}

static void on_hasher_closed(void *arg)
{
	*(bool *)arg = true;
}

static struct hasher *open_hasher(uv_loop_t *loop, unsigned queue)
{
	struct hasher *h = NULL;
	const struct hasher_config config = {
		.loop = loop, .cost = cheap, .threads = 2, .queue = queue
	};
	assert_int_equal(uv_loop_init(loop), 0);
	assert_int_equal(hasher_new(&h, &config), 0);
	return h;
}

static void close_hasher(struct hasher *h, uv_loop_t *loop)
{
	bool closed = false;
	hasher_close(h, on_hasher_closed, &closed);
	(void)uv_run(loop, UV_RUN_DEFAULT);
	assert_true(closed);
	assert_null(hasher_free(h));
	assert_int_equal(uv_loop_close(loop), 0);
}

static void wait_for_seen(uv_loop_t *loop, const struct seen *s, unsigned n)
{
	while (s->n < n) {
		(void)uv_run(loop, UV_RUN_ONCE);
	}
}

/* Nobody of that name: the same work is done, and counted, and the answer is no. */
static void test_dummy_is_verified(void **state)
{
	uv_loop_t loop;
	struct seen s = { 0 };
	struct hasher *h = open_hasher(&loop, 8);
	assert_int_equal(hasher_hash(h, SLICE("secret"), on_hash, &s), HASHER_OK);
	wait_for_seen(&loop, &s, 1);
	assert_int_equal(
		hasher_verify(h, slice_str(s.hash), SLICE("secret"), on_hash, &s), HASHER_OK);
	wait_for_seen(&loop, &s, 2);
	assert_int_equal(s.matches, 1);
	assert_int_equal(hasher_counters(h)->dummies, 0);
	assert_int_equal(hasher_verify(h, SLICE_NULL, SLICE("secret"), on_hash, &s), HASHER_OK);
	assert_int_equal(
		hasher_verify(h, SLICE("$1$what"), SLICE("secret"), on_hash, &s), HASHER_OK);
	wait_for_seen(&loop, &s, 4);
	assert_int_equal(s.matches, 1);
	assert_int_equal(s.error, 0);
	assert_int_equal(hasher_counters(h)->verified, 3);
	assert_int_equal(hasher_counters(h)->dummies, 2);
	assert_int_equal(hasher_counters(h)->hashed, 1);
	assert_int_equal(hasher_counters(h)->argon2, 3);
	assert_int_equal(hasher_counters(h)->bcrypt, 0);
	close_hasher(h, &loop);
}

static void test_full_queue(void **state)
{
	uv_loop_t loop;
	struct seen s = { 0 };
	struct hasher *h = open_hasher(&loop, 3);
	/* Two at work, three waiting; the answers come only when the loop runs. */
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(hasher_verify(h, SLICE_NULL, SLICE("x"), on_hash, &s), HASHER_OK);
	}
	assert_int_equal(hasher_verify(h, SLICE_NULL, SLICE("x"), on_hash, &s), HASHER_FULL);
	assert_int_equal(hasher_counters(h)->refused, 1);
	assert_true(hasher_retry_after_s(h) >= 1);
	wait_for_seen(&loop, &s, 5);
	assert_int_equal(hasher_verify(h, SLICE_NULL, SLICE("x"), on_hash, &s), HASHER_OK);
	/* The one that waits is answered before the end. */
	close_hasher(h, &loop);
	assert_int_equal(s.n, 6);
}

static void test_mixed(void **state)
{
	uv_loop_t loop;
	struct seen s = { 0 };
	struct hasher *h = open_hasher(&loop, 8);
	struct slice bcrypt = SLICE("$2b$04$abcdefghijklmnopqrstuuyvPXIbu7xe6/CED2DzX8z6Si09MlzlW");
	struct seen made = { 0 };
	assert_int_equal(hasher_hash(h, SLICE("pw"), on_hash, &made), HASHER_OK);
	wait_for_seen(&loop, &made, 1);
	hasher_set_mixed(h, true);
	assert_int_equal(hasher_verify(h, bcrypt, SLICE("pw"), on_hash, &s), HASHER_OK);
	assert_int_equal(hasher_verify(h, bcrypt, SLICE("pW"), on_hash, &s), HASHER_OK);
	assert_int_equal(hasher_verify(h, SLICE_NULL, SLICE("pw"), on_hash, &s), HASHER_OK);
	wait_for_seen(&loop, &s, 3);
	assert_int_equal(s.matches, 1);
	/* Each did both, whichever its own was. */
	assert_int_equal(hasher_counters(h)->argon2, 3);
	assert_int_equal(hasher_counters(h)->bcrypt, 3);
	assert_int_equal(
		hasher_verify(h, slice_str(made.hash), SLICE("pw"), on_hash, &s), HASHER_OK);
	wait_for_seen(&loop, &s, 4);
	assert_int_equal(s.matches, 2);
	assert_int_equal(hasher_counters(h)->argon2, 4);
	assert_int_equal(hasher_counters(h)->bcrypt, 4);
	close_hasher(h, &loop);
}

/* ---- the throttle --------------------------------------------------------------------------- */

static const struct throttle_policy policy = {
	.account_free = 3,
	.address_free = 5,
	.first_ms = 1000,
	.max_ms = 8000,
	.forget_ms = 60000,
	.entries = 4,
};

static void test_waits_double(void **state)
{
	struct throttle *t = NULL;
	uint64_t wait = 0;
	uint64_t now = 1000000;
	assert_int_equal(throttle_new(&t, &policy), 0);
	for (unsigned i = 0; i < 3; i++) {
		assert_true(throttle_try(t, SLICE("ann"), SLICE_NULL, now, &wait));
	}
	static const uint64_t waits[] = { 1000, 2000, 4000, 8000, 8000 };
	for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
		assert_false(throttle_try(t, SLICE("ann"), SLICE_NULL, now, &wait));
		assert_int_equal(wait, waits[i]);
		/* Asking does not make it longer. */
		assert_false(throttle_try(t, SLICE("ann"), SLICE_NULL, now + wait - 1, &wait));
		assert_int_equal(wait, 1);
		assert_true(throttle_try(t, SLICE("bob"), SLICE_NULL, now, &wait));
		throttle_succeeded(t, SLICE("bob"), SLICE_NULL);
		now += waits[i];
		assert_true(throttle_try(t, SLICE("ann"), SLICE_NULL, now, &wait));
	}
	now += 60000;
	for (unsigned i = 0; i < 3; i++) {
		assert_true(throttle_try(t, SLICE("ann"), SLICE_NULL, now, &wait));
	}
	assert_false(throttle_try(t, SLICE("ann"), SLICE_NULL, now, &wait));
	assert_null(throttle_free(t));
}

/* The longest need be no doubling of the first. */
static void test_waits_have_an_end(void **state)
{
	struct throttle_policy odd = policy;
	struct throttle *t = NULL;
	uint64_t wait = 0;
	uint64_t now = 5;
	odd.max_ms = 2500;
	assert_int_equal(throttle_new(&t, &odd), 0);
	for (unsigned i = 0; i < 10; i++) {
		assert_true(throttle_try(t, SLICE("ann"), SLICE_NULL, now, &wait));
		now += 2500;
	}
	now -= 2500;
	assert_false(throttle_try(t, SLICE("ann"), SLICE_NULL, now, &wait));
	assert_int_equal(wait, 2500);
	assert_null(throttle_free(t));
}

static void test_success_clears(void **state)
{
	struct throttle *t = NULL;
	uint64_t wait = 0;
	assert_int_equal(throttle_new(&t, &policy), 0);
	for (unsigned i = 0; i < 100; i++) {
		assert_true(throttle_try(t, SLICE("ann"), SLICE("10.0.0.1"), 5, &wait));
		throttle_succeeded(t, SLICE("ann"), SLICE("10.0.0.1"));
	}
	for (unsigned i = 0; i < 100; i++) {
		assert_true(throttle_try(t, SLICE("ann"), SLICE("10.0.0.1"), 5, &wait));
		throttle_undo(t, SLICE("ann"), SLICE("10.0.0.1"));
	}
	/* With its charge the wait is given back. */
	for (unsigned i = 0; i < 3; i++) {
		assert_true(throttle_try(t, SLICE("ann"), SLICE("10.0.0.1"), 5, &wait));
	}
	throttle_undo(t, SLICE("ann"), SLICE("10.0.0.1"));
	assert_true(throttle_try(t, SLICE("ann"), SLICE("10.0.0.1"), 5, &wait));
	assert_false(throttle_try(t, SLICE("ann"), SLICE("10.0.0.1"), 5, &wait));
	assert_null(throttle_free(t));
}

/* One address, many names. A name that is also an address is another entry. */
static void test_addresses(void **state)
{
	struct throttle *t = NULL;
	uint64_t wait = 0;
	char name[8] = "name0";
	assert_int_equal(throttle_new(&t, &policy), 0);
	for (unsigned i = 0; i < 5; i++) {
		name[4] = (char)('0' + i);
		assert_true(throttle_try(t, slice_str(name), SLICE("10.0.0.1"), 5, &wait));
	}
	assert_false(throttle_try(t, SLICE("new"), SLICE("10.0.0.1"), 5, &wait));
	assert_int_equal(wait, 1000);
	assert_true(throttle_try(t, SLICE("10.0.0.1"), SLICE("10.0.0.2"), 5, &wait));
	assert_null(throttle_free(t));
}

/* The table is bounded; the one used longest ago leaves. */
static void test_table_is_bounded(void **state)
{
	struct throttle *t = NULL;
	uint64_t wait = 0;
	char name[16];
	assert_int_equal(throttle_new(&t, &policy), 0);
	for (unsigned i = 0; i < 3; i++) {
		assert_true(throttle_try(t, SLICE("old"), SLICE_NULL, 5, &wait));
	}
	assert_false(throttle_try(t, SLICE("old"), SLICE_NULL, 5, &wait));
	for (unsigned i = 0; i < 1000; i++) {
		(void)snprintf(name, sizeof(name), "n%u", i);
		assert_true(throttle_try(t, slice_str(name), SLICE_NULL, 5, &wait));
	}
	assert_true(throttle_try(t, SLICE("old"), SLICE_NULL, 5, &wait));
	assert_null(throttle_free(t));
}

/* ---- sessions ------------------------------------------------------------------------------- */

static void test_refresh_tokens(void **state)
{
	struct session_token first;
	struct session_token second;
	struct session_token other;
	struct session_token read;
	session_token_new(&first, NULL);
	session_token_new(&second, &first);
	session_token_new(&other, NULL);
	assert_string_equal(first.session, second.session);
	assert_string_not_equal(first.token, second.token);
	assert_string_not_equal(first.secret, second.secret);
	assert_string_not_equal(first.session, other.session);
	assert_true(session_token_parse(slice_str(second.token), &read));
	assert_memory_equal(&read, &second, sizeof(read));
	/* What the store and access tokens have of it is not in it. */
	assert_null(strstr(first.token, first.session));
	static const char *const bad[] = { "", "x",
		"0123456789012345678901234567890123456789012345678901234567890123=",
		"012345678901234567890123456789012345678901234567890123456789012!",
		"0123456789012345678901234567890123456789012345678901234567890123456" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_false(session_token_parse(slice_str(bad[i]), &read));
	}
	assert_false(session_token_parse(slice_of(first.token, 63), &read));
}

static void test_ended_sessions(void **state)
{
	struct revocations r = REVOCATIONS_NULL;
	struct session_token a;
	struct session_token b;
	session_token_new(&a, NULL);
	session_token_new(&b, NULL);
	assert_int_equal(revocations_end_session(&r, slice_str(a.session), 100000, 1000), 0);
	assert_int_equal(revocations_end_session(&r, slice_str(a.session), 100000, 1000), 0);
	assert_int_equal(revocations_count(&r), 1);
	assert_true(revocations_has_session(&r, slice_str(a.session)));
	assert_false(revocations_has_session(&r, slice_str(b.session)));
	assert_false(revocations_has_session(&r, SLICE("")));
	/* Its tokens have run out: it is forgotten, but not before. */
	assert_int_equal(revocations_end_session(&r, slice_str(b.session), 500000, 99999), 0);
	assert_true(revocations_has_session(&r, slice_str(a.session)));
	assert_int_equal(revocations_end_session(&r, slice_str(b.session), 500000, 200000), 0);
	assert_false(revocations_has_session(&r, slice_str(a.session)));
	assert_true(revocations_has_session(&r, slice_str(b.session)));
	/* Nor is one whose last second has come. */
	assert_int_equal(revocations_end_session(&r, slice_str(a.session), 300000, 200001), 0);
	assert_int_equal(revocations_end_session(&r, slice_str(b.session), 500000, 300000), 0);
	assert_false(revocations_has_session(&r, slice_str(a.session)));
	/* One that is over already is not kept. */
	assert_int_equal(revocations_end_session(&r, slice_str(a.session), 300000, 300000), 0);
	assert_int_equal(revocations_count(&r), 1);
	revocations_deinit(&r);
}

static void test_disabled_users(void **state)
{
	struct revocations r = REVOCATIONS_NULL;
	assert_false(revocations_has_user(&r, SLICE("ann")));
	revocations_list_begin(&r);
	assert_int_equal(revocations_disable(&r, SLICE("ann")), 0);
	assert_int_equal(revocations_disable(&r, SLICE("bob")), 0);
	revocations_list_end(&r);
	assert_true(
		revocations_has_user(&r, SLICE("ann")) && revocations_has_user(&r, SLICE("bob")));
	revocations_list_begin(&r);
	assert_int_equal(revocations_disable(&r, SLICE("bob")), 0);
	revocations_list_end(&r);
	assert_false(revocations_has_user(&r, SLICE("ann")));
	assert_true(revocations_has_user(&r, SLICE("bob")));
	revocations_enable(&r, SLICE("bob"));
	revocations_enable(&r, SLICE("bob"));
	assert_false(revocations_has_user(&r, SLICE("bob")));
	revocations_deinit(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_emails),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_argon2),
		cmocka_unit_test(test_bcrypt),
		cmocka_unit_test(test_dummy_is_verified),
		cmocka_unit_test(test_full_queue),
		cmocka_unit_test(test_mixed),
		cmocka_unit_test(test_waits_double),
		cmocka_unit_test(test_waits_have_an_end),
		cmocka_unit_test(test_success_clears),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_table_is_bounded),
		cmocka_unit_test(test_refresh_tokens),
		cmocka_unit_test(test_ended_sessions),
		cmocka_unit_test(test_disabled_users),
	};
	if (map_init() < 0) {
		return 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
