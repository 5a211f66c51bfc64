/*
 * mozaiks-director: wires the modules. start() is the order in which they open, stop.c the order in
 * which they close.
 */
#include "common/base/log.h"
#include "common/base/map.h"
#include "common/service/notify.h"
#include "director/auth/start.h"
#include "director/config/privileges.h"
#include "director/config/state_dir.h"
#include "director/confine/start.h"
#include "director/director.h"
#include "director/hosts/control.h"
#include "director/start/start.h"
#include "director/stop.h"
#include "director/tls/certificates.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MESSAGE_MAX_BYTES = 4096 };

static struct settings settings;
static struct state_dir state_dir = STATE_DIR_NULL;
static uv_loop_t loop;
static struct director director = {
	.loop = &loop,
	.settings = &settings,
	.state = &state_dir,
	.memory = MEMORY_WATCH_NULL,
};

static void on_settings_warning(void *arg, const char *text)
{
	log_event(LOG_WARNING, "settings.warning", "%s", text);
}

static int read_settings(struct director *d)
{
	struct buffer message;
	buffer_init(&message, MESSAGE_MAX_BYTES);
	d->database_uri_name = !setting_is_set("DATABASE_URI") && setting_is_set("MONGODB_URI")
		? "MONGODB_URI"
		: "DATABASE_URI";
	int r = settings_load(&settings, on_settings_warning, NULL, &message);
	if (r != 0) {
		(void)start_refuse("settings.invalid",
			r < 0 || buffer_append_byte(&message, 0) < 0 ? "no memory"
								     : (char *)message.p);
	}
	buffer_deinit(&message);
	log_init("director", settings.log_level);
	return r;
}

static int open_state(struct director *d)
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
		return start_refuse("state.unusable", why);
	}
	d->app_id = slice_str(settings.app_id);
	d->run_path = state_dir.run_path;
	d->started_by = getuid();
	if (state_dir.chosen) {
		log_event(LOG_INFO, "state.chosen", "the state is kept in %s", state_dir.path);
	}
	return 0;
}

static int open_auth(struct director *d)
{
	return auth_open(d, state_dir.fd, state_dir.path);
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

static int watch_signals(struct director *d)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP };
	int r = uvx_signals_init(&d->signals, &loop, signals, 3, on_signal, d);
	uvx_timer_init(&d->drain_timer, &loop, director_on_drain_timer, d);
	watchdog_init(&d->watchdog, &loop);
	return r < 0 ? start_refuse("director.signals", strerror(-r)) : 0;
}

static int give_up_privileges(struct director *d)
{
	int r = privileges_drop();
	return r < 0 ? start_refuse("privileges.kept", "cannot give up privileges; not started")
		     : 0;
}

static int open_hosts(struct director *d)
{
	return hosts_open(d) < 0 ? -1 : 0;
}

/* Of files that cannot be opened once the director is confined. */
static int watch_memory(struct director *d)
{
	int r = memory_watch_open(&d->memory, settings.memory_high);
	return r < 0 ? start_refuse("memory.unknown", strerror(-r)) : 0;
}

static int confine_files_step(struct director *d)
{
	return confine_begin(&settings, &state_dir);
}

static int confine_calls_step(struct director *d)
{
	return confine_finish(&settings);
}

/* The order: what needs root, giving it up, fences that threads inherit, what starts threads, what
 * others connect to, the fence of calls that the start still needed. */
static int (*const start_steps[])(struct director *d) = {
	read_settings,
	open_state,
	start_certificates,
	start_http,
	give_up_privileges,
	watch_memory,
	confine_files_step,
	watch_signals,
	open_auth,
	start_store,
	start_users,
	start_modules,
	open_hosts,
	start_admin,
	start_port_file,
	confine_calls_step,
};

static int start(void)
{
	for (size_t i = 0; i < sizeof(start_steps) / sizeof(start_steps[0]); i++) {
		if (start_steps[i](&director) != 0) {
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
	return director.exit_status;
}
