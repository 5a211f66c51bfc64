/*
 * Authentication: a bearer token becomes a user context. The loop thread.
 */
#pragma once

#include "common/base/slice.h"

/*
 * Who calls. Shared by every request with the same token; counted references. `trusted` is the
 * JSON that is spliced into each of the user's requests, made once per token:
 *   "user_id":"…","app_id":"…","_context":{"app_id","user_id","username","roles","is_superadmin"}
 * (without braces around it).
 */
struct user_context {
	unsigned refs;
	struct slice user_id;
	struct slice username;
	struct slice roles_json; /* a JSON array of strings */
	bool is_superadmin;
	struct slice trusted;
	int64_t expires_at; /* seconds since 1970 */
	void *admission;    /* the per-user in-flight count, execute/admit.c's */
};

struct user_context *user_context_ref(struct user_context *u);
/** NULL is allowed. @return NULL. */
struct user_context *user_context_unref(struct user_context *u);

struct auth;

struct auth_config {
	struct slice app_id;
	struct slice jwt_secret;       /* HS256 key; local mode */
	struct slice superadmin_role;  /* compared without case; empty: "superadmin" */
	unsigned leeway_s;             /* for exp and nbf: 30 */
	size_t token_bytes;            /* longest token: 8192 */
	size_t cache_entries;          /* verified tokens kept: 10000 */
};

int auth_new(struct auth **ret, const struct auth_config *config);
struct auth *auth_free(struct auth *a);

/* Why a token was refused. Positive outcomes of auth_verify(). */
enum auth_result {
	AUTH_OK = 0,
	AUTH_MISSING,       /* no bearer token */
	AUTH_MALFORMED,     /* not three base64url parts of strict JSON, or too long */
	AUTH_ALGORITHM,     /* not the algorithm of the key; "none" */
	AUTH_SIGNATURE,
	AUTH_CLAIMS,        /* no numeric exp, no subject, a claim of the wrong type */
	AUTH_EXPIRED,
	AUTH_NOT_YET_VALID,
};

/**
 * Verifies the value of an Authorization header.
 * @param ret_user a reference of the caller's own.
 * @return AUTH_*, or -ENOMEM.
 */
int auth_verify(struct auth *a, struct slice authorization, struct user_context **ret_user);

/** The sentence for the 401's detail, e.g. "The token has expired". */
const char *auth_result_text(int result);

/**
 * Makes a token for development and the CLI: {sub, user_id, username, roles, iat, exp, jti}.
 * @param roles comma-separated, may be empty.
 * @param ttl_s its lifetime in seconds.
 * @return 0 and a heap string; -EINVAL for a bad user or role name; -ENOMEM.
 */
int auth_mint(struct auth *a, struct slice user, struct slice roles, unsigned ttl_s,
	char **ret_token);
