/* Workers keep pluginhost's limits. */
#include "pluginhost/sandbox/limits.h"
#include "test/security/workers/without/layers.h"

const char *const layer_left_out = "rlimits";

int __wrap_limits_enter_worker(
	const struct worker_limits *limits, bool own_uid, const char **ret_name)
{
	return 0;
}
