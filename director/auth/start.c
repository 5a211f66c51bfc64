#include "director/auth/start.h"

#include "common/base/log.h"
#include "director/auth/issuer.h"
#include "director/config/file.h"
#include "director/config/jwt_secret.h"
#include "director/director.h"
#include "director/fetch/fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

enum { CA_BYTES_MAX = 1024 * 1024 };

static int refuse(const char *id, const char *text)
{
	log_event(LOG_ERROR, id, "%s", text);
	return -1;
}

static struct auth_config config_of(const struct director *d)
{
	const struct settings *s = d->settings;
	struct auth_config c;
	auth_config_init(&c);
	c.app_id = d->app_id;
	c.algorithm = slice_str(s->jwt_algorithm);
	c.short_secret_allowed = s->environment == ENV_DEVELOPMENT;
	c.superadmin_role = slice_str(s->superadmin_role);
	c.superadmin_claim = slice_str(s->superadmin_claim);
	c.leeway_s = (unsigned)(s->leeway_ms / 1000);
	c.cache_entries = s->token_cache_entries;
	c.external = s->auth_mode != AUTH_MODE_LOCAL;
	c.issuer = slice_str(s->issuer);
	c.audiences = slice_str(s->audience);
	c.scope = slice_str(s->scope);
	c.user_id_claim = slice_str(s->user_id_claim);
	c.username_claim = slice_str(s->username_claim);
	c.email_claim = slice_str(s->email_claim);
	c.roles_claim = slice_str(s->roles_claim);
	c.role_clients = slice_str(s->roles_clients);
	c.exchange = s->token_exchange;
	c.app_token_s = (unsigned)s->app_token_minutes * 60;
	return c;
}

static int make_auth(struct director *d, struct auth_config *c, const char *secret)
{
	c->jwt_secret = slice_str(secret);
	int r = auth_new(&d->auth, c);
	if (r == -EINVAL) {
		return refuse("auth.failed",
			"MOZAIKS_SUPERADMIN_ROLE, MOZAIKS_AUDIENCE and MOZAIKS_ROLES_CLIENTS must be "
			"1 to 16 names, separated by commas");
	}
	return r < 0 ? refuse("auth.failed", strerror(-r)) : 0;
}

/* With the secret that is configured, or with the one that is kept for development. */
static int open_tokens(struct director *d, int state_fd, const char *state_path)
{
	char why[JWT_SECRET_WHY_SIZE];
	char *kept = NULL;
	struct auth_config c = config_of(d);
	if (c.external && !c.exchange) {
		return make_auth(d, &c, NULL);
	}
	if (d->settings->jwt_secret == NULL &&
		jwt_secret_keep(state_fd, state_path, &kept, why) < 0) {
		return refuse("jwt_secret.unusable", why);
	}
	int r = make_auth(d, &c, kept != NULL ? kept : d->settings->jwt_secret);
	if (kept != NULL) {
		explicit_bzero(kept, slice_str(kept).n);
		free(kept);
	}
	return r;
}

static struct issuer_config issuer_config_of(struct director *d, struct slice ca)
{
	const struct settings *s = d->settings;
	return (struct issuer_config){
		.loop = d->loop,
		.fetcher = d->fetcher,
		.auth = d->auth,
		.name = s->issuer,
		.discovery_url = s->discovery_url,
		.jwks_url = s->jwks_url,
		.ca = ca,
		.http_allowed = s->environment == ENV_DEVELOPMENT,
		.rules = { .keys_max = s->jwks_keys },
		.bytes_max = s->jwks_bytes,
		.timeout_ms = (unsigned)s->issuer_ms,
		.refresh_ms = s->jwks_refresh_ms,
		.stale_ms = s->jwks_stale_ms,
		.refetch_ms = s->jwks_refetch_ms,
	};
}

static int open_issuer(struct director *d, struct slice ca)
{
	char why[ISSUER_WHY_SIZE];
	struct issuer_config c = issuer_config_of(d, ca);
	if (!algorithm_list_parse(slice_str(d->settings->jwt_algorithms), &c.rules.algorithms)) {
		return refuse("auth.failed",
			"MOZAIKS_JWT_ALGORITHMS must be different ones of RS256, RS384, RS512, PS256, "
			"PS384, PS512, ES256, ES384, ES512 and EdDSA, separated by commas");
	}
	return issuer_open(&d->issuer, &c, why) < 0 ? refuse("auth.failed", why) : 0;
}

static int read_ca(const char *path, struct buffer *ret)
{
	char text[512];
	int r = path == NULL ? 0 : file_read(AT_FDCWD, path, ret);
	if (r < 0) {
		(void)snprintf(text, sizeof(text),
			"MOZAIKS_ISSUER_CA_FILE=%.300s cannot be read: %s", path,
			r == -ENOBUFS ? "longer than 1 MiB" : strerror(-r));
		return refuse("auth.failed", text);
	}
	return 0;
}

int auth_open(struct director *d, int state_fd, const char *state_path)
{
	struct buffer ca;
	int r = open_tokens(d, state_fd, state_path);
	if (r < 0 || d->settings->auth_mode == AUTH_MODE_LOCAL) {
		return r;
	}
	if (fetcher_new(&d->fetcher, d->loop) < 0) {
		return refuse("auth.failed", "no memory");
	}
	buffer_init(&ca, CA_BYTES_MAX);
	r = read_ca(d->settings->issuer_ca_file, &ca);
	r = r < 0 ? r : open_issuer(d, buffer_slice(&ca));
	buffer_deinit(&ca);
	return r;
}

static void close_fetcher(void *arg)
{
	struct director *d = arg;
	fetcher_close(d->fetcher, d->auth_closed, d->auth_closed_arg);
}

void auth_close(struct director *d, uvx_closed_fn closed, void *arg)
{
	if (d->issuer == NULL) {
		closed(arg);
		return;
	}
	d->auth_closed = closed;
	d->auth_closed_arg = arg;
	issuer_close(d->issuer, close_fetcher, d);
}

void auth_close_end(struct director *d)
{
	d->issuer = issuer_free(d->issuer);
	d->fetcher = fetcher_free(d->fetcher);
	d->auth = auth_free(d->auth);
}
