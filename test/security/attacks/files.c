/* A: files and secrets. */
#include "test/security/attacks/attack.h"

#include <dirent.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

ATTEMPT(read_passwd, READ_ONLY("/etc/passwd"))
ATTEMPT(read_shadow, READ_ONLY("/etc/shadow"))
ATTEMPT(read_root, READ_ONLY("/root"))
ATTEMPT(read_home, READ_ONLY("/home"))
ATTEMPT(read_hosts, READ_ONLY("/etc/hosts"))
ATTEMPT(read_other_plugin, READ_ONLY(OTHER_PLUGIN "/logic.py"))
ATTEMPT(read_other_snapshot, READ_ONLY("/snapshots/other"))
ATTEMPT(read_own_snapshot, READ_ONLY("/snapshots/attacker"))
ATTEMPT(climb_out, READ_ONLY(OWN_PLUGIN "/../../etc/passwd"))
ATTEMPT(climb_far_out, READ_ONLY(OWN_PLUGIN "/../../../../../../../../etc/passwd"))
ATTEMPT(through_link, READ_ONLY(OWN_PLUGIN "/link/etc/passwd"))
ATTEMPT(proc_environ, READ_ONLY("/proc/1/environ"))
ATTEMPT(proc_mem, READ_ONLY("/proc/self/mem"))
ATTEMPT(proc_maps, READ_ONLY("/proc/self/maps"))
ATTEMPT(sys_kernel, READ_ONLY("/sys/kernel"))
ATTEMPT(sys_cgroup, READ_ONLY("/sys/fs/cgroup"))
ATTEMPT(cgroup_procs, open("/sys/fs/cgroup/cgroup.procs", O_WRONLY | O_CLOEXEC))
ATTEMPT(dev_mem, READ_ONLY("/dev/mem"))
ATTEMPT(dev_kvm, READ_ONLY("/dev/kvm"))
ATTEMPT(dev_tty, READ_ONLY("/dev/tty"))
ATTEMPT(dev_ptmx, READ_ONLY("/dev/ptmx"))
ATTEMPT(dev_shm, READ_ONLY("/dev/shm"))
ATTEMPT(dev_fuse, READ_ONLY("/dev/fuse"))
ATTEMPT(write_urandom, open("/dev/urandom", O_WRONLY | O_CLOEXEC))
ATTEMPT(old_root, READ_ONLY("/old"))
ATTEMPT(write_own, open(OWN_PLUGIN "/logic.py", O_WRONLY | O_CLOEXEC))
ATTEMPT(create_own, open(OWN_PLUGIN "/new", O_WRONLY | O_CREAT | O_CLOEXEC, 0600))
ATTEMPT(truncate_own, truncate(OWN_PLUGIN "/logic.py", 0))
ATTEMPT(unlink_own, unlink(OWN_PLUGIN "/logic.py"))
ATTEMPT(chmod_own, chmod(OWN_PLUGIN "/logic.py", 0777))
ATTEMPT(utime_own, utimensat(AT_FDCWD, OWN_PLUGIN "/logic.py", NULL, 0))
ATTEMPT(rename_own, rename(OWN_PLUGIN "/logic.py", OWN_PLUGIN "/x.py"))
ATTEMPT(create_plugins, mkdir("/plugins/other", 0700))
ATTEMPT(poison_library, open("/usr/lib/python3/x.pth", O_WRONLY | O_CREAT | O_CLOEXEC, 0600))
ATTEMPT(create_in_root, open("/x", O_WRONLY | O_CREAT | O_CLOEXEC, 0600))
ATTEMPT(mkdir_in_root, mkdir("/x", 0700))
ATTEMPT(create_in_dev, open("/dev/x", O_WRONLY | O_CREAT | O_CLOEXEC, 0600))
ATTEMPT(symlink_tmp, symlink("/etc/passwd", "/tmp/l"))
ATTEMPT(link_tmp, link(OWN_PLUGIN "/logic.py", "/tmp/l"))
ATTEMPT(mknod_tmp, mknod("/tmp/n", S_IFCHR | 0600, 0x0101))
static long socket_tmp(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "/tmp/s" };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	return fd < 0 ? -1 : bind(fd, (struct sockaddr *)&address, sizeof(address));
}

