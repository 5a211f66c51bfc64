/*
 * A call as far as workers and their supervision know it: it waits in its plugin's queue, or a worker
 * runs it. Embedded in struct call (execute/call.h), which has the rest.
 */
#pragma once

#include "common/base/slice.h"

struct worker;

/* For whom a worker is. */
enum tenant {
	TENANT_SHARED, /* all users */
	TENANT_USER,   /* one user (isolation: user) */
	TENANT_ALONE,  /* a single call (isolation: request, and calls under suspicion) */
};

struct work {
	struct work *prev, *next; /* in plugin.waiting */
	uint64_t id;              /* on the worker's channel, 0 before it runs */
	struct worker *worker;    /* the one that runs it */
	enum tenant tenant;       /* what kind of worker it needs */
	struct slice user;        /* its user, empty for app scope; lives as long as it does */
	struct slice request_id;  /* for the log; both empty when there is none */
	struct slice trace_id;
	bool held;      /* it waits for another one to end, and needs no worker yet */
	bool abandoned; /* answered already, its RESULT is still to come */
};
