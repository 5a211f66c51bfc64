/* The machine's System V and POSIX objects. */
#include "test/security/workers/without/layers.h"

#include <sched.h>

const char *const layer_left_out = "ipc";

int __real_unshare(int flags);

int __wrap_unshare(int flags)
{
	return __real_unshare(flags & ~CLONE_NEWIPC);
}
