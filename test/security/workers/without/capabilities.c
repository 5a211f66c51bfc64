/* Workers stay the root of their user namespace, with all of its capabilities. Only what a filter needs
 * to be loaded is done. */
#include "pluginhost/sandbox/credentials.h"
#include "test/security/workers/without/layers.h"

#include <stddef.h>
#include <sys/prctl.h>

const char *const layer_left_out = "capabilities";

const char *__wrap_credentials_enter_worker(enum sandbox_uids uids, uid_t uid)
{
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? "PR_SET_NO_NEW_PRIVS" : NULL;
}
