#include "test/security/workers/probes.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#define OWN   "/plugins/probe"
#define OTHER "/plugins/other"

uint8_t probe_canary[PROBE_CANARY_SIZE];

/* A probe that is one expression. */
#define PROBE(name, ...)                    \
	static long name(void)              \
	{                                   \
		return (long)(__VA_ARGS__); \
	}

#define READ_ONLY(path) open((path), O_RDONLY | O_CLOEXEC)

/* ---- A: files and secrets ---- */

PROBE(read_passwd, READ_ONLY("/etc/passwd"))
PROBE(read_shadow, READ_ONLY("/etc/shadow"))
PROBE(read_root, READ_ONLY("/root"))
PROBE(read_home, READ_ONLY("/home"))
PROBE(read_hosts, READ_ONLY("/etc/hosts"))
PROBE(read_other_plugin, READ_ONLY(OTHER "/logic.py"))
PROBE(read_other_snapshot, READ_ONLY("/snapshots/other"))
PROBE(read_own_snapshot, READ_ONLY("/snapshots/probe"))
PROBE(climb_out, READ_ONLY(OWN "/../../etc/passwd"))
PROBE(climb_far_out, READ_ONLY(OWN "/../../../../../../../../etc/passwd"))
PROBE(through_link, READ_ONLY(OWN "/link/etc/passwd"))
PROBE(proc_environ, READ_ONLY("/proc/1/environ"))
PROBE(proc_mem, READ_ONLY("/proc/self/mem"))
PROBE(proc_maps, READ_ONLY("/proc/self/maps"))
PROBE(sys_kernel, READ_ONLY("/sys/kernel"))
PROBE(sys_cgroup, READ_ONLY("/sys/fs/cgroup"))
PROBE(dev_mem, READ_ONLY("/dev/mem"))
PROBE(dev_kvm, READ_ONLY("/dev/kvm"))
PROBE(dev_tty, READ_ONLY("/dev/tty"))
PROBE(dev_ptmx, READ_ONLY("/dev/ptmx"))
PROBE(dev_shm, READ_ONLY("/dev/shm"))
PROBE(dev_fuse, READ_ONLY("/dev/fuse"))
PROBE(write_urandom, open("/dev/urandom", O_WRONLY | O_CLOEXEC))
PROBE(old_root, READ_ONLY("/old"))
PROBE(write_own, open(OWN "/logic.py", O_WRONLY | O_CLOEXEC))
PROBE(create_own, open(OWN "/new", O_WRONLY | O_CREAT | O_CLOEXEC, 0600))
PROBE(truncate_own, truncate(OWN "/logic.py", 0))
PROBE(unlink_own, unlink(OWN "/logic.py"))
PROBE(chmod_own, chmod(OWN "/logic.py", 0777))
PROBE(utime_own, utimensat(AT_FDCWD, OWN "/logic.py", NULL, 0))
PROBE(rename_own, rename(OWN "/logic.py", OWN "/x.py"))
PROBE(create_plugins, mkdir("/plugins/other", 0700))
PROBE(poison_library, open("/usr/lib/python3/x.pth", O_WRONLY | O_CREAT | O_CLOEXEC, 0600))
PROBE(create_in_root, open("/x", O_WRONLY | O_CREAT | O_CLOEXEC, 0600))
PROBE(mkdir_in_root, mkdir("/x", 0700))
PROBE(create_in_dev, open("/dev/x", O_WRONLY | O_CREAT | O_CLOEXEC, 0600))
PROBE(symlink_tmp, symlink("/etc/passwd", "/tmp/l"))
PROBE(link_tmp, link(OWN "/logic.py", "/tmp/l"))
PROBE(mknod_tmp, mknod("/tmp/n", S_IFCHR | 0600, 0x0101))
PROBE(mkfifo_tmp, mkfifo("/tmp/f", 0600))
PROBE(chown_tmp, chown("/tmp", 0, 0))
PROBE(memfd, memfd_create("x", 0))
PROBE(dumpable, prctl(PR_GET_DUMPABLE, 0, 0, 0, 0))

static long list_root(void)
{
	DIR *d = opendir("/");
	if (d == NULL) {
		return -1;
	}
	(void)closedir(d);
	return 0;
}

/* The positive control: what a plugin may do. */
static long list_plugins(void)
{
	DIR *d = opendir("/plugins");
	if (d == NULL) {
		return -1;
	}
	long n = 0;
	for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
		n += e->d_name[0] != '.';
	}
	(void)closedir(d);
	return n;
}

static long read_own(void)
{
	int fd = READ_ONLY(OWN "/logic.py");
	char c;
	return fd < 0 ? -1 : read(fd, &c, 1);
}

static int tmp_file(const char *path)
{
	return open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
}

static long use_tmp(void)
{
	int fd = tmp_file("/tmp/a");
	return fd < 0 ? -1 : write(fd, "x", 1);
}

static long use_devices(void)
{
	char c;
	int null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	int random_fd = READ_ONLY("/dev/urandom");
	return null_fd < 0 || random_fd < 0 ? -1 : write(null_fd, "x", 1) + read(random_fd, &c, 1);
}

static long environment_size(void)
{
	long n = 0;
	while (environ != NULL && environ[n] != NULL) {
		n++;
	}
	return n;
}

static bool page_is_mapped(uintptr_t page)
{
	unsigned char in_core;
	return mincore((void *)page, 4096, &in_core) == 0;
}

/* Reads where nothing was given to it. */
__attribute__((no_sanitize("address"))) static bool find_canary(uintptr_t from, uintptr_t to)
{
	for (uintptr_t p = from; p + PROBE_CANARY_SIZE <= to; p++) {
		size_t i = 0;
		while (i < PROBE_CANARY_SIZE &&
			(((const volatile uint8_t *)p)[i] ^ 0x5a) == probe_canary[i]) {
			i++;
		}
		if (i == PROBE_CANARY_SIZE) {
			return true;
		}
	}
	return false;
}

