/* Bytes from the client: the room that they are read into, and what becomes of the connection. */
#include "director/http/states.h"

#include <string.h>

/* What the buffer of a body grows by at first. */
enum { BODY_ROOM = 16 * 1024 };

void connection_pack(struct connection *c)
{
	memmove(c->block->bytes, c->block->bytes + c->begin, c->end - c->begin);
	c->end -= c->begin;
	c->taken = 0;
	c->begin = 0;
}

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
		connection_pack(c);
	}
	return (struct uvx_room){ c->block->bytes + c->end, s->block_size - c->end };
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
		if (body && !c->request.paused && connection_is_crawling(c)) {
			connection_end_crawling(c);
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

const struct uvx_stream_ops connection_stream_ops = { on_room, on_received, on_ended, on_sent };
