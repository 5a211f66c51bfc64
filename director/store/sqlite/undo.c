#include "director/store/sqlite/undo.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "director/store/sqlite/source.h"

#include <errno.h>

/* A statement with up to three numbers. @return as sqlite_connection_step(); it stays on its row. */
static int run_numbers(struct connection *c,
	enum statement which,
	int64_t first,
	int64_t second,
	int64_t third,
	sqlite3_stmt **ret)
{
	const int64_t numbers[] = { first, second, third };
	sqlite3_stmt *st = sqlite_connection_statement(c, which);
	if (st == NULL) {
		return -EIO;
	}
	int n = sqlite3_bind_parameter_count(st);
	for (int i = 0; i < n; i++) {
		if (sqlite3_bind_int64(st, i + 1, numbers[i]) != SQLITE_OK) {
			return sqlite_connection_failed(c);
		}
	}
	*ret = st;
	return sqlite_connection_step(c, st);
}

static int run(struct connection *c, enum statement which, int64_t a, int64_t b, int64_t d)
{
	sqlite3_stmt *st = NULL;
	int r = run_numbers(c, which, a, b, d, &st);
	if (st != NULL) {
		(void)sqlite3_reset(st);
	}
	return r < 0 ? r : 0;
}

int undo_begin(struct connection *c, int64_t job)
{
	return run(c, ST_JOB_ADD, job, 0, 0);
}

int undo_end(struct connection *c, int64_t job)
{
	return run(c, ST_JOB_END, job, 0, 0);
}

int undo_keep(struct connection *c, int64_t job, int64_t rid)
{
	return run(c, ST_UNDO_KEEP, job, rid, 0);
}

int undo_inserted(struct connection *c, int64_t job, int64_t rid, int64_t cid)
{
	return run(c, ST_UNDO_INSERTED, job, rid, cid);
}

/* Through the source, so that whatever hangs on a document changes with it. */
static int restore(struct source *s, int64_t rid, struct slice before)
{
	struct slice now;
	if (before.n == 0) {
		return s->engine.ops->remove(&s->engine, rid);
	}
	int r = s->engine.ops->load(&s->engine, rid, &now);
	if (r > 0) {
		return s->engine.ops->replace(&s->engine, rid, before);
	}
	s->next_rid = rid;
	r = r < 0 ? r
		  : s->engine.ops->insert(&s->engine, before, document_find(before, SLICE("_id")));
	return r < 0 ? r : 0;
}

/* The first row of a job. @return 1 when there was one; 0; negative. */
static int restore_one(struct connection *c, int64_t job, struct buffer *before)
{
	struct store_task task = { .op = STORE_UPDATE, .scope = STORE_SCOPE_SHARED };
	struct source source;
	sqlite3_stmt *st = NULL;
	int r = run_numbers(c, ST_UNDO_FIRST, job, 0, 0, &st);
	if (r <= 0) {
		return r;
	}
	int64_t rid = sqlite3_column_int64(st, 0);
	int64_t cid = sqlite3_column_int64(st, 1);
	buffer_clear(before);
	r = buffer_append(
		before, slice_of(sqlite3_column_blob(st, 2), (size_t)sqlite3_column_bytes(st, 2)));
	(void)sqlite3_reset(st);
	if (r < 0) {
		return r;
	}
	source_init_for(&source, c, &task, cid);
	r = restore(&source, rid, buffer_slice(before));
	source_deinit(&source);
	r = r < 0 ? r : run(c, ST_UNDO_DROP, job, rid, 0);
	return r < 0 ? r : 1;
}

int undo_step(struct connection *c, int64_t job, uint64_t until_ns)
{
	struct buffer before;
	int r = 1;
	buffer_init(&before, UINT32_MAX);
	do {
		r = restore_one(c, job, &before);
	} while (r > 0 && clock_ns() < until_ns);
	buffer_deinit(&before);
	return r;
}

int undo_sweep(struct connection *c)
{
	int r = sqlite_connection_run(c, ST_UNDO_SWEEP);
	return r < 0 ? r : sqlite3_changes(c->db);
}

/* The smallest job that is not at its end. @return 1; 0 when there is none; -EIO. */
static int next_job(struct connection *c, int64_t *ret_job)
{
	sqlite3_stmt *st = NULL;
	int r = run_numbers(c, ST_JOB_FIRST, 0, 0, 0, &st);
	if (r > 0) {
		*ret_job = sqlite3_column_int64(st, 0);
	}
	if (st != NULL) {
		(void)sqlite3_reset(st);
	}
	return r;
}

static int recover(struct connection *c)
{
	int64_t job = 0;
	int r = 0;
	while (r >= 0 && (r = next_job(c, &job)) > 0) {
		log_event(LOG_WARNING, "store.undone",
			"a change that was cut off by the last stop is taken back");
		r = undo_step(c, job, UINT64_MAX);
		r = r < 0 ? r : undo_end(c, job);
	}
	return r < 0 ? r : sqlite_connection_run(c, ST_UNDO_CLEAR);
}

int undo_recover(struct connection *c)
{
	int r = sqlite_connection_run(c, ST_BEGIN);
	r = r < 0 ? r : recover(c);
	r = r < 0 ? r : sqlite_connection_run(c, ST_COMMIT);
	if (r < 0 && sqlite3_get_autocommit(c->db) == 0) {
		struct connection failure = *c;
		(void)sqlite_connection_run(c, ST_ROLLBACK);
		c->error = failure.error;
		c->error_errno = failure.error_errno;
	}
	sqlite_connection_forget(c);
	return r;
}
