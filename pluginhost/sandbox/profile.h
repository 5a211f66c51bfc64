/*
 * The sandbox as data: what each kind of worker may have. One row per profile; the tables that the
 * rows refer to are beside the code that applies them (mounts.c, landlock.c, seccomp.c).
 *
 * Configuration can only tighten: limits are lowered per worker, nothing else can be changed.
 */
#pragma once

#include "pluginhost/worker.h"

/* Rows of the file tables in mounts.c and landlock.c. */
enum file_set {
	FILES_LIBRARIES = 1, /* shared libraries, the loader and its cache */
	FILES_PYTHON = 2,    /* standard library, dist-packages, our packages, time zones */
	FILES_PLUGIN = 4,    /* the plugin's snapshot */
	FILES_TMP = 8,       /* a private /tmp, the only writable place */
	FILES_DEVICES = 16,  /* /dev/null, /dev/urandom */
};

/* Columns of the system call table in seccomp.c: one compiled filter each. */
enum filter_id {
	FILTER_PYTHON,
	FILTER_NATIVE_LOAD, /* until the plugin is loaded: file mappings may be executable */
	FILTER_NATIVE,
	FILTER_NATIVE_NOFS,
	FILTERS,
};

struct sandbox_profile {
	const char *name;
	enum worker_flavour flavour;
	unsigned files; /* enum file_set, or-ed */
	enum filter_id filter;
	/* Loaded over `filter` by worker_seal(); the same when there is no second stage. */
	enum filter_id final_filter;
	/* Defaults. The upper bounds are SANDBOX_LIMITS_MAX. */
	struct worker_limits limits;
};

extern const struct worker_limits sandbox_limits_max;

/** The table's row. Never NULL for a value of the enum. */
const struct sandbox_profile *sandbox_profile(enum worker_profile profile);

/** Replaces zeros by the profile's defaults and cuts what is over sandbox_limits_max. */
void sandbox_limits_fill(const struct sandbox_profile *profile, struct worker_limits *limits);