struct scan {
	long found;
	size_t bytes;
};

static void scan_range(struct scan *s, uintptr_t from, uintptr_t to)
{
	for (uintptr_t p = from & ~(uintptr_t)4095; p < to; p += 4096) {
		if (page_is_mapped(p)) {
			s->found += find_canary(p, p + 4096) ? 1 : 0;
			s->bytes += 4096;
		}
	}
}

static int scan_object(struct dl_phdr_info *info, size_t size, void *arg)
{
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *h = &info->dlpi_phdr[i];
		if (h->p_type == PT_LOAD && (h->p_flags & PF_W) != 0) {
			scan_range(arg, info->dlpi_addr + h->p_vaddr,
				info->dlpi_addr + h->p_vaddr + h->p_memsz);
		}
	}
	return 0;
}

/* The initial stack with argv, environment and auxiliary vector, the heap, all writable data. The
 * canary stands in the test's environment and heap. */
static long canary_in_memory(void)
{
	struct scan s = { 0 };
	/* A pointer into what the kernel put above the first frame. */
	uintptr_t initial = getauxval(AT_RANDOM);
	scan_range(&s, initial - 64 * 4096UL, initial + 64 * 4096UL);
	uintptr_t end = (uintptr_t)sbrk(0);
	scan_range(&s, end - 8 * 1024 * 1024UL, end);
	(void)dl_iterate_phdr(scan_object, &s);
	return s.bytes < 16 * 4096 ? -1 : s.found;
}

static long open_descriptors(void)
{
	long set = 0;
	for (int fd = 0; fd < 1024; fd++) {
		if (fcntl(fd, F_GETFD) >= 0) {
			set |= fd < 62 ? 1L << fd : 1L << 62;
		}
	}
	return set;
}

/* Megabytes until /tmp is full, in files below the file size limit. */
static long fill_tmp(void)
{
	static char block[65536];
	long blocks = 0;
	for (int i = 0; i < 64; i++) {
		char name[32];
		(void)snprintf(name, sizeof(name), "/tmp/fill%d", i);
		int fd = tmp_file(name);
		for (int j = 0; fd >= 0 && j < 128; j++) {
			if (write(fd, block, sizeof(block)) != sizeof(block)) {
				return errno == ENOSPC ? blocks / 16 : -1;
			}
			blocks++;
		}
		if (fd < 0) {
			return -1;
		}
		(void)close(fd);
	}
	return -1;
}

static long fill_inodes(void)
{
	for (long i = 0; i < 100000; i++) {
		char name[32];
		(void)snprintf(name, sizeof(name), "/tmp/i%ld", i);
		int fd = tmp_file(name);
		if (fd < 0) {
			return errno == ENOSPC ? i : -1;
		}
		(void)close(fd);
	}
	return -1;
}

PROBE(huge_file, ftruncate(tmp_file("/tmp/huge"), 1L << 40))

static long write_past_limit(void)
{
	int fd = tmp_file("/tmp/past");
	return fd < 0 ? -1 : pwrite(fd, "x", 1, 16L * 1024 * 1024);
}

PROBE(set_uid_bit, tmp_file("/tmp/suid") < 0 ? -1 : chmod("/tmp/suid", 04755))
PROBE(set_uid_fchmod, fchmod(tmp_file("/tmp/suid"), 06711))
PROBE(set_uid_fchmodat, tmp_file("/tmp/suid") < 0 ? -1 : fchmodat(AT_FDCWD, "/tmp/suid", 02755, 0))

static long exec_path(const char *path)
{
	char *argv[] = { NULL };
	return execve(path, argv, argv);
}

PROBE(exec_shell, exec_path("/bin/sh"))
PROBE(exec_loader, exec_path("/lib64/ld-linux-x86-64.so.2"))
PROBE(exec_plugin, exec_path(OWN "/program"))
PROBE(exec_tmp, tmp_file("/tmp/program") < 0 ? -1 : exec_path("/tmp/program"))
PROBE(execveat_fd, syscall(SYS_execveat, 0, "", NULL, NULL, AT_EMPTY_PATH))

PROBE(lock_shared, flock(READ_ONLY(OWN "/logic.py"), LOCK_SH))

static long posix_lock(void)
{
	struct flock lock = { .l_type = F_RDLCK };
	return fcntl(READ_ONLY(OWN "/logic.py"), F_SETLK, &lock);
}

static long ofd_lock(void)
{
	struct flock lock = { .l_type = F_RDLCK };
	return fcntl(READ_ONLY(OWN "/logic.py"), F_OFD_SETLK, &lock);
}

PROBE(lease, fcntl(READ_ONLY(OWN "/logic.py"), F_SETLEASE, F_RDLCK))
PROBE(directory_notify, fcntl(READ_ONLY(OWN), F_NOTIFY, DN_CREATE))

static long core_limit(void)
{
	struct rlimit r;
	return getrlimit(RLIMIT_CORE, &r) < 0 ? -1 : (long)r.rlim_max;
}

/* Every writable mount is noexec and nosuid. */
static long tmp_flags(void)
{
	struct statvfs v;
	return statvfs("/tmp", &v) < 0 ? -1 : (long)(v.f_flag & (ST_NOSUID | ST_NODEV | ST_NOEXEC));
}

/* ---- B: processes, memory, CPU ---- */

static long spawn(void)
{
	char *argv[] = { NULL };
	pid_t pid;
	int e = posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, argv);
	errno = e;
	return e == 0 ? 0 : -1;
}

