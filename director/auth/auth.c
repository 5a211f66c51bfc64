#include "director/auth/auth.h"

#include "common/base/buffer.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "director/auth/cache.h"
#include "director/auth/claims.h"
#include "director/auth/key.h"
#include "director/auth/mint.h"
#include "director/auth/user.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>

_Static_assert((int)AUTH_TOKEN_BYTES_MAX == (int)TOKEN_BYTES_MAX, "one limit");

struct auth {
	struct key_set keys;
	struct token_cache cache;
	struct claims_policy policy;
	char *app_id;
	char *superadmin_role;
	int64_t leeway_ms;
	size_t token_bytes;
	int64_t (*unix_ms)(void);
	uint64_t (*mono_ms)(void);
	auth_revoked_fn revoked; /* may be NULL */
	void *revoked_arg;
	EVP_MD *sha256;
	EVP_MD_CTX *digest; /* reused: a context per token costs as much as the hash */
};

void auth_config_init(struct auth_config *config)
{
	*config = (struct auth_config){
		.leeway_s = 30,
		.token_bytes = AUTH_TOKEN_BYTES_MAX,
		.cache_entries = 10000,
		.unix_ms = clock_unix_ms,
		.mono_ms = clock_ms,
	};
}

static int auth_init(struct auth *a, const struct auth_config *config)
{
	a->app_id = slice_dup(config->app_id);
	a->superadmin_role = slice_dup(
		config->superadmin_role.n > 0 ? config->superadmin_role : SLICE("superadmin"));
	a->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	a->digest = EVP_MD_CTX_new();
	if (a->app_id == NULL || a->superadmin_role == NULL || a->sha256 == NULL ||
		a->digest == NULL) {
		return -ENOMEM;
	}
	a->policy = (struct claims_policy){ slice_str(a->app_id), slice_str(a->superadmin_role) };
	token_cache_init(&a->cache, config->cache_entries);
	a->leeway_ms = (int64_t)config->leeway_s * 1000;
	a->token_bytes = config->token_bytes;
	a->unix_ms = config->unix_ms == NULL ? clock_unix_ms : config->unix_ms;
	a->mono_ms = config->mono_ms == NULL ? clock_ms : config->mono_ms;
	return key_set_add_secret(&a->keys, SLICE("HS256"), SLICE_NULL, config->jwt_secret);
}

int auth_new(struct auth **ret, const struct auth_config *config)
{
	if (!slice_is_name(config->app_id, 64) || config->jwt_secret.n == 0 ||
		config->token_bytes == 0 || config->token_bytes > AUTH_TOKEN_BYTES_MAX) {
		return -EINVAL;
	}
	struct auth *a = calloc(1, sizeof(*a));
	if (a == NULL) {
		return -ENOMEM;
	}
	int r = auth_init(a, config);
	if (r < 0) {
		(void)auth_free(a);
		return r;
	}
	*ret = a;
	return 0;
}

struct auth *auth_free(struct auth *a)
{
	if (a == NULL) {
		return NULL;
	}
	token_cache_deinit(&a->cache);
	key_set_deinit(&a->keys);
	EVP_MD_CTX_free(a->digest);
	EVP_MD_free(a->sha256);
	free(a->app_id);
	free(a->superadmin_role);
	free(a);
	return NULL;
}

/* RFC 9110, 11.4 and RFC 6750, 2.1: the scheme in any case, blanks, one token. */
static struct slice bearer(struct slice authorization)
{
	struct slice scheme = SLICE("Bearer ");
	if (authorization.n < scheme.n ||
		!slice_eq_nocase(slice_of(authorization.p, scheme.n), scheme)) {
		return SLICE_NULL;
	}
	struct slice rest = slice_skip(authorization, scheme.n);
	while (rest.n > 0 && rest.p[0] == ' ') {
		rest = slice_skip(rest, 1);
	}
	return rest;
}

static int hash(struct auth *a, struct slice token, uint8_t out[static TOKEN_DIGEST_SIZE])
{
	if (EVP_DigestInit_ex2(a->digest, a->sha256, NULL) != 1 ||
		EVP_DigestUpdate(a->digest, token.p, token.n) != 1 ||
		EVP_DigestFinal_ex(a->digest, out, NULL) != 1) {
		/* It takes memory at each start and cannot fail otherwise. */
		return -ENOMEM;
	}
	return 0;
}

static int judge(const struct token_window *w, int64_t now)
{
	if (now >= w->until_ms) {
		return AUTH_EXPIRED;
	}
	return now < w->from_ms ? AUTH_NOT_YET_VALID : AUTH_OK;
}

/* Once the monotonic clock says that a token has run out, its entry stays behind without a user
 * until it is pushed out, so that setting the wall clock back does not revive it. */
static int verify_cached(struct auth *a, struct token_entry *e, struct user_context **ret_user)
{
	if (e->user != NULL && a->mono_ms() >= e->window.end_ms) {
		e->user = user_context_unref(e->user);
	}
	if (e->user == NULL) {
		return AUTH_EXPIRED;
	}
	int r = judge(&e->window, a->unix_ms());
	if (r == AUTH_OK) {
		*ret_user = user_context_ref(e->user);
	}
	return r;
}

/* One row per outcome of the steps below auth. */
static int token_outcome(enum token_result r)
{
	return r == TOKEN_OK ? AUTH_OK : AUTH_MALFORMED;
}

