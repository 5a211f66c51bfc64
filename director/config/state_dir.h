/*
 * The state directory (what is kept) and the run directory (sockets to pluginhost and workers).
 *
 *   <state>/director.lock   held while a director runs; its pid
 *   <state>/jwt_secret      0600, made in development when none is given
 *   <state>/…               the store, the registry, the admin socket: their modules'
 *   <run>/control/          a socket for each pluginhost
 *   <run>/workers/          a directory for each worker
 *
 * Both belong to the director alone and are 0751: their group is the one that director and
 * pluginhost share, so that pluginhost can reach its sockets; others may pass through to a name that
 * they know (the zygote, which has no group, to its snapshots) but see no list. What is secret in
 * them has a mode of its own.
 * Nobody else may write in them. Started by root, a path that ends in a symbolic link is refused.
 *
 * Started as root, this runs first, as root: it makes the directories and hands them and the
 * director's own files in them to UID_DIRECTOR; then privileges_drop().
 */
#pragma once

#include "common/base/slice.h"

#include <stdbool.h>
#include <sys/types.h>

enum { STATE_WHY_SIZE = 512 };

struct state_dir {
	char *path;     /* absolute */
	char *run_path; /* absolute */
	int fd;         /* of the state directory */
	int lock_fd;
	bool chosen; /* no path was given: the program says which one it took */
};

#define STATE_DIR_NULL ((struct state_dir){ .fd = -1, .lock_fd = -1 })

struct state_dir_config {
	const char *state_path; /* NULL: ./var, or /var/lib/mozaiks-dev; see state_dir_open() */
	const char *run_path;   /* NULL: <state>/run */
	/* Whose it will be: UID_DIRECTOR and GID_CHANNEL, or who we are. */
	uid_t uid;
	gid_t gid;
	size_t longest_pluginhost; /* bytes of the longest name */
};

/** Fills in who it will be: by identity_is_root(). */
void state_dir_config_init(struct state_dir_config *config);

/**
 * Opens both directories, creates what is missing, locks the state directory.
 *
 * Without a state path it is ./var; when root starts it, and the later user could not get through
 * to ./var, it is /var/lib/mozaiks-dev. A given path that the later user cannot reach is an error.
 * A directory that root would have to take over is taken only when nothing foreign is in it.
 *
 * @param why for the operator when it fails: names the setting, the path and what to do.
 * @return 0; -EBUSY: another director holds the lock; -EACCES, -EPERM, -ENOTDIR, -ELOOP,
 *   -ENAMETOOLONG and others.
 */
int state_dir_open(struct state_dir *ret,
	const struct state_dir_config *config,
	char why[static STATE_WHY_SIZE]);

/** Closes, which releases the lock. The files stay. */
void state_dir_close(struct state_dir *s);

/** Can a process with this identity get into the directory? Modes only, no ACLs. */
bool state_dir_reachable(const char *path, uid_t uid, gid_t gid);
