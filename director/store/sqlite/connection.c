#include "director/store/sqlite/connection.h"

#include "common/base/map.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { KNOWN_COLLECTIONS_MAX = 4096 };

/* Documents whose _id is in a range (?1 collection, ?2 and ?3 its ends, ?4 owner): in the order of insertion,
 * and in the order of _id. */
#define BY_ID(index, owner)                                                            \
	"SELECT rid, doc FROM doc WHERE rid IN (SELECT rid FROM doc INDEXED BY " index \
	" WHERE cid = ?1" owner " AND id >= ?2 AND id < ?3) ORDER BY rid"
#define IN_ID_ORDER(index, owner, order)                                     \
	"SELECT rid, doc FROM doc INDEXED BY " index " WHERE cid = ?1" owner \
	" AND id >= ?2 AND id < ?3 ORDER BY id" order

/*
 * `user` is the owner: NULL when the document has no user_id, '' when that is no plain id (nobody's;
 * see source.c). Every index holds the rid, so that (cid, user) gives the order of insertion.
 */
static const char *const texts[STATEMENTS] = {
	[ST_BEGIN] = "BEGIN IMMEDIATE",
	[ST_COMMIT] = "COMMIT",
	[ST_ROLLBACK] = "ROLLBACK",
	[ST_SAVEPOINT] = "SAVEPOINT task",
	[ST_RELEASE] = "RELEASE task",
	[ST_ROLLBACK_TO] = "ROLLBACK TO task",
	[ST_COLLECTION_FIND] = "SELECT cid FROM collection WHERE name = ?1",
	[ST_COLLECTION_COUNT] = "SELECT count(*) FROM collection WHERE name >= ?1 AND name < ?2",
	[ST_COLLECTION_NAMES] =
		"SELECT name FROM collection WHERE name >= ?1 AND name < ?2 ORDER BY name",
	[ST_COLLECTION_ADD] = "INSERT INTO collection (name, plugin) "
			      "VALUES (?1, (SELECT pid FROM plugin WHERE name = ?2))",
	[ST_DOC_BY_ID] = "SELECT rid, doc FROM doc WHERE cid = ?1 AND id = ?2",
	[ST_DOC_BY_OWNER] = "SELECT rid, doc FROM doc INDEXED BY doc_user "
			    "WHERE cid = ?1 AND user = ?2 ORDER BY rid",
	[ST_DOC_WITHOUT_OWNER] = "SELECT rid, doc FROM doc INDEXED BY doc_user "
				 "WHERE cid = ?1 AND user IS NULL ORDER BY rid",
	[ST_DOC_BY_OWNER_OR_ODD] = "SELECT rid, doc FROM doc INDEXED BY doc_user "
				   "WHERE cid = ?1 AND user IN (?2, '')",
	[ST_DOC_ALL] = "SELECT rid, doc FROM doc INDEXED BY doc_user WHERE cid = ?1",
	[ST_DOC_ID_OWNER] = BY_ID("doc_order", " AND user = ?4"),
	[ST_DOC_ID_OWNER_UP] = IN_ID_ORDER("doc_order", " AND user = ?4", ""),
	[ST_DOC_ID_OWNER_DOWN] = IN_ID_ORDER("doc_order", " AND user = ?4", " DESC"),
	[ST_DOC_ID_NOBODY] = BY_ID("doc_order", " AND user IS NULL"),
	[ST_DOC_ID_NOBODY_UP] = IN_ID_ORDER("doc_order", " AND user IS NULL", ""),
	[ST_DOC_ID_NOBODY_DOWN] = IN_ID_ORDER("doc_order", " AND user IS NULL", " DESC"),
	[ST_DOC_ID_ALL] = BY_ID("doc_id", ""),
	[ST_DOC_ID_ALL_UP] = IN_ID_ORDER("doc_id", "", ""),
	[ST_DOC_ID_ALL_DOWN] = IN_ID_ORDER("doc_id", "", " DESC"),
	[ST_DOC_LOAD] = "SELECT doc FROM doc WHERE rid = ?1 AND cid = ?2",
	[ST_DOC_INSERT] = "INSERT INTO doc (cid, user, id, doc, rid) VALUES (?1, ?2, ?3, ?4, ?5)",
	[ST_DOC_REPLACE] = "UPDATE doc SET doc = ?2 WHERE rid = ?1",
	[ST_DOC_REPLACE_OWNER] = "UPDATE doc SET doc = ?2, user = ?3 WHERE rid = ?1",
	[ST_DOC_REMOVE] = "DELETE FROM doc WHERE rid = ?1",
	[ST_COUNT_BY_OWNER] = "SELECT count(*) FROM doc INDEXED BY doc_user "
			      "WHERE cid = ?1 AND user = ?2",
	[ST_COUNT_WITHOUT_OWNER] = "SELECT count(*) FROM doc INDEXED BY doc_user "
				   "WHERE cid = ?1 AND user IS NULL",
	[ST_COUNT_ALL] = "SELECT count(*) FROM doc INDEXED BY doc_user WHERE cid = ?1",
	[ST_JOB_ADD] = "INSERT INTO undo_job (job) VALUES (?1)",
	[ST_JOB_END] = "DELETE FROM undo_job WHERE job = ?1",
	[ST_JOB_FIRST] = "SELECT job FROM undo_job ORDER BY job LIMIT 1",
	[ST_UNDO_KEEP] = "INSERT OR IGNORE INTO undo (job, rid, cid, doc) "
			 "SELECT ?1, rid, cid, doc FROM doc WHERE rid = ?2",
	[ST_UNDO_INSERTED] = "INSERT OR IGNORE INTO undo (job, rid, cid, doc) "
			     "VALUES (?1, ?2, ?3, NULL)",
	[ST_UNDO_FIRST] = "SELECT rid, cid, doc FROM undo WHERE job = ?1 ORDER BY rid LIMIT 1",
	[ST_UNDO_DROP] = "DELETE FROM undo WHERE job = ?1 AND rid = ?2",
	[ST_UNDO_SWEEP] =
		"DELETE FROM undo WHERE (job, rid) IN (SELECT job, rid FROM undo "
		"WHERE job < (SELECT ifnull(min(job), 9223372036854775807) FROM undo_job) "
		"ORDER BY job, rid LIMIT 100)",
	[ST_UNDO_CLEAR] = "DELETE FROM undo",
	[ST_PLUGIN_ADD] = "INSERT OR IGNORE INTO plugin (name) VALUES (?1)",
	[ST_USAGE] = "SELECT user = '', documents, bytes FROM usage "
		     "WHERE plugin = (SELECT pid FROM plugin WHERE name = ?1) AND user IN ('', ?2)",
	/* What follows sees one state of the file, until COMMIT. */
	[ST_SNAPSHOT] = "BEGIN",
	[ST_INDEX_ALL] =
		"SELECT iid, owned, spec, loose, dropped, directed FROM idx WHERE cid = ?1 ORDER BY dropped, iid",
	[ST_INDEX_ADD] = "INSERT INTO idx (cid, name, owned, spec, expire, loose, directed) "
			 "VALUES (?1, ?2, ?3, ?4, ?5, 0, 1)",
	[ST_INDEX_LOOSE] = "UPDATE idx SET loose = 1 WHERE iid = ?1",
	[ST_INDEX_DROP] = "DELETE FROM idx WHERE iid = ?1",
	[ST_INDEX_EXPIRING] = "SELECT iid, cid, expire FROM idx "
			      "WHERE expire IS NOT NULL AND iid > ?1 ORDER BY iid LIMIT 1",
	[ST_KEY_ADD] = "INSERT OR IGNORE INTO key (iid, k, rid) VALUES (?1, ?2, ?3)",
	[ST_KEY_REMOVE] = "DELETE FROM key WHERE iid = ?1 AND k = ?2 AND rid = ?3",
	[ST_KEY_OTHER] = "SELECT 1 FROM key WHERE iid = ?1 AND k = ?2 AND rid <> ?3 LIMIT 1",
	/* The name is free again; none begins with NUL. */
	[ST_INDEX_RETIRE] = "UPDATE idx SET dropped = 1, expire = NULL, "
			    "name = CAST(char(0) || iid AS BLOB) WHERE iid = ?1",
	[ST_INDEX_RETIRED] = "SELECT iid FROM idx WHERE dropped <> 0 LIMIT 1",
	[ST_KEY_SWEEP] = "DELETE FROM key WHERE (iid, k, rid) IN "
			 "(SELECT iid, k, rid FROM key WHERE iid = ?1 LIMIT 200)",
	[ST_KEY_BETWEEN] = "SELECT rid FROM key WHERE iid = ?1 AND k >= ?2 AND k < ?3 LIMIT 1",
	[ST_DOC_BY_KEY] =
		"SELECT rid, doc FROM doc WHERE rid IN "
		"(SELECT rid FROM key WHERE iid = ?1 AND k >= ?2 AND k < ?3) ORDER BY rid",
	[ST_DOC_BY_KEY_UP] = "SELECT key.rid, doc FROM key CROSS JOIN doc ON doc.rid = key.rid "
			     "WHERE iid = ?1 AND k >= ?2 AND k < ?3 ORDER BY k, key.rid",
	[ST_DOC_BY_KEY_DOWN] = "SELECT key.rid, doc FROM key CROSS JOIN doc ON doc.rid = key.rid "
			       "WHERE iid = ?1 AND k >= ?2 AND k < ?3 ORDER BY k DESC, key.rid",
	[ST_KEY_RANGE] = "SELECT rid FROM key WHERE iid = ?1 AND k >= ?2 AND k < ?3",
};