PROBE(run_system, system("true"))
PROBE(do_fork, fork())
PROBE(raw_fork, syscall(SYS_fork))
PROBE(raw_vfork, syscall(SYS_vfork))
PROBE(clone_process, syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL))
PROBE(clone_shared, syscall(SYS_clone, CLONE_VM | CLONE_FILES | SIGCHLD, NULL, NULL, NULL, NULL))
PROBE(clone_parent, syscall(SYS_clone, CLONE_PARENT | SIGCHLD, NULL, NULL, NULL, NULL))
PROBE(clone_user, syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL))
PROBE(clone_mount, syscall(SYS_clone, CLONE_NEWNS | SIGCHLD, NULL, NULL, NULL, NULL))
PROBE(clone_net, syscall(SYS_clone, CLONE_NEWNET | SIGCHLD, NULL, NULL, NULL, NULL))
PROBE(clone_pid, syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, NULL, NULL, NULL, NULL))
PROBE(do_clone3, syscall(SYS_clone3, NULL, 0))

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

/* Megabytes until the allocator gives up. Where a memory cgroup is smaller it kills first. */
static long memory_bomb(void)
{
	for (long i = 0; i < 100000; i++) {
		volatile char *p = malloc(1 << 20);
		if (p == NULL) {
			return i;
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

PROBE(stack_overflow, deeper(1000000))

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

static long map(int prot, int flags, int fd)
{
	void *p = mmap(NULL, 4096, prot, flags, fd, 0);
	return p == MAP_FAILED ? -1 : 0;
}

PROBE(map_wx, map(PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1))
PROBE(map_rx, map(PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1))
PROBE(map_file_wx, map(PROT_WRITE | PROT_EXEC, MAP_PRIVATE, READ_ONLY(OWN "/logic.py")))
PROBE(map_plugin_x, map(PROT_READ | PROT_EXEC, MAP_PRIVATE, READ_ONLY(OWN "/logic.py")))

static long map_tmp_x(void)
{
	int fd = tmp_file("/tmp/x");
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

PROBE(do_personality, personality(READ_IMPLIES_EXEC))
PROBE(do_pkey, syscall(SYS_pkey_alloc, 0, 0))
PROBE(do_pkey_mprotect, syscall(SYS_pkey_mprotect, 0, 4096, PROT_EXEC, -1))
PROBE(do_modify_ldt, syscall(SYS_modify_ldt, 0, NULL, 0))
PROBE(do_remap, syscall(SYS_remap_file_pages, 0, 4096, 0, 0, 0))
PROBE(do_ptrace, syscall(SYS_ptrace, 0, 0, NULL, NULL))
PROBE(do_vm_read, syscall(SYS_process_vm_readv, 1, NULL, 0, NULL, 0, 0))
PROBE(do_vm_write, syscall(SYS_process_vm_writev, 1, NULL, 0, NULL, 0, 0))
PROBE(do_kcmp, syscall(SYS_kcmp, 1, 1, 0, 0, 0))
PROBE(do_pidfd_getfd, syscall(SYS_pidfd_getfd, 3, 0, 0))
PROBE(do_pidfd_open, syscall(SYS_pidfd_open, 1, 0))
PROBE(parent, getppid())
PROBE(self, getpid())
PROBE(kill_all, kill(-1, SIGKILL))
PROBE(kill_group, kill(0, SIGKILL))
PROBE(kill_parent, kill(getppid(), SIGKILL))
PROBE(kill_other, kill(2, SIGKILL))
PROBE(tgkill_other, syscall(SYS_tgkill, 2, 2, SIGKILL))
PROBE(do_tkill, syscall(SYS_tkill, 1, SIGKILL))
PROBE(queue_signal, sigqueue(2, SIGKILL, (union sigval){ 0 }))
PROBE(pidfd_signal, syscall(SYS_pidfd_send_signal, 3, SIGKILL, NULL, 0))
PROBE(do_setresuid, setresuid(0, 0, 0))
PROBE(do_setuid, setuid(1))
PROBE(do_setgroups, syscall(SYS_setgroups, 0, NULL))

static long do_capset(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct all[2] = { { ~0U, ~0U, ~0U }, { ~0U, ~0U, ~0U } };
	return syscall(SYS_capset, &head, all);
}

PROBE(no_new_privs, prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0))
PROBE(do_unshare, unshare(CLONE_NEWUSER))
PROBE(unshare_nothing, unshare(0))
PROBE(do_setns, setns(0, 0))
PROBE(do_mount, syscall(SYS_mount, "none", "/tmp", "tmpfs", 0, NULL))
PROBE(do_umount, syscall(SYS_umount2, "/plugins", 2))
PROBE(do_pivot, syscall(SYS_pivot_root, "/", "/"))
PROBE(do_chroot, chroot("/"))
PROBE(do_open_tree, syscall(SYS_open_tree, -100, "/", 1))
PROBE(do_fsopen, syscall(SYS_fsopen, "tmpfs", 0))
PROBE(do_move_mount, syscall(SYS_move_mount, 0, "", 0, "", 0))
PROBE(do_mount_setattr, syscall(SYS_mount_setattr, 0, "", 0, NULL, 0))

PROBE(set_dumpable, prctl(PR_SET_DUMPABLE, 1, 0, 0, 0))
PROBE(set_ptracer, prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0))
PROBE(set_mm, prctl(PR_SET_MM, 1, 0, 0, 0))
PROBE(clear_pdeathsig, prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0))
PROBE(set_subreaper, prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
PROBE(set_speculation, prctl(PR_SET_SPECULATION_CTRL, 0, 2, 0, 0))
PROBE(prctl_seccomp, prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL, 0, 0))
PROBE(set_keepcaps, prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0))
PROBE(listener,
	syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, NULL))
PROBE(seccomp_tsync, syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, NULL))

#ifdef __x86_64__
static long call_i386(void)
{
	long result;
	__asm__ volatile("int $0x80" : "=a"(result) : "a"(20L) : "memory");
	return result;
}

PROBE(call_x32, syscall(0x40000000 | SYS_getpid))
#endif

PROBE(tiocsti, ioctl(0, TIOCSTI, "x"))
PROBE(tiocsti_high, syscall(SYS_ioctl, 0, 0x100000000UL | TIOCSTI, "x"))
PROBE(tioclinux, ioctl(0, TIOCLINUX, "x"))
PROBE(other_ioctl, ioctl(0, TIOCGWINSZ, NULL))

