/* The last check of a finished sandbox, from inside: what must fail, and how, is tried. Every worker
 * does it before its plugin's code; a canary does it before the first plugin may be started. */
#pragma once

#include "pluginhost/sandbox/profile.h"

/**
 * @param plugin whose snapshots must not be reachable.
 * @param filter the one that was loaded last.
 * @param landlock an ABI above 0: Landlock must hold, too.
 * @return NULL, or what was not stopped as it must be, with errno as the attempt left it.
 */
const char *selftest_run(const char *plugin, enum filter_id filter, int landlock);

/** How many attempts there are. */
unsigned selftest_attempts(void);
