/*
 * Reader threads, each with its own read-only connection. A task reads a snapshot; it sees all that
 * was answered before it was submitted, because answers follow the commit. They also find the
 * documents of the writer's jobs.
 */
#include "common/base/log.h"
#include "director/store/sqlite/job.h"
#include "director/store/sqlite/source.h"
#include "director/store/sqlite/worker.h"

/* The error that the answer is made of stays. */
static void end_snapshot(struct connection *c)
{
	int error = c->error;
	int error_errno = c->error_errno;
	if (sqlite3_get_autocommit(c->db) == 0) {
		(void)sqlite_connection_run(c, ST_COMMIT);
	}
	c->error = error;
	c->error_errno = error_errno;
}

static void run_task(struct reader *reader, struct store_task *t)
{
	struct source source;
	if (store_task_compile(t) != 0) {
		return;
	}
	/* An index and the documents that it finds are of one state of the file. */
	(void)sqlite_connection_run(&reader->connection, ST_SNAPSHOT);
	int r = source_init(&source, &reader->connection, t);
	r = r < 0 ? r : engine_run(t, &source.engine);
	/* Ends the snapshot: one that is kept would keep the log from starting anew. */
	source_deinit(&source);
	end_snapshot(&reader->connection);
	if (r < 0) {
		source_answer(&source, r);
		log_event(LOG_ERROR, "store.read", "a read failed (%d, SQLite %d)", r,
			reader->connection.error);
	}
}

void *reader_main(void *arg)
{
	struct reader *reader = (struct reader *)arg;
	struct sqlite_store *s = reader->store;
	struct store_task *t;
	/* By the thread itself: by another it would be a file in /proc, which is out of reach. */
	(void)pthread_setname_np(pthread_self(), "store-reader");
	while ((t = task_queue_pop(&s->reads)) != NULL) {
		if (job_of(t) != NULL) {
			(void)sqlite_connection_run(&reader->connection, ST_SNAPSHOT);
			job_match(&reader->connection, t);
			end_snapshot(&reader->connection);
			task_queue_put_back(&s->writes, t);
			continue;
		}
		run_task(reader, t);
		driver_done(s->host, t);
	}
	sqlite_connection_close(&reader->connection);
	return NULL;
}
