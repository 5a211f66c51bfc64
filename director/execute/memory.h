/*
 * Step 4, the director's own memory: when too much of what it may use is in use, new calls are refused
 * before their bodies are read. Health, lists and the operator are served on.
 *
 * What counts is private memory, of which /proc/self/statm tells. Loop thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
	MEMORY_SHORT_PERCENT = 80,
	/* How old a reading may be. */
	MEMORY_CHECK_MS = 100,
};

struct memory_watch {
	int statm;     /* descriptor, -1 for none: a confined process could not open it later */
	uint64_t high; /* bytes, 0 for no limit */
	uint64_t used; /* bytes, at the last reading */
	uint64_t read_ms;
	bool is_read;
};

#define MEMORY_WATCH_NULL   \
	{                   \
		.statm = -1 \
	}

/**
 * Starts to watch. Before the director confines itself.
 * @param high bytes; 0: the limit of the process's memory cgroup, if it has one.
 * @return 0 or a negative errno. */
int memory_watch_open(struct memory_watch *m, uint64_t high);
void memory_watch_close(struct memory_watch *m);

/** True when more than MEMORY_SHORT_PERCENT of the limit are in use.
 * @param now_ms of any monotonic clock. */
bool memory_is_short(struct memory_watch *m, uint64_t now_ms);

/**
 * The memory limit of a process by its cgroup, version 2 (memory.high, else memory.max) or 1.
 * @param groups_path its /proc/PID/cgroup.
 * @param mount_path where cgroups are mounted.
 * @return bytes, 0 for none or one that cannot be read. */
uint64_t memory_cgroup_limit(const char *groups_path, const char *mount_path);
