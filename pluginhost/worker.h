/*
 * A worker: one sandboxed process that runs one plugin, from the fork to the plugin's first line.
 *
 * This header has what both sides share: the limits pluginhost asks for, and the context that the
 * runtime (runtime/runtime.h) gets inside the finished sandbox. worker.c has the launch itself.
 */
#pragma once

#include "common/base/slice.h"

#include <stdint.h>

enum {
	/* Plugin ids are [A-Za-z0-9_-]{1,64}, versions are names of snapshot directories. */
	WORKER_PLUGIN_MAX = 64,
	WORKER_VERSION_MAX = 80,
	/* The descriptors of a worker: 0 is /dev/null, 1 and 2 are pipes to pluginhost. */
	WORKER_FD_CHANNEL = 3,
	/* Exit status of a worker whose sandbox could not be built completely. */
	WORKER_EXIT_SANDBOX = 125,
	/* Exit status of a runtime that cannot go on (no memory, broken channel at start). */
	WORKER_EXIT_RUNTIME = 124,
};

/* Which program a worker is. */
enum worker_flavour { WORKER_PYTHON, WORKER_NATIVE };

/* Which filter and which files it gets (sandbox/profile.h). */
enum worker_profile { PROFILE_PYTHON, PROFILE_NATIVE, PROFILE_NATIVE_NOFS };

/* Limits of one worker. 0 means the profile's default (sandbox/profile.c). */
struct worker_limits {
	uint64_t memory_bytes;        /* cgroup; manifest limits.memory */
	uint64_t address_space_bytes; /* RLIMIT_AS */
	uint64_t file_size_bytes;     /* RLIMIT_FSIZE */
	uint64_t tmp_bytes;           /* size of /tmp */
	uint32_t tmp_files;           /* inodes of /tmp */
	uint32_t processes;           /* pids cgroup; threads count */
	uint32_t threads;             /* RLIMIT_NPROC, only with a uid of the worker's own */
	uint32_t open_files;          /* RLIMIT_NOFILE */
	uint32_t cpu_percent;         /* of one core; cgroup */
};

struct filter_program;

/* What a runtime sees. Everything stays valid until the worker ends. */
struct worker_context {
	uint64_t worker_id;
	const char *plugin;     /* id; its files are in /plugins/<id>, read-only */
	const char *plugin_dir; /* "/plugins/<id>" */
	const char *version;
	int channel_fd; /* WORKER_FD_CHANNEL: connected, no byte sent yet */
	struct worker_limits limits;
	struct slice report; /* JSON object for HELLO: what the sandbox really is */
	/* The second filter of native workers: applied with worker_seal() once the plugin is loaded. */
	const struct filter_program *final_filter;
};

/**
 * Takes away what only loading needed (PROT_EXEC mappings, with PROFILE_NATIVE_NOFS all files).
 * Applies to every thread. Ends the process with WORKER_EXIT_SANDBOX on failure.
 */
void worker_seal(const struct worker_context *ctx);
