/*
 * Authentication: a bearer token becomes a user context. The loop thread.
 *
 * The rules (RFC 7515, 7519 and 8725): at most 8 KiB, three base64url parts, a header with nothing
 * but alg, typ and kid, the algorithm of the key and no other, a signature, then claims that are
 * strict JSON with a numeric exp and a subject. Nothing of the claims is read before the signature
 * is good. token.c splits, key.c checks the signature, claims.c reads, user.c makes the context,
 * cache.c remembers.
 *
 * Clocks: exp, nbf and iat are judged by the wall clock with a leeway, a cached token also by the
 * monotonic clock: one that has run out stays refused when the wall clock is set back. A token
 * issued more than AUTH_IAT_AHEAD_S in the future is refused.
 */
#pragma once

#include "common/base/slice.h"

enum {
	/* Longest user_id, username in bytes. */
	AUTH_USER_BYTES_MAX = 256,
	AUTH_ROLES_MAX = 256,
	AUTH_ROLE_BYTES_MAX = 128,
	/* Longest `trusted` text: what MAX_REQUEST_BODY_BYTES leaves free in a frame. */
	AUTH_TRUSTED_MAX = 16384,
	AUTH_TOKEN_BYTES_MAX = 8192,
	AUTH_IAT_AHEAD_S = 300,
};

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
	struct slice session; /* claim sid of a token that we made; empty without one */
	int64_t issued_at;    /* seconds since 1970; 0 without iat */
	int64_t expires_at;
};

struct user_context *user_context_ref(struct user_context *u);
/** NULL is allowed. @return NULL. */
struct user_context *user_context_unref(struct user_context *u);

struct auth;

struct auth_config {
	struct slice app_id;
	struct slice jwt_secret;      /* HS256 key; local mode */
	struct slice superadmin_role; /* compared without case; empty: "superadmin" */
	unsigned leeway_s;            /* for exp and nbf: 30 */
	size_t token_bytes;           /* longest token: 8192, at most AUTH_TOKEN_BYTES_MAX */
	size_t cache_entries; /* verified tokens kept, the least used leaves: 10000; 0: none */
	/* The clocks; NULL: clock_unix_ms() and clock_ms(). Tests set them. */
	int64_t (*unix_ms)(void);
	uint64_t (*mono_ms)(void);
};

/** Fills in the defaults: leeway, sizes, cache. */
void auth_config_init(struct auth_config *config);

/**
 * @param config is copied, the secret into the key.
 * @return 0; -EINVAL for an empty secret, an app id that is no name or a limit out of range;
 *   -ENOMEM.
 */
int auth_new(struct auth **ret, const struct auth_config *config);
struct auth *auth_free(struct auth *a);

/* Why a token was refused. Positive outcomes of auth_verify(). */
enum auth_result {
	AUTH_OK = 0,
	AUTH_MISSING,   /* no bearer token */
	AUTH_MALFORMED, /* not three base64url parts of strict JSON, or too long */
	AUTH_ALGORITHM, /* not the algorithm of the key; "none" */
	AUTH_KEY,       /* a kid that is none of ours */
	AUTH_SIGNATURE,
	AUTH_CLAIMS, /* not a JSON object, no numeric exp, no subject, a claim of the wrong type
			     * or over its limit, an audience that is not this app */
	AUTH_EXPIRED,
	AUTH_NOT_YET_VALID, /* nbf, or an iat too far in the future */
	AUTH_REVOKED,       /* its session has ended */
};

/* Has this session ended? Asked each time a token with a session is used, also a cached one: it must
 * be a look-up in memory. */
typedef bool (*auth_revoked_fn)(void *arg, const struct user_context *user);

/** Asks `revoked` about tokens with a session (claim sid) from now on; NULL: nobody. */
void auth_set_session_hook(struct auth *a, auth_revoked_fn revoked, void *arg);

/**
 * Verifies the value of an Authorization header. A token that was verified before costs its SHA-256
 * and a table look-up.
 * @param authorization untrusted; "Bearer" in any case, a blank, the token.
 * @param ret_user a reference of the caller's own.
 * @return AUTH_*, or -ENOMEM.
 */
int auth_verify(struct auth *a, struct slice authorization, struct user_context **ret_user);

/** The sentence for the 401's detail, e.g. "The token has expired". */
const char *auth_result_text(int result);

struct mint_request;

/**
 * Makes a token of these claims (mint.h), issued now.
 * @return as auth_mint().
 */
int auth_mint_token(struct auth *a, const struct mint_request *request, char **ret_token);

/**
 * Makes a token for development and the CLI: {sub, user_id, username, roles, iat, exp, jti}.
 * @param user 1 to AUTH_USER_BYTES_MAX bytes of UTF-8 without control characters.
 * @param roles comma-separated names of the same kind (AUTH_ROLE_BYTES_MAX), may be empty.
 * @param ttl_s its lifetime in seconds, at least 1.
 * @return 0 and a heap string; -EINVAL for a bad user or role name or a token that would be longer
 *   than token_bytes; -ENOMEM; -EIO when the signature fails.
 */
int auth_mint(
	struct auth *a, struct slice user, struct slice roles, unsigned ttl_s, char **ret_token);
