/*
 * Something to do in every turn of the loop, before it waits for events and after they were
 * handled: flushing what the turn has queued. Both points are needed: libuv runs timers before it
 * waits, and what they queue must not wait with it. Keeps no loop alive. Loop thread only.
 */
#pragma once

#include "common/uvx/close.h"

#include <uv.h>

struct uvx_turn {
	uv_prepare_t prepare;
	uv_check_t check;
	void (*run)(void *arg);
	void *arg;
	struct uvx_closing closing;
};

void uvx_turn_init(struct uvx_turn *t, uv_loop_t *loop, void (*run)(void *arg), void *arg);
void uvx_turn_close(struct uvx_turn *t, uvx_closed_fn closed, void *arg);
