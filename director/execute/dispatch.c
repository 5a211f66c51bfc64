#include "director/execute/dispatch.h"

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/map.h"
#include "director/director.h"
#include "director/execute/admit.h"
#include "director/execute/inject.h"
#include "director/hosts/supervise.h"

#include <errno.h>

enum {
	/* Frame header and work header beside the payload: user ids are at most 256 bytes. */
	WORK_OVERHEAD = FRAME_HEADER_SIZE + 1024,
};

/* The call's place among those admitted is free as soon as its client has an answer. */
static void leave(struct call *c)
{
	if (c->admitted != NULL) {
		admit_leave(&c->director->admission, c->admitted, &c->plugin->inflight);
		c->admitted = NULL;
	}
}

/* Tells the submitter, once. */
static void end(struct call *c, enum call_end how, const struct msg_result *result)
{
	call_done_fn done = c->done;
	bool failed = how != CALL_END_RESULT || result->outcome != RESULT_VALUE;
	c->plugin->counters.errors += failed ? 1 : 0;
	c->plugin->counters.deadlines += how == CALL_END_DEADLINE ? 1 : 0;
	leave(c);
	c->done = NULL;
	if (done != NULL) {
		done(c, how, result);
	}
	c->owner = NULL;
}

static void forget(struct call *c)
{
	if (c->work.worker != NULL) {
		struct worker *w = c->work.worker;
		worker_remove_work(w, &c->work);
		call_free(c);
		return;
	}
	call_free(c);
}

static unsigned remaining_ms(const struct call *c)
{
	uint64_t now = uv_now(c->director->loop);
	return c->deadline_at_ms > now ? (unsigned)(c->deadline_at_ms - now) : 0;
}

static struct worker *free_worker(const struct plugin *p)
{
	struct worker *best = NULL;
	struct worker *w;
	DL_FOREACH (p->workers, w) {
		if (worker_is_free(w) && (best == NULL || w->running < best->running)) {
			best = w;
		}
	}
	return best;
}

/* Starts the frame of a call in the worker's message; the payload follows. */
static struct buffer *begin_frame(
	struct call *c, struct worker *w, size_t payload, size_t *ret_start)
{
	struct buffer *b = channel_begin(w->channel, WORK_OVERHEAD + payload);
	if (b == NULL) {
		return NULL;
	}
	struct msg_execute work = {
		.deadline_ms = remaining_ms(c),
		.user = c->user == NULL ? SLICE_NULL : c->user->user_id,
	};
	*ret_start = b->n;
	struct frame head = { .call_id = c->work.id };
	/* EXECUTE and EVENT have the same layout; the type is set below. */
	if (msg_execute_append(b, &head, &work) < 0) {
		return NULL;
	}
	b->p[*ret_start + 4] = c->message;
	return b;
}

static int finish_frame(struct worker *w, struct buffer *b, size_t start, int r)
{
	size_t size = b->n - start - FRAME_HEADER_SIZE;
	r = r == 0 && size > FRAME_PAYLOAD_MAX ? -EMSGSIZE : r;
	if (r < 0) {
		b->n = start;
	} else {
		put_u32(b->p + start, (uint32_t)size);
	}
	channel_end(w->channel);
	return r;
}

/* Sends a call to a worker: its payload from the injector's plan, else from the call's own copy. */
static int send_work(struct call *c, struct worker *w, const struct injector *in)
{
	struct slice trusted = c->user == NULL ? SLICE_NULL : c->user->trusted;
	size_t payload = in != NULL ? inject_size(in, trusted) : c->data.n;
	size_t start = 0;
	uint64_t id = worker_next_call_id(w);
	if (id == 0) {
		return -ENOBUFS;
	}
	c->work.id = id;
	struct buffer *b = begin_frame(c, w, payload, &start);
	if (b == NULL) {
		c->work.id = 0;
		return -ENOBUFS;
	}
	int r = in != NULL ? inject_write(in, trusted, b)
			   : buffer_append(b, buffer_slice(&c->data));
	r = finish_frame(w, b, start, r);
	if (r < 0) {
		c->work.id = 0;
		return r;
	}
	buffer_deinit(&c->data);
	c->state = CALL_RUNNING;
	worker_add_work(w, &c->work);
	return 0;
}

static void begin(struct call *c, struct plugin *p, uint8_t message, unsigned timeout_ms)
{
	plugin_ref(p);
	c->plugin = p;
	c->message = message;
	c->deadline_at_ms = uv_now(c->director->loop) + timeout_ms;
	c->submitted_ns = uv_hrtime();
	p->counters.calls++;
}

/* Undoes begin() for a call that its submitter keeps. */
static int refuse(struct call *c, int r)
{
	c->plugin->counters.calls--;
	c->plugin->counters.shed++;
	plugin_unref(c->plugin);
	c->plugin = NULL;
	return r;
}

static void wait_for_worker(struct call *c)
{
	c->state = CALL_WAITING;
	DL_APPEND(c->plugin->waiting, &c->work);
	c->plugin->wanted = true;
	supervise(c->plugin);
}

