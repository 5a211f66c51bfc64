#include "director/config/privileges.h"

#include "common/base/identity.h"

#include <errno.h>
#include <sys/prctl.h>

int privileges_drop(void)
{
	int r = identity_is_root() ? identity_become(UID_DIRECTOR, GID_CHANNEL, NULL, 0)
				   : identity_drop_capabilities();
	if (r < 0) {
		return r;
	}
	/* After the change of uid, which resets it. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) {
		return -errno;
	}
	return prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0 ? 0 : -EPERM;
}
