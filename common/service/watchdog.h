/*
 * systemd's watchdog, fed by the loop that serves. The heart beats every second; every fifth beat
 * feeds the watchdog, unless one of them was late: a beat that waits for a turn of the loop for 2 s
 * means that clients waited as long. One such turn costs one feed, which WatchdogSec=15 allows; a loop
 * that is late all the time is not fed, and the service is started anew.
 *
 * Without a watchdog in the environment there is no timer. Loop thread.
 */
#pragma once

#include "common/uvx/timer.h"

enum {
	WATCHDOG_BEAT_MS = 1000,
	WATCHDOG_BEATS = 5, /* to a feed */
	WATCHDOG_LATE_MS = 2000,
};

struct watchdog {
	struct uvx_timer timer;
	uint64_t beat_ms;  /* 0: no watchdog */
	uint64_t late_ms;  /* more than this after its time is late */
	uint64_t due_ms;   /* when the next beat should come */
	uint64_t worst_ms; /* of the beats since the last feed */
	unsigned beats;    /* since the last feed */
	unsigned withheld; /* feeds, in all */
	uint64_t (*clock)(void);
};

/** Reads the environment and starts. A short WATCHDOG_USEC makes it all shorter in proportion. */
void watchdog_init(struct watchdog *w, uv_loop_t *loop);

/** The same with everything given, for tests. @param usec 0: no watchdog. */
void watchdog_init_at(struct watchdog *w, uv_loop_t *loop, uint64_t usec, uint64_t (*clock)(void));

void watchdog_close(struct watchdog *w, uvx_closed_fn closed, void *arg);
