#include "director/stop.h"

#include "common/base/limiter.h"
#include "common/base/log.h"
#include "common/base/map.h"
#include "common/service/notify.h"
#include "director/auth/start.h"
#include "director/capability/quota.h"
#include "director/director.h"
#include "director/events/events.h"
#include "director/hosts/control.h"
#include "director/hosts/supervise.h"
#include "director/schema/schemas.h"
#include "director/tls/certificates.h"
#include "director/users/users.h"
#include "director/websocket/websocket.h"

#include <stdlib.h>

enum { KILL_MS = 1000 };

typedef void (*step_fn)(struct director *d);

static void next(void *arg);

/* A step that waits for others, and for how long at most. */
static void wait_for(struct director *d, enum director_wait what, uint64_t ms)
{
	d->stop_waits = what;
	uvx_timer_once(&d->drain_timer, ms);
}

/* What was cut off has gone on without this. */
static void wait_is_over(struct director *d, enum director_wait what)
{
	if (d->stop_waits == what) {
		d->stop_waits = DIRECTOR_WAITS_FOR_NOTHING;
		uvx_timer_stop(&d->drain_timer);
		next(d);
	}
}

static void on_drained(void *arg)
{
	wait_is_over(arg, DIRECTOR_WAITS_FOR_REQUESTS);
}

static void drain_requests(struct director *d)
{
	/* From here on only ended requests shorten the wait; the timer bounds it. */
	wait_for(d, DIRECTOR_WAITS_FOR_REQUESTS, d->settings->drain_ms);
	http_server_drain(d->http, on_drained, d);
	websockets_drain(d->websockets);
}

void director_on_worker_gone(struct director *d)
{
	/* Not at once: the caller is in the middle of a worker's end. */
	if (d->stop_waits == DIRECTOR_WAITS_FOR_WORKERS && d->workers == NULL) {
		uvx_timer_once(&d->drain_timer, 0);
	}
}

/* The store is still there for what a plugin's shutdown() writes. */
static void shut_plugins_down(struct director *d)
{
	struct plugin *p;
	struct plugin *next_one;
	HASH_ITER (hh, d->registry.plugins, p, next_one) {
		supervise_retire(p);
	}
	/* Each has finish_ms, then it is killed; this is for a pluginhost that does not do it. */
	wait_for(d, DIRECTOR_WAITS_FOR_WORKERS, d->settings->life.finish_ms + KILL_MS);
	director_on_worker_gone(d);
}

static void close_http(struct director *d)
{
	websockets_end(d->websockets);
	http_server_close(d->http, next, d);
}

static void close_admin(struct director *d)
{
	http_server_close(d->admin, next, d);
}

static void close_websockets(struct director *d)
{
	websockets_close(d->websockets, next, d);
}

static void close_certificates(struct director *d)
{
	struct certificates *c = d->certificates;
	d->certificates = NULL;
	certificates_close(c, next, d);
}

static void end_plugins(struct director *d)
{
	registry_deinit(&d->registry);
	next(d);
}

static void close_users(struct director *d)
{
	if (d->users == NULL) {
		next(d);
	} else {
		users_close(d->users, next, d);
	}
}

static void close_store(struct director *d)
{
	store_close(d->store, next, d);
}

static void close_auth(struct director *d)
{
	auth_close(d, next, d);
}

static void close_hosts(struct director *d)
{
	hosts_close(d);
	next(d);
}

static void close_calls(struct director *d)
{
	call_pool_close(d, next, d);
}

static void close_hub(struct director *d)
{
	channel_hub_close(d->hub, next, d);
}

static void close_timer(struct director *d)
{
	uvx_timer_close(&d->drain_timer, next, d);
}

static void close_watchdog(struct director *d)
{
	watchdog_close(&d->watchdog, next, d);
}

static void close_signals(struct director *d)
{
	uvx_signals_close(&d->signals, next, d);
}

static const struct {
	const char *name;
	step_fn run;
} steps[] = {
	{ "drain requests", drain_requests },
	{ "close http", close_http },
	{ "close certificates", close_certificates },
	{ "shut plugins down", shut_plugins_down },
	{ "close websockets", close_websockets },
	{ "end plugins", end_plugins },
	{ "close admin", close_admin },
	{ "close users", close_users },
	{ "close auth", close_auth },
	{ "close store", close_store },
	{ "close pluginhosts", close_hosts },
	{ "close calls", close_calls },
	{ "close channels", close_hub },
	{ "close timer", close_timer },
	{ "close watchdog", close_watchdog },
	{ "close signals", close_signals },
};

static void next(void *arg)
{
	struct director *d = arg;
	if (d->stop_step < sizeof(steps) / sizeof(steps[0])) {
		log_event(LOG_DEBUG, "director.stopping", "%s", steps[d->stop_step].name);
		steps[d->stop_step++].run(d);
	}
}

void director_stop(struct director *d)
{
	if (!d->stopping) {
		d->stopping = true;
		service_stopping();
		log_event(LOG_INFO, "director.stopping", "stopping: requests in flight may end");
		next(d);
	} else {
		director_on_drain_timer(d);
	}
}

void director_on_drain_timer(void *director)
{
	struct director *d = director;
	if (d->stop_waits == DIRECTOR_WAITS_FOR_REQUESTS) {
		log_event(LOG_WARNING, "director.drain_cut",
			"requests in flight are cut off: after %g s (MOZAIKS_DRAIN_TIMEOUT_SECONDS), or by a "
			"second signal",
			(double)d->settings->drain_ms / 1000);
	} else if (d->stop_waits == DIRECTOR_WAITS_FOR_WORKERS && d->workers != NULL) {
		log_event(LOG_WARNING, "director.shutdown_cut",
			"workers are left: after %g s (MOZAIKS_WORKER_FINISH_TIMEOUT_SECONDS and one), or by "
			"a second signal",
			(double)(d->settings->life.finish_ms + KILL_MS) / 1000);
	}
	/* The next step closes what this one would have waited for. */
	if (d->stop_waits != DIRECTOR_WAITS_FOR_NOTHING) {
		wait_is_over(d, d->stop_waits);
	}
}

void director_free(struct director *d)
{
	http_server_free(d->http);
	http_server_free(d->admin);
	free(d->http_routes);
	free(d->admin_routes);
	d->users = users_free(d->users);
	store_free(d->store);
	d->websockets = websockets_free(d->websockets);
	d->events = events_free(d->events);
	d->schemas = schemas_free(d->schemas);
	d->capability_users = quota_users_free(d->capability_users);
	d->injector = injector_free(d->injector);
	d->quarantine = quarantine_free(d->quarantine);
	d->idempotency = idempotency_free(d->idempotency);
	admission_deinit(&d->admission);
	d->user_rates = limiter_free(d->user_rates);
	d->plugin_rates = limiter_free(d->plugin_rates);
	memory_watch_close(&d->memory);
	auth_close_end(d);
}
