/*
 * What is in the plugin paths: directories and single files, by name and by the files that tell
 * their kind. Looks, but reads and runs no plugin; that a directory may be a plugin at all is the
 * snapshot's question.
 *
 *   <path>/<id>/              with logic.py, backend/logic.py, logic.so, plugin.py + manifest.json,
 *                             or an __init__.py that has register()
 *   <path>/<id>.py            a single file
 *   <path>/<category>/<id>/   a directory without any of those files is looked into, once
 *
 * Ids are [A-Za-z0-9_-]{1,64}, do not start with _ or ., and are not reserved. Of two with the same
 * id the first in the order of the paths, then of names, wins.
 *
 * The paths are opened once, before privileges are given up, and everything is reached through those
 * descriptors without following a link. Thread: the loop's.
 */
#pragma once

#include "pluginhost/walk.h"

enum {
	PLUGIN_ID_SIZE = 65,
	/* "<category>/<id>" and NUL, or "<id>.py". */
	PLUGIN_SOURCE_SIZE = 2 * PLUGIN_ID_SIZE + 8,
	/* Names in one directory of a plugin path. */
	DISCOVER_NAMES_MAX = 10000,
	/* All complaints together. */
	DISCOVER_COMPLAINTS_MAX = 64 * 1024,
};

enum plugin_kind { PLUGIN_UNKNOWN, PLUGIN_MOZAIKS, PLUGIN_NATIVE, PLUGIN_NEXUS, PLUGIN_DOTMAC };

/** "unknown", "mozaiks", "native", "nexus", "dotmac". */
const char *plugin_kind_name(enum plugin_kind kind);

/** [A-Za-z0-9_-]{1,64}, not starting with _ or a dot; reserved ones too. */
bool plugin_id_is_valid(struct slice id);

/** A name that core or a kind of plugin uses itself; in any case of letters. */
bool plugin_id_is_reserved(struct slice id);

struct plugin_path {
	char *path;
	int fd;
};

struct found {
	char id[PLUGIN_ID_SIZE];
	enum plugin_kind kind;
	/* logic.so stands beside logic.py: the manifest's `runtime` may pick it. */
	bool has_native;
	/* Index of the plugin path, and where it is in it. */
	size_t path;
	char source[PLUGIN_SOURCE_SIZE];
	bool single_file;
	/* Relative to the snapshot; "" when there is none. */
	const char *entry;
	/* Why it cannot be used, or NULL. Static text. */
	const char *error;
};

struct discovery {
	/* By id. */
	struct found *found;
	size_t n;
	size_t room;
	/* What was left out and why: one line each, for the log. */
	struct buffer complaints;
};

/**
 * Opens the colon-separated paths. Empty parts and repetitions are left out.
 * @param given false for the default: then a missing directory is only a complaint.
 * @param why gets the sentence for -ENOENT and the like: which path, what is wrong.
 * @return the number of open paths, or a negative errno.
 */
int discover_open(
	const char *paths, bool given, struct plugin_path out[], size_t max, struct buffer *why);

/**
 * Checks that the open paths can be read with the rights we have now.
 * @return 0 or a negative errno with its sentence in `why`.
 */
int discover_check(const struct plugin_path paths[], size_t n, struct buffer *why);

void discover_close(struct plugin_path paths[], size_t n);

struct discover_config {
	const struct plugin_path *paths;
	size_t n_paths;
	size_t plugins_max;
	/* A directory that is never looked into: the state directory may lie in a plugin path. */
	dev_t skip_dev;
	ino_t skip_ino;
	/* Told of each directory that is read; may be NULL. */
	const struct walk_hooks *hooks;
};

/**
 * Looks at all paths.
 * @return 0 or a negative errno (memory); a path that cannot be read is a complaint.
 */
int discover_scan(const struct discover_config *config, struct discovery *ret);

/**
 * Tells by its files of which kind a directory is: kind, has_native, entry and error of `f`.
 * @return false when nothing says that it is a plugin.
 */
bool discover_kind(int dir_fd, struct found *f);

void discovery_deinit(struct discovery *d);
