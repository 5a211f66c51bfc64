/*
 * Landlock: a fence that a process puts round itself: which files, whether TCP, whom it may signal.
 * The masks are built from a table per ABI: what the running kernel knows is handled, an unknown bit
 * is never passed.
 *
 * Debian's headers end at ABI 2, so the constants are our own (Documentation/userspace-api/landlock).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/**
 * @return the kernel's ABI version; 0 when it has no Landlock; -EPERM when something above us
 *   forbids to ask, which is a mistake in the configuration and fatal.
 */
int landlock_abi(void);

/* One rule: what may be done below a path. */
enum landlock_access {
	LANDLOCK_READ,    /* read files, list directories */
	LANDLOCK_FILE,    /* read this file */
	LANDLOCK_WRITE,   /* read and write this file (a device) */
	LANDLOCK_ALL,     /* everything but execute and special files */
	LANDLOCK_SOCKETS, /* the same, and make unix sockets */
};

struct landlock_rule {
	const char *path;
	enum landlock_access access;
	bool optional; /* the path may be missing, or out of reach */
};

enum landlock_network {
	LANDLOCK_NO_NETWORK,
	LANDLOCK_CONNECTS, /* outgoing connections; nothing new is listened on */
};

/**
 * Restricts the calling thread and those it starts later, for good: only what the rules allow; no
 * TCP but what `network` says, no signals and no abstract sockets across its border, as far as the
 * ABI has them. Needs no_new_privs.
 * @param abi from landlock_abi(), above 0.
 * @return 0 or a negative errno; `ret_path` is the rule it stumbled over, or NULL.
 */
int landlock_restrict(int abi,
	const struct landlock_rule *rules,
	size_t n,
	enum landlock_network network,
	const char **ret_path);
