#include "director/store/sqlite/schema.h"

#include "common/base/log.h"
#include "director/store/sqlite/undo.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* "MZKS" */
#define APPLICATION_ID 0x4d5a4b53

/* A larger file gets the quick check, which reads every page but compares no index with its table:
 * a start must not take minutes. */
enum { FULL_CHECK_BYTES = 256 << 20 };

/* Adds a row of doc to what its plugin and its user have, or takes it away; `ifnull` and `<>` leave out
 * the documents of nobody. */
#define CHARGE_ROW(row, sign, user, condition)                                              \
	"INSERT INTO usage SELECT plugin, " user ", " sign "1, " sign "length(" row ".doc)" \
	" FROM collection WHERE cid = " row ".cid AND plugin IS NOT NULL" condition         \
	" ON CONFLICT DO UPDATE SET documents = documents + excluded.documents,"            \
	" bytes = bytes + excluded.bytes;"
#define CHARGE(row, sign)               \
	CHARGE_ROW(row, sign, "''", "") \
	CHARGE_ROW(row, sign, row ".user", " AND " row ".user <> ''")

/* A key and its place in the table: about what it takes on the disk. */
#define KEY_BYTES(k) "length(" k ") + 16"
#define CHARGE_KEY(row, sign)                                                                   \
	"UPDATE usage SET bytes = bytes " sign " (" KEY_BYTES(                                  \
		row ".k") ")"                                                                   \
			  " WHERE plugin = (SELECT plugin FROM collection JOIN idx USING (cid)" \
			  " WHERE iid = " row ".iid)"                                           \
			  " AND user IN ('', (SELECT user FROM doc WHERE rid = " row ".rid));"

