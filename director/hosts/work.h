/*
 * A call as far as workers and their supervision know it: it waits in its plugin's queue, or a worker
 * runs it. Embedded in struct call (execute/call.h), which has the rest.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct worker;

struct work {
	struct work *prev, *next; /* in plugin.waiting */
	uint64_t id;              /* on the worker's channel, 0 before it runs */
	struct worker *worker;    /* the one that runs it */
	bool abandoned;           /* answered already, its RESULT is still to come */
};
