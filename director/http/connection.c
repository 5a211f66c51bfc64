#include "director/http/connection.h"

#include "common/base/error.h"
#include "common/base/map.h"
#include "director/http/states.h"

#include <errno.h>
#include <stdlib.h>

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

void connection_enter(struct connection *c, enum connection_state state)
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

/* Steps: each does what its state can do now. @return true to go on, false to wait. */

static bool step_idle(struct connection *c)
{
	if (c->end > c->begin) {
		connection_enter(c, CONNECTION_HEAD);
		return true;
	}
	if ((c->ended || c->server->draining) && transport_queued(&c->transport) == 0) {
		c->doomed = true;
	}
	return false;
}

static bool step_answer(struct connection *c)
{
	if (c->request.answered) {
		exchange_finish(c);
		return true;
	}
	if (c->request.sent_wanted && connection_tell_sent(c)) {
		return true;
	}
	/* Whoever has stopped sending while we work is taken for gone, as most servers do. */
	c->doomed = c->ended;
	return false;
}

static bool step_discard(struct connection *c)
{
	struct slice in = connection_unread(c);
	size_t n = c->discard < in.n ? (size_t)c->discard : in.n;
	c->taken += n;
	c->begin = c->taken;
	c->discard -= n;
	if (c->discard == 0) {
		connection_enter(c, CONNECTION_IDLE);
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
		connection_enter(c, CONNECTION_LAST);
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

/* After a tick: what waits for the outside. */
static void settle(struct connection *c)
{
	if (c->state == CONNECTION_LAST && transport_queued(&c->transport) == 0) {
		transport_finish(&c->transport);
		connection_enter(c, CONNECTION_LINGER);
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
		[CONNECTION_HEAD] = connection_step_head,
		[CONNECTION_BODY] = connection_step_body,
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

bool connection_is_idle(const struct connection *c)
{
	return c->state <= CONNECTION_HEAD && c->begin == c->end &&
		transport_queued(&c->transport) == 0;
}

static void on_closed(void *arg)
{
	struct connection *c = arg;
	server_connection_closed(c->server, c);
}

int connection_accept(struct http_server *s, struct uvx_listener *l)
{
	struct connection *c = calloc(1, sizeof(*c));
	if (c == NULL) {
		return -ENOMEM;
	}
	c->server = s;
	c->state = CONNECTION_HEAD;
	c->deadline.kind = DEADLINE_NONE;
	c->deadline.owner = c;
	c->request.connection = c;
	int r = transport_accept(
		&c->transport, l, &connection_stream_ops, c, l->tcp ? s->secure : NULL);
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
	connection_enter(c, CONNECTION_CLOSED);
	if (c->server->out_owner == c) {
		c->server->out_owner = NULL;
		buffer_clear(&c->server->out);
	}
	if (c->request.live && c->request.streaming && !c->request.chunked) {
		/* Without chunks nothing but the connection's end says where the answer ends. */
		transport_break(&c->transport);
	}
	exchange_end(c);
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
