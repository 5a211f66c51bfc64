/*
 * What pluginhost sets up once, while it still has privileges, for all workers to come: the user
 * namespace with its uid block and the cgroup subtree. Then it gives the privileges up.
 *
 *   sandbox_host_init()      as root, with CAP_SETUID + CAP_SETGID, or as anybody
 *   open what is read later  (the program, the Python packages, plugin paths)
 *   identity_become() or identity_drop_capabilities()   common/base/identity.h
 *   zygote_start() ...       pluginhost/zygote.h
 *
 * Tier 1: own uid per worker, Landlock, cgroup. Tier 2: one of them is missing. Without user
 * namespaces nothing starts.
 */
#pragma once

#include "common/base/buffer.h"
#include "pluginhost/sandbox/cgroup.h"
#include "pluginhost/sandbox/uid_block.h"

#include <sys/types.h>

enum { SANDBOX_SLOTS_MAX = 1000 };

enum sandbox_uids {
	SANDBOX_UIDS_BLOCK,  /* each worker has a uid of its own */
	SANDBOX_UIDS_SINGLE, /* all have pluginhost's own */
};

struct sandbox_host {
	int user_ns; /* kept descriptor; each zygote generation enters it */
	enum sandbox_uids uids;
	uid_t uid; /* pluginhost's, after root was given up */
	gid_t gid;
	uid_t first_uid; /* host id of slot 1 */
	struct uid_block uid_block;
	unsigned n_slots;
	int landlock_abi;    /* 0: the kernel has none */
	bool nested_user_ns; /* they could not be forbidden */
	struct cgroup_root cgroup;
	uint8_t used[(SANDBOX_SLOTS_MAX + 8) / 8]; /* slots with a living worker */
	unsigned last_slot;
	uint64_t last_number; /* of a process; names its cgroup */
	char failure[256];    /* why sandbox_host_init() failed, for the log */
};

struct sandbox_options {
	/* The ids pluginhost will have; its own when it does not change them. */
	uid_t uid;
	gid_t gid;
	const char *name;    /* of this pluginhost; names its cgroup and its block of uids */
	bool require_cgroup; /* `sandbox.require_cgroup`: no cgroup is fatal */
	/* Of all workers together; 0: what cgroup_root_init() sets. */
	unsigned all_memory_percent;
	uint64_t all_processes;
};

/**
 * Single-threaded caller. @return 0; or a negative errno with `h->failure` saying what is missing,
 * and then no plugin may be started.
 */
int sandbox_host_init(struct sandbox_host *h, const struct sandbox_options *options);
void sandbox_host_deinit(struct sandbox_host *h);

/** 1 or 2, see above. */
int sandbox_host_tier(const struct sandbox_host *h);

/** Appends the JSON object for HOST: {"tier","uids","landlock","cgroup","missing":[…]}. */
int sandbox_host_report(const struct sandbox_host *h, struct buffer *out);

/**
 * A slot is a uid of the block: slot n is uid n in the user namespace, first_uid + n - 1 outside.
 * Slots start at 1. Taken for each worker, released when the worker is reaped.
 * @return 0, -EUSERS when all are in use.
 */
int sandbox_slot_take(struct sandbox_host *h, unsigned *ret_slot);
void sandbox_slot_release(struct sandbox_host *h, unsigned slot);
unsigned sandbox_slots_free(const struct sandbox_host *h);
