#include "director/http/transport.h"

int transport_accept(
	struct transport *t, struct uvx_listener *l, const struct uvx_stream_ops *ops, void *owner)
{
	return uvx_listener_accept(l, &t->stream, ops, owner);
}

int transport_read(struct transport *t)
{
	return uvx_stream_read(&t->stream);
}

void transport_pause(struct transport *t)
{
	uvx_stream_pause(&t->stream);
}

int transport_send(struct transport *t, const uv_buf_t *bufs, unsigned n_bufs)
{
	return uvx_stream_send(&t->stream, bufs, n_bufs);
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
	uvx_stream_finish(&t->stream);
}

bool transport_peer(const struct transport *t, uid_t *ret_uid, pid_t *ret_pid)
{
	return uvx_stream_peer(&t->stream, ret_uid, ret_pid);
}

void transport_close(struct transport *t, uvx_closed_fn closed, void *arg)
{
	uvx_stream_close(&t->stream, closed, arg);
}