PROBE(do_clock_settime, syscall(SYS_clock_settime, 0, NULL))
PROBE(do_adjtimex, syscall(SYS_adjtimex, NULL))
PROBE(do_settimeofday, syscall(SYS_settimeofday, NULL, NULL))
PROBE(do_sethostname, syscall(SYS_sethostname, "x", 1))
PROBE(do_reboot, syscall(SYS_reboot, 0, 0, 0, NULL))
PROBE(do_kexec, syscall(SYS_kexec_load, 0, 0, NULL, 0))
PROBE(do_module, syscall(SYS_init_module, NULL, 0, ""))
PROBE(do_delete_module, syscall(SYS_delete_module, "x", 0))
PROBE(do_swapon, syscall(SYS_swapon, "/", 0))
PROBE(do_quotactl, syscall(SYS_quotactl, 0, NULL, 0, NULL))
PROBE(do_acct, syscall(SYS_acct, NULL))
PROBE(do_iopl, syscall(SYS_iopl, 3))
PROBE(do_ioperm, syscall(SYS_ioperm, 0, 1, 1))
PROBE(do_syslog, syscall(SYS_syslog, 3, NULL, 0))
PROBE(do_bpf, syscall(SYS_bpf, 0, NULL, 0))
PROBE(do_perf, syscall(SYS_perf_event_open, NULL, 0, 0, 0, 0))
PROBE(do_userfaultfd, syscall(SYS_userfaultfd, 0))
PROBE(do_keyctl, syscall(SYS_keyctl, 0, 0, 0, 0, 0))
PROBE(do_add_key, syscall(SYS_add_key, "user", "x", "x", 1, -2))
PROBE(do_handle, syscall(SYS_name_to_handle_at, -100, "/", NULL, NULL, 0))
PROBE(open_handle, syscall(SYS_open_by_handle_at, -100, NULL, 0))
PROBE(io_uring, syscall(SYS_io_uring_setup, 1, NULL))
PROBE(do_aio, syscall(SYS_io_setup, 1, NULL))
PROBE(fanotify, syscall(SYS_fanotify_init, 0, 0))
PROBE(inotify, syscall(SYS_inotify_init1, 0))
PROBE(shm, syscall(SYS_shmget, 1, 4096, 01600))
PROBE(sem, syscall(SYS_semget, 1, 1, 01600))
PROBE(msg, syscall(SYS_msgget, 1, 01600))
PROBE(mq, syscall(SYS_mq_open, "/x", O_CREAT, 0600, NULL))
PROBE(do_timerfd, syscall(SYS_timerfd_create, 0, 0))
PROBE(do_signalfd, syscall(SYS_signalfd4, -1, NULL, 8, 0))
PROBE(do_sysinfo, syscall(SYS_sysinfo, NULL))
PROBE(do_openat2, syscall(SYS_openat2, -100, "/", NULL, 0))

static long raise_limit(void)
{
	struct rlimit r = { 1024, 1024 };
	return setrlimit(RLIMIT_NOFILE, &r);
}

PROBE(limit_other, syscall(SYS_prlimit64, 2, RLIMIT_NOFILE, NULL, NULL))
PROBE(be_nice, syscall(SYS_setpriority, PRIO_PROCESS, 0, -20))

static long be_realtime(void)
{
	struct sched_param p = { .sched_priority = 1 };
	return sched_setscheduler(0, SCHED_FIFO, &p);
}

PROBE(pin, syscall(SYS_sched_setaffinity, 0, 8, "\377\377\377\377\377\377\377"))
PROBE(lock_memory, mlock(probe_canary, 1))
PROBE(future_call, syscall(999))
PROBE(unknown_call, syscall(1023))
PROBE(do_vmsplice, syscall(SYS_vmsplice, 1, NULL, 0, 0))
PROBE(do_chown, fchown(0, 0, 0))
PROBE(do_setxattr, syscall(SYS_setxattr, "/tmp", "user.x", "x", 1, 0))
PROBE(do_wait, syscall(SYS_wait4, -1, NULL, 0, NULL))
PROBE(die, (raise(SIGKILL), 0))
PROBE(do_abort, (abort(), 0))

/* ---- C: network ---- */

#define SOCKET(name, family, type) PROBE(name, socket((family), (type), 0))

SOCKET(inet_stream, AF_INET, SOCK_STREAM)
SOCKET(inet_datagram, AF_INET, SOCK_DGRAM)
SOCKET(inet_raw, AF_INET, SOCK_RAW)
SOCKET(inet6_stream, AF_INET6, SOCK_STREAM)
SOCKET(unix_stream, AF_UNIX, SOCK_STREAM)
SOCKET(unix_datagram, AF_UNIX, SOCK_DGRAM)
SOCKET(netlink, AF_NETLINK, SOCK_RAW)
SOCKET(alg, AF_ALG, SOCK_SEQPACKET)
SOCKET(vsock, AF_VSOCK, SOCK_STREAM)
SOCKET(packet, AF_PACKET, SOCK_RAW)
SOCKET(xdp, AF_XDP, SOCK_RAW)
SOCKET(can, AF_CAN, SOCK_RAW)
SOCKET(key, AF_KEY, SOCK_RAW)
SOCKET(tipc, AF_TIPC, SOCK_STREAM)

static long pair(int family, int type)
{
	int fds[2];
	return socketpair(family, type, 0, fds);
}

