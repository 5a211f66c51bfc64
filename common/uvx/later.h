/*
 * Work for the next turn of the loop: what must not run inside the caller (a re-entry, or one
 * connection's work that shall not hold up the others). Loop thread only.
 */
#pragma once

#include "common/uvx/close.h"

#include <uv.h>

struct uvx_later {
	uv_idle_t handle;
	void (*run)(void *arg);
	void *arg;
	uvx_closed_fn closed;
	void *closed_arg;
};

void uvx_later_init(struct uvx_later *l, uv_loop_t *loop, void (*run)(void *arg), void *arg);

/** `run(arg)` in the next turn, which does not wait for events first. Once, however often asked;
 * asked again from within `run`, once more in the turn after. */
void uvx_later_ask(struct uvx_later *l);

void uvx_later_close(struct uvx_later *l, uvx_closed_fn closed, void *arg);
