/*
 * What a token costs, by algorithm: the first time (parser, signature, claims, context), and again from
 * the cache. Not a test: prints microseconds, the least of several rounds.
 */
#include "common/base/buffer.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/map.h"
#include "director/auth/auth.h"
#include "director/auth/key.h"

#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROUNDS = 7, CALLS = 400 };

static const struct {
	const char *name;
	const char *type; /* NULL: RSA */
	const char *curve;
} cases[] = {
	{ "RS256", NULL, NULL },
	{ "PS256", NULL, NULL },
	{ "ES256", "EC", "P-256" },
	{ "ES384", "EC", "P-384" },
	{ "EdDSA", "ED25519", NULL },
};

static void append_base64(struct buffer *b, struct slice s)
{
	size_t n = sodium_base64_encoded_len(s.n, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	invariant(buffer_reserve(b, n) == 0);
	(void)sodium_bin2base64(
		(char *)b->p + b->n, n, s.p, s.n, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	b->n += n - 1;
}

/* DER -> two numbers of fixed length. @return their length. */
static size_t raw_of(uint8_t *signature, size_t n, size_t field)
{
	const uint8_t *p = signature;
	ECDSA_SIG *s = d2i_ECDSA_SIG(NULL, &p, (long)n);
	invariant(s != NULL);
	(void)BN_bn2binpad(ECDSA_SIG_get0_r(s), signature, (int)field);
	(void)BN_bn2binpad(ECDSA_SIG_get0_s(s), signature + field, (int)field);
	ECDSA_SIG_free(s);
	return field * 2;
}

static void sign(struct buffer *b, EVP_PKEY *key, const struct algorithm *a)
{
	uint8_t signature[512];
	size_t n = sizeof(signature);
	EVP_PKEY_CTX *p = NULL;
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	invariant(EVP_DigestSignInit_ex(c, &p, a->digest, NULL, NULL, key, NULL) == 1);
	if (a->family == ALGORITHM_PSS) {
		invariant(EVP_PKEY_CTX_set_rsa_padding(p, RSA_PKCS1_PSS_PADDING) == 1 &&
			EVP_PKEY_CTX_set_rsa_pss_saltlen(p, RSA_PSS_SALTLEN_DIGEST) == 1);
	}
	invariant(EVP_DigestSign(c, signature, &n, b->p + 7, b->n - 7) == 1);
	EVP_MD_CTX_free(c);
	n = a->family == ALGORITHM_ECDSA ? raw_of(signature, n, a->field_bytes) : n;
	invariant(buffer_append_byte(b, '.') == 0);
	append_base64(b, slice_of(signature, n));
}

static struct auth *new_auth(size_t cache_entries, bool external)
{
	struct auth *a = NULL;
	struct auth_config c;
	auth_config_init(&c);
	c.app_id = SLICE("shop");
	c.external = external;
	c.jwt_secret = external ? SLICE_NULL : SLICE("0123456789abcdef0123456789abcdef");
	c.cache_entries = cache_entries;
	invariant(auth_new(&a, &c) == 0);
	return a;
}

static double measure(struct auth *a, struct slice token)
{
	double least = 1e9;
	for (int round = 0; round < ROUNDS; round++) {
		uint64_t start = clock_ns();
		for (int i = 0; i < CALLS; i++) {
			struct user_context *user = NULL;
			invariant(auth_verify(a, token, &user) == AUTH_OK);
			(void)user_context_unref(user);
		}
		double us = (double)(clock_ns() - start) / CALLS / 1000;
		least = us < least ? us : least;
	}
	return least;
}

static void bench_public(size_t i)
{
	const struct algorithm *a = algorithm_find(slice_str(cases[i].name), SLICE_NULL);
	EVP_PKEY *key = cases[i].type == NULL ? EVP_RSA_gen(2048)
		: cases[i].curve != NULL      ? EVP_EC_gen(cases[i].curve)
					      : EVP_PKEY_Q_keygen(NULL, NULL, cases[i].type);
	struct key_set set = KEY_SET_NULL;
	struct buffer b;
	char header[64];
	char claims[256];
	buffer_init(&b, 16384);
	(void)snprintf(header, sizeof(header), "{\"alg\":\"%s\",\"kid\":\"a\"}", cases[i].name);
	(void)snprintf(claims, sizeof(claims),
		"{\"sub\":\"8a1f\",\"iss\":\"https://id.example.org\",\"aud\":\"core\",\"exp\":%lld,"
		"\"realm_access\":{\"roles\":[\"user\",\"editor\"]}}",
		(long long)(clock_unix_ms() / 1000 + 600));
	invariant(buffer_append(&b, SLICE("Bearer ")) == 0);
	append_base64(&b, slice_str(header));
	invariant(buffer_append_byte(&b, '.') == 0);
	append_base64(&b, slice_str(claims));
	sign(&b, key, a);
	for (size_t cached = 0; cached < 2; cached++) {
		struct auth *auth = new_auth(cached * 10, true);
		invariant(EVP_PKEY_up_ref(key) == 1 &&
			key_set_add_public(&set, a, SLICE("a"), key) == 0);
		(void)auth_install_keys(auth, &set);
		printf("%s %s %7.2f us\n", cases[i].name, cached ? "cached" : "new   ",
			measure(auth, buffer_slice(&b)));
		(void)auth_free(auth);
	}
	buffer_deinit(&b);
	EVP_PKEY_free(key);
}

static void bench_secret(void)
{
	char *token = NULL;
	for (size_t cached = 0; cached < 2; cached++) {
		struct auth *a = new_auth(cached * 10, false);
		struct buffer b;
		buffer_init(&b, 16384);
		invariant(auth_mint(a, SLICE("alice"), SLICE("user,editor"), 600, &token) == 0);
		invariant(buffer_printf(&b, "Bearer %s", token) == 0);
		printf("HS256 %s %7.2f us\n", cached ? "cached" : "new   ",
			measure(a, buffer_slice(&b)));
		free(token);
		buffer_deinit(&b);
		(void)auth_free(a);
	}
}

int main(void)
{
	invariant(map_init() == 0);
	bench_secret();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bench_public(i);
	}
	return 0;
}
