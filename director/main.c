/*
 * mozaiks-director: wires the modules. start() is the order in which they open, stop.c the order in
 * which they close.
 */
#include "common/base/limiter.h"
#include "common/base/log.h"
#include "common/base/map.h"
#include "common/service/notify.h"
#include "common/service/sockets.h"
#include "common/uvx/listener.h"
#include "director/api/api.h"
#include "director/auth/start.h"
#include "director/capability/quota.h"
#include "director/config/descriptors.h"
#include "director/config/privileges.h"
#include "director/config/state_dir.h"
#include "director/confine/start.h"
#include "director/director.h"
#include "director/events/events.h"
#include "director/hosts/control.h"
#include "director/schema/schemas.h"
#include "director/stop.h"
#include "director/tls/certificates.h"
#include "director/users/users.h"
#include "director/websocket/websocket.h"
#include "director/wiring.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MESSAGE_MAX_BYTES = 4096, PATH_BYTES = 4096, ADMIN_MODE = 0600 };

static struct settings settings;
static struct state_dir state_dir = STATE_DIR_NULL;
static uv_loop_t loop;
static struct director director = {
	.loop = &loop,
	.settings = &settings,
	.memory = MEMORY_WATCH_NULL,
};
static int exit_status;

/* Says why the start ends. */
static int refuse(const char *id, const char *text)
{
	log_event(LOG_ERROR, id, "%s", text);
	return -1;
}

static void on_settings_warning(void *arg, const char *text)
{
	log_event(LOG_WARNING, "settings.warning", "%s", text);
}

/* Under which of its names DATABASE_URI was given: afterwards both are wiped. */
static const char *database_uri_name;

static int read_settings(void)
{
	struct buffer message;
	buffer_init(&message, MESSAGE_MAX_BYTES);
	database_uri_name = !setting_is_set("DATABASE_URI") && setting_is_set("MONGODB_URI")
		? "MONGODB_URI"
		: "DATABASE_URI";
	int r = settings_load(&settings, on_settings_warning, NULL, &message);
	if (r != 0) {
		(void)refuse("settings.invalid",
			r < 0 || buffer_append_byte(&message, 0) < 0 ? "no memory"
								     : (char *)message.p);
	}
	buffer_deinit(&message);
	log_init("director", settings.log_level);
	return r;
}

static int open_state(void)
{
	char why[STATE_WHY_SIZE];
	struct state_dir_config config;
	state_dir_config_init(&config);
	config.state_path = settings.state_path;
	config.run_path = settings.run_path;
	for (size_t i = 0; i < settings.n_pluginhosts; i++) {
		size_t n = settings.pluginhost_names[i].n;
		config.longest_pluginhost =
			n > config.longest_pluginhost ? n : config.longest_pluginhost;
	}
	if (state_dir_open(&state_dir, &config, why) < 0) {
		return refuse("state.unusable", why);
	}
	director.app_id = slice_str(settings.app_id);
	director.run_path = state_dir.run_path;
	director.started_by = getuid();
	if (state_dir.chosen) {
		log_event(LOG_INFO, "state.chosen", "the state is kept in %s", state_dir.path);
	}
	return 0;
}

/* MOZAIKS_ACCESS_LOG=1: a record for each request. */
static void on_request_end(void *owner, const struct http_outcome *o)
{
	char status[16];
	char us[24];
	char client[ADDRESS_TEXT_SIZE] = "";
	if (o->client != NULL) {
		(void)address_format(o->client, client);
	}
	(void)snprintf(status, sizeof(status), "%d", o->status);
	(void)snprintf(us, sizeof(us), "%llu", (unsigned long long)o->microseconds);
	struct log_field fields[] = {
		{ "path", o->path },
		{ "status", slice_str(status) },
		{ "duration_us", slice_str(us) },
		{ "request_id", o->request_id },
		{ "trace_id", o->trace_id },
		{ "client", slice_str(client) },
	};
	log_fields(LOG_INFO, "http.access", fields, o->client == NULL ? 5 : 6, "request");
}

