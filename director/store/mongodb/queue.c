#include "director/store/mongodb/queue.h"

#include "common/base/error.h"
#include "common/base/map.h"

#include <errno.h>
#include <stdlib.h>

/* A collection's physical name, a NUL, a user's id; both are bounded by scope_check_names(). */
enum { KEY_MAX = 640 };

/* The changes of one user to one collection; there while one of them is ready or at work. */
struct lane {
	UT_hash_handle hh;
	struct store_task *waiting;
	bool at_work;
	size_t n;
	uint8_t key[];
};

/* A plugin; there while it has a task here. */
struct guest {
	UT_hash_handle hh;
	struct guest *prev, *next; /* in mongodb_queue.turn */
	bool in_turn;
	struct store_task *ready;
	struct lane *lanes;
	unsigned at_work;
	size_t n;
	uint8_t plugin[];
};

int mongodb_queue_init(struct mongodb_queue *q, unsigned share)
{
	*q = (struct mongodb_queue){ .share = share };
	return -pthread_mutex_init(&q->lock, NULL);
}

void mongodb_queue_deinit(struct mongodb_queue *q)
{
	invariant(q->guests == NULL && q->waiting == NULL);
	(void)pthread_mutex_destroy(&q->lock);
}

int mongodb_taker_init(struct mongodb_taker *taker)
{
	*taker = (struct mongodb_taker){ 0 };
	return -pthread_cond_init(&taker->woken, NULL);
}

void mongodb_taker_deinit(struct mongodb_taker *taker)
{
	(void)pthread_cond_destroy(&taker->woken);
}

/* --- who waits, under the lock --- */

static void wait_for_task(struct mongodb_queue *q, struct mongodb_taker *taker)
{
	taker->below = q->waiting;
	taker->waits = true;
	q->waiting = taker;
	while (taker->waits) {
		(void)pthread_cond_wait(&taker->woken, &q->lock);
	}
}

/* Takes one that waits off the list. @return NULL when all are at work; each asks for more by itself. */
static struct mongodb_taker *choose_taker(struct mongodb_queue *q)
{
	struct mongodb_taker *taker = q->waiting;
	if (taker != NULL) {
		q->waiting = taker->below;
		taker->waits = false;
	}
	return taker;
}

/* --- guests and lanes, under the lock --- */

static struct guest *guest_find(struct mongodb_queue *q, struct slice plugin)
{
	struct guest *g = NULL;
	HASH_FIND(hh, q->guests, plugin.p, plugin.n, g);
	return g;
}

static struct guest *guest_add(struct mongodb_queue *q, struct slice plugin)
{
	struct guest *g = calloc(1, sizeof(*g) + plugin.n);
	if (g == NULL) {
		return NULL;
	}
	g->n = plugin.n;
	memcpy(g->plugin, plugin.p, plugin.n);
	HASH_ADD_KEYPTR(hh, q->guests, g->plugin, g->n, g);
	if (g->hh.tbl == NULL) {
		free(g);
		return NULL;
	}
	return g;
}

/* Puts the guest where it belongs now; it may be gone afterwards. */
static void guest_settle(struct mongodb_queue *q, struct guest *g)
{
	bool runnable = g->ready != NULL && g->at_work < q->share;
	if (runnable && !g->in_turn) {
		DL_APPEND(q->turn, g);
	} else if (!runnable && g->in_turn) {
		DL_DELETE(q->turn, g);
	}
	g->in_turn = runnable;
	if (g->ready == NULL && g->lanes == NULL && g->at_work == 0) {
		HASH_DEL(q->guests, g);
		free(g);
	}
}

static size_t lane_key(const struct store_task *t, uint8_t key[static KEY_MAX])
{
	size_t n = t->collection.n + 1 + t->user.n;
	invariant(n <= KEY_MAX);
	memcpy(key, t->collection.p, t->collection.n);
	key[t->collection.n] = 0;
	if (t->user.n > 0) {
		memcpy(key + t->collection.n + 1, t->user.p, t->user.n);
	}
	return n;
}

static struct lane *lane_find(struct guest *g, const struct store_task *t)
{
	uint8_t key[KEY_MAX];
	struct lane *lane = NULL;
	size_t n = lane_key(t, key);
	HASH_FIND(hh, g->lanes, key, n, lane);
	return lane;
}

static struct lane *lane_add(struct guest *g, const struct store_task *t)
{
	struct lane *lane = calloc(1, sizeof(*lane) + KEY_MAX);
	if (lane == NULL) {
		return NULL;
	}
	lane->n = lane_key(t, lane->key);
	HASH_ADD_KEYPTR(hh, g->lanes, lane->key, lane->n, lane);
	if (lane->hh.tbl == NULL) {
		free(lane);
		return NULL;
	}
	return lane;
}

