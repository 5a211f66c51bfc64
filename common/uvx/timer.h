/* A timer of the loop, embedded in what it serves. Loop thread only. */
#pragma once

#include "common/uvx/close.h"

#include <uv.h>

struct uvx_timer {
	uv_timer_t handle;
	void (*fired)(void *arg);
	void *arg;
	uvx_closed_fn closed;
	void *closed_arg;
};

/** `fired(arg)` runs on the loop thread. A timer that is not started keeps no loop alive. */
void uvx_timer_init(struct uvx_timer *t, uv_loop_t *loop, void (*fired)(void *arg), void *arg);

/** Fires once, `ms` after the loop's time; replaces what was set before. */
void uvx_timer_once(struct uvx_timer *t, uint64_t ms);

/** Fires every `ms` milliseconds (at least 1), first after one such period. */
void uvx_timer_every(struct uvx_timer *t, uint64_t ms);

void uvx_timer_stop(struct uvx_timer *t);
void uvx_timer_close(struct uvx_timer *t, uvx_closed_fn closed, void *arg);