/* What makes version i + 1 of version i; version 0 is an empty file. */
static const char *const migrations[] = {
	"PRAGMA application_id=1297763155;"
	"CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;"
	"CREATE TABLE collection (cid INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;"
	"CREATE TABLE doc (rid INTEGER PRIMARY KEY, cid INTEGER NOT NULL, user TEXT,"
	" id BLOB NOT NULL, doc BLOB NOT NULL) STRICT;"
	"CREATE UNIQUE INDEX doc_id ON doc (cid, id);"
	"CREATE INDEX doc_user ON doc (cid, user);"
	"INSERT INTO meta (key, value) VALUES ('schema', '1');",
	"CREATE TABLE undo_job (job INTEGER PRIMARY KEY) STRICT;"
	"CREATE TABLE undo (job INTEGER NOT NULL, rid INTEGER NOT NULL, cid INTEGER NOT NULL,"
	" doc BLOB, PRIMARY KEY (job, rid)) STRICT, WITHOUT ROWID;",
	/* Quotas (quota.h). The row of user '' is the plugin's own; documents of no user, or of one that is
	 * no plain id, count there alone. A plugin's name is all of a collection's up to its last '/'. */
	"CREATE TABLE plugin (pid INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;"
	"CREATE TABLE usage (plugin INTEGER NOT NULL, user TEXT NOT NULL, documents INTEGER NOT NULL,"
	" bytes INTEGER NOT NULL, PRIMARY KEY (plugin, user)) STRICT, WITHOUT ROWID;"
	"ALTER TABLE collection ADD COLUMN plugin INTEGER;"
	"INSERT OR IGNORE INTO plugin (name) SELECT rtrim(name, replace(name, '/', ''))"
	" FROM collection WHERE name LIKE '%/%/%';"
	"UPDATE collection SET plugin = (SELECT pid FROM plugin p"
	" WHERE p.name = rtrim(collection.name, replace(collection.name, '/', '')));"
	"INSERT INTO usage SELECT c.plugin, d.user, count(*), sum(length(d.doc)) FROM doc d"
	" JOIN collection c USING (cid) WHERE c.plugin IS NOT NULL AND d.user <> '' GROUP BY 1, 2;"
	"INSERT INTO usage SELECT c.plugin, '', count(*), sum(length(d.doc)) FROM doc d"
	" JOIN collection c USING (cid) WHERE c.plugin IS NOT NULL GROUP BY 1;"
	"CREATE TRIGGER doc_added AFTER INSERT ON doc BEGIN " CHARGE("NEW",
		"+") " END;"
		     "CREATE TRIGGER doc_gone AFTER DELETE ON doc BEGIN " CHARGE("OLD",
			     "-") " END;"
				  "CREATE TRIGGER doc_changed AFTER UPDATE OF doc, user ON doc BEGIN " CHARGE(
					  "OLD", "-") CHARGE("NEW",
					  "+") " END;"
					       "CREATE TRIGGER usage_none AFTER UPDATE ON usage WHEN NEW.documents = 0 BEGIN"
					       " DELETE FROM usage WHERE plugin = NEW.plugin AND user = NEW.user; END;",
	/* A number of an index is never used twice. */
	"CREATE TABLE idx (iid INTEGER PRIMARY KEY AUTOINCREMENT, cid INTEGER NOT NULL,"
	" name BLOB NOT NULL, owned INTEGER NOT NULL, expire INTEGER, spec BLOB NOT NULL) STRICT;"
	"CREATE UNIQUE INDEX idx_name ON idx (cid, name);"
	"CREATE INDEX idx_expire ON idx (iid) WHERE expire IS NOT NULL;"
	"CREATE TABLE key (iid INTEGER NOT NULL, k BLOB NOT NULL, rid INTEGER NOT NULL,"
	" PRIMARY KEY (iid, k, rid)) STRICT, WITHOUT ROWID;",
	/* Of an index that was there before it is not known. */
	"ALTER TABLE idx ADD COLUMN loose INTEGER NOT NULL DEFAULT 1;",
	/* A dropped index goes key by key (indexes_sweep()). Keys count as their documents do. */
	"ALTER TABLE idx ADD COLUMN dropped INTEGER NOT NULL DEFAULT 0;"
	"CREATE INDEX idx_dropped ON idx (iid) WHERE dropped <> 0;"
	"CREATE TRIGGER key_added AFTER INSERT ON key BEGIN " CHARGE_KEY("NEW",
		"+") " END;"
		     "CREATE TRIGGER key_gone AFTER DELETE ON key BEGIN " CHARGE_KEY("OLD",
			     "-") " END;"
				  "INSERT INTO usage SELECT c.plugin, d.user, 0, sum(" KEY_BYTES(
					  "k") ") FROM key"
					       " JOIN idx USING (iid) JOIN collection c ON c.cid = idx.cid"
					       " JOIN doc d ON d.rid = key.rid WHERE c.plugin IS NOT NULL AND d.user <> ''"
					       " GROUP BY 1, 2 ON CONFLICT DO UPDATE SET bytes = bytes + excluded.bytes;"
					       "INSERT INTO usage SELECT c.plugin, '', 0, sum(" KEY_BYTES(
						       "k") ") FROM key"
							    " JOIN idx USING (iid) JOIN collection c ON c.cid = idx.cid"
							    " WHERE c.plugin IS NOT NULL"
							    " GROUP BY 1 ON CONFLICT DO UPDATE SET bytes = bytes + excluded.bytes;",
	/* The order of _id among one owner's documents. Of an index that was there before, no field's keys
	 * are inverted. */
	"CREATE INDEX doc_order ON doc (cid, user, id);"
	"ALTER TABLE idx ADD COLUMN directed INTEGER NOT NULL DEFAULT 0;",
};

_Static_assert(sizeof(migrations) / sizeof(migrations[0]) == SCHEMA_VERSION,
	"every version has its migration");

/* --- the lock --- */

/* What the file says: a word and who wrote it. Nothing: it was left in order. */
static const char *const marks[] = {
	[SCHEMA_CLEAN] = "",
	[SCHEMA_IN_USE] = "open",
	[SCHEMA_RESTORING] = "restoring",
};

static void read_mark(int fd, enum schema_mark *ret_mark, unsigned long *ret_pid)
{
	char text[32] = { 0 };
	ssize_t size = pread(fd, text, sizeof(text) - 1, 0);
	*ret_mark = SCHEMA_CLEAN;
	*ret_pid = 0;
	for (enum schema_mark m = SCHEMA_IN_USE; m <= SCHEMA_RESTORING && size > 0; m++) {
		size_t n = strlen(marks[m]);
		if (strncmp(text, marks[m], n) == 0) {
			*ret_mark = m;
			*ret_pid = strtoul(text + n, NULL, 10);
		}
	}
}

