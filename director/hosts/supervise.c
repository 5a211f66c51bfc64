#include "director/hosts/supervise.h"

#include "common/base/error.h"
#include "common/base/log.h"
#include "director/director.h"
#include "director/hosts/control.h"
#include "director/hosts/worker.h"

#include <stdio.h>
#include <stdlib.h>

static uint64_t now_ms(const struct plugin *p)
{
	return uv_now(p->director->loop);
}

static const struct breaker_policy *breaker_policy(const struct plugin *p)
{
	return &p->director->settings->breaker;
}

static const struct restart_policy *restart_policy(const struct plugin *p)
{
	return &p->director->settings->restart;
}

void supervise_on_timer(void *plugin)
{
	supervise(plugin);
}

bool supervise_takes_calls(const struct plugin *p)
{
	const struct director *d = p->director;
	if (breaker_wait_ms(&p->breaker, now_ms(p)) > 0) {
		return false;
	}
	/* A worker that comes soon is waited for like one that is busy. */
	return p->n_ready + p->n_starting > 0 ||
		(restart_wait_ms(&p->restart, now_ms(p)) <= d->settings->wait_ms &&
			hosts_ready(d, p->host));
}

/* ---- the breaker ---------------------------------------------------------------------------- */

static void log_breaker(const struct plugin *p, enum log_level level, const char *text)
{
	char seconds[24];
	(void)snprintf(seconds, sizeof(seconds), "%llu",
		(unsigned long long)(breaker_wait_ms(&p->breaker, now_ms(p)) + 999) / 1000);
	struct log_field fields[] = {
		{ "plugin", plugin_slice(p) },
		{ "state", slice_str(breaker_state_name(p->breaker.state)) },
		{ "seconds", slice_str(seconds) },
	};
	log_fields(level, "plugin.breaker", fields, 3, "%s", text);
}

/* No more calls: those that run may end, those that wait cannot be served. */
static void stop_serving(struct plugin *p, enum worker_exit why)
{
	struct worker *w;
	struct worker *next;
	uvx_timer_stop(&p->timer);
	DL_FOREACH_SAFE (p->workers, w, next) {
		worker_drain(w, why);
	}
	p->director->on_plugin->hopeless(p);
}

static void apply(struct plugin *p, enum breaker_action action)
{
	switch (action) {
	case BREAKER_NOTHING:
		break;
	case BREAKER_STOP:
		log_breaker(p, LOG_ERROR, "it crashed too often and is unavailable for a while");
		stop_serving(p, EXITED_STOPPED);
		break;
	case BREAKER_TRY:
		log_breaker(p, LOG_WARNING, "it is tried again, one call at a time");
		break;
	case BREAKER_RESUME:
		log_breaker(p, LOG_INFO, "it is available again");
		break;
	case BREAKER_SWITCH_OFF:
		log_breaker(p, LOG_ERROR,
			"it is disabled: it crashed again and again, or did what is forbidden; "
			"enable it when that is mended");
		(void)plugin_set_enabled(p, false, NULL, NULL);
		supervise_stop(p, EXITED_STOPPED, NULL);
		break;
	}
}

/* ---- what should run ------------------------------------------------------------------------ */

/* Of those for everybody; of the current version or younger. */
static unsigned count_shared(const struct plugin *p)
{
	unsigned n = 0;
	const struct worker *w;
	DL_FOREACH (p->workers, w) {
		n += w->state <= WORKER_READY && w->generation == p->generation &&
				w->tenant == TENANT_SHARED
			? 1
			: 0;
	}
	return n;
}

/* Of those for one user or one call: whatever still has a process. */
static unsigned count_isolated(const struct plugin *p)
{
	unsigned n = 0;
	const struct worker *w;
	DL_FOREACH (p->workers, w) {
		n += w->tenant != TENANT_SHARED ? 1 : 0;
	}
	return n;
}

/* A worker crashed, and what that means is not known before its pluginhost has said why. */
static bool awaits_reason(const struct plugin *p)
{
	const struct worker *w;
	DL_FOREACH (p->workers, w) {
		if (w->state >= WORKER_DYING && exit_class(w->end.why) != EXIT_IS_NORMAL) {
			return true;
		}
	}
	return false;
}

static bool may_run(const struct plugin *p)
{
	return p->enabled && !p->gone && p->version[0] != '\0' && !p->director->stopping;
}

