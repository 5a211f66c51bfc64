/*
 * Step 6: dispatch. A call goes to a free worker of its plugin, or waits for one; its deadline runs
 * from here. Loop thread.
 */
#pragma once

#include "director/execute/call.h"
#include "director/hosts/worker.h"

struct injector;

/**
 * Submits an EXECUTE call whose body was checked by the injector. The payload is written straight
 * into the worker's message when a worker is free.
 * @param c from call_new(), with user, admitted, done and owner set; it belongs to dispatch now.
 * @return 0, or a negative errno (-ENOBUFS: the worker's queue is full): the call is untouched.
 */
int dispatch_execute(
	struct call *c, struct plugin *p, const struct injector *in, unsigned timeout_ms);

/** Submits an EVENT call. `data` is copied. */
int dispatch_event(struct call *c, struct plugin *p, struct slice data, unsigned timeout_ms);

/** The client is gone: the plugin is told, the answer will be dropped. `done` is not called. */
void dispatch_abandon(struct call *c);

/** A call's timer fired; its argument is the call. */
void dispatch_on_deadline(void *call);

/** The worker answered. */
void dispatch_on_result(struct worker *w, uint64_t call_id, const struct msg_result *m);

/** The worker is gone: every call in it ends. */
void dispatch_on_worker_gone(struct worker *w);

/** A worker has room: waiting calls go to it. */
void dispatch_next(struct plugin *p);

/** No worker will come: every waiting call ends as unavailable. */
void dispatch_fail_waiting(struct plugin *p);
