#include "pluginhost/sandbox/mounts.h"

#include "pluginhost/runtime/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LIBRARIES "/usr/lib/" MOZAIKS_TRIPLET
#define OLD_ROOT  "/old"
#define SNAPSHOTS "/snapshots"

static const struct mount_row table[] = {
	/* set, path, kind, optional, writable */
	{ FILES_LIBRARIES, LIBRARIES, MOUNT_DIRECTORY, false, false },
	{ FILES_LIBRARIES, "/usr/lib64", MOUNT_DIRECTORY, true, false },
	{ FILES_LIBRARIES, "/lib", MOUNT_LINK, true, false },
	{ FILES_LIBRARIES, "/lib64", MOUNT_LINK, true, false },
	{ FILES_LIBRARIES, "/etc/ld.so.cache", MOUNT_FILE, true, false },
	/* Links only: Debian reaches libblas and others through them. */
	{ FILES_LIBRARIES, "/etc/alternatives", MOUNT_DIRECTORY, true, false },
	{ FILES_PYTHON, "/usr/lib/python" MOZAIKS_PYTHON, MOUNT_DIRECTORY, false, false },
	{ FILES_PYTHON, "/usr/lib/python3", MOUNT_DIRECTORY, false, false },
	{ FILES_PYTHON, "/usr/share/zoneinfo", MOUNT_DIRECTORY, true, false },
	{ FILES_DEVICES, "/dev/null", MOUNT_DEVICE, false, true },
	{ FILES_DEVICES, "/dev/urandom", MOUNT_DEVICE, false, false },
#ifdef MOZAIKS_SANITIZED
	/* The sanitizers' start-up code reads its own maps; a worker takes it away again. */
	{ FILES_LIBRARIES, "/proc", MOUNT_DIRECTORY, false, false },
#endif
};

const struct mount_row *mount_table(size_t *ret_n)
{
	*ret_n = sizeof(table) / sizeof(table[0]);
	return table;
}

static int fail(struct mount_failure *f, const char *call, const char *path)
{
	int e = errno;
	f->call = call;
	(void)snprintf(f->path, sizeof(f->path), "%.*s", (int)sizeof(f->path) - 1, path);
	return -e;
}

static int __attribute__((format(printf, 3, 4)))
format_path(char *out, size_t size, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int n = vsnprintf(out, size, format, args);
	va_end(args);
	if (n < 0 || (size_t)n >= size) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return 0;
}

/* The flags a mount has, in mount(2)'s terms: a mount from a user namespace above may not lose
 * them (EPERM). */
static unsigned long kept_flags(const char *path)
{
	static const struct {
		unsigned long has;
		unsigned long flag;
	} map[] = {
		{ ST_NOSUID, MS_NOSUID },
		{ ST_NODEV, MS_NODEV },
		{ ST_NOEXEC, MS_NOEXEC },
		{ ST_NOATIME, MS_NOATIME },
		{ ST_NODIRATIME, MS_NODIRATIME },
		{ ST_RELATIME, MS_RELATIME },
	};
	struct statvfs v;
	unsigned long flags = 0;
	if (statvfs(path, &v) == 0) {
		for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++) {
			flags |= (v.f_flag & map[i].has) != 0 ? map[i].flag : 0;
		}
	}
	return flags;
}

static int remount_read_only(const char *path, unsigned long flags, struct mount_failure *f)
{
	if (mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | flags | kept_flags(path),
		    NULL) < 0) {
		return fail(f, "remount", path);
	}
	return 0;
}

static int make_directory(const char *path, mode_t mode, struct mount_failure *f)
{
	/* The mode is set after mkdir, whatever the umask is: another uid must get through. */
	if ((mkdir(path, mode) < 0 && errno != EEXIST) || chmod(path, mode) < 0) {
		return fail(f, "mkdir", path);
	}
	return 0;
}

static int make_parents(const char *path, struct mount_failure *f)
{
	char part[PATH_MAX];
	for (const char *slash = strchr(path + 1, '/'); slash != NULL;
		slash = strchr(slash + 1, '/')) {
		if (format_path(part, sizeof(part), "%.*s", (int)(slash - path), path) < 0) {
			return fail(f, "mkdir", path);
		}
		int r = make_directory(part, 0755, f);
		if (r < 0) {
			return r;
		}
	}
	return 0;
}

static int make_file(const char *path, struct mount_failure *f)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0) {
		return fail(f, "create", path);
	}
	(void)close(fd);
	return 0;
}

static int bind_mount(
	const char *source, const char *target, unsigned long flags, struct mount_failure *f)
{
	unsigned long recursive = 0;
#ifdef MOZAIKS_SANITIZED
	recursive = strcmp(target, "/proc") == 0 ? MS_REC : 0;
#endif
	if (mount(source, target, NULL, MS_BIND | recursive, NULL) < 0) {
		return fail(f, "mount", source);
	}
	return recursive != 0 ? 0 : remount_read_only(target, flags, f);
}

/* ---- The zygote's tree ---- */