/*
 * How many for everybody should there be? Half-open: one, to try. A version that was never ready is started
 * to learn what it wants, even where it is not to stay.
 */
static unsigned count_wanted(const struct plugin *p)
{
	const struct director *d = p->director;
	bool eager = HASH_COUNT(d->registry.plugins) <= d->settings->eager_plugins;
	bool resident = p->manifest.isolation == TENANT_SHARED &&
		(p->wanted || (eager && d->settings->idle_stop_ms == 0));
	bool learn = !p->proven && (eager || p->wanted);
	if (!resident) {
		return learn ? 1 : 0;
	}
	return p->breaker.state == BREAKER_CLOSED ? p->manifest.workers : 1;
}

static void crashed(struct plugin *p, uint64_t ready_ms, bool succeeded)
{
	restart_crashed(&p->restart, restart_policy(p), ready_ms, succeeded, (uint32_t)uv_hrtime(),
		now_ms(p));
}

static bool is_older(const struct worker *a, const struct worker *b)
{
	return (int)(a->generation - b->generation) < 0;
}

/* The newest version has failed, and there is one before it that did not. */
static bool has_fallback(const struct plugin *p)
{
	return !p->proven && p->restart.crashes > 0 && p->last_good[0] != '\0' &&
		!slice_eq(slice_str(p->last_good), slice_str(p->version));
}

/* There is no older one that goes on, as after a restart of the director: the last good one is wanted
 * beside the newest. */
static bool needs_fallback(const struct plugin *p)
{
	const struct worker *w;
	if (!has_fallback(p)) {
		return false;
	}
	DL_FOREACH (p->workers, w) {
		if (w->state == WORKER_READY || w->generation != p->generation) {
			return false;
		}
	}
	return true;
}

/* Starts one worker. @return 0 when it is on its way; the milliseconds to wait; UINT64_MAX when the next
 * worker that becomes ready or ends makes room: supervise_others(). */
static uint64_t start_one(struct plugin *p, const struct work *x)
{
	struct director *d = p->director;
	const struct restart_policy *policy = restart_policy(p);
	/* A user's own worker is of a version that serves; what waits is the one that does not. */
	bool fallback = x != NULL ? has_fallback(p) : needs_fallback(p);
	uint64_t wait =
		x != NULL && fallback ? breaker_wait_ms(&p->breaker, now_ms(p)) : plugin_wait_ms(p);
	if (wait > 0) {
		return wait;
	}
	if (d->starting >= policy->at_once || p->n_starting >= restart_share(policy) ||
		!hosts_ready(d, p->host) || awaits_reason(p)) {
		return UINT64_MAX;
	}
	/* One that a call waits for is no restart: admission bounds those. */
	if (p->restart.crashes > 0 && x == NULL) {
		wait = restart_take(&d->restart_rate, &p->restart, policy, now_ms(p));
		if (wait > 0) {
			return wait;
		}
	}
	int r = worker_start(p, fallback ? p->last_good : p->version, x);
	if (r < 0) {
		log_fields(LOG_WARNING, "worker.start_failed",
			(struct log_field[]){ { "plugin", plugin_slice(p) } }, 1,
			"cannot start a worker: %s", strerror(-r));
		crashed(p, 0, false);
		return restart_wait_ms(&p->restart, now_ms(p));
	}
	return 0;
}

/* The one for a single user that was idle the longest makes room. */
static void make_room(struct plugin *p)
{
	struct worker *oldest = NULL;
	struct worker *w;
	DL_FOREACH (p->workers, w) {
		bool idle = w->tenant == TENANT_USER && w->state == WORKER_READY && w->running == 0;
		if (idle && (oldest == NULL || w->used_ms < oldest->used_ms)) {
			oldest = w;
		}
	}
	if (oldest != NULL) {
		worker_drain(oldest, EXITED_RECYCLED);
	}
}

/* Waiting work that needs a worker of its own: does it lack one, all before it served? */
static bool lacks_worker(const struct plugin *p, const struct work *x)
{
	unsigned before = 0;
	unsigned oldest = has_fallback(p) ? p->generation - 1 : p->generation;
	const struct work *other;
	const struct worker *w;
	DL_FOREACH (p->waiting, other) {
		if (other == x) {
			break;
		}
		before += other->tenant == TENANT_ALONE && !other->held ? 1 : 0;
	}
	DL_FOREACH (p->workers, w) {
		if ((int)(w->generation - oldest) < 0 || !worker_suits(w, x)) {
			continue;
		}
		if (x->tenant == TENANT_USER || before == 0) {
			return false;
		}
		before--;
	}
	return true;
}

