/*
 * The engine's view of the database file: which documents may match a task, and how one is inserted,
 * replaced and removed. The plan is the narrowest of
 *   _id         {_id: v} or {_id: {$in: […]}} is required: by key, one lookup each
 *   index       a declared index knows what the first fields must be, or that on _id its bounds or the
 *               order: ranges of keys (plan.h)
 *   owner       user scope, or a required {user_id: "…"}: the index (cid, user)
 *   collection  everything in it, bounded by the engine's time limit
 * A plan only narrows: what matches is decided by the filter, on the document.
 */
#pragma once

#include "director/store/engine.h"
#include "director/store/sqlite/plan.h"

enum { ID_KEY_MAX = 1024 };

enum { SOURCE_ROWS_MAX = 1000000 };

enum plan { PLAN_NOTHING, PLAN_IDS, PLAN_SCAN, PLAN_ROWS };

struct source {
	struct engine_source engine;
	struct connection *c;
	struct store_task *t;
	int64_t cid;
	bool exists; /* the collection */
	enum plan plan;
	sqlite3_stmt *scan;
	const struct value *ids;
	size_t n_ids;
	size_t next_id;
	struct buffer key;
	bool changed;     /* something was written */
	int64_t undo;     /* 0, or the job that keeps what it changes (undo.h) */
	int64_t next_rid; /* of the next insert; 0: a new one */
	struct sqlite_indexes indexes;
	bool indexed;         /* they have been read */
	bool restoring;       /* what was there once is put back: nothing is refused */
	struct index_plan by; /* the index that the plan uses, if any */
	int64_t *rows;        /* PLAN_ROWS: in their order */
	size_t n_rows;
	size_t cap_rows;
	size_t next_row;
	struct buffer before; /* a document that is about to change */
};

/**
 * Plans a compiled task and stands before its first document.
 * @return 0; -EIO: sqlite_connection_answer().
 */
int source_init(struct source *s, struct connection *c, struct store_task *t);
/** For a collection that is known, without a plan: next() finds nothing. */
void source_init_for(struct source *s, struct connection *c, struct store_task *t, int64_t cid);
/** Ends every statement, and with it what SQLite keeps for this reader. */
void source_deinit(struct source *s);

/** Appends which way the plan goes, in words: for tests. @return as buffer_append(). */
int source_explain(const struct source *s, struct buffer *text);

/** The answer for a negative result of source_init() or engine_run(). */
void source_answer(const struct source *s, int r);
