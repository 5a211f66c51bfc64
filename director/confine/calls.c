/*
 * What the director asks the kernel once it runs: libuv, the store's drivers, name look-ups, TLS, the
 * log. A call without a row kills the process: it is a mistake of ours that a test must show, or not
 * ours at all. What libraries try and can do without gets an errno.
 *
 * The rows of one call must not overlap (common/confine/filter.h).
 */
#include "common/confine/filter_rows.h"
#include "director/confine/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define ALL         CONFINE_COLUMN
#define SET_ID_BITS (S_ISUID | S_ISGID)
#define WRITE_EXEC  (PROT_WRITE | PROT_EXEC)
/* Not in the headers of 2.36. */
#define VMA_NAME 0x53564d41

/* clang-format off */
static const struct filter_row rows[] = {
	/* ---- Memory: never executable; a library that would be loaded now is not ---- */
	{ "brk",             ALL, ALLOW, ALWAYS },
	{ "munmap",          ALL, ALLOW, ALWAYS },
	{ "mremap",          ALL, ALLOW, ALWAYS },
	{ "madvise",         ALL, ALLOW, ALWAYS },
	{ "membarrier",      ALL, ALLOW, ALWAYS },
	{ "mlock",           ALL, ALLOW, ALWAYS },
	{ "munlock",         ALL, ALLOW, ALWAYS },
	{ "mmap",            ALL, ALLOW, WHEN(BITS(2, PROT_EXEC, 0)) },
	{ "mmap",            ALL, FAIL(EACCES),
		WHEN(BITS(2, WRITE_EXEC, PROT_EXEC), BITS(3, MAP_ANONYMOUS, 0)) },
	{ "mprotect",        ALL, ALLOW, WHEN(BITS(2, PROT_EXEC, 0)) },
	{ "memfd_create",    ALL, FAIL(ENOSYS), ALWAYS },

	/* ---- Threads, no processes ---- */
	{ "futex",           ALL, ALLOW, ALWAYS },
	{ "set_robust_list", ALL, ALLOW, ALWAYS },
	{ "rseq",            ALL, ALLOW, ALWAYS },
	{ "exit",            ALL, ALLOW, ALWAYS },
	{ "exit_group",      ALL, ALLOW, ALWAYS },
	{ "sched_yield",     ALL, ALLOW, ALWAYS },
	{ "sched_getaffinity", ALL, ALLOW, ALWAYS },
	{ "getcpu",          ALL, ALLOW, ALWAYS },
	{ "clone",           ALL, ALLOW, WHEN(EQ(0, THREAD_FLAGS)) },
	/* Its flags cannot be seen; glibc falls back on clone(). */
	{ "clone3",          ALL, FAIL(ENOSYS), ALWAYS },
	{ "prctl",           ALL, ALLOW, WHEN(EQ(0, PR_SET_NAME)) },
	{ "prctl",           ALL, ALLOW, WHEN(EQ(0, PR_GET_NAME)) },
	{ "prctl",           ALL, ALLOW, WHEN(EQ(0, VMA_NAME)) },

	/* ---- Time ---- */
	{ "clock_gettime",   ALL, ALLOW, ALWAYS },
	{ "clock_getres",    ALL, ALLOW, ALWAYS },
	{ "clock_nanosleep", ALL, ALLOW, ALWAYS },
	{ "nanosleep",       ALL, ALLOW, ALWAYS },
	{ "gettimeofday",    ALL, ALLOW, ALWAYS },
	{ "time",            ALL, ALLOW, ALWAYS },

	/* ---- Signals: abort() alone sends one ---- */
	{ "rt_sigaction",    ALL, ALLOW, ALWAYS },
	{ "rt_sigprocmask",  ALL, ALLOW, ALWAYS },
	{ "rt_sigreturn",    ALL, ALLOW, ALWAYS },
	{ "sigaltstack",     ALL, ALLOW, ALWAYS },
	{ "restart_syscall", ALL, ALLOW, ALWAYS },
	{ "tgkill",          ALL, ALLOW, WHEN(EQ(2, SIGABRT)) },

	/* ---- Identity and information ---- */
	{ "getpid",          ALL, ALLOW, ALWAYS },
	{ "gettid",          ALL, ALLOW, ALWAYS },
	{ "getuid",          ALL, ALLOW, ALWAYS },
	{ "geteuid",         ALL, ALLOW, ALWAYS },
	{ "getgid",          ALL, ALLOW, ALWAYS },
	{ "getegid",         ALL, ALLOW, ALWAYS },
	{ "uname",           ALL, ALLOW, ALWAYS },
	{ "sysinfo",         ALL, ALLOW, ALWAYS },
	{ "getrusage",       ALL, ALLOW, ALWAYS },
	{ "prlimit64",       ALL, ALLOW, WHEN(EQ(0, 0), EQ(2, 0)) },
	{ "umask",           ALL, ALLOW, ALWAYS },
	{ "getrandom",       ALL, ALLOW, ALWAYS },
	{ "getcwd",          ALL, ALLOW, ALWAYS },

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
	{ "fstat",           ALL, ALLOW, ALWAYS },
	{ "fsync",           ALL, ALLOW, ALWAYS },
	{ "fdatasync",       ALL, ALLOW, ALWAYS },
	{ "ftruncate",       ALL, ALLOW, ALWAYS },
	{ "fallocate",       ALL, ALLOW, ALWAYS },
	{ "fadvise64",       ALL, ALLOW, ALWAYS },
	{ "dup",             ALL, ALLOW, ALWAYS },
	{ "dup3",            ALL, ALLOW, ALWAYS },
	{ "pipe2",           ALL, ALLOW, ALWAYS },
	{ "eventfd2",        ALL, ALLOW, ALWAYS },
	{ "poll",            ALL, ALLOW, ALWAYS },
	{ "ppoll",           ALL, ALLOW, ALWAYS },
	{ "select",          ALL, ALLOW, ALWAYS },
	{ "pselect6",        ALL, ALLOW, ALWAYS },
	{ "epoll_create1",   ALL, ALLOW, ALWAYS },
	{ "epoll_ctl",       ALL, ALLOW, ALWAYS },
	{ "epoll_wait",      ALL, ALLOW, ALWAYS },
	{ "epoll_pwait",     ALL, ALLOW, ALWAYS },
	{ "fcntl",           ALL, ALLOW, WHEN(EQ(1, F_GETFD)) },
	{ "fcntl",           ALL, ALLOW, WHEN(EQ(1, F_SETFD)) },
	{ "fcntl",           ALL, ALLOW, WHEN(EQ(1, F_GETFL)) },
	{ "fcntl",           ALL, ALLOW, WHEN(EQ(1, F_SETFL)) },
	{ "fcntl",           ALL, ALLOW, WHEN(EQ(1, F_DUPFD_CLOEXEC)) },
	/* SQLite's locks. */
	{ "fcntl",           ALL, ALLOW, WHEN(EQ(1, F_GETLK)) },
	{ "fcntl",           ALL, ALLOW, WHEN(EQ(1, F_SETLK)) },
	{ "fcntl",           ALL, ALLOW, WHEN(EQ(1, F_SETLKW)) },
	{ "fcntl",           ALL, ALLOW, WHEN(EQ(1, F_OFD_SETLK)) },
	{ "ioctl",           ALL, ALLOW, WHEN(EQ(1, TCGETS)) },
	{ "ioctl",           ALL, ALLOW, WHEN(EQ(1, FIONBIO)) },
	{ "ioctl",           ALL, ALLOW, WHEN(EQ(1, FIOCLEX)) },
	{ "ioctl",           ALL, ALLOW, WHEN(EQ(1, FIONREAD)) },
	/* Does a client take what it is sent? */
	{ "ioctl",           ALL, ALLOW, WHEN(EQ(1, SIOCOUTQ)) },
	{ "io_uring_setup",  ALL, FAIL(ENOSYS), ALWAYS },

	/* ---- Files: which ones is Landlock's business ---- */
	{ "openat",          ALL, ALLOW, ALWAYS },
	{ "newfstatat",      ALL, ALLOW, ALWAYS },
	{ "stat",            ALL, ALLOW, ALWAYS },
	{ "lstat",           ALL, ALLOW, ALWAYS },
	{ "statx",           ALL, ALLOW, ALWAYS },
	{ "statfs",          ALL, ALLOW, ALWAYS },
	{ "fstatfs",         ALL, ALLOW, ALWAYS },
	{ "access",          ALL, ALLOW, ALWAYS },
	{ "faccessat",       ALL, ALLOW, ALWAYS },
	{ "faccessat2",      ALL, ALLOW, ALWAYS },
	{ "readlink",        ALL, ALLOW, ALWAYS },
	{ "readlinkat",      ALL, ALLOW, ALWAYS },
	{ "getdents64",      ALL, ALLOW, ALWAYS },
	{ "unlink",          ALL, ALLOW, ALWAYS },
	{ "unlinkat",        ALL, ALLOW, ALWAYS },
	{ "rename",          ALL, ALLOW, ALWAYS },
	{ "renameat",        ALL, ALLOW, ALWAYS },
	{ "renameat2",       ALL, ALLOW, ALWAYS },
	{ "mkdir",           ALL, ALLOW, ALWAYS },
	{ "mkdirat",         ALL, ALLOW, ALWAYS },
	{ "rmdir",           ALL, ALLOW, ALWAYS },
	{ "chmod",           ALL, ALLOW, WHEN(BITS(1, SET_ID_BITS, 0)) },
	{ "fchmod",          ALL, ALLOW, WHEN(BITS(1, SET_ID_BITS, 0)) },
	{ "fchmodat",        ALL, ALLOW, WHEN(BITS(2, SET_ID_BITS, 0)) },
	{ "fchown",          ALL, FAIL(EPERM), ALWAYS },

	/* ---- Sockets ---- */
	{ "socket",          ALL, ALLOW, WHEN(EQ(0, AF_UNIX)) },
	{ "socket",          ALL, ALLOW, WHEN(EQ(0, AF_INET)) },
	{ "socket",          ALL, ALLOW, WHEN(EQ(0, AF_INET6)) },
	/* getaddrinfo() asks which addresses we have, and goes on without. */
	{ "socket",          ALL, FAIL(EAFNOSUPPORT), WHEN(EQ(0, AF_NETLINK)) },
	/* libcurl wakes the loop of a name look-up with a pair. */
	{ "socketpair",      ALL, ALLOW, WHEN(EQ(0, AF_UNIX)) },
	{ "connect",         ALL, ALLOW, ALWAYS },
	{ "bind",            ALL, ALLOW, ALWAYS },
	{ "listen",          ALL, ALLOW, ALWAYS },
	{ "accept4",         ALL, ALLOW, ALWAYS },
	{ "getsockname",     ALL, ALLOW, ALWAYS },
	{ "getpeername",     ALL, ALLOW, ALWAYS },
	{ "getsockopt",      ALL, ALLOW, ALWAYS },
	{ "setsockopt",      ALL, ALLOW, WHEN(EQ(1, SOL_SOCKET)) },
	{ "setsockopt",      ALL, ALLOW, WHEN(EQ(1, IPPROTO_TCP)) },
	{ "setsockopt",      ALL, ALLOW, WHEN(EQ(1, IPPROTO_IP)) },
	{ "setsockopt",      ALL, ALLOW, WHEN(EQ(1, IPPROTO_IPV6)) },
	{ "shutdown",        ALL, ALLOW, ALWAYS },
	{ "sendto",          ALL, ALLOW, ALWAYS },
	{ "sendmsg",         ALL, ALLOW, ALWAYS },
	{ "sendmmsg",        ALL, ALLOW, ALWAYS },
	{ "recvfrom",        ALL, ALLOW, ALWAYS },
	{ "recvmsg",         ALL, ALLOW, ALWAYS },
};
/* clang-format on */

const struct filter_policy confine_policy = {
	.rows = rows,
	.n = sizeof(rows) / sizeof(rows[0]),
	.default_action = KILL,
};
