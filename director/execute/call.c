#include "director/execute/call.h"

#include "common/base/error.h"
#include "common/base/map.h"
#include "director/auth/auth.h"
#include "director/director.h"
#include "director/hosts/plugin.h"

#include <stdlib.h>

struct call *call_new(struct director *d)
{
	struct call_pool *pool = &d->calls;
	struct call *c = pool->free;
	if (c != NULL) {
		LL_DELETE(pool->free, c);
	} else {
		c = calloc(1, sizeof(*c));
		if (c == NULL) {
			return NULL;
		}
		uvx_timer_init(&c->timer, d->loop, pool->deadline, c);
		c->director = d;
		buffer_init(&c->data, FRAME_PAYLOAD_MAX);
		pool->total++;
	}
	pool->used++;
	return c;
}

void call_set_request_id(struct call *c, struct slice id)
{
	size_t n = id.n > CALL_REQUEST_ID_MAX ? CALL_REQUEST_ID_MAX : id.n;
	memcpy(c->request_id, id.p, n);
	c->request_id[n] = '\0';
	c->work.request_id = slice_of(c->request_id, n);
}

void call_set_trace(struct call *c, struct slice trace)
{
	invariant(trace.n == TRACE_LENGTH);
	c->trace_n = TRACE_LENGTH;
	memcpy(c->trace, trace.p, TRACE_LENGTH);
	c->work.trace_id = slice_of(c->trace + TRACE_ID_AT, TRACE_ID_LENGTH);
}

void call_free(struct call *c)
{
	struct call_pool *pool = &c->director->calls;
	invariant(c->admitted == NULL && c->work.worker == NULL);
	uvx_timer_stop(&c->timer);
	c->user = user_context_unref(c->user);
	if (c->plugin != NULL) {
		plugin_unref(c->plugin);
		c->plugin = NULL;
	}
	buffer_deinit(&c->data);
	c->state = CALL_FREE;
	c->work = (struct work){ 0 };
	c->done = NULL;
	c->owner = NULL;
	c->work_flags = 0;
	c->stream_events = NULL;
	free(c->stream);
	c->stream = NULL;
	c->request = c->user_key = 0;
	c->repeatable = c->repeated = c->watched = c->has_turn = false;
	c->capability_calls = 0;
	c->event_depth = 0;
	c->request_id[0] = '\0';
	c->trace_n = 0;
	pool->used--;
	LL_PREPEND(pool->free, c);
}

static void on_timer_closed(void *arg)
{
	struct call *c = arg;
	struct call_pool *pool = &c->director->calls;
	free(c);
	if (--pool->total == 0) {
		pool->closed(pool->closed_arg);
	}
}

void call_pool_close(struct director *d, void (*closed)(void *arg), void *arg)
{
	struct call_pool *pool = &d->calls;
	invariant(pool->used == 0);
	pool->closed = closed;
	pool->closed_arg = arg;
	if (pool->total == 0) {
		closed(arg);
		return;
	}
	struct call *c = pool->free;
	pool->free = NULL;
	while (c != NULL) {
		struct call *next = c->next;
		uvx_timer_close(&c->timer, on_timer_closed, c);
		c = next;
	}
}
