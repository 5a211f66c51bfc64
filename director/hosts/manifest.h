/* The normalised manifest that pluginhost reports, as a struct. It is data of a plugin's author:
 * every value is bounded here once more. Loop thread. */
#pragma once

#include "common/json/tree.h"
#include "director/config/settings.h"
#include "director/hosts/plugin.h"

/**
 * Fills `ret` from the "manifest" member of a PLUGINS entry; what is missing gets its default.
 * @param id used as display name when there is none.
 * @param s what an operator allows; more is cut to it, which is logged.
 * @return 0 or -ENOMEM.
 */
int manifest_read(struct plugin_manifest *ret,
	const json_t *manifest,
	const char *id,
	const struct settings *s);
void manifest_deinit(struct plugin_manifest *m);

/** True when the collection was declared as app-scoped. */
bool manifest_is_shared(const struct plugin_manifest *m, struct slice collection);