static struct http_config http_config(
	const struct http_route *routes, size_t n, const struct http_site *site)
{
	return (struct http_config){
		.loop = &loop,
		.site = site,
		.routes = routes,
		.n_routes = n,
		.limits = {
			.head_bytes = settings.head_bytes,
			.body_bytes = settings.body_bytes,
			.connections = (unsigned)settings.connections,
			.handshake_ms = (unsigned)settings.tls_handshake_ms,
			.header_ms = (unsigned)settings.header_ms,
			.body_ms = (unsigned)settings.body_ms,
			.body_rate = (unsigned)settings.body_rate,
			.keepalive_ms = (unsigned)settings.keepalive_ms,
			.send_ms = (unsigned)settings.send_ms,
		},
		.timing = settings.server_timing,
		.hsts_s = (unsigned)settings.hsts_s,
		.development = settings.environment == ENV_DEVELOPMENT,
		.observe = settings.access_log ? on_request_end : NULL,
	};
}

static int listen_on_port(void)
{
	char text[MESSAGE_MAX_BYTES];
	int r = http_server_listen_tcp(
		director.http, settings.host, (int)settings.port, &director.port);
	if (r < 0) {
		(void)snprintf(text, sizeof(text),
			"cannot listen on %s port %d (MOZAIKS_HOST, PORT): %s", settings.host,
			(int)settings.port, strerror(-r));
		return refuse("http.listen_failed", text);
	}
	return 0;
}

/* Socket activation: all that systemd has opened is HTTP; MOZAIKS_HOST and PORT say nothing then. */
static int listen_on_sockets(int first, int n)
{
	char text[MESSAGE_MAX_BYTES];
	for (int fd = first; fd < first + n; fd++) {
		int port = uvx_listen_port(fd);
		int r = http_server_listen_fd(director.http, fd);
		if (r < 0) {
			(void)snprintf(text, sizeof(text),
				"descriptor %d from systemd is no listening stream socket: %s", fd,
				strerror(-r));
			return refuse("http.listen_failed", text);
		}
		/* A unix socket has none. */
		director.port = director.port == 0 && port > 0 ? port : director.port;
	}
	log_event(LOG_INFO, "http.sockets", "systemd has opened %d sockets", n);
	return 0;
}

static int ask_again(void *arg, const struct user_context *user)
{
	return auth_ask_again(director.auth, user);
}

/* Some connections are left for those that are not WebSockets. */
static int open_websockets(unsigned connections)
{
	uint64_t most = (uint64_t)connections * 9 / 10;
	struct websockets_config config = {
		.loop = &loop,
		.total = (unsigned)(settings.websockets < most ? settings.websockets : most),
		.per_user = (unsigned)settings.websockets_per_user,
		.limits = { settings.websocket_frame_bytes, settings.websocket_message_bytes },
		.send_bytes = settings.websocket_send_bytes,
		.answer_bytes = settings.websocket_answer_bytes,
		.buffer_bytes = settings.websocket_buffer_bytes,
		.judge = ask_again,
		.message_rate = (unsigned)settings.websocket_message_rate,
		.ping_rate = (unsigned)settings.websocket_ping_rate,
		.ping_ms = (unsigned)settings.websocket_ping_ms,
		.pong_ms = (unsigned)settings.websocket_pong_ms,
		.close_ms = (unsigned)settings.websocket_close_ms,
		.drain_rate = (unsigned)settings.websocket_drain_rate,
	};
	return websockets_new(&director.websockets, &config);
}

static void on_certificate(void *owner, struct tls_context *context)
{
	struct director *d = owner;
	http_server_set_tls(d->http, context);
}

static int open_certificates(void)
{
	char why[TLS_WHY_SIZE];
	const struct certificates_config config = {
		.loop = &loop,
		.certificate_path = settings.tls_certificate,
		.key_path = settings.tls_key,
		.check_ms = settings.tls_check_ms,
		.changed = on_certificate,
		.owner = &director,
	};
	if (settings.tls_certificate == NULL) {
		return 0;
	}
	return certificates_new(&director.certificates, &config, why) == 0
		? 0
		: refuse("tls.unusable", why);
}

