#include "director/config/state_dir.h"

#include "common/base/buffer.h"
#include "common/base/identity.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define DEFAULT_PATH  "var"
#define FALLBACK_PATH "/var/lib/mozaiks-dev"
#define LOCK_NAME     "director.lock"

enum {
	DIRECTORY_MODE = 0751,
	PARENT_MODE = 0755,
	WORKER_ID_DIGITS = 10,
};

/* What the director makes in the state directory: handed over with it. */
static const char *const own_files[] = { LOCK_NAME, "jwt_secret", ".jwt_secret.new", "admin.sock",
	"mozaiks.db", "mozaiks.db-wal", "mozaiks.db-shm", "mozaiks.db-journal", "mozaiks.db.lock",
	"plugin_registry.json", ".plugin_registry.json.new" };

/* What else may lie in it when root takes it over: pluginhost's and the scripts'. */
static const char *const neighbours[] = { "run", "plugins", "log", "logs", ".gitignore" };

__attribute__((format(printf, 3, 4))) static int fail(
	int r, char why[static STATE_WHY_SIZE], const char *format, ...)
{
	va_list args;
	va_start(args, format);
	(void)vsnprintf(why, STATE_WHY_SIZE, format, args);
	va_end(args);
	return r;
}

void state_dir_config_init(struct state_dir_config *config)
{
	bool root = identity_is_root();
	*config = (struct state_dir_config){
		.uid = root ? UID_DIRECTOR : geteuid(),
		.gid = root ? GID_CHANNEL : getegid(),
	};
}

/* @return a heap string, NULL without memory or a current directory. */
static char *absolute(const char *path)
{
	char *joined = NULL;
	if (path[0] == '/') {
		return strdup(path);
	}
	char *here = getcwd(NULL, 0);
	if (here == NULL) {
		return NULL;
	}
	while (path[0] == '.' && path[1] == '/') {
		path += 2;
	}
	int n = asprintf(&joined, "%s/%s", here[1] == '\0' ? "" : here, path);
	free(here);
	return n < 0 ? NULL : joined;
}

static bool may_search(const struct stat *st, uid_t uid, gid_t gid)
{
	if (st->st_uid == uid) {
		return (st->st_mode & S_IXUSR) != 0;
	}
	if (st->st_gid == gid) {
		return (st->st_mode & S_IXGRP) != 0;
	}
	return (st->st_mode & S_IXOTH) != 0;
}

bool state_dir_reachable(const char *path, uid_t uid, gid_t gid)
{
	char prefix[PATH_MAX];
	size_t n = strlen(path);
	if (uid == 0 || n >= sizeof(prefix)) {
		return uid == 0;
	}
	for (size_t i = 1; i <= n; i++) {
		struct stat st;
		if (i != 1 && i != n && path[i] != '/') {
			continue;
		}
		memcpy(prefix, path, i);
		prefix[i] = '\0';
		if (stat(prefix, &st) < 0) {
			/* What is missing will be made. */
			return errno == ENOENT;
		}
		if (S_ISDIR(st.st_mode) && !may_search(&st, uid, gid)) {
			return false;
		}
	}
	return true;
}

/* Like mkdir -p for the directories above the last one. */
static int make_parents(const char *path)
{
	char prefix[PATH_MAX];
	size_t n = strlen(path);
	if (n >= sizeof(prefix)) {
		return -ENAMETOOLONG;
	}
	for (size_t i = 1; i < n; i++) {
		if (path[i] != '/') {
			continue;
		}
		memcpy(prefix, path, i);
		prefix[i] = '\0';
		if (mkdir(prefix, PARENT_MODE) < 0 && errno != EEXIST) {
			return -errno;
		}
	}
	return 0;
}

static bool is_one_of(const char *name, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(name, names[i]) == 0) {
			return true;
		}
	}
	return false;
}

/* Nothing in it, or only what a state directory has. */
static bool may_be_taken_over(int fd)
{
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	bool good = dir != NULL;
	const struct dirent *entry;
	while (good && (entry = readdir(dir)) != NULL) {
		good = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
			is_one_of(entry->d_name, own_files,
				sizeof(own_files) / sizeof(own_files[0])) ||
			is_one_of(entry->d_name, neighbours,
				sizeof(neighbours) / sizeof(neighbours[0]));
	}
	if (dir != NULL) {
		(void)closedir(dir);
	} else if (copy >= 0) {
		(void)close(copy);
	}
	return good;
}

