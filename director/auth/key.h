/*
 * Signature keys. A key has one algorithm, and a token is judged by the key's, never by its own word
 * (RFC 8725, 3.1). A kid is data: it is compared with the table's and nothing else.
 *
 * The cryptography is cjose's on OpenSSL; it only ever sees tokens that token_parse() let through.
 */
#pragma once

#include "director/auth/token.h"

struct key;

/* Our keys, a handful: tried in order. */
struct key_set {
	struct key *keys;
	size_t n;
};

#define KEY_SET_NULL ((struct key_set){ 0 })

void key_set_deinit(struct key_set *set);

/**
 * Adds a symmetric key.
 * @param alg "HS256".
 * @param kid empty for none; then tokens that name a kid do not fit it.
 * @param secret is copied.
 * @return 0, -EINVAL for an unknown algorithm or an empty secret, -ENOMEM.
 */
int key_set_add_secret(
	struct key_set *set, struct slice alg, struct slice kid, struct slice secret);

enum key_result {
	KEY_OK = 0,
	KEY_E_ALGORITHM, /* no key that fits has this algorithm */
	KEY_E_UNKNOWN,   /* a kid that no key has */
	KEY_E_SIGNATURE,
};

/** @return KEY_*, or -ENOMEM. */
int key_set_verify(const struct key_set *set, const struct token *t);

/**
 * Signs `payload` with the first key; the header is {"alg","typ":"JWT"}.
 * @return 0 and a heap string in compact form; -ENOMEM; -EIO when the signature fails.
 */
int key_set_sign(const struct key_set *set, struct slice payload, char **ret_token);
