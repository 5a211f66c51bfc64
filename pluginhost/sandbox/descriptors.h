/* Which descriptors a process has: exactly those that are listed. */
#pragma once

/**
 * Makes fds[0] descriptor 0, fds[1] descriptor 1 and so on, inherited by exec, and closes every
 * other one. Async-signal-safe.
 * @param n at most DESCRIPTORS_MAX.
 * @return 0 or a negative errno; then some may have been closed already.
 */
int descriptors_arrange(const int *fds, unsigned n);

enum { DESCRIPTORS_MAX = 8 };