/* Before root is given up: the port may be a privileged one. Nothing is read from it yet. */
static int open_http(void)
{
	size_t n;
	int first;
	if (routes_public(&director, &director.http_routes, &n) < 0) {
		return refuse("director.no_memory", "no memory");
	}
	struct http_config config = http_config(director.http_routes, n, &settings.site);
	if (director.certificates != NULL) {
		config.tls = certificates_context(director.certificates);
	}
	uint64_t connections = descriptors_for_connections(settings.connections);
	config.limits.connections = (unsigned)connections;
	config.limits.spare_loopback = settings.connections_per_address == 0;
	config.limits.per_address = (unsigned)(settings.connections_per_address == 0
			? (connections + 3) / 4
			: settings.connections_per_address);
	config.limits.address_rate = settings.address_rate;
	config.proxies = settings.proxies.n > 0 ? &settings.proxies : NULL;
	if (connections < settings.connections) {
		enum log_level level =
			setting_is_set("MOZAIKS_MAX_CONNECTIONS") ? LOG_WARNING : LOG_INFO;
		log_event(level, "http.few_descriptors",
			"%llu connections at a time instead of %llu (MOZAIKS_MAX_CONNECTIONS): the limit "
			"of open files is too low (LimitNOFILE=, ulimit -n)",
			(unsigned long long)connections, (unsigned long long)settings.connections);
	}
	int r = open_websockets(config.limits.connections);
	r = r < 0 ? r : http_server_new(&director.http, &config);
	if (r < 0) {
		return refuse("http.failed", strerror(-r));
	}
	int sockets = service_sockets(&first);
	if (sockets < 0) {
		return refuse("http.listen_failed", "LISTEN_FDS or LISTEN_PID is no number");
	}
	return sockets > 0 ? listen_on_sockets(first, sockets) : listen_on_port();
}

static int open_auth(void)
{
	return auth_open(&director, state_dir.fd, state_dir.path);
}

/* The database can no longer be trusted: end, so that the restart recovers it. */
static void on_store_failed(void *arg)
{
	exit_status = 1;
	director_stop(&director);
}

static int open_store(void)
{
	char why[256] = "no memory";
	struct store_config config;
	store_config_init(&config);
	config.loop = &loop;
	config.uri = settings.database_uri;
	config.uri_name = database_uri_name;
	config.state_dir = state_dir.path;
	config.readers = (unsigned)settings.store_readers;
	config.queue = (unsigned)settings.store_queue;
	config.queue_bytes = settings.store_queue_bytes;
	config.operation_ms = (unsigned)settings.store_ms;
	config.collections = (unsigned)settings.collections;
	config.plugin_documents = settings.quota_plugin_documents;
	config.plugin_bytes = settings.quota_plugin_bytes;
	config.user_documents = settings.quota_user_documents;
	config.user_bytes = settings.quota_user_bytes;
	config.failed = on_store_failed;
	config.document_bytes = settings.document_bytes;
	config.filter_bytes = settings.filter_bytes;
	config.result_bytes = settings.result_bytes;
	config.in_values = (unsigned)settings.in_values;
	config.skip = (unsigned)settings.skip;
	config.stages = (unsigned)settings.stages;
	config.indexes = (unsigned)settings.indexes;
	config.index_fields = (unsigned)settings.index_fields;
	config.index_keys = (unsigned)settings.index_keys;
	config.regex_bytes = (unsigned)settings.regex_bytes;
	config.regex_steps = (unsigned)settings.regex_steps;
	return store_open(&director.store, &config, why) < 0 ? refuse("store.failed", why) : 0;
}

static void on_user_event(
	void *arg, struct slice name, struct user_context *user, struct slice data)
{
	if (director.events != NULL && !director.stopping) {
		events_publish_core(director.events, name, user, data);
	}
}

static int open_users(void)
{
	bool shared = !slice_eq(slice_str(store_driver_name(director.store)), SLICE("sqlite"));
	const struct users_config config = {
		.loop = &loop,
		.store = director.store,
		.auth = director.auth,
		.app_id = director.app_id,
		.rules = { (unsigned)settings.password_characters, settings.password_bytes,
			(unsigned)settings.password_kinds },
		.cost = { settings.argon2_bytes, (unsigned)settings.argon2_passes },
		.threads = (unsigned)settings.password_threads,
		.queue = (unsigned)settings.password_queue,
		.throttle = {
			.account_free = (unsigned)settings.login_free,
			.address_free = (unsigned)settings.login_free_address,
			.first_ms = settings.login_wait_ms,
			.max_ms = settings.login_max_wait_ms,
			.forget_ms = settings.login_forget_ms,
			.entries = settings.login_entries,
		},
		.access_s = (unsigned)settings.access_minutes * 60,
		.refresh_s = (unsigned)(settings.refresh_ms / 1000),
		.registration = settings.allow_registration,
		.poll_ms = shared ? settings.revocation_poll_ms : 0,
		.event = on_user_event,
	};
	if (settings.auth_mode != AUTH_MODE_LOCAL) {
		return 0;
	}
	int r = users_new(&director.users, &config);
	return r < 0 ? refuse("users.failed", strerror(-r)) : 0;
}

