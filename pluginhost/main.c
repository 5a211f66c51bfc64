/*
 * mozaiks-pluginhost: finds plugins, keeps snapshots of them, and starts, limits, kills and reports
 * workers as the director orders. No network, no secret; never sees a request or a user.
 *
 * start() is the order in which things open; what needs privileges comes before they are given up,
 * and nothing starts a thread.
 */
#include "common/base/identity.h"
#include "common/base/log.h"
#include "common/base/map.h"
#include "common/service/notify.h"
#include "common/service/watchdog.h"
#include "common/uvx/signal.h"
#include "common/uvx/timer.h"
#include "pluginhost/discover.h"
#include "pluginhost/host.h"
#include "pluginhost/settings.h"
#include "pluginhost/state.h"
#include "pluginhost/zygote.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WHY_MAX = 4096, HELP_MAX = 65536, STOP_TWICE = 2, DAY_MS = 24 * 60 * 60 * 1000 };

static const struct runtime *const runtimes[2] = {
	[WORKER_PYTHON] = &runtime_python,
	[WORKER_NATIVE] = &runtime_native,
};

struct program {
	struct settings settings;
	struct plugin_path paths[PLUGIN_PATHS_MAX];
	size_t n_paths;
	struct state state;
	struct sandbox_host sandbox;
	bool has_sandbox;
	struct denied denied;
	int program_fd;
	int python_fd;
	uid_t uid;
	gid_t gid;
	struct buffer why;

	uv_loop_t loop;
	struct host *host;
	struct uvx_signals signals;
	struct watchdog watchdog;
	struct uvx_timer day;
	bool stopping;
};

/* Says why the start ends. */
static int refuse(struct program *p, const char *id)
{
	log_event(LOG_ERROR, id, "%.*s", (int)p->why.n, (const char *)p->why.p);
	return -1;
}

static int refuse_errno(const char *id, const char *what, int error)
{
	log_event(LOG_ERROR, id, "%s: %s", what, strerror(-error));
	return -1;
}

static int read_settings(struct program *p)
{
	int r = settings_load(&p->settings, &p->why);
	log_init("pluginhost", p->settings.log_level == 0 ? LOG_INFO : p->settings.log_level);
	if (r < 0) {
		return refuse_errno("settings.invalid", "the settings cannot be read", r);
	}
	return r > 0 ? refuse(p, "settings.invalid") : 0;
}

static void choose_identity(struct program *p)
{
	bool root = identity_is_root();
	p->uid = root ? UID_PLUGINHOST : geteuid();
	p->gid = root ? (gid_t)UID_PLUGINHOST : getegid();
}

static int open_plugin_paths(struct program *p)
{
	const struct settings *s = &p->settings;
	int n = discover_open(
		s->plugins_path, s->plugins_path_given, p->paths, PLUGIN_PATHS_MAX, &p->why);
	if (n < 0) {
		return refuse(p, "settings.invalid");
	}
	p->n_paths = (size_t)n;
	if (n == 0) {
		log_event(LOG_WARNING, "discover.no_path",
			"there is no directory of plugins (MOZAIKS_PLUGINS_PATH)");
	}
	return 0;
}

/* Beside the program when it is installed, else where it was built. */
static const char *own_packages(char path[static PATH_MAX])
{
	char program[PATH_MAX / 2];
	ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 1);
	program[n < 0 ? 0 : n] = '\0';
	(void)snprintf(path, PATH_MAX, "%s/" MOZAIKS_PYTHON_INSTALLED, dirname(program));
	return access(path, F_OK) == 0 ? path : MOZAIKS_PYTHON_DIR;
}

