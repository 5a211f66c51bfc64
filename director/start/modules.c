/* What serves behind HTTP: the store, users, the registry, the steps of a call. */
#include "common/base/limiter.h"
#include "common/base/log.h"
#include "director/capability/quota.h"
#include "director/config/state_dir.h"
#include "director/director.h"
#include "director/events/events.h"
#include "director/schema/schemas.h"
#include "director/start/start.h"
#include "director/stop.h"
#include "director/users/users.h"
#include "director/wiring.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

enum { PATH_BYTES = 4096 };

/* The database can no longer be trusted: end, so that the restart recovers it. */
static void on_store_failed(void *arg)
{
	struct director *d = arg;
	d->exit_status = 1;
	director_stop(d);
}

int start_store(struct director *d)
{
	const struct settings *s = d->settings;
	char why[256] = "no memory";
	struct store_config config;
	store_config_init(&config);
	config.loop = d->loop;
	config.uri = s->database_uri;
	config.uri_name = d->database_uri_name;
	config.state_dir = d->state->path;
	config.readers = (unsigned)s->store_readers;
	config.queue = (unsigned)s->store_queue;
	config.queue_bytes = s->store_queue_bytes;
	config.operation_ms = (unsigned)s->store_ms;
	config.collections = (unsigned)s->collections;
	config.plugin_documents = s->quota_plugin_documents;
	config.plugin_bytes = s->quota_plugin_bytes;
	config.user_documents = s->quota_user_documents;
	config.user_bytes = s->quota_user_bytes;
	config.failed = on_store_failed;
	config.failed_arg = d;
	config.document_bytes = s->document_bytes;
	config.filter_bytes = s->filter_bytes;
	config.result_bytes = s->result_bytes;
	config.in_values = (unsigned)s->in_values;
	config.skip = (unsigned)s->skip;
	config.stages = (unsigned)s->stages;
	config.indexes = (unsigned)s->indexes;
	config.index_fields = (unsigned)s->index_fields;
	config.index_keys = (unsigned)s->index_keys;
	config.regex_bytes = (unsigned)s->regex_bytes;
	config.regex_steps = (unsigned)s->regex_steps;
	return store_open(&d->store, &config, why) < 0 ? start_refuse("store.failed", why) : 0;
}

static void on_user_event(
	void *arg, struct slice name, struct user_context *user, struct slice data)
{
	const struct director *d = arg;
	if (d->events != NULL && !d->stopping) {
		events_publish_core(d->events, name, user, data);
	}
}

int start_users(struct director *d)
{
	const struct settings *s = d->settings;
	bool shared = !slice_eq(slice_str(store_driver_name(d->store)), SLICE("sqlite"));
	const struct users_config config = {
		.loop = d->loop,
		.store = d->store,
		.auth = d->auth,
		.app_id = d->app_id,
		.rules = { (unsigned)s->password_characters, s->password_bytes,
			(unsigned)s->password_kinds },
		.cost = { s->argon2_bytes, (unsigned)s->argon2_passes },
		.threads = (unsigned)s->password_threads,
		.queue = (unsigned)s->password_queue,
		.throttle = {
			.account_free = (unsigned)s->login_free,
			.address_free = (unsigned)s->login_free_address,
			.first_ms = s->login_wait_ms,
			.max_ms = s->login_max_wait_ms,
			.forget_ms = s->login_forget_ms,
			.entries = s->login_entries,
		},
		.access_s = (unsigned)s->access_minutes * 60,
		.refresh_s = (unsigned)(s->refresh_ms / 1000),
		.sessions = (unsigned)s->user_sessions,
		.registration = s->allow_registration,
		.poll_ms = shared ? s->revocation_poll_ms : 0,
		.event = on_user_event,
		.event_arg = d,
	};
	if (s->auth_mode != AUTH_MODE_LOCAL) {
		return 0;
	}
	int r = users_new(&d->users, &config);
	return r < 0 ? start_refuse("users.failed", strerror(-r)) : 0;
}

/* plugin_registry.json: beside the other configuration when that can be written, else with the
 * state. */
static int open_registry(struct director *d)
{
	const struct settings *s = d->settings;
	char path[PATH_BYTES];
	char policy[PATH_BYTES] = "";
	char why[GRANTS_WHY_SIZE];
	bool writable = s->configs_path != NULL && access(s->configs_path, W_OK) == 0;
	int n = snprintf(path, sizeof(path), "%s/plugin_registry.json",
		writable ? s->configs_path : d->state->path);
	if (n < 0 || (size_t)n >= sizeof(path)) {
		return start_refuse("registry.failed", "MOZAIKS_CONFIGS_PATH is too long");
	}
	n = s->configs_path == NULL
		? 0
		: snprintf(policy, sizeof(policy), "%s/plugin_policy.json", s->configs_path);
	if (n < 0 || (size_t)n >= sizeof(policy)) {
		return start_refuse("registry.failed", "MOZAIKS_CONFIGS_PATH is too long");
	}
	int r = registry_init(&d->registry, d, path, policy, why);
	return r < 0 ? start_refuse("registry.failed", why[0] != '\0' ? why : strerror(-r)) : 0;
}

/* Users and plugins that are remembered at a time, in 512 and 64 KiB. Fixed, because too small a number
 * refuses nobody: who does not fit takes the place of the one with the most left of its allowance, who is
 * forgiven what it has used (common/base/limiter.h). So with more users at once the limit is less strict for
 * those who come seldom, and holds for those who come often. Plugins are counted once they are found, and
 * one machine has no 4,096 that are busy within a minute. */
enum { RATE_WINDOW_MS = 60000, RATE_USERS = 32768, RATE_PLUGINS = 4096 };

static int open_rates(struct director *d)
{
	struct limit user = { d->settings->user_rate, RATE_WINDOW_MS };
	struct limit plugin = { d->settings->plugin_rate, RATE_WINDOW_MS };
	int r = user.n == 0 ? 0 : limiter_new(&d->user_rates, user, RATE_USERS);
	r = r < 0 || plugin.n == 0 ? r : limiter_new(&d->plugin_rates, plugin, RATE_PLUGINS);
	return r;
}

int start_modules(struct director *d)
{
	const struct settings *s = d->settings;
	d->admission.limits = (struct admit_limits){
		.per_user = (unsigned)s->inflight_per_user,
		.per_plugin = (unsigned)s->inflight_per_plugin,
		.total = (unsigned)s->inflight,
	};
	director_wire(d);
	int r = open_rates(d);
	r = r < 0 ? r : injector_new(&d->injector);
	r = r < 0 ? r : quarantine_new(&d->quarantine, &s->quarantine);
	r = r < 0 ? r : idempotency_new(&d->idempotency, &s->idempotency);
	r = r < 0 ? r : events_new(&d->events, d);
	r = r < 0 ? r : schemas_new(&d->schemas, d);
	d->capability_users = quota_users_new();
	r = r < 0 ? r : d->capability_users == NULL ? -ENOMEM : 0;
	r = r < 0 ? r : channel_hub_new(&d->hub, d->loop, s->channel_bytes);
	return r < 0 ? start_refuse("director.no_memory", strerror(-r)) : open_registry(d);
}
