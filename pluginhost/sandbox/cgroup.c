#include "pluginhost/sandbox/cgroup.h"

#include "common/base/buffer.h"
#include "common/base/error.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
	PROC_FILE_MAX = 4 * 1024 * 1024,
	CPU_PERIOD_US = 100000,
	/* For all workers of a pluginhost together. */
	ALL_PROCESSES_MAX = 4096,
	ALL_MEMORY_PERCENT = 70,
	NAME_SIZE = 96,
	/* How long the end waits for the kernel to let go of the last workers' cgroups. */
	SWEEP_TRIES = 20,
	SWEEP_PAUSE_MS = 5,
	/* Pluginhosts of one name at a time. */
	CLAIMS_MAX = 64,
};

static const char *const controller_names[CGROUP_CONTROLLERS] = {
	[CGROUP_MEMORY] = "memory",
	[CGROUP_PIDS] = "pids",
	[CGROUP_CPU] = "cpu",
	[CGROUP_CPUACCT] = "cpuacct",
};

const char *cgroup_kind_name(enum cgroup_kind kind)
{
	switch (kind) {
	case CGROUP_NONE:
		return "none";
	case CGROUP_V1:
		return "v1";
	case CGROUP_V2:
		return "v2";
	}
	return "none";
}

/* ---- Small files ---- */

static int write_file(int dir, const char *name, const char *text)
{
	int fd = openat(dir, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0) {
		return -errno;
	}
	size_t n = strlen(text);
	int e = write(fd, text, n) == (ssize_t)n ? 0 : -errno;
	(void)close(fd);
	return e;
}

static int write_number(int dir, const char *name, uint64_t value)
{
	char text[32];
	(void)snprintf(text, sizeof(text), "%" PRIu64, value);
	return write_file(dir, name, text);
}

/* Reads a file whole; the text gets a closing NUL. */
static int read_file(int dir, const char *name, struct buffer *out)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		return -errno;
	}
	int r;
	do {
		r = buffer_reserve(out, 4096);
		if (r == 0) {
			ssize_t n = read(fd, out->p + out->n, 4096);
			r = n < 0 ? -errno : (int)n;
			out->n += n > 0 ? (size_t)n : 0;
		}
	} while (r > 0);
	(void)close(fd);
	return r < 0 ? r : buffer_append_byte(out, 0);
}

/* The number after `key` (or at the start, with an empty key), 0 when there is none. */
static uint64_t read_number(int dir, const char *name, const char *key)
{
	struct buffer text;
	buffer_init(&text, 65536);
	uint64_t value = 0;
	if (dir >= 0 && read_file(dir, name, &text) == 0) {
		const char *p = (const char *)text.p;
		size_t n = strlen(key);
		while (p != NULL && strncmp(p, key, n) != 0) {
			p = strchr(p, '\n');
			p = p == NULL ? NULL : p + 1;
		}
		if (p != NULL) {
			value = strtoull(p + n, NULL, 10);
		}
	}
	buffer_deinit(&text);
	return value;
}

/* ---- Where our own cgroup is ---- */

struct hierarchies {
	char v2[PATH_MAX]; /* directory of our own cgroup; "" when it cannot be seen */
	char v1[CGROUP_CONTROLLERS][PATH_MAX];
};

/* Is `word` one of the comma-separated words? */
static bool has_word(const char *list, const char *word)
{
	size_t n = strlen(word);
	for (const char *p = list; p != NULL; p = strchr(p, ',')) {
		p += *p == ',' ? 1 : 0;
		if (strncmp(p, word, n) == 0 && (p[n] == ',' || p[n] == '\0')) {
			return true;
		}
	}
	return false;
}

/* Lines of /proc/self/cgroup: "4:memory:/path", version 2: "0::/path". Here `out` gets paths inside
 * their hierarchies. */
