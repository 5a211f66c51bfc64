/* When the fences go up: two steps of the director's start. */
#pragma once

#include "director/config/settings.h"
#include "director/config/state_dir.h"

/**
 * The files: the state and run directory, the configurations, what the database needs, and what
 * libraries read. After privileges are given up, before threads exist. Also tells SQLite to keep its
 * temporary files in the state directory.
 * @return 0, or -1 when the start must end, which is logged.
 */
int confine_begin(const struct settings *settings, const struct state_dir *state);

/** The system calls; the last step. Logs what is confined, and warns of what is not. */
int confine_finish(const struct settings *settings);
