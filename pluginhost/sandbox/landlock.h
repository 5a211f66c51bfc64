/*
 * Landlock: a second fence round the files, of use when a mount is wrong. The masks are built from a
 * table per ABI: what the running kernel knows is handled, an unknown bit is never passed.
 *
 * Debian's headers end at ABI 2, so the constants are our own (Documentation/userspace-api/landlock).
 */
#pragma once

#include "pluginhost/sandbox/profile.h"

/**
 * @return the kernel's ABI version; 0 when it has no Landlock; -EPERM when something above us
 *   forbids to ask, which is a mistake in the configuration and fatal.
 */
int landlock_abi(void);

/* One rule: what may be done below a path. */
enum landlock_access {
	LANDLOCK_READ,  /* read files, list directories */
	LANDLOCK_FILE,  /* read this file */
	LANDLOCK_WRITE, /* read and write this file (a device) */
	LANDLOCK_ALL,   /* everything but execute and special files */
};

struct landlock_rule {
	const char *path;
	enum landlock_access access;
	bool optional; /* the path may be missing */
};

/**
 * Restricts the calling thread, for good: only what the rules allow; no TCP, no signals and no
 * abstract sockets across its border where the ABI has them. Needs no_new_privs.
 * @param abi from landlock_abi(), above 0.
 * @return 0 or a negative errno; `ret_path` is the rule it stumbled over, or NULL.
 */
int landlock_restrict(int abi, const struct landlock_rule *rules, size_t n, const char **ret_path);

/** The rules of a worker: the rows of mount_table() that its profile has, /plugins and /tmp. */
int landlock_enter_worker(int abi, const struct sandbox_profile *profile, const char **ret_path);
