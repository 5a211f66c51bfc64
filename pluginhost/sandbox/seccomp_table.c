/*
 * What a worker may ask the kernel. Read a row as: in these filters, this call, when its arguments
 * are such, gets this answer. A call without a row gets ENOSYS.
 *
 * The rows of one call must not overlap unless their answers are equal (see seccomp.h), so
 * complements are spelled out.
 */
#include "pluginhost/sandbox/seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

const uint32_t filter_default_action = SECCOMP_RET_ERRNO | ENOSYS;

/* Filters. */
#define PYTHON (1U << FILTER_PYTHON)
#define LOAD   (1U << FILTER_NATIVE_LOAD)
#define NATIVE (1U << FILTER_NATIVE)
#define NOFS   (1U << FILTER_NATIVE_NOFS)
#define ALL    (PYTHON | LOAD | NATIVE | NOFS)
#define FILES  (PYTHON | LOAD | NATIVE)
/* Where a file mapping may be executable. Every writable mount is noexec. */
#define MAP_X (PYTHON | LOAD)

/* Answers. */
#define ALLOW   SECCOMP_RET_ALLOW
#define KILL    SECCOMP_RET_KILL_PROCESS
#define FAIL(e) (SECCOMP_RET_ERRNO | (e))

/* Conditions. */
#define EQ(arg, v)                    \
	{                             \
		COMPARE_EQ, arg, v, 0 \
	}
#define NE(arg, v)                    \
	{                             \
		COMPARE_NE, arg, v, 0 \
	}
#define BITS(arg, m, v)                   \
	{                                 \
		COMPARE_MASKED, arg, v, m \
	}
#define WHEN(...)           \
	{                   \
		__VA_ARGS__ \
	}
#define ALWAYS                                \
	{                                     \
		{                             \
			COMPARE_NONE, 0, 0, 0 \
		}                             \
	}

/* What glibc's pthread_create() asks for, and nothing else. */
#define THREAD_FLAGS                                                                        \
	(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SYSVSEM | CLONE_SIGHAND | CLONE_THREAD | \
		CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID)
#define NEW_NAMESPACE                                                                  \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | \
		CLONE_NEWPID | CLONE_NEWNET)

#define SET_ID_BITS (S_ISUID | S_ISGID)
/* Not in the headers of 2.36. */
#define VMA_NAME 0x53564d41
#define U32      0xffffffffUL

