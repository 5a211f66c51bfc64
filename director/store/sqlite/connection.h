/*
 * One connection to the database file, of one thread: its prepared statements, what it knows about
 * collections, and what SQLite's errors mean for a task.
 */
#pragma once

#include "director/store/task.h"

#include <sqlite3.h>

enum statement {
	ST_BEGIN,
	ST_COMMIT,
	ST_ROLLBACK,
	ST_SAVEPOINT,
	ST_RELEASE,
	ST_ROLLBACK_TO,
	ST_COLLECTION_FIND,
	ST_COLLECTION_COUNT,
	ST_COLLECTION_NAMES,
	ST_COLLECTION_ADD,
	ST_DOC_BY_ID,
	ST_DOC_BY_OWNER,
	ST_DOC_WITHOUT_OWNER,
	ST_DOC_BY_OWNER_OR_ODD,
	ST_DOC_ALL,
	ST_DOC_ID_OWNER,
	ST_DOC_ID_OWNER_UP,
	ST_DOC_ID_OWNER_DOWN,
	ST_DOC_ID_NOBODY,
	ST_DOC_ID_NOBODY_UP,
	ST_DOC_ID_NOBODY_DOWN,
	ST_DOC_ID_ALL,
	ST_DOC_ID_ALL_UP,
	ST_DOC_ID_ALL_DOWN,
	ST_DOC_LOAD,
	ST_DOC_INSERT,
	ST_DOC_REPLACE,
	ST_DOC_REPLACE_OWNER,
	ST_DOC_REMOVE,
	ST_COUNT_BY_OWNER,
	ST_COUNT_WITHOUT_OWNER,
	ST_COUNT_ALL,
	ST_JOB_ADD,
	ST_JOB_END,
	ST_JOB_FIRST,
	ST_UNDO_KEEP,
	ST_UNDO_INSERTED,
	ST_UNDO_FIRST,
	ST_UNDO_DROP,
	ST_UNDO_SWEEP,
	ST_UNDO_CLEAR,
	ST_PLUGIN_ADD,
	ST_USAGE,
	ST_SNAPSHOT,
	ST_INDEX_ALL,
	ST_INDEX_ADD,
	ST_INDEX_DROP,
	ST_INDEX_EXPIRING,
	ST_KEY_ADD,
	ST_KEY_REMOVE,
	ST_KEY_OTHER,
	ST_KEY_BETWEEN,
	ST_DOC_BY_KEY,
	ST_DOC_BY_KEY_UP,
	ST_DOC_BY_KEY_DOWN,
	ST_KEY_RANGE,
	ST_INDEX_LOOSE,
	ST_INDEX_RETIRE,
	ST_INDEX_RETIRED,
	ST_KEY_SWEEP,
	STATEMENTS,
};

struct known_collection;

enum { CONNECTION_WAIT_MS = 5000 }; /* for a lock of another program */

struct connection {
	sqlite3 *db;
	sqlite3_stmt *statements[STATEMENTS]; /* prepared at first use */
	struct known_collection *collections;
	unsigned n_collections;
	int error;       /* SQLite's extended code of the last failure */
	int error_errno; /* and the system's, 0 when there was none */
};

/**
 * Opens the file and sets what holds for every connection.
 * @param flags SQLITE_OPEN_READONLY or SQLITE_OPEN_READWRITE.
 * @return 0; -EIO and `error`; close it in both cases.
 */
int sqlite_connection_open(struct connection *c, const char *path, int flags);
void sqlite_connection_close(struct connection *c);

/** The statement, reset and without bindings; NULL and `error`. */
sqlite3_stmt *sqlite_connection_statement(struct connection *c, enum statement which);

/** One step. @return 1 for a row; 0 when done; -EIO and `error`. Reset it afterwards. */
int sqlite_connection_step(struct connection *c, sqlite3_stmt *st);

/** Runs a statement that has no parameters and no rows. @return 0; -EIO and `error`. */
int sqlite_connection_run(struct connection *c, enum statement which);

/** Notes the failure of an API call. @return -EIO. */
int sqlite_connection_failed(struct connection *c);

/**
 * The number of a collection.
 * @param create make it when it is missing.
 * @param plugin whose collections are counted against `most`, e.g. "app/plugin/".
 * @return 1; 0 when it is missing; -EIO; -EDQUOT when the plugin has too many.
 */
int sqlite_connection_collection(struct connection *c,
	struct slice name,
	bool create,
	struct slice plugin,
	unsigned most,
	int64_t *ret_cid);

/* One name. @return 0; negative ends the walk. */
typedef int (*sqlite_name_fn)(void *arg, struct slice name);

/** Walks the physical names of a plugin's collections. @return 0; -EIO; what `fn` returned. */
int sqlite_connection_names(
	struct connection *c, struct slice plugin, sqlite_name_fn fn, void *arg);

/** Forgets what it knows about collections: after a rollback some may not exist. */
void sqlite_connection_forget(struct connection *c);

/** What the last failure means for a task of which nothing was done; fills in its answer. */
void sqlite_connection_answer(const struct connection *c, struct store_task *t);

/** True when the last failure is a full disk. */
bool sqlite_connection_is_full(const struct connection *c);

/** True when it says that the file is not to be trusted any more. */
bool sqlite_connection_is_damaged(const struct connection *c);