static void read_own_paths(char *text, struct hierarchies *out)
{
	char *save = NULL;
	for (char *line = strtok_r(text, "\n", &save); line != NULL;
		line = strtok_r(NULL, "\n", &save)) {
		char *list = strchr(line, ':');
		char *path = list == NULL ? NULL : strchr(list + 1, ':');
		if (path == NULL) {
			continue;
		}
		*list++ = '\0';
		*path++ = '\0';
		if (strcmp(line, "0") == 0) {
			(void)snprintf(out->v2, sizeof(out->v2), "%s", path);
		}
		for (int c = 0; c < CGROUP_CONTROLLERS; c++) {
			if (has_word(list, controller_names[c])) {
				(void)snprintf(out->v1[c], sizeof(out->v1[c]), "%s", path);
			}
		}
	}
}

/* One line of mountinfo: "36 35 98:0 /root /mount/point options - type source super-options". */
struct mount_line {
	const char *root;
	const char *point;
	const char *type;
	const char *options;
};

static bool parse_mount(char *line, struct mount_line *ret)
{
	char *fields[64];
	size_t n = 0;
	char *save = NULL;
	for (char *f = strtok_r(line, " ", &save); f != NULL && n < 64;
		f = strtok_r(NULL, " ", &save)) {
		fields[n++] = f;
	}
	for (size_t i = 6; i + 3 < n; i++) {
		if (strcmp(fields[i], "-") == 0) {
			*ret = (struct mount_line){ fields[3], fields[4], fields[i + 1],
				fields[i + 3] };
			return true;
		}
	}
	return false;
}

/* Turns a path inside a hierarchy into a directory: mount point + the path below the mount's root. */
static void locate(const struct mount_line *m, const char *path, char ret_dir[static PATH_MAX])
{
	size_t n = strlen(m->root);
	n = strcmp(m->root, "/") == 0 ? 0 : n;
	if (path[0] != '/' || strncmp(path, m->root, n) != 0 ||
		(path[n] != '/' && path[n] != '\0')) {
		return;
	}
	(void)snprintf(
		ret_dir, PATH_MAX, "%s%s", m->point, strcmp(path + n, "/") == 0 ? "" : path + n);
}

static int find_hierarchies(const char *proc, struct hierarchies *ret)
{
	struct hierarchies own = { 0 };
	struct buffer text;
	buffer_init(&text, PROC_FILE_MAX);
	int dir = open(proc, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int e = dir < 0 ? -errno : read_file(dir, "cgroup", &text);
	if (e == 0) {
		read_own_paths((char *)text.p, &own);
		buffer_clear(&text);
		e = read_file(dir, "mountinfo", &text);
	}
	char *save = NULL;
	for (char *line = e < 0 ? NULL : strtok_r((char *)text.p, "\n", &save); line != NULL;
		line = strtok_r(NULL, "\n", &save)) {
		struct mount_line m;
		if (!parse_mount(line, &m)) {
			continue;
		}
		if (strcmp(m.type, "cgroup2") == 0 && ret->v2[0] == '\0') {
			locate(&m, own.v2, ret->v2);
		}
		for (int c = 0; c < CGROUP_CONTROLLERS && strcmp(m.type, "cgroup") == 0; c++) {
			if (has_word(m.options, controller_names[c]) && ret->v1[c][0] == '\0') {
				locate(&m, own.v1[c], ret->v1[c]);
			}
		}
	}
	if (dir >= 0) {
		(void)close(dir);
	}
	buffer_deinit(&text);
	return e;
}

/* ---- The subtree ---- */

static int open_dir(int parent, const char *name)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? -errno : fd;
}

static int make_dir(int parent, const char *name)
{
	if (mkdirat(parent, name, 0755) < 0 && errno != EEXIST) {
		return -errno;
	}
	return open_dir(parent, name);
}

/* The cgroups of workers that could not be removed with them. @return how many are still there. */
static unsigned sweep(int dir)
{
	unsigned left = 0;
	DIR *d = fdopendir(dup(dir));
	if (d == NULL) {
		return 0;
	}
	/* The position is shared with `dir`. */
	rewinddir(d);
	for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
		if (e->d_name[0] == 'w' && unlinkat(dir, e->d_name, AT_REMOVEDIR) < 0) {
			left++;
		}
	}
	(void)closedir(d);
	return left;
}

/* The name of the n-th pluginhost of a name, from 1. */
static void numbered_name(const char *name, unsigned n, char ret_name[static NAME_SIZE])
{
	(void)snprintf(ret_name, NAME_SIZE, n == 1 ? "mozaiks-%.64s" : "mozaiks-%.64s-%u", name, n);
}

