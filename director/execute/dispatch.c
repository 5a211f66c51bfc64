#include "director/execute/dispatch.h"

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/base/map.h"
#include "director/director.h"
#include "director/execute/admit.h"
#include "director/execute/inject.h"
#include "director/execute/shed.h"
#include "director/execute/streams.h"
#include "director/hosts/supervise.h"

#include <errno.h>
#include <stdio.h>

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

static void leave_worker(struct call *c)
{
	if (c->has_turn) {
		quarantine_over(c->director->quarantine, c->request);
		c->has_turn = false;
	}
	if (c->work.worker != NULL) {
		worker_remove_work(c->work.worker, &c->work);
	}
}

static void forget(struct call *c)
{
	leave_worker(c);
	call_free(c);
}

static unsigned remaining_ms(const struct call *c)
{
	uint64_t now = uv_now(c->director->loop);
	return c->deadline_at_ms > now ? (unsigned)(c->deadline_at_ms - now) : 0;
}

static struct worker *free_worker(const struct plugin *p, const struct work *x)
{
	struct worker *best = NULL;
	struct worker *w;
	DL_FOREACH (p->workers, w) {
		if (worker_is_free(w, x) && (best == NULL || w->running < best->running)) {
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
		.trace = slice_of(c->trace, c->trace_n),
	};
	*ret_start = b->n;
	struct frame head = { .flags = c->work_flags, .call_id = c->work.id };
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
	if (!c->repeatable) {
		buffer_deinit(&c->data);
	}
	c->state = CALL_RUNNING;
	c->sent_ns = uv_hrtime();
	worker_add_work(w, &c->work);
	if (c->stream != NULL) {
		streams_started(c);
	}
	return 0;
}

static void begin(struct call *c, struct plugin *p, uint8_t message, unsigned timeout_ms)
{
	plugin_ref(p);
	c->plugin = p;
	c->message = message;
	c->submitted_ms = uv_now(c->director->loop);
	c->deadline_at_ms = c->submitted_ms + timeout_ms;
	c->timeout_ms = timeout_ms;
	c->submitted_ns = uv_hrtime();
	c->work.tenant = c->watched ? TENANT_ALONE : p->manifest.isolation;
	c->work.user = c->user == NULL ? SLICE("") : c->user->user_id;
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

enum turn { TURN_NOW, TURN_LATER, TURN_NEVER };

/* Of those under suspicion one like the other waits until the first has shown what it does. */
static enum turn take_turn(struct call *c)
{
	struct quarantine *q = c->director->quarantine;
	if (!c->watched) {
		return TURN_NOW;
	}
	enum quarantine_verdict verdict =
		quarantine_ask_again(q, c->request, uv_now(c->director->loop));
	if (verdict == QUARANTINE_REFUSED) {
		return TURN_NEVER;
	}
	if (verdict == QUARANTINE_CLEAN && !c->repeated && !c->has_turn) {
		c->watched = false;
		c->work.held = false;
		c->work.tenant = c->plugin->manifest.isolation;
		return TURN_NOW;
	}
	c->has_turn = c->has_turn || quarantine_begin(q, c->request);
	c->work.held = !c->has_turn;
	return c->has_turn ? TURN_NOW : TURN_LATER;
}

/* How long it may wait for a busy worker. Events have a queue of their own limit. */
static uint64_t patience_ms(const struct call *c)
{
	uint64_t timeout_ms = c->deadline_at_ms - c->submitted_ms;
	return c->message == MSG_EVENT ? timeout_ms
				       : shed_wait_ms(c->director->settings->wait_ms, timeout_ms);
}

static void wait_for_worker(struct call *c)
{
	c->state = CALL_WAITING;
	DL_APPEND(c->plugin->waiting, &c->work);
	c->plugin->wanted = true;
	uvx_timer_once(&c->timer, patience_ms(c));
	(void)take_turn(c);
	supervise(c->plugin);
}

int dispatch_execute(
	struct call *c, struct plugin *p, const struct injector *in, unsigned timeout_ms)
{
	int r = 0;
	begin(c, p, MSG_EXECUTE, timeout_ms);
	struct worker *w = p->waiting == NULL && !c->watched ? free_worker(p, &c->work) : NULL;
	if (w == NULL || c->repeatable) {
		r = inject_write(in, c->user->trusted, &c->data);
		in = NULL;
	}
	r = r == 0 && w != NULL ? send_work(c, w, in) : r;
	if (r < 0) {
		return refuse(c, r);
	}
	if (w == NULL) {
		wait_for_worker(c);
	} else {
		uvx_timer_once(&c->timer, timeout_ms);
	}
	return 0;
}

int dispatch_event(struct call *c, struct plugin *p, struct slice data, unsigned timeout_ms)
{
	begin(c, p, MSG_EVENT, timeout_ms);
	int r = supervise_takes_calls(p) ? buffer_append(&c->data, data) : -EAGAIN;
	struct worker *w = p->waiting == NULL ? free_worker(p, &c->work) : NULL;
	r = r == 0 && w != NULL ? send_work(c, w, NULL) : r;
	if (r < 0) {
		return refuse(c, r);
	}
	if (w == NULL) {
		wait_for_worker(c);
	} else {
		uvx_timer_once(&c->timer, timeout_ms);
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
	if (c->stream != NULL) {
		stream_drop(&c->stream->table);
	}
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

/* A call runs over its deadline. Where nothing else ends in time either, what the calls left behind
 * may be in the way: threads that block hold the plugin's pool. */
static void late(struct call *c)
{
	struct worker *w = c->work.worker;
	end(c, CALL_END_DEADLINE, NULL);
	abandon(c);
	overdue(c);
	w->late_in_row++;
	if (w->late_in_row == c->director->settings->life.late_calls) {
		supervise_drain(w, EXITED_DEADLINE);
	}
}

/* Takes it out of the queue and ends it. */
static void give_up(struct call *c, enum call_end how)
{
	DL_DELETE(c->plugin->waiting, &c->work);
	end(c, how, NULL);
	forget(c);
}

/* Busy workers are waited for a short while, one that is starting until the deadline. */
static void on_waited(struct call *c)
{
	uint64_t left = remaining_ms(c);
	const struct worker *w;
	if (left == 0) {
		give_up(c, CALL_END_DEADLINE);
		return;
	}
	DL_FOREACH (c->plugin->workers, w) {
		if (c->message != MSG_EVENT && w->state == WORKER_READY &&
			worker_suits(w, &c->work)) {
			give_up(c, CALL_END_SHED);
			return;
		}
	}
	uint64_t patience = patience_ms(c);
	uvx_timer_once(&c->timer, patience < left ? patience : left);
}

void dispatch_on_deadline(void *call)
{
	struct call *c = call;
	switch (c->state) {
	case CALL_WAITING:
		on_waited(c);
		break;
	case CALL_RUNNING:
		if (c->stream == NULL || streams_on_timer(c)) {
			late(c);
		}
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
	bool alone = w->tenant == TENANT_ALONE;
	w->served++;
	if (in_time) {
		w->succeeded++;
		w->late_in_row = 0;
		if (c->stream == NULL) {
			p->service_us = shed_mean(p->service_us, (uv_hrtime() - c->sent_ns) / 1000);
		}
		quarantine_succeeded(c->director->quarantine, c->request);
		end(c, CALL_END_RESULT, m);
	}
	forget(c);
	if (in_time) {
		supervise_succeeded(p);
	}
	if (alone) {
		supervise_drain(w, EXITED_RECYCLED);
	} else {
		dispatch_next(p);
	}
}

/* Those that may have caused a worker's end: the ones that ran over their deadlines, where that was why;
 * else all that ran. */
static size_t list_suspects(
	const struct worker *w, struct quarantine_suspect list[static WORKER_CALL_SLOTS])
{
	bool late = w->end.why == EXITED_DEADLINE || w->end.why == EXITED_HUNG;
	size_t n = 0;
	for (size_t i = 0; i < WORKER_CALL_SLOTS; i++) {
		if (w->work[i] == NULL) {
			continue;
		}
		const struct call *c = call_of_work(w->work[i]);
		if (!late || c->state == CALL_OVERDUE) {
			list[n++] = (struct quarantine_suspect){ c->request, c->user_key };
		}
	}
	return n;
}

static void log_quarantine(const struct plugin *p, uint64_t request)
{
	char fingerprint[20];
	(void)snprintf(fingerprint, sizeof(fingerprint), "%016llx", (unsigned long long)request);
	struct log_field fields[] = {
		{ "plugin", plugin_slice(p) },
		{ "fingerprint", slice_str(fingerprint) },
	};
	log_fields(LOG_WARNING, "request.quarantined", fields, 2,
		"a request crashes this plugin again and again; it is refused for a while");
}

static void find_the_guilty(struct worker *w)
{
	struct quarantine_suspect list[WORKER_CALL_SLOTS];
	struct quarantine_suspect guilty;
	struct director *d = w->director;
	if (exit_class(w->end.why) == EXIT_IS_NORMAL) {
		return;
	}
	size_t n = list_suspects(w, list);
	uint64_t quarantined = quarantine_crashed(d->quarantine, list, n, uv_now(d->loop), &guilty);
	w->end.user = guilty.user;
	w->end.request = guilty.request;
	if (quarantined != 0) {
		log_quarantine(w->plugin, quarantined);
	}
}

/* Its worker died, and it may run again: once, alone, in what is left of its time. */
static void repeat(struct call *c)
{
	leave_worker(c);
	c->repeated = c->watched = true;
	c->state = CALL_WAITING;
	c->work.id = 0;
	c->work.tenant = TENANT_ALONE;
	DL_APPEND(c->plugin->waiting, &c->work);
	(void)take_turn(c);
}

void dispatch_on_worker_gone(struct worker *w)
{
	find_the_guilty(w);
	/* It was to take no more calls, and these were not done in time. */
	bool stopped = w->end.why == w->drained_for && exit_class(w->end.why) == EXIT_IS_NORMAL;
	for (size_t i = 0; i < WORKER_CALL_SLOTS && w->running > 0; i++) {
		if (w->work[i] == NULL) {
			continue;
		}
		struct call *c = call_of_work(w->work[i]);
		if (c->state == CALL_RUNNING && c->repeatable && !c->repeated &&
			remaining_ms(c) > 0 && !c->director->stopping) {
			repeat(c);
			continue;
		}
		if (c->state == CALL_RUNNING) {
			end(c, stopped ? CALL_END_STOPPED : CALL_END_DIED, NULL);
		}
		forget(c);
	}
}

/* Too late to begin: it waited too long although this worker was there. */
static bool is_late(const struct call *c, const struct worker *w)
{
	uint64_t since = c->submitted_ms > w->ready_ms ? c->submitted_ms : w->ready_ms;
	return uv_now(c->director->loop) - since > patience_ms(c);
}

/* Serves or ends the first that can be. @return false when there is none. */
static bool serve_one(struct plugin *p)
{
	struct work *x;
	bool full = false; /* the workers for everybody */
	DL_FOREACH (p->waiting, x) {
		struct call *c = call_of_work(x);
		enum turn turn = take_turn(c);
		if (turn == TURN_NEVER) {
			give_up(c, CALL_END_QUARANTINED);
			return true;
		}
		if (turn == TURN_LATER || (full && x->tenant == TENANT_SHARED)) {
			continue;
		}
		struct worker *w = free_worker(p, x);
		if (w == NULL) {
			full = full || x->tenant == TENANT_SHARED;
			continue;
		}
		if (is_late(c, w)) {
			give_up(c, CALL_END_SHED);
			return true;
		}
		DL_DELETE(p->waiting, x);
		if (send_work(c, w, NULL) < 0) {
			/* The worker does not read: it stays first in the queue. */
			DL_PREPEND(p->waiting, x);
			return false;
		}
		uvx_timer_once(&c->timer, remaining_ms(c));
		return true;
	}
	return false;
}

void dispatch_next(struct plugin *p)
{
	while (p->waiting != NULL && serve_one(p)) {
	}
}

void dispatch_fail_waiting(struct plugin *p)
{
	while (p->waiting != NULL) {
		give_up(call_of_work(p->waiting), CALL_END_UNAVAILABLE);
	}
}
