#include "pluginhost/sandbox/credentials.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Root means nothing any more, and none of this can be changed back. */
enum {
	SECUREBITS = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
		SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE |
		SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED,
};

static int drop_bounding_set(void)
{
	for (unsigned long cap = 0; cap < 64; cap++) {
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0) {
			/* EINVAL: the kernel knows no more of them. */
			return errno == EINVAL ? 0 : -1;
		}
	}
	return 0;
}

static int drop_capabilities(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { { 0 } };
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0) {
		return -1;
	}
	return syscall(SYS_capset, &head, none) < 0 ? -1 : 0;
}

/* Reads everything back, and tries the way back. */
static const char *check(enum sandbox_uids uids, uid_t uid)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct now[2] = { { 0 } };
	errno = EPERM;
	if (syscall(SYS_capget, &head, now) < 0) {
		return "capget";
	}
	for (int i = 0; i < 2; i++) {
		if ((now[i].effective | now[i].permitted | now[i].inheritable) != 0) {
			return "capabilities are left";
		}
	}
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1) {
		return "no_new_privs is not set";
	}
	if (prctl(PR_GET_SECUREBITS, 0, 0, 0, 0) != SECUREBITS) {
		return "root still means something";
	}
	uid_t u[3];
	gid_t g[3];
	if (getresuid(&u[0], &u[1], &u[2]) < 0 || getresgid(&g[0], &g[1], &g[2]) < 0) {
		return "getresuid";
	}
	for (int i = 0; i < 3; i++) {
		if (u[i] != uid || g[i] != uid) {
			return "the ids are not the worker's";
		}
	}
	if (setresuid(uid + 1, uid + 1, uid + 1) == 0 ||
		setresgid(uid + 1, uid + 1, uid + 1) == 0) {
		return "the ids can be changed";
	}
	if (uids == SANDBOX_UIDS_BLOCK && (setresuid(0, 0, 0) == 0 || setresgid(0, 0, 0) == 0)) {
		return "uid 0 can be had back";
	}
	if (uids == SANDBOX_UIDS_BLOCK && getgroups(0, NULL) != 0) {
		return "supplementary groups are left";
	}
	return NULL;
}

const char *credentials_enter_worker(enum sandbox_uids uids, uid_t uid)
{
	/* With a map of one id the kernel refuses setgroups(), and the worker stays id 0 of its
	 * namespace, which is pluginhost's user outside. */
	if (uids == SANDBOX_UIDS_SINGLE) {
		uid = 0;
	} else if (setgroups(0, NULL) < 0) {
		return "setgroups";
	}
	if (prctl(PR_SET_SECUREBITS, SECUREBITS, 0, 0, 0) < 0) {
		return "PR_SET_SECUREBITS";
	}
	if (drop_bounding_set() < 0) {
		return "PR_CAPBSET_DROP";
	}
	if (setresgid(uid, uid, uid) < 0) {
		return "setresgid";
	}
	if (setresuid(uid, uid, uid) < 0) {
		return "setresuid";
	}
	if (drop_capabilities() < 0) {
		return "capset";
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
		return "PR_SET_NO_NEW_PRIVS";
	}
	return check(uids, uid);
}
