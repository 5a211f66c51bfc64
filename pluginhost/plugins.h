/*
 * The plugins of this host and their newest versions: looks at the plugin paths (discover), takes
 * snapshots, reads manifests, and tells the director what there is.
 *
 *   refresh -> scan -> per plugin: snapshot in small steps -> manifest -> report when it differs
 *
 * A refresh begins at start, when something changed (watched paths), every refresh_seconds, and when
 * asked. Work is cut into slices of a few milliseconds, one per turn of the loop.
 *
 * An entry of the report, which travels in PLUGINS:
 *
 *   {"id":"hello","version":"<sha256>"|null,"last_good":"<sha256>"|null,"kind":"mozaiks",
 *    "state":"ready"|"broken","error":null|"…","entry":"logic.py","source":"plugins/hello",
 *    "manifest":{…}|null}
 *
 * `version` is the newest one that can be started. A broken plugin is one whose directory, as it is
 * now, cannot become a version; `error` says why, and `version` is the one before, if any.
 * `last_good` is the newest version of which a worker has lived for some time; it survives a restart
 * of this program. `manifest` is the normalised one of `version`.
 *
 * Thread: the loop's.
 */
#pragma once

#include "common/uvx/close.h"
#include "pluginhost/discover.h"
#include "pluginhost/manifest.h"
#include "pluginhost/settings.h"
#include "pluginhost/snapshot.h"

#include <uv.h>

enum {
	/* Time for one slice of work. */
	PLUGINS_SLICE_MS = 5,
	/* A plugin that changes while it is read is tried again this often before it is broken. */
	PLUGINS_TRIES_MAX = 25,
};

struct plugins;

struct plugins_config {
	uv_loop_t *loop;
	const struct settings *settings;
	/* Borrowed for the life of the table. */
	const struct plugin_path *paths;
	size_t n_paths;
	/* <state>/plugins. */
	int store_fd;

	/* The report differs from the one before, the first one is there, or it was asked for. */
	void (*changed)(void *context);
	/* Does a worker run this version? */
	bool (*in_use)(void *context, const char *id, const char *version);
	void *context;
};

/** @return 0 or a negative errno. Nothing happens before plugins_refresh(). */
int plugins_new(struct plugins **ret, const struct plugins_config *config);

/** Stops and frees; `closed` comes later from the loop. */
void plugins_close(struct plugins *p, uvx_closed_fn closed, void *arg);

/**
 * Look again, now or when the look in progress is over.
 * @param report tell the list at its end even if it is the same.
 */
void plugins_refresh(struct plugins *p, bool report);

/** Has every plugin been looked at once? */
bool plugins_are_known(const struct plugins *p);

/**
 * Appends the report: one JSON object per plugin, by id.
 * @param emit called for each; a negative result stops and is passed on.
 * @param entry a buffer for one object; its limit should be FRAME_PAYLOAD_MAX.
 */
int plugins_report(const struct plugins *p,
	struct buffer *entry,
	int (*emit)(void *context, struct slice entry),
	void *context);

/**
 * Can this version be started, and how?
 * @return the kind, or PLUGIN_UNKNOWN when there is no such version.
 */
enum plugin_kind plugins_kind_of(const struct plugins *p, const char *id, const char *version);

/** A worker of this version has lived long enough to call it good; kept over restarts. */
void plugins_mark_good(struct plugins *p, const char *id, const char *version);

/** A worker of this plugin ended: what is not needed any more may go. */
void plugins_prune(struct plugins *p, const char *id);
