#include "director/http/connection.h"

#include "common/base/error.h"
#include "common/base/map.h"
#include "director/http/server.h"
#include "director/http/site.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* What the buffer of a body grows by at first. */
enum { BODY_ROOM = 16 * 1024 };

/* How long a browser may remember what it was allowed; the most that any of them takes. */
#define PREFLIGHT_AGE_S "7200"

/* Which states may follow which. */
#define TO(state) (1U << CONNECTION_##state)
static const unsigned next_states[CONNECTION_STATES] = {
	[CONNECTION_IDLE] = TO(HEAD) | TO(CLOSED),
	[CONNECTION_HEAD] = TO(IDLE) | TO(BODY) | TO(DISCARD) | TO(LAST) | TO(CLOSED),
	[CONNECTION_BODY] = TO(ANSWER) | TO(IDLE) | TO(DISCARD) | TO(LAST) | TO(CLOSED),
	[CONNECTION_ANSWER] = TO(IDLE) | TO(TUNNEL) | TO(LAST) | TO(CLOSED),
	[CONNECTION_DISCARD] = TO(IDLE) | TO(CLOSED),
	[CONNECTION_TUNNEL] = TO(LAST) | TO(CLOSED),
	[CONNECTION_LAST] = TO(LINGER) | TO(CLOSED),
	[CONNECTION_LINGER] = TO(CLOSED),
	[CONNECTION_CLOSED] = 0,
};

static void enter(struct connection *c, enum connection_state state)
{
	invariant((next_states[c->state] & (1U << state)) != 0);
	c->state = state;
	if (state == CONNECTION_LAST) {
		/* Nothing that came after the request at hand will be looked at. */
		c->begin = 0;
		c->taken = 0;
		c->end = 0;
	}
}

static struct slice unread(const struct connection *c)
{
	return slice_of(c->block == NULL ? NULL : c->block->bytes + c->taken, c->end - c->taken);
}

/* Requests */

static bool is_timed(const struct connection *c)
{
	return c->server->config.observe != NULL || c->server->config.timing;
}

