/* All workers have pluginhost's own uid, as where no block of uids can be had. */
#include "pluginhost/sandbox/credentials.h"
#include "pluginhost/sandbox/mounts.h"
#include "test/security/workers/without/layers.h"

const char *const layer_left_out = "uid";

const char *__real_credentials_enter_worker(enum sandbox_uids uids, uid_t uid);
int __real_mounts_enter_worker(const struct sandbox_profile *profile,
	const char *plugin,
	const char *version,
	const struct worker_limits *limits,
	unsigned uid,
	struct mount_failure *ret_failure);

const char *__wrap_credentials_enter_worker(enum sandbox_uids uids, uid_t uid)
{
	return __real_credentials_enter_worker(SANDBOX_UIDS_SINGLE, uid);
}

/* Whose /tmp it is. */
int __wrap_mounts_enter_worker(const struct sandbox_profile *profile,
	const char *plugin,
	const char *version,
	const struct worker_limits *limits,
	unsigned uid,
	struct mount_failure *ret_failure)
{
	return __real_mounts_enter_worker(profile, plugin, version, limits, 0, ret_failure);
}
