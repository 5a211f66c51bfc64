/*
 * One process of a zygote, as pluginhost sees it, from the request to fork it to its end.
 *
 *   ASKED -> WAITING -> STARTING -> RUNNING      and from each of them, by a kill: DOOMED
 *
 * ASKED: the zygote was asked for it. WAITING: it is in its cgroup and namespaces and reads its START
 * from the birth socket. STARTING: it has its START and builds the rest of its sandbox. RUNNING: the
 * sandbox is finished. What was DOOMED is reaped and never given anything.
 *
 * A process is forked for no plugin: its uid, its cgroup and its namespaces are taken at the fork, all
 * that depends on the plugin (limits, files, descriptors) comes with START. So it can wait ahead of the
 * START, which then does not wait for the kernel to move a process into a cgroup.
 *
 * zygote.c keeps the table of them; nobody else calls this. Single-threaded.
 */
#pragma once

#include "common/base/map.h"
#include "pluginhost/zygote.h"
#include "pluginhost/zygote_wire.h"

enum process_role {
	PROCESS_SPARE,  /* waits for whichever START comes next */
	PROCESS_WORKER, /* has a START, or will be given the one it holds */
	PROCESS_CANARY, /* attacks its own sandbox, before any plugin may be started */
};

enum process_state {
	PROCESS_ASKED,
	PROCESS_WAITING,
	PROCESS_STARTING,
	PROCESS_RUNNING,
	PROCESS_DOOMED,
};

struct process {
	uint64_t number; /* never used twice by a pluginhost; also names its cgroup */
	enum process_role role;
	enum process_state state;
	unsigned slot;
	int birth; /* our end of the birth socket; -1 once it is closed */
	int pidfd; /* -1 until it is born */
	pid_t pid; /* in our PID namespace */
	int inner; /* in the zygote's: what WIRE_REAPED names */
	struct cgroup cgroup;
	bool kill_wanted;
	bool refused; /* the sandbox could not be built: `text` */
	char text[sizeof(((struct wire_birth *)NULL)->text)];
	/* Of a worker: whose it is, and, until it was given, its START with its descriptors. */
	uint64_t worker_id;
	bool assigned;
	struct wire_start start;
	int fds[START_FDS];
	UT_hash_handle hh; /* by number */
};

/** Takes a uid slot and a number. @return 0, -EUSERS, or another negative errno. `ret_birth` is the
 * process's end of the birth socket and the caller's. */
int process_new(struct sandbox_host *host,
	enum process_role role,
	struct process **ret_process,
	int *ret_birth);

/** Gives back all it has, also its cgroup and its slot. The process must be reaped. */
void process_free(struct sandbox_host *host, struct process *p);

/**
 * Makes it hold a START until process_give(). Copies the descriptors.
 * @return 0 or a negative errno.
 */
int process_assign(struct process *p, const struct wire_start *start, const int fds[START_FDS]);

/** Moves the START that `from`, which is dead, still holds. */
void process_take_start(struct process *p, struct process *from);

/** The zygote forked it: puts it into its cgroup. Takes `pidfd`. */
void process_born(struct sandbox_host *host,
	struct process *p,
	const struct worker_limits *limits,
	int inner,
	int pidfd);

/**
 * Sets the limits of its cgroup and sends the START that it holds. Only in WAITING.
 * @return 0; -EPIPE when the process is already dead: it holds its START still; another failure has
 *   refused the process, and is its end.
 */
int process_give(struct sandbox_host *host, struct process *p);

/** New limits for the START that it still holds; fields that are 0 stay. @return 0. */
int process_limit_later(struct process *p, const struct worker_limits *limits);

/** Kills it, now or as soon as it is born. */
void process_kill(struct process *p);

/** It must not run: kills it, and its end will say why. */
void process_refuse(struct process *p, const char *what, int e);

/** Reads the birth socket. @return true when the sandbox is finished: `p->text` is the report. */
bool process_on_birth(struct process *p);

/** Why a reaped process ended. */
enum worker_end process_end_reason(
	const struct process *p, int status, const struct cgroup_usage *usage);
