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
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
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

/* "Bearer <token>"; a salt is that of PSS. */
static struct buffer salted_token_of(
	EVP_PKEY *key, int salt, const char *header, const char *claims)
{
	struct buffer b;
	uint8_t signature[512];
	size_t n = sizeof(signature);
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	EVP_PKEY_CTX *how = NULL;
	buffer_init(&b, 16384);
	assert_int_equal(buffer_append(&b, SLICE("Bearer ")), 0);
	append_base64(&b, slice_str(header));
	assert_int_equal(buffer_append_byte(&b, '.'), 0);
	append_base64(&b, slice_str(claims));
	assert_int_equal(
		EVP_DigestSignInit(c, &how, key == ed25519 ? NULL : EVP_sha256(), NULL, key), 1);
	if (salt > 0) {
		assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(how, RSA_PKCS1_PSS_PADDING), 1);
		assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(how, salt), 1);
	}
	assert_int_equal(EVP_DigestSign(c, signature, &n, b.p + 7, b.n - 7), 1);
	assert_int_equal(buffer_append_byte(&b, '.'), 0);
	append_base64(&b, slice_of(signature, n));
	EVP_MD_CTX_free(c);
	return b;
}

static struct buffer token_of(EVP_PKEY *key, const char *header, const char *claims)
{
	return salted_token_of(key, 0, header, claims);
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
	assert_null(algorithm_find(SLICE("ES256"), SLICE("P-384")));
	assert_string_equal(algorithm_find(SLICE("EdDSA"), SLICE("Ed448"))->curve, "Ed448");
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

/* RFC 7518, 3.5: a salt as long as the digest, and no other. */
static void the_salt_has_its_length(void **state)
{
	static const struct {
		int salt;
		int result;
	} cases[] = { { 32, AUTH_OK }, { 31, AUTH_SIGNATURE }, { 64, AUTH_SIGNATURE } };
	struct auth *a = new_auth(false);
	struct key_set set = set_of(rsa, "a", "PS256");
	(void)auth_install_keys(a, &set);
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct user_context *user = NULL;
		struct buffer b = salted_token_of(
			rsa, cases[i].salt, "{\"alg\":\"PS256\",\"kid\":\"a\"}", ALICE);
		assert_int_equal(auth_verify(a, buffer_slice(&b), &user), cases[i].result);
		(void)user_context_unref(user);
		buffer_deinit(&b);
	}
	(void)auth_free(a);
}

/* As R and S of so many bytes each; OpenSSL gives DER. */
static struct buffer ecdsa_token_of(EVP_PKEY *key, int half)
{
	struct buffer b;
	uint8_t der[160];
	uint8_t signature[160];
	ECDSA_SIG *numbers = NULL;
	buffer_init(&b, 16384);
	assert_int_equal(buffer_append(&b, SLICE("Bearer ")), 0);
	append_base64(&b, SLICE("{\"alg\":\"ES512\",\"kid\":\"a\"}"));
	assert_int_equal(buffer_append_byte(&b, '.'), 0);
	append_base64(&b, SLICE(ALICE));
	/* Until neither has its highest bit: of 521 that is the only one in the first of 66 bytes. */
	while (numbers == NULL || BN_num_bytes(ECDSA_SIG_get0_r(numbers)) > 65 ||
		BN_num_bytes(ECDSA_SIG_get0_s(numbers)) > 65) {
		size_t n = sizeof(der);
		const uint8_t *p = der;
		EVP_MD_CTX *c = EVP_MD_CTX_new();
		assert_int_equal(EVP_DigestSignInit(c, NULL, EVP_sha512(), NULL, key), 1);
		assert_int_equal(EVP_DigestSign(c, der, &n, b.p + 7, b.n - 7), 1);
		EVP_MD_CTX_free(c);
		ECDSA_SIG_free(numbers);
		numbers = d2i_ECDSA_SIG(NULL, &p, (long)n);
	}
	assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_r(numbers), signature, half), half);
	assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_s(numbers), signature + half, half), half);
	ECDSA_SIG_free(numbers);
	assert_int_equal(buffer_append_byte(&b, '.'), 0);
	append_base64(&b, slice_of(signature, 2 * (size_t)half));
	return b;
}