static int key_outcome(int r)
{
	switch (r) {
	case KEY_OK:
		return AUTH_OK;
	case KEY_E_ALGORITHM:
		return AUTH_ALGORITHM;
	case KEY_E_UNKNOWN:
		return AUTH_KEY;
	case KEY_E_SIGNATURE:
		return AUTH_SIGNATURE;
	default:
		return r;
	}
}

static int make_user(struct auth *a, const struct claims *c, struct user_context **ret_user)
{
	struct user_identity identity = {
		.app_id = a->policy.app_id,
		.user_id = c->user_id,
		.username = c->username,
		.roles = c->roles,
		.n_roles = c->n_roles,
		.is_superadmin = c->is_superadmin,
		.session = c->session,
		.issued_at = c->iat_ms / 1000,
		.expires_at = c->exp_ms / 1000,
	};
	int r = user_context_new(ret_user, &identity);
	return r == -ENOBUFS ? AUTH_CLAIMS : r;
}

static int verify_claims(struct auth *a,
	struct slice payload,
	struct token_window *ret_window,
	struct user_context **ret_user)
{
	struct claims c;
	int r = claims_parse(payload, &a->policy, &c);
	if (r != AUTH_OK) {
		return r;
	}
	int64_t now = a->unix_ms();
	int64_t after_nbf = c.nbf_ms - a->leeway_ms;
	int64_t after_iat = c.iat_ms - AUTH_IAT_AHEAD_S * INT64_C(1000);
	struct token_window w = {
		.from_ms = after_nbf > after_iat ? after_nbf : after_iat,
		.until_ms = c.exp_ms + a->leeway_ms,
	};
	r = judge(&w, now);
	if (r == AUTH_OK) {
		w.end_ms = a->mono_ms() + (uint64_t)(w.until_ms - now);
		r = make_user(a, &c, ret_user);
		*ret_window = w;
	}
	claims_deinit(&c);
	return r;
}

static int verify_new(struct auth *a,
	struct slice compact,
	struct token_window *ret_window,
	struct user_context **ret_user)
{
	struct token t;
	int r = token_outcome(token_parse(compact, &t));
	if (r == AUTH_OK) {
		r = key_outcome(key_set_verify(&a->keys, &t));
	}
	return r == AUTH_OK ? verify_claims(a, t.payload, ret_window, ret_user) : r;
}

void auth_set_session_hook(struct auth *a, auth_revoked_fn revoked, void *arg)
{
	a->revoked = revoked;
	a->revoked_arg = arg;
}

/* The session of a good token may have ended. Takes the caller's reference when it has. */
static int check_session(struct auth *a, int result, struct user_context **user)
{
	if (result != AUTH_OK || (*user)->session.n == 0 || a->revoked == NULL ||
		!a->revoked(a->revoked_arg, *user)) {
		return result;
	}
	*user = user_context_unref(*user);
	return AUTH_REVOKED;
}

int auth_verify(struct auth *a, struct slice authorization, struct user_context **ret_user)
{
	struct slice compact = bearer(authorization);
	if (compact.n == 0) {
		return AUTH_MISSING;
	}
	if (compact.n > a->token_bytes) {
		return AUTH_MALFORMED;
	}
	uint8_t digest[TOKEN_DIGEST_SIZE];
	int r = hash(a, compact, digest);
	if (r < 0) {
		return r;
	}
	struct token_entry *e = token_cache_find(&a->cache, digest);
	if (e != NULL) {
		r = verify_cached(a, e, ret_user);
		return check_session(a, r, ret_user);
	}
	struct token_window window;
	struct user_context *user = NULL;
	r = verify_new(a, compact, &window, &user);
	if (r != AUTH_OK) {
		return r;
	}
	token_cache_put(&a->cache, digest, &window, user);
	*ret_user = user;
	return check_session(a, AUTH_OK, ret_user);
}

int auth_mint(
	struct auth *a, struct slice user, struct slice roles, unsigned ttl_s, char **ret_token)
{
	const struct mint_request request = { .user = user, .roles = roles, .ttl_s = ttl_s };
	return auth_mint_token(a, &request, ret_token);
}

int auth_mint_token(struct auth *a, const struct mint_request *request, char **ret_token)
{
	struct mint_request now = *request;
	struct buffer claims;
	char *token = NULL;
	now.now_s = a->unix_ms() / 1000;
	buffer_init(&claims, AUTH_TOKEN_BYTES_MAX);
	int r = mint_claims(&claims, &now);
	r = r < 0 ? r : key_set_sign(&a->keys, buffer_slice(&claims), &token);
	buffer_deinit(&claims);
	if (r == 0 && slice_str(token).n > a->token_bytes) {
		free(token);
		return -EINVAL;
	}
	if (r == 0) {
		*ret_token = token;
	}
	return r == -ENOBUFS ? -EINVAL : r;
}

const char *auth_result_text(int result)
{
	static const char *const texts[] = {
		[AUTH_OK] = "The token is valid",
		[AUTH_MISSING] = "Not authenticated: no bearer token",
		[AUTH_MALFORMED] = "The token is malformed",
		[AUTH_ALGORITHM] = "The token is not signed with the expected algorithm",
		[AUTH_KEY] = "The token names a key that is not known here",
		[AUTH_SIGNATURE] = "The signature of the token is wrong",
		[AUTH_CLAIMS] = "The token has a missing or invalid claim",
		[AUTH_EXPIRED] = "The token has expired",
		[AUTH_NOT_YET_VALID] = "The token is not valid yet",
		[AUTH_REVOKED] = "The session of the token has ended",
	};
	if (result < 0 || (size_t)result >= sizeof(texts) / sizeof(texts[0])) {
		return "The token could not be checked";
	}
	return texts[result];
}
