/* The body of the request at hand: where it goes, and when its handler gets it. */
#include "director/http/states.h"

#include <string.h>

/* The longest body of the request at hand. */
static uint64_t longest(const struct connection *c)
{
	const struct http_request *r = &c->request;
	return r->pieces_limit > 0 ? r->pieces_limit : c->server->config.limits.body_bytes;
}

static void refuse_longer(struct connection *c)
{
	struct http_refusal refusal = http_body_too_large(longest(c));
	if (c->request.pieces_limit > 0) {
		refusal.limit_is = c->request.pieces_limit_is;
	}
	exchange_refuse_with(c, &refusal);
}

void connection_begin_body(struct connection *c)
{
	const struct http_head *h = &c->request.head;
	bool pieces = c->request.pieces_limit > 0;
	if (h->length > longest(c)) {
		refuse_longer(c);
		return;
	}
	if (h->encoded) {
		exchange_refuse(c, 415, "request bodies with a Content-Encoding are not accepted");
		return;
	}
	buffer_init(&c->body, c->server->config.limits.body_bytes);
	if (h->chunked) {
		c->body_mode = pieces ? BODY_CHUNKED_PIECES : BODY_CHUNKED;
		chunked_init(&c->chunked, longest(c));
	} else if (pieces) {
		c->body_mode = BODY_PIECES;
	} else {
		bool fits = h->length <= c->server->block_size - c->taken;
		c->body_mode = fits ? BODY_IN_BLOCK : BODY_IN_BUFFER;
	}
	connection_enter(c, CONNECTION_BODY);
	bool has_body = h->chunked || h->length > 0;
	if (h->expects_continue && has_body && c->end == c->taken) {
		struct slice go_on = SLICE("HTTP/1.1 100 Continue\r\n\r\n");
		connection_say(c, go_on);
	}
}

static void deliver(struct connection *c, struct slice body)
{
	struct http_request *r = &c->request;
	const struct http_route *route = r->match.route;
	c->body_done = true;
	r->seen = true;
	connection_enter(c, CONNECTION_ANSWER);
	route->handler->on_body(route->owner, r, body);
}

/* Moves what the block holds of the body to its buffer. @return 0 or a negative errno. */
static int collect(struct connection *c, uint64_t missing)
{
	struct slice in = connection_unread(c);
	size_t n = missing < in.n ? (size_t)missing : in.n;
	c->taken += n;
	return buffer_append(&c->body, slice_of(in.p, n));
}

/* @return true when the body is complete; it may be refused on the way. */
static bool collect_chunks(struct connection *c)
{
	struct slice in = connection_unread(c);
	struct slice data;
	for (;;) {
		enum chunked_verdict v = chunked_next(&c->chunked, &in, &data);
		if (v == CHUNKED_DATA && buffer_append(&c->body, data) < 0) {
			exchange_refuse(c, 503, "out of memory");
			return false;
		}
		if (v == CHUNKED_REFUSED) {
			exchange_refuse_with(c, &c->chunked.refusal);
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
		connection_enter(c, CONNECTION_ANSWER);
	}
	route->handler->on_piece(route->owner, r, piece, last);
}

static bool step_pieces(struct connection *c)
{
	struct http_request *r = &c->request;
	struct slice in = connection_unread(c);
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
	struct slice in = connection_unread(c);
	struct slice data = SLICE_NULL;
	enum chunked_verdict v = chunked_next(&c->chunked, &in, &data);
	if (v == CHUNKED_DATA) {
		deliver_piece(c, data, false);
		keep_unread(c, in);
		return true;
	}
	if (v == CHUNKED_REFUSED) {
		if (c->chunked.refusal.status == 413) {
			refuse_longer(c);
		} else {
			exchange_refuse_with(c, &c->chunked.refusal);
		}
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

bool connection_step_body(struct connection *c)
{
	uint64_t length = c->request.head.length;
	struct slice body = SLICE_NULL;
	bool complete = false;
	if (c->request.answered) {
		exchange_finish(c);
		return true;
	}
	if (c->request.sent_wanted && connection_tell_sent(c)) {
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
			exchange_refuse(c, 503, "out of memory");
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
