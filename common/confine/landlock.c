#include "common/confine/landlock.h"

#include "common/base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Rights over files by the ABI that brought them. */
enum {
	FS_EXECUTE = 1 << 0,
	FS_WRITE_FILE = 1 << 1,
	FS_READ_FILE = 1 << 2,
	FS_READ_DIR = 1 << 3,
	FS_REMOVE_DIR = 1 << 4,
	FS_REMOVE_FILE = 1 << 5,
	FS_MAKE_DIR = 1 << 7,
	FS_MAKE_REG = 1 << 8,
	FS_MAKE_SOCK = 1 << 9,
	FS_ABI_1 = (1 << 13) - 1,
	FS_REFER = 1 << 13,     /* ABI 2 */
	FS_TRUNCATE = 1 << 14,  /* ABI 3 */
	FS_IOCTL_DEV = 1 << 15, /* ABI 5 */
	/* All that a rule on a file may name. */
	FS_OF_FILES = FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE | FS_IOCTL_DEV,
};

enum { NET_BIND_TCP = 1, NET_CONNECT_TCP = 2 };            /* ABI 4 */
enum { SCOPE_ABSTRACT_UNIX_SOCKET = 1, SCOPE_SIGNAL = 2 }; /* ABI 6 */

struct ruleset_attr {
	uint64_t handled_access_fs;
	uint64_t handled_access_net;
	uint64_t scoped;
};

/* What each ABI handles, and the size of the struct it takes. A newer kernel gets the last row. */
static const struct {
	struct ruleset_attr attr;
	size_t size;
} abis[] = {
	{ { 0 }, 0 },
	{ { FS_ABI_1, 0, 0 }, 8 },
	{ { FS_ABI_1 | FS_REFER, 0, 0 }, 8 },
	{ { FS_ABI_1 | FS_REFER | FS_TRUNCATE, 0, 0 }, 8 },
	{ { FS_ABI_1 | FS_REFER | FS_TRUNCATE, NET_BIND_TCP | NET_CONNECT_TCP, 0 }, 16 },
	{ { FS_ABI_1 | FS_REFER | FS_TRUNCATE | FS_IOCTL_DEV, NET_BIND_TCP | NET_CONNECT_TCP, 0 },
		16 },
	{ { FS_ABI_1 | FS_REFER | FS_TRUNCATE | FS_IOCTL_DEV, NET_BIND_TCP | NET_CONNECT_TCP,
		  SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL },
		24 },
};

static const uint64_t granted[] = {
	[LANDLOCK_READ] = FS_READ_FILE | FS_READ_DIR,
	[LANDLOCK_FILE] = FS_READ_FILE,
	[LANDLOCK_WRITE] = FS_READ_FILE | FS_WRITE_FILE,
	[LANDLOCK_ALL] = FS_READ_FILE | FS_READ_DIR | FS_WRITE_FILE | FS_REMOVE_DIR |
		FS_REMOVE_FILE | FS_MAKE_DIR | FS_MAKE_REG | FS_REFER | FS_TRUNCATE,
	[LANDLOCK_SOCKETS] = FS_READ_FILE | FS_READ_DIR | FS_WRITE_FILE | FS_REMOVE_DIR |
		FS_REMOVE_FILE | FS_MAKE_DIR | FS_MAKE_REG | FS_MAKE_SOCK | FS_REFER | FS_TRUNCATE,
};

int landlock_abi(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	if (abi >= 0) {
		return (int)abi;
	}
	return errno == ENOSYS || errno == EOPNOTSUPP ? 0 : -errno;
}

static int add_rule(int ruleset, const struct landlock_rule *rule, uint64_t handled)
{
	struct stat st;
	int fd = open(rule->path, O_PATH | O_CLOEXEC);
	if (fd < 0) {
		bool missing = errno == ENOENT || errno == ENOTDIR || errno == EACCES;
		return rule->optional && missing ? 0 : -errno;
	}
	struct landlock_path_beneath_attr attr = {
		.allowed_access = granted[rule->access] & handled,
		.parent_fd = fd,
	};
	if (fstat(fd, &st) == 0 && !S_ISDIR(st.st_mode)) {
		attr.allowed_access &= FS_OF_FILES;
	}
	int e = syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &attr, 0) < 0
		? -errno
		: 0;
	(void)close(fd);
	return e;
}

int landlock_restrict(int abi,
	const struct landlock_rule *rules,
	size_t n,
	enum landlock_network network,
	const char **ret_path)
{
	size_t row = (size_t)abi < sizeof(abis) / sizeof(abis[0])
		? (size_t)abi
		: sizeof(abis) / sizeof(abis[0]) - 1;
	invariant(row > 0);
	*ret_path = NULL;
	struct ruleset_attr handled = abis[row].attr;
	if (network == LANDLOCK_CONNECTS) {
		handled.handled_access_net &= ~(uint64_t)NET_CONNECT_TCP;
	}
	long ruleset = syscall(SYS_landlock_create_ruleset, &handled, abis[row].size, 0);
	if (ruleset < 0) {
		return -errno;
	}
	int e = 0;
	for (size_t i = 0; e == 0 && i < n; i++) {
		e = add_rule((int)ruleset, &rules[i], handled.handled_access_fs);
		if (e < 0) {
			*ret_path = rules[i].path;
		}
	}
	if (e == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) < 0) {
		e = -errno;
	}
	(void)close((int)ruleset);
	return e;
}