/* What is read later by whoever we are then, and by zygotes. */
static int open_program(struct program *p)
{
	char path[PATH_MAX];
	const char *python =
		p->settings.python_path != NULL ? p->settings.python_path : own_packages(path);
	p->program_fd = open("/proc/self/exe", O_PATH | O_CLOEXEC);
	if (p->program_fd < 0) {
		return refuse_errno("start.program", "/proc/self/exe", -errno);
	}
	denied_open(&p->denied);
	p->python_fd = open(python, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (p->python_fd < 0) {
		(void)buffer_printf(&p->why, "MOZAIKS_PYTHON_PATH: ");
		(void)buffer_append_json(&p->why, slice_str(python));
		(void)buffer_printf(&p->why, ": %s", strerror(errno));
		return refuse(p, "settings.invalid");
	}
	return 0;
}

static int open_state(struct program *p)
{
	const struct state_config c = {
		.state_path = p->settings.state_path,
		.run_path = p->settings.run_path,
		.uid = p->uid,
		.gid = p->gid,
		.paths = p->paths,
		.n_paths = p->n_paths,
	};
	if (state_open(&p->state, &c, &p->why) < 0) {
		return refuse(p, "state.unusable");
	}
	if (p->state.chosen) {
		log_event(
			LOG_INFO, "state.chosen", "snapshots are kept in %s", p->state.store_path);
	}
	return 0;
}

/* At the start and every day: what is missing is easily forgotten. */
static void warn_of_tier(const struct program *p)
{
	int tier = p->has_sandbox ? sandbox_host_tier(&p->sandbox) : 1;
	if (tier == 1) {
		return;
	}
	struct buffer report;
	buffer_init(&report, WHY_MAX);
	(void)sandbox_host_report(&p->sandbox, &report);
	const struct log_field fields[] = { { "sandbox", buffer_slice(&report) } };
	log_fields(LOG_WARNING, "sandbox.tier", fields, 1,
		"the sandbox is of tier %d: something of the best one is missing", tier);
	buffer_deinit(&report);
}

/* Without a sandbox plugins are listed, but none is started. */
static int open_sandbox(struct program *p)
{
	const struct sandbox_options options = {
		.uid = p->uid,
		.gid = p->gid,
		.name = p->settings.name,
		.require_cgroup = p->settings.require_cgroup,
		.all_memory_percent = (unsigned)p->settings.all_memory_percent,
		.all_processes = p->settings.all_processes,
	};
	int r = sandbox_host_init(&p->sandbox, &options);
	p->has_sandbox = r == 0;
	if (r < 0) {
		log_event(LOG_ERROR, "sandbox.unavailable", "no plugin can be started: %s",
			p->sandbox.failure);
		return p->settings.require_cgroup ? -1 : 0;
	}
	warn_of_tier(p);
	return 0;
}

static int give_up_privileges(struct program *p)
{
	static const gid_t groups[] = { GID_CHANNEL };
	int r = identity_is_root() ? identity_become(p->uid, p->gid, groups, 1)
				   : identity_drop_capabilities();
	if (r < 0) {
		return refuse_errno("start.privileges", "privileges cannot be given up", r);
	}
	/* Everything that was opened must do for the user that we are now. */
	if (discover_check(p->paths, p->n_paths, &p->why) < 0) {
		return refuse(p, "settings.invalid");
	}
	return state_check(&p->state, &p->why) < 0 ? refuse(p, "state.unusable") : 0;
}

/* The loop */

static void program_on_ready(void *context)
{
	struct program *p = context;
	log_event(LOG_INFO, "pluginhost.ready", "ready");
	service_ready("Plugins from %s", p->settings.plugins_path);
}

static void program_on_day(void *arg)
{
	warn_of_tier(arg);
}

static void program_on_host_closed(void *arg)
{
	struct program *p = arg;
	watchdog_close(&p->watchdog, NULL, NULL);
	uvx_timer_close(&p->day, NULL, NULL);
	uvx_signals_close(&p->signals, NULL, NULL);
}

static void program_stop(struct program *p)
{
	if (p->stopping) {
		/* Zygotes end with us, and their workers with them. */
		log_event(LOG_WARNING, "pluginhost.stop", "told to stop twice: at once");
		_exit(STOP_TWICE);
	}
	p->stopping = true;
	log_event(LOG_INFO, "pluginhost.stop", "stopping");
	service_stopping();
	host_close(p->host, program_on_host_closed, p);
}

static void program_on_signal(void *arg, int signum)
{
	struct program *p = arg;
	if (signum != SIGHUP) {
		program_stop(p);
	} else if (!p->stopping) {
		host_refresh(p->host);
	}
}

static int open_loop(struct program *p)
{
	static const int signums[] = { SIGTERM, SIGINT, SIGHUP };
	int r = uv_loop_init(&p->loop);
	if (r < 0) {
		return refuse_errno("start.loop", "the event loop cannot be made", r);
	}
	r = uvx_signals_init(&p->signals, &p->loop, signums, 3, program_on_signal, p);
	if (r < 0) {
		return refuse_errno("start.loop", "signals cannot be caught", r);
	}
	watchdog_init(&p->watchdog, &p->loop);
	uvx_timer_init(&p->day, &p->loop, program_on_day, p);
	uvx_timer_every(&p->day, DAY_MS);
	const struct host_config c = {
		.loop = &p->loop,
		.settings = &p->settings,
		.state = &p->state,
		.paths = p->paths,
		.n_paths = p->n_paths,
		.sandbox = p->has_sandbox ? &p->sandbox : NULL,
		.sandbox_failure = p->sandbox.failure,
		.denied = &p->denied,
		.program_fd = p->program_fd,
		.python_fd = p->python_fd,
		.ready = program_on_ready,
		.context = p,
	};
	r = host_new(&p->host, &c);
	return r < 0 ? refuse_errno("start.host", "pluginhost cannot start", r) : 0;
}

static int prepare_process(void)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	(void)umask(022);
	/* Whatever we inherited goes no further. */
	if (close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC) < 0 ||
		sigaction(SIGPIPE, &ignore, NULL) < 0) {
		return refuse_errno("start.process", "the process cannot be prepared", -errno);
	}
	if (sodium_init() < 0 || map_init() < 0) {
		return refuse_errno("start.process", "no random numbers", -EIO);
	}
	return 0;
}

