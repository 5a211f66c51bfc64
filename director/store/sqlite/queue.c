#include "director/store/sqlite/queue.h"

#include "common/base/map.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

struct lane {
	UT_hash_handle hh;
	struct lane *prev, *next; /* in task_queue.turn */
	struct store_task *tasks;
	bool held; /* in its turn only to give out the task that holds it */
	size_t n;
	uint8_t plugin[];
};

int task_queue_init(struct task_queue *q)
{
	*q = (struct task_queue){ 0 };
	int r = pthread_mutex_init(&q->lock, NULL);
	if (r != 0) {
		return -r;
	}
	r = pthread_cond_init(&q->filled, NULL);
	if (r != 0) {
		pthread_mutex_destroy(&q->lock);
	}
	return -r;
}

void task_queue_deinit(struct task_queue *q)
{
	pthread_cond_destroy(&q->filled);
	pthread_mutex_destroy(&q->lock);
}

static struct lane *find_lane(struct task_queue *q, struct slice plugin)
{
	struct lane *lane = NULL;
	HASH_FIND(hh, q->lanes, plugin.p, plugin.n, lane);
	return lane;
}

/* Not yet in its turn. */
static struct lane *make_lane(struct task_queue *q, struct slice plugin)
{
	struct lane *lane = calloc(1, sizeof(*lane) + plugin.n);
	if (lane == NULL) {
		return NULL;
	}
	lane->n = plugin.n;
	memcpy(lane->plugin, plugin.p, plugin.n);
	HASH_ADD_KEYPTR(hh, q->lanes, lane->plugin, lane->n, lane);
	if (lane->hh.tbl == NULL) {
		free(lane);
		return NULL;
	}
	return lane;
}

static void drop_lane(struct task_queue *q, struct lane *lane)
{
	HASH_DEL(q->lanes, lane);
	free(lane);
}

int task_queue_push(struct task_queue *q, struct store_task *t)
{
	(void)pthread_mutex_lock(&q->lock);
	struct lane *lane = find_lane(q, t->plugin);
	if (lane == NULL) {
		lane = make_lane(q, t->plugin);
		if (lane != NULL) {
			DL_APPEND(q->turn, lane);
		}
	}
	if (lane != NULL) {
		DL_APPEND(lane->tasks, t);
		(void)pthread_cond_signal(&q->filled);
	}
	(void)pthread_mutex_unlock(&q->lock);
	return lane == NULL ? -ENOMEM : 0;
}

/* Under the lock. */
static struct store_task *take(struct task_queue *q)
{
	struct lane *lane = q->turn;
	if (lane == NULL) {
		return NULL;
	}
	struct store_task *t = lane->tasks;
	DL_DELETE(lane->tasks, t);
	DL_DELETE(q->turn, lane);
	if (lane->held) {
		return t;
	}
	if (lane->tasks != NULL) {
		DL_APPEND(q->turn, lane);
	} else {
		drop_lane(q, lane);
	}
	return t;
}

struct store_task *task_queue_pop(struct task_queue *q)
{
	(void)pthread_mutex_lock(&q->lock);
	struct store_task *t = take(q);
	while (t == NULL && (!q->closed || q->held > 0)) {
		(void)pthread_cond_wait(&q->filled, &q->lock);
		t = take(q);
	}
	(void)pthread_mutex_unlock(&q->lock);
	return t;
}

struct store_task *task_queue_pop_within(struct task_queue *q, uint64_t ms)
{
	struct timespec end;
	int late = clock_gettime(CLOCK_REALTIME, &end);
	uint64_t ns = (uint64_t)end.tv_nsec + ms % 1000 * 1000000;
	end.tv_sec += (time_t)(ms / 1000 + ns / 1000000000);
	end.tv_nsec = (long)(ns % 1000000000);
	(void)pthread_mutex_lock(&q->lock);
	struct store_task *t = take(q);
	while (t == NULL && late == 0 && (!q->closed || q->held > 0)) {
		late = pthread_cond_timedwait(&q->filled, &q->lock, &end);
		t = take(q);
	}
	(void)pthread_mutex_unlock(&q->lock);
	return t;
}

struct store_task *task_queue_try_pop(struct task_queue *q)
{
	(void)pthread_mutex_lock(&q->lock);
	struct store_task *t = take(q);
	(void)pthread_mutex_unlock(&q->lock);
	return t;
}

int task_queue_hold(struct task_queue *q, const struct store_task *t)
{
	(void)pthread_mutex_lock(&q->lock);
	struct lane *lane = find_lane(q, t->plugin);
	if (lane != NULL) {
		DL_DELETE(q->turn, lane); /* where it waits with its next task */
	} else {
		lane = make_lane(q, t->plugin);
	}
	if (lane != NULL) {
		lane->held = true;
		q->held++;
	}
	(void)pthread_mutex_unlock(&q->lock);
	return lane == NULL ? -ENOMEM : 0;
}

void task_queue_put_back(struct task_queue *q, struct store_task *t)
{
	(void)pthread_mutex_lock(&q->lock);
	struct lane *lane = find_lane(q, t->plugin);
	DL_PREPEND(lane->tasks, t);
	DL_APPEND(q->turn, lane);
	(void)pthread_cond_signal(&q->filled);
	(void)pthread_mutex_unlock(&q->lock);
}

void task_queue_release(struct task_queue *q, const struct store_task *t)
{
	(void)pthread_mutex_lock(&q->lock);
	struct lane *lane = find_lane(q, t->plugin);
	lane->held = false;
	q->held--;
	if (lane->tasks != NULL) {
		DL_APPEND(q->turn, lane);
	} else {
		drop_lane(q, lane);
	}
	(void)pthread_cond_broadcast(&q->filled);
	(void)pthread_mutex_unlock(&q->lock);
}

bool task_queue_is_closed(struct task_queue *q)
{
	(void)pthread_mutex_lock(&q->lock);
	bool closed = q->closed;
	(void)pthread_mutex_unlock(&q->lock);
	return closed;
}

void task_queue_close(struct task_queue *q)
{
	(void)pthread_mutex_lock(&q->lock);
	q->closed = true;
	(void)pthread_cond_broadcast(&q->filled);
	(void)pthread_mutex_unlock(&q->lock);
}
