/*
 * Reader threads, each with its own read-only connection. A task reads a snapshot; it sees all that
 * was answered before it was submitted, because answers follow the commit. They also find the
 * documents of the writer's jobs.
 */
#include "common/base/log.h"
#include "director/store/sqlite/job.h"
#include "director/store/sqlite/source.h"
#include "director/store/sqlite/worker.h"

static void run_task(struct reader *reader, struct store_task *t)
{
	struct source source;
	if (store_task_compile(t) != 0) {
		return;
	}
	int r = source_init(&source, &reader->connection, t);
	r = r < 0 ? r : engine_run(t, &source.engine);
	/* Ends the snapshot: one that is kept would keep the log from starting anew. */
	source_deinit(&source);
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
			job_match(&reader->connection, t);
			task_queue_put_back(&s->writes, t);
			continue;
		}
		run_task(reader, t);
		driver_done(s->host, t);
	}
	sqlite_connection_close(&reader->connection);
	return NULL;
}
