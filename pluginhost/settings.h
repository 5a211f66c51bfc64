/*
 * What pluginhost is told by its environment: one table (settings.c), checked before anything else.
 * The man page mozaiks-pluginhost(8) lists every setting with its meaning.
 */
#pragma once

#include "common/base/buffer.h"
#include "common/base/log.h"
#include "common/base/settings.h"
#include "pluginhost/snapshot.h"

#include <stdbool.h>
#include <stdint.h>

enum { PLUGIN_PATHS_MAX = 32 };

struct settings {
	/* Colon-separated; `plugins_path_given` when it is not the default. */
	const char *plugins_path;
	bool plugins_path_given;
	/* NULL: see state.h. */
	const char *state_path;
	/* NULL: <state>/run. */
	const char *run_path;
	const char *name;
	/* 0: development. */
	int environment;
	const char *python_path;
	int log_level_index;
	enum log_level log_level;
	bool auto_refresh;
	/* ENV is unset or "development", or MOZAIKS_AUTO_REFRESH_PLUGINS=1. */
	bool watch;
	uint64_t refresh_seconds;
	uint64_t plugins_max;
	uint64_t workers_max;
	uint64_t spare_workers;

	uint64_t snapshot_files;
	uint64_t snapshot_bytes;
	uint64_t snapshot_depth;
	uint64_t settle_ms;
	uint64_t good_ms; /* until a version is the last good one */
	struct snapshot_limits snapshot;

	/* Per worker: what it gets when nobody asks for something else, and what can be asked for. */
	uint64_t memory_bytes, memory_max;
	uint64_t processes, processes_max;
	uint64_t cpu_percent, cpu_max;
	uint64_t tmp_bytes;
	uint64_t address_space; /* 0: as the memory and the profile have it */
	uint64_t open_files;    /* 0: the profile's */
	bool require_cgroup;
	/* Of all workers together. */
	uint64_t all_memory_percent;
	uint64_t all_processes;

	/* Per plugin, for stdout and stderr. */
	uint64_t log_rate;
	uint64_t log_burst;
	uint64_t log_line;
	uint64_t log_tail; /* of one worker */
};

/** As settings_read(): 0, SETTINGS_E_INVALID with a message, or a negative errno. */
int settings_load(struct settings *s, struct buffer *message);

/** The table. */
const struct setting *settings_rows(size_t *ret_n);

enum settings_form { SETTINGS_HELP, SETTINGS_MAN };

/** Appends all settings with defaults, meaning and rules, for --help or for the manual page.
 * @return 0, -ENOBUFS, -ENOMEM. */
int settings_describe(enum settings_form form, struct buffer *out);