/* clang-format off */
const struct filter_row filter_table[] = {
	/* ---- Memory ---- */
	{ "brk",             ALL, ALLOW, ALWAYS },
	{ "munmap",          ALL, ALLOW, ALWAYS },
	{ "mremap",          ALL, ALLOW, ALWAYS },
	{ "madvise",         ALL, ALLOW, ALWAYS },
	{ "mincore",         ALL, ALLOW, ALWAYS },
	{ "membarrier",      ALL, ALLOW, ALWAYS },
	{ "mmap",            ALL, ALLOW, WHEN(BITS(2, PROT_EXEC, 0)) },
	{ "mmap",            MAP_X, ALLOW,
		WHEN(BITS(2, PROT_EXEC | PROT_WRITE, PROT_EXEC), BITS(3, MAP_ANONYMOUS, 0)) },
	{ "mmap",            MAP_X, FAIL(EACCES),
		WHEN(BITS(2, PROT_EXEC | PROT_WRITE, PROT_EXEC), BITS(3, MAP_ANONYMOUS, MAP_ANONYMOUS)) },
	{ "mmap",            MAP_X, FAIL(EACCES),
		WHEN(BITS(2, PROT_EXEC | PROT_WRITE, PROT_EXEC | PROT_WRITE)) },
	{ "mmap",            NATIVE | NOFS, FAIL(EACCES), WHEN(BITS(2, PROT_EXEC, PROT_EXEC)) },
	{ "mprotect",        ALL, ALLOW, WHEN(BITS(2, PROT_EXEC, 0)) },
	{ "mprotect",        ALL, FAIL(EACCES), WHEN(BITS(2, PROT_EXEC, PROT_EXEC)) },
	{ "mlock",           ALL, FAIL(EPERM), ALWAYS },
	{ "mlock2",          ALL, FAIL(EPERM), ALWAYS },
	{ "mlockall",        ALL, FAIL(EPERM), ALWAYS },
	{ "munlock",         ALL, FAIL(EPERM), ALWAYS },
	{ "munlockall",      ALL, FAIL(EPERM), ALWAYS },
	{ "remap_file_pages", ALL, KILL, ALWAYS },
	{ "pkey_alloc",      ALL, KILL, ALWAYS },
	{ "pkey_free",       ALL, KILL, ALWAYS },
	{ "pkey_mprotect",   ALL, KILL, ALWAYS },
	{ "process_madvise", ALL, KILL, ALWAYS },
	{ "process_mrelease", ALL, KILL, ALWAYS },
	{ "move_pages",      ALL, KILL, ALWAYS },
	{ "migrate_pages",   ALL, KILL, ALWAYS },
	{ "userfaultfd",     ALL, KILL, ALWAYS },

	/* ---- Threads and processes ---- */
	{ "futex",           ALL, ALLOW, ALWAYS },
	{ "futex_waitv",     ALL, ALLOW, ALWAYS },
	{ "set_robust_list", ALL, ALLOW, ALWAYS },
	{ "rseq",            ALL, ALLOW, ALWAYS },
	{ "set_tid_address", ALL, ALLOW, ALWAYS },
	{ "exit",            ALL, ALLOW, ALWAYS },
	{ "exit_group",      ALL, ALLOW, ALWAYS },
	{ "sched_yield",     ALL, ALLOW, ALWAYS },
	{ "getcpu",          ALL, ALLOW, ALWAYS },
	{ "sched_getaffinity", ALL, ALLOW, ALWAYS },
	{ "clone",           ALL, ALLOW, WHEN(EQ(0, THREAD_FLAGS)) },
	/* fork() and vfork(): libraries fall back. */
	{ "clone",           ALL, FAIL(EPERM), WHEN(BITS(0, NEW_NAMESPACE | CLONE_THREAD, 0)) },
	{ "clone",           ALL, KILL, WHEN(BITS(0, CLONE_NEWNS, CLONE_NEWNS)) },
	{ "clone",           ALL, KILL, WHEN(BITS(0, CLONE_NEWCGROUP, CLONE_NEWCGROUP)) },
	{ "clone",           ALL, KILL, WHEN(BITS(0, CLONE_NEWUTS, CLONE_NEWUTS)) },
	{ "clone",           ALL, KILL, WHEN(BITS(0, CLONE_NEWIPC, CLONE_NEWIPC)) },
	{ "clone",           ALL, KILL, WHEN(BITS(0, CLONE_NEWUSER, CLONE_NEWUSER)) },
	{ "clone",           ALL, KILL, WHEN(BITS(0, CLONE_NEWPID, CLONE_NEWPID)) },
	{ "clone",           ALL, KILL, WHEN(BITS(0, CLONE_NEWNET, CLONE_NEWNET)) },
	{ "fork",            ALL, FAIL(EPERM), ALWAYS },
	{ "vfork",           ALL, FAIL(EPERM), ALWAYS },
	{ "wait4",           ALL, FAIL(ECHILD), ALWAYS },
	{ "waitid",          ALL, FAIL(ECHILD), ALWAYS },
	{ "execve",          ALL, FAIL(EACCES), ALWAYS },
	{ "execveat",        ALL, FAIL(EACCES), ALWAYS },
	{ "sched_setaffinity", ALL, FAIL(EPERM), ALWAYS },
	{ "sched_setattr",   ALL, FAIL(EPERM), ALWAYS },
	{ "sched_setparam",  ALL, FAIL(EPERM), ALWAYS },
	{ "sched_setscheduler", ALL, FAIL(EPERM), ALWAYS },
	{ "setpriority",     ALL, FAIL(EPERM), ALWAYS },
	{ "ioprio_set",      ALL, FAIL(EPERM), ALWAYS },
	{ "unshare",         ALL, KILL, ALWAYS },
	{ "setns",           ALL, KILL, ALWAYS },

	/* ---- Time ---- */
	{ "clock_gettime",   ALL, ALLOW, ALWAYS },
	{ "clock_getres",    ALL, ALLOW, ALWAYS },
	{ "clock_nanosleep", ALL, ALLOW, ALWAYS },
	{ "nanosleep",       ALL, ALLOW, ALWAYS },
	{ "gettimeofday",    ALL, ALLOW, ALWAYS },
	{ "time",            ALL, ALLOW, ALWAYS },
	{ "times",           ALL, ALLOW, ALWAYS },
	{ "setitimer",       ALL, ALLOW, ALWAYS },
	{ "getitimer",       ALL, ALLOW, ALWAYS },
	{ "clock_settime",   ALL, KILL, ALWAYS },
	{ "clock_adjtime",   ALL, KILL, ALWAYS },
	{ "adjtimex",        ALL, KILL, ALWAYS },
	{ "settimeofday",    ALL, KILL, ALWAYS },

	/* ---- Signals: a worker is PID 1 of its namespace, and may signal only itself ---- */
	{ "rt_sigaction",    ALL, ALLOW, ALWAYS },
	{ "rt_sigprocmask",  ALL, ALLOW, ALWAYS },
	{ "rt_sigreturn",    ALL, ALLOW, ALWAYS },
	{ "rt_sigpending",   ALL, ALLOW, ALWAYS },
	{ "rt_sigtimedwait", ALL, ALLOW, ALWAYS },
	{ "sigaltstack",     ALL, ALLOW, ALWAYS },
	{ "pause",           ALL, ALLOW, ALWAYS },
	{ "restart_syscall", ALL, ALLOW, ALWAYS },
	{ "kill",            ALL, ALLOW, WHEN(EQ(0, 1)) },
	{ "kill",            ALL, FAIL(EPERM), WHEN(NE(0, 1)) },
	{ "tgkill",          ALL, ALLOW, WHEN(EQ(0, 1)) },
	{ "tgkill",          ALL, FAIL(EPERM), WHEN(NE(0, 1)) },
	{ "tkill",           ALL, FAIL(EPERM), ALWAYS },
	{ "rt_sigqueueinfo", ALL, FAIL(EPERM), ALWAYS },
	{ "rt_tgsigqueueinfo", ALL, FAIL(EPERM), ALWAYS },

	/* ---- Identity and information ---- */
	{ "getpid",          ALL, ALLOW, ALWAYS },
	{ "getppid",         ALL, ALLOW, ALWAYS },
	{ "gettid",          ALL, ALLOW, ALWAYS },
	{ "getuid",          ALL, ALLOW, ALWAYS },
	{ "geteuid",         ALL, ALLOW, ALWAYS },
	{ "getresuid",       ALL, ALLOW, ALWAYS },
	{ "getgid",          ALL, ALLOW, ALWAYS },
	{ "getegid",         ALL, ALLOW, ALWAYS },
	{ "getresgid",       ALL, ALLOW, ALWAYS },
	{ "getgroups",       ALL, ALLOW, ALWAYS },
	{ "getpgrp",         ALL, ALLOW, ALWAYS },
	{ "getpgid",         ALL, ALLOW, ALWAYS },
	{ "getsid",          ALL, ALLOW, ALWAYS },
	{ "uname",           ALL, ALLOW, ALWAYS },
	{ "getrusage",       ALL, ALLOW, ALWAYS },
	{ "getrlimit",       ALL, ALLOW, ALWAYS },
	{ "umask",           ALL, ALLOW, ALWAYS },
	{ "getrandom",       ALL, ALLOW, ALWAYS },
	{ "getcwd",          ALL, ALLOW, ALWAYS },
	{ "prlimit64",       ALL, ALLOW, WHEN(EQ(0, 0), EQ(2, 0)) },
	{ "prlimit64",       ALL, FAIL(EPERM), WHEN(EQ(0, 0), NE(2, 0)) },
	{ "prlimit64",       ALL, FAIL(EPERM), WHEN(NE(0, 0)) },
	{ "setrlimit",       ALL, FAIL(EPERM), ALWAYS },
	{ "setuid",          ALL, FAIL(EPERM), ALWAYS },
	{ "setgid",          ALL, FAIL(EPERM), ALWAYS },
	{ "setreuid",        ALL, FAIL(EPERM), ALWAYS },
	{ "setregid",        ALL, FAIL(EPERM), ALWAYS },
	{ "setresuid",       ALL, FAIL(EPERM), ALWAYS },
	{ "setresgid",       ALL, FAIL(EPERM), ALWAYS },
	{ "setfsuid",        ALL, FAIL(EPERM), ALWAYS },
	{ "setfsgid",        ALL, FAIL(EPERM), ALWAYS },
	{ "setgroups",       ALL, FAIL(EPERM), ALWAYS },
	{ "setsid",          ALL, FAIL(EPERM), ALWAYS },
	{ "setpgid",         ALL, FAIL(EPERM), ALWAYS },
	{ "capset",          ALL, FAIL(EPERM), ALWAYS },
	{ "capget",          ALL, FAIL(EPERM), ALWAYS },
	{ "personality",     ALL, FAIL(EPERM), ALWAYS },
	{ "sethostname",     ALL, KILL, ALWAYS },
	{ "setdomainname",   ALL, KILL, ALWAYS },
	{ "keyctl",          ALL, KILL, ALWAYS },
	{ "add_key",         ALL, KILL, ALWAYS },
	{ "request_key",     ALL, KILL, ALWAYS },
	{ "bpf",             ALL, KILL, ALWAYS },
	{ "perf_event_open", ALL, KILL, ALWAYS },
	{ "ptrace",          ALL, KILL, ALWAYS },
	{ "process_vm_readv", ALL, KILL, ALWAYS },
	{ "process_vm_writev", ALL, KILL, ALWAYS },
	{ "kcmp",            ALL, KILL, ALWAYS },
	{ "syslog",          ALL, KILL, ALWAYS },
	{ "acct",            ALL, KILL, ALWAYS },
	{ "quotactl",        ALL, KILL, ALWAYS },
	{ "quotactl_fd",     ALL, KILL, ALWAYS },

	/* ---- Descriptors ---- */
	{ "read",            ALL, ALLOW, ALWAYS },
	{ "write",           ALL, ALLOW, ALWAYS },
	{ "readv",           ALL, ALLOW, ALWAYS },
	{ "writev",          ALL, ALLOW, ALWAYS },
	{ "pread64",         ALL, ALLOW, ALWAYS },
	{ "pwrite64",        ALL, ALLOW, ALWAYS },
	{ "preadv",          ALL, ALLOW, ALWAYS },
	{ "pwritev",         ALL, ALLOW, ALWAYS },
	{ "lseek",           ALL, ALLOW, ALWAYS },
	{ "close",           ALL, ALLOW, ALWAYS },
	{ "close_range",     ALL, ALLOW, ALWAYS },
	{ "fstat",           ALL, ALLOW, ALWAYS },
	{ "fsync",           ALL, ALLOW, ALWAYS },
	{ "fdatasync",       ALL, ALLOW, ALWAYS },
	{ "fadvise64",       ALL, ALLOW, ALWAYS },
	{ "dup",             ALL, ALLOW, ALWAYS },
	{ "dup2",            ALL, ALLOW, ALWAYS },
	{ "dup3",            ALL, ALLOW, ALWAYS },
	{ "pipe",            ALL, ALLOW, ALWAYS },
	{ "pipe2",           ALL, ALLOW, ALWAYS },
	{ "eventfd2",        ALL, ALLOW, ALWAYS },
	{ "poll",            ALL, ALLOW, ALWAYS },
	{ "ppoll",           ALL, ALLOW, ALWAYS },
	{ "select",          ALL, ALLOW, ALWAYS },
	{ "pselect6",        ALL, ALLOW, ALWAYS },
	{ "epoll_create",    ALL, ALLOW, ALWAYS },
	{ "epoll_create1",   ALL, ALLOW, ALWAYS },
	{ "epoll_ctl",       ALL, ALLOW, ALWAYS },
	{ "epoll_wait",      ALL, ALLOW, ALWAYS },
	{ "epoll_pwait",     ALL, ALLOW, ALWAYS },
	{ "epoll_pwait2",    ALL, ALLOW, ALWAYS },
	/* No locks: on a file that others see too they would be a channel between plugins. */
	{ "fcntl",           ALL, ALLOW, WHEN(EQ(1, F_GETFD)) },
	{ "fcntl",           ALL, ALLOW, WHEN(EQ(1, F_SETFD)) },
	{ "fcntl",           ALL, ALLOW, WHEN(EQ(1, F_GETFL)) },
	{ "fcntl",           ALL, ALLOW, WHEN(EQ(1, F_SETFL)) },
	{ "fcntl",           ALL, ALLOW, WHEN(EQ(1, F_DUPFD)) },
	{ "fcntl",           ALL, ALLOW, WHEN(EQ(1, F_DUPFD_CLOEXEC)) },
	{ "ioctl",           ALL, ALLOW, WHEN(EQ(1, TCGETS)) },
	{ "ioctl",           ALL, ALLOW, WHEN(EQ(1, FIONBIO)) },
	{ "ioctl",           ALL, ALLOW, WHEN(EQ(1, FIOCLEX)) },
	{ "ioctl",           ALL, ALLOW, WHEN(EQ(1, FIONCLEX)) },
	{ "ioctl",           ALL, ALLOW, WHEN(EQ(1, FIONREAD)) },
	/* The kernel looks at 32 bits only. */
	{ "ioctl",           ALL, KILL, WHEN(BITS(1, U32, TIOCSTI)) },
	{ "ioctl",           ALL, KILL, WHEN(BITS(1, U32, TIOCLINUX)) },
	{ "splice",          ALL, FAIL(EINVAL), ALWAYS },
	{ "tee",             ALL, FAIL(EINVAL), ALWAYS },
	{ "vmsplice",        ALL, FAIL(EINVAL), ALWAYS },

	/* ---- Files ---- */
	{ "openat",          FILES, ALLOW, ALWAYS },
	{ "open",            FILES, ALLOW, ALWAYS },
	{ "newfstatat",      FILES, ALLOW, ALWAYS },
	{ "newfstatat",      NOFS, ALLOW, WHEN(BITS(3, AT_EMPTY_PATH, AT_EMPTY_PATH)) },
	{ "stat",            FILES, ALLOW, ALWAYS },
	{ "lstat",           FILES, ALLOW, ALWAYS },
	{ "statx",           FILES, ALLOW, ALWAYS },
	{ "access",          FILES, ALLOW, ALWAYS },
	{ "faccessat",       FILES, ALLOW, ALWAYS },
	{ "faccessat2",      FILES, ALLOW, ALWAYS },
	{ "readlink",        FILES, ALLOW, ALWAYS },
	{ "readlinkat",      FILES, ALLOW, ALWAYS },
	{ "getdents64",      FILES, ALLOW, ALWAYS },
	{ "unlink",          FILES, ALLOW, ALWAYS },
	{ "unlinkat",        FILES, ALLOW, ALWAYS },
	{ "rename",          FILES, ALLOW, ALWAYS },
	{ "renameat",        FILES, ALLOW, ALWAYS },
	{ "renameat2",       FILES, ALLOW, ALWAYS },
	{ "mkdir",           FILES, ALLOW, ALWAYS },
	{ "mkdirat",         FILES, ALLOW, ALWAYS },
	{ "rmdir",           FILES, ALLOW, ALWAYS },
	{ "chdir",           FILES, ALLOW, ALWAYS },
	{ "fchdir",          FILES, ALLOW, ALWAYS },
	{ "statfs",          FILES, ALLOW, ALWAYS },
	{ "fstatfs",         FILES, ALLOW, ALWAYS },
	{ "utimensat",       FILES, ALLOW, ALWAYS },
	{ "truncate",        FILES, ALLOW, ALWAYS },
	{ "ftruncate",       FILES, ALLOW, ALWAYS },
	{ "chmod",           FILES, ALLOW, WHEN(BITS(1, SET_ID_BITS, 0)) },
	{ "chmod",           FILES, FAIL(EPERM), WHEN(BITS(1, S_ISUID, S_ISUID)) },
	{ "chmod",           FILES, FAIL(EPERM), WHEN(BITS(1, S_ISGID, S_ISGID)) },
	{ "fchmod",          FILES, ALLOW, WHEN(BITS(1, SET_ID_BITS, 0)) },
	{ "fchmod",          FILES, FAIL(EPERM), WHEN(BITS(1, S_ISUID, S_ISUID)) },
	{ "fchmod",          FILES, FAIL(EPERM), WHEN(BITS(1, S_ISGID, S_ISGID)) },
	{ "fchmodat",        FILES, ALLOW, WHEN(BITS(2, SET_ID_BITS, 0)) },
	{ "fchmodat",        FILES, FAIL(EPERM), WHEN(BITS(2, S_ISUID, S_ISUID)) },
	{ "fchmodat",        FILES, FAIL(EPERM), WHEN(BITS(2, S_ISGID, S_ISGID)) },
	{ "link",            ALL, FAIL(EPERM), ALWAYS },
	{ "linkat",          ALL, FAIL(EPERM), ALWAYS },
	{ "symlink",         ALL, FAIL(EPERM), ALWAYS },
	{ "symlinkat",       ALL, FAIL(EPERM), ALWAYS },
	{ "mknod",           ALL, FAIL(EPERM), ALWAYS },
	{ "mknodat",         ALL, FAIL(EPERM), ALWAYS },
	{ "chown",           ALL, FAIL(EPERM), ALWAYS },
	{ "fchown",          ALL, FAIL(EPERM), ALWAYS },
	{ "lchown",          ALL, FAIL(EPERM), ALWAYS },
	{ "fchownat",        ALL, FAIL(EPERM), ALWAYS },
	{ "setxattr",        ALL, FAIL(EPERM), ALWAYS },
	{ "lsetxattr",       ALL, FAIL(EPERM), ALWAYS },
	{ "fsetxattr",       ALL, FAIL(EPERM), ALWAYS },
	{ "removexattr",     ALL, FAIL(EPERM), ALWAYS },
	{ "lremovexattr",    ALL, FAIL(EPERM), ALWAYS },
	{ "fremovexattr",    ALL, FAIL(EPERM), ALWAYS },
	{ "getxattr",        ALL, FAIL(ENOTSUP), ALWAYS },
	{ "lgetxattr",       ALL, FAIL(ENOTSUP), ALWAYS },
	{ "fgetxattr",       ALL, FAIL(ENOTSUP), ALWAYS },
	{ "listxattr",       ALL, FAIL(ENOTSUP), ALWAYS },
	{ "llistxattr",      ALL, FAIL(ENOTSUP), ALWAYS },
	{ "flistxattr",      ALL, FAIL(ENOTSUP), ALWAYS },
	{ "mount",           ALL, KILL, ALWAYS },
	{ "umount2",         ALL, KILL, ALWAYS },
	{ "pivot_root",      ALL, KILL, ALWAYS },
	{ "chroot",          ALL, KILL, ALWAYS },
	{ "open_tree",       ALL, KILL, ALWAYS },
	{ "move_mount",      ALL, KILL, ALWAYS },
	{ "fsopen",          ALL, KILL, ALWAYS },
	{ "fsconfig",        ALL, KILL, ALWAYS },
	{ "fsmount",         ALL, KILL, ALWAYS },
	{ "fspick",          ALL, KILL, ALWAYS },
	{ "mount_setattr",   ALL, KILL, ALWAYS },
	{ "name_to_handle_at", ALL, KILL, ALWAYS },
	{ "open_by_handle_at", ALL, KILL, ALWAYS },
	{ "swapon",          ALL, KILL, ALWAYS },
	{ "swapoff",         ALL, KILL, ALWAYS },

	/* ---- Sockets: what the channel and asyncio's wake-up pair need ---- */
	{ "getsockname",     ALL, ALLOW, ALWAYS },
	{ "getpeername",     ALL, ALLOW, ALWAYS },
	{ "getsockopt",      ALL, ALLOW, ALWAYS },
	{ "shutdown",        ALL, ALLOW, ALWAYS },
	{ "socketpair",      ALL, ALLOW, WHEN(EQ(0, AF_UNIX), BITS(1, 0xf, SOCK_STREAM)) },
	{ "socketpair",      ALL, FAIL(EACCES), WHEN(NE(0, AF_UNIX)) },
	/* No address; no out-of-band data. */
	{ "sendto",          ALL, ALLOW,
		WHEN(BITS(3, ~(uint64_t)(MSG_NOSIGNAL | MSG_DONTWAIT) & U32, 0), EQ(4, 0)) },
	{ "sendto",          ALL, FAIL(EACCES), WHEN(NE(4, 0)) },
	{ "recvfrom",        ALL, ALLOW, WHEN(BITS(3, MSG_OOB, 0)) },
	{ "recvfrom",        ALL, FAIL(EACCES), WHEN(BITS(3, MSG_OOB, MSG_OOB)) },
	{ "socket",          ALL, FAIL(EACCES), ALWAYS },
	{ "connect",         ALL, FAIL(EACCES), ALWAYS },
	{ "bind",            ALL, FAIL(EACCES), ALWAYS },
	{ "listen",          ALL, FAIL(EACCES), ALWAYS },
	{ "accept",          ALL, FAIL(EACCES), ALWAYS },
	{ "accept4",         ALL, FAIL(EACCES), ALWAYS },
	{ "sendmsg",         ALL, FAIL(EACCES), ALWAYS },
	{ "recvmsg",         ALL, FAIL(EACCES), ALWAYS },
	{ "sendmmsg",        ALL, FAIL(EACCES), ALWAYS },
	{ "recvmmsg",        ALL, FAIL(EACCES), ALWAYS },
	{ "setsockopt",      ALL, FAIL(EACCES), ALWAYS },

	/* ---- Attributes of the process and the machine ---- */
	{ "prctl",           ALL, ALLOW, WHEN(EQ(0, PR_SET_NAME)) },
	{ "prctl",           ALL, ALLOW, WHEN(EQ(0, PR_GET_NAME)) },
	{ "prctl",           ALL, ALLOW, WHEN(EQ(0, PR_GET_DUMPABLE)) },
	{ "prctl",           ALL, ALLOW, WHEN(EQ(0, PR_GET_NO_NEW_PRIVS)) },
	{ "prctl",           ALL, ALLOW, WHEN(EQ(0, VMA_NAME)) },
	{ "arch_prctl",      ALL, FAIL(EINVAL), ALWAYS },
	/* The second stage of native workers. */
	{ "seccomp",         LOAD, ALLOW,
		WHEN(EQ(0, SECCOMP_SET_MODE_FILTER), EQ(1, SECCOMP_FILTER_FLAG_TSYNC)) },
	{ "iopl",            ALL, KILL, ALWAYS },
	{ "ioperm",          ALL, KILL, ALWAYS },
	{ "modify_ldt",      ALL, KILL, ALWAYS },
	{ "reboot",          ALL, KILL, ALWAYS },
	{ "kexec_load",      ALL, KILL, ALWAYS },
	{ "kexec_file_load", ALL, KILL, ALWAYS },
	{ "init_module",     ALL, KILL, ALWAYS },
	{ "finit_module",    ALL, KILL, ALWAYS },
	{ "delete_module",   ALL, KILL, ALWAYS },
	{ "vhangup",         ALL, KILL, ALWAYS },
};
/* clang-format on */

const size_t filter_table_size = sizeof(filter_table) / sizeof(filter_table[0]);
