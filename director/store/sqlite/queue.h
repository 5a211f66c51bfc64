/*
 * Tasks between the loop and the threads, served fairly: one lane per plugin, one task from each lane
 * in turn, so that a plugin with a thousand commands waiting does not make the others wait for all of
 * them. Inside a lane the order of arrival holds. Any thread.
 *
 * A task that is not done in one go holds its lane: nothing else of its plugin is given out until it
 * is at its end, and it comes again after a turn of the others.
 */
#pragma once

#include "director/store/task.h"

#include <pthread.h>

struct lane;

struct task_queue {
	pthread_mutex_t lock;
	pthread_cond_t filled;
	struct lane *lanes; /* by plugin; under lock, as are the next two */
	struct lane *turn;  /* the lanes in the order of their turns */
	unsigned held;      /* lanes */
	bool closed;
};

/** @return 0 or a negative errno. */
int task_queue_init(struct task_queue *q);
void task_queue_deinit(struct task_queue *q);

/** @return 0; -ENOMEM: the task stays the caller's. */
int task_queue_push(struct task_queue *q, struct store_task *t);

/** Waits for the next task. @return NULL when the queue is closed, empty and nothing is held. */
struct store_task *task_queue_pop(struct task_queue *q);

/** The same, but waits no longer. @return also NULL when the time is over. */
struct store_task *task_queue_pop_within(struct task_queue *q, uint64_t ms);

/** @return NULL when there is none now. */
struct store_task *task_queue_try_pop(struct task_queue *q);

/** Keeps the lane of a task that was taken. @return 0; -ENOMEM: nothing is held. */
int task_queue_hold(struct task_queue *q, const struct store_task *t);
/** Gives the task of a held lane out again, after the other lanes. */
void task_queue_put_back(struct task_queue *q, struct store_task *t);
/** The task of a held lane is at its end: the lane's others go on. */
void task_queue_release(struct task_queue *q, const struct store_task *t);

bool task_queue_is_closed(struct task_queue *q);

/** Whoever waits in task_queue_pop() takes what is left, then NULL. */
void task_queue_close(struct task_queue *q);