/* A directory that is open: is it, or does it become, the later user's and nobody else's? */
static int claim_directory(int fd,
	bool created,
	const char *path,
	const struct state_dir_config *config,
	char why[static STATE_WHY_SIZE])
{
	struct stat st;
	if (fstat(fd, &st) < 0) {
		return fail(-errno, why, "%s: %s", path, strerrordesc_np(errno));
	}
	bool ours = st.st_uid == config->uid;
	if (!ours && geteuid() != 0) {
		return fail(-EPERM, why,
			"%s belongs to uid %u, not to uid %u: remove it, give it away, or name another "
			"directory",
			path, st.st_uid, config->uid);
	}
	if (!created && (st.st_mode & (S_IWGRP | S_IWOTH)) != 0 && !ours) {
		return fail(-EPERM, why,
			"%s can be written by others (mode %04o): name a directory of its own",
			path, st.st_mode & 07777U);
	}
	if (!created && !ours && !may_be_taken_over(fd)) {
		return fail(-EPERM, why,
			"%s has files of others in it and belongs to uid %u: name a directory of its own",
			path, st.st_uid);
	}
	/* Rights that others have are taken away; none are added to a directory that was there, as
	 * systemd made it with the mode of its unit. */
	mode_t mode = created || !ours ? DIRECTORY_MODE : (st.st_mode & DIRECTORY_MODE) | S_IRWXU;
	if ((!ours || st.st_gid != config->gid) && geteuid() == 0 &&
		fchown(fd, config->uid, config->gid) < 0) {
		return fail(-errno, why, "%s: cannot be given to uid %u: %s", path, config->uid,
			strerrordesc_np(errno));
	}
	if ((st.st_mode & 07777U) != mode && fchmod(fd, mode) < 0) {
		return fail(-errno, why, "%s: its mode cannot be set: %s", path,
			strerrordesc_np(errno));
	}
	return 0;
}

/* Opens or creates one directory. @return its descriptor or a negative errno. */
static int open_directory(int at,
	const char *name,
	const char *path,
	const struct state_dir_config *config,
	char why[static STATE_WHY_SIZE])
{
	bool created = mkdirat(at, name, DIRECTORY_MODE) == 0;
	if (!created && errno != EEXIST) {
		return fail(-errno, why, "%s cannot be created: %s", path, strerrordesc_np(errno));
	}
	/* Root gives the directory away and must not be led to another one; for anybody else a link to
	 * a larger disk is fine, as the directory must be theirs already. */
	int nofollow = geteuid() == 0 ? O_NOFOLLOW : 0;
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | nofollow);
	if (fd < 0) {
		return fail(-errno, why, "%s cannot be opened: %s%s", path, strerrordesc_np(errno),
			nofollow != 0 ? " (as root no symbolic link is followed here)" : "");
	}
	int r = claim_directory(fd, created, path, config, why);
	if (r < 0) {
		(void)close(fd);
		return r;
	}
	return fd;
}

static int open_path(const char *setting,
	const char *path,
	const struct state_dir_config *config,
	char why[static STATE_WHY_SIZE])
{
	char detail[STATE_WHY_SIZE];
	int r = make_parents(path);
	if (r < 0) {
		return fail(
			r, why, "%s: %s cannot be created: %s", setting, path, strerrordesc_np(-r));
	}
	r = open_directory(AT_FDCWD, path, path, config, detail);
	if (r < 0) {
		return fail(r, why, "%s: %.*s", setting, STATE_WHY_SIZE - 64, detail);
	}
	/* Who is that user already got here, by groups and ACLs that modes do not show. */
	if (geteuid() != config->uid && !state_dir_reachable(path, config->uid, config->gid)) {
		(void)close(r);
		return fail(-EACCES, why,
			"%s: %s cannot be reached by uid %u, who will use it: a directory above it "
			"does not let others through. Name another place, for instance " FALLBACK_PATH,
			setting, path, config->uid);
	}
	return r;
}

static char *choose_state_path(const struct state_dir_config *config, bool *ret_chosen)
{
	*ret_chosen = config->state_path == NULL;
	char *path = absolute(config->state_path == NULL ? DEFAULT_PATH : config->state_path);
	if (path == NULL || config->state_path != NULL || geteuid() == config->uid ||
		state_dir_reachable(path, config->uid, config->gid)) {
		return path;
	}
	free(path);
	return strdup(FALLBACK_PATH);
}

/* The pid that the other one wrote; 0 when it cannot be read. */
static unsigned long lock_holder(int fd)
{
	char text[24] = { 0 };
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	return n <= 0 ? 0 : strtoul(text, NULL, 10);
}

static int take_lock(struct state_dir *s, char why[static STATE_WHY_SIZE])
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	s->lock_fd = openat(s->fd, LOCK_NAME, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (s->lock_fd < 0) {
		return fail(-errno, why, "%s/" LOCK_NAME " cannot be opened: %s", s->path,
			strerrordesc_np(errno));
	}
	/* An open file description lock: it goes with the last descriptor, and no close() of another
	 * one in this process drops it. */
	if (fcntl(s->lock_fd, F_OFD_SETLK, &lock) < 0) {
		if (errno != EAGAIN && errno != EACCES) {
			return fail(-errno, why, "%s/" LOCK_NAME " cannot be locked: %s", s->path,
				strerrordesc_np(errno));
		}
		return fail(-EBUSY, why,
			"another director (pid %lu) uses %s: stop it, or set MOZAIKS_STATE_PATH to "
			"another directory",
			lock_holder(s->lock_fd), s->path);
	}
	if (ftruncate(s->lock_fd, 0) < 0 || dprintf(s->lock_fd, "%d\n", getpid()) < 0) {
		return fail(-errno, why, "%s/" LOCK_NAME " cannot be written: %s", s->path,
			strerrordesc_np(errno));
	}
	return 0;
}

