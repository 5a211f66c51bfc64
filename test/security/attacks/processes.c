/* B: processes, memory, privileges. */
#include "test/security/attacks/attack.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static long spawn(void)
{
	char *argv[] = { NULL };
	pid_t pid;
	int e = posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, argv);
	errno = e;
	return e == 0 ? 0 : -1;
}

ATTEMPT(run_system, system("true"))
ATTEMPT(do_fork, attack_no_child(fork()))
ATTEMPT(raw_fork, attack_no_child(syscall(SYS_fork)))
ATTEMPT(do_vfork, attack_no_child(vfork()))

#define CLONE(flags) attack_no_child(syscall(SYS_clone, (flags) | SIGCHLD, NULL, NULL, NULL, NULL))

static int empty_child(void *arg)
{
	return 0;
}

static long clone_shared(void)
{
	static char stack[65536];
	return clone(empty_child, stack + sizeof(stack), CLONE_VM | CLONE_FILES | SIGCHLD, NULL);
}

/* As the kernel knows it, on headers of any age. */
static long do_clone3(void)
{
	uint64_t args[8] = { [4] = SIGCHLD };
	return attack_no_child(syscall(SYS_clone3, args, sizeof(args)));
}

ATTEMPT(clone_process, CLONE(0))
ATTEMPT(clone_parent, CLONE(CLONE_PARENT))
ATTEMPT(clone_user, CLONE(CLONE_NEWUSER))
ATTEMPT(clone_mount, CLONE(CLONE_NEWNS))
ATTEMPT(clone_net, CLONE(CLONE_NEWNET))
ATTEMPT(clone_pid, CLONE(CLONE_NEWPID))

static void *sleeper(void *arg)
{
	(void)pause();
	return arg;
}

/* Threads until one is refused. */
static long thread_bomb(void)
{
	pthread_attr_t attr;
	pthread_attr_init(&attr);
	(void)pthread_attr_setstacksize(&attr, 65536);
	for (long i = 0; i < 10000; i++) {
		pthread_t thread;
		int e = pthread_create(&thread, &attr, sleeper, NULL);
		if (e != 0) {
			errno = e;
			return e == EAGAIN ? i : -1;
		}
	}
	return -1;
}

/* Until the allocator gives up. Where a memory cgroup is smaller it kills first. */
static long memory_bomb(void)
{
	for (long i = 0; i < 100000; i++) {
		volatile char *p = malloc(1 << 20);
		if (p == NULL) {
			return -1;
		}
		for (size_t j = 0; j < 1 << 20; j += 4096) {
			p[j] = 1;
		}
	}
	return -1;
}

static int deeper(volatile int n)
{
	volatile char frame[4096];
	memset((void *)(uintptr_t)frame, n, sizeof(frame));
	return n == 0 ? frame[0] : deeper(n - 1) + frame[7];
}

ATTEMPT(stack_overflow, deeper(1000000))

static long descriptor_bomb(void)
{
	for (long i = 0; i < 100000; i++) {
		if (dup(0) < 0) {
			return errno == EMFILE ? i : -1;
		}
	}
	return -1;
}

static long epoll_bomb(void)
{
	for (long i = 0; i < 100000; i++) {
		if (epoll_create1(0) < 0) {
			return errno == EMFILE ? i : -1;
		}
	}
	return -1;
}

static long pipe_bomb(void)
{
	int fds[2];
	for (long i = 0; i < 100000; i++) {
		if (pipe(fds) < 0) {
			return errno == EMFILE ? i : -1;
		}
	}
	return -1;
}

static long map(int prot, int flags, int fd)
{
	void *p = mmap(NULL, 4096, prot, flags, fd, 0);
	return p == MAP_FAILED ? -1 : 0;
}

ATTEMPT(map_wx, map(PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1))
ATTEMPT(map_rx, map(PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1))
ATTEMPT(map_file_wx, map(PROT_WRITE | PROT_EXEC, MAP_PRIVATE, READ_ONLY(OWN_PLUGIN "/logic.py")))
ATTEMPT(map_plugin_x, map(PROT_READ | PROT_EXEC, MAP_PRIVATE, READ_ONLY(OWN_PLUGIN "/logic.py")))

static long map_tmp_x(void)
{
	int fd = attack_tmp_file("/tmp/x");
	return ftruncate(fd, 4096) < 0 ? -1 : map(PROT_READ | PROT_EXEC, MAP_PRIVATE, fd);
}

static long protect_x(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return p == MAP_FAILED ? -2 : mprotect(p, 4096, PROT_READ | PROT_EXEC);
}

static long map_page_zero(void)
{
	void *p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	return p == MAP_FAILED ? -1 : 0;
}