PROBE(pair_stream, pair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC))
PROBE(pair_datagram, pair(AF_UNIX, SOCK_DGRAM))
PROBE(pair_packet, pair(AF_UNIX, SOCK_SEQPACKET))
PROBE(pair_inet, pair(AF_INET, SOCK_STREAM))
PROBE(do_connect, connect(3, NULL, 0))
PROBE(do_bind, bind(3, NULL, 0))
PROBE(do_listen, listen(3, 1))
PROBE(do_accept, accept4(3, NULL, NULL, 0))
PROBE(do_sendmsg, sendmsg(3, NULL, 0))
PROBE(do_recvmsg, recvmsg(3, NULL, 0))
PROBE(do_setsockopt, setsockopt(3, SOL_SOCKET, SO_PASSCRED, NULL, 0))
PROBE(send_to, sendto(3, "x", 1, 0, (const struct sockaddr *)(const void *)"12345678", 8))
PROBE(send_oob, send(3, "x", 1, MSG_OOB))

static long receive_oob(void)
{
	char c;
	return recv(3, &c, 1, MSG_OOB);
}

#define FAILS(e)     ANSWER_ERRNO, (e), 0
#define EITHER(e, f) ANSWER_ERRNO, (e), (f)
#define KILLED       ANSWER_SIGNAL, SIGSYS, 0
#define DIES(s)      ANSWER_SIGNAL, (s), 0
#define GIVES(n)     ANSWER_RESULT, (n), 0
#define WITHIN(a, b) ANSWER_RANGE, (a), (b)

