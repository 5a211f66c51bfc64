#include "pluginhost/snapshot.h"

#include "common/base/clock.h"
#include "common/base/error.h"
#include "pluginhost/beneath.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { CHUNK_SIZE = 128 * 1024, TEMP_NAME_SIZE = 32, DIRS_MAX = 1024 * 1024 };

#define TEMP_PREFIX ".tmp-"

enum phase { PHASE_STAT, PHASE_HASH, PHASE_COPY, PHASE_SYNC, PHASE_DONE };

struct snapshot {
	struct snapshot_config config;
	enum phase phase;
	struct walk *walk;
	crypto_hash_sha256_state hash;
	uint64_t bytes;
	uint8_t fingerprint[FINGERPRINT_SIZE];
	char version[VERSION_SIZE];
	/* The file that is being read: its own hash, and where its copy goes (-1: nowhere). */
	int file_fd;
	int copy_fd;
	crypto_hash_sha256_state file_hash;
	unsigned file_mode;
	char file_path[PATH_MAX];
	/* The temporary directory. */
	int temp_fd;
	char temp_name[TEMP_NAME_SIZE];
	/* Directories to sync, each with its NUL. */
	struct buffer dirs;
	size_t synced;
	struct buffer why;
	uint8_t chunk[CHUNK_SIZE];
};

int snapshot_new(struct snapshot **ret, const struct snapshot_config *config)
{
	struct snapshot *s = calloc(1, sizeof(*s));
	if (s == NULL) {
		return -ENOMEM;
	}
	s->config = *config;
	s->file_fd = -1;
	s->copy_fd = -1;
	s->temp_fd = -1;
	buffer_init(&s->dirs, DIRS_MAX);
	buffer_init(&s->why, WALK_WHY_MAX);
	*ret = s;
	return 0;
}

static void close_fd(int *fd)
{
	if (*fd >= 0) {
		(void)close(*fd);
		*fd = -1;
	}
}

struct snapshot *snapshot_free(struct snapshot *s)
{
	if (s != NULL) {
		s->walk = walk_free(s->walk);
		close_fd(&s->file_fd);
		close_fd(&s->copy_fd);
		close_fd(&s->temp_fd);
		if (s->temp_name[0] != '\0') {
			(void)beneath_remove(s->config.store_fd, s->temp_name);
		}
		buffer_deinit(&s->dirs);
		buffer_deinit(&s->why);
		free(s);
	}
	return NULL;
}

const char *snapshot_version(const struct snapshot *s)
{
	return s->version;
}

const uint8_t *snapshot_fingerprint(const struct snapshot *s)
{
	return s->fingerprint;
}

struct slice snapshot_why(const struct snapshot *s)
{
	return buffer_slice(&s->why);
}

static void hash_bytes(struct snapshot *s, const void *p, size_t n)
{
	(void)crypto_hash_sha256_update(&s->hash, p, n);
}

/* An outcome of the walk becomes one of the snapshot's; the reason is kept. */
static int from_walk(struct snapshot *s, int r)
{
	if (r < 0) {
		return r;
	}
	if (r == WALK_E_REFUSED) {
		buffer_clear(&s->why);
		int e = buffer_append(&s->why, walk_why(s->walk));
		return e < 0 ? e : SNAPSHOT_E_REFUSED;
	}
	return SNAPSHOT_E_CHANGED;
}

static int refuse_bytes(struct snapshot *s)
{
	buffer_clear(&s->why);
	int r = buffer_printf(&s->why, "more than %llu bytes (MOZAIKS_SNAPSHOT_BYTES)",
		(unsigned long long)s->config.limits->bytes);
	return r < 0 ? r : SNAPSHOT_E_REFUSED;
}

/* Begins a pass: the walk from the top, the sums at zero. */
static int begin_walk(struct snapshot *s)
{
	const struct snapshot_config *c = &s->config;
	s->walk = walk_free(s->walk);
	s->bytes = 0;
	(void)crypto_hash_sha256_init(&s->hash);
	int r;
	if (c->single_as != NULL) {
		int fd = fcntl(c->source_fd, F_DUPFD_CLOEXEC, 0);
		r = fd < 0 ? -errno : walk_new_file(&s->walk, fd, c->source, c->single_as);
		return r;
	}
	int fd = beneath_open(c->source_fd, c->source, O_RDONLY | O_DIRECTORY);
	if (fd == -EACCES) {
		buffer_clear(&s->why);
		r = buffer_printf(&s->why,
			"the directory cannot be read by pluginhost (uid %u); it needs read and "
			"search permission",
			(unsigned)geteuid());
		return r < 0 ? r : SNAPSHOT_E_REFUSED;
	}
	if (fd < 0) {
		return fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP ? SNAPSHOT_E_CHANGED : fd;
	}
	return walk_new(&s->walk, fd, &c->limits->walk, s->phase == PHASE_STAT ? c->hooks : NULL);
}

