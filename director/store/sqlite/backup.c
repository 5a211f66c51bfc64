#include "director/store/sqlite/backup.h"

#include "director/store/sqlite/schema.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
	PATH_BYTES = 4096,
	PAGES_PER_STEP = 256,
	RETRY_NS = 10000000,
	RETRIES_MAX = 500,
	NS_PER_MS = 1000000
};

static int fail_errno(const char *path, int error, char why[static 256])
{
	(void)snprintf(why, 256, "%.180s: %s", path, strerrordesc_np(error));
	return -error;
}

static int join(
	char out[static PATH_BYTES], const char *path, const char *suffix, char why[static 256])
{
	if (snprintf(out, PATH_BYTES, "%s%s", path, suffix) >= PATH_BYTES) {
		return fail_errno(path, ENAMETOOLONG, why);
	}
	return 0;
}

/* The path with the links of its folder followed: SQLite then follows none at all. */
static int resolve(const char *path, char out[static PATH_BYTES], char why[static 256])
{
	char folder[PATH_BYTES];
	char name[PATH_BYTES];
	int r = join(folder, path, "", why);
	r = r < 0 ? r : join(name, path, "", why);
	if (r < 0) {
		return r;
	}
	char *real = realpath(dirname(folder), NULL);
	if (real == NULL) {
		return fail_errno(path, errno, why);
	}
	int n = snprintf(out, PATH_BYTES, "%s/%s", real[1] == 0 ? "" : real, basename(name));
	free(real);
	return n < PATH_BYTES ? 0 : fail_errno(path, ENAMETOOLONG, why);
}

/* --- files --- */

static int sync_path(const char *path, int flags, char why[static 256])
{
	int fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW);
	int error = fd < 0 || fsync(fd) < 0 ? errno : 0;
	if (fd >= 0) {
		(void)close(fd);
	}
	return error == 0 ? 0 : fail_errno(path, error, why);
}

static int sync_folder_of(const char *path, char why[static 256])
{
	char copy[PATH_BYTES];
	int r = join(copy, path, "", why);
	return r < 0 ? r : sync_path(dirname(copy), O_RDONLY | O_DIRECTORY, why);
}

/* SECURITY: root may do this in a folder that is the director's. A file is made anew, never opened where
 * somebody else has put one, and never through a link. */
static int create_file(const char *path, char why[static 256])
{
	if (unlink(path) < 0 && errno != ENOENT) {
		return fail_errno(path, errno, why);
	}
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0) {
		return fail_errno(path, errno, why);
	}
	(void)close(fd);
	return 0;
}

/* What root makes in another's folder is the other's. */
static int give_to_owner_of_folder(const char *path, char why[static 256])
{
	char copy[PATH_BYTES];
	struct stat folder;
	int r = join(copy, path, "", why);
	if (r < 0 || geteuid() != 0) {
		return r;
	}
	if (stat(dirname(copy), &folder) < 0 || lchown(path, folder.st_uid, folder.st_gid) < 0) {
		return fail_errno(path, errno, why);
	}
	return 0;
}

static int publish(const char *from, const char *to, bool replace, char why[static 256])
{
	int r = renameat2(AT_FDCWD, from, AT_FDCWD, to, replace ? 0 : RENAME_NOREPLACE);
	if (r < 0 && errno == EEXIST) {
		(void)snprintf(why, 256, "%.180s is there already", to);
		return -EEXIST;
	}
	return r < 0 ? fail_errno(to, errno, why) : sync_folder_of(to, why);
}

/* --- copying --- */

static int open_source(struct connection *c, const char *path, bool sound, char why[static 256])
{
	struct stat st;
	*c = (struct connection){ 0 };
	if (stat(path, &st) < 0) {
		return fail_errno(path, errno, why);
	}
	if (sqlite_connection_open(c, path, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOFOLLOW) < 0) {
		return schema_refused(c, path, why);
	}
	return schema_check(c, path, sound, why);
}

