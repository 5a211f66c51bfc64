#include "pluginhost/sandbox/sandbox.h"

#include "common/base/error.h"
#include "common/base/identity.h"
#include "common/confine/landlock.h"
#include "pluginhost/sandbox/namespaces.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int fail(struct sandbox_host *h, int e, const char *what)
{
	(void)snprintf(h->failure, sizeof(h->failure), "%s", what);
	return e;
}

int sandbox_host_init(struct sandbox_host *h, const struct sandbox_options *options)
{
	*h = (struct sandbox_host){ .user_ns = -1, .uid = options->uid, .gid = options->gid };
	h->cgroup = (struct cgroup_root){ .dir = { -1, -1, -1, -1 }, .lock = -1 };
	if (h->uid == 0) {
		return fail(h, -EINVAL, "pluginhost may not stay root");
	}
	int abi = landlock_abi();
	if (abi < 0) {
		return fail(h, abi,
			"Landlock is there but forbidden: a system call filter above us blocks it "
			"(list landlock_create_ruleset, landlock_add_rule, landlock_restrict_self)");
	}
	h->landlock_abi = abi;
	h->uid_block.lock = -1;
	int e = user_ns_create(h, options->name);
	if (e < 0) {
		uid_block_release(&h->uid_block);
		return e;
	}
	e = cgroup_root_init(&h->cgroup, options->name, h->uid, h->gid);
	if (e == 0 && options->all_memory_percent != 0 && options->all_processes != 0) {
		e = cgroup_root_limit(
			&h->cgroup, options->all_memory_percent, options->all_processes);
	}
	if (e < 0) {
		(void)snprintf(h->failure, sizeof(h->failure), "cgroups: %s", strerror(-e));
	}
	if (e == 0 && h->cgroup.kind == CGROUP_NONE && options->require_cgroup) {
		(void)snprintf(h->failure, sizeof(h->failure),
			"sandbox.require_cgroup is set, but no cgroup can be used (%s)",
			h->cgroup.why_none);
		e = -ENOTSUP;
	}
	if (e < 0) {
		sandbox_host_deinit(h);
	}
	return e;
}

void sandbox_host_deinit(struct sandbox_host *h)
{
	if (h->user_ns >= 0) {
		(void)close(h->user_ns);
		h->user_ns = -1;
	}
	uid_block_release(&h->uid_block);
	cgroup_root_deinit(&h->cgroup);
}

int sandbox_host_tier(const struct sandbox_host *h)
{
	bool full = h->uids == SANDBOX_UIDS_BLOCK && h->landlock_abi > 0 &&
		h->cgroup.kind != CGROUP_NONE;
	return full ? 1 : 2;
}

int sandbox_host_report(const struct sandbox_host *h, struct buffer *out)
{
	const struct {
		bool missing;
		const char *what;
	} table[] = {
		{ h->uids == SANDBOX_UIDS_SINGLE, "a uid per worker" },
		{ h->landlock_abi == 0, "Landlock" },
		{ h->cgroup.kind == CGROUP_NONE, "cgroups" },
		{ h->cgroup.kind != CGROUP_NONE && !h->cgroup.has_cpu, "the cpu controller" },
		{ h->nested_user_ns,
			"a ban on nested user namespaces (seccomp alone forbids them)" },
	};
	int e = buffer_printf(out,
		"{\"tier\":%d,\"uids\":\"%s\",\"landlock\":%d,\"cgroup\":\"%s\",\"missing\":[",
		sandbox_host_tier(h), h->uids == SANDBOX_UIDS_BLOCK ? "block" : "single",
		h->landlock_abi, cgroup_kind_name(h->cgroup.kind));
	const char *comma = "";
	for (size_t i = 0; e == 0 && i < sizeof(table) / sizeof(table[0]); i++) {
		if (table[i].missing) {
			e = buffer_printf(out, "%s\"%s\"", comma, table[i].what);
			comma = ",";
		}
	}
	return e < 0 ? e : buffer_printf(out, "]}");
}

/* ---- Slots: which uids of the block are in use ---- */

int sandbox_slot_take(struct sandbox_host *h, unsigned *ret_slot)
{
	/* Round robin, so that a uid rests as long as possible before it comes back. */
	for (unsigned i = 0; i < h->n_slots; i++) {
		unsigned slot = 1 + (h->last_slot + i) % h->n_slots;
		if ((h->used[slot / 8] & 1U << slot % 8) == 0) {
			h->used[slot / 8] |= (uint8_t)(1U << slot % 8);
			h->last_slot = slot;
			*ret_slot = slot;
			return 0;
		}
	}
	return -EUSERS;
}

void sandbox_slot_release(struct sandbox_host *h, unsigned slot)
{
	invariant(slot >= 1 && slot <= h->n_slots);
	h->used[slot / 8] &= (uint8_t) ~(1U << slot % 8);
}

unsigned sandbox_slots_free(const struct sandbox_host *h)
{
	unsigned used = 0;
	for (size_t i = 0; i < sizeof(h->used); i++) {
		used += (unsigned)__builtin_popcount(h->used[i]);
	}
	return h->n_slots - used;
}
