/*
 * A generation: one zygote with the loop's handles round it, its log and its spares. Its workers are
 * the supervisor's business; all that happens comes as struct zygote_event.
 *
 * Spares: as many processes as the setting says wait ahead of the next START. One that was used is
 * replaced when the worker it became is in its sandbox (not before: the fork would be in its way), one
 * that died after a back-off of 100 ms doubling up to 5 s.
 *
 * Thread: the loop's.
 */
#pragma once

#include "common/uvx/close.h"
#include "common/uvx/poll.h"
#include "common/uvx/timer.h"
#include "pluginhost/logpipe.h"
#include "pluginhost/settings.h"
#include "pluginhost/zygote.h"

#include <uv.h>

struct generation;

struct generation_config {
	uv_loop_t *loop;
	const struct settings *settings;
	/* Without log_fd, which is made here. */
	struct zygote_config zygote;
	/* For each event; `e` is valid during the call. ZYGOTE_ENDED is the last. */
	void (*on_event)(struct generation *g, const struct zygote_event *e);
	/* All events of one wake-up were given. */
	void (*on_drained)(struct generation *g);
	void *owner;
};

struct generation {
	struct generation_config config;
	struct zygote *zygote;
	uint64_t started_ms;
	bool ready;
	bool ended;
	struct generation *prev, *next;

	struct uvx_poll poll;
	struct uvx_timer spare_timer;
	bool spare_waiting; /* the timer runs */
	uint64_t spare_backoff_ms;
	struct logpipe *log;
	struct log_budget log_budget;
	struct uvx_closing closing;
	uvx_closed_fn closed;
	void *closed_arg;
};

/** "python" or "native". */
const char *flavour_name(enum worker_flavour f);

/** Starts a zygote. @return 0 or a negative errno: then there is nothing to close. */
int generation_new(struct generation **ret, const struct generation_config *config);

/** Ends the zygote if it lives, waits for it, and frees. `closed` comes later from the loop. */
void generation_close(struct generation *g, uvx_closed_fn closed, void *arg);