/* All pages, on one snapshot: the transaction of `from` that the caller began. */
static int copy_pages(sqlite3 *from, sqlite3 *to, const struct backup_progress *progress)
{
	sqlite3_backup *b = sqlite3_backup_init(to, "main", from, "main");
	unsigned retries = 0;
	int r = b == NULL ? sqlite3_extended_errcode(to) : SQLITE_OK;
	while (r == SQLITE_OK || r == SQLITE_BUSY || r == SQLITE_LOCKED) {
		if (r != SQLITE_OK && ++retries > RETRIES_MAX) {
			break;
		}
		if (r != SQLITE_OK) {
			(void)nanosleep(&(struct timespec){ .tv_nsec = RETRY_NS }, NULL);
		}
		r = sqlite3_backup_step(b, PAGES_PER_STEP);
		if (progress->report != NULL) {
			int all = sqlite3_backup_pagecount(b);
			progress->report(progress->arg,
				(uint64_t)(all - sqlite3_backup_remaining(b)), (uint64_t)all);
		}
	}
	int finished = sqlite3_backup_finish(b);
	return r == SQLITE_DONE ? finished : r;
}

/* Makes a file without a log of the copy, and looks through it. */
static int seal(struct connection *to, const char *path, char why[static 256])
{
	if (sqlite3_exec(to->db, "PRAGMA journal_mode=DELETE", NULL, NULL, NULL) != SQLITE_OK) {
		(void)sqlite_connection_failed(to);
		return schema_refused(to, path, why);
	}
	return schema_check(to, path, true, why);
}

static int copy_into(struct connection *from,
	const char *path,
	const struct backup_progress *progress,
	char why[static 256])
{
	/* Synced once, at the end. */
	static const char plain[] = "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;";
	struct connection to = { 0 };
	int r = sqlite3_open_v2(path, &to.db,
		SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_EXRESCODE, NULL);
	r = r != SQLITE_OK ? r : sqlite3_exec(to.db, plain, NULL, NULL, NULL);
	r = r != SQLITE_OK ? r : copy_pages(from->db, to.db, progress);
	if (r != SQLITE_OK) {
		(void)sqlite_connection_failed(&to);
		to.error = r;
		r = schema_refused(&to, path, why);
	} else {
		r = seal(&to, path, why);
	}
	sqlite_connection_close(&to);
	return r < 0 ? r : sync_path(path, O_RDWR, why);
}

/* A sealed copy of `source` under a name of its own. */
static int make_copy(const char *source,
	const char *path,
	bool sound,
	const struct backup_progress *progress,
	char why[static 256])
{
	struct connection from;
	int r = open_source(&from, source, sound, why);
	if (r == 0 &&
		sqlite3_exec(from.db, "BEGIN; SELECT count(*) FROM collection", NULL, NULL, NULL) !=
			SQLITE_OK) {
		(void)sqlite_connection_failed(&from);
		r = schema_refused(&from, source, why);
	}
	r = r < 0 ? r : create_file(path, why);
	if (r == 0) {
		r = copy_into(&from, path, progress, why);
		if (r < 0) {
			(void)unlink(path);
		}
	}
	sqlite_connection_close(&from);
	return r;
}

int backup_make(const char *database,
	const char *target,
	bool replace,
	const struct backup_progress *progress,
	char why[static 256])
{
	char from[PATH_BYTES];
	char to[PATH_BYTES];
	char part[PATH_BYTES];
	char suffix[32];
	struct stat st;
	why[0] = 0;
	(void)snprintf(suffix, sizeof(suffix), ".part-%d", getpid());
	int r = resolve(database, from, why);
	r = r < 0 ? r : resolve(target, to, why);
	r = r < 0 ? r : join(part, to, suffix, why);
	if (r == 0 && !replace && lstat(target, &st) == 0) {
		(void)snprintf(why, 256, "%.180s is there already", target);
		return -EEXIST;
	}
	r = r < 0 ? r : make_copy(from, part, false, progress, why);
	if (r < 0) {
		return r;
	}
	r = publish(part, to, replace, why);
	if (r < 0) {
		(void)unlink(part);
	}
	return r;
}

