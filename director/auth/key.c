#include "director/auth/key.h"

#include "common/base/buffer.h"
#include "common/base/error.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <sodium.h>
#include <stdlib.h>

/* DER of two integers of 66 bytes. */
enum { ECDSA_DER_MAX = 160 };

struct key {
	const struct algorithm *algorithm;
	char *kid; /* NULL: none */
	uint32_t serial;
	uint8_t fingerprint[KEY_DIGEST_SIZE]; /* of a public key */
	/* Set up once; a check only runs them. What a family has no use for is NULL. */
	EVP_MAC_CTX *mac;
	EVP_MD *digest;
	EVP_MD_CTX *hash;
	EVP_PKEY_CTX *verifier;
	EVP_PKEY *pkey;
};

static void key_deinit(struct key *k)
{
	free(k->kid);
	/* OpenSSL overwrites the secret in it. */
	EVP_MAC_CTX_free(k->mac);
	EVP_MD_CTX_free(k->hash);
	EVP_MD_free(k->digest);
	EVP_PKEY_CTX_free(k->verifier);
	EVP_PKEY_free(k->pkey);
	*k = (struct key){ 0 };
}

void key_set_deinit(struct key_set *set)
{
	for (size_t i = 0; i < set->n; i++) {
		key_deinit(&set->keys[i]);
	}
	free(set->keys);
	*set = KEY_SET_NULL;
}

/* What OpenSSL could not do, it mostly could not for want of memory; it says so. */
static int openssl_error(int otherwise)
{
	bool no_memory = false;
	for (unsigned long e = ERR_get_error(); e != 0; e = ERR_get_error()) {
		no_memory |= ERR_GET_REASON(e) == ERR_R_MALLOC_FAILURE;
	}
	return no_memory ? -ENOMEM : otherwise;
}

/* Takes the key over, also when it fails. */
static int add_key(struct key_set *set, struct key *k, struct slice kid)
{
	struct key *keys = realloc(set->keys, (set->n + 1) * sizeof(*keys));
	set->keys = keys == NULL ? set->keys : keys;
	k->kid = kid.n > 0 ? slice_dup(kid) : NULL;
	if (keys == NULL || (kid.n > 0 && k->kid == NULL)) {
		key_deinit(k);
		return -ENOMEM;
	}
	set->keys[set->n] = *k;
	set->n++;
	return 0;
}

static EVP_MAC_CTX *new_mac(const struct algorithm *algorithm, struct slice secret)
{
	OSSL_PARAM parameters[2] = { OSSL_PARAM_construct_end(), OSSL_PARAM_construct_end() };
	char digest[16] = { 0 };
	memcpy(digest, algorithm->digest, slice_str(algorithm->digest).n);
	parameters[0] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0);
	EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	EVP_MAC_CTX *mac = hmac == NULL ? NULL : EVP_MAC_CTX_new(hmac);
	EVP_MAC_free(hmac);
	if (mac != NULL && EVP_MAC_init(mac, secret.p, secret.n, parameters) != 1) {
		EVP_MAC_CTX_free(mac);
		mac = NULL;
	}
	return mac;
}

int key_set_add_secret(struct key_set *set,
	const struct algorithm *algorithm,
	struct slice kid,
	struct slice secret,
	bool short_allowed)
{
	if (algorithm == NULL || algorithm->family != ALGORITHM_HMAC || secret.n == 0 ||
		(secret.n < algorithm->digest_bytes && !short_allowed)) {
		return -EINVAL;
	}
	struct key k = { .algorithm = algorithm, .mac = new_mac(algorithm, secret) };
	if (k.mac == NULL) {
		ERR_clear_error();
		return -ENOMEM;
	}
	return add_key(set, &k, kid);
}

static bool set_padding(EVP_PKEY_CTX *c, const struct key *k)
{
	switch (k->algorithm->family) {
	case ALGORITHM_RSA:
		return EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_PADDING) == 1;
	case ALGORITHM_PSS:
		return EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_PSS_PADDING) == 1 &&
			EVP_PKEY_CTX_set_rsa_pss_saltlen(c, RSA_PSS_SALTLEN_DIGEST) == 1 &&
			EVP_PKEY_CTX_set_rsa_mgf1_md(c, k->digest) == 1;
	case ALGORITHM_HMAC:
	case ALGORITHM_ECDSA:
	case ALGORITHM_EDDSA:
		break;
	}
	return true;
}

/* Of the algorithm and the key itself; the kid is compared beside it. */
static bool take_fingerprint(struct key *k)
{
	uint8_t *der = NULL;
	int n = i2d_PUBKEY(k->pkey, &der);
	unsigned size = sizeof(k->fingerprint);
	bool taken =
		n > 0 && EVP_Digest(der, (size_t)n, k->fingerprint, &size, EVP_sha256(), NULL) == 1;
	OPENSSL_free(der);
	return taken;
}

