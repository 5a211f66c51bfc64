#include "director/auth/jwk.h"

#include "common/json/tree.h"

#include <errno.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecerr.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <stdarg.h>
#include <stdio.h>

enum {
	MODULUS_BYTES_MAX = JWK_RSA_BITS_MAX / 8,
	EXPONENT_BYTES_MAX = 4,
	POINT_BYTES_MAX = 1 + 2 * 66,
	/* Skipped, and the report says why. */
	SKIP = 1,
};

/* One member of the set. */
struct jwk {
	const json_t *object;
	struct slice kid;
	const struct algorithm *algorithm;
	struct jwks_report *report;
};

static int __attribute__((format(printf, 2, 3))) skip(const struct jwk *k, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	(void)vsnprintf(k->report->why, JWK_WHY_SIZE, format, args);
	va_end(args);
	return SKIP;
}

/* OpenSSL could not make a key of a point: because it is none, which it says; anything else comes of want of
 * memory. For that no key must be left out: its tokens would end. */
static bool is_no_point(void)
{
	bool found = false;
	bool no_memory = false;
	for (unsigned long e = ERR_get_error(); e != 0; e = ERR_get_error()) {
		int reason = ERR_GET_LIB(e) == ERR_LIB_EC ? ERR_GET_REASON(e) : 0;
		found |= reason == EC_R_POINT_IS_NOT_ON_CURVE || reason == EC_R_INVALID_ENCODING ||
			reason == EC_R_COORDINATES_OUT_OF_RANGE;
		no_memory |= ERR_GET_REASON(e) == ERR_R_MALLOC_FAILURE;
	}
	return found && !no_memory;
}

static struct slice text_of(const json_t *object, const char *name)
{
	const json_t *v = json_object_get(object, name);
	return slice_of(json_string_value(v), json_string_length(v));
}

/* Base64url of 1 to `max` bytes. */
static bool take_bytes(
	const struct jwk *k, const char *name, uint8_t *out, size_t max, size_t *ret_n)
{
	struct slice text = text_of(k->object, name);
	return text.n > 0 && text.n <= max * 2 && base64url_decode(text, out, max, ret_n) &&
		*ret_n > 0;
}

/* ---- RSA ----------------------------------------------------------------------------------- */

/* Infineon's generator made primes k * M + (65537^a mod M): so is the modulus, modulo each small
 * prime in M, a power of 65537 (ROCA, CVE-2017-15361). Chance hits are below one in 2^27. */
static bool is_power_of_65537(unsigned long residue, unsigned long prime)
{
	unsigned long power = 1;
	for (unsigned long i = 0; i < prime; i++) {
		if (power == residue) {
			return true;
		}
		power = power * (65537 % prime) % prime;
	}
	return false;
}

static bool is_roca(const BIGNUM *n)
{
	static const unsigned char primes[] = { 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47,
		53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109, 113, 127, 131, 137, 139,
		149, 151, 157, 163, 167 };
	for (size_t i = 0; i < sizeof(primes); i++) {
		BN_ULONG residue = BN_mod_word(n, primes[i]);
		if (!is_power_of_65537(residue, primes[i])) {
			return false;
		}
	}
	return true;
}

static int check_rsa(const struct jwk *k, const BIGNUM *n, const BIGNUM *e)
{
	int bits = BN_num_bits(n);
	if (bits < JWK_RSA_BITS_MIN || bits > JWK_RSA_BITS_MAX) {
		return skip(k, "an RSA key of %d bits; %d to %d are allowed", bits,
			JWK_RSA_BITS_MIN, JWK_RSA_BITS_MAX);
	}
	if (!BN_is_odd(n) || !BN_is_odd(e) || BN_is_one(e)) {
		return skip(k, "an RSA key with an even modulus or an exponent that is even or 1");
	}
	return is_roca(n) ? skip(k, "an RSA key of a broken generator (ROCA)") : 0;
}

static EVP_PKEY *from_parameters(const char *type, OSSL_PARAM_BLD *builder)
{
	EVP_PKEY *pkey = NULL;
	OSSL_PARAM *parameters = OSSL_PARAM_BLD_to_param(builder);
	EVP_PKEY_CTX *c = parameters == NULL ? NULL : EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	if (c != NULL && EVP_PKEY_fromdata_init(c) == 1) {
		(void)EVP_PKEY_fromdata(c, &pkey, EVP_PKEY_PUBLIC_KEY, parameters);
	}
	EVP_PKEY_CTX_free(c);
	OSSL_PARAM_free(parameters);
	return pkey;
}

