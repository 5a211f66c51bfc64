/*
 * The writer thread: group commit.
 *
 *	BEGIN IMMEDIATE
 *	    SAVEPOINT, one task, RELEASE (or ROLLBACK TO)     up to 100 tasks or 2 ms
 *	COMMIT                                                one fsync for all of them
 *	answers
 *
 * A task that takes longer than such a piece is taken back and becomes a job (job.h): the documents
 * are found by a reader, then it changes some of them per batch, after a turn of the others.
 *
 * It never waits for more tasks: what gathers while a commit is at the disk is the next batch. A
 * commit that fails for want of room did nothing. One that fails in any other way is unknown: nothing
 * more is written, since a second fsync after a failed one proves nothing, and the restart finds out
 * what is there.
 */
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/map.h"
#include "director/store/sqlite/expire.h"
#include "director/store/sqlite/job.h"
#include "director/store/sqlite/quota.h"
#include "director/store/sqlite/source.h"
#include "director/store/sqlite/undo.h"
#include "director/store/sqlite/worker.h"

#include <errno.h>
#include <time.h>

enum {
	BATCH_TASKS = 100,
	BATCH_NS = 2000000,
	PIECE_MS = 2,
	/* Between attempts to take a job back that cannot be taken back now. */
	RETRY_NS = 10000000,
	/* Pages in the log after which it is copied into the database; and after which readers are
	 * waited for, so that it starts anew (64 MiB). */
	CHECKPOINT_PAGES = 1000,
	RESTART_PAGES = 16384,
	/* How often documents expire, and how many in one transaction. */
	EXPIRE_EVERY_MS = 60000,
	EXPIRE_SOME = 100,
	RESTART_WAIT_MS = 100,
};

struct batch {
	struct store_task *tasks; /* carried out, not yet answered */
	struct store_task *jobs;  /* not at their end */
	unsigned n;
	uint64_t started_ns;
	bool lost; /* SQLite has rolled the whole transaction back */
};

static void give_back(struct sqlite_store *s, struct store_task *t)
{
	if (job_of(t) != NULL) {
		store_task_note(t); /* its lane goes on */
		s->garbage = true;
		task_queue_release(&s->writes, t);
		job_free(t);
	}
	driver_done(s->host, t);
}