/* Makes a directory, or takes it over from an earlier run. Its lock lasts as long as the descriptor.
 * @return the descriptor, -EBUSY when another pluginhost lives in it, or another negative errno. */
static int make_locked_dir(int parent, const char *name)
{
	int dir = make_dir(parent, name);
	if (dir >= 0 && flock(dir, LOCK_EX | LOCK_NB) < 0) {
		(void)close(dir);
		return -EBUSY;
	}
	return dir;
}

/* mozaiks-NAME; while another pluginhost of that name lives, mozaiks-NAME-2 and so on. */
static int claim_dir(int parent, const char *name, char ret_name[static NAME_SIZE])
{
	int dir = -EBUSY;
	for (unsigned i = 1; dir == -EBUSY && i <= CLAIMS_MAX; i++) {
		numbered_name(name, i, ret_name);
		dir = make_locked_dir(parent, ret_name);
	}
	return dir;
}

/* 0: the machine does not tell how much it has. */
static uint64_t share_of_memory(unsigned percent)
{
	long pages = sysconf(_SC_PHYS_PAGES);
	long size = sysconf(_SC_PAGESIZE);
	return pages <= 0 || size <= 0 ? 0 : (uint64_t)pages * (uint64_t)size / 100 * percent;
}

static int limit_all(
	int memory_dir, int pids_dir, const char *memory_file, unsigned percent, uint64_t processes)
{
	uint64_t bytes = share_of_memory(percent);
	int e = bytes == 0 ? 0 : write_number(memory_dir, memory_file, bytes);
	return e < 0 ? e : write_number(pids_dir, "pids.max", processes);
}

static int give_away(int dir, uid_t uid, gid_t gid)
{
	static const char *const files[] = { "cgroup.procs", "cgroup.threads",
		"cgroup.subtree_control" };
	if (geteuid() == uid) {
		return 0;
	}
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		if (fchownat(dir, files[i], uid, gid, AT_SYMLINK_NOFOLLOW) < 0 && errno != ENOENT) {
			return -errno;
		}
	}
	return fchown(dir, uid, gid) < 0 ? -errno : 0;
}

/* Hands the controllers down one level. The one for cpu is welcome, the other two must be. */
static int delegate_controllers(int dir, bool *ret_cpu)
{
	int e = write_file(dir, "cgroup.subtree_control", "+memory +pids");
	if (e == 0) {
		*ret_cpu = write_file(dir, "cgroup.subtree_control", "+cpu") == 0;
	}
	return e;
}

struct v2_dirs {
	int own;  /* where we were started */
	int base; /* own/mozaiks-NAME, locked */
	char name[NAME_SIZE];
	int supervisor; /* base/supervisor: we ourselves, as an inner cgroup may hold no process */
	int workers;    /* base/workers */
};

static int build_v2(struct v2_dirs *d, const char *name, uid_t uid, gid_t gid, bool *ret_cpu)
{
	d->base = claim_dir(d->own, name, d->name);
	if (d->base < 0) {
		return d->base;
	}
	d->supervisor = make_dir(d->base, "supervisor");
	if (d->supervisor < 0) {
		return d->supervisor;
	}
	d->workers = make_dir(d->base, "workers");
	if (d->workers < 0) {
		return d->workers;
	}
	int e = write_number(d->supervisor, "cgroup.procs", (uint64_t)getpid());
	if (e == 0) {
		e = delegate_controllers(d->own, ret_cpu);
	}
	if (e == 0) {
		e = delegate_controllers(d->base, ret_cpu);
	}
	if (e == 0) {
		e = delegate_controllers(d->workers, ret_cpu);
	}
	if (e == 0) {
		e = limit_all(d->workers, d->workers, "memory.max", ALL_MEMORY_PERCENT,
			ALL_PROCESSES_MAX);
	}
	const int ours[] = { d->base, d->supervisor, d->workers };
	for (size_t i = 0; e == 0 && i < sizeof(ours) / sizeof(ours[0]); i++) {
		e = give_away(ours[i], uid, gid);
	}
	return e;
}

static void close_fd(int fd)
{
	if (fd >= 0) {
		(void)close(fd);
	}
}