static int make_rsa(const struct jwk *k, EVP_PKEY **ret)
{
	uint8_t bytes[MODULUS_BYTES_MAX];
	uint8_t exponent[EXPONENT_BYTES_MAX];
	size_t n_bytes;
	size_t n_exponent;
	if (!take_bytes(k, "n", bytes, sizeof(bytes), &n_bytes) ||
		!take_bytes(k, "e", exponent, sizeof(exponent), &n_exponent)) {
		return skip(k,
			"an RSA key whose n or e is not base64url or longer than %d and %d bytes",
			MODULUS_BYTES_MAX, EXPONENT_BYTES_MAX);
	}
	BIGNUM *n = BN_bin2bn(bytes, (int)n_bytes, NULL);
	BIGNUM *e = BN_bin2bn(exponent, (int)n_exponent, NULL);
	OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
	int r = n == NULL || e == NULL || builder == NULL ? -ENOMEM : check_rsa(k, n, e);
	if (r == 0) {
		bool pushed = OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
			OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, e) == 1;
		*ret = pushed ? from_parameters("RSA", builder) : NULL;
		/* It was checked: nothing else can be missing. */
		r = *ret == NULL ? -ENOMEM : 0;
	}
	OSSL_PARAM_BLD_free(builder);
	BN_free(n);
	BN_free(e);
	return r;
}

/* ---- Curves -------------------------------------------------------------------------------- */

static EVP_PKEY *make_point(const struct algorithm *a, const uint8_t *point, size_t n)
{
	EVP_PKEY *pkey = NULL;
	OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
	if (builder != NULL &&
		OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, a->group, 0) ==
			1 &&
		OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point, n) == 1) {
		pkey = from_parameters("EC", builder);
	}
	OSSL_PARAM_BLD_free(builder);
	return pkey;
}

static bool public_key_is_good(EVP_PKEY *pkey)
{
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(pkey, NULL);
	bool good = c != NULL && EVP_PKEY_public_check(c) == 1;
	EVP_PKEY_CTX_free(c);
	return good;
}

static int make_ec(const struct jwk *k, EVP_PKEY **ret)
{
	const struct algorithm *a = k->algorithm;
	uint8_t point[POINT_BYTES_MAX] = { 4 /* not compressed */ };
	size_t x;
	size_t y;
	if (!take_bytes(k, "x", point + 1, a->field_bytes, &x) ||
		!take_bytes(k, "y", point + 1 + a->field_bytes, a->field_bytes, &y) ||
		x != a->field_bytes || y != a->field_bytes) {
		return skip(k, "a key of %s whose x or y is not base64url of %zu bytes", a->curve,
			a->field_bytes);
	}
	EVP_PKEY *pkey = make_point(a, point, 1 + 2 * a->field_bytes);
	if (pkey == NULL || !public_key_is_good(pkey)) {
		EVP_PKEY_free(pkey);
		return is_no_point() ? skip(k, "a key that is no point of %s", a->curve) : -ENOMEM;
	}
	*ret = pkey;
	return 0;
}

static int make_okp(const struct jwk *k, EVP_PKEY **ret)
{
	const struct algorithm *a = k->algorithm;
	uint8_t bytes[64];
	size_t n;
	if (!take_bytes(k, "x", bytes, sizeof(bytes), &n) || n != a->field_bytes) {
		return skip(k, "a key of %s whose x is not base64url of %zu bytes", a->curve,
			a->field_bytes);
	}
	*ret = EVP_PKEY_new_raw_public_key_ex(NULL, a->group, NULL, bytes, n);
	/* Any bytes of that length are one. */
	return *ret == NULL ? -ENOMEM : 0;
}

/* ---- What every key says ------------------------------------------------------------------- */

static const struct {
	const char *kty;
	enum algorithm_family family;
	enum algorithm_family other; /* that fits the same kty */
	int (*make)(const struct jwk *k, EVP_PKEY **ret);
} types[] = {
	{ "RSA", ALGORITHM_RSA, ALGORITHM_PSS, make_rsa },
	{ "EC", ALGORITHM_ECDSA, ALGORITHM_ECDSA, make_ec },
	{ "OKP", ALGORITHM_EDDSA, ALGORITHM_EDDSA, make_okp },
};

enum { N_TYPES = sizeof(types) / sizeof(types[0]) };

static bool verifies(const json_t *object)
{
	const json_t *use = json_object_get(object, "use");
	const json_t *operations = json_object_get(object, "key_ops");
	if (use != NULL && !slice_eq(text_of(object, "use"), SLICE("sig"))) {
		return false;
	}
	if (operations == NULL) {
		return true;
	}
	for (size_t i = 0; i < json_array_size(operations); i++) {
		const json_t *v = json_array_get(operations, i);
		if (json_is_string(v) && strcmp(json_string_value(v), "verify") == 0) {
			return true;
		}
	}
	return false;
}

static bool has_private_part(const json_t *object)
{
	static const char *const names[] = { "d", "p", "q", "dp", "dq", "qi", "oth", "k" };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (json_object_get(object, names[i]) != NULL) {
			return true;
		}
	}
	return false;
}

