/*
 * The signature algorithms of tokens (RFC 7518, 3.1; RFC 8037), a row each. A key has one of them,
 * fixed when it is made.
 */
#pragma once

#include "common/base/slice.h"

enum algorithm_family {
	ALGORITHM_HMAC,
	ALGORITHM_RSA, /* PKCS #1 v1.5 */
	ALGORITHM_PSS, /* salt as long as the digest, MGF1 with the same */
	ALGORITHM_ECDSA,
	ALGORITHM_EDDSA,
};

struct algorithm {
	const char *name;
	enum algorithm_family family;
	const char *digest;     /* as OpenSSL calls it; NULL for EdDSA, which has its own */
	size_t digest_bytes;    /* also the least length of an HMAC's key */
	const char *curve;      /* as a JWK calls it; NULL for those without */
	const char *group;      /* the same as OpenSSL calls it */
	size_t field_bytes;     /* of one coordinate */
	size_t signature_bytes; /* 0: as long as the modulus */
};

/** By name and, for EdDSA, where one name has two, by curve. `curve` empty: any. @return or NULL. */
const struct algorithm *algorithm_find(struct slice name, struct slice curve);

enum { ALGORITHM_LIST_MAX = 16 };

/* What an issuer's keys may be used with. */
struct algorithm_list {
	const struct algorithm *items[ALGORITHM_LIST_MAX];
	size_t n;
};

/**
 * Reads "RS256,ES256". Only signatures: a name of the HMAC family is refused, so that no public key
 * can ever be somebody's secret (RFC 8725, 2.1).
 * @return false for an unknown or repeated name, an empty or too long list.
 */
bool algorithm_list_parse(struct slice text, struct algorithm_list *ret);

/** The first in the list with this family (and curve, where the family has curves), or NULL. */
const struct algorithm *algorithm_list_fit(
	const struct algorithm_list *list, enum algorithm_family family, struct slice curve);

bool algorithm_list_has(const struct algorithm_list *list, const struct algorithm *algorithm);
