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

enum { APP_TOKEN_S = 900 };

struct auth {
	struct key_set own;
	struct key_set issuer;
	uint32_t last_serial;
	struct token_cache cache;
	struct claims_policy own_policy;
	struct claims_policy issuer_policy;
	char *texts; /* what the policies point into */
	char *issuer_name;
	bool external;
	bool exchange;
	unsigned app_token_s;
	int64_t leeway_ms;
	size_t token_bytes;
	int64_t (*unix_ms)(void);
	uint64_t (*mono_ms)(void);
	auth_judge_fn judge; /* may be NULL */
	void *judge_arg;
	auth_missing_fn missing; /* may be NULL */
	void *missing_arg;
	EVP_MD *sha256;
	EVP_MD_CTX *digest; /* reused: a context per token costs as much as the hash */
};

void auth_config_init(struct auth_config *config)
{
	*config = (struct auth_config){
		.algorithm = SLICE("HS256"),
		.leeway_s = 30,
		.token_bytes = AUTH_TOKEN_BYTES_MAX,
		.cache_entries = 10000,
		.app_token_s = APP_TOKEN_S,
		.unix_ms = clock_unix_ms,
		.mono_ms = clock_ms,
	};
}

/* The policies' texts, in one block; `texts` are the places to point into it. */
static int copy_texts(struct auth *a, struct slice *const *texts, size_t n)
{
	size_t bytes = 1;
	for (size_t i = 0; i < n; i++) {
		bytes += texts[i]->n;
	}
	a->texts = malloc(bytes);
	size_t used = 0;
	for (size_t i = 0; a->texts != NULL && i < n; i++) {
		if (texts[i]->n > 0) {
			memcpy(a->texts + used, texts[i]->p, texts[i]->n);
		}
		*texts[i] = slice_of(a->texts + used, texts[i]->n);
		used += texts[i]->n;
	}
	return a->texts == NULL ? -ENOMEM : 0;
}

static int make_policies(struct auth *a, const struct auth_config *config)
{
	struct auth_config c = *config;
	c.superadmin_role = c.superadmin_role.n > 0 ? c.superadmin_role : SLICE("superadmin");
	c.role_clients = c.role_clients.n > 0 ? c.role_clients : c.audiences;
	struct slice *const texts[] = { &c.app_id, &c.superadmin_role, &c.superadmin_claim,
		&c.issuer, &c.audiences, &c.scope, &c.user_id_claim, &c.username_claim,
		&c.email_claim, &c.roles_claim, &c.role_clients };
	int r = copy_texts(a, texts, sizeof(texts) / sizeof(texts[0]));
	if (r < 0) {
		return r;
	}
	struct claims_policy *own = &a->own_policy;
	struct claims_policy *external = &a->issuer_policy;
	*own = (struct claims_policy){
		.app_id = c.app_id,
		.audiences = { .items = { c.app_id }, .n = 1 },
		.audience_required = c.exchange,
		.use_required = c.exchange,
	};
	*external = (struct claims_policy){
		.app_id = c.app_id,
		.audience_required = true,
		.issuer = c.issuer,
		.scope = c.scope,
		.user_id_claim = c.user_id_claim,
		.username_claim = c.username_claim,
		.email_claim = c.email_claim,
		.roles_claim = c.roles_claim,
		.superadmin_claim = c.superadmin_claim,
		.from_issuer = true,
	};
	bool split = claims_names_split(c.superadmin_role, &own->superadmin_roles) &&
		claims_names_split(c.audiences, &external->audiences) &&
		claims_names_split(c.role_clients, &external->role_clients);
	external->superadmin_roles = own->superadmin_roles;
	return split ? 0 : -EINVAL;
}

static int add_own_key(struct auth *a, const struct auth_config *config)
{
	if (config->jwt_secret.n == 0) {
		return 0;
	}
	int r = key_set_add_secret(&a->own, algorithm_find(config->algorithm, SLICE_NULL),
		SLICE_NULL, config->jwt_secret, config->short_secret_allowed);
	if (r == 0) {
		key_set_number(&a->own, NULL, &a->last_serial);
	}
	return r;
}

static int auth_init(struct auth *a, const struct auth_config *config)
{
	a->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	a->digest = EVP_MD_CTX_new();
	if (a->sha256 == NULL || a->digest == NULL) {
		return -ENOMEM;
	}
	token_cache_init(&a->cache, config->cache_entries);
	a->external = config->external;
	a->exchange = config->exchange;
	a->app_token_s = config->app_token_s;
	a->leeway_ms = (int64_t)config->leeway_s * 1000;
	a->token_bytes = config->token_bytes;
	a->unix_ms = config->unix_ms == NULL ? clock_unix_ms : config->unix_ms;
	a->mono_ms = config->mono_ms == NULL ? clock_ms : config->mono_ms;
	int r = make_policies(a, config);
	return r < 0 ? r : add_own_key(a, config);
}