/* plugin_registry.json: beside the other configuration when that can be written, else with the
 * state. */
static int open_registry(void)
{
	char path[PATH_BYTES];
	char policy[PATH_BYTES] = "";
	char why[GRANTS_WHY_SIZE];
	bool writable = settings.configs_path != NULL && access(settings.configs_path, W_OK) == 0;
	int n = snprintf(path, sizeof(path), "%s/plugin_registry.json",
		writable ? settings.configs_path : state_dir.path);
	if (n < 0 || (size_t)n >= sizeof(path)) {
		return refuse("registry.failed", "MOZAIKS_CONFIGS_PATH is too long");
	}
	n = settings.configs_path == NULL
		? 0
		: snprintf(policy, sizeof(policy), "%s/plugin_policy.json", settings.configs_path);
	if (n < 0 || (size_t)n >= sizeof(policy)) {
		return refuse("registry.failed", "MOZAIKS_CONFIGS_PATH is too long");
	}
	int r = registry_init(&director.registry, &director, path, policy, why);
	return r < 0 ? refuse("registry.failed", why[0] != '\0' ? why : strerror(-r)) : 0;
}

/* Users and plugins that are remembered at a time: 512 KiB for the first. */
enum { RATE_WINDOW_MS = 60000, RATE_USERS = 32768, RATE_PLUGINS = 4096 };

static int open_rates(void)
{
	struct limit user = { settings.user_rate, RATE_WINDOW_MS };
	struct limit plugin = { settings.plugin_rate, RATE_WINDOW_MS };
	int r = user.n == 0 ? 0 : limiter_new(&director.user_rates, user, RATE_USERS);
	r = r < 0 || plugin.n == 0 ? r : limiter_new(&director.plugin_rates, plugin, RATE_PLUGINS);
	return r;
}

static int open_modules(void)
{
	director.admission.limits = (struct admit_limits){
		.per_user = (unsigned)settings.inflight_per_user,
		.per_plugin = (unsigned)settings.inflight_per_plugin,
		.total = (unsigned)settings.inflight,
	};
	director_wire(&director);
	int r = open_rates();
	r = r < 0 ? r : injector_new(&director.injector);
	r = r < 0 ? r : quarantine_new(&director.quarantine, &settings.quarantine);
	r = r < 0 ? r : idempotency_new(&director.idempotency, &settings.idempotency);
	r = r < 0 ? r : events_new(&director.events, &director);
	r = r < 0 ? r : schemas_new(&director.schemas, &director);
	director.capability_users = quota_users_new();
	r = r < 0 ? r : director.capability_users == NULL ? -ENOMEM : 0;
	r = r < 0 ? r : channel_hub_new(&director.hub, &loop, settings.channel_bytes);
	return r < 0 ? refuse("director.no_memory", strerror(-r)) : open_registry();
}

static int open_admin(void)
{
	size_t n;
	char path[PATH_BYTES];
	if (routes_admin(&director, &director.admin_routes, &n) < 0) {
		return refuse("director.no_memory", "no memory");
	}
	(void)snprintf(path, sizeof(path), "%s/admin.sock", state_dir.path);
	/* Left by a director that was killed; the lock says that none runs. */
	(void)unlink(path);
	struct http_config config = http_config(director.admin_routes, n, NULL);
	int r = http_server_new(&director.admin, &config);
	r = r < 0 ? r : http_server_listen_unix(director.admin, path, ADMIN_MODE);
	return r < 0 ? refuse("admin.listen_failed", strerror(-r)) : 0;
}

/* Where tools find the port when it was any: <run>/http_port. */
static int write_port(void)
{
	char path[PATH_BYTES];
	char port[16];
	(void)snprintf(path, sizeof(path), "%s/http_port", state_dir.run_path);
	(void)snprintf(port, sizeof(port), "%d\n", director.port);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	ssize_t n = fd < 0 ? -1 : write(fd, port, slice_str(port).n);
	if (fd >= 0) {
		(void)close(fd);
	}
	return n < 0 ? refuse("http.port_file", strerror(errno)) : 0;
}

