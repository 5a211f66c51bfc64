/* Bodies and answers in pieces: what a handler may do with them. */
#include "common/base/error.h"
#include "director/http/states.h"

void http_request_want_pieces(struct http_request *r, uint64_t limit, const char *limit_is)
{
	invariant(r->live && !r->seen && limit > 0);
	r->pieces_limit = limit;
	r->pieces_limit_is = limit_is;
}

void http_request_pause(struct http_request *r, bool pause)
{
	struct connection *c = r->connection;
	uint64_t now = uv_now(c->server->config.loop);
	if (!r->live || r->paused == pause) {
		return;
	}
	r->paused = pause;
	if (pause) {
		r->paused_at = now;
		return;
	}
	/* The time was ours, not the client's. */
	c->body_began += now - r->paused_at;
	if (!c->ticking) {
		connection_tick(c, 0);
	}
}

bool connection_tell_sent(struct connection *c)
{
	struct http_request *r = &c->request;
	const struct http_route *route = r->match.route;
	if (transport_queued(&c->transport) > 0) {
		return false;
	}
	r->sent_wanted = false;
	if (route->handler->on_sent != NULL) {
		route->handler->on_sent(route->owner, r);
	}
	return true;
}

/* After sending from outside a tick. Its failure ends the connection in the next turn, so that the
 * handler is not told in the middle of its own call. */
static void sent(struct connection *c)
{
	if (c->doomed) {
		server_add_ready(c->server, c);
	} else if (!c->ticking) {
		connection_set_deadline(c);
	}
}

void http_stream_begin(struct http_request *r, const struct http_response *response)
{
	invariant(r->live);
	connection_begin_pieces(r->connection, response);
	sent(r->connection);
}

bool http_stream_piece(struct http_request *r, struct slice piece)
{
	struct connection *c = r->connection;
	bool all = connection_piece(c, piece, false);
	r->sent_wanted = !all && !c->doomed;
	sent(c);
	return all;
}

void http_stream_end(struct http_request *r)
{
	struct connection *c = r->connection;
	(void)connection_piece(c, SLICE_NULL, true);
	c->keep = c->keep && connection_body_left(c) <= HTTP_DISCARD_MAX;
	r->streaming = false;
	r->sent_wanted = false;
	r->answered = true;
	if (!c->ticking) {
		connection_tick(c, 0);
	}
}

void http_stream_abort(struct http_request *r)
{
	struct connection *c = r->connection;
	invariant(r->streaming);
	r->answered = true;
	c->keep = false;
	c->doomed = true;
	if (!c->ticking) {
		connection_tick(c, 0);
	}
}