/* STAT pass */

static uint64_t age_ms(const struct timespec *t)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	int64_t ms = (int64_t)(now.tv_sec - t->tv_sec) * 1000 +
		(now.tv_nsec - t->tv_nsec) / (1000 * 1000);
	/* A time in the future says nothing. */
	return ms < 0 ? UINT64_MAX : (uint64_t)ms;
}

static int stat_entry(struct snapshot *s, const struct walk_entry *entry)
{
	const struct stat *st = &entry->st;
	if (age_ms(&st->st_ctim) < s->config.limits->settle_ms) {
		return SNAPSHOT_E_CHANGED;
	}
	if (S_ISREG(st->st_mode)) {
		uint64_t left = s->config.limits->bytes - s->bytes;
		if (st->st_size < 0 || (uint64_t)st->st_size > left) {
			return refuse_bytes(s);
		}
		s->bytes += (uint64_t)st->st_size;
	}
	const int64_t facts[] = { (int64_t)st->st_dev, (int64_t)st->st_ino, (int64_t)st->st_mode,
		(int64_t)st->st_size, st->st_mtim.tv_sec, st->st_mtim.tv_nsec, st->st_ctim.tv_sec,
		st->st_ctim.tv_nsec };
	hash_bytes(s, facts, sizeof(facts));
	hash_bytes(s, entry->path, strlen(entry->path) + 1);
	return SNAPSHOT_MORE;
}

static int end_stat(struct snapshot *s)
{
	(void)crypto_hash_sha256_final(&s->hash, s->fingerprint);
	if (memcmp(s->fingerprint, s->config.fingerprint, FINGERPRINT_SIZE) == 0) {
		s->phase = PHASE_DONE;
		return SNAPSHOT_SAME;
	}
	s->phase = PHASE_HASH;
	return SNAPSHOT_MORE;
}

/* HASH and COPY pass */

static void hash_line(
	struct snapshot *s, char type, unsigned mode, const char *path, const uint8_t *content)
{
	char line[64];
	int n = snprintf(line, sizeof(line), "%c %o %zu:", type, mode, strlen(path));
	hash_bytes(s, line, (size_t)n);
	hash_bytes(s, path, strlen(path));
	if (content != NULL) {
		char hex[2 * crypto_hash_sha256_BYTES + 1];
		(void)sodium_bin2hex(hex, sizeof(hex), content, crypto_hash_sha256_BYTES);
		hash_bytes(s, " ", 1);
		hash_bytes(s, hex, sizeof(hex) - 1);
	}
	hash_bytes(s, "\n", 1);
}

static int copy_directory(struct snapshot *s, const char *path)
{
	if (mkdirat(s->temp_fd, path, 0700) < 0 || fchmodat(s->temp_fd, path, 0755, 0) < 0) {
		return -errno;
	}
	return buffer_append(&s->dirs, slice_of(path, strlen(path) + 1));
}

