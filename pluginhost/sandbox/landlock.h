/* Landlock in a worker: a second fence round the files, of use when a mount is wrong. */
#pragma once

#include "pluginhost/sandbox/profile.h"

/**
 * The rules of a worker: the rows of mount_table() that its profile has, /plugins and /tmp.
 * @param abi, ret_path as in landlock_restrict().
 */
int landlock_enter_worker(int abi, const struct sandbox_profile *profile, const char **ret_path);
