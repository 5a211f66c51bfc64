/*
 * Changing plugin_policy.json (grants.h) while the loop goes on: mozaiksctl plugin grant and revoke. The
 * file is read and written on another thread, one change after the other. Loop thread.
 */
#pragma once

#include "common/base/slice.h"

#include <stdbool.h>

struct plugin;

/** @param error as of grants_set(); 0: it counts already. @param why what is wrong, when there is an error. */
typedef void (*grant_change_fn)(void *owner, int error, const char *why);

/**
 * Grants a plugin a permission or takes it away, for good.
 * @param permission copied.
 * @param done always called, in a later turn, if 0 is returned.
 * @return 0 or -ENOMEM.
 */
int grant_change_start(
	struct plugin *p, struct slice permission, bool granted, grant_change_fn done, void *owner);
