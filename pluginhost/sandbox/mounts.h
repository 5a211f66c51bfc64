/*
 * The files that zygotes and workers see.
 *
 * A zygote builds one tree per generation from the table below and pivots into it, so that it never
 * sees the host's files again. Beside the table's rows it holds the snapshots of all plugins at
 * /snapshots. A worker copies that small tree with its mount namespace, puts its own plugin at
 * /plugins/<id> and a private /tmp over it, and takes /snapshots away.
 *
 * Everything but /tmp is read-only, /tmp is noexec; nothing honours set-user-id bits or devices
 * except the two that are bound. No /proc, no /sys.
 */
#pragma once

#include "pluginhost/sandbox/profile.h"

enum mount_kind {
	MOUNT_DIRECTORY,
	MOUNT_FILE,
	MOUNT_DEVICE,
	/* A symbolic link of the host is made again; a directory is bound. */
	MOUNT_LINK,
};

struct mount_row {
	unsigned files; /* enum file_set */
	const char *path;
	enum mount_kind kind;
	bool optional;
	bool writable; /* for Landlock: /dev/null */
};

/** The table, for Landlock, which has one rule per row. */
const struct mount_row *mount_table(size_t *ret_n);

/* Why a step failed: `call` is the system call, `path` what it was about. */
struct mount_failure {
	const char *call;
	char path[128];
};

/**
 * In a zygote, in a mount namespace of its own: builds the tree and makes it the root.
 * @param files or-ed enum file_set: which rows.
 * @param snapshots_path absolute path of the host, without symbolic links.
 * @param python_cwd the working directory is to appear at /mozaiks/python.
 * @return 0 or a negative errno.
 */
int mounts_build_tree(unsigned files,
	const char *snapshots_path,
	bool python_cwd,
	struct mount_failure *ret_failure);

/**
 * In a worker, in a mount namespace copied from its zygote's.
 * @param version "": nothing is bound, the plugin's directory is empty.
 * @param uid owner of /tmp, as seen in the user namespace.
 */
int mounts_enter_worker(const struct sandbox_profile *profile,
	const char *plugin,
	const char *version,
	const struct worker_limits *limits,
	unsigned uid,
	struct mount_failure *ret_failure);
