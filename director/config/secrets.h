/* Secrets among the settings: where they come from, and that they do not stay there. */
#pragma once

#include "common/base/settings.h"

/**
 * Takes one secret: from NAME, its alias, the file that NAME_FILE names, or the systemd credential
 * $CREDENTIALS_DIRECTORY/name. One line end at the end of a file is not part of it. What the
 * environment holds is overwritten in place and removed.
 * @param row of kind SETTING_SECRET; the value in `target` is a heap string for secret_wipe(), or
 *   NULL when there is none.
 * @return 0, SETTINGS_E_INVALID with `message` (also for two sources), -ENOMEM, -ENOBUFS.
 */
int secret_take(const struct setting *row, void *target, struct buffer *message);

/** Overwrites and frees the secret in `target`; it is NULL afterwards. */
void secret_wipe(const struct setting *row, void *target);