int schema_lock(struct schema_lock *lock,
	const char *path,
	enum schema_mark *ret_mark,
	char why[static 256])
{
	char name[4096];
	unsigned long pid = 0;
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	*lock = SCHEMA_LOCK_NULL;
	if (snprintf(name, sizeof(name), "%s.lock", path) >= (int)sizeof(name)) {
		return -ENAMETOOLONG;
	}
	int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		int error = errno;
		(void)snprintf(why, 256, "%.200s: %s", name, strerrordesc_np(error));
		return -error;
	}
	int error = fcntl(fd, F_OFD_SETLK, &whole) < 0 ? errno : 0;
	read_mark(fd, ret_mark, &pid);
	if (error == 0) {
		lock->fd = fd;
		return 0;
	}
	(void)close(fd);
	if (error != EAGAIN && error != EACCES) {
		(void)snprintf(why, 256, "%.200s: %s", name, strerrordesc_np(error));
		return -error;
	}
	(void)snprintf(why, 256,
		"%.130s is in use by another director (pid %lu); each needs its own "
		"MOZAIKS_STATE_PATH or DATABASE_URI",
		path, pid);
	return -EBUSY;
}

int schema_lock_mark(struct schema_lock *lock, enum schema_mark mark)
{
	if (ftruncate(lock->fd, 0) < 0 || lseek(lock->fd, 0, SEEK_SET) < 0) {
		return -errno;
	}
	if (mark != SCHEMA_CLEAN && dprintf(lock->fd, "%s %d\n", marks[mark], getpid()) < 0) {
		return -EIO;
	}
	return fsync(lock->fd) < 0 ? -errno : 0;
}

void schema_unlock(struct schema_lock *lock)
{
	if (lock->fd >= 0) {
		(void)close(lock->fd);
	}
	lock->fd = -1;
}

/* --- the file --- */

int schema_refused(const struct connection *c, const char *path, char why[static 256])
{
	if (sqlite_connection_is_full(c)) {
		(void)snprintf(why, 256, "%.150s: no room left on its disk", path);
		return -ENOSPC;
	}
	if (c->error == SQLITE_NOTADB) {
		(void)snprintf(why, 256, "%.150s is no database", path);
	} else if (c->error == SQLITE_CANTOPEN && c->error_errno != 0) {
		(void)snprintf(why, 256, "%.150s: %s", path, strerrordesc_np(c->error_errno));
	} else {
		(void)snprintf(why, 256, "%.150s: %s (SQLite %d)", path,
			sqlite3_errstr(c->error & 0xff), c->error);
	}
	return -EIO;
}

/* One value of a statement that is not kept. @return 1; 0 without a row; -EIO. */
static int ask(struct connection *c, const char *sql, char out[static 200])
{
	sqlite3_stmt *st = NULL;
	if (sqlite3_prepare_v2(c->db, sql, -1, &st, NULL) != SQLITE_OK) {
		return sqlite_connection_failed(c);
	}
	int r = sqlite_connection_step(c, st);
	if (r > 0) {
		const unsigned char *text = sqlite3_column_text(st, 0);
		(void)snprintf(out, 200, "%s", text == NULL ? "" : (const char *)text);
	}
	(void)sqlite3_finalize(st);
	return r;
}

/* Makes the file with its mode; SQLite's own files beside it get the same. */
static int create_file(const char *path, char why[static 256])
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0) {
		int error = errno;
		(void)snprintf(why, 256, "%.200s: %s", path, strerrordesc_np(error));
		return -error;
	}
	/* Nobody has this file open yet in this process: closing it drops no lock of SQLite. */
	(void)close(fd);
	return 0;
}

/* @return 1: ours; 0: empty; negative and `why`. */
static int identify(struct connection *c, const char *path, char why[static 256])
{
	char text[200];
	int r = ask(c, "PRAGMA application_id", text);
	if (r < 0) {
		return schema_refused(c, path, why);
	}
	if (strtol(text, NULL, 10) == APPLICATION_ID) {
		return 1;
	}
	r = ask(c, "SELECT count(*) FROM sqlite_schema", text);
	if (r < 0) {
		return schema_refused(c, path, why);
	}
	if (strcmp(text, "0") != 0) {
		(void)snprintf(why, 256, "%.150s is a database of another program", path);
		return -EINVAL;
	}
	return 0;
}

