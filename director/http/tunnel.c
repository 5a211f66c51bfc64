/* A connection after 101: the bytes are another protocol's. Nothing here calls its owner: what ends, ends
 * in the next turn of the loop. */
#include "common/base/error.h"
#include "director/http/connection.h"
#include "director/http/server.h"

#include <errno.h>

/* The same object; the type keeps owners of tunnels from the rest of it. */
static struct connection *connection_of(const struct http_tunnel *t)
{
	return (struct connection *)(uintptr_t)t;
}

static void say_header(struct connection *c, struct slice name, struct slice value)
{
	connection_say(c, name);
	connection_say(c, SLICE(": "));
	connection_say(c, value);
	connection_say(c, SLICE("\r\n"));
}

bool http_request_may_upgrade(const struct http_request *r)
{
	return !r->head.http10 && !r->head.chunked && r->head.length == 0;
}

struct http_tunnel *http_upgrade(struct http_request *r,
	const struct http_header *headers,
	size_t n_headers,
	const struct http_tunnel_ops *ops,
	void *owner)
{
	struct connection *c = r->connection;
	invariant(r->live && !r->answered && c->body_done && c->state == CONNECTION_ANSWER);
	connection_say(c, SLICE("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"));
	for (size_t i = 0; i < n_headers; i++) {
		say_header(c, headers[i].name, headers[i].value);
	}
	say_header(c, SLICE("X-Request-Id"), connection_request_id(c));
	connection_say(c, SLICE("\r\n"));
	r->answered = true;
	r->status = 101;
	c->tunnel = ops;
	c->tunnel_owner = owner;
	if (!c->ticking) {
		server_add_ready(c->server, c);
	}
	return (struct http_tunnel *)c;
}

int http_tunnel_send(struct http_tunnel *t, const uv_buf_t *bufs, unsigned n_bufs)
{
	struct connection *c = connection_of(t);
	/* The 101, when it has not left yet. */
	connection_flush(c);
	int r = c->doomed ? -ECONNRESET : transport_send(&c->transport, bufs, n_bufs);
	if (r < 0) {
		http_tunnel_close(t);
	} else if (r == UVX_QUEUED && !c->ticking) {
		connection_set_deadline(c);
	}
	return r;
}

size_t http_tunnel_queued(const struct http_tunnel *t)
{
	return transport_queued(&connection_of(t)->transport);
}

void http_tunnel_pause(struct http_tunnel *t)
{
	struct connection *c = connection_of(t);
	c->tunnel_paused = true;
	transport_pause(&c->transport);
}

void http_tunnel_resume(struct http_tunnel *t)
{
	struct connection *c = connection_of(t);
	if (c->tunnel_paused) {
		c->tunnel_paused = false;
		server_add_ready(c->server, c);
	}
}

void http_tunnel_finish(struct http_tunnel *t)
{
	struct connection *c = connection_of(t);
	if (c->tunnel_finished) {
		return;
	}
	c->tunnel_finished = true;
	server_add_ready(c->server, c);
}

void http_tunnel_close(struct http_tunnel *t)
{
	struct connection *c = connection_of(t);
	c->doomed = true;
	server_add_ready(c->server, c);
}
