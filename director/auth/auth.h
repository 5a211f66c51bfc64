/*
 * Authentication: a bearer token becomes a user context. The loop thread.
 *
 * The rules (RFC 7515, 7519 and 8725): at most 8 KiB, three base64url parts, a header with nothing
 * but alg, typ and kid, the algorithm of the key and no other, a signature, then claims that are
 * strict JSON with a numeric exp and a subject. Nothing of the claims is read before the signature
 * is good. token.c splits, key.c checks the signature, claims.c reads, user.c makes the context,
 * cache.c remembers.
 *
 * Two kinds of tokens: our own, with a secret (local mode; app tokens after an exchange), and those
 * of an issuer, with its published keys (external mode), which issuer.c fetches. Which it is follows
 * from the algorithm's family, and each kind has its own keys and its own rules for claims.
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
	AUTH_EMAIL_BYTES_MAX = 320,
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
	struct slice email;   /* of an issuer's token; empty without one, or when not verified */
	bool external;        /* the issuer's token, not one of ours */
	uint32_t key_serial;  /* of the key that the token was checked with */
	int64_t issued_at;    /* seconds since 1970; 0 without iat */
	int64_t expires_at;
};

struct user_context *user_context_ref(struct user_context *u);
/** NULL is allowed. @return NULL. */
struct user_context *user_context_unref(struct user_context *u);

struct auth;

struct key_set;

/* Texts are copied. */
struct auth_config {
	struct slice app_id;
	struct slice jwt_secret;   /* of our own tokens; empty: there are none */
	struct slice algorithm;    /* of our own tokens: HS256, HS384, HS512 */
	bool short_secret_allowed; /* shorter than the algorithm's digest: development */
	struct slice
		superadmin_role; /* or several with commas; without case; empty: "superadmin" */
	struct slice superadmin_claim; /* empty: is_superadmin */
	unsigned leeway_s;             /* for exp and nbf: 30 */
	size_t token_bytes;            /* longest token: 8192, at most AUTH_TOKEN_BYTES_MAX */
	size_t cache_entries; /* verified tokens kept, the least used leaves: 10000; 0: none */

	/* Tokens of an issuer; claims.h has the rules. */
	bool external;
	struct slice issuer;    /* empty: not compared */
	struct slice audiences; /* with commas; empty: not compared */
	struct slice scope;
	struct slice user_id_claim;
	struct slice username_claim;
	struct slice email_claim;
	struct slice roles_claim;
	struct slice role_clients; /* with commas; empty: the audiences */

	/* The issuer's tokens are only good for an app token, which we make. */
	bool exchange;
	unsigned app_token_s; /* its longest life: 900 */

	/* The clocks; NULL: clock_unix_ms() and clock_ms(). Tests set them. */
	int64_t (*unix_ms)(void);
	uint64_t (*mono_ms)(void);
};

/** Fills in the defaults: leeway, sizes, cache. */
void auth_config_init(struct auth_config *config);

/**
 * @return 0; -EINVAL for a secret that is missing or too short, an app id that is no name, an unknown
 *   algorithm, an empty name in a list or a limit out of range; -ENOMEM.
 */
int auth_new(struct auth **ret, const struct auth_config *config);
struct auth *auth_free(struct auth *a);

/* Why a token was refused. Positive outcomes of auth_verify(). */
enum auth_result {
	AUTH_OK = 0,
	AUTH_MISSING,   /* no bearer token */
	AUTH_MALFORMED, /* not three base64url parts of strict JSON, or too long */
	AUTH_ALGORITHM, /* not the algorithm of the key; "none" */
	AUTH_KEY,       /* a kid that is none of ours, or none where there are several keys */
	AUTH_SIGNATURE,
	AUTH_CLAIMS, /* no numeric exp, no subject, a claim of the wrong type or over its limit */
	AUTH_EXPIRED,
	AUTH_NOT_YET_VALID, /* nbf, or an iat too far in the future */
	AUTH_REVOKED,       /* its session has ended */
	AUTH_DISABLED,      /* its user is disabled */
	AUTH_UNKNOWN,       /* whether it is still good is not known (yet) */
	AUTH_ISSUER,        /* another issuer's */
	AUTH_AUDIENCE,      /* for somebody else */
	AUTH_SCOPE,         /* without the scope that is required */
	AUTH_TYPE,          /* not an access token */
	AUTH_EXCHANGE,      /* the issuer's, where only app tokens are taken */
	AUTH_NO_KEYS,       /* the issuer's keys are not known (yet): no fault of the token */
};

/*
 * Is a good token still good? Asked each time that one is used, also a cached one: it must be a look-up in
 * memory.
 * @return AUTH_OK, AUTH_REVOKED, AUTH_DISABLED or AUTH_UNKNOWN.
 */
typedef int (*auth_judge_fn)(void *arg, const struct user_context *user);

/** Asks `judge` about every token from now on; NULL: nobody. */
void auth_set_session_hook(struct auth *a, auth_judge_fn judge, void *arg);

/** Asks again about the user of a long connection. @return as auth_judge_fn, AUTH_EXPIRED, or AUTH_KEY
 * when the key of its token is gone. */
int auth_ask_again(struct auth *a, const struct user_context *user);

/**
 * Verifies the value of an Authorization header. A token that was verified before costs its SHA-256
 * and a table look-up.
 * @param authorization untrusted; "Bearer" in any case, a blank, the token.
 * @param ret_user a reference of the caller's own.
 * @return AUTH_*, or -ENOMEM.
 */
int auth_verify(struct auth *a, struct slice authorization, struct user_context **ret_user);

/** The same, but takes an issuer's token also where it has to be exchanged first: for the exchange. */
int auth_verify_any(struct auth *a, struct slice authorization, struct user_context **ret_user);

/** How long a client waits before it asks again after AUTH_NO_KEYS, in seconds. */
enum { AUTH_NO_KEYS_RETRY_S = 2 };

/* ---- An issuer's keys ---- */

/* A key that is missing: an unknown kid, or no key at all. @return whether it may come soon. */
typedef bool (*auth_missing_fn)(void *arg, struct slice kid);

void auth_set_missing_hook(struct auth *a, auth_missing_fn missing, void *arg);

/**
 * Replaces the issuer's keys. Tokens that were checked with a key that is gone are forgotten.
 * @param fresh is taken over; empty: no token of the issuer is good.
 * @return how many tokens were forgotten.
 */
size_t auth_install_keys(struct auth *a, struct key_set *fresh);

/** The issuer's name, when it was not configured but discovered. @return 0, -ENOMEM. */
int auth_set_issuer(struct auth *a, struct slice issuer);

/** Does the issuer have keys here? True without an issuer. */
bool auth_has_keys(const struct auth *a);

/* ---- Making tokens ---- */

/** False in external mode without an exchange: there is no secret. */
bool auth_can_mint(const struct auth *a);

/**
 * An app token in exchange for an issuer's: the same user and roles, {mozaiks_token_use: "app", aud},
 * no longer valid than the one given.
 * @param ret_expires_in_s its lifetime.
 * @return 0 and a heap string; AUTH_EXPIRED; -EINVAL when there is no exchange or the token would be
 *   too long; -ENOMEM; -EIO.
 */
int auth_exchange(struct auth *a,
	const struct user_context *user,
	char **ret_token,
	unsigned *ret_expires_in_s);

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
