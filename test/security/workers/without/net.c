/* The machine's network. */
#include "test/security/workers/without/layers.h"

#include <sched.h>

const char *const layer_left_out = "net";

int __real_unshare(int flags);

int __wrap_unshare(int flags)
{
	return __real_unshare(flags & ~CLONE_NEWNET);
}
