/* The director's start and stop of authentication: settings become the modules here. Loop thread. */
#pragma once

#include "common/uvx/close.h"

struct director;

/**
 * Opens d->auth, and in external mode d->fetcher and d->issuer. What cannot be is logged.
 * @param state_fd, state_path the state directory, where a secret of development is kept.
 * @return 0 or -1.
 */
int auth_open(struct director *d, int state_fd, const char *state_path);

/** Ends what is under way; `closed` comes once, perhaps at once. Then auth_close_end(). */
void auth_close(struct director *d, uvx_closed_fn closed, void *arg);
void auth_close_end(struct director *d);
