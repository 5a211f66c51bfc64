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
#include "director/auth/jwk.h"

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

/* Three keys of an issuer, and a token of each; exp is 2000. */
static const char key_set[] =
	"{\"keys\":[{\"kid\":\"r\",\"alg\":\"RS256\",\"use\":\"sig\",\"kty\":\"RSA\",\"n\":\"1-i2TFlmYFKQX8OT3"
	"j2gOoViJDte7CHWG0Q8YG8d3WK3RFPKUmuDptr1fsCHQ6FBffpPZyETxsPbmcH_FF6ECZVcXM1Q2nFXe"
	"OWscUIDqQ0QEzmV9oR0Bk2W7fGLMABX6LqGLAHusyCK9lQC_-ByqRDHLFMqgmOJI08TvkTPhha1PCa1b"
	"iPLDcUfeQ8NkvnZSuQACfYwyFjTFOgFNC_eASO4CfWkq7TOHq1GJmM007X5nB8Rl9PSrGxrAcENL51Zl"
	"2vF9Qr03tkK4VrMHHXRqHrK0uoYj7fK5DgOhJhruQbGsLBlxmgoLlziR6XMy0DmoeR_GQYvhIXEg4Zho"
	"KsWCw\",\"e\":\"AQAB\"},{\"kid\":\"e\",\"alg\":\"ES256\",\"use\":\"sig\",\"kty\":\"EC\",\"crv\":\"P-256\""
	",\"x\":\"tTcCjFiiA15ok8RQssojKvIUtnmMZ9iow8QHFkOEBaw\",\"y\":\"G1N6OMgWwGFli2RVe5O3LRR0"
	"hYlfVLOf-UcOu-qG60M\"},{\"kid\":\"o\",\"alg\":\"EdDSA\",\"use\":\"sig\",\"kty\":\"OKP\",\"crv\":\"Ed"
	"25519\",\"x\":\"wFH2EShsvrlvCB3YiTgfV11h8XZRG5ZKWQoGUOIFZnQ\"}]}";

static const char *const external[] = {
	"Bearer eyJhbGciOiAiUlMyNTYiLCAidHlwIjogIkpXVCIsICJraWQiOiAiciJ9.eyJzdWIiOiAiYWxp"
	"Y2UiLCAiaXNzIjogImkiLCAiYXVkIjogImNvcmUiLCAiZXhwIjogMjAwMCwgInJlYWxtX2FjY2VzcyI6"
	"IHsicm9sZXMiOiBbImEiXX19.Jel-FELgbQP5qzjxujoTwStP77caH1Q8-ggGNx-9L5Cd6KRNvuiRREn"
	"8PnB4MCbFulAvMmaOP8Mczvdeu6bgTagwE24fNTOT4FVZhvXGOTo61bV6eP9hS1oJpEnPr9lkHyPSciD"
	"MqLxVDtP2PUu39Mz2nizSIP_PfDy5hsOXRQyDlOgC1QvwuPqcTluzdPSs7Ng92IyBL3GacyeU5bmBspD"
	"FCgRTAbn1rqGjwG8yF7QCslMDcTwzoBnOkctkx5I44KEfyEr7ZysLCgm_iwZ2sF8eROizBx7qrTivMp3"
	"MlgKGpXK4iwdkB4VnF81jo7nvhjcfKw7OVFZrdZgyaFq2Hw",
	"Bearer eyJhbGciOiAiRVMyNTYiLCAidHlwIjogIkpXVCIsICJraWQiOiAiZSJ9.eyJzdWIiOiAiYWxp"
	"Y2UiLCAiaXNzIjogImkiLCAiYXVkIjogImNvcmUiLCAiZXhwIjogMjAwMCwgInJlYWxtX2FjY2VzcyI6"
	"IHsicm9sZXMiOiBbImEiXX19.h7eM9zqi-utvetgBgDHPF8LXjyTJCsuRUv9B-agLSmwZ8yj5WX_kPAW"
	"2UnV-PI4gMBCdbfD1pTKSNe2Q5514Rw",
	"Bearer eyJhbGciOiAiRWREU0EiLCAidHlwIjogIkpXVCIsICJraWQiOiAibyJ9.eyJzdWIiOiAiYWxp"
	"Y2UiLCAiaXNzIjogImkiLCAiYXVkIjogImNvcmUiLCAiZXhwIjogMjAwMCwgInJlYWxtX2FjY2VzcyI6"
	"IHsicm9sZXMiOiBbImEiXX19.zrmOKn_tFLlMCvRwfda9BPFQ0yf3-X6BZ-z-WIeQObCAp_hBO_6pV33"
	"UOm2ol0YtP-tk5gtopVJcSDQ9uLeuAQ",
};

