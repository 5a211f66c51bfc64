/*
 * An issuer's published keys (RFC 7517): a JSON Web Key Set becomes a key set. The text is hostile.
 *
 * A set with an odd member is not refused, that key is left out (RFC 7517, 5) and the reason told:
 * a kty, crv or alg that is not ours or not allowed, a use other than signatures, a private or secret
 * key, an RSA modulus below 2,048 or above 8,192 bits, an exponent that is 1, even or long, a modulus
 * of the ROCA generator, a point that is not on its curve, coordinates of the wrong length, a kid that
 * two keys of one algorithm have.
 */
#pragma once

#include "director/auth/key.h"

enum {
	JWK_KID_MAX = 256,
	JWK_RSA_BITS_MIN = 2048,
	JWK_RSA_BITS_MAX = 8192,
	JWK_WHY_SIZE = 256,
};

struct jwks_rules {
	struct algorithm_list algorithms; /* allowed */
	size_t keys_max;                  /* in one set, usable or not */
};

struct jwks_report {
	size_t skipped;
	char why[JWK_WHY_SIZE]; /* why the set was refused, or the last key left out */
};

/**
 * Reads a whole set.
 * @param ret for key_set_deinit(); empty when no key can be used.
 * @return 0; -EBADMSG when it is no key set or has more keys than allowed; -ENOMEM.
 */
int jwks_parse(struct slice text,
	const struct jwks_rules *rules,
	struct key_set *ret,
	struct jwks_report *ret_report);
