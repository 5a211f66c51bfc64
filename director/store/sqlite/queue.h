/*
 * Tasks between the loop and the threads, served fairly: one lane per plugin, one task from each lane
 * in turn, so that a plugin with a thousand commands waiting does not make the others wait for all of
 * them. Inside a lane the order of arrival holds. Any thread.
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
	bool closed;
};

/** @return 0 or a negative errno. */
int task_queue_init(struct task_queue *q);
void task_queue_deinit(struct task_queue *q);

/** @return 0; -ENOMEM: the task stays the caller's. */
int task_queue_push(struct task_queue *q, struct store_task *t);

/** Waits for the next task. @return NULL when the queue is closed and empty. */
struct store_task *task_queue_pop(struct task_queue *q);

/** @return NULL when there is none now. */
struct store_task *task_queue_try_pop(struct task_queue *q);

/** Whoever waits in task_queue_pop() takes what is left, then NULL. */
void task_queue_close(struct task_queue *q);