static struct auth *new_external(void)
{
	struct auth *a = NULL;
	struct auth_config config;
	auth_config_init(&config);
	config.app_id = SLICE("shop");
	config.external = true;
	config.issuer = SLICE("i");
	config.audiences = SLICE("core");
	config.unix_ms = test_wall;
	assert_int_equal(auth_new(&a, &config), 0);
	return a;
}

static int read_keys(struct key_set *ret)
{
	struct jwks_rules rules = { .keys_max = 8 };
	struct jwks_report report;
	assert_true(algorithm_list_parse(SLICE("RS256,ES256,EdDSA"), &rules.algorithms));
	int r = jwks_parse(slice_str(key_set), &rules, ret, &report);
	until_failure = -1;
	assert_true(r < 0 || (report.skipped == 0 && ret->n == 3));
	return r;
}

static int read_and_free_keys(void)
{
	struct key_set set = KEY_SET_NULL;
	int r = read_keys(&set);
	key_set_deinit(&set);
	return r;
}

/* A key that was left out for want of memory would be a key that was revoked. Not jansson's memory: its
 * reader (2.14) does not look whether the buffer of a long text has grown. */
static void no_key_is_lost(void **state)
{
	json_set_alloc_funcs(__real_malloc, free);
	long n = count(read_and_free_keys);
	assert_true(n > 50);
	for (long i = 0; i < n; i++) {
		until_failure = i;
		int r = read_and_free_keys();
		if (r != 0 && r != -ENOMEM) {
			fail_msg("%ld: %d", i, r);
		}
	}
	assert_int_equal(read_and_free_keys(), 0);
	json_set_alloc_funcs(__wrap_malloc, free);
}

static size_t which;

static int verify_external(void)
{
	long armed = until_failure;
	until_failure = -1;
	struct auth *a = new_external();
	struct user_context *user = NULL;
	struct key_set set = KEY_SET_NULL;
	assert_int_equal(read_keys(&set), 0);
	(void)auth_install_keys(a, &set);
	allocations = 0;
	until_failure = armed;
	int r = auth_verify(a, slice_str(external[which]), &user);
	until_failure = -1;
	assert_true((r == AUTH_OK) == (user != NULL));
	(void)user_context_unref(user);
	(void)auth_free(a);
	return r;
}

/* What OpenSSL does not say was for want of memory looks like a wrong signature. */
static void an_issuers_token_is_taken_or_refused(void **state)
{
	for (which = 0; which < sizeof(external) / sizeof(external[0]); which++) {
		assert_int_equal(verify_external(), AUTH_OK);
		long n = count(verify_external);
		for (long i = 0; i < n; i++) {
			until_failure = i;
			int r = verify_external();
			if (r != AUTH_OK && r != -ENOMEM && r != AUTH_SIGNATURE) {
				fail_msg("%zu, %ld: %d", which, i, r);
			}
		}
	}
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
		cmocka_unit_test(no_key_is_lost),
		cmocka_unit_test(an_issuers_token_is_taken_or_refused),
	};
	/* Before the libraries allocate anything. */
	if (CRYPTO_set_mem_functions(openssl_malloc, openssl_realloc, openssl_free) != 1) {
		return 1;
	}
	json_set_alloc_funcs(__wrap_malloc, free);
	return map_init() < 0 ? 1 : cmocka_run_group_tests(tests, make_tokens, free_tokens);
}
