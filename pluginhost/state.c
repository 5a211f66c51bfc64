#include "pluginhost/state.h"

#include "common/base/clock.h"
#include "pluginhost/beneath.h"
#include "pluginhost/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#define DEFAULT_PATH  "var"
#define FALLBACK_PATH "/var/lib/mozaiks-dev"
#define STORE_NAME    "plugins"
#define LOCK_NAME     ".lock"

enum { LOCK_WAIT_MS = 3000, LOCK_TRY_MS = 20, IDS_MAX = 100000 };

/* "MOZAIKS_STATE_PATH: "<path>": <reason>", and the error for the caller. */
__attribute__((format(printf, 4, 5))) static int refuse(
	struct buffer *why, int error, const char *path, const char *format, ...)
{
	char reason[512];
	va_list args;
	va_start(args, format);
	(void)vsnprintf(reason, sizeof(reason), format, args);
	va_end(args);
	buffer_clear(why);
	(void)buffer_printf(why, "MOZAIKS_STATE_PATH: ");
	(void)buffer_append_json(why, slice_str(path));
	(void)buffer_printf(why, ": %s", reason);
	return error;
}

/* Paths */

/* Runs with the rights of the user to come. */
static int open_as(const char *path, const struct state_config *c)
{
	bool change = geteuid() == 0 && c->uid != 0;
	if (change && (setegid(c->gid) < 0 || seteuid(c->uid) < 0)) {
		return -errno;
	}
	int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int e = fd < 0 ? -errno : 0;
	if (fd >= 0) {
		(void)close(fd);
	}
	if (change && (seteuid(0) < 0 || setegid(0) < 0)) {
		return -EPERM;
	}
	return e;
}

/* Can the user to come search the directories above `path`? What is missing will be made. */
static bool reachable(const char *path, const struct state_config *c)
{
	char parent[PATH_MAX];
	int n = snprintf(parent, sizeof(parent), "%s", path);
	if (n < 0 || (size_t)n >= sizeof(parent)) {
		return false;
	}
	for (;;) {
		int r = open_as(parent, c);
		if (r != -ENOENT) {
			return r == 0;
		}
		char *slash = strrchr(parent, '/');
		if (slash == NULL || slash == parent) {
			return open_as(slash == NULL ? "." : "/", c) == 0;
		}
		*slash = '\0';
	}
}

static int make_directories(const char *path)
{
	char prefix[PATH_MAX];
	int n = snprintf(prefix, sizeof(prefix), "%s", path);
	if (n < 0 || (size_t)n >= sizeof(prefix)) {
		return -ENAMETOOLONG;
	}
	for (int i = 1; i <= n; i++) {
		if (prefix[i] != '/' && prefix[i] != '\0') {
			continue;
		}
		char c = prefix[i];
		prefix[i] = '\0';
		if (mkdir(prefix, 0755) < 0 && errno != EEXIST) {
			return -errno;
		}
		prefix[i] = c;
	}
	return 0;
}

static const char *choose_path(const struct state_config *c)
{
	if (c->state_path != NULL) {
		return c->state_path;
	}
	return geteuid() == 0 && !reachable(DEFAULT_PATH, c) ? FALLBACK_PATH : DEFAULT_PATH;
}

/* Absolute, but as it is spelled: it may not exist yet. */
static int absolute(const char *path, char out[static PATH_MAX])
{
	char here[PATH_MAX] = "";
	if (path[0] != '/' && getcwd(here, sizeof(here)) == NULL) {
		return -errno;
	}
	int n = snprintf(out, PATH_MAX, "%s%s%s", here, path[0] == '/' ? "" : "/", path);
	return n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

/* Taking over */

static bool keep_no_version(void *context, const char *version)
{
	(void)context;
	(void)version;
	return false;
}

static int empty_plugin(int store_fd, const char *id)
{
	static const char *const own[] = { ".good", ".tmp-good" };
	char path[PLUGIN_ID_SIZE + 16];
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
		(void)snprintf(path, sizeof(path), "%.64s/%s", id, own[i]);
		(void)unlinkat(store_fd, path, 0);
	}
	return snapshot_store_prune(store_fd, id, keep_no_version, NULL);
}

/* Snapshots are only copies: those of another user are made anew. */
static int empty_store(const struct state *s, struct buffer *why)
{
	struct file_names names;
	int r = snapshot_store_clean(s->store_fd);
	(void)unlinkat(s->store_fd, LOCK_NAME, 0);
	r = r < 0 ? r : beneath_list(s->store_fd, IDS_MAX, &names);
	if (r < 0) {
		return refuse(why, r, s->store_path, "%s", strerror(-r));
	}
	for (size_t i = 0; i < names.n && r == 0; i++) {
		if (plugin_id_is_valid(slice_str(names.v[i]))) {
			r = empty_plugin(s->store_fd, names.v[i]);
		}
	}
	file_names_deinit(&names);
	r = r < 0 ? r : beneath_list(s->store_fd, IDS_MAX, &names);
	if (r < 0) {
		return refuse(why, r, s->store_path, "%s", strerror(-r));
	}
	if (names.n > 0) {
		r = refuse(why, -ENOTEMPTY, s->store_path,
			"belongs to another user and holds %.100s, which is no snapshot",
			names.v[0]);
	}
	file_names_deinit(&names);
	return r;
}