static bool prepare(struct key *k)
{
	k->hash = EVP_MD_CTX_new();
	if (k->hash == NULL || !take_fingerprint(k)) {
		return false;
	}
	if (k->algorithm->digest == NULL) {
		return true;
	}
	k->digest = EVP_MD_fetch(NULL, k->algorithm->digest, NULL);
	k->verifier = EVP_PKEY_CTX_new(k->pkey, NULL);
	return k->digest != NULL && k->verifier != NULL && EVP_PKEY_verify_init(k->verifier) == 1 &&
		EVP_PKEY_CTX_set_signature_md(k->verifier, k->digest) == 1 &&
		set_padding(k->verifier, k);
}

int key_set_add_public(struct key_set *set,
	const struct algorithm *algorithm,
	struct slice kid,
	struct evp_pkey_st *pkey)
{
	invariant(algorithm->family != ALGORITHM_HMAC);
	struct key k = { .algorithm = algorithm, .pkey = pkey };
	if (!prepare(&k)) {
		key_deinit(&k);
		ERR_clear_error();
		/* It is a good key: nothing else can be missing. */
		return -ENOMEM;
	}
	return add_key(set, &k, kid);
}

static bool are_twins(const struct key *a, const struct key *b)
{
	return slice_eq(slice_str(a->kid), slice_str(b->kid)) &&
		slice_eq(slice_str(a->algorithm->name), slice_str(b->algorithm->name));
}

static bool has_twin(const struct key_set *set, size_t i)
{
	for (size_t j = 0; j < set->n; j++) {
		if (j != i && set->keys[i].kid != NULL && are_twins(&set->keys[i], &set->keys[j])) {
			return true;
		}
	}
	return false;
}

size_t key_set_drop_twins(struct key_set *set)
{
	size_t kept = 0;
	size_t dropped = 0;
	/* The serial marks them until all have been compared. */
	for (size_t i = 0; i < set->n; i++) {
		set->keys[i].serial = has_twin(set, i) ? 1 : 0;
	}
	for (size_t i = 0; i < set->n; i++) {
		if (set->keys[i].serial == 1) {
			key_deinit(&set->keys[i]);
			dropped++;
		} else {
			set->keys[kept] = set->keys[i];
			kept++;
		}
	}
	set->n = kept;
	return dropped;
}

/* ---- Checking ------------------------------------------------------------------------------ */

static int verify_mac(const struct key *k, const struct token *t)
{
	uint8_t mac[64];
	size_t n = 0;
	/* Without a key: the one from before. */
	if (EVP_MAC_init(k->mac, NULL, 0, NULL) != 1 ||
		EVP_MAC_update(k->mac, t->signed_part.p, t->signed_part.n) != 1 ||
		EVP_MAC_final(k->mac, mac, &n, sizeof(mac)) != 1) {
		ERR_clear_error();
		return -ENOMEM;
	}
	/* Its time does not depend on where they differ. */
	return slice_eq_secret(slice_of(mac, n), t->signature) ? KEY_OK : KEY_E_SIGNATURE;
}

/* JWS has two numbers of fixed length, OpenSSL wants DER. @return its length, 0 without memory. */
static size_t ecdsa_to_der(const struct token *t, uint8_t der[static ECDSA_DER_MAX])
{
	size_t half = t->signature.n / 2;
	ECDSA_SIG *s = ECDSA_SIG_new();
	BIGNUM *r = BN_bin2bn(t->signature.p, (int)half, NULL);
	BIGNUM *v = BN_bin2bn(t->signature.p + half, (int)half, NULL);
	if (s == NULL || r == NULL || v == NULL || ECDSA_SIG_set0(s, r, v) != 1) {
		BN_free(r);
		BN_free(v);
		ECDSA_SIG_free(s);
		return 0;
	}
	int n = i2d_ECDSA_SIG(s, NULL);
	n = n > 0 && n <= ECDSA_DER_MAX ? i2d_ECDSA_SIG(s, &der) : 0;
	ECDSA_SIG_free(s);
	return n > 0 ? (size_t)n : 0;
}

static int verify_digest(const struct key *k, const struct token *t, struct slice signature)
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	if (EVP_DigestInit_ex2(k->hash, k->digest, NULL) != 1 ||
		EVP_DigestUpdate(k->hash, t->signed_part.p, t->signed_part.n) != 1 ||
		EVP_DigestFinal_ex(k->hash, digest, &n) != 1) {
		ERR_clear_error();
		return -ENOMEM;
	}
	return EVP_PKEY_verify(k->verifier, signature.p, signature.n, digest, n) == 1
		? KEY_OK
		: openssl_error(KEY_E_SIGNATURE);
}

static int verify_ecdsa(const struct key *k, const struct token *t)
{
	uint8_t der[ECDSA_DER_MAX];
	size_t n = ecdsa_to_der(t, der);
	return n == 0 ? openssl_error(-ENOMEM) : verify_digest(k, t, slice_of(der, n));
}

static int verify_eddsa(const struct key *k, const struct token *t)
{
	if (EVP_MD_CTX_reset(k->hash) != 1 ||
		EVP_DigestVerifyInit(k->hash, NULL, NULL, NULL, k->pkey) != 1) {
		return openssl_error(-ENOMEM);
	}
	return EVP_DigestVerify(k->hash, t->signature.p, t->signature.n, t->signed_part.p,
		       t->signed_part.n) == 1
		? KEY_OK
		: openssl_error(KEY_E_SIGNATURE);
}

