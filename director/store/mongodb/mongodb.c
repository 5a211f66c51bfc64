/*
 * The driver for MongoDB: a pool of connections, a thread for each, and one thread that watches the
 * server and ends the others.
 *
 *  loop      submit -> queue
 *  threads   queue -> compile -> server -> answer        one client of the pool each
 *  watcher   asks the server every second; when it is gone, answers what waits in the queue;
 *            at the end joins the threads and closes the connections
 *
 * Nothing here waits longer than the timeouts of address.c: a task that is at work ends with the
 * socket's timeout, one that waits with the watcher's question.
 */
#include "common/base/log.h"
#include "common/base/map.h"
#include "director/store/driver.h"
#include "director/store/mongodb/address.h"
#include "director/store/mongodb/failure.h"
#include "director/store/mongodb/health.h"
#include "director/store/mongodb/queue.h"
#include "director/store/mongodb/run.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	THREADS_MAX = 64,
	WRITERS = 6, /* threads beside the readers, when the URI does not say how many */
	/* One plugin's part of the threads. */
	SHARE_OF = 4,
	SHARE = 3,
};

struct mongodb {
	struct driver_host *host;
	struct mongodb_address address;
	mongoc_client_pool_t *pool;
	struct mongodb_queue queue;
	struct mongodb_collections collections;
	struct mongodb_health health;
	struct mongodb_quotas quotas;
	pthread_t threads[THREADS_MAX];
	struct mongodb_taker takers[THREADS_MAX]; /* of the threads */
	unsigned n_takers;                        /* initialised */
	unsigned n_threads;                       /* that run */
	atomic_uint begun;                        /* threads that have chosen their taker */
	atomic_uint at_work;                      /* threads that have not ended */
	pthread_t watcher;
};

/* --- threads --- */

static void refuse(struct store_task *t)
{
	(void)store_task_fail(
		t, STORE_E_UNAVAILABLE, "%s", mongodb_class_text(STORE_E_UNAVAILABLE));
}

static void run(struct mongodb *m, struct mongodb_session *s, struct store_task *t)
{
	if (store_task_skips(t) || store_task_compile(t) != 0) {
		return;
	}
	if (mongodb_health_wait(&m->health)) {
		mongodb_run(s, t);
	} else {
		refuse(t);
	}
}

static void *work(void *arg)
{
	struct mongodb *m = (struct mongodb *)arg;
	struct mongodb_session s = {
		.collections = &m->collections, .health = &m->health, .quotas = &m->quotas
	};
	struct mongodb_turn turn;
	struct mongodb_taker *taker = &m->takers[atomic_fetch_add(&m->begun, 1)];
	s.client = mongoc_client_pool_pop(m->pool);
	s.database = mongoc_client_get_database(s.client, m->address.database);
	while (mongodb_queue_pop(&m->queue, taker, &turn)) {
		run(m, &s, turn.t);
		driver_done(m->host, turn.t);
		mongodb_queue_end(&m->queue, &turn);
	}
	mongoc_database_destroy(s.database);
	mongoc_client_pool_push(m->pool, s.client);
	if (atomic_fetch_sub(&m->at_work, 1) == 1) {
		mongodb_health_stop(&m->health);
	}
	return NULL;
}

/* What waits would only wait longer: for threads that wait for the server. */
static void refuse_waiting(struct mongodb *m)
{
	struct store_task *list = mongodb_queue_take_all(&m->queue);
	struct store_task *t = NULL;
	struct store_task *following = NULL;
	DL_FOREACH_SAFE (list, t, following) {
		refuse(t);
		driver_done(m->host, t);
	}
}

static void *watch(void *arg)
{
	struct mongodb *m = (struct mongodb *)arg;
	do {
		if (mongodb_health_ask(&m->health) == MONGODB_DOWN) {
			refuse_waiting(m);
		}
	} while (mongodb_health_pause(&m->health));
	for (unsigned i = 0; i < m->n_threads; i++) {
		(void)pthread_join(m->threads[i], NULL);
	}
	/* May talk to the server; not on the loop. */
	mongoc_client_pool_destroy(m->pool);
	driver_stopped(m->host);
	return NULL;
}

/* Signals are the loop's. */
static int start(pthread_t *thread, void *(*function)(void *arg), void *arg)
{
	sigset_t all;
	sigset_t before;
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_BLOCK, &all, &before);
	int r = pthread_create(thread, NULL, function, arg);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -r;
}

static int init_takers(struct mongodb *m, unsigned wanted)
{
	int r = 0;
	while (m->n_takers < wanted && r == 0) {
		r = mongodb_taker_init(&m->takers[m->n_takers]);
		m->n_takers += r == 0;
	}
	return r;
}