static void observe(struct connection *c)
{
	const struct http_config *config = &c->server->config;
	struct http_request *r = &c->request;
	if (config->observe == NULL) {
		return;
	}
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

/* The request begins: its head is parsed. */
static void request_begin(struct connection *c)
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

/* The request ends, answered or not. What came after it becomes the next one. */
static void request_end(struct connection *c)
{
	struct http_request *r = &c->request;
	if (!r->live) {
		return;
	}
	abort_handler(r);
	if (r->release != NULL) {
		r->release(r->context);
	}
	observe(c);
	r->live = false;
	free(r->decoded);
	buffer_deinit(&c->body);
	c->begin = c->taken;
	guard_init(&c->guard);
}

/* The request at hand is answered: what comes next? */
static void finish_request(struct connection *c)
{
	uint64_t left = c->keep ? connection_body_left(c) : 0;
	request_end(c);
	if (c->tunnel != NULL) {
		enter(c, CONNECTION_TUNNEL);
	} else if (!c->keep) {
		enter(c, CONNECTION_LAST);
	} else if (left > 0) {
		c->discard = left;
		enter(c, CONNECTION_DISCARD);
	} else {
		enter(c, CONNECTION_IDLE);
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

/* The server itself ends the request at hand, or what was to become one, with an error. */
static void refuse(struct connection *c, int status, const char *reason)
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
		request_end(c);
	} else {
		begin_nothing(c);
		connection_problem(c, &problem);
		observe(c);
	}
	enter(c, CONNECTION_LAST);
}

static void refuse_with(struct connection *c, const struct http_refusal *refusal)
{
	char text[200];
	if (refusal->limit_is == NULL) {
		refuse(c, refusal->status, refusal->reason);
		return;
	}
	(void)snprintf(text, sizeof(text), "%s %llu %s", refusal->reason,
		(unsigned long long)refusal->limit, refusal->limit_is);
	refuse(c, refusal->status, text);
}

static void refuse_late(
	struct connection *c, const char *what, unsigned limit_ms, const char *setting)
{
	char text[200];
	(void)snprintf(
		text, sizeof(text), "%s within %g s (%s)", what, (double)limit_ms / 1000, setting);
	refuse(c, 408, text);
}

/* What a browser asks before it lets a page of another origin send a request. The headers that it
 * names are all allowed: the origin is one that the operator trusts. @return how many were set. */
static size_t preflight_headers(
	const struct connection *c, struct slice methods, struct http_header ret[static 3])
{
	const struct http_head *h = &c->request.head;
	const struct http_site *site = c->server->config.site;
	if (site == NULL || h->origin.p == NULL || !site_trusts(site, h->origin) ||
		head_find(h, SLICE("Access-Control-Request-Method")).p == NULL) {
		return 0;
	}
	size_t n = 0;
	ret[n++] = (struct http_header){ SLICE("Access-Control-Allow-Methods"), methods };
	ret[n++] = (struct http_header){ SLICE("Access-Control-Max-Age"), SLICE(PREFLIGHT_AGE_S) };
	struct slice wanted = head_find(h, SLICE("Access-Control-Request-Headers"));
	if (wanted.n > 0) {
		ret[n++] = (struct http_header){ SLICE("Access-Control-Allow-Headers"), wanted };
	}
	return n;
}

/* An answer of the server's own to a request that no handler knows. */
static void answer_unrouted(struct connection *c, int status, unsigned allowed, const char *detail)
{
	if (status != 204) {
		struct connection_problem problem = {
			.status = status,
			.allowed = allowed,
			.detail = slice_str(detail),
		};
		connection_problem(c, &problem);
		return;
	}
	char allow[64];
	router_allow(allowed, allow);
	struct http_header headers[4] = { { SLICE("Allow"), slice_str(allow) } };
	size_t n = 1 + preflight_headers(c, slice_str(allow), headers + 1);
	struct http_response response = { .status = 204, .headers = headers, .n_headers = n };
	connection_answer(c, &response);
}

const struct forwarded *connection_forwarded(struct connection *c)
{
	struct http_request *r = &c->request;
	if (!r->resolved) {
		r->resolved = true;
		r->forwarded = (struct forwarded){ .client = c->peer,
			.https = transport_is_secure(&c->transport) };
		if (c->trusted && r->live) {
			proxies_resolve(
				c->server->config.proxies, &c->peer, &r->head, &r->forwarded);
		}
	}
	return &r->forwarded;
}

/* Does its address send too many? @return false when the request is answered already. */
static bool take_rate(struct connection *c)
{
	struct http_server *s = c->server;
	if (s->addresses == NULL || !c->has_peer) {
		return true;
	}
	const struct address *client = &connection_forwarded(c)->client;
	if (c->trusted && proxies_trust(s->config.proxies, client)) {
		/* It has not said whose this is, and is not to suffer for all of them. */
		return true;
	}
	struct address key = address_client(client);
	struct limit_state state;
	struct limit limit = limiter_limit(s->addresses);
	limiter_take(s->addresses, slice_of(&key, sizeof(key)), uv_now(s->config.loop), &state);
	const struct http_quota quota = {
		.name = "address",
		.n = limit.n,
		.window_s = (unsigned)(limit.window_ms / 1000),
		.left = state.left,
		.full_s = (unsigned)((state.full_ms + 999) / 1000),
	};
	http_request_set_quota(&c->request, &quota);
	if (!state.allowed) {
		char text[120];
		(void)snprintf(text, sizeof(text),
			"More than %llu requests a minute from this address "
			"(MOZAIKS_RATE_PER_ADDRESS)",
			(unsigned long long)limit.n);
		struct connection_problem problem = {
			.status = 429,
			.code = "too_many_requests",
			.retry_after_s = (unsigned)((state.retry_ms + 999) / 1000),
			.detail = slice_str(text),
		};
		connection_problem(c, &problem);
	}
	return state.allowed;
}

/* Finds the route. @return false when the request is answered already. */
static bool route_request(struct connection *c)
{
	struct http_request *r = &c->request;
	struct http_refusal refusal;
	struct slice path;
	const struct http_site *site = c->server->config.site;
	struct slice asked = c->trusted ? connection_forwarded(c)->host : SLICE_NULL;
	if (site != NULL && !site_serves(site, asked.n > 0 ? asked : r->head.host)) {
		answer_unrouted(c, 421, 0, "this host is not served here (ALLOWED_HOSTS)");
		return false;
	}
	if (r->head.asterisk) {
		answer_unrouted(c, 204, (1U << HTTP_M_OTHER) - 1, NULL);
		return false;
	}
	if (!path_is_plain(r->path)) {
		r->decoded = malloc(r->path.n);
		if (r->decoded == NULL) {
			answer_unrouted(c, 503, 0, "out of memory");
			return false;
		}
	}
	if (!path_decode(r->path, r->decoded, &path, &refusal)) {
		answer_unrouted(c, refusal.status, 0, refusal.reason);
		return false;
	}
	switch (router_match(c->server->router, r->head.method, path, &r->match)) {
	case ROUTE_FOUND:
		return true;
	case ROUTE_UNKNOWN:
		answer_unrouted(c, 404, 0, "Not Found");
		return false;
	case ROUTE_METHOD:
		if (r->head.method == HTTP_M_OPTIONS) {
			answer_unrouted(c, 204, r->match.allowed, NULL);
		} else {
			answer_unrouted(c, 405, r->match.allowed, "Method Not Allowed");
		}
		return false;
	}
	return false;
}

/* The handler wants the body: decides where it goes, and lets a client that asked send it. */
static void begin_body(struct connection *c)
{
	const struct http_head *h = &c->request.head;
	buffer_init(&c->body, c->server->config.limits.body_bytes);
	const struct http_request *r = &c->request;
	if (r->pieces_limit > 0) {
		c->body_mode = h->chunked ? BODY_CHUNKED_PIECES : BODY_PIECES;
		chunked_init(&c->chunked, r->pieces_limit);
	} else if (h->chunked) {
		c->body_mode = BODY_CHUNKED;
		chunked_init(&c->chunked, c->server->config.limits.body_bytes);
	} else {
		bool fits = h->length <= c->server->block_size - c->taken;
		c->body_mode = fits ? BODY_IN_BLOCK : BODY_IN_BUFFER;
	}
	enter(c, CONNECTION_BODY);
	bool has_body = h->chunked || h->length > 0;
	if (h->expects_continue && has_body && c->end == c->taken) {
		struct slice go_on = SLICE("HTTP/1.1 100 Continue\r\n\r\n");
		connection_say(c, go_on);
	}
}

/* The longest body of the request at hand; what it is refused with beyond that. */
static struct http_refusal body_limit(const struct connection *c)
{
	const struct http_request *r = &c->request;
	struct http_refusal refusal = http_body_too_large(c->server->config.limits.body_bytes);
	if (r->pieces_limit > 0) {
		refusal.limit = r->pieces_limit;
		refusal.limit_is = r->pieces_limit_is;
	}
	return refusal;
}

/* A complete head. */
static void take_request(struct connection *c)
{
	struct http_request *r = &c->request;
	struct http_refusal refusal;
	struct slice in = slice_of(c->block->bytes + c->begin, c->end - c->begin);
	if (!head_parse(&r->head, &c->guard, in, &refusal)) {
		refuse_with(c, &refusal);
		return;
	}
	request_begin(c);
	if (take_rate(c) && route_request(c)) {
		const struct http_route *route = r->match.route;
		if (route->handler->on_head != NULL) {
			bool accepted = route->handler->on_head(route->owner, r);
			invariant(accepted || r->answered);
			r->seen = accepted;
		}
	}
	refusal = body_limit(c);
	if (r->answered) {
		finish_request(c);
	} else if (r->head.length > refusal.limit) {
		refuse_with(c, &refusal);
	} else if (r->head.encoded) {
		refuse(c, 415, "request bodies with a Content-Encoding are not accepted");
	} else {
		begin_body(c);
	}
}

/* Moves the start of the next request to the front of the block; no slice points at it yet. */
static void pack(struct connection *c)
{
	memmove(c->block->bytes, c->block->bytes + c->begin, c->end - c->begin);
	c->end -= c->begin;
	c->taken = 0;
	c->begin = 0;
}

/* Steps: each does what its state can do now. @return true to go on, false to wait. */

static bool step_idle(struct connection *c)
{
	if (c->end > c->begin) {
		enter(c, CONNECTION_HEAD);
		return true;
	}
	if ((c->ended || c->server->draining) && transport_queued(&c->transport) == 0) {
		c->doomed = true;
	}
	return false;
}

static bool step_head(struct connection *c)
{
	/* A client that does not take its answers gets no more of them. */
	if (transport_queued(&c->transport) > 0) {
		return false;
	}
	if (c->end == c->begin) {
		c->doomed = c->ended || c->server->draining;
		return false;
	}
	if (c->batch == 0) {
		server_add_ready(c->server, c);
		return false;
	}
	struct slice in = slice_of(c->block->bytes + c->begin, c->end - c->begin);
	switch (guard_scan(&c->guard, in, c->server->config.limits.head_bytes)) {
	case GUARD_MORE:
		c->doomed = c->ended;
		return false;
	case GUARD_REFUSED:
		refuse_with(c, &c->guard.refusal);
		return true;
	case GUARD_OK:
		if (c->server->block_size - c->begin - c->guard.head_end < HTTP_BLOCK_EXTRA) {
			/* Behind the head there must be room for the pieces of its body. */
			pack(c);
		}
		c->batch--;
		take_request(c);
		return true;
	}
	return false;
}

static void deliver(struct connection *c, struct slice body)
{
	struct http_request *r = &c->request;
	const struct http_route *route = r->match.route;
	c->body_done = true;
	r->seen = true;
	enter(c, CONNECTION_ANSWER);
	route->handler->on_body(route->owner, r, body);
}

/* Moves what the block holds of the body to its buffer. @return 0 or a negative errno. */
static int collect(struct connection *c, uint64_t missing)
{
	struct slice in = unread(c);
	size_t n = missing < in.n ? (size_t)missing : in.n;
	c->taken += n;
	return buffer_append(&c->body, slice_of(in.p, n));
}

/* @return true when the body is complete; it may be refused on the way. */
static bool collect_chunks(struct connection *c)
{
	struct slice in = unread(c);
	struct slice data;
	for (;;) {
		enum chunked_verdict v = chunked_next(&c->chunked, &in, &data);
		if (v == CHUNKED_DATA && buffer_append(&c->body, data) < 0) {
			refuse(c, 503, "out of memory");
			return false;
		}
		if (v == CHUNKED_REFUSED) {
			refuse_with(c, &c->chunked.refusal);
			return false;
		}
		if (v == CHUNKED_MORE) {
			/* All is used: the room behind the head is free again. */
			c->end = c->taken;
			return false;
		}
		if (v == CHUNKED_END) {
			c->taken = c->end - in.n;
			return true;
		}
	}
}

/* Hands a piece of the body to the handler, which may pause or answer. */
static void deliver_piece(struct connection *c, struct slice piece, bool last)
{
	struct http_request *r = &c->request;
	const struct http_route *route = r->match.route;
	r->pieces_n += piece.n;
	if (last) {
		c->body_done = true;
		enter(c, CONNECTION_ANSWER);
	}
	route->handler->on_piece(route->owner, r, piece, last);
}

static bool step_pieces(struct connection *c)
{
	struct http_request *r = &c->request;
	struct slice in = unread(c);
	uint64_t missing = r->head.length - r->pieces_n;
	if (in.n == 0 && missing > 0) {
		c->doomed = c->ended;
		return false;
	}
	if (missing > in.n) {
		/* The room behind the head is free again as soon as the handler returns. */
		c->end = c->taken;
		deliver_piece(c, in, false);
		return true;
	}
	c->taken += (size_t)missing;
	deliver_piece(c, slice_of(in.p, (size_t)missing), true);
	return true;
}

/* What is left of the body's bytes goes to where they began. */
static void keep_unread(struct connection *c, struct slice rest)
{
	if (rest.n > 0) {
		memmove(c->block->bytes + c->taken, rest.p, rest.n);
	}
	c->end = c->taken + rest.n;
}

static bool step_chunked_pieces(struct connection *c)
{
	struct slice in = unread(c);
	struct slice data = SLICE_NULL;
	enum chunked_verdict v = chunked_next(&c->chunked, &in, &data);
	if (v == CHUNKED_DATA) {
		deliver_piece(c, data, false);
		keep_unread(c, in);
		return true;
	}
	if (v == CHUNKED_REFUSED) {
		struct http_refusal refusal =
			c->chunked.refusal.status == 413 ? body_limit(c) : c->chunked.refusal;
		refuse_with(c, &refusal);
		return true;
	}
	if (v == CHUNKED_END) {
		c->taken = c->end - in.n;
		deliver_piece(c, SLICE_NULL, true);
		return true;
	}
	c->end = c->taken;
	c->doomed = c->ended;
	return false;
}

/* What an answer in pieces has said is with the kernel: its handler goes on. */
static bool tell_sent(struct connection *c)
{
	struct http_request *r = &c->request;
	const struct http_route *route = r->match.route;
	if (!r->sent_wanted || transport_queued(&c->transport) > 0) {
		return false;
	}
	r->sent_wanted = false;
	if (route->handler->on_sent != NULL) {
		route->handler->on_sent(route->owner, r);
	}
	return true;
}

static bool step_body(struct connection *c)
{
	uint64_t length = c->request.head.length;
	struct slice body = SLICE_NULL;
	bool complete = false;
	if (c->request.answered) {
		finish_request(c);
		return true;
	}
	if (tell_sent(c)) {
		return true;
	}
	switch (c->body_mode) {
	case BODY_PIECES:
		return !c->request.paused && step_pieces(c);
	case BODY_CHUNKED_PIECES:
		return !c->request.paused && step_chunked_pieces(c);
	case BODY_IN_BLOCK:
		complete = c->end - c->taken >= length;
		if (complete) {
			body = slice_of(c->block->bytes + c->taken, (size_t)length);
			c->taken += (size_t)length;
		}
		break;
	case BODY_IN_BUFFER:
		if (collect(c, length - c->body.n) < 0) {
			refuse(c, 503, "out of memory");
			return true;
		}
		complete = c->body.n == length;
		body = buffer_slice(&c->body);
		break;
	case BODY_CHUNKED:
		complete = collect_chunks(c);
		if (c->state != CONNECTION_BODY) {
			return true;
		}
		body = buffer_slice(&c->body);
		break;
	}
	if (complete) {
		deliver(c, body);
		return true;
	}
	c->doomed = c->ended;
	return false;
}

static bool step_answer(struct connection *c)
{
	if (c->request.answered) {
		finish_request(c);
		return true;
	}
	if (tell_sent(c)) {
		return true;
	}
	/* Whoever has stopped sending while we work is taken for gone, as most servers do. */
	c->doomed = c->ended;
	return false;
}

static bool step_discard(struct connection *c)
{
	struct slice in = unread(c);
	size_t n = c->discard < in.n ? (size_t)c->discard : in.n;
	c->taken += n;
	c->begin = c->taken;
	c->discard -= n;
	if (c->discard == 0) {
		enter(c, CONNECTION_IDLE);
		return true;
	}
	c->doomed = c->ended && transport_queued(&c->transport) == 0;
	return false;
}

/* What came right behind the request, before the peer knew the answer. */
static bool step_tunnel(struct connection *c)
{
	size_t n = c->end - c->begin;
	if (n > 0 && !c->tunnel_paused && !c->tunnel_finished) {
		uint8_t *p = c->block->bytes + c->begin;
		c->begin = c->end;
		c->taken = c->end;
		c->tunnel->received(c->tunnel_owner, p, n);
	}
	if (c->tunnel_finished) {
		enter(c, CONNECTION_LAST);
		return true;
	}
	c->doomed = c->doomed || c->ended;
	return false;
}

static bool step_wait(struct connection *c)
{
	return false;
}

/* Moving */

/* True when received bytes have a place. */
static bool has_room(const struct connection *c)
{
	if (c->state == CONNECTION_TUNNEL) {
		return !c->tunnel_paused;
	}
	bool packed = c->request.live || c->begin == 0;
	return c->state >= CONNECTION_LAST || c->block == NULL ||
		(c->state == CONNECTION_BODY && c->body_mode == BODY_IN_BUFFER) || !packed ||
		c->end < c->server->block_size;
}

void connection_set_deadline(struct connection *c)
{
	static const enum deadline_kind kinds[CONNECTION_STATES] = {
		[CONNECTION_IDLE] = DEADLINE_KEEPALIVE,
		[CONNECTION_HEAD] = DEADLINE_HEADER,
		[CONNECTION_BODY] = DEADLINE_BODY,
		[CONNECTION_ANSWER] = DEADLINE_NONE,
		[CONNECTION_DISCARD] = DEADLINE_BODY,
		[CONNECTION_TUNNEL] = DEADLINE_NONE,
		[CONNECTION_LAST] = DEADLINE_SEND,
		[CONNECTION_LINGER] = DEADLINE_LINGER,
		[CONNECTION_CLOSED] = DEADLINE_NONE,
	};
	size_t queued = transport_queued(&c->transport);
	enum deadline_kind kind = queued > 0        ? DEADLINE_SEND
		: transport_is_ready(&c->transport) ? kinds[c->state]
						    : DEADLINE_HANDSHAKE;
	if (kind == DEADLINE_BODY && c->request.live && c->request.paused) {
		/* It is not the client that is slow. */
		kind = DEADLINE_NONE;
	}
	bool anew = kind != c->deadline.kind || c->progressed || kind == DEADLINE_BODY;
	if (anew && (kind != DEADLINE_NONE || c->deadline.kind != DEADLINE_NONE)) {
		deadline_set(&c->server->deadlines, &c->deadline, kind);
		c->unsent = kind == DEADLINE_SEND ? transport_unsent(&c->transport) : 0;
	}
	c->progressed = false;
}

/* After a tick: what waits for the outside. */
static void settle(struct connection *c)
{
	if (c->state == CONNECTION_LAST && transport_queued(&c->transport) == 0) {
		transport_finish(&c->transport);
		enter(c, CONNECTION_LINGER);
	}
	if (c->state == CONNECTION_LINGER && c->ended) {
		connection_close(c);
		return;
	}
	if (!c->request.live && c->begin == c->end && c->block != NULL) {
		server_give_block(c->server, c->block);
		c->block = NULL;
		c->begin = 0;
		c->taken = 0;
		c->end = 0;
	}
	connection_set_deadline(c);
	if (!c->ended && has_room(c) && transport_read(&c->transport) < 0) {
		connection_close(c);
	}
}

void connection_tick(struct connection *c, unsigned batch)
{
	static bool (*const steps[CONNECTION_STATES])(struct connection * c) = {
		[CONNECTION_IDLE] = step_idle,
		[CONNECTION_HEAD] = step_head,
		[CONNECTION_BODY] = step_body,
		[CONNECTION_ANSWER] = step_answer,
		[CONNECTION_DISCARD] = step_discard,
		[CONNECTION_TUNNEL] = step_tunnel,
		[CONNECTION_LAST] = step_wait,
		[CONNECTION_LINGER] = step_wait,
		[CONNECTION_CLOSED] = step_wait,
	};
	invariant(!c->ticking);
	c->ticking = true;
	c->batch = batch;
	while (!c->doomed && steps[c->state](c)) {
	}
	c->ticking = false;
	connection_flush(c);
	if (c->doomed) {
		connection_close(c);
	} else if (c->state != CONNECTION_CLOSED) {
		settle(c);
	}
}

void connection_expired(struct connection *c, enum deadline_kind kind)
{
	const struct http_limits *limits = &c->server->config.limits;
	if (kind == DEADLINE_SEND && transport_unsent(&c->transport) < c->unsent) {
		c->unsent = transport_unsent(&c->transport);
		deadline_set(&c->server->deadlines, &c->deadline, DEADLINE_SEND);
		return;
	}
	if (kind == DEADLINE_HEADER) {
		refuse_late(c, "the request head did not arrive", limits->header_ms,
			"MOZAIKS_HEADER_TIMEOUT_SECONDS");
	} else if (kind == DEADLINE_BODY && c->state == CONNECTION_BODY) {
		refuse_late(c, "nothing of the body arrived", limits->body_ms,
			"MOZAIKS_BODY_TIMEOUT_SECONDS");
	} else {
		c->doomed = true;
	}
	connection_tick(c, 0);
}

bool connection_is_idle(const struct connection *c)
{
	return c->state <= CONNECTION_HEAD && c->begin == c->end &&
		transport_queued(&c->transport) == 0;
}

/* Events of the stream */

/* No memory to read into: the connection is given up, but not in the middle of a read. */
static struct uvx_room no_room(struct connection *c)
{
	c->doomed = true;
	server_add_ready(c->server, c);
	return (struct uvx_room){ 0 };
}

static struct uvx_room on_room(struct uvx_stream *stream)
{
	struct connection *c = stream->owner;
	struct http_server *s = c->server;
	if (c->state >= CONNECTION_TUNNEL) {
		return (struct uvx_room){ s->junk, sizeof(s->junk) };
	}
	if (c->state == CONNECTION_BODY && c->body_mode == BODY_IN_BUFFER) {
		uint64_t missing = c->request.head.length - c->body.n;
		size_t want = missing < BODY_ROOM ? (size_t)missing : BODY_ROOM;
		if (buffer_reserve(&c->body, want) < 0) {
			return no_room(c);
		}
		size_t room = c->body.cap - c->body.n;
		return (struct uvx_room){ c->body.p + c->body.n,
			missing < room ? (size_t)missing : room };
	}
	if (c->block == NULL) {
		c->block = server_take_block(s);
		if (c->block == NULL) {
			return no_room(c);
		}
	}
	if (!c->request.live && c->begin > 0) {
		pack(c);
	}
	return (struct uvx_room){ c->block->bytes + c->end, s->block_size - c->end };
}

/* True when a body has been coming too slowly for too long. */
static bool is_crawling(const struct connection *c)
{
	uint64_t elapsed = uv_now(c->server->config.loop) - c->body_began;
	return elapsed > HTTP_BODY_GRACE_MS &&
		c->body_n * 1000 <
		(elapsed - HTTP_BODY_GRACE_MS) * c->server->config.limits.body_rate;
}

_Static_assert(HTTP_BODY_GRACE_MS == 5000, "what the client is told");

static void end_crawling(struct connection *c)
{
	struct http_refusal refusal = {
		.status = 408,
		.reason = "after its first 5 s the body arrived at less than",
		.limit = c->server->config.limits.body_rate,
		.limit_is = "bytes a second (MOZAIKS_MIN_BODY_RATE)",
	};
	if (c->state == CONNECTION_BODY) {
		refuse_with(c, &refusal);
	} else {
		c->doomed = true;
	}
	connection_tick(c, 0);
}

static void on_received(struct uvx_stream *stream, size_t n)
{
	struct connection *c = stream->owner;
	if (n > 0 && c->state == CONNECTION_TUNNEL) {
		if (!c->tunnel_finished) {
			c->tunnel->received(c->tunnel_owner, c->server->junk, n);
		}
	} else if (n > 0 && c->state < CONNECTION_LAST) {
		bool body = c->state == CONNECTION_BODY || c->state == CONNECTION_DISCARD;
		c->body_n += n;
		if (c->state == CONNECTION_BODY && c->body_mode == BODY_IN_BUFFER) {
			c->body.n += n;
		} else {
			c->end += n;
		}
		if (body && !c->request.paused && is_crawling(c)) {
			end_crawling(c);
			return;
		}
	}
	/* Who waits for the next turn has had its share of this one. */
	connection_tick(c, c->ready ? 0 : HTTP_PIPELINE_MAX);
}

static void on_ended(struct uvx_stream *stream, int error)
{
	struct connection *c = stream->owner;
	c->ended = true;
	c->doomed = c->doomed || error < 0;
	connection_tick(c, 0);
}

static void on_sent(struct uvx_stream *stream, int error)
{
	struct connection *c = stream->owner;
	c->doomed = c->doomed || error < 0;
	if (c->state == CONNECTION_TUNNEL && !c->doomed) {
		c->tunnel->sent(c->tunnel_owner);
	}
	connection_tick(c, HTTP_PIPELINE_MAX);
}

static void on_closed(void *arg)
{
	struct connection *c = arg;
	server_connection_closed(c->server, c);
}

int connection_accept(struct http_server *s, struct uvx_listener *l)
{
	static const struct uvx_stream_ops ops = { on_room, on_received, on_ended, on_sent };
	struct connection *c = calloc(1, sizeof(*c));
	if (c == NULL) {
		return -ENOMEM;
	}
	c->server = s;
	c->state = CONNECTION_HEAD;
	c->deadline.kind = DEADLINE_NONE;
	c->deadline.owner = c;
	c->request.connection = c;
	int r = transport_accept(&c->transport, l, &ops, c, l->tcp ? s->secure : NULL);
	if (r < 0) {
		free(c);
		return r;
	}
	DL_APPEND(s->connections, c);
	s->n_connections++;
	c->has_peer = address_of_socket((const struct sockaddr *)&l->peer, &c->peer);
	c->trusted = c->has_peer && s->config.proxies != NULL &&
		proxies_trust(s->config.proxies, &c->peer);
	if (server_admits(s, c)) {
		connection_tick(c, 0);
	} else {
		connection_close(c);
	}
	return 0;
}

void connection_close(struct connection *c)
{
	if (c->state == CONNECTION_CLOSED) {
		return;
	}
	enter(c, CONNECTION_CLOSED);
	if (c->server->out_owner == c) {
		c->server->out_owner = NULL;
		buffer_clear(&c->server->out);
	}
	request_end(c);
	if (c->counted) {
		crowd_leave(&c->server->crowd, &c->peer);
		c->counted = false;
	}
	deadline_set(&c->server->deadlines, &c->deadline, DEADLINE_NONE);
	server_remove_ready(c->server, c);
	if (c->block != NULL) {
		server_give_block(c->server, c->block);
		c->block = NULL;
	}
	transport_close(&c->transport, on_closed, c);
	if (c->tunnel != NULL) {
		c->tunnel->closed(c->tunnel_owner);
	}
}