ATTEMPT(mkfifo_tmp, mkfifo("/tmp/f", 0600))
ATTEMPT(chown_tmp, chown("/tmp", 0, 0))
ATTEMPT(memfd, memfd_create("x", 0))
ATTEMPT(dumpable, prctl(PR_GET_DUMPABLE, 0, 0, 0, 0))
ATTEMPT(do_chown, fchown(0, 0, 0))
ATTEMPT(do_setxattr, syscall(SYS_setxattr, "/tmp", "user.x", "x", 1, 0))

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
	int fd = READ_ONLY(OWN_PLUGIN "/logic.py");
	char c;
	return fd < 0 ? -1 : read(fd, &c, 1);
}

static long use_tmp(void)
{
	int fd = attack_tmp_file("/tmp/a");
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
	for (uintptr_t p = from; p + ATTACK_CANARY_SIZE <= to; p++) {
		size_t i = 0;
		while (i < ATTACK_CANARY_SIZE &&
			(((const volatile uint8_t *)p)[i] ^ 0x5a) == attack_canary[i]) {
			i++;
		}
		if (i == ATTACK_CANARY_SIZE) {
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

/* What the kernel put above the first frame: argv, environment, auxiliary vector. The canary stood in
 * the environment of those that started us. */
static long canary_in_stack(void)
{
	struct scan s = { 0 };
	uintptr_t initial = getauxval(AT_RANDOM);
	scan_range(&s, initial - 64 * 4096UL, initial + 64 * 4096UL);
	return s.bytes < 4096 ? -1 : s.found;
}

/* The heap and all writable data. The canary stands on the heap and in the data of the program. */
static long canary_in_memory(void)
{
	struct scan s = { 0 };
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
		int fd = attack_tmp_file(name);
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
		int fd = attack_tmp_file(name);
		if (fd < 0) {
			return errno == ENOSPC ? i : -1;
		}
		(void)close(fd);
	}
	return -1;
}

ATTEMPT(huge_file, ftruncate(attack_tmp_file("/tmp/huge"), 1L << 40))

static long write_past_limit(void)
{
	int fd = attack_tmp_file("/tmp/past");
	return fd < 0 ? -1 : pwrite(fd, "x", 1, 16L * 1024 * 1024);
}

ATTEMPT(set_uid_bit, attack_tmp_file("/tmp/suid") < 0 ? -1 : chmod("/tmp/suid", 04755))
ATTEMPT(set_uid_fchmod, fchmod(attack_tmp_file("/tmp/suid"), 06711))
ATTEMPT(set_uid_fchmodat,
	attack_tmp_file("/tmp/suid") < 0 ? -1 : fchmodat(AT_FDCWD, "/tmp/suid", 02755, 0))

static long exec_path(const char *path)
{
	char *argv[] = { NULL };
	return execve(path, argv, argv);
}

ATTEMPT(exec_shell, exec_path("/bin/sh"))
ATTEMPT(exec_loader, exec_path("/lib64/ld-linux-x86-64.so.2"))
ATTEMPT(exec_plugin, exec_path(OWN_PLUGIN "/program"))
ATTEMPT(exec_tmp, attack_tmp_file("/tmp/program") < 0 ? -1 : exec_path("/tmp/program"))
ATTEMPT(execveat_fd, syscall(SYS_execveat, 0, "", NULL, NULL, AT_EMPTY_PATH))

ATTEMPT(lock_shared, flock(READ_ONLY(OWN_PLUGIN "/logic.py"), LOCK_EX))

static long posix_lock(void)
{
	struct flock lock = { .l_type = F_RDLCK };
	return fcntl(READ_ONLY(OWN_PLUGIN "/logic.py"), F_SETLK, &lock);
}

static long ofd_lock(void)
{
	struct flock lock = { .l_type = F_RDLCK };
	return fcntl(READ_ONLY(OWN_PLUGIN "/logic.py"), F_OFD_SETLK, &lock);
}

ATTEMPT(lease, fcntl(READ_ONLY(OWN_PLUGIN "/logic.py"), F_SETLEASE, F_RDLCK))
ATTEMPT(directory_notify, fcntl(READ_ONLY(OWN_PLUGIN), F_NOTIFY, DN_CREATE))

static long core_limit(void)
{
	struct rlimit r;
	return getrlimit(RLIMIT_CORE, &r) < 0 ? -1 : r.rlim_max > 0;
}

/* Every writable mount is noexec and nosuid. */
static long tmp_flags(void)
{
	struct statvfs v;
	return statvfs("/tmp", &v) < 0 ? -1 : (long)(v.f_flag & (ST_NOSUID | ST_NODEV | ST_NOEXEC));
}

/* clang-format off */
const struct attack attacks_on_files[] = {
	{ "A1", "read /etc/passwd",            read_passwd,         IN_BOTH, FAILS(ENOENT) },
	{ "A1", "read /etc/shadow",            read_shadow,         IN_BOTH, FAILS(ENOENT) },
	{ "A1", "read /root",                  read_root,           IN_BOTH, FAILS(ENOENT) },
	{ "A1", "read /home",                  read_home,           IN_BOTH, FAILS(ENOENT) },
	{ "A1", "read /etc/hosts",             read_hosts,          IN_BOTH, FAILS(ENOENT) },
	{ "A2", "read another plugin",         read_other_plugin,   IN_BOTH, FAILS(ENOENT) },
	{ "A2", "read another's snapshots",    read_other_snapshot, IN_BOTH, FAILS(ENOENT) },
	{ "A2", "read the own snapshots",      read_own_snapshot,   IN_BOTH, FAILS(ENOENT) },
	{ "A3", "climb out by ..",             climb_out,           IN_BOTH, FAILS(ENOENT) },
	{ "A3", "climb far out by ..",         climb_far_out,       IN_BOTH, FAILS(ENOENT) },
	{ "A3", "through a link to /",         through_link,        IN_BOTH, FAILS(ENOENT) },
	{ "A4", "/proc/1/environ",             proc_environ,        IN_BOTH, FAILS(ENOENT) },
	{ "A4", "/proc/self/mem",              proc_mem,            IN_BOTH, FAILS(ENOENT) },
	{ "A4", "/proc/self/maps",             proc_maps,           IN_BOTH, FAILS(ENOENT) },
	{ "A5", "/sys/kernel",                 sys_kernel,          IN_BOTH, FAILS(ENOENT) },
	{ "B33", "cgroup.procs",                cgroup_procs,        IN_BOTH, FAILS(ENOENT) },
	{ "A5", "/sys/fs/cgroup",              sys_cgroup,          IN_BOTH, FAILS(ENOENT) },
	{ "A6", "/dev/mem",                    dev_mem,             IN_BOTH, FAILS(ENOENT) },
	{ "A6", "/dev/kvm",                    dev_kvm,             IN_BOTH, FAILS(ENOENT) },
	{ "A6", "/dev/tty",                    dev_tty,             IN_BOTH, FAILS(ENOENT) },
	{ "A6", "/dev/ptmx",                   dev_ptmx,            IN_BOTH, FAILS(ENOENT) },
	{ "A6", "/dev/shm",                    dev_shm,             IN_BOTH, FAILS(ENOENT) },
	{ "A6", "/dev/fuse",                   dev_fuse,            IN_BOTH, FAILS(ENOENT) },
	{ "A6", "write /dev/urandom",          write_urandom,       IN_BOTH, EITHER(EACCES, EROFS) },
	{ "A3", "the old root",                old_root,            IN_BOTH, FAILS(ENOENT) },
	{ "A7", "list /",                      list_root,           IN_BOTH, FAILS(EACCES) },
	{ "-", "list /plugins",               list_plugins,        IN_BOTH, GIVES(1) },
	{ "-", "read own file",               read_own,            IN_BOTH, GIVES(1) },
	{ "-", "use /tmp",                    use_tmp,             IN_BOTH, GIVES(1) },
	{ "-", "use the devices",             use_devices,         IN_BOTH, GIVES(2) },
	{ "A12", "write own file",              write_own,           IN_BOTH, EITHER(EROFS, EACCES) },
	{ "A12", "create in own directory",     create_own,          IN_BOTH, EITHER(EROFS, EACCES) },
	{ "A12", "truncate own file",           truncate_own,        IN_BOTH, EITHER(EROFS, EACCES) },
	{ "A12", "unlink own file",             unlink_own,          IN_BOTH, EITHER(EROFS, EACCES) },
	{ "A12", "chmod own file",              chmod_own,           IN_BOTH, FAILS(EROFS) },
	{ "A12", "touch own file",              utime_own,           IN_BOTH, FAILS(EROFS) },
	{ "A12", "rename own file",             rename_own,          IN_BOTH, EITHER(EROFS, EACCES) },
	{ "A14", "create in /plugins",          create_plugins,      IN_BOTH, EITHER(EROFS, EACCES) },
	{ "A13", "poison a library",            poison_library,      IN_PYTHON, EITHER(EROFS, EACCES) },
	{ "A14", "create in /",                 create_in_root,      IN_BOTH, EITHER(EROFS, EACCES) },
	{ "A14", "mkdir in /",                  mkdir_in_root,       IN_BOTH, EITHER(EROFS, EACCES) },
	{ "A14", "create in /dev",              create_in_dev,       IN_BOTH, EITHER(EROFS, EACCES) },
	{ "A8", "environment",                 environment_size,    IN_BOTH, GIVES(0) },
	{ "A9", "secret in the initial stack", canary_in_stack, IN_BOTH, GIVES(0) },
	{ "A10", "secret in inherited memory", canary_in_memory, IN_BOTH, GIVES(0) },
	/* asyncio has an epoll descriptor and a pair to wake it. */
	{ "A11", "open descriptors, python",    open_descriptors,    IN_PYTHON, GIVES(0xef) },
	{ "A11", "open descriptors, native",    open_descriptors,    IN_NATIVE, GIVES(0xf) },
	{ "A15", "fill /tmp (MiB)",             fill_tmp,            IN_BOTH, WITHIN(14, 16) },
	{ "A16", "fill inodes",                 fill_inodes,         IN_BOTH, WITHIN(1000, 1024) },
	{ "A17", "sparse huge file",            huge_file,           IN_BOTH, FAILS(EFBIG) },
	{ "A17", "write past the file limit",   write_past_limit,    IN_BOTH, FAILS(EFBIG) },
	{ "A18", "symlink in /tmp",             symlink_tmp,         IN_BOTH, FAILS(EPERM) },
	{ "A18", "hard link in /tmp",           link_tmp,            IN_BOTH, FAILS(EPERM) },
	{ "A18", "device in /tmp",              mknod_tmp,           IN_BOTH, FAILS(EPERM) },
	{ "A18", "fifo in /tmp",                mkfifo_tmp,          IN_BOTH, FAILS(EPERM) },
	{ "A18", "socket in /tmp",              socket_tmp,          IN_BOTH, FAILS(EACCES) },
	{ "A18", "chown /tmp",                  chown_tmp,           IN_BOTH, FAILS(EPERM) },
	{ "A18", "chown a descriptor",          do_chown,            IN_BOTH, FAILS(EPERM) },
	{ "A18", "setxattr",                    do_setxattr,         IN_BOTH, FAILS(EPERM) },
	{ "A19", "set-user-id by chmod",        set_uid_bit,         IN_BOTH, FAILS(EPERM) },
	{ "A19", "set-user-id by fchmod",       set_uid_fchmod,      IN_BOTH, FAILS(EPERM) },
	{ "A19", "set-group-id by fchmodat",    set_uid_fchmodat,    IN_BOTH, FAILS(EPERM) },
	{ "A20", "exec /bin/sh",                exec_shell,          IN_BOTH, FAILS(EACCES) },
	{ "A20", "exec the loader",             exec_loader,         IN_BOTH, FAILS(EACCES) },
	{ "A20", "exec from the plugin",        exec_plugin,         IN_BOTH, FAILS(EACCES) },
	{ "A20", "exec from /tmp",              exec_tmp,            IN_BOTH, FAILS(EACCES) },
	{ "A21", "execveat a descriptor",       execveat_fd,         IN_BOTH, FAILS(EACCES) },
	{ "A21", "memfd_create",                memfd,               IN_BOTH, FAILS(ENOSYS) },
	{ "A25", "flock a shared file",         lock_shared,         IN_BOTH, FAILS(ENOSYS) },
	{ "A25", "F_SETLK",                     posix_lock,          IN_BOTH, FAILS(ENOSYS) },
	{ "A25", "F_OFD_SETLK",                 ofd_lock,            IN_BOTH, FAILS(ENOSYS) },
	{ "A25", "F_SETLEASE",                  lease,               IN_BOTH, FAILS(ENOSYS) },
	{ "A25", "F_NOTIFY",                    directory_notify,    IN_BOTH, FAILS(ENOSYS) },
	{ "A26", "dumpable",                    dumpable,            IN_BOTH, GIVES(0) },
	{ "A26", "core limit",                  core_limit,          IN_BOTH, GIVES(0) },
	{ "A20", "/tmp is nosuid,nodev,noexec", tmp_flags,           IN_BOTH, GIVES(ST_NOSUID | ST_NODEV | ST_NOEXEC) },
};
/* clang-format on */

const size_t n_attacks_on_files = sizeof(attacks_on_files) / sizeof(attacks_on_files[0]);
