/* Resource limits of a worker by setrlimit: always there, whatever cgroups can or cannot do. */
#pragma once

#include "pluginhost/worker.h"

/**
 * Applies them to the calling process; nothing is ever raised.
 * @param own_uid RLIMIT_NPROC counts a uid's threads, so it is set only where the worker has one of
 *   its own.
 * @return 0 or a negative errno; `ret_name` is the limit it stumbled over.
 */
int limits_enter_worker(const struct worker_limits *limits, bool own_uid, const char **ret_name);
