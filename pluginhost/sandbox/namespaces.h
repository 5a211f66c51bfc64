/*
 * Namespaces: the user namespace that pluginhost makes once and keeps as a descriptor, and the steps
 * by which zygotes and workers enter theirs.
 *
 * Inside the user namespace id 0 is pluginhost itself (the zygote); ids 1 to n are the block of
 * worker ids, when there is one. No user namespace may be made inside it.
 */
#pragma once

#include "pluginhost/sandbox/sandbox.h"

#include <stddef.h>

/* An id range in the parent's numbers. */
struct id_block {
	uid_t first_uid;
	gid_t first_gid;
	unsigned count;
};

/**
 * Reads the ranges of `user` (a name or a number) from files in the format of subuid(5).
 * @return 0, -ENOENT when one of the two has no range for the user, or a negative errno.
 */
int id_block_find(const char *subuid_path,
	const char *subgid_path,
	const char *user,
	uid_t uid,
	struct id_block *ret_block);

/**
 * Makes the user namespace owned by h->uid and fills user_ns, uids, first_uid, n_slots and
 * nested_user_ns. Tries, in this order: the maps written with the capabilities at hand, the
 * programs newuidmap and newgidmap, a map of the own id alone.
 * @param name of this pluginhost; which of several blocks of ids is its own.
 * @return 0 or a negative errno with h->failure.
 */
int user_ns_create(struct sandbox_host *h, const char *name);

/**
 * Between fork and exec of a zygote: enters the user namespace and fresh ones of every other kind.
 * The new PID namespace holds from the next fork. Only async-signal-safe calls.
 * @param dir_fd becomes the working directory before the mount namespace is copied, so that the
 *   copy can be reached although its parents may not be searchable; -1 for none.
 * @return NULL, or the name of the failed call with errno set.
 */
const char *namespaces_enter_zygote(int user_ns, enum sandbox_uids uids, int dir_fd);

/**
 * In a new worker, which is PID 1 of its PID namespace already: mount, network, IPC, UTS and cgroup
 * namespaces of its own. @return NULL, or the name of the failed call with errno set.
 */
const char *namespaces_enter_worker(void);