/* SECURITY: root gives files away here, in a directory that somebody else may have written in. Only
 * what is a file or socket with one name is given, by the descriptor that was looked at: a hard
 * link to a foreign file stays what it is, a symbolic link is not followed. */
static int give_open_file(int fd, const struct state_dir_config *config)
{
	struct stat st;
	if (fstat(fd, &st) < 0) {
		return -errno;
	}
	if (st.st_uid == config->uid) {
		return 0;
	}
	if ((!S_ISREG(st.st_mode) && !S_ISSOCK(st.st_mode)) || st.st_nlink != 1) {
		return -EPERM;
	}
	return fchownat(fd, "", config->uid, config->gid, AT_EMPTY_PATH) < 0 ? -errno : 0;
}

static int give_file(int dir, const char *name, const struct state_dir_config *config)
{
	int fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		return errno == ENOENT ? 0 : -errno;
	}
	int r = give_open_file(fd, config);
	(void)close(fd);
	return r;
}

static int give_own_files(const struct state_dir *s,
	const struct state_dir_config *config,
	char why[static STATE_WHY_SIZE])
{
	if (geteuid() == config->uid) {
		return 0;
	}
	for (size_t i = 0; i < sizeof(own_files) / sizeof(own_files[0]); i++) {
		int r = give_file(s->fd, own_files[i], config);
		if (r < 0) {
			return fail(r, why,
				"%s/%s cannot be given to uid %u (it must be a plain file with one "
				"name): remove it",
				s->path, own_files[i], config->uid);
		}
	}
	return 0;
}

/* Socket paths are short: 107 bytes with everything below the run directory. */
static int check_run_path(const struct state_dir *s,
	const struct state_dir_config *config,
	char why[static STATE_WHY_SIZE])
{
	const struct sockaddr_un *address = NULL;
	size_t control = strlen("/control/.sock") + config->longest_pluginhost;
	size_t worker = strlen("/workers//channel.sock") + WORKER_ID_DIGITS;
	size_t below = control > worker ? control : worker;
	size_t max = sizeof(address->sun_path) - 1 - below;
	if (strlen(s->run_path) > max) {
		return fail(-ENAMETOOLONG, why,
			"MOZAIKS_RUN_PATH: %s is longer than %zu bytes, and the path of a socket in it "
			"would be too long: set it to a shorter one, for instance /run/mozaiks",
			s->run_path, max);
	}
	return 0;
}

static int open_run_directories(const struct state_dir *s,
	const struct state_dir_config *config,
	char why[static STATE_WHY_SIZE])
{
	static const char *const names[] = { "control", "workers" };
	char detail[STATE_WHY_SIZE];
	int run = open_path("MOZAIKS_RUN_PATH", s->run_path, config, why);
	if (run < 0) {
		return run;
	}
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		int fd = open_directory(run, names[i], names[i], config, detail);
		if (fd < 0) {
			(void)close(run);
			return fail(fd, why, "MOZAIKS_RUN_PATH: %s/%.*s", s->run_path,
				STATE_WHY_SIZE / 2, detail);
		}
		(void)close(fd);
	}
	(void)close(run);
	return 0;
}

static char *choose_run_path(const struct state_dir *s, const struct state_dir_config *config)
{
	char *path = NULL;
	if (config->run_path != NULL) {
		return absolute(config->run_path);
	}
	return asprintf(&path, "%s/run", s->path) < 0 ? NULL : path;
}

int state_dir_open(struct state_dir *ret,
	const struct state_dir_config *config,
	char why[static STATE_WHY_SIZE])
{
	struct state_dir s = STATE_DIR_NULL;
	s.path = choose_state_path(config, &s.chosen);
	s.run_path = s.path == NULL ? NULL : choose_run_path(&s, config);
	int r = 0;
	if (s.path == NULL || s.run_path == NULL) {
		r = fail(-ENOMEM, why, "MOZAIKS_STATE_PATH: no memory or no current directory");
	}
	r = r < 0 ? r : check_run_path(&s, config, why);
	if (r == 0) {
		s.fd = open_path("MOZAIKS_STATE_PATH", s.path, config, why);
		r = s.fd < 0 ? s.fd : 0;
	}
	r = r < 0 ? r : take_lock(&s, why);
	r = r < 0 ? r : give_own_files(&s, config, why);
	r = r < 0 ? r : open_run_directories(&s, config, why);
	if (r < 0) {
		state_dir_close(&s);
		return r;
	}
	*ret = s;
	return 0;
}

void state_dir_close(struct state_dir *s)
{
	if (s->lock_fd >= 0) {
		(void)close(s->lock_fd);
	}
	if (s->fd >= 0) {
		(void)close(s->fd);
	}
	free(s->path);
	free(s->run_path);
	*s = STATE_DIR_NULL;
}