/* The key's own algorithm; without one the first allowed that fits its type. */
static int choose_algorithm(struct jwk *k, const struct algorithm_list *allowed, size_t type)
{
	struct slice name = text_of(k->object, "alg");
	struct slice curve = text_of(k->object, "crv");
	if (json_object_get(k->object, "alg") == NULL) {
		k->algorithm = algorithm_list_fit(allowed, types[type].family, curve);
		k->algorithm = k->algorithm != NULL
			? k->algorithm
			: algorithm_list_fit(allowed, types[type].other, curve);
		return k->algorithm == NULL
			? skip(k,
				  "a key of a type or curve that no algorithm in "
				  "MOZAIKS_JWT_ALGORITHMS has")
			: 0;
	}
	bool curved =
		types[type].family == ALGORITHM_ECDSA || types[type].family == ALGORITHM_EDDSA;
	const struct algorithm *a = algorithm_find(name, curved ? curve : SLICE_NULL);
	if (a == NULL || (a->family != types[type].family && a->family != types[type].other) ||
		(curved && curve.n == 0)) {
		return skip(
			k, "a key whose alg, kty and crv do not go together, or an unknown alg");
	}
	if (!algorithm_list_has(allowed, a)) {
		return skip(k, "a key for %s, which is not in MOZAIKS_JWT_ALGORITHMS", a->name);
	}
	k->algorithm = a;
	return 0;
}

static int check_common(struct jwk *k, const struct algorithm_list *allowed, size_t *ret_type)
{
	struct slice kty = text_of(k->object, "kty");
	const json_t *kid = json_object_get(k->object, "kid");
	size_t type = 0;
	while (type < N_TYPES && !slice_eq(kty, slice_str(types[type].kty))) {
		type++;
	}
	if (type == N_TYPES) {
		return skip(k, "a key of a type other than RSA, EC and OKP");
	}
	if (has_private_part(k->object)) {
		return skip(k, "a key that was published with its secret part");
	}
	if (!verifies(k->object)) {
		return skip(k, "a key that is not for signatures (use, key_ops)");
	}
	k->kid = text_of(k->object, "kid");
	if ((kid != NULL && k->kid.n == 0) || k->kid.n > JWK_KID_MAX) {
		return skip(k, "a key whose kid is not a text of 1 to %d bytes", JWK_KID_MAX);
	}
	*ret_type = type;
	return choose_algorithm(k, allowed, type);
}

/* @return 0, SKIP, -ENOMEM. */
static int add_jwk(const json_t *object,
	const struct algorithm_list *allowed,
	struct key_set *set,
	struct jwks_report *report)
{
	struct jwk k = { .object = object, .report = report };
	EVP_PKEY *pkey = NULL;
	size_t type = 0;
	ERR_clear_error();
	int r = check_common(&k, allowed, &type);
	r = r != 0 ? r : types[type].make(&k, &pkey);
	if (r == 0) {
		r = key_set_add_public(set, k.algorithm, k.kid, pkey);
	}
	ERR_clear_error();
	return r;
}

static int refuse(struct jwks_report *report, const char *why)
{
	(void)snprintf(report->why, sizeof(report->why), "%s", why);
	return -EBADMSG;
}

static int add_all(const json_t *tree,
	const struct jwks_rules *rules,
	struct key_set *set,
	struct jwks_report *report)
{
	const json_t *keys = json_object_get(tree, "keys");
	if (!json_is_array(keys)) {
		return refuse(report, "it is not an object with an array keys");
	}
	if (json_array_size(keys) > rules->keys_max) {
		(void)snprintf(report->why, sizeof(report->why),
			"it has more than %zu keys (MOZAIKS_MAX_JWKS_KEYS)", rules->keys_max);
		return -EBADMSG;
	}
	for (size_t i = 0; i < json_array_size(keys); i++) {
		int r = add_jwk(json_array_get(keys, i), &rules->algorithms, set, report);
		if (r < 0) {
			return r;
		}
		report->skipped += r == SKIP;
	}
	size_t twins = key_set_drop_twins(set);
	if (twins > 0) {
		report->skipped += twins;
		(void)snprintf(
			report->why, sizeof(report->why), "keys with the kid of another one");
	}
	return 0;
}

int jwks_parse(struct slice text,
	const struct jwks_rules *rules,
	struct key_set *ret,
	struct jwks_report *ret_report)
{
	json_t *tree = NULL;
	struct json_why why;
	struct key_set set = KEY_SET_NULL;
	*ret_report = (struct jwks_report){ 0 };
	int r = json_tree_parse(text, &tree, &why);
	if (r == -EBADMSG) {
		return refuse(ret_report, why.text);
	}
	r = r < 0 ? r : add_all(tree, rules, &set, ret_report);
	json_decref(tree);
	if (r < 0) {
		key_set_deinit(&set);
	} else {
		*ret = set;
	}
	return r;
}
