#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/map.h"
#include "director/users/operation.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>

enum { RETRY_MS = 1000 };

/* ---- what auth asks ------------------------------------------------------------------------- */

static int judge(void *arg, const struct user_context *user)
{
	const struct users *u = arg;
	if (!u->known) {
		return AUTH_UNKNOWN;
	}
	if (revocations_has_user(&u->revocations, user->user_id)) {
		return AUTH_DISABLED;
	}
	return user->session.n > 0 && revocations_has_session(&u->revocations, user->session)
		? AUTH_REVOKED
		: AUTH_OK;
}

/* ---- loading -------------------------------------------------------------------------------- */

static void on_loaded(void *owner, const struct users_answer *answer)
{
	struct users *u = owner;
	bool loaded = answer->outcome == USERS_OK;
	u->loading = NULL;
	if (u->closing) {
		return;
	}
	if (!loaded) {
		log_event(u->told ? LOG_DEBUG : LOG_WARNING, "users.not_loaded",
			"which users are disabled and which sessions have ended cannot be read from the "
			"store: %s",
			answer->text == NULL ? "?" : answer->text);
	}
	u->told = !loaded;
	uint64_t ms = loaded ? u->config.poll_ms : RETRY_MS;
	if (ms > 0) {
		uvx_timer_once(&u->timer, ms);
	}
}

static void load(void *arg)
{
	struct users *u = arg;
	const struct users_request nothing = { 0 };
	u->loading = users_begin(u, &users_open_kind, &nothing, on_loaded, u);
	if (u->loading == NULL && !u->closing) {
		uvx_timer_once(&u->timer, RETRY_MS);
	}
}

/* The first step of each that has begun. */
static void start(void *arg)
{
	struct users *u = arg;
	struct operation *o;
	while ((o = u->starting) != NULL) {
		DL_DELETE(u->starting, o);
		DL_APPEND(u->ops, o);
		operation_tick(o);
	}
}

/* ---- life ----------------------------------------------------------------------------------- */

int users_new(struct users **ret, const struct users_config *config)
{
	struct users *u = calloc(1, sizeof(*u));
	if (u == NULL) {
		return -ENOMEM;
	}
	u->config = *config;
	const struct hasher_config hashing = {
		.loop = config->loop,
		.cost = config->cost,
		.threads = config->threads,
		.queue = config->queue,
	};
	int r = throttle_new(&u->throttle, &config->throttle);
	r = r < 0 ? r : hasher_new(&u->hasher, &hashing);
	if (r < 0) {
		(void)throttle_free(u->throttle);
		free(u);
		return r;
	}
	uvx_timer_init(&u->timer, config->loop, load, u);
	uvx_later_init(&u->later, config->loop, start, u);
	auth_set_session_hook(config->auth, judge, u);
	load(u);
	*ret = u;
	return 0;
}

static void on_part_closed(void *arg)
{
	struct users *u = arg;
	if (--u->closing_parts == 0) {
		u->on_closed(u->on_closed_arg);
	}
}

void users_close(struct users *u, void (*done)(void *arg), void *arg)
{
	u->on_closed = done;
	u->on_closed_arg = arg;
	/* What has begun but not started ends in its first wait. */
	start(u);
	u->closing = true;
	u->closing_parts = 3;
	uvx_timer_close(&u->timer, on_part_closed, u);
	uvx_later_close(&u->later, on_part_closed, u);
	hasher_close(u->hasher, on_part_closed, u);
}

struct users *users_free(struct users *u)
{
	if (u != NULL) {
		auth_set_session_hook(u->config.auth, NULL, NULL);
		revocations_deinit(&u->revocations);
		u->throttle = throttle_free(u->throttle);
		u->hasher = hasher_free(u->hasher);
		free(u);
	}
	return NULL;
}

bool users_ready(const struct users *u)
{
	return u->known;
}
