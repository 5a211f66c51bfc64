/* The whole machine is there, as writable and executable as it is outside, and so are the snapshots of
 * all plugins and a large /tmp. */
#include "pluginhost/sandbox/mounts.h"

#include "pluginhost/runtime/runtime.h"
#include "test/security/workers/without/layers.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

const char *const layer_left_out = "mounts";

static int fail(struct mount_failure *f, const char *call, const char *path)
{
	int e = errno;
	f->call = call;
	(void)snprintf(f->path, sizeof(f->path), "%.*s", (int)sizeof(f->path) - 1, path);
	return -e;
}

/* An entry of the machine's root appears under the same name. */
static int show(const char *name, struct mount_failure *f)
{
	char from[PATH_MAX];
	char to[PATH_MAX];
	char target[PATH_MAX];
	struct stat st;
	(void)snprintf(from, sizeof(from), "/old/%s", name);
	(void)snprintf(to, sizeof(to), "/%s", name);
	if (strcmp(name, "tmp") == 0 || strcmp(name, "old") == 0 || lstat(from, &st) < 0) {
		return 0;
	}
	if (S_ISLNK(st.st_mode)) {
		ssize_t n = readlink(from, target, sizeof(target) - 1);
		target[n < 0 ? 0 : n] = '\0';
		return n < 0 || symlink(target, to) < 0 ? fail(f, "symlink", to) : 0;
	}
	if (!S_ISDIR(st.st_mode)) {
		return 0;
	}
	return mkdir(to, 0755) < 0 || mount(from, to, NULL, MS_BIND | MS_REC, NULL) < 0
		? fail(f, "mount", to)
		: 0;
}

static int show_all(struct mount_failure *f)
{
	DIR *d = opendir("/old");
	if (d == NULL) {
		return fail(f, "opendir", "/old");
	}
	int r = 0;
	for (struct dirent *e = readdir(d); r == 0 && e != NULL; e = readdir(d)) {
		r = e->d_name[0] == '.' ? 0 : show(e->d_name, f);
	}
	(void)closedir(d);
	return r;
}

int __wrap_mounts_build_tree(unsigned files,
	const char *snapshots_path,
	bool python_cwd,
	struct mount_failure *ret_failure)
{
	struct mount_failure *f = ret_failure;
	char snapshots[PATH_MAX];
	(void)snprintf(snapshots, sizeof(snapshots), "/old%s", snapshots_path);
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("tmpfs", "/tmp", "tmpfs", 0, "mode=755") < 0 || mkdir("/tmp/old", 0755) < 0 ||
		syscall(SYS_pivot_root, "/tmp", "/tmp/old") < 0) {
		return fail(f, "pivot", "/tmp");
	}
	int r = show_all(f);
	if (r < 0) {
		return r;
	}
	if (mkdir("/snapshots", 0755) < 0 || mkdir("/plugins", 0755) < 0 ||
		mkdir("/mozaiks", 0755) < 0 || mkdir(RUNTIME_PYTHON_DIR, 0755) < 0 ||
		mkdir("/tmp", 0755) < 0) {
		return fail(f, "mkdir", "/");
	}
	if (mount(snapshots, "/snapshots", NULL, MS_BIND, NULL) < 0 ||
		(python_cwd && mount(".", RUNTIME_PYTHON_DIR, NULL, MS_BIND, NULL) < 0) ||
		chdir("/") < 0) {
		return fail(f, "mount", snapshots);
	}
	return 0;
}

int __wrap_mounts_enter_worker(const struct sandbox_profile *profile,
	const char *plugin,
	const char *version,
	const struct worker_limits *limits,
	unsigned uid,
	struct mount_failure *ret_failure)
{
	struct mount_failure *f = ret_failure;
	char from[PATH_MAX];
	char to[PATH_MAX];
	(void)snprintf(from, sizeof(from), "/snapshots/%s/%s", plugin, version);
	(void)snprintf(to, sizeof(to), RUNTIME_PLUGINS_DIR "/%s", plugin);
	/* A canary has no plugin. */
	if ((mkdir(to, 0755) < 0 && errno != EEXIST) ||
		(version[0] != '\0' && mount(from, to, NULL, MS_BIND, NULL) < 0)) {
		return fail(f, "mount", from);
	}
	return mount("tmpfs", "/tmp", "tmpfs", 0, "size=64m,nr_inodes=4096,mode=1777") < 0
		? fail(f, "mount", "/tmp")
		: 0;
}