/* --- restoring --- */

/* Moves a file aside, if it is there. @return 1, 0 or a negative errno. */
static int keep(const char *database, const char *part, const char *kept, char why[static 256])
{
	char from[PATH_BYTES];
	char to[PATH_BYTES];
	int r = join(from, database, part, why);
	r = r < 0 ? r : join(to, kept, part, why);
	if (r < 0) {
		return r;
	}
	if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) < 0) {
		return errno == ENOENT ? 0 : fail_errno(from, errno, why);
	}
	return 1;
}

static int name_kept(const char *database, char kept[static PATH_BYTES], char why[static 256])
{
	char second[32];
	char suffix[64];
	struct timespec now;
	struct tm tm;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	if (gmtime_r(&now.tv_sec, &tm) == NULL ||
		strftime(second, sizeof(second), "%Y%m%dT%H%M%S", &tm) == 0) {
		return fail_errno(database, EOVERFLOW, why);
	}
	(void)snprintf(suffix, sizeof(suffix), ".replaced-%s.%03dZ", second,
		(int)(now.tv_nsec / NS_PER_MS));
	return join(kept, database, suffix, why);
}

/*
 * The old database and its log go together: the log of one beside the file of another would be taken
 * for its own. In between the mark keeps directors from starting.
 */
static int exchange(struct schema_lock *lock,
	enum schema_mark was,
	const char *copy,
	const char *database,
	char kept[static PATH_BYTES],
	char why[static 256])
{
	char shm[PATH_BYTES];
	int r = name_kept(database, kept, why);
	r = r < 0 ? r : join(shm, database, "-shm", why);
	r = r < 0 ? r : schema_lock_mark(lock, SCHEMA_RESTORING);
	int log = r < 0 ? r : keep(database, "-wal", kept, why);
	r = log < 0 ? log : keep(database, "", kept, why);
	if (r < 0 && log <= 0) {
		(void)schema_lock_mark(lock, was); /* nothing was moved */
	}
	if (r <= 0) {
		kept[0] = 0;
	}
	if (r >= 0 && unlink(shm) < 0 && errno != ENOENT) {
		r = fail_errno(shm, errno, why);
	}
	r = r < 0 ? r : publish(copy, database, false, why);
	return r < 0 ? r : schema_lock_mark(lock, SCHEMA_CLEAN);
}

static int restore_locked(struct schema_lock *lock,
	enum schema_mark was,
	const char *source,
	const char *database,
	const struct backup_progress *progress,
	char kept[static PATH_BYTES],
	char why[static 256])
{
	char copy[PATH_BYTES];
	int r = join(copy, database, ".restore-new", why);
	r = r < 0 ? r : make_copy(source, copy, true, progress, why);
	if (r < 0) {
		return r;
	}
	r = give_to_owner_of_folder(copy, why);
	r = r < 0 ? r : exchange(lock, was, copy, database, kept, why);
	if (r < 0) {
		(void)unlink(copy);
	}
	return r;
}

int backup_restore(const char *source,
	const char *database,
	const struct backup_progress *progress,
	char ret_kept[static 4096],
	char why[static 256])
{
	struct schema_lock lock;
	enum schema_mark mark;
	char from[PATH_BYTES];
	char to[PATH_BYTES];
	char name[PATH_BYTES];
	struct stat st;
	why[0] = 0;
	ret_kept[0] = 0;
	int r = resolve(source, from, why);
	r = r < 0 ? r : resolve(database, to, why);
	r = r < 0 ? r : join(name, to, ".lock", why);
	if (r < 0) {
		return r;
	}
	bool fresh = lstat(name, &st) < 0;
	r = schema_lock(&lock, to, &mark, why);
	if (r < 0) {
		return r;
	}
	r = fresh ? give_to_owner_of_folder(name, why) : 0;
	r = r < 0 ? r : restore_locked(&lock, mark, from, to, progress, ret_kept, why);
	schema_unlock(&lock);
	if (r < 0 && why[0] == 0) {
		(void)fail_errno(database, -r, why);
	}
	return r;
}