static void on_signal(void *arg, int signum)
{
	struct director *d = arg;
	if (signum == SIGHUP) {
		(void)hosts_discover(d);
		if (d->certificates != NULL) {
			certificates_reload(d->certificates);
		}
	} else {
		director_stop(d);
	}
}

static int watch_signals(void)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP };
	int r = uvx_signals_init(&director.signals, &loop, signals, 3, on_signal, &director);
	uvx_timer_init(&director.drain_timer, &loop, director_on_drain_timer, &director);
	watchdog_init(&director.watchdog, &loop);
	return r < 0 ? refuse("director.signals", strerror(-r)) : 0;
}

static int give_up_privileges(void)
{
	int r = privileges_drop();
	return r < 0 ? refuse("privileges.kept", "cannot give up privileges; not started") : 0;
}

static int open_hosts(void)
{
	return hosts_open(&director) < 0 ? -1 : 0;
}

/* Of files that cannot be opened once the director is confined. */
static int watch_memory(void)
{
	int r = memory_watch_open(&director.memory, settings.memory_high);
	return r < 0 ? refuse("memory.unknown", strerror(-r)) : 0;
}

static int confine_files_step(void)
{
	return confine_begin(&settings, &state_dir);
}

static int confine_calls_step(void)
{
	return confine_finish(&settings);
}

/* The order: what needs root, giving it up, fences that threads inherit, what starts threads, what
 * others connect to, the fence of calls that the start still needed. */
static int (*const start_steps[])(void) = {
	read_settings,
	open_state,
	open_certificates,
	open_http,
	give_up_privileges,
	watch_memory,
	confine_files_step,
	watch_signals,
	open_auth,
	open_store,
	open_users,
	open_modules,
	open_hosts,
	open_admin,
	write_port,
	confine_calls_step,
};

static int start(void)
{
	for (size_t i = 0; i < sizeof(start_steps) / sizeof(start_steps[0]); i++) {
		if (start_steps[i]() != 0) {
			return -1;
		}
	}
	settings_wipe_secrets(&settings);
	if (director.certificates != NULL) {
		certificates_watch(director.certificates);
	}
	return 0;
}

static int print_help(void)
{
	struct buffer text;
	buffer_init(&text, (size_t)1 << 20);
	int r = buffer_append(&text,
		SLICE("Usage: mozaiks-director [--help | --version]\n\n"
		      "The front of the plugin runtime. It is configured by its environment:\n\n"));
	r = r < 0 ? r : settings_describe(SETTINGS_HELP, &text);
	(void)fwrite(text.p, 1, text.n, stdout);
	buffer_deinit(&text);
	return r < 0 ? 1 : 0;
}

/* libmongoc's constructor has made a file of counters before main(), unless the environment forbade it;
 * it would stay. */
static void remove_counters(void)
{
	char name[32];
	(void)snprintf(name, sizeof(name), "/mongoc-%d", getpid());
	(void)shm_unlink(name);
	(void)setenv("MONGOC_DISABLE_SHM", "1", 1);
}

int main(int argc, char **argv)
{
	if (argc == 2 && slice_eq(slice_str(argv[1]), SLICE("--help"))) {
		return print_help();
	}
	if (argc == 2 && slice_eq(slice_str(argv[1]), SLICE("--version"))) {
		(void)puts("mozaiks-director " MOZAIKS_VERSION);
		return 0;
	}
	if (argc != 1) {
		(void)fprintf(stderr, "mozaiks-director: unknown argument; see --help\n");
		return 2;
	}
	log_init("director", LOG_INFO);
	(void)signal(SIGPIPE, SIG_IGN);
	/* Whoever makes a file says its mode; a narrower mask would keep pluginhost from its sockets. */
	(void)umask(022);
	remove_counters();
	if (map_init() < 0 || uv_loop_init(&loop) < 0 || start() < 0) {
		return 1;
	}
	char port[16];
	(void)snprintf(port, sizeof(port), "%d", director.port);
	struct log_field fields[] = {
		{ "host", slice_str(settings.host) },
		{ "port", slice_str(port) },
		{ "store", slice_str(store_driver_name(director.store)) },
	};
	log_fields(LOG_INFO, "http.listening", fields, 3, "listening");
	service_ready("Serving on %s port %d", settings.host, director.port);
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	director_free(&director);
	state_dir_close(&state_dir);
	log_event(LOG_INFO, "director.stopped", "stopped");
	return exit_status;
}
