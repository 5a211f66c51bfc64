/* No rules. */
#include "pluginhost/sandbox/landlock.h"

#include "test/security/workers/without/layers.h"

const char *const layer_left_out = "landlock";

int __wrap_landlock_enter_worker(
	int abi, const struct sandbox_profile *profile, const char **ret_path)
{
	return 0;
}
