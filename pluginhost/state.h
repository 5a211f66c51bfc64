/*
 * Where pluginhost keeps things:
 *
 *   <state>/plugins/          the store of snapshots (snapshot.h), pluginhost's own
 *   <state>/plugins/.lock     held while a pluginhost runs; its pid
 *   <run>/                    the director's sockets; pluginhost only connects
 *
 * <state> itself belongs to whoever makes it first; the director takes it over when it runs as
 * somebody else. Several pluginhosts for one director have a state directory each and share <run>
 * (MOZAIKS_RUN_PATH).
 *
 * As root: called as root, for the user that comes after. Before threads exist.
 */
#pragma once

#include "common/base/buffer.h"
#include "pluginhost/discover.h"

#include <limits.h>
#include <sys/types.h>

struct state {
	/* All absolute and without links. */
	char path[PATH_MAX];
	char store_path[PATH_MAX];
	/* As given or <state>/run; it need not exist yet. */
	char run_path[PATH_MAX + 16];
	int store_fd;
	int lock_fd;
	/* No path was given: the program says which one it took. */
	bool chosen;
};

struct state_config {
	/* NULL: ./var; or /var/lib/mozaiks-dev when root starts it and the user after could not get
	 * through to ./var. */
	const char *state_path;
	/* NULL: <state>/run. */
	const char *run_path;
	uid_t uid;
	gid_t gid;
	/* The store must not be one of these. */
	const struct plugin_path *paths;
	size_t n_paths;
};

/**
 * Opens the store, makes what is missing, takes the lock (waits up to 3 s for a predecessor's end).
 * As root a store of somebody else is emptied of snapshots and taken over, unless something that is
 * no snapshot is in it.
 * @param why the sentence for the operator: setting, path, what is wrong.
 * @return 0 or a negative errno.
 */
int state_open(struct state *ret, const struct state_config *config, struct buffer *why);

/** Once we are who we shall be: can we still get there, by path? @return as state_open(). */
int state_check(const struct state *s, struct buffer *why);

void state_close(struct state *s);
