/*
 * The messages between pluginhost, its zygotes and the workers that are being born. All ends are the
 * same program, so a message is a struct: one per packet (SOCK_SEQPACKET), its size is its check.
 *
 *   pluginhost -> zygote   wire_config (once), wire_fork + the birth socket
 *   zygote -> pluginhost   wire_event; BORN carries a pidfd
 *   pluginhost -> worker   wire_start + 3 descriptors: it is in its  over the birth socket, which
 *                          cgroup, and this is its plugin            is closed before plugin code
 *   worker -> pluginhost   wire_birth: sandbox finished, or why not
 */
#pragma once

#include "pluginhost/sandbox/sandbox.h"
#include "pluginhost/worker.h"

#include <limits.h>
#include <stdint.h>

struct wire_config {
	enum worker_flavour flavour;
	enum sandbox_uids uids;
	uid_t first_uid;
	int landlock_abi;
	int tier;
	char snapshots_path[PATH_MAX];
};

/* A process for no plugin yet. */
struct wire_fork {
	uint64_t number; /* what BORN and FAILED name */
	unsigned slot;
};

/* Descriptors of wire_start, in order. */
enum { START_CHANNEL, START_STDOUT, START_STDERR, START_FDS };

struct wire_start {
	uint64_t worker_id;
	enum worker_profile profile;
	enum cgroup_kind cgroup;
	bool canary;                 /* attacks its sandbox and ends; no plugin, no version */
	struct worker_limits limits; /* complete */
	char plugin[WORKER_PLUGIN_MAX + 1];
	char version[WORKER_VERSION_MAX + 1];
};

enum wire_event_type {
	WIRE_FORKED,  /* from the middle process: `pid` is the zygote, in pluginhost's numbers */
	WIRE_SERVING, /* the zygote is ready */
	WIRE_BROKEN,  /* the zygote could not get there: `message` */
	WIRE_BORN,    /* `number` is `pid`, in the zygote's numbers; a pidfd comes with it */
	WIRE_FAILED,  /* `number` could not be forked: `message` */
	WIRE_REAPED,  /* `pid` (the zygote's numbers) ended with the wait status `status` */
};

struct wire_event {
	enum wire_event_type type;
	int pid;
	int status;
	uint64_t number;
	char message[192];
};

enum wire_birth_type { BIRTH_DONE, BIRTH_FAILED };

struct wire_birth {
	enum wire_birth_type type;
	char text[1020]; /* the report, or what failed */
};

/** Sends one packet with descriptors. @return 0 or a negative errno. */
int wire_send(int fd, const void *message, size_t size, const int *fds, unsigned n_fds);

/**
 * Takes one packet of exactly `size` bytes. Descriptors that were not expected are closed.
 * @param fds room for `max_fds`; n_fds tells how many came.
 * @return 1; 0 when the other end is closed; -EAGAIN; -EBADMSG for any other size; another errno.
 */
int wire_receive(
	int fd, void *message, size_t size, int *fds, unsigned max_fds, unsigned *ret_n_fds);