static int init_v2(
	struct cgroup_root *root, const char *own, const char *name, uid_t uid, gid_t gid)
{
	struct v2_dirs d = {
		.own = open_dir(AT_FDCWD, own), .base = -1, .supervisor = -1, .workers = -1
	};
	if (d.own < 0) {
		return d.own;
	}
	int e = build_v2(&d, name, uid, gid, &root->has_cpu);
	if (e == 0) {
		root->kind = CGROUP_V2;
		for (int c = 0; c < CGROUP_CONTROLLERS; c++) {
			root->dir[c] = d.workers;
		}
		root->lock = d.base;
		d.base = -1;
		d.workers = -1;
		sweep(root->dir[0]);
	} else if (d.base >= 0) {
		/* Back where we were, as if nothing had been tried. */
		(void)write_number(d.own, "cgroup.procs", (uint64_t)getpid());
		(void)unlinkat(d.base, "workers", AT_REMOVEDIR);
		(void)unlinkat(d.base, "supervisor", AT_REMOVEDIR);
		(void)unlinkat(d.own, d.name, AT_REMOVEDIR);
	}
	close_fd(d.own);
	close_fd(d.base);
	close_fd(d.supervisor);
	close_fd(d.workers);
	return e;
}

/* Version 1 has a tree per controller, or per group of them. */
static int claim_v1_controller(struct cgroup_root *root,
	const struct hierarchies *h,
	int controller,
	const char *name,
	uid_t uid,
	gid_t gid)
{
	const char *own = h->v1[controller];
	if (own[0] == '\0') {
		return -ENOENT;
	}
	for (int c = 0; c < controller; c++) {
		/* Mounted together: a second lock would wait for our first one. */
		if (root->dir[c] >= 0 && strcmp(h->v1[c], own) == 0) {
			int twin = fcntl(root->dir[c], F_DUPFD_CLOEXEC, 0);
			return twin < 0 ? -errno : twin;
		}
	}
	int parent = open_dir(AT_FDCWD, own);
	if (parent < 0) {
		return parent;
	}
	int dir = make_locked_dir(parent, name);
	(void)close(parent);
	if (dir < 0) {
		return dir;
	}
	sweep(dir);
	int e = give_away(dir, uid, gid);
	if (e < 0) {
		(void)close(dir);
	}
	return e < 0 ? e : dir;
}

static void release_v1(struct cgroup_root *root)
{
	for (int c = 0; c < CGROUP_CONTROLLERS; c++) {
		close_fd(root->dir[c]);
		root->dir[c] = -1;
	}
}

/* One name in every tree. We may share some of the trees with pluginhosts that we do not meet in the
 * others, where the machine puts each service into a cgroup of its own. */
static int claim_v1(struct cgroup_root *root,
	const struct hierarchies *h,
	const char *name,
	uid_t uid,
	gid_t gid)
{
	int e = 0;
	for (int c = 0; e == 0 && c < CGROUP_CONTROLLERS; c++) {
		int dir = claim_v1_controller(root, h, c, name, uid, gid);
		root->dir[c] = dir;
		/* Memory and pids are what the tier is about. */
		e = dir == -EBUSY || (dir < 0 && c <= CGROUP_PIDS) ? dir : 0;
	}
	if (e < 0) {
		release_v1(root);
	}
	return e;
}

static int init_v1(struct cgroup_root *root,
	const struct hierarchies *h,
	const char *name,
	uid_t uid,
	gid_t gid)
{
	int e = -EBUSY;
	for (unsigned i = 1; e == -EBUSY && i <= CLAIMS_MAX; i++) {
		char claimed[NAME_SIZE];
		numbered_name(name, i, claimed);
		e = claim_v1(root, h, claimed, uid, gid);
	}
	if (e == 0) {
		e = limit_all(root->dir[CGROUP_MEMORY], root->dir[CGROUP_PIDS],
			"memory.limit_in_bytes", ALL_MEMORY_PERCENT, ALL_PROCESSES_MAX);
	}
	if (e < 0) {
		release_v1(root);
	}
	root->kind = e == 0 ? CGROUP_V1 : CGROUP_NONE;
	root->has_cpu = e == 0 && root->dir[CGROUP_CPU] >= 0;
	return e;
}

