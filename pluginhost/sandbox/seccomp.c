#include "pluginhost/sandbox/seccomp.h"

#include "common/base/error.h"

const char *filter_name(enum filter_id filter)
{
	static const char *const names[FILTERS] = {
		[FILTER_PYTHON] = "python",
		[FILTER_NATIVE_LOAD] = "native-load",
		[FILTER_NATIVE] = "native",
		[FILTER_NATIVE_NOFS] = "native-nofs",
	};
	invariant((size_t)filter < FILTERS);
	return names[filter];
}

int filter_compile(enum filter_id filter, struct filter_program *ret_program)
{
	return filter_build(&worker_policy, 1U << filter, ret_program);
}