static int start(struct program *p)
{
	if (read_settings(p) < 0 || prepare_process() < 0) {
		return -1;
	}
	choose_identity(p);
	if (open_plugin_paths(p) < 0 || open_program(p) < 0 || open_state(p) < 0 ||
		open_sandbox(p) < 0 || give_up_privileges(p) < 0) {
		return -1;
	}
	return open_loop(p);
}

static void finish(struct program *p)
{
	(void)uv_loop_close(&p->loop);
	if (p->has_sandbox) {
		sandbox_host_deinit(&p->sandbox);
	}
	denied_close(&p->denied);
	discover_close(p->paths, p->n_paths);
	state_close(&p->state);
	buffer_deinit(&p->why);
}

static int print_text(const char *text)
{
	return fputs(text, stdout) < 0 || fflush(stdout) != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int print_help(void)
{
	struct buffer b;
	buffer_init(&b, HELP_MAX);
	int r = buffer_append(&b,
		SLICE("usage: mozaiks-pluginhost [--help | --version]\n\n"
		      "Settings, from the environment:\n\n"));
	r = r < 0 ? r : settings_describe(SETTINGS_HELP, &b);
	r = r < 0 ? r : buffer_append_byte(&b, 0);
	int status = r < 0 ? EXIT_FAILURE : print_text((const char *)b.p);
	buffer_deinit(&b);
	return status;
}

int main(int argc, char **argv)
{
	static struct program program = { .program_fd = -1, .python_fd = -1 };
	int role = role_main(argc, argv, runtimes);
	if (role >= 0) {
		return role;
	}
	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		return print_text("mozaiks-pluginhost " MOZAIKS_VERSION "\n");
	}
	if (argc == 2 && strcmp(argv[1], "--help") == 0) {
		return print_help();
	}
	if (argc > 1) {
		(void)fputs("usage: mozaiks-pluginhost [--help | --version]\n", stderr);
		return 2;
	}
	buffer_init(&program.why, WHY_MAX);
	if (start(&program) < 0) {
		return EXIT_FAILURE;
	}
	(void)uv_run(&program.loop, UV_RUN_DEFAULT);
	finish(&program);
	return EXIT_SUCCESS;
}
