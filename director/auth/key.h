/*
 * Signature keys. A key has one algorithm, and a token is judged by the key's, never by its own word
 * (RFC 8725, 3.1). A kid is data: it is compared with the table's and nothing else.
 *
 * The cryptography is OpenSSL's; it only ever sees tokens that token_parse() let through. Loop thread.
 */
#pragma once

#include "director/auth/algorithm.h"
#include "director/auth/token.h"

enum { KEY_DIGEST_SIZE = 32 };

struct key;
struct evp_pkey_st;

/* Some keys, a handful: found by going through them. */
struct key_set {
	struct key *keys;
	size_t n;
};

#define KEY_SET_NULL ((struct key_set){ 0 })

/** What was a secret is overwritten. */
void key_set_deinit(struct key_set *set);

/**
 * Adds a symmetric key.
 * @param kid empty for none; then tokens that name a kid do not fit it.
 * @param secret is copied.
 * @param short_allowed takes a secret shorter than the digest (RFC 7518, 3.2): development.
 * @return 0; -EINVAL for an algorithm of another family, an empty or a short secret; -ENOMEM.
 */
int key_set_add_secret(struct key_set *set,
	const struct algorithm *algorithm,
	struct slice kid,
	struct slice secret,
	bool short_allowed);

/**
 * Adds a public key.
 * @param kid empty for none.
 * @param pkey fits the algorithm and was checked (jwk.h); one reference goes to the key in any case.
 * @return 0, -ENOMEM.
 */
int key_set_add_public(struct key_set *set,
	const struct algorithm *algorithm,
	struct slice kid,
	struct evp_pkey_st *pkey);

/** Drops every key whose kid and algorithm another one has, and that one: which counts is unclear.
 * @return how many were dropped. */
size_t key_set_drop_twins(struct key_set *set);

enum key_result {
	KEY_OK = 0,
	KEY_E_ALGORITHM, /* no key that fits has this algorithm */
	KEY_E_UNKNOWN,   /* a kid that no key has, or no kid where it does not follow */
	KEY_E_SIGNATURE,
};

/**
 * A token with a kid is checked with the key of that kid and its algorithm; one without with the only
 * key that has its algorithm.
 * @param ret_serial with KEY_OK the serial of the key, from key_set_number().
 * @return KEY_*, or -ENOMEM.
 */
int key_set_verify(const struct key_set *set, const struct token *t, uint32_t *ret_serial);

/**
 * Signs `payload` with the first key, which is symmetric; the header is {"alg","typ":"JWT"}.
 * @return 0 and a heap string in compact form; -ENOMEM; -EIO when the signature fails.
 */
int key_set_sign(const struct key_set *set, struct slice payload, char **ret_token);

/* Serials: a key that stays the same when a set is replaced keeps its number, any other gets a new
 * one, so that what was checked with a removed key can be found. */

/** Numbers the keys of `fresh`, which takes the place of `old` (may be NULL). */
void key_set_number(struct key_set *fresh, const struct key_set *old, uint32_t *last_serial);

bool key_set_has_serial(const struct key_set *set, uint32_t serial);
