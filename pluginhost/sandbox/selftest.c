#include "pluginhost/sandbox/selftest.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static long try_open_outside(const char *plugin)
{
	return open("/etc/passwd", O_RDONLY | O_CLOEXEC);
}

static long try_open_proc(const char *plugin)
{
	return open("/proc/self/status", O_RDONLY | O_CLOEXEC);
}

static long try_snapshots(const char *plugin)
{
	char path[128];
	(void)snprintf(path, sizeof(path), "/snapshots/%s", plugin);
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static long try_socket(const char *plugin)
{
	return socket(AF_INET, SOCK_STREAM, 0);
}

static long try_fork(const char *plugin)
{
	long pid = syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
	if (pid == 0) {
		_exit(0);
	}
	return pid;
}

static long try_exec(const char *plugin)
{
	char *const none[] = { NULL };
	return execve("/", none, none);
}

static long try_executable_memory(const char *plugin)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return p == MAP_FAILED ? -1 : 0;
}

static long try_filter_state(const char *plugin)
{
	return prctl(PR_GET_SECCOMP, 0, 0, 0, 0);
}

static long try_uid_0(const char *plugin)
{
	return setresuid(0, 0, 0);
}

static long try_sys(const char *plugin)
{
	return open("/sys/kernel", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static long try_list_root(const char *plugin)
{
	return open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static long try_create_in_root(const char *plugin)
{
	return open("/selftest", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
}

static long try_socket_pair(const char *plugin)
{
	int pair[2];
	return socketpair(AF_INET, SOCK_STREAM, 0, pair);
}

static long try_send_message(const char *plugin)
{
	struct msghdr m = { 0 };
	return sendmsg(WORKER_FD_CHANNEL, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static long try_make_executable(const char *plugin)
{
	static char page[4096] __attribute__((aligned(4096)));
	return mprotect(page, sizeof(page), PROT_READ | PROT_EXEC);
}

static long try_groups(const char *plugin)
{
	return syscall(SYS_setgroups, 0, NULL);
}

static long try_capabilities(const char *plugin)
{
	return syscall(SYS_capset, NULL, NULL);
}

static long try_clone3(const char *plugin)
{
	return syscall(SYS_clone3, NULL, 0);
}

static long try_memory_file(const char *plugin)
{
	return memfd_create("selftest", MFD_CLOEXEC);
}

static long try_io_uring(const char *plugin)
{
	return syscall(SYS_io_uring_setup, 1, NULL);
}

static long try_signal_all(const char *plugin)
{
	return kill(-1, 0);
}

static long try_process_handle(const char *plugin)
{
	return syscall(SYS_pidfd_open, 1, 0);
}

static long try_symlink(const char *plugin)
{
	return symlink("/", "/tmp/selftest");
}

static long try_device(const char *plugin)
{
	return mknod("/tmp/selftest", S_IFCHR | 0600, 0);
}

static long try_lock(const char *plugin)
{
	return flock(STDIN_FILENO, LOCK_SH | LOCK_NB);
}

static long try_raise_limit(const char *plugin)
{
	const struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };
	return setrlimit(RLIMIT_NOFILE, &limit);
}

static long try_personality(const char *plugin)
{
	return personality(READ_IMPLIES_EXEC);
}

/* What stops an attempt. Without files no path gets as far as a mount. */
enum stopped_by { BY_FILTER, BY_FILES, BY_LANDLOCK };

static const struct {
	const char *what;
	long (*attempt)(const char *plugin);
	enum stopped_by by;
	int expected;
	int other; /* the second fence may be met first; 0: there is none */
} attempts[] = {
	{ "open(/etc/passwd)", try_open_outside, BY_FILES, ENOENT, 0 },
	{ "open(/proc/self/status)", try_open_proc, BY_FILES, ENOENT, 0 },
	{ "open(/snapshots/<plugin>)", try_snapshots, BY_FILES, ENOENT, 0 },
	{ "open(/sys/kernel)", try_sys, BY_FILES, ENOENT, 0 },
	{ "open(/, O_DIRECTORY)", try_list_root, BY_LANDLOCK, EACCES, 0 },
	{ "open(/selftest, O_CREAT)", try_create_in_root, BY_FILES, EROFS, EACCES },
	{ "socket(AF_INET)", try_socket, BY_FILTER, EACCES, 0 },
	{ "socketpair(AF_INET)", try_socket_pair, BY_FILTER, EACCES, 0 },
	{ "sendmsg", try_send_message, BY_FILTER, EACCES, 0 },
	{ "fork", try_fork, BY_FILTER, EPERM, 0 },
	{ "clone3", try_clone3, BY_FILTER, ENOSYS, 0 },
	{ "execve", try_exec, BY_FILTER, EACCES, 0 },
	{ "mmap(PROT_EXEC)", try_executable_memory, BY_FILTER, EACCES, 0 },
	{ "mprotect(PROT_EXEC)", try_make_executable, BY_FILTER, EACCES, 0 },
	{ "memfd_create", try_memory_file, BY_FILTER, ENOSYS, 0 },
	{ "io_uring_setup", try_io_uring, BY_FILTER, ENOSYS, 0 },
	{ "prctl(PR_GET_SECCOMP)", try_filter_state, BY_FILTER, ENOSYS, 0 },
	{ "setresuid(0)", try_uid_0, BY_FILTER, EPERM, 0 },
	{ "setgroups", try_groups, BY_FILTER, EPERM, 0 },
	{ "capset", try_capabilities, BY_FILTER, EPERM, 0 },
	{ "kill(-1)", try_signal_all, BY_FILTER, EPERM, 0 },
	{ "pidfd_open", try_process_handle, BY_FILTER, ENOSYS, 0 },
	{ "symlink", try_symlink, BY_FILTER, EPERM, 0 },
	{ "mknod", try_device, BY_FILTER, EPERM, 0 },
	{ "flock", try_lock, BY_FILTER, ENOSYS, 0 },
	{ "setrlimit", try_raise_limit, BY_FILTER, EPERM, 0 },
	{ "personality", try_personality, BY_FILTER, EPERM, 0 },
};

unsigned selftest_attempts(void)
{
	return sizeof(attempts) / sizeof(attempts[0]);
}

const char *selftest_run(const char *plugin, enum filter_id filter, int landlock)
{
	for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++) {
		bool by_path = attempts[i].by != BY_FILTER;
		if (attempts[i].by == BY_LANDLOCK && landlock == 0) {
			continue;
		}
		errno = 0;
		bool no_files = by_path && filter == FILTER_NATIVE_NOFS;
		bool failed = attempts[i].attempt(plugin) < 0;
		if (!failed ||
			(no_files ? errno != ENOSYS
				  : errno != attempts[i].expected &&
						(attempts[i].other == 0 ||
							errno != attempts[i].other))) {
			return attempts[i].what;
		}
	}
	return NULL;
}