int dispatch_execute(
	struct call *c, struct plugin *p, const struct injector *in, unsigned timeout_ms)
{
	begin(c, p, MSG_EXECUTE, timeout_ms);
	struct worker *w = p->waiting == NULL ? free_worker(p) : NULL;
	int r = w != NULL ? send_work(c, w, in) : inject_write(in, c->user->trusted, &c->data);
	if (r < 0) {
		return refuse(c, r);
	}
	uvx_timer_once(&c->timer, timeout_ms);
	if (w == NULL) {
		wait_for_worker(c);
	}
	return 0;
}

int dispatch_event(struct call *c, struct plugin *p, struct slice data, unsigned timeout_ms)
{
	begin(c, p, MSG_EVENT, timeout_ms);
	int r = buffer_append(&c->data, data);
	struct worker *w = p->waiting == NULL ? free_worker(p) : NULL;
	r = r == 0 && w != NULL ? send_work(c, w, NULL) : r;
	if (r < 0) {
		return refuse(c, r);
	}
	uvx_timer_once(&c->timer, timeout_ms);
	if (w == NULL) {
		wait_for_worker(c);
	}
	return 0;
}

static void send_cancel(struct call *c)
{
	struct buffer *b = channel_begin(c->work.worker->channel, FRAME_HEADER_SIZE);
	if (b != NULL) {
		(void)frame_append(b, &(struct frame){ .type = MSG_CANCEL, .call_id = c->work.id });
		channel_end(c->work.worker->channel);
	}
}

/* The client has its answer or is gone; the worker still owes a RESULT. */
static void abandon(struct call *c)
{
	c->state = CALL_ABANDONED;
	c->work.abandoned = true;
	c->work.worker->abandoned++;
	send_cancel(c);
}

/* A call ran over its deadline and was cancelled. It has a moment to end, and its worker to show that its
 * loop turns: one that does not is killed. */
static void overdue(struct call *c)
{
	c->state = CALL_OVERDUE;
	/* First its worker's moment ends, then its own. */
	worker_probe(c->work.worker);
	uvx_timer_once(&c->timer, c->director->settings->life.grace_ms);
}

void dispatch_on_deadline(void *call)
{
	struct call *c = call;
	switch (c->state) {
	case CALL_WAITING:
		DL_DELETE(c->plugin->waiting, &c->work);
		end(c, CALL_END_DEADLINE, NULL);
		forget(c);
		break;
	case CALL_RUNNING:
		end(c, CALL_END_DEADLINE, NULL);
		abandon(c);
		overdue(c);
		break;
	case CALL_ABANDONED:
		overdue(c);
		break;
	case CALL_OVERDUE:
		/* Its worker turns, and the call still runs: it gets no more, and is replaced. */
		supervise_drain(c->work.worker, EXITED_DEADLINE);
		break;
	case CALL_FREE:
		invariant(false);
	}
}

void dispatch_abandon(struct call *c)
{
	leave(c);
	c->done = NULL;
	c->owner = NULL;
	if (c->state == CALL_WAITING) {
		DL_DELETE(c->plugin->waiting, &c->work);
		forget(c);
		return;
	}
	/* What it has begun may be half done: its timer runs on to the deadline. */
	abandon(c);
}

void dispatch_on_result(struct worker *w, uint64_t call_id, const struct msg_result *m)
{
	struct work *x = worker_find_work(w, call_id);
	struct plugin *p = w->plugin;
	if (x == NULL) {
		worker_violation(w,
			call_id == 0 || call_id > w->last_call_id
				? "RESULT for a call that was never made"
				: "second RESULT for a call");
		return;
	}
	struct call *c = call_of_work(x);
	bool in_time = c->state == CALL_RUNNING;
	w->served++;
	if (in_time) {
		w->succeeded++;
		end(c, CALL_END_RESULT, m);
	}
	forget(c);
	if (in_time) {
		supervise_succeeded(p);
	}
	dispatch_next(p);
}

void dispatch_on_worker_gone(struct worker *w)
{
	for (size_t i = 0; i < WORKER_CALL_SLOTS && w->running > 0; i++) {
		if (w->work[i] == NULL) {
			continue;
		}
		struct call *c = call_of_work(w->work[i]);
		if (c->state == CALL_RUNNING) {
			end(c, CALL_END_DIED, NULL);
		}
		forget(c);
	}
}

void dispatch_next(struct plugin *p)
{
	struct worker *w;
	while (p->waiting != NULL && (w = free_worker(p)) != NULL) {
		struct call *c = call_of_work(p->waiting);
		DL_DELETE(p->waiting, &c->work);
		if (send_work(c, w, NULL) < 0) {
			/* The worker does not read: it stays first in the queue. */
			DL_PREPEND(p->waiting, &c->work);
			return;
		}
	}
}

void dispatch_fail_waiting(struct plugin *p)
{
	while (p->waiting != NULL) {
		struct call *c = call_of_work(p->waiting);
		DL_DELETE(p->waiting, &c->work);
		end(c, CALL_END_UNAVAILABLE, NULL);
		forget(c);
	}
}