static int begin_file(struct snapshot *s, const struct walk_entry *entry)
{
	int fd = beneath_open(entry->dir_fd, entry->name, O_RDONLY);
	if (fd < 0) {
		return from_walk(s, walk_explain_error(s->walk, entry->path, fd));
	}
	s->file_fd = fd;
	struct stat st;
	if (fstat(fd, &st) < 0) {
		return -errno;
	}
	if (!S_ISREG(st.st_mode) || st.st_ino != entry->st.st_ino ||
		st.st_dev != entry->st.st_dev) {
		return SNAPSHOT_E_CHANGED;
	}
	(void)crypto_hash_sha256_init(&s->file_hash);
	s->file_mode = (st.st_mode & S_IXUSR) != 0 ? 0755 : 0644;
	(void)snprintf(s->file_path, sizeof(s->file_path), "%s", entry->path);
	if (s->phase == PHASE_COPY) {
		s->copy_fd = openat(s->temp_fd, entry->path,
			O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (s->copy_fd < 0) {
			return -errno;
		}
	}
	return SNAPSHOT_MORE;
}

static int write_all(int fd, const uint8_t *p, size_t n)
{
	while (n > 0) {
		ssize_t k = write(fd, p, n);
		if (k < 0 && errno == EINTR) {
			continue;
		}
		if (k < 0) {
			return -errno;
		}
		p += k;
		n -= (size_t)k;
	}
	return 0;
}

static int end_file(struct snapshot *s)
{
	uint8_t content[crypto_hash_sha256_BYTES];
	(void)crypto_hash_sha256_final(&s->file_hash, content);
	hash_line(s, 'f', s->file_mode, s->file_path, content);
	if (s->copy_fd >= 0 && (fchmod(s->copy_fd, s->file_mode) < 0 || fsync(s->copy_fd) < 0)) {
		return -errno;
	}
	close_fd(&s->copy_fd);
	close_fd(&s->file_fd);
	return SNAPSHOT_MORE;
}

/* Reads one chunk of the open file. */
static int read_chunk(struct snapshot *s)
{
	ssize_t n = read(s->file_fd, s->chunk, sizeof(s->chunk));
	if (n < 0) {
		return errno == EINTR ? SNAPSHOT_MORE : -errno;
	}
	if (n == 0) {
		return end_file(s);
	}
	if ((uint64_t)n > s->config.limits->bytes - s->bytes) {
		return refuse_bytes(s);
	}
	s->bytes += (uint64_t)n;
	(void)crypto_hash_sha256_update(&s->file_hash, s->chunk, (size_t)n);
	int r = s->copy_fd < 0 ? 0 : write_all(s->copy_fd, s->chunk, (size_t)n);
	return r < 0 ? r : SNAPSHOT_MORE;
}

static int content_entry(struct snapshot *s, const struct walk_entry *entry)
{
	if (!S_ISDIR(entry->st.st_mode)) {
		return begin_file(s, entry);
	}
	hash_line(s, 'd', 0755, entry->path, NULL);
	int r = s->phase == PHASE_COPY ? copy_directory(s, entry->path) : 0;
	return r < 0 ? r : SNAPSHOT_MORE;
}

/* "<id>/<version>" */
static void stored_path(char out[static 256], const char *id, const char *version)
{
	int n = snprintf(out, 256, "%s/%s", id, version);
	invariant(n > 0 && n < 256);
}

static int make_temp(struct snapshot *s)
{
	(void)snprintf(s->temp_name, sizeof(s->temp_name), TEMP_PREFIX "%08x%08x",
		randombytes_random(), randombytes_random());
	if (mkdirat(s->config.store_fd, s->temp_name, 0700) < 0) {
		s->temp_name[0] = '\0';
		return -errno;
	}
	s->temp_fd = beneath_open(s->config.store_fd, s->temp_name, O_RDONLY | O_DIRECTORY);
	if (s->temp_fd < 0) {
		return s->temp_fd;
	}
	if (fchmod(s->temp_fd, 0755) < 0) {
		return -errno;
	}
	return buffer_append(&s->dirs, slice_of(".", 2));
}

static void take_version(struct snapshot *s, char out[static VERSION_SIZE])
{
	uint8_t digest[crypto_hash_sha256_BYTES];
	(void)crypto_hash_sha256_final(&s->hash, digest);
	(void)sodium_bin2hex(out, VERSION_SIZE, digest, sizeof(digest));
}

static int end_hash(struct snapshot *s)
{
	take_version(s, s->version);
	char path[256];
	stored_path(path, s->config.id, s->version);
	struct stat st;
	if (fstatat(s->config.store_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		S_ISDIR(st.st_mode)) {
		s->phase = PHASE_DONE;
		return SNAPSHOT_DONE;
	}
	s->phase = PHASE_COPY;
	int r = make_temp(s);
	return r < 0 ? r : SNAPSHOT_MORE;
}

static int end_copy(struct snapshot *s)
{
	char version[VERSION_SIZE];
	take_version(s, version);
	if (strcmp(version, s->version) != 0) {
		return SNAPSHOT_E_CHANGED;
	}
	s->phase = PHASE_SYNC;
	return SNAPSHOT_MORE;
}

/* SYNC: the directories one by one, then the name. */

static int sync_directory(int dir_fd, const char *path)
{
	int fd = beneath_open(dir_fd, path, O_RDONLY | O_DIRECTORY);
	if (fd < 0) {
		return fd;
	}
	int r = fsync(fd) < 0 ? -errno : 0;
	(void)close(fd);
	return r;
}

static int publish(struct snapshot *s)
{
	int store = s->config.store_fd;
	char path[256];
	stored_path(path, s->config.id, s->version);
	if (mkdirat(store, s->config.id, 0755) < 0 && errno != EEXIST) {
		return -errno;
	}
	if (renameat(store, s->temp_name, store, path) < 0) {
		/* Somebody else was as fast: what is there has the same content. */
		if (errno != EEXIST && errno != ENOTEMPTY) {
			return -errno;
		}
		(void)beneath_remove(store, s->temp_name);
	}
	s->temp_name[0] = '\0';
	int r = sync_directory(store, s->config.id);
	r = r < 0 ? r : sync_directory(store, ".");
	s->phase = PHASE_DONE;
	return r < 0 ? r : SNAPSHOT_DONE;
}

static int sync_step(struct snapshot *s)
{
	if (s->synced < s->dirs.n) {
		const char *path = (const char *)s->dirs.p + s->synced;
		s->synced += strlen(path) + 1;
		int r = sync_directory(s->temp_fd, path);
		return r < 0 ? r : SNAPSHOT_MORE;
	}
	return publish(s);
}

/* The smallest piece of work: one entry or one chunk. */
static int step(struct snapshot *s)
{
	if (s->phase == PHASE_SYNC) {
		return sync_step(s);
	}
	if (s->file_fd >= 0) {
		return read_chunk(s);
	}
	int r = s->walk == NULL ? begin_walk(s) : 0;
	if (r != 0) {
		return r;
	}
	struct walk_entry entry;
	r = walk_next(s->walk, &entry);
	if (r == WALK_ENTRY) {
		return s->phase == PHASE_STAT ? stat_entry(s, &entry) : content_entry(s, &entry);
	}
	if (r != WALK_END) {
		return from_walk(s, r);
	}
	s->walk = walk_free(s->walk);
	switch (s->phase) {
	case PHASE_STAT:
		return end_stat(s);
	case PHASE_HASH:
		return end_hash(s);
	case PHASE_COPY:
		return end_copy(s);
	case PHASE_SYNC:
	case PHASE_DONE:
		break;
	}
	invariant(false);
	return -EINVAL;
}

int snapshot_step(struct snapshot *s, uint64_t budget_ms)
{
	uint64_t end = clock_ms() + budget_ms;
	int r;
	do {
		r = step(s);
	} while (r == SNAPSHOT_MORE && clock_ms() < end);
	return r;
}

/* The store */

bool snapshot_is_version(struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		bool digit = s.p[i] >= '0' && s.p[i] <= '9';
		if (!digit && (s.p[i] < 'a' || s.p[i] > 'f')) {
			return false;
		}
	}
	return s.n == VERSION_SIZE - 1;
}

int snapshot_open(int store_fd, const char *id, const char *version)
{
	char path[256];
	stored_path(path, id, version);
	return beneath_open(store_fd, path, O_PATH | O_DIRECTORY);
}

/* Removes the entries of a directory that `doomed` picks. */
static int remove_entries(int dir_fd,
	const char *path,
	bool (*doomed)(void *context, const char *name),
	void *context)
{
	int fd = beneath_open(dir_fd, path, O_RDONLY | O_DIRECTORY);
	if (fd < 0) {
		return fd == -ENOENT ? 0 : fd;
	}
	DIR *dir = fdopendir(fd);
	if (dir == NULL) {
		int e = -errno;
		(void)close(fd);
		return e;
	}
	int first = 0;
	const struct dirent *entry;
	while ((entry = readdir(dir)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
			!doomed(context, entry->d_name)) {
			continue;
		}
		int r = beneath_remove(fd, entry->d_name);
		first = first == 0 ? r : first;
	}
	(void)closedir(dir);
	return first;
}

static bool is_temp(void *context, const char *name)
{
	(void)context;
	return strncmp(name, TEMP_PREFIX, sizeof(TEMP_PREFIX) - 1) == 0;
}

int snapshot_store_clean(int store_fd)
{
	return remove_entries(store_fd, ".", is_temp, NULL);
}

struct prune {
	bool (*keep)(void *context, const char *version);
	void *context;
};

static bool is_unwanted(void *context, const char *name)
{
	const struct prune *p = context;
	return snapshot_is_version(slice_str(name)) && !p->keep(p->context, name);
}

int snapshot_store_prune(int store_fd,
	const char *id,
	bool (*keep)(void *context, const char *version),
	void *context)
{
	struct prune p = { keep, context };
	int r = remove_entries(store_fd, id, is_unwanted, &p);
	if (unlinkat(store_fd, id, AT_REMOVEDIR) < 0 && errno != ENOTEMPTY && errno != ENOENT &&
		errno != EEXIST && r == 0) {
		r = -errno;
	}
	return r;
}
