/* The embedded store as a driver: opens the file, starts the threads, sorts tasks into queues. */
#include "director/store/driver.h"
#include "director/store/sqlite/worker.h"

#include <errno.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

/* Signals are the loop thread's. */
static int start_thread(pthread_t *thread, void *(*main)(void *), void *arg)
{
	sigset_t all;
	sigset_t before;
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	int r = pthread_create(thread, NULL, main, arg);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -r;
}

static int open_readers(struct sqlite_store *s, unsigned n, char why[static 256])
{
	for (unsigned i = 0; i < n; i++) {
		struct reader *reader = &s->readers[i];
		reader->store = s;
		int r = sqlite_connection_open(&reader->connection, s->path, SQLITE_OPEN_READONLY);
		s->n_readers++;
		if (r < 0) {
			(void)snprintf(why, 256, "%.150s: cannot be opened for reading (SQLite %d)",
				s->path, reader->connection.error);
			return r;
		}
	}
	return 0;
}

static int start_threads(struct sqlite_store *s)
{
	int r = 0;
	for (unsigned i = 0; i < s->n_readers && r == 0; i++) {
		struct reader *reader = &s->readers[i];
		r = start_thread(&reader->thread, reader_main, reader);
		reader->running = r == 0;
	}
	if (r == 0) {
		r = start_thread(&s->writer_thread, writer_main, s);
		s->writer_running = r == 0;
	}
	return r;
}

/* Takes back what sqlite_open() did, however far it got. */
static void destroy(struct sqlite_store *s)
{
	task_queue_close(&s->reads);
	for (unsigned i = 0; i < s->n_readers; i++) {
		if (s->readers[i].running) {
			(void)pthread_join(s->readers[i].thread, NULL);
		} else {
			sqlite_connection_close(&s->readers[i].connection);
		}
	}
	sqlite_connection_close(&s->writer);
	schema_unlock(&s->lock);
	task_queue_deinit(&s->reads);
	task_queue_deinit(&s->writes);
	free(s->path);
	free(s);
}

static int open_database(struct sqlite_store *s, unsigned readers, char why[static 256])
{
	enum schema_mark mark = SCHEMA_CLEAN;
	int r = schema_lock(&s->lock, s->path, &mark, why);
	if (r == 0 && mark == SCHEMA_RESTORING) {
		(void)snprintf(why, 256,
			"%.150s: a restore was cut off; run mozaiksctl restore again", s->path);
		r = -EINVAL;
	}
	r = r < 0 ? r : schema_open(&s->writer, s->path, mark == SCHEMA_IN_USE, why);
	r = r < 0 ? r : open_readers(s, readers, why);
	if (r == 0) {
		r = schema_lock_mark(&s->lock, SCHEMA_IN_USE);
	}
	return r < 0 ? r : start_threads(s);
}

static int sqlite_open(void **ret, const struct driver_config *c, char why[static 256])
{
	struct sqlite_store *s = calloc(1, sizeof(*s));
	if (s == NULL) {
		return -ENOMEM;
	}
	s->host = c->host;
	s->limits = c->limits;
	s->lock = SCHEMA_LOCK_NULL;
	int r = task_queue_init(&s->reads);
	if (r < 0) {
		free(s);
		return r;
	}
	r = task_queue_init(&s->writes);
	if (r < 0) {
		task_queue_deinit(&s->reads);
		free(s);
		return r;
	}
	unsigned readers = c->readers == 0 ? 1
		: c->readers > READERS_MAX ? READERS_MAX
					   : c->readers;
	s->path = strdup(c->address);
	r = s->path == NULL ? -ENOMEM : open_database(s, readers, why);
	if (r < 0) {
		if (why[0] == 0) {
			(void)snprintf(why, 256, "%.150s: %s", c->address, strerrordesc_np(-r));
		}
		destroy(s);
		return r;
	}
	*ret = s;
	return 0;
}

static void sqlite_submit(void *driver, struct store_task *t)
{
	struct sqlite_store *s = (struct sqlite_store *)driver;
	if (task_queue_push(store_task_changes(t) ? &s->writes : &s->reads, t) < 0) {
		(void)store_task_fail_errno(t, -ENOMEM);
		driver_done(s->host, t);
	}
}

/* The file is there as long as the process is; a failure is told with driver_failed(). */
static bool sqlite_ready(const void *driver)
{
	return true;
}

static void sqlite_stop(void *driver)
{
	struct sqlite_store *s = (struct sqlite_store *)driver;
	/* The writer ends last: when nothing is left to find for it, it lets the readers end, closes
	 * the file and says so. */
	task_queue_close(&s->writes);
}

static void sqlite_free(void *driver)
{
	struct sqlite_store *s = (struct sqlite_store *)driver;
	(void)pthread_join(s->writer_thread, NULL);
	task_queue_deinit(&s->reads);
	task_queue_deinit(&s->writes);
	free(s->path);
	free(s);
}

/* SQLite writes beside the file. */
static int sqlite_files(const char *address, store_file_fn each, void *arg)
{
	char *copy = strdup(address);
	if (copy == NULL) {
		return -ENOMEM;
	}
	int r = each(arg, dirname(copy), true);
	free(copy);
	return r;
}

const struct driver_ops sqlite_driver = {
	.name = "sqlite",
	.files = sqlite_files,
	.open = sqlite_open,
	.submit = sqlite_submit,
	.ready = sqlite_ready,
	.stop = sqlite_stop,
	.free = sqlite_free,
};
