/*
 * How often somebody may guess: attempts by account and by address, with waits that double.
 *
 * An attempt is charged before its password is looked at, so that many at once gain nothing; a login
 * that succeeds gives its charge back and clears its account. The first attempts are free; after each
 * further one the next has to wait, twice as long as before, up to a limit. What was refused is not
 * charged. After a quiet time all is forgotten. Accounts that do not exist are counted like others.
 *
 * Names and addresses are kept as keyed hashes, in a bounded table; the one used longest ago leaves.
 * Loop thread; the clock is the caller's.
 */
#pragma once

#include "common/base/slice.h"

struct throttle;

struct throttle_policy {
	unsigned account_free; /* MOZAIKS_LOGIN_FREE_ATTEMPTS; 0: accounts are not throttled */
	unsigned
		address_free; /* MOZAIKS_LOGIN_FREE_ATTEMPTS_PER_ADDRESS; 0: neither are addresses */
	uint64_t first_ms;    /* MOZAIKS_LOGIN_WAIT_SECONDS: the first wait */
	uint64_t max_ms;      /* MOZAIKS_LOGIN_MAX_WAIT_SECONDS */
	uint64_t forget_ms;   /* MOZAIKS_LOGIN_FORGET_SECONDS */
	size_t entries;       /* accounts and addresses that are remembered */
};

/** @return 0 or -ENOMEM. */
int throttle_new(struct throttle **ret, const struct throttle_policy *policy);
/** NULL is allowed. @return NULL. */
struct throttle *throttle_free(struct throttle *t);

/**
 * Charges an attempt when it may be made now.
 * @param account its key (names.h), address a text; empty: not counted.
 * @param ret_wait_ms how long to wait, with false.
 */
bool throttle_try(struct throttle *t,
	struct slice account,
	struct slice address,
	uint64_t now_ms,
	uint64_t *ret_wait_ms);

/** The attempt was good: the account is cleared, the address gets its charge back. */
void throttle_succeeded(struct throttle *t, struct slice account, struct slice address);

/** The attempt was not made after all: both get their charge back. */
void throttle_undo(struct throttle *t, struct slice account, struct slice address);
