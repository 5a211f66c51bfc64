/*
 * Published keys, an issuer's tokens and what happens to them when keys go. The keys and signatures are
 * made here with OpenSSL, not with the code under test.
 */
#include "director/auth/jwk.h"

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
#include "director/auth/auth.h"
#include "director/auth/discovery.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <sodium.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define ALL          "RS256,RS384,RS512,PS256,PS384,PS512,ES256,ES384,ES512,EdDSA"

static EVP_PKEY *rsa;
static EVP_PKEY *other_rsa;
static EVP_PKEY *ed25519;

static int make_keys(void **state)
{
	rsa = EVP_RSA_gen(2048);
	other_rsa = EVP_RSA_gen(2048);
	ed25519 = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	return rsa == NULL || other_rsa == NULL || ed25519 == NULL;
}

static int free_keys(void **state)
{
	EVP_PKEY_free(rsa);
	EVP_PKEY_free(other_rsa);
	EVP_PKEY_free(ed25519);
	return 0;
}

static void append_base64(struct buffer *b, struct slice s)
{
	size_t n = sodium_base64_encoded_len(s.n, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	assert_int_equal(buffer_reserve(b, n), 0);
	(void)sodium_bin2base64(
		(char *)b->p + b->n, n, s.p, s.n, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	b->n += n - 1;
}

static void append_number(struct buffer *b, EVP_PKEY *key, const char *parameter)
{
	BIGNUM *n = NULL;
	uint8_t bytes[1024];
	assert_int_equal(EVP_PKEY_get_bn_param(key, parameter, &n), 1);
	append_base64(b, slice_of(bytes, (size_t)BN_bn2bin(n, bytes)));
	BN_free(n);
}

/* A key of the set, without the closing brace. */
static void append_jwk(struct buffer *b, EVP_PKEY *key, const char *kid)
{
	assert_int_equal(buffer_printf(b, "%s{\"kid\":\"%s\",\"use\":\"sig\"",
				 b->p[b->n - 1] == '[' ? "" : ",", kid),
		0);
	if (key == ed25519) {
		uint8_t raw[32];
		size_t n = sizeof(raw);
		assert_int_equal(EVP_PKEY_get_raw_public_key(key, raw, &n), 1);
		assert_int_equal(
			buffer_append(b, SLICE(",\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"")),
			0);
		append_base64(b, slice_of(raw, n));
	} else {
		assert_int_equal(buffer_append(b, SLICE(",\"kty\":\"RSA\",\"n\":\"")), 0);
		append_number(b, key, OSSL_PKEY_PARAM_RSA_N);
		assert_int_equal(buffer_append(b, SLICE("\",\"e\":\"")), 0);
		append_number(b, key, OSSL_PKEY_PARAM_RSA_E);
	}
	assert_int_equal(buffer_append(b, SLICE("\"}")), 0);
}

static struct buffer set_begin(void)
{
	struct buffer b;
	buffer_init(&b, 1 << 20);
	assert_int_equal(buffer_append(&b, SLICE("{\"keys\":[")), 0);
	return b;
}

static struct key_set set_end(struct buffer *b, const char *algorithms, size_t skipped)
{
	struct jwks_rules rules = { .keys_max = 8 };
	struct jwks_report report;
	struct key_set set = KEY_SET_NULL;
	assert_int_equal(buffer_append(b, SLICE("]}")), 0);
	assert_true(algorithm_list_parse(slice_str(algorithms), &rules.algorithms));
	assert_int_equal(jwks_parse(buffer_slice(b), &rules, &set, &report), 0);
	assert_int_equal(report.skipped, skipped);
	buffer_deinit(b);
	return set;
}

static struct key_set set_of(EVP_PKEY *key, const char *kid, const char *algorithms)
{
	struct buffer b = set_begin();
	append_jwk(&b, key, kid);
	return set_end(&b, algorithms, 0);
}

/* "Bearer <token>" */
static struct buffer token_of(EVP_PKEY *key, const char *header, const char *claims)
{
	struct buffer b;
	uint8_t signature[512];
	size_t n = sizeof(signature);
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	buffer_init(&b, 16384);
	assert_int_equal(buffer_append(&b, SLICE("Bearer ")), 0);
	append_base64(&b, slice_str(header));
	assert_int_equal(buffer_append_byte(&b, '.'), 0);
	append_base64(&b, slice_str(claims));
	assert_int_equal(
		EVP_DigestSignInit(c, NULL, key == ed25519 ? NULL : EVP_sha256(), NULL, key), 1);
	assert_int_equal(EVP_DigestSign(c, signature, &n, b.p + 7, b.n - 7), 1);
	assert_int_equal(buffer_append_byte(&b, '.'), 0);
	append_base64(&b, slice_of(signature, n));
	EVP_MD_CTX_free(c);
	return b;
}

static int64_t test_wall(void)
{
	return INT64_C(1000000);
}

static bool missing_answer;
static unsigned missing_asked;

static bool on_missing(void *arg, struct slice kid)
{
	missing_asked++;
	return missing_answer;
}

static struct auth *new_auth(bool exchange)
{
	struct auth_config c;
	struct auth *a = NULL;
	auth_config_init(&c);
	c.app_id = SLICE("shop");
	c.external = true;
	c.issuer = SLICE("https://id.example.org");
	c.audiences = SLICE("core, api");
	c.exchange = exchange;
	c.jwt_secret = exchange ? SLICE("a secret of the tests, 32 bytes and more") : SLICE_NULL;
	c.unix_ms = test_wall;
	assert_int_equal(auth_new(&a, &c), 0);
	auth_set_missing_hook(a, on_missing, NULL);
	missing_asked = 0;
	missing_answer = false;
	return a;
}

static int judge(struct auth *a, EVP_PKEY *key, const char *header, const char *claims)
{
	struct user_context *user = NULL;
	struct buffer b = token_of(key, header, claims);
	int r = auth_verify(a, buffer_slice(&b), &user);
	assert_true((r == AUTH_OK) == (user != NULL));
	(void)user_context_unref(user);
	buffer_deinit(&b);
	return r;
}

#define HEAD  "{\"alg\":\"RS256\",\"kid\":\"a\"}"
#define WHO   "\"iss\":\"https://id.example.org\",\"aud\":\"core\",\"exp\":2000"
#define ALICE "{\"sub\":\"alice\"," WHO "}"

static void lists_of_algorithms(void **state)
{
	static const char *const bad[] = { "", ",", "RS256,", ",RS256", "RS256,,ES256",
		"RS256,RS256", "HS256", "RS256,HS512", "none", "rs256", "RS256 ", "RS257" };
	struct algorithm_list list;
	for (size_t i = 0; i < COUNT(bad); i++) {
		if (algorithm_list_parse(slice_str(bad[i]), &list)) {
			fail_msg("%s", bad[i]);
		}
	}
	assert_true(algorithm_list_parse(SLICE(ALL), &list));
	/* EdDSA has two curves. */
	assert_int_equal(list.n, 11);
	assert_ptr_equal(algorithm_list_fit(&list, ALGORITHM_ECDSA, SLICE("P-384")),
		algorithm_find(SLICE("ES384"), SLICE_NULL));
	assert_null(algorithm_list_fit(&list, ALGORITHM_ECDSA, SLICE("P-192")));
	assert_null(algorithm_list_fit(&list, ALGORITHM_HMAC, SLICE_NULL));
}

/* A key that does not say its algorithm gets the first that fits, and no other. */
static void a_key_has_one_algorithm(void **state)
{
	static const struct {
		const char *algorithms;
		int result;
	} cases[] = { { "RS256", AUTH_OK }, { "ES256,RS256,PS256", AUTH_OK },
		{ "PS256", AUTH_ALGORITHM }, { "RS512,RS256", AUTH_ALGORITHM } };
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct auth *a = new_auth(false);
		struct key_set set = set_of(rsa, "a", cases[i].algorithms);
		(void)auth_install_keys(a, &set);
		assert_int_equal(set.n, 0);
		assert_int_equal(judge(a, rsa, HEAD, ALICE), cases[i].result);
		(void)auth_free(a);
	}
}

static void eddsa_is_checked(void **state)
{
	struct auth *a = new_auth(false);
	struct key_set set = set_of(ed25519, "a", "EdDSA");
	(void)auth_install_keys(a, &set);
	assert_int_equal(judge(a, ed25519, "{\"alg\":\"EdDSA\",\"kid\":\"a\"}", ALICE), AUTH_OK);
	assert_int_equal(judge(a, rsa, HEAD, ALICE), AUTH_ALGORITHM);
	assert_int_equal(judge(a, ed25519, "{\"alg\":\"EdDSA\",\"kid\":\"b\"}", ALICE), AUTH_KEY);
	(void)auth_free(a);
}

static void twins_are_dropped(void **state)
{
	struct buffer b = set_begin();
	append_jwk(&b, rsa, "a");
	append_jwk(&b, other_rsa, "a");
	append_jwk(&b, ed25519, "a");
	struct key_set set = set_end(&b, ALL, 2);
	/* Another algorithm is another key. */
	assert_int_equal(set.n, 1);
	key_set_deinit(&set);
}

static void without_a_kid_there_must_be_one_key(void **state)
{
	struct auth *a = new_auth(false);
	struct key_set set = set_of(rsa, "a", ALL);
	(void)auth_install_keys(a, &set);
	assert_int_equal(judge(a, rsa, "{\"alg\":\"RS256\"}", ALICE), AUTH_OK);
	struct buffer b = set_begin();
	append_jwk(&b, rsa, "a");
	append_jwk(&b, other_rsa, "b");
	set = set_end(&b, ALL, 0);
	(void)auth_install_keys(a, &set);
	assert_int_equal(
		judge(a, rsa, "{\"alg\":\"RS256\"}", "{\"sub\":\"bob\"," WHO "}"), AUTH_KEY);
	assert_int_equal(judge(a, other_rsa, "{\"alg\":\"RS256\",\"kid\":\"b\"}", ALICE), AUTH_OK);
	assert_int_equal(judge(a, other_rsa, HEAD, "{\"sub\":\"x\"," WHO "}"), AUTH_SIGNATURE);
	(void)auth_free(a);
}

static void a_removed_key_ends_its_tokens(void **state)
{
	struct auth *a = new_auth(false);
	struct user_context *user = NULL;
	struct key_set set = set_of(rsa, "a", ALL);
	assert_int_equal(auth_install_keys(a, &set), 0);
	struct buffer token = token_of(rsa, HEAD, ALICE);
	assert_int_equal(auth_verify(a, buffer_slice(&token), &user), AUTH_OK);
	assert_int_equal(user->refs, 2);
	/* The same key again, beside another: the token stays remembered. */
	struct buffer b = set_begin();
	append_jwk(&b, ed25519, "b");
	append_jwk(&b, rsa, "a");
	set = set_end(&b, ALL, 0);
	assert_int_equal(auth_install_keys(a, &set), 0);
	assert_int_equal(user->refs, 2);
	assert_int_equal(auth_ask_again(a, user), AUTH_OK);
	/* The same kid, another key. */
	set = set_of(other_rsa, "a", ALL);
	assert_int_equal(auth_install_keys(a, &set), 1);
	assert_int_equal(user->refs, 1);
	assert_int_equal(auth_ask_again(a, user), AUTH_KEY);
	assert_int_equal(judge(a, rsa, HEAD, ALICE), AUTH_SIGNATURE);
	(void)user_context_unref(user);
	buffer_deinit(&token);
	(void)auth_free(a);
}

static void a_missing_key_is_asked_for(void **state)
{
	struct auth *a = new_auth(false);
	missing_answer = true;
	assert_false(auth_has_keys(a));
	assert_int_equal(judge(a, rsa, HEAD, ALICE), AUTH_NO_KEYS);
	assert_int_equal(judge(a, rsa, "{\"alg\":\"RS256\"}", ALICE), AUTH_NO_KEYS);
	missing_answer = false;
	assert_int_equal(judge(a, rsa, HEAD, ALICE), AUTH_KEY);
	assert_int_equal(missing_asked, 3);
	/* Nobody is asked for keys that an issuer cannot have. */
	assert_int_equal(judge(a, rsa, "{\"alg\":\"HS256\",\"kid\":\"a\"}", ALICE), AUTH_KEY);
	assert_int_equal(judge(a, rsa, "{\"alg\":\"none\"}", ALICE), AUTH_ALGORITHM);
	assert_int_equal(judge(a, rsa, "{\"alg\":\"RS257\",\"kid\":\"a\"}", ALICE), AUTH_KEY);
	assert_int_equal(missing_asked, 3);
	(void)auth_free(a);
}

static void whose_tokens(void **state)
{
	static const struct {
		const char *claims;
		int result;
	} cases[] = {
		{ ALICE, AUTH_OK },
		{ "{\"sub\":\"a\",\"iss\":\"https://id.example.org\",\"aud\":[\"x\",\"api\"],"
		  "\"exp\":2000}",
			AUTH_OK },
		{ "{\"sub\":\"a\",\"iss\":\"https://id.example.org\",\"exp\":2000}",
			AUTH_AUDIENCE },
		{ "{\"sub\":\"a\",\"iss\":\"https://id.example.org\",\"aud\":\"shop\","
		  "\"exp\":2000}",
			AUTH_AUDIENCE },
		{ "{\"sub\":\"a\",\"iss\":\"https://id.example.org/\",\"aud\":\"core\","
		  "\"exp\":2000}",
			AUTH_ISSUER },
		{ "{\"sub\":\"a\",\"aud\":\"core\",\"exp\":2000}", AUTH_ISSUER },
		{ "{\"sub\":\"a\",\"typ\":\"id\"," WHO "}", AUTH_TYPE },
		{ "{\"sub\":\"a\",\"typ\":\"Bearer\"," WHO "}", AUTH_OK },
		{ "{\"sub\":\"a\",\"at_hash\":\"x\"," WHO "}", AUTH_TYPE },
		{ "{\"sub\":\"a\",\"email\":7," WHO "}", AUTH_CLAIMS },
		{ "{\"sub\":\"a\",\"realm_access\":7," WHO "}", AUTH_CLAIMS },
		{ "{\"sub\":\"a\",\"realm_access\":{\"roles\":{}}," WHO "}", AUTH_CLAIMS },
		{ "{\"sub\":\"a\",\"resource_access\":[]," WHO "}", AUTH_CLAIMS },
		{ "{\"sub\":\"a\",\"resource_access\":{\"core\":7}," WHO "}", AUTH_CLAIMS },
		/* Another client's are its own business. */
		{ "{\"sub\":\"a\",\"resource_access\":{\"x\":7}," WHO "}", AUTH_OK },
	};
	struct auth *a = new_auth(false);
	struct key_set set = set_of(rsa, "a", ALL);
	(void)auth_install_keys(a, &set);
	for (size_t i = 0; i < COUNT(cases); i++) {
		int r = judge(a, rsa, HEAD, cases[i].claims);
		if (r != cases[i].result) {
			fail_msg("%s: %s", cases[i].claims, auth_result_text(r));
		}
	}
	(void)auth_free(a);
}

static void an_exchange(void **state)
{
	struct auth *a = new_auth(true);
	struct user_context *user = NULL;
	struct user_context *app = NULL;
	char *token = NULL;
	unsigned expires_in = 0;
	struct key_set set = set_of(rsa, "a", ALL);
	(void)auth_install_keys(a, &set);
	struct buffer theirs = token_of(rsa, HEAD,
		"{\"sub\":\"u\",\"email\":\"u@example.org\",\"roles\":[\"a,b\",\"SuperAdmin\"],"
		"\"iss\":\"https://id.example.org\",\"aud\":\"core\",\"exp\":1100}");
	assert_int_equal(auth_verify(a, buffer_slice(&theirs), &user), AUTH_EXCHANGE);
	assert_null(user);
	assert_int_equal(auth_verify_any(a, buffer_slice(&theirs), &user), AUTH_OK);
	assert_true(user->external && slice_eq(user->email, SLICE("u@example.org")));
	assert_int_equal(auth_exchange(a, user, &token, &expires_in), 0);
	assert_int_equal(expires_in, 100);
	struct buffer ours;
	buffer_init(&ours, 16384);
	assert_int_equal(buffer_printf(&ours, "Bearer %s", token), 0);
	assert_int_equal(auth_verify(a, buffer_slice(&ours), &app), AUTH_OK);
	assert_true(slice_eq(app->trusted, user->trusted) && app->is_superadmin && !app->external);
	/* The end of the issuer's key does not end ours. */
	set = KEY_SET_NULL;
	assert_int_equal(auth_install_keys(a, &set), 1);
	assert_int_equal(auth_ask_again(a, app), AUTH_OK);
	free(token);
	(void)user_context_unref(app);
	(void)user_context_unref(user);
	buffer_deinit(&ours);
	buffer_deinit(&theirs);
	(void)auth_free(a);
}

static void configurations(void **state)
{
	struct auth_config c;
	struct auth *a = NULL;
	auth_config_init(&c);
	c.app_id = SLICE("shop");
	/* An exchange needs a secret, and an issuer. */
	c.external = true;
	c.exchange = true;
	assert_int_equal(auth_new(&a, &c), -EINVAL);
	c.exchange = false;
	c.jwt_secret = SLICE("0123456789abcdef0123456789abcdef");
	assert_int_equal(auth_new(&a, &c), -EINVAL);
	c.external = false;
	c.algorithm = SLICE("HS512");
	assert_int_equal(auth_new(&a, &c), -EINVAL);
	c.short_secret_allowed = true;
	assert_int_equal(auth_new(&a, &c), 0);
	a = auth_free(a);
	c.algorithm = SLICE("RS256");
	assert_int_equal(auth_new(&a, &c), -EINVAL);
	c.algorithm = SLICE("HS256");
	c.superadmin_role = SLICE("a,,b");
	assert_int_equal(auth_new(&a, &c), -EINVAL);
}

static void discovery_documents(void **state)
{
	char url[DISCOVERY_TEXT_MAX + 1];
	struct discovery d;
	struct json_why why;
	struct slice issuer = SLICE("https://id.example.org/realms/a");
	assert_true(discovery_url(issuer, url));
	assert_string_equal(
		url, "https://id.example.org/realms/a/.well-known/openid-configuration");
	assert_true(discovery_url(SLICE("https://id.example.org/"), url));
	assert_string_equal(url, "https://id.example.org/.well-known/openid-configuration");
	static char endless[DISCOVERY_TEXT_MAX];
	memset(endless, 'x', sizeof(endless));
	assert_false(discovery_url(slice_of(endless, sizeof(endless)), url));
	struct slice good = SLICE("{\"issuer\":\"https://id.example.org/realms/a\",\"jwks_uri\":"
				  "\"https://id.example.org/k\"}");
	assert_int_equal(discovery_parse(good, issuer, &d, &why), 0);
	assert_string_equal(d.jwks_uri, "https://id.example.org/k");
	assert_int_equal(discovery_parse(good, SLICE_NULL, &d, &why), 0);
	assert_int_equal(discovery_parse(good, SLICE("https://id.example.org/realms/b"), &d, &why),
		-EBADMSG);
	assert_non_null(strstr(why.text, "MOZAIKS_ISSUER"));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists_of_algorithms),
		cmocka_unit_test(a_key_has_one_algorithm),
		cmocka_unit_test(eddsa_is_checked),
		cmocka_unit_test(twins_are_dropped),
		cmocka_unit_test(without_a_kid_there_must_be_one_key),
		cmocka_unit_test(a_removed_key_ends_its_tokens),
		cmocka_unit_test(a_missing_key_is_asked_for),
		cmocka_unit_test(whose_tokens),
		cmocka_unit_test(an_exchange),
		cmocka_unit_test(configurations),
		cmocka_unit_test(discovery_documents),
	};
	return map_init() < 0 ? 1 : cmocka_run_group_tests(tests, make_keys, free_keys);
}
