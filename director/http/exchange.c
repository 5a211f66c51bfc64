/* The request at hand, from its head to its end: answered, refused, or left by its client. */
#include "director/http/states.h"

#include <stdio.h>
#include <stdlib.h>

static bool is_timed(const struct connection *c)
{
	return c->server->config.observe != NULL || c->server->config.timing;
}

static void observe(struct connection *c)
{
	const struct http_config *config = &c->server->config;
	struct http_request *r = &c->request;
	struct http_outcome outcome = {
		.method = r->head.method,
		.path = r->path,
		.pattern = r->match.route != NULL ? r->match.route->pattern : NULL,
		.client = c->has_peer ? &connection_forwarded(c)->client : NULL,
		.trace_id = c->request.live ? connection_trace_id(c) : SLICE_NULL,
		.request_id = connection_request_id(c),
		.status = r->answered ? r->status : 499,
		.answer_bytes = r->answer_n,
		.microseconds = (uv_hrtime() - r->began) / 1000,
	};
	config->observe(config->observe_owner, &outcome);
}

void exchange_begin(struct connection *c)
{
	struct http_request *r = &c->request;
	r->live = true;
	r->seen = false;
	r->answered = false;
	r->status = 0;
	r->answer_n = 0;
	r->path = r->head.path;
	r->decoded = NULL;
	r->match.route = NULL;
	r->traced = false;
	r->n_timings = 0;
	r->quota.n = 0;
	r->resolved = false;
	r->id = SLICE_NULL;
	r->context = NULL;
	r->release = NULL;
	r->pieces_limit = 0;
	r->pieces_n = 0;
	r->paused = false;
	r->streaming = false;
	r->sent_wanted = false;
	r->began = is_timed(c) ? uv_hrtime() : 0;
	c->progressed = true;
	c->taken = c->begin + c->guard.head_end;
	c->body_done = false;
	c->body_began = uv_now(c->server->config.loop);
	c->body_n = c->end - c->taken;
}

/* Tells a handler that waits to answer. */
static void abort_handler(struct http_request *r)
{
	const struct http_route *route = r->match.route;
	if (r->seen && !r->answered && route->handler->on_abort != NULL) {
		route->handler->on_abort(route->owner, r);
	}
	r->seen = false;
}

void exchange_end(struct connection *c)
{
	struct http_request *r = &c->request;
	if (!r->live) {
		return;
	}
	abort_handler(r);
	if (r->release != NULL) {
		r->release(r->context);
	}
	if (c->server->config.observe != NULL) {
		observe(c);
	}
	r->live = false;
	free(r->decoded);
	buffer_deinit(&c->body);
	c->begin = c->taken;
	guard_init(&c->guard);
}

void exchange_finish(struct connection *c)
{
	uint64_t left = c->keep ? connection_body_left(c) : 0;
	exchange_end(c);
	if (c->tunnel != NULL) {
		connection_enter(c, CONNECTION_TUNNEL);
	} else if (!c->keep) {
		connection_enter(c, CONNECTION_LAST);
	} else if (left > 0) {
		c->discard = left;
		connection_enter(c, CONNECTION_DISCARD);
	} else {
		connection_enter(c, CONNECTION_IDLE);
	}
}

/* A head that never became a request is answered, too. */
static void begin_nothing(struct connection *c)
{
	struct http_request *r = &c->request;
	r->head.method = HTTP_M_OTHER;
	r->path = SLICE_NULL;
	r->match.route = NULL;
	r->answered = false;
	r->traced = false;
	r->n_timings = 0;
	r->quota.n = 0;
	r->resolved = false;
	r->id = SLICE_NULL;
	r->began = is_timed(c) ? uv_hrtime() : 0;
}

void exchange_refuse(struct connection *c, int status, const char *reason)
{
	struct http_request *r = &c->request;
	struct connection_problem problem = { .status = status, .detail = slice_str(reason) };
	c->refused = true;
	if (r->live && r->streaming) {
		/* The answer has begun: its client sees that it does not end. */
		c->doomed = true;
		return;
	}
	if (r->live) {
		abort_handler(r);
		connection_problem(c, &problem);
		exchange_end(c);
	} else {
		begin_nothing(c);
		connection_problem(c, &problem);
		if (c->server->config.observe != NULL) {
			observe(c);
		}
	}
	connection_enter(c, CONNECTION_LAST);
}

void exchange_refuse_with(struct connection *c, const struct http_refusal *refusal)
{
	char text[200];
	if (refusal->limit_is == NULL) {
		exchange_refuse(c, refusal->status, refusal->reason);
		return;
	}
	(void)snprintf(text, sizeof(text), "%s %llu %s", refusal->reason,
		(unsigned long long)refusal->limit, refusal->limit_is);
	exchange_refuse(c, refusal->status, text);
}
