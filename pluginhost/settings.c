#include "pluginhost/settings.h"

#include "common/base/settings.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#define AT(member) offsetof(struct settings, member)
#define KIB        UINT64_C(1024)
#define MIB        (1024 * KIB)
#define GIB        (1024 * MIB)

static const char *const environments[] = { "development", "production", NULL };
static const char *const level_names[] = { "error", "warning", "info", "debug", NULL };
static const enum log_level levels[] = { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

/* clang-format off */
static const struct setting table[] = {
	/* name, kind, where, default, min, max */
	{ "MOZAIKS_PLUGINS_PATH", SETTING_PATH, AT(plugins_path), "plugins",
		.help = "Where plugins are: directories, separated by colons. Of two plugins with one "
		  "name the first wins. A directory that is named must exist and be readable." },
	{ "MOZAIKS_STATE_PATH", SETTING_PATH, AT(state_path), NULL,
		.help = "Directory of everything that is kept; snapshots of plugins are in plugins/ below "
		  "it. Unset: ./var, or /var/lib/mozaiks-dev when root starts the program in a "
		  "place that others cannot reach." },
	{ "MOZAIKS_RUN_PATH", SETTING_PATH, AT(run_path), NULL,
		.help = "Directory of the director's sockets. Unset: run/ in the state directory." },
	{ "MOZAIKS_PYTHON_PATH", SETTING_PATH, AT(python_path), NULL,
		.help = "Directory of the Python packages that plugins import. Unset: the one the program "
		  "was built with." },
	{ "MOZAIKS_PLUGINHOST_NAME", SETTING_NAME, AT(name), "default", 1, 32,
		.help = "This pluginhost's name: the director listens for it at control/NAME.sock and "
		  "knows it by MOZAIKS_PLUGINHOSTS." },
	{ "ENV", SETTING_CHOICE, AT(environment), "development", .choices = environments,
		.help = "In development plugin directories are watched, and changes take effect at once." },
	{ "MOZAIKS_LOG_LEVEL", SETTING_CHOICE, AT(log_level_index), "info", .choices = level_names,
		.help = "The least important records that are written." },
	{ "MOZAIKS_AUTO_REFRESH_PLUGINS", SETTING_SWITCH, AT(auto_refresh), "0",
		.help = "Watches the plugin directories outside development, too." },
	{ "MOZAIKS_PLUGIN_REFRESH_SECONDS", SETTING_NUMBER, AT(refresh_seconds), "300", 1, 86400,
		.help = "How often plugin directories are looked at when nothing else asks for it." },
	{ "MOZAIKS_PLUGIN_SETTLE_MS", SETTING_NUMBER, AT(settle_ms), "200", 0, 60000,
		.help = "How many milliseconds a plugin's directory must rest before it is read, or be away "
			"before the plugin is removed." },
	{ "MOZAIKS_PLUGIN_GOOD_SECONDS", SETTING_SECONDS, AT(good_ms), "10", 0, 86400000,
		.help = "How long a version must serve before it is the one to fall back to." },
	{ "MOZAIKS_PLUGINS_MAX", SETTING_NUMBER, AT(plugins_max), "1000", 1, 10000,
		.help = "Plugins; more are left out." },
	{ "MOZAIKS_WORKERS_MAX", SETTING_NUMBER, AT(workers_max), "256", 1, 1000,
		.help = "Worker processes at a time." },
	{ "MOZAIKS_SPARE_WORKERS", SETTING_NUMBER, AT(spare_workers), "1", 0, 16,
		.help = "Processes that wait, forked and in a cgroup, for the next plugin that is "
		  "started, of each kind (Python, native). 0: each start waits for its own." },
	{ "MOZAIKS_SNAPSHOT_FILES", SETTING_NUMBER, AT(snapshot_files), "2000", 1, 1000000,
		.help = "Files and directories of one plugin." },
	{ "MOZAIKS_SNAPSHOT_BYTES", SETTING_BYTES, AT(snapshot_bytes), "64M", 1, 16 * GIB,
		.help = "Bytes of all files of one plugin." },
	{ "MOZAIKS_SNAPSHOT_DEPTH", SETTING_NUMBER, AT(snapshot_depth), "16", 1, WALK_DEPTH_MAX,
		.help = "Levels of directories in a plugin." },
	{ "MOZAIKS_SANDBOX_MEMORY", SETTING_BYTES, AT(memory_bytes), "256M", 16 * MIB, 1024 * GIB,
		.help = "Memory of a worker whose manifest asks for nothing." },
	{ "MOZAIKS_SANDBOX_MEMORY_MAX", SETTING_BYTES, AT(memory_max), "1G", 16 * MIB, 1024 * GIB,
		.help = "The most memory that a manifest can ask for; more is cut to it." },
	{ "MOZAIKS_SANDBOX_PIDS", SETTING_NUMBER, AT(processes), "64", 4, 4096,
		.help = "Processes and threads of a worker whose manifest asks for nothing." },
	{ "MOZAIKS_SANDBOX_PIDS_MAX", SETTING_NUMBER, AT(processes_max), "256", 4, 4096,
		.help = "The most processes and threads that a manifest can ask for; more are cut to it." },
	{ "MOZAIKS_SANDBOX_CPU", SETTING_NUMBER, AT(cpu_percent), "100", 1, 100000,
		.help = "Share of processor time of a worker whose manifest asks for nothing, in percent "
		  "of one core." },
	{ "MOZAIKS_SANDBOX_CPU_MAX", SETTING_NUMBER, AT(cpu_max), "400", 1, 100000,
		.help = "The largest share that a manifest can ask for; more is cut to it." },
	{ "MOZAIKS_SANDBOX_TMP", SETTING_BYTES, AT(tmp_bytes), "16M", 64 * KIB, 1 * GIB,
		.help = "Bytes in a worker's /tmp, which nobody else sees and which ends with it, and the "
		  "largest file there." },
	{ "MOZAIKS_SANDBOX_ADDRESS_SPACE", SETTING_BYTES, AT(address_space), "0", 0, 256 * GIB,
		.help = "Addresses of a worker, used or not; less than its memory counts as its memory. 0: "
		  "1 GiB for Python and 512 MiB for native plugins, or 768 MiB more than a memory over 256 "
		  "MiB." },
	{ "MOZAIKS_SANDBOX_FILES", SETTING_NUMBER, AT(open_files), "0", 0, 4096,
		.help = "Files that a worker may have open; 0: 64 for Python and 32 for native plugins." },
	{ "MOZAIKS_SANDBOX_ALL_MEMORY_PERCENT", SETTING_NUMBER, AT(all_memory_percent), "70", 1, 100,
		.help = "Memory of all workers together, in percent of the machine's." },
	{ "MOZAIKS_SANDBOX_ALL_PIDS", SETTING_NUMBER, AT(all_processes), "4096", 64, 1000000,
		.help = "Processes and threads of all workers together." },
	{ "MOZAIKS_SANDBOX_REQUIRE_CGROUP", SETTING_SWITCH, AT(require_cgroup), "0",
		.help = "Does not start where there are no cgroups to limit memory, processes and "
		  "processor time with." },
	{ "MOZAIKS_PLUGIN_LOG_RATE", SETTING_BYTES, AT(log_rate), "64K", 1 * KIB, 64 * MIB,
		.help = "Bytes per second of stdout and stderr that are logged, for each plugin. More is "
		  "dropped and counted." },
	{ "MOZAIKS_PLUGIN_LOG_BURST", SETTING_BYTES, AT(log_burst), "256K", 8 * KIB, 256 * MIB,
		.help = "Bytes of stdout and stderr at once, for each plugin." },
	{ "MOZAIKS_PLUGIN_LOG_LINE", SETTING_BYTES, AT(log_line), "8K", 80, 8 * KIB,
		.help = "The longest line; the rest of a longer one is cut off." },
	{ "MOZAIKS_PLUGIN_LOG_TAIL", SETTING_BYTES, AT(log_tail), "2K", 0, 8 * KIB,
		.help = "The last of a worker's stdout and stderr that is remembered with its end." },
};

/* Pairs in which the first may not be greater than the second. */
static const struct {
	const char *name, *max_name;
	size_t value, max;
} ordered[] = {
	{ "MOZAIKS_SANDBOX_MEMORY", "MOZAIKS_SANDBOX_MEMORY_MAX", AT(memory_bytes), AT(memory_max) },
	{ "MOZAIKS_SANDBOX_PIDS", "MOZAIKS_SANDBOX_PIDS_MAX", AT(processes), AT(processes_max) },
	{ "MOZAIKS_SANDBOX_CPU", "MOZAIKS_SANDBOX_CPU_MAX", AT(cpu_percent), AT(cpu_max) },
	{ "MOZAIKS_PLUGIN_LOG_LINE", "MOZAIKS_PLUGIN_LOG_BURST", AT(log_line), AT(log_burst) },
};
/* clang-format on */

const struct setting *settings_rows(size_t *ret_n)
{
	*ret_n = sizeof(table) / sizeof(table[0]);
	return table;
}

static uint64_t number_at(const struct settings *s, size_t offset)
{
	uint64_t n;
	memcpy(&n, (const uint8_t *)s + offset, sizeof(n));
	return n;
}

static int check_order(const struct settings *s, struct buffer *message)
{
	for (size_t i = 0; i < sizeof(ordered) / sizeof(ordered[0]); i++) {
		unsigned long long value = number_at(s, ordered[i].value);
		unsigned long long max = number_at(s, ordered[i].max);
		if (value > max) {
			int r = buffer_printf(message,
				"%s=%llu: must not be greater than %s, which is %llu",
				ordered[i].name, value, ordered[i].max_name, max);
			return r < 0 ? r : SETTINGS_E_INVALID;
		}
	}
	return 0;
}

int settings_load(struct settings *s, struct buffer *message)
{
	struct settings read = { 0 };
	int r = settings_read(table, sizeof(table) / sizeof(table[0]), &read, message);
	if (r == 0) {
		r = check_order(&read, message);
	}
	if (r != 0) {
		return r;
	}
	read.plugins_path_given = setting_is_set("MOZAIKS_PLUGINS_PATH");
	read.log_level = levels[read.log_level_index];
	read.watch = read.auto_refresh || read.environment == 0;
	read.snapshot = (struct snapshot_limits){
		.walk = { .entries = read.snapshot_files, .depth = read.snapshot_depth },
		.bytes = read.snapshot_bytes,
		.settle_ms = read.settle_ms,
	};
	*s = read;
	return 0;
}
