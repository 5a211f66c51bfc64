/*
 * The one door through which other threads enter the loop: a locked queue and uv_async_send().
 * Wake-ups coalesce, so each of them drains the queue completely.
 *
 * Items are embedded in what is handed over and belong to the door from push to delivery. They are
 * delivered on the loop thread in the order of the pushes.
 */
#pragma once

#include "common/uvx/close.h"

#include <stdbool.h>
#include <uv.h>

struct uvx_item {
	struct uvx_item *next;
};

struct uvx_door {
	uv_async_t handle;
	uv_mutex_t lock;
	struct uvx_item *first; /* under lock, as are the next two */
	struct uvx_item **last;
	bool shut;
	void (*deliver)(void *arg, struct uvx_item *item);
	void *arg;
	uvx_closed_fn closed;
	void *closed_arg;
};

/**
 * @param deliver runs on the loop thread, once per item, which is the callee's from then on.
 * @return 0 or a negative errno, after which there is nothing to close.
 */
int uvx_door_init(struct uvx_door *d,
	uv_loop_t *loop,
	void (*deliver)(void *arg, struct uvx_item *item),
	void *arg);

/** Any thread. @return false when the door is closed: the item stays the caller's. */
bool uvx_door_push(struct uvx_door *d, struct uvx_item *item);

/**
 * Loop thread. What was pushed before is delivered during this call; later pushes are refused.
 * The memory may go after `closed` and once no thread can push any more: join them first.
 */
void uvx_door_close(struct uvx_door *d, uvx_closed_fn closed, void *arg);
