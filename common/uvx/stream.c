#include "common/uvx/stream.h"

#include "common/base/error.h"

#include <errno.h>
#include <limits.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

enum { STREAM_BUFS_MAX = 8 };

static void write_next(struct uvx_stream *s);

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct uvx_stream *s = handle->data;
	struct uvx_room room = s->ops->room(s);
	*buf = uv_buf_init(room.p, room.n > UINT_MAX ? UINT_MAX : (unsigned)room.n);
}

static void on_read(uv_stream_t *stream, ssize_t nread, const uv_buf_t *buf)
{
	struct uvx_stream *s = stream->data;
	if (nread >= 0) {
		s->ops->received(s, (size_t)nread);
		return;
	}
	/* After UV_ENOBUFS (no room) as after an end nothing is read any more. */
	uvx_stream_pause(s);
	if (nread != UV_ENOBUFS) {
		s->ops->ended(s, nread == UV_EOF ? 0 : (int)nread);
	}
}

static void on_written(uv_write_t *write, int status)
{
	struct uvx_stream *s = write->data;
	/* A backlog is rare: its memory is not kept for the next one. */
	buffer_deinit(&s->flight);
	if (uv_is_closing(&s->u.handle)) {
		return;
	}
	if (status == 0 && s->waiting.n > 0) {
		write_next(s);
		return;
	}
	s->ops->sent(s, status);
}

static void on_closed(uv_handle_t *handle)
{
	struct uvx_stream *s = handle->data;
	buffer_deinit(&s->flight);
	buffer_deinit(&s->waiting);
	if (s->closed != NULL) {
		s->closed(s->closed_arg);
	}
}

static void stream_reset(struct uvx_stream *s, const struct uvx_stream_ops *ops, void *owner)
{
	s->ops = ops;
	s->owner = owner;
	buffer_init(&s->flight, SIZE_MAX / 4);
	buffer_init(&s->waiting, SIZE_MAX / 4);
	s->reading = false;
	s->closed = NULL;
	s->u.handle.data = s;
	s->write.data = s;
}

void uvx_stream_init_tcp(
	struct uvx_stream *s, uv_loop_t *loop, const struct uvx_stream_ops *ops, void *owner)
{
	int r = uv_tcp_init(loop, &s->u.tcp);
	invariant(r == 0);
	stream_reset(s, ops, owner);
}

void uvx_stream_init_unix(
	struct uvx_stream *s, uv_loop_t *loop, const struct uvx_stream_ops *ops, void *owner)
{
	int r = uv_pipe_init(loop, &s->u.pipe, 0);
	invariant(r == 0);
	stream_reset(s, ops, owner);
}

int uvx_stream_open(struct uvx_stream *s, int fd)
{
	return s->u.handle.type == UV_TCP ? uv_tcp_open(&s->u.tcp, fd)
					  : uv_pipe_open(&s->u.pipe, fd);
}

int uvx_stream_read(struct uvx_stream *s)
{
	if (s->reading) {
		return 0;
	}
	int r = uv_read_start(&s->u.stream, on_alloc, on_read);
	s->reading = r == 0;
	return r;
}

void uvx_stream_pause(struct uvx_stream *s)
{
	if (s->reading) {
		s->reading = false;
		(void)uv_read_stop(&s->u.stream);
	}
}

/* Copies what is left of `bufs` after `skip` bytes. */
static int keep_rest(struct buffer *to, const uv_buf_t *bufs, unsigned n_bufs, size_t skip)
{
	for (unsigned i = 0; i < n_bufs; i++) {
		size_t n = bufs[i].len < skip ? bufs[i].len : skip;
		skip -= n;
		int r = buffer_append(to, slice_of(bufs[i].base + n, bufs[i].len - n));
		if (r < 0) {
			return r;
		}
	}
	return 0;
}

