/* No filter is loaded. */
#include "pluginhost/sandbox/seccomp.h"

#include "test/security/workers/without/layers.h"

const char *const layer_left_out = "seccomp";

int __wrap_filter_load(const struct filter_program *program)
{
	return 0;
}