static int add_row(const struct mount_row *row, struct mount_failure *f)
{
	char source[PATH_MAX];
	struct stat st;
	if (format_path(source, sizeof(source), OLD_ROOT "%s", row->path) < 0) {
		return fail(f, "mount", row->path);
	}
	if (lstat(source, &st) < 0) {
		return row->optional && errno == ENOENT ? 0 : fail(f, "stat", row->path);
	}
	int r = make_parents(row->path, f);
	if (r < 0) {
		return r;
	}
	if (row->kind == MOUNT_LINK && S_ISLNK(st.st_mode)) {
		char target[PATH_MAX];
		ssize_t n = readlink(source, target, sizeof(target) - 1);
		if (n < 0) {
			return fail(f, "readlink", row->path);
		}
		target[n] = '\0';
		return symlink(target, row->path) < 0 ? fail(f, "symlink", row->path) : 0;
	}
	r = S_ISDIR(st.st_mode) ? make_directory(row->path, 0755, f) : make_file(row->path, f);
	if (r < 0) {
		return r;
	}
	return bind_mount(
		source, row->path, row->kind == MOUNT_DEVICE ? MS_NOSUID : MS_NOSUID | MS_NODEV, f);
}

/* A fresh tmpfs becomes the root, the host's tree its /old. */
static int pivot(struct mount_failure *f)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
		return fail(f, "make private", "/");
	}
	if (mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV,
		    "size=256k,nr_inodes=256,mode=755") < 0) {
		return fail(f, "mount tmpfs", "/tmp");
	}
	int r = make_directory("/tmp" OLD_ROOT, 0700, f);
	if (r < 0) {
		return r;
	}
	if (syscall(SYS_pivot_root, "/tmp", "/tmp" OLD_ROOT) < 0) {
		return fail(f, "pivot_root", "/tmp");
	}
	return 0;
}

int mounts_build_tree(unsigned files,
	const char *snapshots_path,
	bool python_cwd,
	struct mount_failure *ret_failure)
{
	struct mount_failure *f = ret_failure;
	mode_t old_umask = umask(022);
	char source[PATH_MAX];
	int r = pivot(f);
	for (size_t i = 0; r == 0 && i < sizeof(table) / sizeof(table[0]); i++) {
		if ((table[i].files & files) != 0) {
			r = add_row(&table[i], f);
		}
	}
	static const char *const points[] = { RUNTIME_PLUGINS_DIR, "/tmp", SNAPSHOTS, "/mozaiks",
		RUNTIME_PYTHON_DIR };
	for (size_t i = 0; r == 0 && i < sizeof(points) / sizeof(points[0]); i++) {
		r = make_directory(points[i], 0755, f);
	}
	if (r == 0 && format_path(source, sizeof(source), OLD_ROOT "%s", snapshots_path) < 0) {
		r = fail(f, "mount", snapshots_path);
	}
	if (r == 0) {
		r = bind_mount(source, SNAPSHOTS, MS_NOSUID | MS_NODEV, f);
	}
	if (r == 0 && python_cwd) {
		r = bind_mount(".", RUNTIME_PYTHON_DIR, MS_NOSUID | MS_NODEV, f);
	}
	if (r == 0 &&
		(chdir("/") < 0 || umount2(OLD_ROOT, MNT_DETACH) < 0 || rmdir(OLD_ROOT) < 0)) {
		r = fail(f, "umount", OLD_ROOT);
	}
	if (r == 0) {
		r = remount_read_only("/", MS_NOSUID | MS_NODEV | MS_NOEXEC, f);
	}
	(void)umask(old_umask);
	return r;
}

/* ---- A worker's part ---- */

/* /plugins becomes a directory that holds the worker's own plugin and nothing else. */
static int mount_plugin(const char *plugin, const char *version, struct mount_failure *f)
{
	char source[PATH_MAX];
	char target[PATH_MAX];
	if (mount("tmpfs", RUNTIME_PLUGINS_DIR, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
		    "size=4k,nr_inodes=4,mode=755") < 0) {
		return fail(f, "mount tmpfs", RUNTIME_PLUGINS_DIR);
	}
	if (format_path(source, sizeof(source), SNAPSHOTS "/%s/%s", plugin, version) < 0 ||
		format_path(target, sizeof(target), RUNTIME_PLUGINS_DIR "/%s", plugin) < 0) {
		return fail(f, "mount", plugin);
	}
	int r = make_directory(target, 0755, f);
	if (r == 0 && version[0] != '\0') {
		r = bind_mount(source, target, MS_NOSUID | MS_NODEV, f);
	}
	return r < 0 ? r
		     : remount_read_only(RUNTIME_PLUGINS_DIR, MS_NOSUID | MS_NODEV | MS_NOEXEC, f);
}

static int mount_tmp(const struct worker_limits *limits, unsigned uid, struct mount_failure *f)
{
	char options[128];
	(void)snprintf(options, sizeof(options), "size=%llu,nr_inodes=%u,mode=700,uid=%u,gid=%u",
		(unsigned long long)limits->tmp_bytes, limits->tmp_files, uid, uid);
	if (mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, options) < 0) {
		return fail(f, "mount tmpfs", "/tmp");
	}
	return 0;
}

int mounts_enter_worker(const struct sandbox_profile *profile,
	const char *plugin,
	const char *version,
	const struct worker_limits *limits,
	unsigned uid,
	struct mount_failure *ret_failure)
{
	struct mount_failure *f = ret_failure;
	mode_t old_umask = umask(022);
	int r = mount_plugin(plugin, version, f);
	if (r == 0 && (profile->files & FILES_TMP) != 0) {
		r = mount_tmp(limits, uid, f);
	}
	if (r == 0 && umount2(SNAPSHOTS, MNT_DETACH) < 0) {
		r = fail(f, "umount", SNAPSHOTS);
	}
#ifdef MOZAIKS_SANITIZED
	if (r == 0 && umount2("/proc", MNT_DETACH) < 0) {
		r = fail(f, "umount", "/proc");
	}
#endif
	if (r == 0 && chdir("/") < 0) {
		r = fail(f, "chdir", "/");
	}
	(void)umask(old_umask);
	return r;
}