static void deinit_takers(struct mongodb *m)
{
	while (m->n_takers > 0) {
		mongodb_taker_deinit(&m->takers[--m->n_takers]);
	}
}

static int start_threads(struct mongodb *m, unsigned wanted)
{
	int r = init_takers(m, wanted);
	atomic_store(&m->at_work, wanted);
	while (m->n_threads < wanted && r == 0) {
		r = start(&m->threads[m->n_threads], work, m);
		m->n_threads += r == 0;
	}
	if (r == 0) {
		r = start(&m->watcher, watch, m);
	}
	if (r < 0) {
		mongodb_queue_close(&m->queue);
		for (unsigned i = 0; i < m->n_threads; i++) {
			(void)pthread_join(m->threads[i], NULL);
		}
	}
	return r;
}

/* --- the driver --- */

static unsigned threads_wanted(const struct mongodb *m, unsigned readers)
{
	unsigned n = m->address.threads > 0 ? m->address.threads : readers + WRITERS;
	return n > THREADS_MAX ? THREADS_MAX : n;
}

static int make_pool(struct mongodb *m, unsigned threads, char why[static 256])
{
	bson_error_t error;
	m->pool = mongoc_client_pool_new_with_error(m->address.uri, &error);
	if (m->pool == NULL) {
		/* Its text could show parts of the URI. */
		(void)snprintf(
			why, 256, "DATABASE_URI: libmongoc refuses it (error %u)", error.code);
		return -EINVAL;
	}
	(void)mongoc_client_pool_set_error_api(m->pool, MONGOC_ERROR_API_VERSION_2);
	mongoc_client_pool_max_size(m->pool, threads);
	return 0;
}

static int mongodb_open(void **ret_driver, const struct driver_config *c, char why[static 256])
{
	mongoc_init();
	struct mongodb *m = calloc(1, sizeof(*m));
	if (m == NULL) {
		return -ENOMEM;
	}
	m->host = c->host;
	unsigned threads = 0;
	int r = mongodb_address_init(&m->address, c->address, c->limits->operation_ms, why);
	if (r < 0) {
		goto no_address;
	}
	mongodb_address_log();
	threads = threads_wanted(m, c->readers);
	r = make_pool(m, threads, why);
	if (r < 0) {
		goto no_pool;
	}
	r = mongodb_queue_init(&m->queue, threads * SHARE / SHARE_OF);
	if (r < 0) {
		goto no_queue;
	}
	r = mongodb_collections_init(&m->collections);
	if (r < 0) {
		goto no_collections;
	}
	r = mongodb_quotas_init(&m->quotas);
	if (r < 0) {
		goto no_quotas;
	}
	r = mongodb_health_init(&m->health, m->address.uri);
	if (r < 0) {
		goto no_health;
	}
	r = start_threads(m, threads);
	if (r == 0) {
		*ret_driver = m;
		return 0;
	}
	deinit_takers(m);
	mongodb_health_deinit(&m->health);
no_health:
	mongodb_quotas_deinit(&m->quotas);
no_quotas:
	mongodb_collections_deinit(&m->collections);
no_collections:
	mongodb_queue_deinit(&m->queue);
no_queue:
	mongoc_client_pool_destroy(m->pool);
no_pool:
	mongodb_address_deinit(&m->address);
no_address:
	free(m);
	return r;
}

static void mongodb_submit(void *driver, struct store_task *t)
{
	struct mongodb *m = (struct mongodb *)driver;
	int r = mongodb_queue_push(&m->queue, t);
	if (r < 0) {
		(void)store_task_fail_errno(t, r);
		driver_done(m->host, t);
	}
}

static bool mongodb_ready(const void *driver)
{
	return mongodb_health_is_up(&((const struct mongodb *)driver)->health);
}

static void mongodb_stop(void *driver)
{
	struct mongodb *m = (struct mongodb *)driver;
	mongodb_queue_close(&m->queue);
}

static void mongodb_free(void *driver)
{
	struct mongodb *m = (struct mongodb *)driver;
	(void)pthread_join(m->watcher, NULL);
	deinit_takers(m);
	mongodb_health_deinit(&m->health);
	mongodb_quotas_deinit(&m->quotas);
	mongodb_collections_deinit(&m->collections);
	mongodb_queue_deinit(&m->queue);
	mongodb_address_deinit(&m->address);
	free(m);
}

const struct driver_ops mongodb_driver = {
	.name = "mongodb",
	.files = mongodb_address_files,
	.open = mongodb_open,
	.submit = mongodb_submit,
	.ready = mongodb_ready,
	.stop = mongodb_stop,
	.free = mongodb_free,
};
