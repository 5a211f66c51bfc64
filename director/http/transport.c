#include "director/http/transport.h"

#include <errno.h>

int transport_accept(struct transport *t,
	struct uvx_listener *l,
	const struct uvx_stream_ops *ops,
	void *owner,
	struct secure_hub *hub)
{
	t->secure = NULL;
	if (hub != NULL) {
		t->secure = secure_new(hub, t, ops);
		if (t->secure == NULL) {
			return -ENOMEM;
		}
		ops = &secure_stream_ops;
	}
	int r = uvx_listener_accept(l, &t->stream, ops, owner);
	if (r < 0) {
		secure_free(t->secure);
	}
	return r;
}

bool transport_is_ready(const struct transport *t)
{
	return t->secure == NULL || secure_is_ready(t->secure);
}

bool transport_is_secure(const struct transport *t)
{
	return t->secure != NULL;
}

int transport_read(struct transport *t)
{
	return t->secure != NULL ? secure_read(t->secure) : uvx_stream_read(&t->stream);
}

void transport_pause(struct transport *t)
{
	if (t->secure != NULL) {
		secure_pause(t->secure);
	} else {
		uvx_stream_pause(&t->stream);
	}
}

int transport_send(struct transport *t, const uv_buf_t *bufs, unsigned n_bufs)
{
	return t->secure != NULL ? secure_send(t->secure, bufs, n_bufs)
				 : uvx_stream_send(&t->stream, bufs, n_bufs);
}

size_t transport_queued(const struct transport *t)
{
	return uvx_stream_queued(&t->stream);
}

size_t transport_unsent(const struct transport *t)
{
	return uvx_stream_unsent(&t->stream);
}

void transport_finish(struct transport *t)
{
	if (t->secure != NULL) {
		secure_finish(t->secure);
	} else {
		uvx_stream_finish(&t->stream);
	}
}

bool transport_peer(const struct transport *t, uid_t *ret_uid, pid_t *ret_pid)
{
	return uvx_stream_peer(&t->stream, ret_uid, ret_pid);
}

bool transport_address(const struct transport *t, char out[static UVX_ADDRESS_SIZE])
{
	return uvx_stream_address(&t->stream, out);
}

void transport_break(struct transport *t)
{
	uvx_stream_break(&t->stream);
}

static void on_closed(void *arg)
{
	struct transport *t = arg;
	secure_free(t->secure);
	t->secure = NULL;
	t->closed(t->closed_arg);
}

void transport_close(struct transport *t, uvx_closed_fn closed, void *arg)
{
	if (t->secure == NULL) {
		uvx_stream_close(&t->stream, closed, arg);
		return;
	}
	secure_close(t->secure);
	t->closed = closed;
	t->closed_arg = arg;
	uvx_stream_close(&t->stream, on_closed, t);
}