static void append_coordinate(struct buffer *b, EVP_PKEY *key, const char *parameter)
{
	BIGNUM *n = NULL;
	uint8_t bytes[66];
	assert_int_equal(EVP_PKEY_get_bn_param(key, parameter, &n), 1);
	assert_int_equal(BN_bn2binpad(n, bytes, sizeof(bytes)), sizeof(bytes));
	append_base64(b, slice_of(bytes, sizeof(bytes)));
	BN_free(n);
}

/* RFC 7518, 3.4: of all ways to write the two numbers one is good. */
static void ecdsa_signatures_have_their_length(void **state)
{
	struct auth *a = new_auth(false);
	EVP_PKEY *key = EVP_EC_gen("P-521");
	struct buffer b = set_begin();
	assert_int_equal(buffer_append(&b,
				 SLICE("{\"kid\":\"a\",\"kty\":\"EC\",\"crv\":\"P-521\",\"x\":\"")),
		0);
	append_coordinate(&b, key, OSSL_PKEY_PARAM_EC_PUB_X);
	assert_int_equal(buffer_append(&b, SLICE("\",\"y\":\"")), 0);
	append_coordinate(&b, key, OSSL_PKEY_PARAM_EC_PUB_Y);
	assert_int_equal(buffer_append(&b, SLICE("\"}")), 0);
	struct key_set set = set_end(&b, "ES512", 0);
	(void)auth_install_keys(a, &set);
	for (int half = 65; half <= 67; half++) {
		struct user_context *user = NULL;
		b = ecdsa_token_of(key, half);
		assert_int_equal(auth_verify(a, buffer_slice(&b), &user),
			half == 66 ? AUTH_OK : AUTH_SIGNATURE);
		(void)user_context_unref(user);
		buffer_deinit(&b);
	}
	EVP_PKEY_free(key);
	(void)auth_free(a);
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

#define OKP "\"kty\":\"OKP\",\"crv\":\"Ed25519\""
#define A42 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define KEY OKP ",\"x\":\"" A42 "A\""
#define EC  "\"kty\":\"EC\",\"crv\":\"P-256\","
/* The generator of P-256. */
#define EC_X "\"x\":\"axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY\""
#define EC_Y "\"y\":\"T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU\""

/* A set of one key. @return why it was left out; empty when it was not. */
static struct jwks_report judge_key(const char *members, const char *algorithms)
{
	struct jwks_rules rules = { .keys_max = 1 };
	struct jwks_report report;
	struct key_set set = KEY_SET_NULL;
	struct buffer b = set_begin();
	assert_int_equal(buffer_printf(&b, "{%s}]}", members), 0);
	assert_true(algorithm_list_parse(slice_str(algorithms), &rules.algorithms));
	assert_int_equal(jwks_parse(buffer_slice(&b), &rules, &set, &report), 0);
	assert_int_equal(set.n + report.skipped, 1);
	assert_true((report.skipped == 1) == (report.why[0] != '\0'));
	key_set_deinit(&set);
	buffer_deinit(&b);
	return report;
}

static void odd_keys_are_left_out(void **state)
{
	static const char purpose[] = "not for signatures";
	static const char together[] = "do not go together";
	static const char x_only[] = "x is not base64url of 32 bytes";
	static const char x_and_y[] = "x or y is not base64url of 32 bytes";
	static const struct {
		const char *members;
		const char *why; /* NULL: it is good */
	} cases[] = {
		{ KEY, NULL },
		{ KEY ",\"use\":\"sig\"", NULL },
		{ KEY ",\"use\":\"enc\"", purpose },
		{ KEY ",\"use\":7", purpose },
		{ KEY ",\"key_ops\":[\"sign\",\"verify\"]", NULL },
		{ KEY ",\"key_ops\":[\"sign\"]", purpose },
		{ KEY ",\"key_ops\":[]", purpose },
		{ KEY ",\"d\":\"AQ\"", "secret part" },
		{ KEY ",\"p\":\"AQ\"", "secret part" },
		{ KEY ",\"q\":\"AQ\"", "secret part" },
		{ KEY ",\"dp\":\"AQ\"", "secret part" },
		{ KEY ",\"dq\":\"AQ\"", "secret part" },
		{ KEY ",\"qi\":\"AQ\"", "secret part" },
		{ KEY ",\"oth\":[]", "secret part" },
		{ KEY ",\"k\":\"AQ\"", "secret part" },
		{ KEY ",\"kid\":\"\"", "kid" },
		{ KEY ",\"kid\":7", "kid" },
		{ KEY ",\"alg\":\"EdDSA\"", NULL },
		{ KEY ",\"alg\":\"ES256\"", together },
		{ KEY ",\"alg\":7", together },
		{ "\"kty\":\"OKP\",\"crv\":\"P-256\",\"alg\":\"ES256\"," EC_X, together },
		{ "\"kty\":\"OKP\",\"alg\":\"EdDSA\",\"x\":\"" A42 "A\"", together },
		{ "\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"" A42 "A\"", "type or curve" },
		{ "\"kty\":\"oct\",\"k\":\"" A42 "A\"", "other than RSA, EC and OKP" },
		{ "\"kty\":\"OKP\",\"crv\":\"Ed448\",\"alg\":\"EdDSA\",\"x\":\"" A42
		  "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"",
			NULL },
		{ OKP, x_only },
		{ OKP ",\"x\":\"" A42 "\"", x_only },
		{ OKP ",\"x\":\"" A42 "AA\"", x_only },
		{ EC EC_X "," EC_Y, NULL },
		{ EC EC_X ",\"y\":\"" A42 "\"", x_and_y },
		{ EC EC_Y ",\"x\":\"" A42 "\"", x_and_y },
		{ EC EC_X, x_and_y },
		{ EC EC_X ",\"y\":\"" A42 "A\"", "no point" },
		{ "\"kty\":\"EC\",\"crv\":\"P-384\",\"alg\":\"ES256\"," EC_X "," EC_Y, together },
		{ "\"kty\":\"EC\",\"crv\":\"P-521\",\"alg\":\"ES512\"," EC_X "," EC_Y,
			"MOZAIKS_JWT_ALGORITHMS" },
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct jwks_report r = judge_key(cases[i].members, "EdDSA,ES256");
		const char *why = cases[i].why;
		if (why == NULL ? r.skipped != 0 : strstr(r.why, why) == NULL) {
			fail_msg("%s: \"%s\"", cases[i].members, r.why);
		}
	}
	for (int n = JWK_KID_MAX; n <= JWK_KID_MAX + 1; n++) {
		char members[512];
		(void)snprintf(members, sizeof(members), KEY ",\"kid\":\"%0*d\"", n, 0);
		struct jwks_report r = judge_key(members, "EdDSA");
		assert_int_equal(r.skipped, n == JWK_KID_MAX ? 0 : 1);
	}
}

static struct jwks_report judge_rsa(const BIGNUM *n, const char *exponent)
{
	struct buffer b;
	uint8_t bytes[1024];
	buffer_init(&b, 4096);
	assert_int_equal(buffer_append(&b, SLICE("\"kty\":\"RSA\",\"n\":\"")), 0);
	append_base64(&b, slice_of(bytes, (size_t)BN_bn2bin(n, bytes)));
	assert_int_equal(buffer_printf(&b, "\",\"e\":\"%s\"%c", exponent, '\0'), 0);
	struct jwks_report r = judge_key((const char *)b.p, "RS256");
	buffer_deinit(&b);
	return r;
}

static void odd_moduli_are_left_out(void **state)
{
	static const struct {
		int bits;
		bool even;
		const char *exponent;
		const char *why; /* NULL: it is good */
	} cases[] = {
		{ 2048, false, "AQAB", NULL },
		{ 2048, false, "Aw", NULL },
		{ 8192, false, "AQAB", NULL },
		{ 2047, false, "AQAB", "2047 bits" },
		{ 2048, true, "AQAB", "an even modulus" },
		{ 2048, false, "AQ", "even or 1" },
		{ 2048, false, "AQAA", "even or 1" },
		{ 2048, false, "AQAAAAE", "not base64url or longer" },
	};
	BIGNUM *n = BN_new();
	BN_CTX *c = BN_CTX_new();
	for (size_t i = 0; i < COUNT(cases); i++) {
		/* All ones; no prime is asked for. */
		assert_int_equal(BN_set_word(n, 0), 1);
		for (int bit = cases[i].even ? 1 : 0; bit < cases[i].bits; bit++) {
			assert_int_equal(BN_set_bit(n, bit), 1);
		}
		struct jwks_report r = judge_rsa(n, cases[i].exponent);
		const char *why = cases[i].why;
		if (why == NULL ? r.skipped != 0 : strstr(r.why, why) == NULL) {
			fail_msg("%d bits, %s: \"%s\"", cases[i].bits, cases[i].exponent, r.why);
		}
	}
	/* A power of 65537 is one modulo every prime: ROCA. */
	BIGNUM *base = BN_new();
	BIGNUM *power = BN_new();
	assert_true(BN_set_word(base, 65537) == 1 && BN_set_word(power, 128) == 1 &&
		BN_exp(n, base, power, c) == 1);
	assert_non_null(strstr(judge_rsa(n, "AQAB").why, "ROCA"));
	BN_free(base);
	BN_free(power);
	BN_free(n);
	BN_CTX_free(c);
}

static void sets_are_bounded(void **state)
{
	struct jwks_rules rules = { .keys_max = 2 };
	struct jwks_report report;
	struct key_set set = KEY_SET_NULL;
	assert_true(algorithm_list_parse(SLICE(ALL), &rules.algorithms));
	/* Without a kid they are no twins. */
	assert_int_equal(
		jwks_parse(SLICE("{\"keys\":[{" KEY "},{" KEY "}]}"), &rules, &set, &report), 0);
	assert_int_equal(set.n, 2);
	key_set_deinit(&set);
	assert_int_equal(
		jwks_parse(SLICE("{\"keys\":[{},{},7]}"), &rules, &set, &report), -EBADMSG);
	assert_non_null(strstr(report.why, "MOZAIKS_MAX_JWKS_KEYS"));
	assert_int_equal(set.n, 0);
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

/* What a key is called is part of it: its tokens name it. */
static void a_renamed_key_ends_its_tokens(void **state)
{
	struct auth *a = new_auth(false);
	struct key_set set = set_of(rsa, "a", ALL);
	(void)auth_install_keys(a, &set);
	assert_int_equal(judge(a, rsa, HEAD, ALICE), AUTH_OK);
	set = set_of(rsa, "b", ALL);
	assert_int_equal(auth_install_keys(a, &set), 1);
	assert_int_equal(judge(a, rsa, HEAD, ALICE), AUTH_KEY);
	/* The same name for another use of it. */
	assert_int_equal(judge(a, rsa, "{\"alg\":\"RS256\",\"kid\":\"b\"}", ALICE), AUTH_OK);
	set = set_of(rsa, "b", "PS256");
	assert_int_equal(auth_install_keys(a, &set), 1);
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
	/* Nor is it asked for what its keys are not for; for one that may be new it is. */
	struct key_set set = set_of(rsa, "b", ALL);
	(void)auth_install_keys(a, &set);
	missing_answer = true;
	assert_int_equal(judge(a, rsa, "{\"alg\":\"PS256\",\"kid\":\"b\"}", ALICE), AUTH_ALGORITHM);
	assert_int_equal(missing_asked, 3);
	assert_int_equal(judge(a, rsa, HEAD, ALICE), AUTH_NO_KEYS);
	assert_int_equal(missing_asked, 4);
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
		{ "{\"sub\":\"a\",\"typ\":\"Refresh\"," WHO "}", AUTH_TYPE },
		{ "{\"sub\":\"a\",\"typ\":\"Offline\"," WHO "}", AUTH_TYPE },
		{ "{\"sub\":\"a\",\"typ\":\"Logout\"," WHO "}", AUTH_TYPE },
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

static void what_an_issuer_may_not_say(void **state)
{
	struct auth *a = new_auth(false);
	struct user_context *user = NULL;
	struct key_set set = set_of(rsa, "a", ALL);
	(void)auth_install_keys(a, &set);
	/* Its sessions are its own business; an address must not be one that it does not vouch for. */
	struct buffer b = token_of(rsa, HEAD,
		"{\"sub\":\"a\",\"sid\":\"s-1\",\"email\":\"a@example.org\",\"email_verified\":false," WHO
		"}");
	assert_int_equal(auth_verify(a, buffer_slice(&b), &user), AUTH_OK);
	assert_int_equal(user->session.n, 0);
	assert_int_equal(user->email.n, 0);
	/* There are no tokens of ours to exchange it for. */
	char *token = NULL;
	unsigned expires_in = 0;
	assert_int_equal(auth_exchange(a, user, &token, &expires_in), -EINVAL);
	(void)user_context_unref(user);
	buffer_deinit(&b);
	(void)auth_free(a);
}

static int exchange_until(
	struct auth *a, unsigned exp, unsigned *ret_expires_in, bool *ret_superadmin)
{
	struct user_context *user = NULL;
	char claims[256];
	char *token = NULL;
	(void)snprintf(claims, sizeof(claims),
		"{\"sub\":\"u\",\"iss\":\"https://id.example.org\",\"aud\":\"core\",\"exp\":%u}",
		exp);
	struct buffer theirs = token_of(rsa, HEAD, claims);
	assert_int_equal(auth_verify_any(a, buffer_slice(&theirs), &user), AUTH_OK);
	int r = auth_exchange(a, user, &token, ret_expires_in);
	user = user_context_unref(user);
	buffer_deinit(&theirs);
	if (r == AUTH_OK) {
		struct buffer ours;
		buffer_init(&ours, 16384);
		assert_int_equal(buffer_printf(&ours, "Bearer %s", token), 0);
		assert_int_equal(auth_verify(a, buffer_slice(&ours), &user), AUTH_OK);
		*ret_superadmin = user->is_superadmin;
		(void)user_context_unref(user);
		buffer_deinit(&ours);
		free(token);
	}
	return r;
}

/* It gives no right and no second that was not there. */
static void an_exchange_adds_nothing(void **state)
{
	struct auth *a = new_auth(true);
	unsigned expires_in = 0;
	bool superadmin = true;
	struct key_set set = set_of(rsa, "a", ALL);
	(void)auth_install_keys(a, &set);
	/* Good for its leeway alone. */
	assert_int_equal(exchange_until(a, 1000, &expires_in, &superadmin), AUTH_EXPIRED);
	assert_int_equal(exchange_until(a, 1001, &expires_in, &superadmin), AUTH_OK);
	assert_int_equal(expires_in, 1);
	assert_false(superadmin);
	assert_int_equal(exchange_until(a, 9000, &expires_in, &superadmin), AUTH_OK);
	assert_int_equal(expires_in, 900);
	(void)auth_free(a);
}

/* Where there is an exchange, only what it makes is a token of ours. */
static void our_secret_alone_is_not_enough(void **state)
{
	static const char secret[] = "a secret of the tests, 32 bytes and more";
	static const struct {
		const char *claims;
		int result;
	} cases[] = {
		{ "{\"sub\":\"a\",\"exp\":2000,\"aud\":\"shop\",\"mozaiks_token_use\":\"app\"}",
			AUTH_OK },
		{ "{\"sub\":\"a\",\"exp\":2000,\"mozaiks_token_use\":\"app\"}", AUTH_AUDIENCE },
		{ "{\"sub\":\"a\",\"exp\":2000,\"aud\":\"core\",\"mozaiks_token_use\":\"app\"}",
			AUTH_AUDIENCE },
		{ "{\"sub\":\"a\",\"exp\":2000,\"aud\":\"shop\"}", AUTH_TYPE },
		{ "{\"sub\":\"a\",\"exp\":2000,\"aud\":\"shop\",\"mozaiks_token_use\":\"execution\"}",
			AUTH_TYPE },
	};
	struct auth *a = new_auth(true);
	EVP_PKEY *ours = EVP_PKEY_new_raw_private_key(
		EVP_PKEY_HMAC, NULL, (const uint8_t *)secret, sizeof(secret) - 1);
	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_int_equal(
			judge(a, ours, "{\"alg\":\"HS256\"}", cases[i].claims), cases[i].result);
	}
	EVP_PKEY_free(ours);
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
	c.jwt_secret.n--;
	assert_int_equal(auth_new(&a, &c), -EINVAL);
	c.jwt_secret.n++;
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
		cmocka_unit_test(the_salt_has_its_length),
		cmocka_unit_test(ecdsa_signatures_have_their_length),
		cmocka_unit_test(eddsa_is_checked),
		cmocka_unit_test(odd_keys_are_left_out),
		cmocka_unit_test(odd_moduli_are_left_out),
		cmocka_unit_test(sets_are_bounded),
		cmocka_unit_test(twins_are_dropped),
		cmocka_unit_test(without_a_kid_there_must_be_one_key),
		cmocka_unit_test(a_removed_key_ends_its_tokens),
		cmocka_unit_test(a_renamed_key_ends_its_tokens),
		cmocka_unit_test(a_missing_key_is_asked_for),
		cmocka_unit_test(whose_tokens),
		cmocka_unit_test(what_an_issuer_may_not_say),
		cmocka_unit_test(an_exchange),
		cmocka_unit_test(an_exchange_adds_nothing),
		cmocka_unit_test(our_secret_alone_is_not_enough),
		cmocka_unit_test(configurations),
		cmocka_unit_test(discovery_documents),
	};
	return map_init() < 0 ? 1 : cmocka_run_group_tests(tests, make_keys, free_keys);
}