int cgroup_root_init_at(
	struct cgroup_root *root, const char *proc, const char *name, uid_t uid, gid_t gid)
{
	*root = (struct cgroup_root){ .dir = { -1, -1, -1, -1 }, .lock = -1 };
	struct hierarchies *h = calloc(1, sizeof(*h));
	if (h == NULL) {
		return -ENOMEM;
	}
	int e = find_hierarchies(proc, h);
	int v2 = e < 0 ? e : -ENOENT;
	int v1 = v2;
	if (e == 0 && h->v2[0] != '\0') {
		v2 = init_v2(root, h->v2, name, uid, gid);
	}
	if (e == 0 && v2 < 0) {
		v1 = init_v1(root, h, name, uid, gid);
	}
	if (root->kind == CGROUP_NONE) {
		(void)snprintf(root->why_none, sizeof(root->why_none),
			"version 2: %s; version 1: %s", strerror(-v2), strerror(-v1));
	}
	free(h);
	return 0;
}

int cgroup_root_init(struct cgroup_root *root, const char *name, uid_t uid, gid_t gid)
{
	return cgroup_root_init_at(root, "/proc/self", name, uid, gid);
}

int cgroup_root_limit(const struct cgroup_root *root, unsigned memory_percent, uint64_t processes)
{
	switch (root->kind) {
	case CGROUP_V1:
		return limit_all(root->dir[CGROUP_MEMORY], root->dir[CGROUP_PIDS],
			"memory.limit_in_bytes", memory_percent, processes);
	case CGROUP_V2:
		return limit_all(root->dir[CGROUP_MEMORY], root->dir[CGROUP_PIDS], "memory.max",
			memory_percent, processes);
	case CGROUP_NONE:
		break;
	}
	return 0;
}

/* How many hierarchies there are to make or remove directories in. */
static int distinct(const struct cgroup_root *root)
{
	return root->kind == CGROUP_V1 ? CGROUP_CONTROLLERS : root->kind == CGROUP_V2 ? 1 : 0;
}

unsigned cgroup_sweep(const struct cgroup_root *root)
{
	unsigned left = 0;
	for (int c = 0; c < distinct(root); c++) {
		left += root->dir[c] < 0 ? 0 : sweep(root->dir[c]);
	}
	return left;
}

void cgroup_root_deinit(struct cgroup_root *root)
{
	const struct timespec pause = { .tv_nsec = SWEEP_PAUSE_MS * 1000 * 1000 };
	for (int i = 0; i < SWEEP_TRIES && cgroup_sweep(root) > 0; i++) {
		(void)nanosleep(&pause, NULL);
	}
	for (int c = 0; c < CGROUP_CONTROLLERS; c++) {
		/* Version 2 has one directory for all. */
		if (root->kind == CGROUP_V1 || (root->kind == CGROUP_V2 && c == 0)) {
			close_fd(root->dir[c]);
		}
		root->dir[c] = -1;
	}
	close_fd(root->lock);
	root->lock = -1;
	root->kind = CGROUP_NONE;
}

static void remove_subtree(int own, int dir, const char *claimed)
{
	sweep(dir);
	(void)unlinkat(dir, "workers", AT_REMOVEDIR);
	(void)unlinkat(dir, "supervisor", AT_REMOVEDIR);
	(void)unlinkat(own, claimed, AT_REMOVEDIR);
}

void cgroup_root_clean(const char *name)
{
	struct hierarchies *h = calloc(1, sizeof(*h));
	if (h == NULL || find_hierarchies("/proc/self", h) < 0) {
		free(h);
		return;
	}
	const char *const paths[] = { h->v2, h->v1[CGROUP_MEMORY], h->v1[CGROUP_PIDS],
		h->v1[CGROUP_CPU], h->v1[CGROUP_CPUACCT] };
	char claimed[NAME_SIZE] = "";
	int claim = -1;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		/* Both versions have a lock of their own, and version 1 has it where memory is. */
		bool claims = i <= 1;
		int own = paths[i][0] == '\0' ? -1 : open_dir(AT_FDCWD, paths[i]);
		int dir = own < 0    ? -1
			: claims     ? claim_dir(own, name, claimed)
			: claim >= 0 ? open_dir(own, claimed)
				     : -1;
		if (dir >= 0) {
			remove_subtree(own, dir, claimed);
		}
		if (i == 1) {
			/* Held until the others are removed, too. */
			claim = dir;
		} else {
			close_fd(dir);
		}
		close_fd(own);
	}
	close_fd(claim);
	free(h);
}

