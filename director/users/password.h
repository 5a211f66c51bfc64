/*
 * Passwords: the rules for new ones, hashes and their verification.
 *
 * New hashes are argon2id of libsodium ("$argon2id$v=19$m=…,t=…,p=1$…"). Hashes of data that was there
 * before may also be argon2i or bcrypt ("$2a$", "$2b$", "$2y$": crypt_r() of libcrypt, which like every
 * bcrypt looks at the first 72 bytes only); a login with one of those, or with other costs, makes a new
 * one. A bcrypt hash of more than 2^PASSWORD_BCRYPT_COST_MAX rounds is nobody's.
 *
 * No password has a NUL byte: crypt_r() would end there.
 *
 * Hashing takes tens of milliseconds and megabytes: on hasher.h's threads, never on the loop's. Any thread.
 */
#pragma once

#include "common/base/slice.h"

enum { PASSWORD_HASH_SIZE = 129, PASSWORD_WHY_SIZE = 192, PASSWORD_BCRYPT_COST_MAX = 16 };

struct password_rules {
	unsigned min_characters; /* MOZAIKS_PASSWORD_MIN_LENGTH */
	size_t max_bytes;        /* MOZAIKS_PASSWORD_MAX_BYTES */
	unsigned kinds;          /* MOZAIKS_PASSWORD_KINDS: of lower, upper, digits, others */
};

/**
 * Judges a new password.
 * @param name, email of its user: it must be neither.
 * @param why the rule that it breaks, with the setting.
 * @return true when it is fine.
 */
bool password_is_good(const struct password_rules *rules,
	struct slice password,
	struct slice name,
	struct slice email,
	char why[static PASSWORD_WHY_SIZE]);

struct password_cost {
	size_t memory_bytes; /* MOZAIKS_ARGON2_MEMORY_BYTES: of one hash */
	unsigned passes;     /* MOZAIKS_ARGON2_PASSES: over it */
};

/** @return 0 and a text with its NUL; -ENOMEM. */
int password_hash(const struct password_cost *cost,
	struct slice password,
	char out[static PASSWORD_HASH_SIZE]);

enum password_kind { PASSWORD_UNKNOWN, PASSWORD_ARGON2, PASSWORD_BCRYPT };

enum password_kind password_kind_of(struct slice hash);

/** @return 1; 0: another password, or no hash that is known; -ENOMEM. */
int password_verify(struct slice hash, struct slice password);

/** True when a hash is not one that password_hash() would make now. */
bool password_is_old(const struct password_cost *cost, struct slice hash);