static void lane_remove(struct guest *g, struct lane *lane)
{
	HASH_DEL(g->lanes, lane);
	free(lane);
}

/* --- tasks --- */

/* Wakes one thread when there is something to take. It is woken without the lock, which it wants. */
static void unlock(struct mongodb_queue *q)
{
	struct mongodb_taker *taker = q->turn != NULL ? choose_taker(q) : NULL;
	(void)pthread_mutex_unlock(&q->lock);
	if (taker != NULL) {
		(void)pthread_cond_signal(&taker->woken);
	}
}

static int add(struct guest *g, struct store_task *t)
{
	if (store_task_changes(t)) {
		struct lane *lane = lane_find(g, t);
		if (lane != NULL) {
			DL_APPEND(lane->waiting, t);
			return 0;
		}
		if (lane_add(g, t) == NULL) {
			return -ENOMEM;
		}
	}
	DL_APPEND(g->ready, t);
	return 0;
}

int mongodb_queue_push(struct mongodb_queue *q, struct store_task *t)
{
	int r = -ENOMEM;
	(void)pthread_mutex_lock(&q->lock);
	struct guest *g = guest_find(q, t->plugin);
	g = g != NULL ? g : guest_add(q, t->plugin);
	if (g != NULL) {
		r = add(g, t);
		guest_settle(q, g);
	}
	unlock(q);
	return r;
}

static bool take(struct mongodb_queue *q, struct mongodb_turn *ret)
{
	struct guest *g = q->turn;
	if (g == NULL) {
		return false;
	}
	*ret = (struct mongodb_turn){ .t = g->ready, .guest = g };
	DL_DELETE(g->ready, ret->t);
	g->at_work++;
	if (store_task_changes(ret->t)) {
		ret->lane = lane_find(g, ret->t);
		ret->lane->at_work = true;
	}
	/* To the end of the turns, or out of them. */
	DL_DELETE(q->turn, g);
	g->in_turn = false;
	guest_settle(q, g);
	return true;
}

bool mongodb_queue_pop(
	struct mongodb_queue *q, struct mongodb_taker *taker, struct mongodb_turn *ret)
{
	(void)pthread_mutex_lock(&q->lock);
	bool taken = take(q, ret);
	while (!taken && !q->closed) {
		wait_for_task(q, taker);
		taken = take(q, ret);
	}
	/* What is left is for another one. */
	unlock(q);
	return taken;
}

void mongodb_queue_end(struct mongodb_queue *q, const struct mongodb_turn *turn)
{
	struct guest *g = turn->guest;
	struct lane *lane = turn->lane;
	(void)pthread_mutex_lock(&q->lock);
	g->at_work--;
	if (lane != NULL) {
		struct store_task *next = lane->waiting;
		lane->at_work = false;
		if (next != NULL) {
			DL_DELETE(lane->waiting, next);
			DL_APPEND(g->ready, next);
		} else {
			lane_remove(g, lane);
		}
	}
	guest_settle(q, g);
	/* Wakes nobody: who ends a task takes the next one, and then wakes who is wanted for more. */
	(void)pthread_mutex_unlock(&q->lock);
}

static void take_all_of(struct guest *g, struct store_task **list)
{
	struct lane *lane = NULL;
	struct lane *following = NULL;
	DL_CONCAT(*list, g->ready);
	g->ready = NULL;
	HASH_ITER (hh, g->lanes, lane, following) {
		DL_CONCAT(*list, lane->waiting);
		lane->waiting = NULL;
		if (!lane->at_work) {
			lane_remove(g, lane);
		}
	}
}

struct store_task *mongodb_queue_take_all(struct mongodb_queue *q)
{
	struct store_task *list = NULL;
	struct guest *g = NULL;
	struct guest *following = NULL;
	(void)pthread_mutex_lock(&q->lock);
	HASH_ITER (hh, q->guests, g, following) {
		take_all_of(g, &list);
		guest_settle(q, g);
	}
	(void)pthread_mutex_unlock(&q->lock);
	return list;
}

void mongodb_queue_close(struct mongodb_queue *q)
{
	struct mongodb_taker *taker = NULL;
	(void)pthread_mutex_lock(&q->lock);
	q->closed = true;
	while ((taker = choose_taker(q)) != NULL) {
		(void)pthread_cond_signal(&taker->woken);
	}
	(void)pthread_mutex_unlock(&q->lock);
}
