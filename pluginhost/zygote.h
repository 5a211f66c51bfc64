/*
 * Zygotes, as pluginhost sees them. A zygote is a child in namespaces of its own (PID 1 there) that
 * has loaded everything a runtime needs and forks workers on demand: one per flavour, and a new
 * generation beside the old one when the old one should age out. It holds no secret and runs no
 * plugin code. When it dies, the kernel kills its workers.
 *
 * Before it is ready, a canary per profile attacks the sandbox that workers will have
 * (sandbox/selftest.h); a zygote whose sandbox does not hold ends. STARTs wait until then.
 *
 * Control: a SOCK_SEQPACKET pair with fixed messages and SCM_RIGHTS (zygote_wire.h). pluginhost
 * never blocks on it.
 *
 * Use: poll zygote_fd() for reading; then take events with zygote_next_event() until it returns 0.
 * Single-threaded.
 */
#pragma once

#include "pluginhost/runtime/runtime.h"
#include "pluginhost/sandbox/sandbox.h"
#include "pluginhost/worker.h"

#include <stdint.h>
#include <sys/types.h>

struct zygote;

struct zygote_config {
	struct sandbox_host *host; /* outlives the zygote; uid slots are taken from it */
	enum worker_flavour flavour;
	/* The program itself, opened (O_PATH) before root was given up. Kept open by the caller. */
	int program_fd;
	/* Directory that is /mozaiks/python in zygote and workers, opened (O_PATH) likewise; its
	 * parents need not be searchable. Unused with WORKER_NATIVE. */
	int python_fd;
	/* Directory of the snapshots, <path>/<plugin>/<version>/. Reachable by pluginhost's uid;
	 * never on a symbolic link. A worker sees only its own version. */
	const char *snapshots_path;
	/* Becomes the zygote's stdout and stderr: what its runtime says while it loads. */
	int log_fd;
};

/** Starts a generation; ZYGOTE_READY follows. @return 0 or a negative errno. */
int zygote_start(const struct zygote_config *config, struct zygote **ret_zygote);

/** An epoll descriptor: readable when there may be an event. */
int zygote_fd(const struct zygote *z);

/** Workers that have not been reported as exited. Spares are none. */
unsigned zygote_workers(const struct zygote *z);

/**
 * Has processes wait ahead of the next START: each in namespaces, with a uid and in a cgroup of its
 * own, without plugin, limits or descriptors of one. To be called again when one was used or ended.
 * @param wanted how many there should be, with those that are on their way.
 * @return 0; -EUSERS when there are too few uid slots for that; -EAGAIN, -EPIPE as below; another
 *   negative errno.
 */
int zygote_keep_spares(struct zygote *z, unsigned wanted);

/** Spares that wait: the next START takes one of them. */
unsigned zygote_spares(const struct zygote *z);

struct worker_start {
	uint64_t worker_id; /* never used before in this zygote */
	const char *plugin;
	const char *version;
	enum worker_profile profile;
	struct worker_limits limits;
	/* All three stay the caller's, who closes his copies afterwards. */
	int channel_fd; /* connected stream socket */
	int stdout_fd;  /* write ends of pipes */
	int stderr_fd;
};

/**
 * Asks for a worker. ZYGOTE_WORKER_STARTED or ZYGOTE_WORKER_EXITED follows, also when the zygote dies.
 * May be called before ZYGOTE_READY.
 * @return 0; -EAGAIN when the zygote's queue is full (try again after the next event); -EUSERS when
 *   all uid slots are in use; -EINVAL for a plugin or version that is no plain name, or an id in
 *   use; -EPIPE when the zygote is gone; another negative errno.
 */
int zygote_start_worker(struct zygote *z, const struct worker_start *start);

/** SIGKILL; its ZYGOTE_WORKER_EXITED follows with WORKER_ENDED_KILLED. Unknown ids: -ESRCH. */
int zygote_kill_worker(struct zygote *z, uint64_t worker_id);

/** New cgroup limits. @return 0, -ESRCH, -ENOTSUP without cgroups, or a negative errno. */
int zygote_limit_worker(struct zygote *z, uint64_t worker_id, const struct worker_limits *limits);

/** What a worker uses now. @return 0, -ESRCH. */
int zygote_worker_usage(struct zygote *z, uint64_t worker_id, struct cgroup_usage *ret_usage);

enum zygote_event_type {
	ZYGOTE_READY, /* it serves: the canary's attacks on its own sandbox were all stopped */
	ZYGOTE_WORKER_STARTED, /* in its finished sandbox, about to say HELLO; `pid`, `report` */
	ZYGOTE_WORKER_EXITED, /* gone and reaped; `reason`, `signal`, `status`, `message`, `usage` */
	ZYGOTE_SPARE_ENDED,   /* nobody's; `pid`, `signal`, `status`, `message` */
	ZYGOTE_ENDED,         /* the zygote died or was stopped; its workers were reported before.
	                        * `signal`, `status`, `message`; `reason` is WORKER_ENDED_SANDBOX when its
	                        * sandbox did not hold. Nothing follows: zygote_free(). */
};

/* The words of the EXITED message, common/proto/messages.h. */
enum worker_end {
	WORKER_ENDED_EXIT,    /* ended by itself: `status` */
	WORKER_ENDED_SIGNAL,  /* `signal`; SIGSYS: a forbidden system call */
	WORKER_ENDED_OOM,     /* its memory cgroup was full */
	WORKER_ENDED_SANDBOX, /* the sandbox could not be built: `message` */
	WORKER_ENDED_START,   /* never ran: the zygote died or could not fork: `message` */
	WORKER_ENDED_KILLED,  /* by zygote_kill_worker() or zygote_stop() */
	WORKER_ENDED_ZYGOTE,  /* by the death of its zygote: not the plugin's doing */
};

/** "exit", "signal", "oom", "sandbox", "start", "killed", "zygote". */
const char *worker_end_name(enum worker_end reason);

struct zygote_event {
	enum zygote_event_type type;
	uint64_t worker_id;
	pid_t pid; /* in pluginhost's PID namespace */
	enum worker_end reason;
	int signal;
	int status;
	struct cgroup_usage usage;
	char message[256];
	/* JSON object; valid until the next call. */
	struct slice report;
};

/** @return 1 and an event, 0 when there is none now, or a negative errno. */
int zygote_next_event(struct zygote *z, struct zygote_event *ret_event);

/** Kills it with all its workers. Events follow until ZYGOTE_ENDED. Idempotent. */
void zygote_stop(struct zygote *z);

/** Frees it. A zygote that still lives is killed and waited for, with its workers. NULL is fine. */
void zygote_free(struct zygote *z);

/**
 * First line of main(): the program is also its own zygote and native worker.
 * @param runtimes by enum worker_flavour.
 * @return -1 when argv asks for no role: go on as pluginhost; else the exit status.
 */
int role_main(int argc, char **argv, const struct runtime *const runtimes[static 2]);
