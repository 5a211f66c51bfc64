/* As on a machine where none can be used. */
#include "pluginhost/sandbox/cgroup.h"

#include "test/security/workers/without/layers.h"

const char *const layer_left_out = "cgroup";

int __wrap_cgroup_root_init(struct cgroup_root *root, const char *name, uid_t uid, gid_t gid)
{
	*root = (struct cgroup_root){ .kind = CGROUP_NONE, .dir = { -1, -1, -1, -1 }, .lock = -1 };
	return 0;
}