static int verify_with(const struct key *k, const struct token *t)
{
	const struct algorithm *a = k->algorithm;
	invariant(slice_eq(slice_str(a->name), t->alg));
	size_t bytes =
		a->signature_bytes > 0 ? a->signature_bytes : (size_t)EVP_PKEY_get_size(k->pkey);
	if (t->signature.n != bytes) {
		return KEY_E_SIGNATURE;
	}
	switch (a->family) {
	case ALGORITHM_HMAC:
		return verify_mac(k, t);
	case ALGORITHM_RSA:
	case ALGORITHM_PSS:
		return verify_digest(k, t, t->signature);
	case ALGORITHM_ECDSA:
		return verify_ecdsa(k, t);
	case ALGORITHM_EDDSA:
		return verify_eddsa(k, t);
	}
	invariant(false);
	return KEY_E_SIGNATURE;
}

static const struct key *find(const struct key_set *set, const struct token *t, int *ret_why)
{
	const struct key *found = NULL;
	*ret_why = t->kid.n > 0 ? KEY_E_UNKNOWN : KEY_E_ALGORITHM;
	for (size_t i = 0; i < set->n; i++) {
		const struct key *k = &set->keys[i];
		if (t->kid.n > 0 && !slice_eq(slice_str(k->kid), t->kid)) {
			continue;
		}
		if (!slice_eq(slice_str(k->algorithm->name), t->alg)) {
			*ret_why = KEY_E_ALGORITHM;
			continue;
		}
		if (found != NULL) {
			*ret_why = KEY_E_UNKNOWN;
			return NULL;
		}
		found = k;
	}
	return found;
}

int key_set_verify(const struct key_set *set, const struct token *t, uint32_t *ret_serial)
{
	int why;
	const struct key *k = find(set, t, &why);
	if (k == NULL) {
		return why;
	}
	*ret_serial = k->serial;
	return verify_with(k, t);
}

/* ---- Signing ------------------------------------------------------------------------------- */

static int append_base64(struct buffer *b, struct slice s)
{
	size_t n = sodium_base64_encoded_len(s.n, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	int r = buffer_reserve(b, n);
	if (r == 0) {
		(void)sodium_bin2base64(
			(char *)b->p + b->n, n, s.p, s.n, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
		/* Without the NUL. */
		b->n += n - 1;
	}
	return r;
}

static int sign(struct buffer *b, const struct key *k, struct slice payload)
{
	char header[64];
	uint8_t mac[64];
	size_t n = 0;
	(void)snprintf(
		header, sizeof(header), "{\"alg\":\"%s\",\"typ\":\"JWT\"}", k->algorithm->name);
	int r = append_base64(b, slice_str(header));
	r = r < 0 ? r : buffer_append_byte(b, '.');
	r = r < 0 ? r : append_base64(b, payload);
	if (r < 0) {
		return r;
	}
	if (EVP_MAC_init(k->mac, NULL, 0, NULL) != 1 || EVP_MAC_update(k->mac, b->p, b->n) != 1 ||
		EVP_MAC_final(k->mac, mac, &n, sizeof(mac)) != 1) {
		return openssl_error(-EIO);
	}
	r = buffer_append_byte(b, '.');
	r = r < 0 ? r : append_base64(b, slice_of(mac, n));
	return r < 0 ? r : buffer_append_byte(b, '\0');
}

int key_set_sign(const struct key_set *set, struct slice payload, char **ret_token)
{
	invariant(set->n > 0 && set->keys[0].mac != NULL);
	struct buffer b;
	buffer_init(&b, payload.n * 2 + 512);
	int r = sign(&b, &set->keys[0], payload);
	if (r == 0) {
		size_t n;
		*ret_token = (char *)buffer_steal(&b, &n);
	}
	buffer_deinit(&b);
	return r;
}

/* ---- Serials ------------------------------------------------------------------------------- */

static uint32_t serial_of_same(const struct key_set *old, const struct key *k)
{
	for (size_t i = 0; old != NULL && i < old->n; i++) {
		if (are_twins(&old->keys[i], k) &&
			memcmp(old->keys[i].fingerprint, k->fingerprint, KEY_DIGEST_SIZE) == 0) {
			return old->keys[i].serial;
		}
	}
	return 0;
}

void key_set_number(struct key_set *fresh, const struct key_set *old, uint32_t *last_serial)
{
	for (size_t i = 0; i < fresh->n; i++) {
		uint32_t same = serial_of_same(old, &fresh->keys[i]);
		fresh->keys[i].serial = same != 0 ? same : ++*last_serial;
	}
}

bool key_set_has_serial(const struct key_set *set, uint32_t serial)
{
	for (size_t i = 0; i < set->n; i++) {
		if (set->keys[i].serial == serial) {
			return true;
		}
	}
	return false;
}