static int take_over(const struct state *s, const struct state_config *c, struct buffer *why)
{
	struct stat st;
	if (fstat(s->store_fd, &st) < 0) {
		return refuse(why, -errno, s->store_path, "%s", strerror(errno));
	}
	if (st.st_uid == c->uid) {
		return 0;
	}
	if (geteuid() != 0) {
		return refuse(why, -EACCES, s->store_path,
			"belongs to uid %u, and we are uid %u: remove it, or choose another path",
			(unsigned)st.st_uid, (unsigned)c->uid);
	}
	int r = empty_store(s, why);
	if (r < 0) {
		return r;
	}
	if (fchown(s->store_fd, c->uid, c->gid) < 0 || fchmod(s->store_fd, 0755) < 0) {
		return refuse(why, -errno, s->store_path, "%s", strerror(errno));
	}
	return 0;
}

static int check_not_plugins(
	const struct state *s, const struct state_config *c, struct buffer *why)
{
	struct stat store;
	struct stat path;
	if (fstat(s->store_fd, &store) < 0) {
		return refuse(why, -errno, s->store_path, "%s", strerror(errno));
	}
	for (size_t i = 0; i < c->n_paths; i++) {
		if (fstat(c->paths[i].fd, &path) == 0 && path.st_dev == store.st_dev &&
			path.st_ino == store.st_ino) {
			return refuse(why, -EINVAL, s->store_path,
				"is one of MOZAIKS_PLUGINS_PATH; snapshots need a place of their own");
		}
	}
	return 0;
}

/* The lock */

static int take_lock(struct state *s, const struct state_config *c, struct buffer *why)
{
	s->lock_fd =
		openat(s->store_fd, LOCK_NAME, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (s->lock_fd < 0 || fchown(s->lock_fd, c->uid, c->gid) < 0) {
		return refuse(why, -errno, s->store_path, LOCK_NAME ": %s", strerror(errno));
	}
	uint64_t end = clock_ms() + LOCK_WAIT_MS;
	while (flock(s->lock_fd, LOCK_EX | LOCK_NB) < 0) {
		const struct timespec pause = { .tv_nsec = LOCK_TRY_MS * 1000 * 1000 };
		if (errno != EWOULDBLOCK && errno != EINTR) {
			return refuse(
				why, -errno, s->store_path, LOCK_NAME ": %s", strerror(errno));
		}
		if (clock_ms() > end) {
			char pid[16] = "?";
			ssize_t n = pread(s->lock_fd, pid, sizeof(pid) - 1, 0);
			pid[n < 0 ? 0 : n] = '\0';
			return refuse(why, -EBUSY, s->store_path,
				"another pluginhost (pid %.15s) uses it: stop it, or choose another path",
				pid);
		}
		(void)nanosleep(&pause, NULL);
	}
	char pid[16];
	int n = snprintf(pid, sizeof(pid), "%d", (int)getpid());
	if (ftruncate(s->lock_fd, 0) < 0 || pwrite(s->lock_fd, pid, (size_t)n, 0) != n) {
		return refuse(why, -EIO, s->store_path, LOCK_NAME " cannot be written");
	}
	return 0;
}

/* Opening */

static int open_store(struct state *s, const struct state_config *c, struct buffer *why)
{
	char path[PATH_MAX + 16];
	(void)snprintf(path, sizeof(path), "%s/" STORE_NAME, s->path);
	bool made = mkdir(path, 0755) == 0;
	if (!made && errno != EEXIST) {
		return refuse(why, -errno, path, "cannot be made: %s", strerror(errno));
	}
	s->store_fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (s->store_fd < 0) {
		return refuse(why, -errno, path, "%s", strerror(errno));
	}
	if (realpath(path, s->store_path) == NULL) {
		return refuse(why, -errno, path, "%s", strerror(errno));
	}
	if (made && (fchown(s->store_fd, c->uid, c->gid) < 0 || fchmod(s->store_fd, 0755) < 0)) {
		return refuse(why, -errno, path, "%s", strerror(errno));
	}
	int r = check_not_plugins(s, c, why);
	r = r < 0 ? r : take_over(s, c, why);
	return r < 0 ? r : take_lock(s, c, why);
}

static int set_run_path(struct state *s, const struct state_config *c, struct buffer *why)
{
	if (c->run_path == NULL) {
		(void)snprintf(s->run_path, sizeof(s->run_path), "%s/run", s->path);
		return 0;
	}
	int r = absolute(c->run_path, s->run_path);
	if (r < 0) {
		buffer_clear(why);
		(void)buffer_printf(why, "MOZAIKS_RUN_PATH: %s", strerror(-r));
	}
	return r;
}

int state_open(struct state *ret, const struct state_config *config, struct buffer *why)
{
	struct state s = { .store_fd = -1, .lock_fd = -1 };
	const char *path = choose_path(config);
	s.chosen = config->state_path == NULL;
	int r = make_directories(path);
	if (r < 0) {
		return refuse(why, r, path, "cannot be made: %s", strerror(-r));
	}
	if (realpath(path, s.path) == NULL) {
		return refuse(why, -errno, path, "%s", strerror(errno));
	}
	if (!reachable(s.path, config)) {
		return refuse(why, -EACCES, s.path,
			"cannot be reached by uid %u, which pluginhost becomes: choose another path, or "
			"let others search the directories above it",
			(unsigned)config->uid);
	}
	r = open_store(&s, config, why);
	r = r < 0 ? r : set_run_path(&s, config, why);
	if (r < 0) {
		state_close(&s);
		return r;
	}
	*ret = s;
	return 0;
}

int state_check(const struct state *s, struct buffer *why)
{
	int fd = open(s->store_path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		return refuse(why, -errno, s->store_path, "cannot be reached by uid %u: %s",
			(unsigned)geteuid(), strerror(errno));
	}
	(void)close(fd);
	return 0;
}

void state_close(struct state *s)
{
	if (s->lock_fd >= 0) {
		(void)close(s->lock_fd);
	}
	if (s->store_fd >= 0) {
		(void)close(s->store_fd);
	}
	s->lock_fd = -1;
	s->store_fd = -1;
}
