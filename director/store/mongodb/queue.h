/*
 * Tasks between the loop and the threads that talk to the server.
 *
 * Fair: plugins take turns, and one plugin has at most `share` tasks at work, so that its slow queries
 * never hold every thread. In order: the changes that one user makes to one collection are at work
 * one after the other, as they were submitted; those that wait for an earlier one stand in a lane and
 * occupy no thread. Reads wait for nobody.
 *
 * The thread that began to wait last is woken first: its stack, its connection and whatever the server
 * keeps for that are still in the caches, and a quiet store uses one connection and not all in turn.
 *
 * Any thread.
 */
#pragma once

#include "director/store/task.h"

#include <pthread.h>

struct guest;
struct lane;

/* A thread that takes tasks: its own, and there as long as the queue is. */
struct mongodb_taker {
	pthread_cond_t woken;
	struct mongodb_taker
		*below; /* of those that wait; under the queue's lock, as is the next */
	bool waits;
};

struct mongodb_queue {
	pthread_mutex_t lock;
	struct mongodb_taker *waiting; /* the last one first; under lock, as are the next three */
	struct guest *guests;          /* by plugin */
	struct guest
		*turn; /* those that have something for a thread, in the order of their turns */
	bool closed;
	unsigned share;
};

/** @param share tasks of one plugin that may be at work, at least 1. @return 0 or a negative errno. */
int mongodb_queue_init(struct mongodb_queue *q, unsigned share);
/** Every task has been taken and ended. */
void mongodb_queue_deinit(struct mongodb_queue *q);

/** @return 0 or a negative errno. */
int mongodb_taker_init(struct mongodb_taker *taker);
/** After the queue's last use; also of one that is all zero. */
void mongodb_taker_deinit(struct mongodb_taker *taker);

/** @return 0; -ENOMEM: the task stays the caller's. */
int mongodb_queue_push(struct mongodb_queue *q, struct store_task *t);

/* A task at work and where it came from. */
struct mongodb_turn {
	struct store_task *t;
	struct guest *guest;
	struct lane *lane; /* NULL: a read */
};

/**
 * Waits for a task. Whoever takes one gives it back and then calls mongodb_queue_end().
 * @return false when the queue is closed and holds nothing for this thread.
 */
bool mongodb_queue_pop(
	struct mongodb_queue *q, struct mongodb_taker *taker, struct mongodb_turn *ret);

/** The task is no longer at work (and may be gone): the next of its lane can be. The thread pops again. */
void mongodb_queue_end(struct mongodb_queue *q, const struct mongodb_turn *turn);

/** Takes everything that is not at work. @return a list (utlist.h, DL) or NULL; nothing to end. */
struct store_task *mongodb_queue_take_all(struct mongodb_queue *q);

/** Whoever pops takes what is left, then gets NULL. */
void mongodb_queue_close(struct mongodb_queue *q);