ATTEMPT(do_ptrace, syscall(SYS_ptrace, 0, 0, NULL, NULL))
ATTEMPT(do_vm_read, syscall(SYS_process_vm_readv, 1, NULL, 0, NULL, 0, 0))
ATTEMPT(do_vm_write, syscall(SYS_process_vm_writev, 1, NULL, 0, NULL, 0, 0))
ATTEMPT(do_kcmp, syscall(SYS_kcmp, 1, 1, 0, 0, 0))
ATTEMPT(do_pidfd_getfd, syscall(SYS_pidfd_getfd, 3, 0, 0))
ATTEMPT(do_pidfd_open, syscall(SYS_pidfd_open, 1, 0))
ATTEMPT(parent, getppid())
ATTEMPT(self, getpid())
ATTEMPT(kill_all, kill(-1, SIGKILL))
ATTEMPT(kill_group, kill(0, SIGKILL))
ATTEMPT(kill_parent, kill(getppid(), SIGKILL))
ATTEMPT(kill_other, kill(2, SIGKILL))
ATTEMPT(tgkill_other, syscall(SYS_tgkill, 2, 2, SIGKILL))
ATTEMPT(do_tkill, syscall(SYS_tkill, 1, SIGKILL))
ATTEMPT(queue_signal, sigqueue(2, SIGKILL, (union sigval){ 0 }))
ATTEMPT(pidfd_signal, syscall(SYS_pidfd_send_signal, 3, SIGKILL, NULL, 0))
ATTEMPT(do_wait, syscall(SYS_wait4, -1, NULL, 0, NULL))
ATTEMPT(die, (raise(SIGKILL), 0))
ATTEMPT(do_abort, (abort(), 0))
ATTEMPT(do_setresuid, setresuid(0, 0, 0))
ATTEMPT(do_setuid, setuid(1))
ATTEMPT(do_setgroups, syscall(SYS_setgroups, 0, NULL))

static long do_capset(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct all[2] = { { ~0U, ~0U, ~0U }, { ~0U, ~0U, ~0U } };
	return syscall(SYS_capset, &head, all);
}

ATTEMPT(no_new_privs, prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0))
ATTEMPT(do_unshare, unshare(CLONE_NEWUSER))
ATTEMPT(unshare_nothing, unshare(0))
ATTEMPT(do_setns, setns(0, 0))
ATTEMPT(do_mount, syscall(SYS_mount, "none", "/tmp", "tmpfs", 0, NULL))
ATTEMPT(mount_cgroup, syscall(SYS_mount, "none", "/tmp", "cgroup2", 0, NULL))
ATTEMPT(do_umount, syscall(SYS_umount2, "/plugins", 2))
ATTEMPT(do_pivot, syscall(SYS_pivot_root, "/", "/"))
ATTEMPT(do_chroot, chroot("/"))
ATTEMPT(do_open_tree, syscall(SYS_open_tree, -100, "/", 1))
ATTEMPT(do_fsopen, syscall(SYS_fsopen, "tmpfs", 0))
ATTEMPT(do_move_mount, syscall(SYS_move_mount, 0, "", 0, "", 0))
ATTEMPT(do_mount_setattr, syscall(SYS_mount_setattr, 0, "", 0, NULL, 0))

