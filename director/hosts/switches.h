/*
 * Which plugins an operator enabled or disabled, in core's collection `plugins` of the store:
 * `{_id: plugin, enabled, changed_at}`. The store is what nodes agree on; plugin_registry.json mirrors
 * it on each of them (registry.h). What was never switched has no document and is enabled.
 *
 * Here is a copy of what the store said last, with the time of each change, so that of two opinions the
 * later one counts. Loop thread.
 */
#pragma once

#include "common/base/map.h"
#include "director/store/store.h"

struct director;

enum { SWITCH_ID_MAX = 64 };

struct switch_entry {
	UT_hash_handle hh;
	char id[SWITCH_ID_MAX + 1];
	bool enabled;
	int64_t changed_ms; /* since 1970 */
};

struct switches {
	struct switch_entry *by_id;
	bool known; /* the store has answered */
};

void switches_deinit(struct switches *s);

/** What the store said of a plugin; NULL when nobody has switched it, or it is not known yet. */
const struct switch_entry *switches_find(const struct switches *s, const char *id);

/**
 * Asks the store. Its answer is taken over and registry_events.switches_known() is called, unless the director
 * stops. A store that cannot be reached is logged; ask again later. @return 0 or a negative errno. */
int switches_load(struct director *d);

/**
 * Remembers a change at once and stores it.
 * @param done NULL, or called later with the store's answer; a failure is logged in any case.
 * @return 0 or a negative errno: `done` will not be called.
 */
int switches_save(
	struct director *d, const char *id, bool enabled, store_done_fn done, void *owner);
