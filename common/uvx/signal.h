/* Signals as events of the loop: one handler for a set of numbers. Loop thread only. */
#pragma once

#include "common/uvx/close.h"

#include <stdbool.h>
#include <uv.h>

enum { UVX_SIGNALS_MAX = 8 };

struct uvx_signals {
	uv_signal_t handles[UVX_SIGNALS_MAX];
	unsigned n;
	void (*fired)(void *arg, int signum);
	void *arg;
	struct uvx_closing closing;
	bool is_closing;
};

/**
 * Watches `n` (at most UVX_SIGNALS_MAX) signals. They keep no loop alive.
 * @return 0, or a negative errno for a signal that cannot be caught; close it in that case too
 * (when not even one handle could be made, `closed` then comes at once).
 */
int uvx_signals_init(struct uvx_signals *s,
	uv_loop_t *loop,
	const int *signums,
	unsigned n,
	void (*fired)(void *arg, int signum),
	void *arg);

void uvx_signals_close(struct uvx_signals *s, uvx_closed_fn closed, void *arg);
