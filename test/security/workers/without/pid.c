/* Workers live in their zygote's PID namespace, beside each other. */
#include "test/security/workers/without/layers.h"

#include <sched.h>

const char *const layer_left_out = "pid";

int __real_unshare(int flags);

int __wrap_unshare(int flags)
{
	/* Alone it stands before the fork of a worker; the zygote asks for it with others. */
	return flags == CLONE_NEWPID ? 0 : __real_unshare(flags);
}