/* Nothing more is written from here on. */
static void fail_store(struct sqlite_store *s, const char *what)
{
	if (s->failed) {
		return;
	}
	s->failed = true;
	log_event(LOG_ERROR, "store.failed", "%s failed (SQLite %d, errno %d): no more writes",
		what, s->writer.error, s->writer.error_errno);
	/* Closing must not touch the file either. */
	(void)sqlite3_db_config(s->writer.db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	driver_failed(s->host);
}

static void rollback(struct sqlite_store *s)
{
	if (sqlite3_get_autocommit(s->writer.db) == 0) {
		(void)sqlite_connection_run(&s->writer, ST_ROLLBACK);
	}
	sqlite_connection_forget(&s->writer);
}

/* Nothing of the task is stored, or it is unknown. */
static void fail_task(
	struct sqlite_store *s, struct store_task *t, enum store_error e, const char *message)
{
	if (e == STORE_OK) {
		sqlite_connection_answer(&s->writer, t);
	} else {
		(void)store_task_fail(t, e, "%s", message);
	}
}

/* The next piece of a job. */
static void go_on(struct sqlite_store *s, struct store_task *t)
{
	if (job_of(t)->phase != JOB_MATCH) {
		task_queue_put_back(&s->writes, t);
	} else if (task_queue_push(&s->reads, t) < 0) {
		(void)store_task_fail_errno(t, -ENOMEM);
		give_back(s, t);
	}
}

/* A job whose piece was lost with its batch. */
static void turn_back(struct sqlite_store *s, struct store_task *t)
{
	const struct job *job = job_of(t);
	if (job->phase == JOB_UNDO && task_queue_is_closed(&s->writes)) {
		(void)store_task_fail(
			t, STORE_E_UNKNOWN, "the change is to be taken back by the next start");
		give_back(s, t);
		return;
	}
	if (job->phase == JOB_APPLY) {
		fail_task(s, t, STORE_OK, NULL);
		job_turn_back(t);
	} else if (job->phase == JOB_UNDO) {
		(void)nanosleep(&(struct timespec){ .tv_nsec = RETRY_NS }, NULL);
	}
	go_on(s, t);
}

static void each_job(struct sqlite_store *s,
	struct batch *b,
	void (*fn)(struct sqlite_store *, struct store_task *))
{
	struct store_task *t;
	struct store_task *next;
	DL_FOREACH_SAFE (b->jobs, t, next) {
		DL_DELETE(b->jobs, t);
		fn(s, t);
	}
}

/* Answers every task of the batch alike: what it would have answered is void. Jobs are turned back,
 * unless nobody knows what is stored (`e`): that is the next start's to find out. */
static void fail_batch(
	struct sqlite_store *s, struct batch *b, enum store_error e, const char *message)
{
	struct store_task *t;
	struct store_task *next;
	if (e != STORE_OK) {
		DL_CONCAT(b->tasks, b->jobs);
		b->jobs = NULL;
	}
	DL_FOREACH_SAFE (b->tasks, t, next) {
		DL_DELETE(b->tasks, t);
		if (job_of(t) != NULL && e == STORE_OK) {
			turn_back(s, t);
		} else {
			fail_task(s, t, e, message);
			give_back(s, t);
		}
	}
	each_job(s, b, turn_back);
	s->garbage = false; /* not now; the next job or the next start sweeps */
	b->n = 0;
}

/* A task that takes too long for a batch. It has done nothing. */
static void make_job(struct sqlite_store *s, struct store_task *t)
{
	int r = job_new(t, s->last_job + 1);
	r = r < 0 ? r : task_queue_hold(&s->writes, t);
	if (r == 0) {
		s->last_job++;
		return;
	}
	job_free(t);
	(void)store_task_fail_errno(t, r);
}

/* As engine_try(), and not more than the quotas allow. */
static int try_task(struct sqlite_store *s, struct store_task *t, struct source *source)
{
	struct quota_usage before;
	if (t->op == STORE_DELETE) {
		return engine_try(t, &source->engine, PIECE_MS);
	}
	int r = quota_read(&s->writer, t, &before);
	r = r < 0 ? r : engine_try(t, &source->engine, PIECE_MS);
	if (r == 0 && store_task_keeps(t)) {
		r = quota_check(&s->writer, t, &before);
	}
	return r < 0 ? r : 0;
}

/* Carries out one task inside its savepoint; its answer is in it, or it has become a job. */
static void run_task(struct sqlite_store *s, struct store_task *t)
{
	struct source source;
	int r = sqlite_connection_run(&s->writer, ST_SAVEPOINT);
	if (r < 0) {
		sqlite_connection_answer(&s->writer, t);
		return;
	}
	r = source_init(&source, &s->writer, t);
	r = r < 0 ? r : try_task(s, t, &source);
	source_deinit(&source);
	if (r == -ETIME) {
		make_job(s, t);
	} else if (r < 0) {
		source_answer(&source, r);
	}
	if (sqlite3_get_autocommit(s->writer.db) != 0) {
		return; /* the savepoint went with the transaction */
	}
	bool keeps = r == 0 && store_task_keeps(t);
	s->garbage = s->garbage || (keeps && t->op == STORE_INDEX_DROP);
	if (!keeps) {
		/* Collections that it made are gone again. */
		sqlite_connection_forget(&s->writer);
	}
	if ((!keeps && sqlite_connection_run(&s->writer, ST_ROLLBACK_TO) < 0) ||
		sqlite_connection_run(&s->writer, ST_RELEASE) < 0) {
		sqlite_connection_answer(&s->writer, t);
		rollback(s);
	}
}

/* @return whether the task is at its end. */
static bool run_piece(struct sqlite_store *s, struct batch *b, struct store_task *t)
{
	if (job_of(t) == NULL) {
		run_task(s, t);
		return job_of(t) == NULL;
	}
	int r = job_step(&s->writer, t, clock_ns() + BATCH_NS);
	if (r < 0) {
		/* Half of a piece must not be committed. */
		rollback(s);
	}
	return r == 0;
}

static void add_task(struct sqlite_store *s, struct batch *b, struct store_task *t)
{
	if (job_of(t) == NULL && (store_task_skips(t) || store_task_compile(t) != 0)) {
		give_back(s, t); /* it has read and changed nothing */
		return;
	}
	if (run_piece(s, b, t)) {
		/* The next of its chain may be in the same batch. */
		store_task_note(t);
		DL_APPEND(b->tasks, t);
	} else {
		DL_APPEND(b->jobs, t);
	}
	b->n++;
	b->lost = sqlite3_get_autocommit(s->writer.db) != 0;
}

static void commit(struct sqlite_store *s, struct batch *b)
{
	if (sqlite_connection_run(&s->writer, ST_COMMIT) == 0) {
		struct store_task *t;
		struct store_task *next;
		DL_FOREACH_SAFE (b->tasks, t, next) {
			DL_DELETE(b->tasks, t);
			give_back(s, t);
		}
		each_job(s, b, go_on);
		return;
	}
	struct connection failure = s->writer;
	bool nothing_done = sqlite_connection_is_full(&failure) ||
		(failure.error & 0xff) == SQLITE_NOMEM || (failure.error & 0xff) == SQLITE_BUSY;
	if (!nothing_done) {
		fail_batch(s, b, STORE_E_UNKNOWN,
			"the commit failed: the change may or may not be stored");
		fail_store(s, "a commit");
	}
	rollback(s);
	s->writer.error = failure.error;
	s->writer.error_errno = failure.error_errno;
	fail_batch(s, b, STORE_OK, NULL);
}

/* Moves the log's pages into the database, after the answers. */
static void checkpoint(struct sqlite_store *s)
{
	if (s->wal_pages < s->checkpointed) {
		s->checkpointed = 0; /* the log started anew */
	}
	if (s->failed || s->wal_pages - s->checkpointed < CHECKPOINT_PAGES) {
		return;
	}
	int mode = s->wal_pages < RESTART_PAGES ? SQLITE_CHECKPOINT_PASSIVE
						: SQLITE_CHECKPOINT_RESTART;
	s->checkpointed = s->wal_pages;
	/* A backup reads for minutes: the log grows meanwhile, writes go on. */
	(void)sqlite3_busy_timeout(s->writer.db, RESTART_WAIT_MS);
	int r = sqlite3_wal_checkpoint_v2(s->writer.db, NULL, mode, NULL, NULL);
	(void)sqlite3_busy_timeout(s->writer.db, CONNECTION_WAIT_MS);
	if (r == SQLITE_OK || r == SQLITE_BUSY) {
		return;
	}
	(void)sqlite_connection_failed(&s->writer);
	if (sqlite_connection_is_full(&s->writer) || (s->writer.error & 0xff) == SQLITE_NOMEM) {
		log_event(LOG_WARNING, "store.checkpoint", "put off (SQLite %d)", s->writer.error);
		return;
	}
	fail_store(s, "a checkpoint");
}

static int on_wal(void *arg, sqlite3 *db, const char *name, int pages)
{
	struct sqlite_store *s = (struct sqlite_store *)arg;
	s->wal_pages = pages;
	return SQLITE_OK;
}

/* A task that cannot even begin. */
static void turn_away(struct sqlite_store *s, struct store_task *t)
{
	bool half = job_of(t) != NULL && job_of(t)->applied;
	if (s->failed) {
		(void)store_task_fail(
			t, half ? STORE_E_UNKNOWN : STORE_E_UNAVAILABLE, "the database has failed");
	} else if (half) {
		turn_back(s, t);
		return;
	} else {
		sqlite_connection_answer(&s->writer, t);
	}
	give_back(s, t);
}

static void end_batch(struct sqlite_store *s, struct batch *b)
{
	if (!b->lost && s->garbage) {
		int n = undo_sweep(&s->writer);
		n = n != 0 ? n : indexes_sweep(&s->writer);
		s->garbage = n != 0;
		b->lost = sqlite3_get_autocommit(s->writer.db) != 0;
	}
	if (b->lost) {
		sqlite_connection_forget(&s->writer);
		fail_batch(s, b, STORE_OK, NULL);
		if (sqlite_connection_is_damaged(&s->writer)) {
			fail_store(s, "a write");
		}
		return;
	}
	commit(s, b);
	checkpoint(s);
}

/* One transaction, beginning with this task; NULL: only to sweep. */
static void run_batch(struct sqlite_store *s, struct store_task *first)
{
	struct batch b = { .started_ns = clock_ns() };
	if (s->failed || sqlite_connection_run(&s->writer, ST_BEGIN) < 0) {
		s->garbage = false;
		if (first != NULL) {
			turn_away(s, first);
		}
		return;
	}
	for (struct store_task *t = first; t != NULL; t = task_queue_try_pop(&s->writes)) {
		add_task(s, &b, t);
		if (b.lost || b.n == BATCH_TASKS || clock_ns() - b.started_ns > BATCH_NS) {
			break;
		}
	}
	end_batch(s, &b);
}

/* Removes documents whose time is over, some at a time, once a minute. */
static void expire(struct sqlite_store *s)
{
	uint64_t now = clock_ms();
	if (s->failed || now < s->expire_at_ms) {
		return;
	}
	struct batch b = { .started_ns = clock_ns() };
	s->expire_at_ms = now + EXPIRE_EVERY_MS;
	if (sqlite_connection_run(&s->writer, ST_BEGIN) < 0) {
		return;
	}
	int n = expire_some(&s->writer, clock_unix_ms(), EXPIRE_SOME);
	/* A full portion: there may be more, after those who wait. */
	if (n == EXPIRE_SOME) {
		s->expire_at_ms = now;
	}
	if (n <= 0) {
		rollback(s);
		return;
	}
	commit(s, &b);
	checkpoint(s);
}

/* The next task; sweeps while there is none. */
static struct store_task *next_task(struct sqlite_store *s)
{
	struct store_task *t = task_queue_try_pop(&s->writes);
	while (t == NULL && s->garbage && !s->failed && !task_queue_is_closed(&s->writes)) {
		run_batch(s, NULL);
		t = task_queue_try_pop(&s->writes);
	}
	while (t == NULL && !s->failed && !task_queue_is_closed(&s->writes)) {
		uint64_t now = clock_ms();
		if (now >= s->expire_at_ms) {
			expire(s);
			t = task_queue_try_pop(&s->writes);
		} else {
			t = task_queue_pop_within(&s->writes, s->expire_at_ms - now);
		}
	}
	return t != NULL ? t : task_queue_pop(&s->writes);
}

/* The last connection to go: SQLite then empties the log into the database. */
static void close_database(struct sqlite_store *s)
{
	task_queue_close(&s->reads);
	for (unsigned i = 0; i < s->n_readers; i++) {
		(void)pthread_join(s->readers[i].thread, NULL);
		s->readers[i].running = false;
	}
	sqlite_connection_close(&s->writer);
	if (!s->failed) {
		(void)schema_lock_mark(&s->lock, SCHEMA_CLEAN);
	}
	schema_unlock(&s->lock);
}

void *writer_main(void *store)
{
	struct sqlite_store *s = (struct sqlite_store *)store;
	struct store_task *t;
	(void)pthread_setname_np(pthread_self(), "store-writer");
	(void)sqlite3_wal_hook(s->writer.db, on_wal, s);
	s->garbage = true; /* the last life may have left some */
	while ((t = next_task(s)) != NULL) {
		run_batch(s, t);
		expire(s);
	}
	close_database(s);
	driver_stopped(s->host);
	return NULL;
}
