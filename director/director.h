/* The modules of the director, wired by main.c. Loop thread. */
#pragma once

#include "common/channel/channel.h"
#include "common/service/watchdog.h"
#include "common/uvx/signal.h"
#include "common/uvx/timer.h"
#include "director/auth/auth.h"
#include "director/config/settings.h"
#include "director/execute/admit.h"
#include "director/execute/call.h"
#include "director/execute/inject.h"
#include "director/execute/memory.h"
#include "director/hosts/registry.h"
#include "director/http/http.h"
#include "director/store/store.h"

#include <uv.h>

struct certificates;
struct control_events;
struct events;
struct fetcher;
struct host;
struct issuer;
struct limiter;
struct queue_events;
struct state_dir;
struct quota_users;
struct schemas;
struct websockets;
struct users;

struct worker_events;

/* What a step of stop.c waits for. */
enum director_wait {
	DIRECTOR_WAITS_FOR_NOTHING,
	DIRECTOR_WAITS_FOR_REQUESTS,
	DIRECTOR_WAITS_FOR_WORKERS,
};

struct director {
	uv_loop_t *loop;
	const struct settings *settings;
	const struct state_dir *state;
	const char
		*database_uri_name; /* the name under which it was set; afterwards all are wiped */
	struct slice app_id;
	const char *run_path;

	struct auth *auth;
	struct users *users;   /* NULL: no local accounts */
	struct issuer *issuer; /* NULL in local mode, as is the fetcher */
	struct fetcher *fetcher;
	uvx_closed_fn auth_closed;
	void *auth_closed_arg;
	struct store *store;
	struct events *events;
	struct schemas *schemas;
	struct websockets *websockets;

	/* Who is told what: wiring.c. The lower modules know nobody above them. */
	const struct control_events *on_pluginhost;
	const struct registry_events *on_registry;
	const struct worker_events *on_worker;
	const struct queue_events *on_plugin;

	struct channel_hub *hub;
	struct host *hosts;
	struct registry registry;
	struct worker *workers; /* all, by id */
	uint64_t last_worker_id;
	unsigned starting; /* workers that are not ready yet */
	struct restart_rate restart_rate;

	struct quota_users *capability_users;
	struct admission admission;
	struct limiter *user_rates; /* NULL: any number */
	struct limiter *plugin_rates;
	struct memory_watch memory;
	struct quarantine *quarantine;
	struct idempotency *idempotency;
	struct injector *injector;
	struct call_pool calls;

	struct certificates *certificates; /* NULL: without TLS */
	struct http_server *http;
	struct http_server *admin;
	struct http_route *http_routes;
	struct http_route *admin_routes;
	int port;         /* bound */
	uid_t started_by; /* who started the director, before root was given up */

	struct uvx_signals signals;
	struct uvx_timer drain_timer;
	struct watchdog watchdog;
	int exit_status;
	bool stopping;
	size_t stop_step; /* the next of stop.c's */
	enum director_wait stop_waits;
};