/* What FINDINGS measured; WAL itself is a property of the file (schema.c). Checkpoints are the
 * writer's: SQLite's own would hide a failed fsync. */
static const char pragmas[] = "PRAGMA synchronous=FULL;"
			      "PRAGMA trusted_schema=OFF;"
			      "PRAGMA cell_size_check=ON;"
			      "PRAGMA journal_size_limit=67108864;"
			      "PRAGMA wal_autocheckpoint=0;";

struct known_collection {
	UT_hash_handle hh;
	int64_t cid;
	size_t n;
	char name[];
};

int sqlite_connection_failed(struct connection *c)
{
	c->error = c->db == NULL ? SQLITE_NOMEM : sqlite3_extended_errcode(c->db);
	c->error_errno = c->db == NULL ? ENOMEM : sqlite3_system_errno(c->db);
	return -EIO;
}

int sqlite_connection_open(struct connection *c, const char *path, int flags)
{
	*c = (struct connection){ 0 };
	int r = sqlite3_open_v2(path, &c->db,
		flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_PRIVATECACHE,
		NULL);
	if (r != SQLITE_OK) {
		return sqlite_connection_failed(c);
	}
	(void)sqlite3_busy_timeout(c->db, CONNECTION_WAIT_MS);
	(void)sqlite3_db_config(c->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	if (sqlite3_exec(c->db, pragmas, NULL, NULL, NULL) != SQLITE_OK) {
		return sqlite_connection_failed(c);
	}
	return 0;
}

void sqlite_connection_close(struct connection *c)
{
	for (size_t i = 0; i < STATEMENTS; i++) {
		(void)sqlite3_finalize(c->statements[i]);
		c->statements[i] = NULL;
	}
	sqlite_connection_forget(c);
	(void)sqlite3_close(c->db);
	c->db = NULL;
}

sqlite3_stmt *sqlite_connection_statement(struct connection *c, enum statement which)
{
	sqlite3_stmt *st = c->statements[which];
	if (st == NULL) {
		if (sqlite3_prepare_v3(c->db, texts[which], -1, SQLITE_PREPARE_PERSISTENT, &st,
			    NULL) != SQLITE_OK) {
			(void)sqlite_connection_failed(c);
			return NULL;
		}
		c->statements[which] = st;
	}
	(void)sqlite3_reset(st);
	(void)sqlite3_clear_bindings(st);
	return st;
}

int sqlite_connection_step(struct connection *c, sqlite3_stmt *st)
{
	int r = sqlite3_step(st);
	if (r == SQLITE_ROW) {
		return 1;
	}
	return r == SQLITE_DONE ? 0 : sqlite_connection_failed(c);
}

int sqlite_connection_run(struct connection *c, enum statement which)
{
	sqlite3_stmt *st = sqlite_connection_statement(c, which);
	int r = st == NULL ? -EIO : sqlite_connection_step(c, st);
	if (st != NULL) {
		(void)sqlite3_reset(st);
	}
	return r < 0 ? r : 0;
}

/* --- collections --- */

void sqlite_connection_forget(struct connection *c)
{
	struct known_collection *k;
	struct known_collection *next;
	HASH_ITER (hh, c->collections, k, next) {
		HASH_DEL(c->collections, k);
		free(k);
	}
	c->n_collections = 0;
}

/* Only a cache: without memory it stays unknown. */
static void remember(struct connection *c, struct slice name, int64_t cid)
{
	if (c->n_collections == KNOWN_COLLECTIONS_MAX) {
		sqlite_connection_forget(c);
	}
	struct known_collection *k = calloc(1, sizeof(*k) + name.n);
	if (k == NULL) {
		return;
	}
	k->cid = cid;
	k->n = name.n;
	memcpy(k->name, name.p, name.n);
	HASH_ADD_KEYPTR(hh, c->collections, k->name, k->n, k);
	if (k->hh.tbl == NULL) {
		free(k);
		return;
	}
	c->n_collections++;
}

static int bind_text(struct connection *c, sqlite3_stmt *st, int at, struct slice s)
{
	return sqlite3_bind_text64(st, at, (const char *)s.p, s.n, SQLITE_STATIC, SQLITE_UTF8) ==
			SQLITE_OK
		? 0
		: sqlite_connection_failed(c);
}

static int find_collection(struct connection *c, struct slice name, int64_t *ret_cid)
{
	sqlite3_stmt *st = sqlite_connection_statement(c, ST_COLLECTION_FIND);
	int r = st == NULL ? -EIO : bind_text(c, st, 1, name);
	r = r < 0 ? r : sqlite_connection_step(c, st);
	if (r > 0) {
		*ret_cid = sqlite3_column_int64(st, 0);
	}
	if (st != NULL) {
		(void)sqlite3_reset(st);
	}
	return r;
}

/* About the names that begin with the plugin's prefix, which ends in '/'. @return NULL: failed. */
static sqlite3_stmt *start_names(struct connection *c, enum statement which, struct slice plugin)
{
	char end[160];
	sqlite3_stmt *st = sqlite_connection_statement(c, which);
	if (st == NULL || plugin.n == 0 || plugin.n > sizeof(end)) {
		return NULL;
	}
	memcpy(end, plugin.p, plugin.n);
	end[plugin.n - 1]++;
	return bind_text(c, st, 1, plugin) < 0 ||
			sqlite3_bind_text64(st, 2, end, plugin.n, SQLITE_TRANSIENT, SQLITE_UTF8) !=
				SQLITE_OK
		? NULL
		: st;
}

int sqlite_connection_names(struct connection *c, struct slice plugin, sqlite_name_fn fn, void *arg)
{
	sqlite3_stmt *st = start_names(c, ST_COLLECTION_NAMES, plugin);
	int r = st == NULL ? -EIO : 0;
	while (r == 0 && (r = sqlite_connection_step(c, st)) > 0) {
		r = fn(arg,
			slice_of(sqlite3_column_text(st, 0), (size_t)sqlite3_column_bytes(st, 0)));
	}
	if (st != NULL) {
		(void)sqlite3_reset(st);
	}
	return r;
}

static int count_collections(struct connection *c, struct slice plugin, uint64_t *ret_n)
{
	sqlite3_stmt *st = start_names(c, ST_COLLECTION_COUNT, plugin);
	int r = st == NULL ? -EIO : sqlite_connection_step(c, st);
	if (r > 0) {
		*ret_n = (uint64_t)sqlite3_column_int64(st, 0);
	}
	if (st != NULL) {
		(void)sqlite3_reset(st);
	}
	return r < 0 ? r : 0;
}

/* Core's names have one '/', in front of the collection: its documents are nobody's. */
static bool is_plugin(struct slice plugin)
{
	const uint8_t *slash = memchr(plugin.p, '/', plugin.n);
	return slash != NULL && slash + 1 < plugin.p + plugin.n;
}

static int add_plugin(struct connection *c, struct slice plugin)
{
	sqlite3_stmt *st = sqlite_connection_statement(c, ST_PLUGIN_ADD);
	int r = st == NULL ? -EIO : bind_text(c, st, 1, plugin);
	r = r < 0 ? r : sqlite_connection_step(c, st);
	if (st != NULL) {
		(void)sqlite3_reset(st);
	}
	return r;
}

static int add_collection(
	struct connection *c, struct slice name, struct slice plugin, int64_t *ret_cid)
{
	int r = is_plugin(plugin) ? add_plugin(c, plugin) : 0;
	sqlite3_stmt *st = r < 0 ? NULL : sqlite_connection_statement(c, ST_COLLECTION_ADD);
	r = st == NULL ? -EIO : bind_text(c, st, 1, name);
	r = r < 0 ? r : bind_text(c, st, 2, plugin);
	r = r < 0 ? r : sqlite_connection_step(c, st);
	if (st != NULL) {
		(void)sqlite3_reset(st);
	}
	*ret_cid = sqlite3_last_insert_rowid(c->db);
	return r < 0 ? r : 1;
}

int sqlite_connection_collection(struct connection *c,
	struct slice name,
	bool create,
	struct slice plugin,
	unsigned most,
	int64_t *ret_cid)
{
	struct known_collection *k = NULL;
	uint64_t n = 0;
	HASH_FIND(hh, c->collections, name.p, name.n, k);
	if (k != NULL) {
		*ret_cid = k->cid;
		return 1;
	}
	int r = find_collection(c, name, ret_cid);
	if (r == 0 && create) {
		r = count_collections(c, plugin, &n);
		if (r == 0 && n >= most) {
			return -EDQUOT;
		}
		r = r < 0 ? r : add_collection(c, name, plugin, ret_cid);
	}
	if (r > 0) {
		remember(c, name, *ret_cid);
	}
	return r;
}

/* --- what errors mean --- */

bool sqlite_connection_is_full(const struct connection *c)
{
	return (c->error & 0xff) == SQLITE_FULL ||
		((c->error & 0xff) == SQLITE_IOERR &&
			(c->error_errno == ENOSPC || c->error_errno == EDQUOT));
}

bool sqlite_connection_is_damaged(const struct connection *c)
{
	int primary = c->error & 0xff;
	return primary == SQLITE_CORRUPT || primary == SQLITE_NOTADB;
}

void sqlite_connection_answer(const struct connection *c, struct store_task *t)
{
	if (sqlite_connection_is_full(c)) {
		(void)store_task_fail(t, STORE_E_FULL, "the disk of the database is full");
		return;
	}
	switch (c->error & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		(void)store_task_fail(
			t, STORE_E_UNAVAILABLE, "the database file is locked by another program");
		break;
	case SQLITE_NOMEM:
		(void)store_task_fail(t, STORE_E_UNAVAILABLE, "no memory");
		break;
	case SQLITE_IOERR:
	case SQLITE_READONLY:
	case SQLITE_CANTOPEN:
		(void)store_task_fail(t, STORE_E_UNAVAILABLE,
			"the database file cannot be read or written (SQLite %d)", c->error);
		break;
	default:
		(void)store_task_fail(
			t, STORE_E_INTERNAL, "the database failed (SQLite %d)", c->error);
		break;
	}
}