int auth_new(struct auth **ret, const struct auth_config *config)
{
	bool needs_secret = !config->external || config->exchange;
	if (!slice_is_name(config->app_id, 64) || (config->jwt_secret.n == 0) == needs_secret ||
		(config->exchange && !config->external) || config->token_bytes == 0 ||
		config->token_bytes > AUTH_TOKEN_BYTES_MAX) {
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
	key_set_deinit(&a->own);
	key_set_deinit(&a->issuer);
	EVP_MD_CTX_free(a->digest);
	EVP_MD_free(a->sha256);
	free(a->texts);
	free(a->issuer_name);
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

/* What a new token turned out to be. */
struct finding {
	bool external;
	uint32_t serial; /* of its key */
	struct token_window window;
	struct user_context *user;
};

static int make_user(const struct claims_policy *p, const struct claims *c, struct finding *f)
{
	struct user_identity identity = {
		.app_id = p->app_id,
		.user_id = c->user_id,
		.username = c->username,
		.roles = c->roles,
		.n_roles = c->n_roles,
		.is_superadmin = c->is_superadmin,
		/* An issuer's sessions are its own business. */
		.session = f->external ? SLICE_NULL : c->session,
		.email = c->email,
		.external = f->external,
		.key_serial = f->serial,
		.issued_at = c->iat_ms / 1000,
		.expires_at = c->exp_ms / 1000,
	};
	int r = user_context_new(&f->user, &identity);
	return r == -ENOBUFS ? AUTH_CLAIMS : r;
}

static int verify_claims(struct auth *a, struct slice payload, struct finding *f)
{
	struct claims c;
	const struct claims_policy *policy = f->external ? &a->issuer_policy : &a->own_policy;
	int r = claims_parse(payload, policy, &c);
	if (r != AUTH_OK) {
		return r;
	}
	int64_t now = a->unix_ms();
	int64_t after_nbf = c.nbf_ms - a->leeway_ms;
	int64_t after_iat = c.iat_ms - AUTH_IAT_AHEAD_S * INT64_C(1000);
	f->window = (struct token_window){
		.from_ms = after_nbf > after_iat ? after_nbf : after_iat,
		.until_ms = c.exp_ms + a->leeway_ms,
	};
	r = judge(&f->window, now);
	if (r == AUTH_OK) {
		f->window.end_ms = a->mono_ms() + (uint64_t)(f->window.until_ms - now);
		r = make_user(policy, &c, f);
	}
	claims_deinit(&c);
	return r;
}

/* The issuer's key is not there: perhaps not yet. */
static int missing_key(struct auth *a, const struct token *t)
{
	bool comes = a->missing != NULL && a->missing(a->missing_arg, t->kid);
	return comes ? AUTH_NO_KEYS : AUTH_KEY;
}

/* SECURITY: the family decides whose keys are looked at, so that an issuer's public key is never the
 * secret of an HMAC (RFC 8725, 2.1). */
static int verify_signature(struct auth *a, const struct token *t, struct finding *f)
{
	const struct algorithm *algorithm = algorithm_find(t->alg, SLICE_NULL);
	f->external = a->external && algorithm != NULL && algorithm->family != ALGORITHM_HMAC;
	const struct key_set *keys = f->external ? &a->issuer : &a->own;
	int r = key_set_verify(keys, t, &f->serial);
	if (f->external && (r == KEY_E_UNKNOWN || (keys->n == 0 && r > 0))) {
		return missing_key(a, t);
	}
	return key_outcome(r);
}

static int verify_new(struct auth *a, struct slice compact, struct finding *f)
{
	struct token t;
	int r = token_outcome(token_parse(compact, &t));
	r = r == AUTH_OK ? verify_signature(a, &t, f) : r;
	return r == AUTH_OK ? verify_claims(a, t.payload, f) : r;
}

void auth_set_session_hook(struct auth *a, auth_judge_fn judge_token, void *arg)
{
	a->judge = judge_token;
	a->judge_arg = arg;
}

static bool key_is_known(const void *arg, uint32_t serial)
{
	const struct auth *a = arg;
	return key_set_has_serial(&a->own, serial) || key_set_has_serial(&a->issuer, serial);
}

int auth_ask_again(struct auth *a, const struct user_context *user)
{
	if (a->unix_ms() >= user->expires_at * 1000 + a->leeway_ms) {
		return AUTH_EXPIRED;
	}
	if (!key_is_known(a, user->key_serial)) {
		return AUTH_KEY;
	}
	return a->judge == NULL ? AUTH_OK : a->judge(a->judge_arg, user);
}

/* A good token may be good no longer: its session has ended, its user is disabled. Takes the caller's
 * reference then. */
static int check_session(struct auth *a, int result, struct user_context **user)
{
	if (result == AUTH_OK && a->judge != NULL) {
		result = a->judge(a->judge_arg, *user);
		if (result != AUTH_OK) {
			*user = user_context_unref(*user);
		}
	}
	return result;
}

int auth_verify_any(struct auth *a, struct slice authorization, struct user_context **ret_user)
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
	struct finding found = { .user = NULL };
	r = verify_new(a, compact, &found);
	if (r != AUTH_OK) {
		return r;
	}
	token_cache_put(&a->cache, digest, &found.window, found.serial, found.user);
	*ret_user = found.user;
	return check_session(a, AUTH_OK, ret_user);
}

int auth_verify(struct auth *a, struct slice authorization, struct user_context **ret_user)
{
	struct user_context *user = NULL;
	int r = auth_verify_any(a, authorization, &user);
	if (r == AUTH_OK && a->exchange && user->external) {
		(void)user_context_unref(user);
		return AUTH_EXCHANGE;
	}
	if (r == AUTH_OK) {
		*ret_user = user;
	}
	return r;
}

void auth_set_missing_hook(struct auth *a, auth_missing_fn missing, void *arg)
{
	a->missing = missing;
	a->missing_arg = arg;
}

size_t auth_install_keys(struct auth *a, struct key_set *fresh)
{
	key_set_number(fresh, &a->issuer, &a->last_serial);
	key_set_deinit(&a->issuer);
	a->issuer = *fresh;
	*fresh = KEY_SET_NULL;
	return token_cache_retain(&a->cache, key_is_known, a);
}

int auth_set_issuer(struct auth *a, struct slice issuer)
{
	char *name = slice_dup(issuer);
	if (name == NULL) {
		return -ENOMEM;
	}
	free(a->issuer_name);
	a->issuer_name = name;
	a->issuer_policy.issuer = slice_str(name);
	return 0;
}

bool auth_has_keys(const struct auth *a)
{
	return !a->external || a->issuer.n > 0;
}

bool auth_can_mint(const struct auth *a)
{
	return a->own.n > 0;
}

int auth_exchange(struct auth *a,
	const struct user_context *user,
	char **ret_token,
	unsigned *ret_expires_in_s)
{
	int64_t left = user->expires_at - a->unix_ms() / 1000;
	if (!a->exchange) {
		return -EINVAL;
	}
	if (left < 1) {
		return AUTH_EXPIRED;
	}
	const struct mint_request request = {
		.user = user->user_id,
		.username = user->username,
		.roles_json = user->roles_json,
		.use = SLICE("app"),
		.audience = a->own_policy.app_id,
		.is_superadmin = user->is_superadmin,
		.ttl_s = left < a->app_token_s ? (unsigned)left : a->app_token_s,
	};
	*ret_expires_in_s = request.ttl_s;
	return auth_mint_token(a, &request, ret_token);
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
	if (!auth_can_mint(a)) {
		return -EINVAL;
	}
	if (a->exchange) {
		/* The only ones of ours that are taken. */
		now.use = SLICE("app");
		now.audience = a->own_policy.app_id;
	}
	now.now_s = a->unix_ms() / 1000;
	buffer_init(&claims, AUTH_TOKEN_BYTES_MAX);
	int r = mint_claims(&claims, &now);
	r = r < 0 ? r : key_set_sign(&a->own, buffer_slice(&claims), &token);
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
		[AUTH_DISABLED] = "Inactive user",
		[AUTH_UNKNOWN] = "Sessions are not known yet: the store has not answered",
		[AUTH_ISSUER] = "The token is from another issuer",
		[AUTH_AUDIENCE] = "The token is meant for another audience",
		[AUTH_SCOPE] = "The token lacks the scope that is required here",
		[AUTH_TYPE] = "The token is not an access token",
		[AUTH_EXCHANGE] = "Token exchange required",
		[AUTH_NO_KEYS] = "The keys of the token's issuer are not known yet; try again",
	};
	if (result < 0 || (size_t)result >= sizeof(texts) / sizeof(texts[0])) {
		return "The token could not be checked";
	}
	return texts[result];
}
