/*
 * The fences that the director puts round itself, before a client or a worker can reach it.
 *
 *   confine_files()  Landlock: the state, what the settings name, and what libraries read; nothing
 *                    new listens on TCP, nobody else is signalled (by what the kernel's ABI has)
 *   confine_calls()  seccomp (calls.c): what the director and its libraries do once it runs; any
 *                    other call kills the process
 *
 * A kernel that lacks one of them is a warning in the log, which names it; being forbidden to ask for
 * one (a unit, a container) is a mistake in the configuration and ends the start.
 */
#pragma once

#include "common/confine/filter.h"
#include "common/confine/landlock.h"

enum { CONFINE_WHY_SIZE = 512, CONFINE_PATHS_MAX = 16, CONFINE_PATH_BYTES = 4096 };

enum confine_mode {
	CONFINE_ENFORCE,
	CONFINE_LOG, /* calls outside the filter are only logged by the kernel */
	CONFINE_OFF,
};

/**
 * What can be had of what the setting asks for: sanitizers and their leak check need calls that no
 * filter can allow, so that a build with them is CONFINE_OFF.
 */
enum confine_mode confine_mode_of(int setting);

/* The paths that depend on the settings. */
struct confine_paths {
	struct landlock_rule rules[CONFINE_PATHS_MAX];
	char texts[CONFINE_PATHS_MAX][CONFINE_PATH_BYTES];
	size_t n;
};

/**
 * Adds a path; it is copied. @param optional it may be missing.
 * @return 0; -ENOBUFS; -ENAMETOOLONG.
 */
int confine_paths_add(
	struct confine_paths *paths, const char *path, enum landlock_access access, bool optional);

enum {
	CONFINE_E_MISSING = 1, /* the kernel does not have it: nothing is confined */
};

/**
 * Restricts the calling thread and all that it starts. Before threads exist; needs no_new_privs.
 * @param ret_abi Landlock's version.
 * @param why for the operator, when the answer is negative.
 * @return 0, CONFINE_E_MISSING or a negative errno.
 */
int confine_files(const struct confine_paths *own, int *ret_abi, char why[static CONFINE_WHY_SIZE]);

/**
 * Loads the filter for all threads. Last: what is only done at the start is not in it.
 * @param mode not CONFINE_OFF.
 * @param ret_instructions the filter's length.
 * @return as confine_files().
 */
int confine_calls(
	enum confine_mode mode, unsigned *ret_instructions, char why[static CONFINE_WHY_SIZE]);

/* The rows of calls.c. */
extern const struct filter_policy confine_policy;

enum { CONFINE_COLUMN = 1 };
