/*
 * Without memory: each allocation on the way of a token fails once, ours and those of jansson and
 * OpenSSL. Whatever fails, a good token is taken or refused cleanly, and a bad one is
 * never taken. The linker sends our calls here (--wrap), the libraries have hooks.
 */
#include "director/auth/auth.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

#include "common/base/buffer.h"
#include "common/base/map.h"

#include <jansson.h>
#include <openssl/crypto.h>

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);

/* Allocations until the one that fails; negative: none does. */
static long until_failure = -1;
static long allocations;

static bool fails_now(void)
{
	allocations++;
	if (until_failure < 0) {
		return false;
	}
	until_failure--;
	return until_failure < 0;
}

void *__wrap_malloc(size_t n)
{
	return fails_now() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails_now() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
	return fails_now() ? NULL : __real_realloc(p, n);
}

static void *openssl_malloc(size_t n, const char *file, int line)
{
	return __wrap_malloc(n);
}

static void *openssl_realloc(void *p, size_t n, const char *file, int line)
{
	return __wrap_realloc(p, n);
}

static void openssl_free(void *p, const char *file, int line)
{
	free(p);
}

static int64_t test_wall(void)
{
	return INT64_C(1000000);
}

static struct auth *auth;
static struct buffer good;
static struct buffer bad;

static int new_auth(struct auth **ret)
{
	struct auth_config config;
	auth_config_init(&config);
	config.app_id = SLICE("shop");
	config.jwt_secret = SLICE("0123456789abcdef0123456789abcdef");
	config.unix_ms = test_wall;
	return auth_new(ret, &config);
}

static int make_tokens(void **state)
{
	char *token = NULL;
	assert_int_equal(new_auth(&auth), 0);
	assert_int_equal(auth_mint(auth, SLICE("alice"), SLICE("a,b"), 60, &token), 0);
	buffer_init(&good, 8192);
	buffer_init(&bad, 8192);
	assert_int_equal(buffer_printf(&good, "Bearer %s", token), 0);
	assert_int_equal(buffer_append(&bad, buffer_slice(&good)), 0);
	/* The first character of the signature. */
	uint8_t *c = (uint8_t *)memrchr(bad.p, '.', bad.n) + 1;
	*c = *c == 'A' ? 'B' : 'A';
	free(token);
	return 0;
}

static int free_tokens(void **state)
{
	until_failure = -1;
	auth = auth_free(auth);
	buffer_deinit(&good);
	buffer_deinit(&bad);
	return 0;
}

/* How many allocations the work takes when none fails. */
static long count(int (*work)(void))
{
	until_failure = -1;
	allocations = 0;
	(void)work();
	return allocations;
}

static int verify(struct slice value)
{
	struct user_context *user = NULL;
	/* Another one each time, so that nothing is remembered. */
	struct auth *a = NULL;
	long armed = until_failure;
	until_failure = -1;
	assert_int_equal(new_auth(&a), 0);
	allocations = 0;
	until_failure = armed;
	int r = auth_verify(a, value, &user);
	until_failure = -1;
	assert_true((r == AUTH_OK) == (user != NULL));
	(void)user_context_unref(user);
	(void)auth_free(a);
	return r;
}

static int verify_good(void)
{
	return verify(buffer_slice(&good));
}

static int verify_bad(void)
{
	return verify(buffer_slice(&bad));
}

static void a_bad_token_is_never_taken(void **state)
{
	long n = count(verify_bad);
	for (long i = 0; i < n; i++) {
		until_failure = i;
		assert_int_not_equal(verify_bad(), AUTH_OK);
	}
	assert_int_equal(verify_bad(), AUTH_SIGNATURE);
}

static void a_good_token_is_taken_or_refused(void **state)
{
	long n = count(verify_good);
	int taken = 0;
	int no_memory = 0;
	assert_true(n > 20);
	for (long i = 0; i < n; i++) {
		until_failure = i;
		int r = verify_good();
		if (r != AUTH_OK && r != -ENOMEM) {
			fail_msg("%ld: %d", i, r);
		}
		taken += r == AUTH_OK;
		no_memory += r == -ENOMEM;
	}
	/* The cache is the one thing that can be done without. */
	assert_true(taken > 0 && taken < n / 2);
	assert_true(no_memory > 0);
	assert_int_equal(verify_good(), AUTH_OK);
}

static int mint(void)
{
	char *token = NULL;
	int r = auth_mint(auth, SLICE("alice"), SLICE("a,b"), 60, &token);
	until_failure = -1;
	assert_true((r == 0) == (token != NULL));
	free(token);
	return r;
}

static void minting_fails_cleanly(void **state)
{
	long n = count(mint);
	for (long i = 0; i < n; i++) {
		until_failure = i;
		int r = mint();
		assert_true(r == 0 || r == -ENOMEM || r == -EIO);
	}
	assert_int_equal(mint(), 0);
}

static int make_auth(void)
{
	struct auth *a = NULL;
	int r = new_auth(&a);
	until_failure = -1;
	assert_true((r == 0) == (a != NULL));
	(void)auth_free(a);
	return r;
}

static void starting_fails_cleanly(void **state)
{
	long n = count(make_auth);
	for (long i = 0; i < n; i++) {
		until_failure = i;
		int r = make_auth();
		assert_true(r == 0 || r == -ENOMEM);
	}
	assert_int_equal(make_auth(), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bad_token_is_never_taken),
		cmocka_unit_test(a_good_token_is_taken_or_refused),
		cmocka_unit_test(minting_fails_cleanly),
		cmocka_unit_test(starting_fails_cleanly),
	};
	/* Before the libraries allocate anything. */
	if (CRYPTO_set_mem_functions(openssl_malloc, openssl_realloc, openssl_free) != 1) {
		return 1;
	}
	json_set_alloc_funcs(__wrap_malloc, free);
	return map_init() < 0 ? 1 : cmocka_run_group_tests(tests, make_tokens, free_tokens);
}
