/*
 * cgroups of the workers: version 2 where the subtree is delegated, else version 1 where its
 * controllers are writable, else none (rlimits alone). Always below the cgroup pluginhost was
 * started in, never beside it.
 *
 * pluginhost calls these functions; a worker never sees a cgroup file.
 */
#pragma once

#include "pluginhost/worker.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum cgroup_kind { CGROUP_NONE, CGROUP_V1, CGROUP_V2 };

enum cgroup_controller {
	CGROUP_MEMORY,
	CGROUP_PIDS,
	CGROUP_CPU,
	CGROUP_CPUACCT, /* version 1 only */
	CGROUP_CONTROLLERS,
};

/* The directory of pluginhost's workers in each hierarchy; -1 where there is none. With version 2
 * all point to the same directory. */
struct cgroup_root {
	enum cgroup_kind kind;
	int dir[CGROUP_CONTROLLERS];
	bool has_cpu;
	int lock; /* version 2: keeps the name ours; version 1 locks each of dir[] */
	char why_none[128];
};

/* One worker's. */
struct cgroup {
	enum cgroup_kind kind;
	char name[32];
};

struct cgroup_usage {
	uint64_t memory_bytes;
	uint64_t memory_peak_bytes; /* 0 where the kernel does not tell */
	uint64_t cpu_us;
	uint64_t oom_kills;
};

/**
 * Finds the best kind there is and makes the subtree, owned by `uid`/`gid`.
 * @param name of this pluginhost.
 * @return 0 also when there is none (kind CGROUP_NONE, `why_none`); a negative errno is unexpected.
 */
int cgroup_root_init(struct cgroup_root *root, const char *name, uid_t uid, gid_t gid);

/** The same with another /proc/self: for tests. */
int cgroup_root_init_at(
	struct cgroup_root *root, const char *proc, const char *name, uid_t uid, gid_t gid);

/**
 * Limits all workers together. To be called while there are still the rights of cgroup_root_init(),
 * which has set 70 % of the machine's memory and 4,096 processes.
 * @return 0, also without cgroups; or a negative errno.
 */
int cgroup_root_limit(const struct cgroup_root *root, unsigned memory_percent, uint64_t processes);

/**
 * Removes workers' cgroups that were still busy when their worker was reaped: the kernel lets go of
 * a process a little later. Those of living workers stay.
 * @return how many are there.
 */
unsigned cgroup_sweep(const struct cgroup_root *root);

/** Closes the descriptors, after the last workers' cgroups were removed. The empty subtree stays and
 * is taken over by the next run. */
void cgroup_root_deinit(struct cgroup_root *root);

/**
 * Removes the subtree that pluginhosts of that name left behind; what is in use stays. For who
 * outlives them with the rights that pluginhost gave up.
 */
void cgroup_root_clean(const char *name);

const char *cgroup_kind_name(enum cgroup_kind kind);

/** Makes the cgroup of a worker with its limits. @return 0 or a negative errno. */
int cgroup_create(const struct cgroup_root *root,
	struct cgroup *g,
	uint64_t worker_id,
	const struct worker_limits *limits);

/** Moves a process into it. The process must still have pluginhost's own uid (version 1). */
int cgroup_enter(const struct cgroup_root *root, const struct cgroup *g, pid_t pid);

/** New limits for a running worker; fields that are 0 stay. */
int cgroup_limit(
	const struct cgroup_root *root, const struct cgroup *g, const struct worker_limits *limits);

/** What it has used. Zeros where nothing is known. */
void cgroup_usage(
	const struct cgroup_root *root, const struct cgroup *g, struct cgroup_usage *ret_usage);

/** Removes it. @return 0, or -EBUSY while a process is in it: try again later. */
int cgroup_remove(const struct cgroup_root *root, struct cgroup *g);