/* Workers of their own for the calls that wait for one. @return as start_one(). */
static uint64_t start_isolated(struct plugin *p)
{
	const struct work *x;
	unsigned most = p->breaker.state == BREAKER_CLOSED
		? (unsigned)p->director->settings->isolated_workers
		: 1;
	DL_FOREACH (p->waiting, x) {
		if (x->tenant == TENANT_SHARED || x->held || !lacks_worker(p, x)) {
			continue;
		}
		if (count_isolated(p) >= most) {
			make_room(p);
			return UINT64_MAX;
		}
		uint64_t wait = start_one(p, x);
		if (wait != 0) {
			return wait;
		}
	}
	return 0;
}

static uint64_t start_shared(struct plugin *p)
{
	uint64_t wait = 0;
	while (wait == 0 && (count_shared(p) < count_wanted(p) || needs_fallback(p))) {
		wait = start_one(p, NULL);
	}
	return wait;
}

void supervise(struct plugin *p)
{
	if (!may_run(p)) {
		return;
	}
	apply(p, breaker_tick(&p->breaker, now_ms(p)));
	/* First, so that no worker is started for what can be served, or is not to be. */
	p->director->on_plugin->room(p);
	uint64_t shared = start_shared(p);
	uint64_t isolated = start_isolated(p);
	/* The shorter wait; UINT64_MAX and 0 are none. */
	uint64_t wait = shared == 0 || (isolated > 0 && isolated < shared) ? isolated : shared;
	if (wait != 0 && wait != UINT64_MAX) {
		uvx_timer_once(&p->timer, wait);
	}
}

/* A start slot is free: those that were held back get it, callers waiting for them first. */
static void supervise_others(struct director *d)
{
	for (int pass = 0; pass < 2; pass++) {
		struct plugin *p;
		struct plugin *next;
		HASH_ITER (hh, d->registry.plugins, p, next) {
			if (d->starting >= d->settings->restart.at_once) {
				return;
			}
			if ((p->waiting != NULL) == (pass == 0) &&
				(p->waiting != NULL || count_shared(p) < count_wanted(p))) {
				supervise(p);
			}
		}
	}
}

/* ---- what happened -------------------------------------------------------------------------- */

void supervise_drain(struct worker *w, enum worker_exit why)
{
	struct plugin *p = w->plugin;
	plugin_ref(p);
	worker_drain(w, why);
	/* Its replacement, and the calls that may go to it. */
	supervise(p);
	plugin_unref(p);
}

void supervise_all(struct director *d)
{
	struct plugin *p;
	struct plugin *next;
	HASH_ITER (hh, d->registry.plugins, p, next) {
		supervise(p);
	}
}

void supervise_pluginhost_gone(struct director *d, const char *host)
{
	struct plugin *p;
	struct plugin *next;
	HASH_ITER (hh, d->registry.plugins, p, next) {
		if (slice_eq(slice_str(p->host), slice_str(host))) {
			supervise_stop(p, EXITED_HOST_GONE, "the pluginhost is gone");
			/* What ended its workers was not its fault. */
			restart_forget(&p->restart);
		}
	}
}

void supervise_ready(struct worker *w)
{
	struct plugin *p = w->plugin;
	struct worker *other;
	struct worker *next;
	bool late = false;
	p->proven = p->proven || w->generation == p->generation;
	breaker_started(&p->breaker);
	p->director->on_plugin->room(p);
	DL_FOREACH_SAFE (p->workers, other, next) {
		late = late || (other->state == WORKER_READY && is_older(w, other));
		if (is_older(other, w)) {
			worker_drain(other, EXITED_REPLACED);
		}
	}
	/* What it was to stand in for came first. */
	if (late) {
		worker_drain(w, EXITED_REPLACED);
	}
	supervise_others(w->director);
}

/* Idle for as long as it may be? Those for everybody are stopped together. */
static bool is_idle(const struct worker *w)
{
	const struct settings *s = w->director->settings;
	bool resident =
		w->tenant == TENANT_SHARED && w->plugin->manifest.isolation == TENANT_SHARED;
	uint64_t limit = resident ? s->idle_stop_ms : s->isolated_idle_ms;
	return limit > 0 && w->running == 0 && now_ms(w->plugin) - w->used_ms >= limit;
}

