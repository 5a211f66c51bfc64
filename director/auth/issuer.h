/*
 * The issuer of tokens in external mode: finds its keys (discovery, or a configured URL), fetches them,
 * and gives them to auth. Loop thread.
 *
 *   waiting -> discovering -> fetching -> waiting
 *
 * Keys are fetched anew every `refresh_ms`, and when a token names a kid that is not known, then at
 * most every `refetch_ms`. While the issuer cannot be reached, or answers nonsense, the keys that are
 * known stay good for `stale_ms`; it is asked again after 1, 2, 4 ... 60 s. Nothing waits for it, not
 * even the start: until its keys are there, its tokens get 503.
 *
 * A well-formed set that lacks a key ends that key and what was signed with it, even when it is empty.
 */
#pragma once

#include "common/uvx/close.h"
#include "director/auth/auth.h"
#include "director/auth/jwk.h"

#include <uv.h>

struct issuer;
struct fetcher;

struct issuer_config {
	uv_loop_t *loop;
	struct fetcher *fetcher; /* outlives it */
	struct auth *auth;       /* outlives it */
	/* Copied. At least one of them is not NULL. */
	const char *name;          /* iss; the discovery document is below it */
	const char *discovery_url; /* where it is instead */
	const char *jwks_url;      /* of the keys: then nothing is discovered */
	struct slice ca;           /* PEM, instead of the system's certificates; copied */
	bool http_allowed;         /* development; else only for this machine */
	struct jwks_rules rules;
	size_t bytes_max; /* of one document */
	unsigned timeout_ms;
	uint64_t refresh_ms;
	uint64_t stale_ms;
	uint64_t refetch_ms;
};

enum { ISSUER_WHY_SIZE = 512 };

/**
 * Begins to fetch in the loop's first turn.
 * @param why for the operator: the setting and its rule.
 * @return 0, -EINVAL with `why`, -ENOMEM.
 */
int issuer_open(
	struct issuer **ret, const struct issuer_config *config, char why[static ISSUER_WHY_SIZE]);

/** Before the fetcher is closed. `closed` comes once; then issuer_free(). */
void issuer_close(struct issuer *i, uvx_closed_fn closed, void *arg);
struct issuer *issuer_free(struct issuer *i);

/** Why its tokens cannot be checked now, or NULL. Valid until the loop goes on. */
const char *issuer_problem(const struct issuer *i);
