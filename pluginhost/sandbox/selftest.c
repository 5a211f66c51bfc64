#include "pluginhost/sandbox/selftest.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
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

const char *selftest_run(const char *plugin)
{
	static const struct {
		const char *what;
		long (*attempt)(const char *plugin);
		int expected;
	} attempts[] = {
		{ "open(/etc/passwd)", try_open_outside, ENOENT },
		{ "open(/proc/self/status)", try_open_proc, ENOENT },
		{ "open(/snapshots/<plugin>)", try_snapshots, ENOENT },
		{ "socket(AF_INET)", try_socket, EACCES },
		{ "fork", try_fork, EPERM },
		{ "execve", try_exec, EACCES },
		{ "mmap(PROT_EXEC)", try_executable_memory, EACCES },
		{ "prctl(PR_GET_SECCOMP)", try_filter_state, ENOSYS },
		{ "setresuid(0)", try_uid_0, EPERM },
	};
	for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++) {
		errno = 0;
		if (attempts[i].attempt(plugin) >= 0 || errno != attempts[i].expected) {
			return attempts[i].what;
		}
	}
	return NULL;
}