void supervise_idle(struct worker *w)
{
	struct plugin *p = w->plugin;
	struct worker *other;
	struct worker *next;
	if (!is_idle(w)) {
		return;
	}
	if (w->tenant != TENANT_SHARED) {
		worker_drain(w, EXITED_IDLE);
		return;
	}
	DL_FOREACH (p->workers, other) {
		bool counts = other->tenant == TENANT_SHARED && other->state <= WORKER_READY;
		if (counts && (other->state != WORKER_READY || !is_idle(other))) {
			return;
		}
	}
	p->wanted = false;
	DL_FOREACH_SAFE (p->workers, other, next) {
		if (other->tenant == TENANT_SHARED) {
			worker_drain(other, EXITED_IDLE);
		}
	}
}

void supervise_succeeded(struct plugin *p)
{
	apply(p, breaker_succeeded(&p->breaker, breaker_policy(p)));
}

/* What an end means to the breaker. One that pluginhost could not start is nobody's crash. */
static enum breaker_action judge(struct plugin *p, const struct worker_end *end)
{
	bool late = end->why == EXITED_DEADLINE || end->why == EXITED_HUNG;
	struct breaker_crash crash = {
		.weight = late ? BREAKER_HALF : BREAKER_WHOLE,
		.init = end->ready_ms == 0,
		.violation = end->why == EXITED_PROTOCOL || end->why == EXITED_SYSCALL,
		.user = end->user,
		.request = end->request,
	};
	/* A new version that does not start is no reason to stop the old one, which serves. */
	if (end->why == EXITED_START || end->why == EXITED_SANDBOX ||
		(crash.init && p->n_ready > 0)) {
		return BREAKER_NOTHING;
	}
	return breaker_crashed(&p->breaker, breaker_policy(p), &crash, now_ms(p));
}

void supervise_ended(struct plugin *p, const struct worker_end *end)
{
	struct director *d = p->director;
	if (d->stopping) {
		return;
	}
	if (exit_class(end->why) != EXIT_IS_NORMAL) {
		p->restarts++;
		/* What one user's, or one call's, own worker did is no reason for others to wait. */
		if (end->tenant == TENANT_SHARED || end->ready_ms == 0) {
			crashed(p, end->ready_ms, end->succeeded);
		}
		apply(p, judge(p, end));
		/* A version that never got ready: whoever waits for it would wait in vain, unless
		 * an older version still serves. */
		if (end->ready_ms == 0 && p->n_ready + p->n_starting == 0) {
			d->on_plugin->hopeless(p);
		}
	}
	supervise(p);
	supervise_others(d);
}

/* Workers that are ending are over for us; ending others may free them. */
static struct worker *any_alive(const struct plugin *p)
{
	struct worker *w;
	DL_FOREACH (p->workers, w) {
		if (w->state < WORKER_DYING) {
			return w;
		}
	}
	return NULL;
}

void supervise_stop(struct plugin *p, enum worker_exit why, const char *text)
{
	struct worker *w;
	uvx_timer_stop(&p->timer);
	while ((w = any_alive(p)) != NULL) {
		worker_end(w, why, text);
	}
	p->director->on_plugin->hopeless(p);
}

void supervise_retire(struct plugin *p)
{
	stop_serving(p, EXITED_STOPPED);
}

/* ---- the operator --------------------------------------------------------------------------- */

void supervise_reset(struct plugin *p)
{
	bool switched_off = p->breaker.state == BREAKER_DISABLED;
	p->resets++;
	apply(p, breaker_reset(&p->breaker));
	restart_forget(&p->restart);
	if (switched_off && !p->enabled) {
		(void)plugin_set_enabled(p, true, NULL, NULL);
		return;
	}
	supervise(p);
}

void supervise_restart(struct plugin *p)
{
	p->generation++;
	p->wanted = true;
	supervise(p);
}

int plugin_set_enabled(struct plugin *p, bool enabled, store_done_fn saved, void *owner)
{
	int e = registry_set_enabled(p, enabled, saved, owner);
	if (!enabled) {
		p->director->on_registry->stopped(p);
		return e;
	}
	p->resets++;
	(void)breaker_reset(&p->breaker);
	restart_forget(&p->restart);
	supervise(p);
	return e;
}
