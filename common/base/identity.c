#include "common/base/identity.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

bool identity_is_root(void)
{
	return geteuid() == 0;
}

/* Every capability that the kernel knows; it says EINVAL at the first that it does not. */
static int drop_bounding_set(void)
{
	for (unsigned long cap = 0; cap < 64; cap++) {
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0) {
			return errno == EINVAL ? 0 : -errno;
		}
	}
	return 0;
}

static int holds_capabilities(bool *ret_holds)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct now[2] = { { 0 } };
	if (syscall(SYS_capget, &head, now) < 0) {
		return -errno;
	}
	*ret_holds = false;
	for (int i = 0; i < 2; i++) {
		*ret_holds |= (now[i].effective | now[i].permitted | now[i].inheritable) != 0;
	}
	return 0;
}

int identity_drop_capabilities(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { { 0 } };
	bool holds;
	/* Kernels before 4.3 have no ambient set: EINVAL is as good as empty. */
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 && errno != EINVAL) {
		return -errno;
	}
	int r = holds_capabilities(&holds);
	/* Who has none may be forbidden to ask for less: a unit's filter without capset(). */
	if (r == 0 && holds && syscall(SYS_capset, &head, none) < 0) {
		return -errno;
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
		return -errno;
	}
	r = r < 0 ? r : holds_capabilities(&holds);
	return r < 0 ? r : holds ? -EPERM : 0;
}

int identity_become(uid_t uid, gid_t gid, const gid_t *groups, size_t n_groups)
{
	int r = drop_bounding_set();
	if (r < 0) {
		return r;
	}
	if (setgroups(n_groups, groups) < 0 || setresgid(gid, gid, gid) < 0 ||
		setresuid(uid, uid, uid) < 0) {
		return -errno;
	}
	r = identity_drop_capabilities();
	if (r < 0) {
		return r;
	}
	if (setresuid(0, 0, 0) == 0 || setresgid(0, 0, 0) == 0 || getuid() != uid ||
		geteuid() != uid || getgid() != gid || getegid() != gid) {
		return -EPERM;
	}
	return 0;
}