static void write_next(struct uvx_stream *s)
{
	struct buffer empty = s->flight;
	s->flight = s->waiting;
	s->waiting = empty;
	size_t n = s->flight.n > INT_MAX ? INT_MAX : s->flight.n;
	uv_buf_t buf = uv_buf_init((char *)s->flight.p, (unsigned)n);
	/* Fails only for a handle that is not connected. */
	int r = uv_write(&s->write, &s->u.stream, &buf, 1, on_written);
	invariant(r == 0 && n == s->flight.n);
}

int uvx_stream_send(struct uvx_stream *s, const uv_buf_t *bufs, unsigned n_bufs)
{
	invariant(n_bufs <= STREAM_BUFS_MAX);
	size_t total = 0;
	for (unsigned i = 0; i < n_bufs; i++) {
		total += bufs[i].len;
	}
	if (total == 0) {
		return s->flight.n > 0 ? UVX_QUEUED : UVX_SENT;
	}
	size_t done = 0;
	if (s->flight.n == 0) {
		int r = uv_try_write(&s->u.stream, bufs, n_bufs);
		if (r < 0 && r != UV_EAGAIN) {
			return r;
		}
		done = r > 0 ? (size_t)r : 0;
		if (done == total) {
			return UVX_SENT;
		}
	}
	if (total - done > INT_MAX - s->waiting.n) {
		return -ENOBUFS;
	}
	int r = keep_rest(&s->waiting, bufs, n_bufs, done);
	if (r < 0) {
		return r;
	}
	if (s->flight.n == 0) {
		write_next(s);
	}
	return UVX_QUEUED;
}

size_t uvx_stream_queued(const struct uvx_stream *s)
{
	return uv_stream_get_write_queue_size(&s->u.stream) + s->waiting.n;
}

static int stream_fd(const struct uvx_stream *s)
{
	uv_os_fd_t fd = -1;
	return uv_fileno(&s->u.handle, &fd) == 0 ? fd : -1;
}

size_t uvx_stream_unsent(const struct uvx_stream *s)
{
	int in_kernel = 0;
	/* Fails only for a socket that is gone. */
	(void)ioctl(stream_fd(s), SIOCOUTQ, &in_kernel);
	return uvx_stream_queued(s) + (in_kernel > 0 ? (size_t)in_kernel : 0);
}

void uvx_stream_finish(struct uvx_stream *s)
{
	invariant(s->flight.n == 0);
	/* Fails only when the peer is gone already. */
	(void)shutdown(stream_fd(s), SHUT_WR);
}

bool uvx_stream_peer(const struct uvx_stream *s, uid_t *ret_uid, pid_t *ret_pid)
{
	struct ucred peer;
	socklen_t n = sizeof(peer);
	if (s->u.handle.type != UV_NAMED_PIPE ||
		getsockopt(stream_fd(s), SOL_SOCKET, SO_PEERCRED, &peer, &n) != 0) {
		return false;
	}
	*ret_uid = peer.uid;
	*ret_pid = peer.pid;
	return true;
}

bool uvx_stream_address(const struct uvx_stream *s, char out[static UVX_ADDRESS_SIZE])
{
	struct sockaddr_storage peer;
	int n = (int)sizeof(peer);
	return s->u.handle.type == UV_TCP &&
		uv_tcp_getpeername(&s->u.tcp, (struct sockaddr *)&peer, &n) == 0 &&
		uv_ip_name((const struct sockaddr *)&peer, out, UVX_ADDRESS_SIZE) == 0;
}

void uvx_stream_break(struct uvx_stream *s)
{
	const struct linger now = { .l_onoff = 1 };
	if (s->u.handle.type == UV_TCP && !uv_is_closing(&s->u.handle)) {
		/* Fails only when the peer is gone already. */
		(void)setsockopt(stream_fd(s), SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	}
}

void uvx_stream_close(struct uvx_stream *s, uvx_closed_fn closed, void *arg)
{
	if (uv_is_closing(&s->u.handle)) {
		return;
	}
	s->closed = closed;
	s->closed_arg = arg;
	uv_close(&s->u.handle, on_closed);
}
