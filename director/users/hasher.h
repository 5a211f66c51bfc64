/*
 * The threads that hash passwords: few, with a short queue of their own, so that a crowd at the login
 * starves neither the loop nor the store. What comes when the queue is full is refused.
 *
 * Every verification costs the same, whoever is asked for: without a hash (nobody of that name) a dummy
 * is verified. While there are users with hashes of an older kind each verification does both kinds, one
 * of them for nothing, so that time does not tell which kind a user has, or that there is one.
 *
 * Loop thread. Passwords are copied and wiped.
 */
#pragma once

#include "director/users/password.h"

#include <uv.h>

struct hasher;

struct hasher_config {
	uv_loop_t *loop;
	struct password_cost cost;
	unsigned threads; /* MOZAIKS_PASSWORD_THREADS */
	unsigned queue;   /* MOZAIKS_PASSWORD_QUEUE: jobs that wait */
};

/** Makes the dummies, which takes as long as any hash: at start only. @return 0 or a negative errno. */
int hasher_new(struct hasher **ret, const struct hasher_config *config);

/** From now on verifications do both kinds (true) or one. */
void hasher_set_mixed(struct hasher *h, bool mixed);

struct hash_result {
	int error;        /* 0, -ENOMEM */
	bool match;       /* of a verification */
	const char *hash; /* of a hashing */
};

/* On the loop thread, once, also when the hasher is closed. */
typedef void (*hash_done_fn)(void *owner, const struct hash_result *result);

enum { HASHER_OK = 0, HASHER_FULL = 1 };

/** @param hash empty: a dummy is verified, the answer is no. @return HASHER_*, -ENOMEM. */
int hasher_verify(
	struct hasher *h, struct slice hash, struct slice password, hash_done_fn done, void *owner);
/** @return HASHER_*, -ENOMEM. */
int hasher_hash(struct hasher *h, struct slice password, hash_done_fn done, void *owner);

/** When there will be room again. */
unsigned hasher_retry_after_s(const struct hasher *h);

/* What has been done so far. */
struct hasher_counters {
	uint64_t verified; /* of them ... */
	uint64_t dummies;  /* for nobody */
	uint64_t hashed;
	uint64_t refused; /* the queue was full */
	/* The work of the verifications: comparisons with a hash of this kind. */
	uint64_t argon2;
	uint64_t bcrypt;
};

const struct hasher_counters *hasher_counters(const struct hasher *h);

/** What waits is done first. `done` from the loop; then hasher_free(). */
void hasher_close(struct hasher *h, void (*done)(void *arg), void *arg);
/** After the close; NULL is allowed. @return NULL. */
struct hasher *hasher_free(struct hasher *h);