/* ---- One worker's ---- */

/* What a limit is written to. `must`: without it the cgroup is not what the tier promises. */
struct limit_file {
	enum cgroup_kind kind;
	enum cgroup_controller controller;
	const char *name;
	bool must;
};

static int write_limit(const struct cgroup_root *root,
	const int dirs[static CGROUP_CONTROLLERS],
	const struct limit_file *f,
	const char *text)
{
	if (f->kind != root->kind || dirs[f->controller] < 0) {
		return 0;
	}
	int e = write_file(dirs[f->controller], f->name, text);
	return f->must ? e : 0;
}

static int apply_memory(
	const struct cgroup_root *root, const int dirs[static CGROUP_CONTROLLERS], uint64_t bytes)
{
	char full[32];
	(void)snprintf(full, sizeof(full), "%" PRIu64, bytes);
	const struct {
		struct limit_file file;
		const char *text;
	} table[] = {
		/* Memory with swap may never be less than memory alone: one of the two writes fails,
		 * depending on whether the limit rises or falls. */
		{ { CGROUP_V1, CGROUP_MEMORY, "memory.memsw.limit_in_bytes", false }, full },
		{ { CGROUP_V1, CGROUP_MEMORY, "memory.limit_in_bytes", true }, full },
		{ { CGROUP_V1, CGROUP_MEMORY, "memory.memsw.limit_in_bytes", false }, full },
		{ { CGROUP_V1, CGROUP_MEMORY, "memory.swappiness", false }, "0" },
		/* No memory.high: without swap there is nothing to reclaim, and the kernel would hold a
		 * worker that grows between the two for minutes instead of ending it. */
		{ { CGROUP_V2, CGROUP_MEMORY, "memory.max", true }, full },
		{ { CGROUP_V2, CGROUP_MEMORY, "memory.swap.max", false }, "0" },
		{ { CGROUP_V2, CGROUP_MEMORY, "memory.oom.group", false }, "1" },
	};
	int e = 0;
	for (size_t i = 0; e == 0 && i < sizeof(table) / sizeof(table[0]); i++) {
		e = write_limit(root, dirs, &table[i].file, table[i].text);
	}
	return e;
}

static int apply_cpu(
	const struct cgroup_root *root, const int dirs[static CGROUP_CONTROLLERS], uint32_t percent)
{
	char quota[32];
	char both[64];
	uint64_t us = (uint64_t)percent * CPU_PERIOD_US / 100;
	(void)snprintf(quota, sizeof(quota), "%" PRIu64, us);
	(void)snprintf(both, sizeof(both), "%" PRIu64 " %d", us, CPU_PERIOD_US);
	const struct limit_file v1 = { CGROUP_V1, CGROUP_CPU, "cpu.cfs_quota_us", false };
	const struct limit_file v2 = { CGROUP_V2, CGROUP_CPU, "cpu.max", false };
	(void)write_limit(root, dirs, &v1, quota);
	return write_limit(root, dirs, &v2, both);
}

static int apply_limits(const struct cgroup_root *root,
	const int dirs[static CGROUP_CONTROLLERS],
	const struct worker_limits *limits)
{
	int e = limits->memory_bytes == 0 ? 0 : apply_memory(root, dirs, limits->memory_bytes);
	if (e == 0 && limits->processes != 0) {
		e = write_number(dirs[CGROUP_PIDS], "pids.max", limits->processes);
	}
	if (e == 0 && limits->cpu_percent != 0) {
		e = apply_cpu(root, dirs, limits->cpu_percent);
	}
	return e;
}

/* Opens the worker's directory in each hierarchy; -1 where there is none. */
static void open_dirs(
	const struct cgroup_root *root, const struct cgroup *g, int dirs[static CGROUP_CONTROLLERS])
{
	for (int c = 0; c < CGROUP_CONTROLLERS; c++) {
		dirs[c] = root->dir[c] < 0 || g->kind == CGROUP_NONE
			? -1
			: open_dir(root->dir[c], g->name);
	}
}