static int read_version(
	struct connection *c, const char *path, unsigned *ret_version, char why[static 256])
{
	char text[200] = "";
	if (ask(c, "SELECT value FROM meta WHERE key = 'schema'", text) < 0) {
		return schema_refused(c, path, why);
	}
	long version = strtol(text, NULL, 10);
	if (version > SCHEMA_VERSION) {
		(void)snprintf(why, 256,
			"%.120s has schema version %ld, this program knows up to %d: it was written by "
			"a newer release",
			path, version, SCHEMA_VERSION);
		return -EINVAL;
	}
	if (version < 1) {
		(void)snprintf(why, 256, "%.150s names no schema version", path);
		return -EINVAL;
	}
	*ret_version = (unsigned)version;
	return 0;
}

static int check_integrity(struct connection *c, const char *path, char why[static 256])
{
	char text[200] = "";
	struct stat st;
	bool large = stat(path, &st) == 0 && st.st_size > FULL_CHECK_BYTES;
	int r = ask(c, large ? "PRAGMA quick_check(1)" : "PRAGMA integrity_check(1)", text);
	if (r > 0 && strcmp(text, "ok") == 0) {
		return 0;
	}
	if (r < 0 && !sqlite_connection_is_damaged(c)) {
		return schema_refused(c, path, why);
	}
	(void)snprintf(why, 256,
		"%.90s is damaged (%.50s); restore a backup, or save what is readable: sqlite3 FILE "
		".recover | sqlite3 NEW",
		path, r < 0 ? sqlite3_errstr(c->error & 0xff) : text);
	return -EIO;
}

static int use_wal(struct connection *c, const char *path, char why[static 256])
{
	char text[200] = "";
	if (ask(c, "PRAGMA journal_mode=WAL", text) < 0) {
		return schema_refused(c, path, why);
	}
	if (strcmp(text, "wal") != 0) {
		(void)snprintf(why, 256,
			"%.150s: no write-ahead log on this file system; use a local disk", path);
		return -EINVAL;
	}
	return 0;
}

int schema_check(struct connection *c, const char *path, bool sound, char why[static 256])
{
	unsigned version = 0;
	int r = identify(c, path, why);
	if (r == 0) {
		(void)snprintf(why, 256, "%.150s is an empty file", path);
		return -EINVAL;
	}
	r = r < 0 ? r : read_version(c, path, &version, why);
	return r == 0 && sound ? check_integrity(c, path, why) : r;
}

/* All steps in one transaction: a file is of its old version or of ours. */
static int migrate(struct connection *c, const char *path, unsigned version, char why[static 256])
{
	char note[100];
	if (version == SCHEMA_VERSION) {
		return 0;
	}
	(void)snprintf(note, sizeof(note), "UPDATE meta SET value = '%d' WHERE key = 'schema'",
		SCHEMA_VERSION);
	int r = sqlite3_exec(c->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
	for (unsigned i = version; i < SCHEMA_VERSION && r == SQLITE_OK; i++) {
		r = sqlite3_exec(c->db, migrations[i], NULL, NULL, NULL);
	}
	r = r != SQLITE_OK ? r : sqlite3_exec(c->db, note, NULL, NULL, NULL);
	r = r != SQLITE_OK ? r : sqlite3_exec(c->db, "COMMIT", NULL, NULL, NULL);
	if (r != SQLITE_OK) {
		(void)sqlite_connection_failed(c);
		return schema_refused(c, path, why);
	}
	if (version > 0) {
		log_event(LOG_INFO, "store.migrated", "%s: schema version %u became %d", path,
			version, SCHEMA_VERSION);
	}
	return 0;
}

int schema_open(struct connection *c, const char *path, bool unclean, char why[static 256])
{
	unsigned version = 0;
	*c = (struct connection){ 0 };
	int r = create_file(path, why);
	if (r < 0) {
		return r;
	}
	if (sqlite_connection_open(c, path, SQLITE_OPEN_READWRITE) < 0) {
		return schema_refused(c, path, why);
	}
	r = identify(c, path, why);
	if (r > 0) {
		r = read_version(c, path, &version, why);
		if (r == 0 && unclean) {
			r = check_integrity(c, path, why);
		}
		if (r == 0 && unclean) {
			log_event(LOG_INFO, "store.checked",
				"the last stop was not clean; %s is sound", path);
		}
	}
	r = r < 0 ? r : use_wal(c, path, why);
	r = r < 0 ? r : migrate(c, path, version, why);
	if (r == 0 && undo_recover(c) < 0) {
		r = schema_refused(c, path, why);
	}
	return r;
}