/* clang-format off */
const struct probe probes[] = {
	{ "read /etc/passwd",            read_passwd,         IN_BOTH, FAILS(ENOENT) },
	{ "read /etc/shadow",            read_shadow,         IN_BOTH, FAILS(ENOENT) },
	{ "read /root",                  read_root,           IN_BOTH, FAILS(ENOENT) },
	{ "read /home",                  read_home,           IN_BOTH, FAILS(ENOENT) },
	{ "read /etc/hosts",             read_hosts,          IN_BOTH, FAILS(ENOENT) },
	{ "read another plugin",         read_other_plugin,   IN_BOTH, FAILS(ENOENT) },
	{ "read another's snapshots",    read_other_snapshot, IN_BOTH, FAILS(ENOENT) },
	{ "read the own snapshots",      read_own_snapshot,   IN_BOTH, FAILS(ENOENT) },
	{ "climb out by ..",             climb_out,           IN_BOTH, FAILS(ENOENT) },
	{ "climb far out by ..",         climb_far_out,       IN_BOTH, FAILS(ENOENT) },
	{ "through a link to /",         through_link,        IN_BOTH, FAILS(ENOENT) },
	{ "/proc/1/environ",             proc_environ,        IN_BOTH, FAILS(ENOENT) },
	{ "/proc/self/mem",              proc_mem,            IN_BOTH, FAILS(ENOENT) },
	{ "/proc/self/maps",             proc_maps,           IN_BOTH, FAILS(ENOENT) },
	{ "/sys/kernel",                 sys_kernel,          IN_BOTH, FAILS(ENOENT) },
	{ "/sys/fs/cgroup",              sys_cgroup,          IN_BOTH, FAILS(ENOENT) },
	{ "/dev/mem",                    dev_mem,             IN_BOTH, FAILS(ENOENT) },
	{ "/dev/kvm",                    dev_kvm,             IN_BOTH, FAILS(ENOENT) },
	{ "/dev/tty",                    dev_tty,             IN_BOTH, FAILS(ENOENT) },
	{ "/dev/ptmx",                   dev_ptmx,            IN_BOTH, FAILS(ENOENT) },
	{ "/dev/shm",                    dev_shm,             IN_BOTH, FAILS(ENOENT) },
	{ "/dev/fuse",                   dev_fuse,            IN_BOTH, FAILS(ENOENT) },
	{ "write /dev/urandom",          write_urandom,       IN_BOTH, EITHER(EACCES, EROFS) },
	{ "the old root",                old_root,            IN_BOTH, FAILS(ENOENT) },
	{ "list /",                      list_root,           IN_BOTH, FAILS(EACCES) },
	{ "list /plugins",               list_plugins,        IN_BOTH, GIVES(1) },
	{ "read own file",               read_own,            IN_BOTH, GIVES(1) },
	{ "use /tmp",                    use_tmp,             IN_BOTH, GIVES(1) },
	{ "use the devices",             use_devices,         IN_BOTH, GIVES(2) },
	{ "write own file",              write_own,           IN_BOTH, EITHER(EROFS, EACCES) },
	{ "create in own directory",     create_own,          IN_BOTH, EITHER(EROFS, EACCES) },
	{ "truncate own file",           truncate_own,        IN_BOTH, EITHER(EROFS, EACCES) },
	{ "unlink own file",             unlink_own,          IN_BOTH, EITHER(EROFS, EACCES) },
	{ "chmod own file",              chmod_own,           IN_BOTH, FAILS(EROFS) },
	{ "touch own file",              utime_own,           IN_BOTH, FAILS(EROFS) },
	{ "rename own file",             rename_own,          IN_BOTH, EITHER(EROFS, EACCES) },
	{ "create in /plugins",          create_plugins,      IN_BOTH, EITHER(EROFS, EACCES) },
	{ "poison a library",            poison_library,      IN_PYTHON, EITHER(EROFS, EACCES) },
	{ "create in /",                 create_in_root,      IN_BOTH, EITHER(EROFS, EACCES) },
	{ "mkdir in /",                  mkdir_in_root,       IN_BOTH, EITHER(EROFS, EACCES) },
	{ "create in /dev",              create_in_dev,       IN_BOTH, EITHER(EROFS, EACCES) },
	{ "environment",                 environment_size,    IN_BOTH, GIVES(0) },
	{ "secret in memory",            canary_in_memory,    IN_BOTH, GIVES(0) },
	{ "open descriptors",            open_descriptors,    IN_BOTH, GIVES(0xf) },
	{ "fill /tmp (MiB)",             fill_tmp,            IN_BOTH, WITHIN(14, 16) },
	{ "fill inodes",                 fill_inodes,         IN_BOTH, WITHIN(1000, 1024) },
	{ "sparse huge file",            huge_file,           IN_BOTH, FAILS(EFBIG) },
	{ "write past the file limit",   write_past_limit,    IN_BOTH, FAILS(EFBIG) },
	{ "symlink in /tmp",             symlink_tmp,         IN_BOTH, FAILS(EPERM) },
	{ "hard link in /tmp",           link_tmp,            IN_BOTH, FAILS(EPERM) },
	{ "device in /tmp",              mknod_tmp,           IN_BOTH, FAILS(EPERM) },
	{ "fifo in /tmp",                mkfifo_tmp,          IN_BOTH, FAILS(EPERM) },
	{ "chown /tmp",                  chown_tmp,           IN_BOTH, FAILS(EPERM) },
	{ "chown a descriptor",          do_chown,            IN_BOTH, FAILS(EPERM) },
	{ "setxattr",                    do_setxattr,         IN_BOTH, FAILS(EPERM) },
	{ "set-user-id by chmod",        set_uid_bit,         IN_BOTH, FAILS(EPERM) },
	{ "set-user-id by fchmod",       set_uid_fchmod,      IN_BOTH, FAILS(EPERM) },
	{ "set-group-id by fchmodat",    set_uid_fchmodat,    IN_BOTH, FAILS(EPERM) },
	{ "exec /bin/sh",                exec_shell,          IN_BOTH, FAILS(EACCES) },
	{ "exec the loader",             exec_loader,         IN_BOTH, FAILS(EACCES) },
	{ "exec from the plugin",        exec_plugin,         IN_BOTH, FAILS(EACCES) },
	{ "exec from /tmp",              exec_tmp,            IN_BOTH, FAILS(EACCES) },
	{ "execveat a descriptor",       execveat_fd,         IN_BOTH, FAILS(EACCES) },
	{ "memfd_create",                memfd,               IN_BOTH, FAILS(ENOSYS) },
	{ "flock a shared file",         lock_shared,         IN_BOTH, FAILS(ENOSYS) },
	{ "F_SETLK",                     posix_lock,          IN_BOTH, FAILS(ENOSYS) },
	{ "F_OFD_SETLK",                 ofd_lock,            IN_BOTH, FAILS(ENOSYS) },
	{ "F_SETLEASE",                  lease,               IN_BOTH, FAILS(ENOSYS) },
	{ "F_NOTIFY",                    directory_notify,    IN_BOTH, FAILS(ENOSYS) },
	{ "dumpable",                    dumpable,            IN_BOTH, GIVES(0) },
	{ "core limit",                  core_limit,          IN_BOTH, GIVES(0) },
	{ "/tmp is nosuid,nodev,noexec", tmp_flags,           IN_BOTH, GIVES(ST_NOSUID | ST_NODEV | ST_NOEXEC) },

	{ "posix_spawn",                 spawn,               IN_BOTH, FAILS(EPERM) },
	{ "system()",                    run_system,          IN_BOTH, GIVES(127 << 8) },
	{ "fork()",                      do_fork,             IN_BOTH, FAILS(EPERM) },
	{ "fork, raw",                   raw_fork,            IN_BOTH, FAILS(EPERM) },
	{ "vfork, raw",                  raw_vfork,           IN_BOTH, FAILS(EPERM) },
	{ "clone a process",             clone_process,       IN_BOTH, FAILS(EPERM) },
	{ "clone sharing memory",        clone_shared,        IN_BOTH, FAILS(EPERM) },
	{ "clone a sibling",             clone_parent,        IN_BOTH, FAILS(EPERM) },
	{ "clone NEWUSER",               clone_user,          IN_BOTH, KILLED },
	{ "clone NEWNS",                 clone_mount,         IN_BOTH, KILLED },
	{ "clone NEWNET",                clone_net,           IN_BOTH, KILLED },
	{ "clone NEWPID",                clone_pid,           IN_BOTH, KILLED },
	{ "clone3",                      do_clone3,           IN_BOTH, FAILS(ENOSYS) },
	{ "wait",                        do_wait,             IN_BOTH, FAILS(ECHILD) },
	{ "thread bomb, python",         thread_bomb,         IN_PYTHON | OWN_UID, WITHIN(8, 31) },
	{ "thread bomb, native",         thread_bomb,         IN_NATIVE | OWN_UID, WITHIN(1, 7) },
	{ "stack overflow",              stack_overflow,      IN_BOTH | UNSANITIZED, DIES(SIGSEGV) },
	{ "descriptor bomb, python",     descriptor_bomb,     IN_PYTHON, GIVES(60) },
	{ "descriptor bomb, native",     descriptor_bomb,     IN_NATIVE, GIVES(28) },
	{ "epoll bomb, python",          epoll_bomb,          IN_PYTHON, GIVES(60) },
	{ "mmap W+X",                    map_wx,              IN_BOTH, FAILS(EACCES) },
	{ "mmap R+X anonymous",          map_rx,              IN_BOTH, FAILS(EACCES) },
	{ "mmap file W+X",               map_file_wx,         IN_BOTH, FAILS(EACCES) },
	{ "mmap plugin file +X, python", map_plugin_x,        IN_PYTHON, GIVES(0) },
	{ "mmap plugin file +X, native", map_plugin_x,        IN_NATIVE, FAILS(EACCES) },
	{ "mmap /tmp file +X, python",   map_tmp_x,           IN_PYTHON, FAILS(EPERM) },
	{ "mmap /tmp file +X, native",   map_tmp_x,           IN_NATIVE, FAILS(EACCES) },
	{ "mprotect +X",                 protect_x,           IN_BOTH, FAILS(EACCES) },
	{ "map page zero",               map_page_zero,       IN_BOTH, FAILS(EPERM) },
	{ "personality",                 do_personality,      IN_BOTH, FAILS(EPERM) },
	{ "pkey_alloc",                  do_pkey,             IN_BOTH, KILLED },
	{ "pkey_mprotect",               do_pkey_mprotect,    IN_BOTH, KILLED },
	{ "modify_ldt",                  do_modify_ldt,       IN_BOTH, KILLED },
	{ "remap_file_pages",            do_remap,            IN_BOTH, KILLED },
	{ "ptrace",                      do_ptrace,           IN_BOTH, KILLED },
	{ "process_vm_readv",            do_vm_read,          IN_BOTH, KILLED },
	{ "process_vm_writev",           do_vm_write,         IN_BOTH, KILLED },
	{ "kcmp",                        do_kcmp,             IN_BOTH, KILLED },
	{ "pidfd_getfd",                 do_pidfd_getfd,      IN_BOTH, FAILS(ENOSYS) },
	{ "pidfd_open",                  do_pidfd_open,       IN_BOTH, FAILS(ENOSYS) },
	{ "own pid",                     self,                IN_BOTH, GIVES(1) },
	{ "parent's pid",                parent,              IN_BOTH, GIVES(0) },
	{ "kill -1",                     kill_all,            IN_BOTH, FAILS(EPERM) },
	{ "kill 0",                      kill_group,          IN_BOTH, FAILS(EPERM) },
	{ "kill the parent",             kill_parent,         IN_BOTH, FAILS(EPERM) },
	{ "kill another",                kill_other,          IN_BOTH, FAILS(EPERM) },
	{ "tgkill another",              tgkill_other,        IN_BOTH, FAILS(EPERM) },
	{ "tkill",                       do_tkill,            IN_BOTH, FAILS(EPERM) },
	{ "sigqueue",                    queue_signal,        IN_BOTH, FAILS(EPERM) },
	{ "pidfd_send_signal",           pidfd_signal,        IN_BOTH, FAILS(ENOSYS) },
	{ "setresuid 0",                 do_setresuid,        IN_BOTH, FAILS(EPERM) },
	{ "setuid 1",                    do_setuid,           IN_BOTH, FAILS(EPERM) },
	{ "setgroups",                   do_setgroups,        IN_BOTH, FAILS(EPERM) },
	{ "capset",                      do_capset,           IN_BOTH, FAILS(EPERM) },
	{ "no_new_privs",                no_new_privs,        IN_BOTH, GIVES(1) },
	{ "unshare NEWUSER",             do_unshare,          IN_BOTH, KILLED },
	{ "unshare nothing",             unshare_nothing,     IN_BOTH, KILLED },
	{ "setns",                       do_setns,            IN_BOTH, KILLED },
	{ "mount",                       do_mount,            IN_BOTH, KILLED },
	{ "umount2",                     do_umount,           IN_BOTH, KILLED },
	{ "pivot_root",                  do_pivot,            IN_BOTH, KILLED },
	{ "chroot",                      do_chroot,           IN_BOTH, KILLED },
	{ "open_tree",                   do_open_tree,        IN_BOTH, KILLED },
	{ "fsopen",                      do_fsopen,           IN_BOTH, KILLED },
	{ "move_mount",                  do_move_mount,       IN_BOTH, KILLED },
	{ "mount_setattr",               do_mount_setattr,    IN_BOTH, KILLED },
	{ "PR_SET_DUMPABLE",             set_dumpable,        IN_BOTH, FAILS(ENOSYS) },
	{ "PR_SET_PTRACER",              set_ptracer,         IN_BOTH, FAILS(ENOSYS) },
	{ "PR_SET_MM",                   set_mm,              IN_BOTH, FAILS(ENOSYS) },
	{ "PR_SET_PDEATHSIG",            clear_pdeathsig,     IN_BOTH, FAILS(ENOSYS) },
	{ "PR_SET_CHILD_SUBREAPER",      set_subreaper,       IN_BOTH, FAILS(ENOSYS) },
	{ "PR_SET_SPECULATION_CTRL",     set_speculation,     IN_BOTH, FAILS(ENOSYS) },
	{ "PR_SET_SECCOMP",              prctl_seccomp,       IN_BOTH, FAILS(ENOSYS) },
	{ "PR_SET_KEEPCAPS",             set_keepcaps,        IN_BOTH, FAILS(ENOSYS) },
	{ "seccomp listener",            listener,            IN_BOTH, FAILS(ENOSYS) },
	{ "seccomp",                     seccomp_tsync,       IN_BOTH, FAILS(ENOSYS) },
#ifdef __x86_64__
	{ "i386 call",                   call_i386,           IN_BOTH, KILLED },
	{ "x32 call",                    call_x32,            IN_BOTH, KILLED },
#endif
	{ "TIOCSTI",                     tiocsti,             IN_BOTH, KILLED },
	{ "TIOCSTI with high bits",      tiocsti_high,        IN_BOTH, KILLED },
	{ "TIOCLINUX",                   tioclinux,           IN_BOTH, KILLED },
	{ "another ioctl",               other_ioctl,         IN_BOTH, FAILS(ENOSYS) },
	{ "clock_settime",               do_clock_settime,    IN_BOTH, KILLED },
	{ "adjtimex",                    do_adjtimex,         IN_BOTH, KILLED },
	{ "settimeofday",                do_settimeofday,     IN_BOTH, KILLED },
	{ "sethostname",                 do_sethostname,      IN_BOTH, KILLED },
	{ "reboot",                      do_reboot,           IN_BOTH, KILLED },
	{ "kexec_load",                  do_kexec,            IN_BOTH, KILLED },
	{ "init_module",                 do_module,           IN_BOTH, KILLED },
	{ "delete_module",               do_delete_module,    IN_BOTH, KILLED },
	{ "swapon",                      do_swapon,           IN_BOTH, KILLED },
	{ "quotactl",                    do_quotactl,         IN_BOTH, KILLED },
	{ "acct",                        do_acct,             IN_BOTH, KILLED },
	{ "iopl",                        do_iopl,             IN_BOTH, KILLED },
	{ "ioperm",                      do_ioperm,           IN_BOTH, KILLED },
	{ "syslog",                      do_syslog,           IN_BOTH, KILLED },
	{ "bpf",                         do_bpf,              IN_BOTH, KILLED },
	{ "perf_event_open",             do_perf,             IN_BOTH, KILLED },
	{ "userfaultfd",                 do_userfaultfd,      IN_BOTH, KILLED },
	{ "keyctl",                      do_keyctl,           IN_BOTH, KILLED },
	{ "add_key",                     do_add_key,          IN_BOTH, KILLED },
	{ "name_to_handle_at",           do_handle,           IN_BOTH, KILLED },
	{ "open_by_handle_at",           open_handle,         IN_BOTH, KILLED },
	{ "io_uring_setup",              io_uring,            IN_BOTH, FAILS(ENOSYS) },
	{ "io_setup",                    do_aio,              IN_BOTH, FAILS(ENOSYS) },
	{ "fanotify_init",               fanotify,            IN_BOTH, FAILS(ENOSYS) },
	{ "inotify_init1",               inotify,             IN_BOTH, FAILS(ENOSYS) },
	{ "shmget",                      shm,                 IN_BOTH, FAILS(ENOSYS) },
	{ "semget",                      sem,                 IN_BOTH, FAILS(ENOSYS) },
	{ "msgget",                      msg,                 IN_BOTH, FAILS(ENOSYS) },
	{ "mq_open",                     mq,                  IN_BOTH, FAILS(ENOSYS) },
	{ "timerfd_create",              do_timerfd,          IN_BOTH, FAILS(ENOSYS) },
	{ "signalfd4",                   do_signalfd,         IN_BOTH, FAILS(ENOSYS) },
	{ "sysinfo",                     do_sysinfo,          IN_BOTH, FAILS(ENOSYS) },
	{ "openat2",                     do_openat2,          IN_BOTH, FAILS(ENOSYS) },
	{ "raise RLIMIT_NOFILE",         raise_limit,         IN_BOTH, FAILS(EPERM) },
	{ "prlimit of another",          limit_other,         IN_BOTH, FAILS(EPERM) },
	{ "nice -20",                    be_nice,             IN_BOTH, FAILS(EPERM) },
	{ "SCHED_FIFO",                  be_realtime,         IN_BOTH, FAILS(EPERM) },
	{ "sched_setaffinity",           pin,                 IN_BOTH, FAILS(EPERM) },
	{ "mlock",                       lock_memory,         IN_BOTH | UNSANITIZED, FAILS(EPERM) },
	{ "call 999",                    future_call,         IN_BOTH, FAILS(ENOSYS) },
	{ "call 1023",                   unknown_call,        IN_BOTH, FAILS(ENOSYS) },
	{ "vmsplice",                    do_vmsplice,         IN_BOTH, FAILS(EINVAL) },

	{ "socket INET STREAM",          inet_stream,         IN_BOTH, FAILS(EACCES) },
	{ "socket INET DGRAM",           inet_datagram,       IN_BOTH, FAILS(EACCES) },
	{ "socket INET RAW",             inet_raw,            IN_BOTH, FAILS(EACCES) },
	{ "socket INET6 STREAM",         inet6_stream,        IN_BOTH, FAILS(EACCES) },
	{ "socket UNIX STREAM",          unix_stream,         IN_BOTH, FAILS(EACCES) },
	{ "socket UNIX DGRAM",           unix_datagram,       IN_BOTH, FAILS(EACCES) },
	{ "socket NETLINK",              netlink,             IN_BOTH, FAILS(EACCES) },
	{ "socket ALG",                  alg,                 IN_BOTH, FAILS(EACCES) },
	{ "socket VSOCK",                vsock,               IN_BOTH, FAILS(EACCES) },
	{ "socket PACKET",               packet,              IN_BOTH, FAILS(EACCES) },
	{ "socket XDP",                  xdp,                 IN_BOTH, FAILS(EACCES) },
	{ "socket CAN",                  can,                 IN_BOTH, FAILS(EACCES) },
	{ "socket KEY",                  key,                 IN_BOTH, FAILS(EACCES) },
	{ "socket TIPC",                 tipc,                IN_BOTH, FAILS(EACCES) },
	{ "socketpair UNIX STREAM",      pair_stream,         IN_BOTH, GIVES(0) },
	{ "socketpair UNIX DGRAM",       pair_datagram,       IN_BOTH, FAILS(ENOSYS) },
	{ "socketpair UNIX SEQPACKET",   pair_packet,         IN_BOTH, FAILS(ENOSYS) },
	{ "socketpair INET",             pair_inet,           IN_BOTH, FAILS(EACCES) },
	{ "connect",                     do_connect,          IN_BOTH, FAILS(EACCES) },
	{ "bind",                        do_bind,             IN_BOTH, FAILS(EACCES) },
	{ "listen",                      do_listen,           IN_BOTH, FAILS(EACCES) },
	{ "accept4",                     do_accept,           IN_BOTH, FAILS(EACCES) },
	{ "sendmsg",                     do_sendmsg,          IN_BOTH, FAILS(EACCES) },
	{ "recvmsg",                     do_recvmsg,          IN_BOTH, FAILS(EACCES) },
	{ "setsockopt",                  do_setsockopt,       IN_BOTH, FAILS(EACCES) },
	{ "sendto an address",           send_to,             IN_BOTH, FAILS(EACCES) },
	{ "send MSG_OOB",                send_oob,            IN_BOTH, FAILS(ENOSYS) },
	{ "recv MSG_OOB",                receive_oob,         IN_BOTH, FAILS(EACCES) },

	/* Resources, and how a death is told apart. The cgroup kills before RLIMIT_AS is reached. */
	{ "memory bomb in a cgroup",     memory_bomb,         IN_BOTH | CGROUP, DIES(SIGKILL) },
	{ "raise(SIGKILL)",              die,                 IN_BOTH, GIVES(0) },
	{ "abort()",                     do_abort,            IN_BOTH | UNSANITIZED, DIES(SIGSEGV) },
};
/* clang-format on */

const size_t n_probes = sizeof(probes) / sizeof(probes[0]);