static void close_dirs(const int dirs[static CGROUP_CONTROLLERS])
{
	for (int c = 0; c < CGROUP_CONTROLLERS; c++) {
		close_fd(dirs[c]);
	}
}

int cgroup_create(const struct cgroup_root *root,
	struct cgroup *g,
	uint64_t worker_id,
	const struct worker_limits *limits)
{
	*g = (struct cgroup){ .kind = root->kind };
	(void)snprintf(g->name, sizeof(g->name), "w%" PRIu64, worker_id);
	int e = 0;
	for (int c = 0; e == 0 && c < distinct(root); c++) {
		if (root->dir[c] >= 0 && mkdirat(root->dir[c], g->name, 0755) < 0 &&
			errno != EEXIST) {
			e = -errno;
		}
	}
	if (e == 0 && root->kind != CGROUP_NONE) {
		int dirs[CGROUP_CONTROLLERS];
		open_dirs(root, g, dirs);
		e = dirs[CGROUP_MEMORY] < 0 || dirs[CGROUP_PIDS] < 0
			? -ENOENT
			: apply_limits(root, dirs, limits);
		close_dirs(dirs);
	}
	if (e < 0) {
		(void)cgroup_remove(root, g);
	}
	return e;
}

int cgroup_enter(const struct cgroup_root *root, const struct cgroup *g, pid_t pid)
{
	int dirs[CGROUP_CONTROLLERS];
	int e = 0;
	open_dirs(root, g, dirs);
	for (int c = 0; e == 0 && c < distinct(root); c++) {
		if (dirs[c] >= 0) {
			e = write_number(dirs[c], "cgroup.procs", (uint64_t)pid);
		}
	}
	close_dirs(dirs);
	return e;
}

int cgroup_limit(
	const struct cgroup_root *root, const struct cgroup *g, const struct worker_limits *limits)
{
	if (root->kind == CGROUP_NONE) {
		return -ENOTSUP;
	}
	int dirs[CGROUP_CONTROLLERS];
	open_dirs(root, g, dirs);
	int e = dirs[CGROUP_MEMORY] < 0 || dirs[CGROUP_PIDS] < 0 ? -ENOENT
								 : apply_limits(root, dirs, limits);
	close_dirs(dirs);
	return e;
}

void cgroup_usage(
	const struct cgroup_root *root, const struct cgroup *g, struct cgroup_usage *ret_usage)
{
	*ret_usage = (struct cgroup_usage){ 0 };
	int dirs[CGROUP_CONTROLLERS];
	open_dirs(root, g, dirs);
	const int memory = dirs[CGROUP_MEMORY];
	struct cgroup_usage *u = ret_usage;
	if (root->kind == CGROUP_V1) {
		u->memory_bytes = read_number(memory, "memory.usage_in_bytes", "");
		u->memory_peak_bytes = read_number(memory, "memory.max_usage_in_bytes", "");
		u->oom_kills = read_number(memory, "memory.oom_control", "oom_kill ");
		u->cpu_us = read_number(dirs[CGROUP_CPUACCT], "cpuacct.usage", "") / 1000;
	} else if (root->kind == CGROUP_V2) {
		u->memory_bytes = read_number(memory, "memory.current", "");
		u->memory_peak_bytes = read_number(memory, "memory.peak", "");
		u->oom_kills = read_number(memory, "memory.events", "oom_kill ");
		u->cpu_us = read_number(memory, "cpu.stat", "usage_usec ");
	}
	close_dirs(dirs);
}

int cgroup_remove(const struct cgroup_root *root, struct cgroup *g)
{
	int e = 0;
	for (int c = 0; c < distinct(root) && g->kind != CGROUP_NONE; c++) {
		if (root->dir[c] >= 0 && unlinkat(root->dir[c], g->name, AT_REMOVEDIR) < 0 &&
			errno != ENOENT) {
			e = -errno;
		}
	}
	if (e == 0) {
		g->kind = CGROUP_NONE;
	}
	return e;
}