/* clang-format off */
const struct attack attacks_on_processes[] = {
	{ "B1", "posix_spawn",                 spawn,               IN_BOTH, FAILS(EPERM) },
	{ "B1", "system()",                    run_system,          IN_BOTH, GIVES(127 << 8) },
	{ "B2", "fork()",                      do_fork,             IN_BOTH, FAILS(EPERM) },
	{ "B2", "fork, raw",                   raw_fork,            IN_BOTH, FAILS(EPERM) },
	{ "B2", "vfork()",                     do_vfork,            IN_BOTH, FAILS(EPERM) },
	{ "B2", "clone a process",             clone_process,       IN_BOTH, FAILS(EPERM) },
	{ "B2", "clone sharing memory",        clone_shared,        IN_BOTH, FAILS(EPERM) },
	{ "B2", "clone a sibling",             clone_parent,        IN_BOTH, FAILS(EPERM) },
	{ "B21", "clone NEWUSER",               clone_user,          IN_BOTH, KILLED },
	{ "B21", "clone NEWNS",                 clone_mount,         IN_BOTH, KILLED },
	{ "B21", "clone NEWNET",                clone_net,           IN_BOTH, KILLED },
	{ "B21", "clone NEWPID",                clone_pid,           IN_BOTH, KILLED },
	{ "B3", "clone3",                      do_clone3,           IN_BOTH, FAILS(ENOSYS) },
	{ "B2", "wait",                        do_wait,             IN_BOTH, FAILS(ECHILD) },
	{ "B4", "thread bomb, python",         thread_bomb,         IN_PYTHON | OWN_UID, WITHIN(8, 31) },
	{ "B4", "thread bomb, native",         thread_bomb,         IN_NATIVE | OWN_UID, WITHIN(1, 7) },
	{ "B8", "stack overflow",              stack_overflow,      IN_BOTH | UNSANITIZED, DIES(SIGSEGV) },
	{ "B9", "descriptor bomb, python",     descriptor_bomb,     IN_PYTHON, WITHIN(57, 57) },
	{ "B9", "descriptor bomb, native",     descriptor_bomb,     IN_NATIVE, WITHIN(28, 28) },
	{ "B9", "epoll bomb, python",          epoll_bomb,          IN_PYTHON, WITHIN(57, 57) },
	{ "B9", "pipe bomb, python",           pipe_bomb,           IN_PYTHON, WITHIN(28, 28) },
	{ "B9", "pipe bomb, native",           pipe_bomb,           IN_NATIVE, WITHIN(14, 14) },
	{ "B14", "mmap W+X",                    map_wx,              IN_BOTH, FAILS(EACCES) },
	{ "B14", "mmap R+X anonymous",          map_rx,              IN_BOTH, FAILS(EACCES) },
	{ "B14", "mmap file W+X",               map_file_wx,         IN_BOTH, FAILS(EACCES) },
	{ "-", "mmap plugin file +X, python", map_plugin_x,        IN_PYTHON, GIVES(0) },
	{ "B14", "mmap plugin file +X, native", map_plugin_x,        IN_NATIVE, FAILS(EACCES) },
	{ "B14", "mmap /tmp file +X, python",   map_tmp_x,           IN_PYTHON, FAILS(EPERM) },
	{ "B14", "mmap /tmp file +X, native",   map_tmp_x,           IN_NATIVE, FAILS(EACCES) },
	{ "B14", "mprotect +X",                 protect_x,           IN_BOTH, FAILS(EACCES) },
	{ "B17", "map page zero",               map_page_zero,       IN_BOTH, FAILS(EPERM) },
	{ "B18", "ptrace",                      do_ptrace,           IN_BOTH, KILLED },
	{ "B18", "process_vm_readv",            do_vm_read,          IN_BOTH, KILLED },
	{ "B18", "process_vm_writev",           do_vm_write,         IN_BOTH, KILLED },
	{ "B18", "kcmp",                        do_kcmp,             IN_BOTH, KILLED },
	{ "B18", "pidfd_getfd",                 do_pidfd_getfd,      IN_BOTH, FAILS(ENOSYS) },
	{ "B18", "pidfd_open",                  do_pidfd_open,       IN_BOTH, FAILS(ENOSYS) },
	{ "-", "own pid",                     self,                IN_BOTH, GIVES(1) },
	{ "B19", "parent's pid",                parent,              IN_BOTH, GIVES(0) },
	{ "B19", "kill -1",                     kill_all,            IN_BOTH, FAILS(EPERM) },
	{ "B19", "kill 0",                      kill_group,          IN_BOTH, FAILS(EPERM) },
	{ "B19", "kill the parent",             kill_parent,         IN_BOTH, FAILS(EPERM) },
	{ "B19", "kill another",                kill_other,          IN_BOTH, FAILS(EPERM) },
	{ "B19", "tgkill another",              tgkill_other,        IN_BOTH, FAILS(EPERM) },
	{ "B19", "tkill",                       do_tkill,            IN_BOTH, FAILS(EPERM) },
	{ "B19", "sigqueue",                    queue_signal,        IN_BOTH, FAILS(EPERM) },
	{ "B19", "pidfd_send_signal",           pidfd_signal,        IN_BOTH, FAILS(ENOSYS) },
	{ "B20", "setresuid 0",                 do_setresuid,        IN_BOTH, FAILS(EPERM) },
	{ "B20", "setuid 1",                    do_setuid,           IN_BOTH, FAILS(EPERM) },
	{ "B20", "setgroups",                   do_setgroups,        IN_BOTH, FAILS(EPERM) },
	{ "B20", "capset",                      do_capset,           IN_BOTH, FAILS(EPERM) },
	{ "B20", "no_new_privs",                no_new_privs,        IN_BOTH, GIVES(1) },
	{ "B21", "unshare NEWUSER",             do_unshare,          IN_BOTH, KILLED },
	{ "B21", "unshare nothing",             unshare_nothing,     IN_BOTH, KILLED },
	{ "B21", "setns",                       do_setns,            IN_BOTH, KILLED },
	{ "B22", "mount",                       do_mount,            IN_BOTH, KILLED },
	{ "B33", "mount cgroup2",               mount_cgroup,        IN_BOTH, KILLED },
	{ "B22", "umount2",                     do_umount,           IN_BOTH, KILLED },
	{ "B22", "pivot_root",                  do_pivot,            IN_BOTH, KILLED },
	{ "B22", "chroot",                      do_chroot,           IN_BOTH, KILLED },
	{ "B22", "open_tree",                   do_open_tree,        IN_BOTH, KILLED },
	{ "B22", "fsopen",                      do_fsopen,           IN_BOTH, KILLED },
	{ "B22", "move_mount",                  do_move_mount,       IN_BOTH, KILLED },
	{ "B22", "mount_setattr",               do_mount_setattr,    IN_BOTH, KILLED },
	{ "B6", "memory bomb in a cgroup",     memory_bomb,         IN_BOTH | CGROUP, DIES(SIGKILL) },
	{ "B19", "raise(SIGKILL)",              die,                 IN_BOTH, GIVES(0) },
	{ "-", "abort()",                     do_abort,            IN_BOTH | UNSANITIZED, DIES(SIGSEGV) },
};
/* clang-format on */

const size_t n_attacks_on_processes =
	sizeof(attacks_on_processes) / sizeof(attacks_on_processes[0]);
