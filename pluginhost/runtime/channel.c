#include "pluginhost/runtime/channel.h"

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/proto/messages.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#define NO_BATCH SIZE_MAX

int channel_open(struct channel *c, int fd)
{
	*c = (struct channel){ .fd = fd, .batch = NO_BATCH };
	pair0_reader_init(&c->in, MESSAGE_MAX);
	buffer_init(&c->out, CHANNEL_OUT_MAX);
	int flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
		return -errno;
	}
	return buffer_append(&c->out, slice_of(pair0_handshake, PAIR0_HANDSHAKE_SIZE));
}

void channel_close(struct channel *c)
{
	pair0_reader_deinit(&c->in);
	buffer_deinit(&c->out);
	if (c->fd >= 0) {
		(void)close(c->fd);
		c->fd = -1;
	}
}

/* ---- Reading ---- */

int channel_read(struct channel *c)
{
	uint8_t *p;
	size_t n;
	int e = pair0_reader_space(&c->in, CHANNEL_READ_SIZE, &p, &n);
	if (e < 0) {
		return e;
	}
	ssize_t got;
	do {
		got = recv(c->fd, p, n, 0);
	} while (got < 0 && errno == EINTR);
	if (got < 0) {
		return errno == EAGAIN        ? CHANNEL_BLOCKED
			: errno == ECONNRESET ? CHANNEL_CLOSED
					      : -errno;
	}
	pair0_reader_fill(&c->in, (size_t)got);
	return got == 0 ? CHANNEL_CLOSED : CHANNEL_OK;
}

int channel_next(struct channel *c, struct frame *ret_frame)
{
	for (;;) {
		switch (frame_decode(&c->message, ret_frame)) {
		case FRAME_OK:
			return message_violation(ret_frame, FROM_DIRECTOR) == NULL ? CHANNEL_OK
										   : CHANNEL_BAD;
		case FRAME_MALFORMED:
			return CHANNEL_BAD;
		case FRAME_END:
			break;
		}
		switch (pair0_reader_next(&c->in, &c->message)) {
		case PAIR0_MESSAGE:
			break;
		case PAIR0_MORE:
			return CHANNEL_NONE;
		case PAIR0_BAD:
			return CHANNEL_BAD;
		}
	}
}

/* ---- Writing ---- */

/* What is with the kernel need not stay in front of what is not. */
static void forget_sent(struct channel *c)
{
	if (c->sent > c->out.n / 2) {
		buffer_consume(&c->out, c->sent);
		c->sent = 0;
	}
}

/* Writes the header of the open message, now that its size is known. */
static void close_batch(struct channel *c)
{
	if (c->batch != NO_BATCH) {
		pair0_encode_header(c->out.p + c->batch, c->out.n - c->batch - PAIR0_HEADER_SIZE);
		c->batch = NO_BATCH;
	}
}

struct buffer *channel_begin(struct channel *c)
{
	static const uint8_t room[PAIR0_HEADER_SIZE];
	if (c->batch == NO_BATCH) {
		/* Without room for it the frame that follows fails, and channel_end() says so. */
		size_t at = c->out.n;
		c->batch =
			buffer_append(&c->out, slice_of(room, sizeof(room))) == 0 ? at : NO_BATCH;
	}
	c->mark = c->out.n;
	return &c->out;
}

/* The frame that was appended last makes its message too long: it gets a message of its own. */
static int split_batch(struct channel *c)
{
	int e = buffer_reserve(&c->out, PAIR0_HEADER_SIZE);
	if (e < 0) {
		return e;
	}
	uint8_t *frame = c->out.p + c->mark;
	memmove(frame + PAIR0_HEADER_SIZE, frame, c->out.n - c->mark);
	pair0_encode_header(c->out.p + c->batch, c->mark - c->batch - PAIR0_HEADER_SIZE);
	c->batch = c->mark;
	c->out.n += PAIR0_HEADER_SIZE;
	return 0;
}

int channel_end(struct channel *c, int e)
{
	if (e == 0 && c->batch == NO_BATCH) {
		e = -ENOBUFS;
	}
	bool alone = c->batch != NO_BATCH && c->mark == c->batch + PAIR0_HEADER_SIZE;
	if (e == 0 && !alone && c->out.n - c->batch - PAIR0_HEADER_SIZE > MESSAGE_BATCH_MAX) {
		e = split_batch(c);
	}
	if (e < 0) {
		c->out.n = c->mark;
		if (alone) {
			c->out.n = c->batch;
			c->batch = NO_BATCH;
		}
	}
	return e;
}

int channel_append(struct channel *c, const struct frame *f)
{
	return channel_end(c, frame_append(channel_begin(c), f));
}

size_t channel_pending(const struct channel *c)
{
	return c->out.n - c->sent;
}

int channel_flush(struct channel *c)
{
	close_batch(c);
	while (c->sent < c->out.n) {
		ssize_t n = send(c->fd, c->out.p + c->sent, c->out.n - c->sent, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0) {
			int e = errno;
			forget_sent(c);
			return e == EAGAIN                      ? CHANNEL_BLOCKED
				: e == EPIPE || e == ECONNRESET ? CHANNEL_CLOSED
								: -e;
		}
		c->sent += (size_t)n;
	}
	buffer_clear(&c->out);
	c->sent = 0;
	return CHANNEL_OK;
}

/* ---- Waiting ---- */

int channel_wait(struct channel *c, int timeout_ms)
{
	uint64_t end = clock_ms() + (uint64_t)(timeout_ms < 0 ? 0 : timeout_ms);
	for (;;) {
		int flushed = channel_flush(c);
		if (flushed < 0 || flushed == CHANNEL_CLOSED) {
			return flushed;
		}
		uint64_t now = clock_ms();
		int left = timeout_ms < 0 ? -1 : now >= end ? 0 : (int)(end - now);
		struct pollfd p = { .fd = c->fd,
			.events = (short)(POLLIN | (flushed == CHANNEL_BLOCKED ? POLLOUT : 0)) };
		int n = poll(&p, 1, left);
		if (n < 0 && errno != EINTR) {
			return -errno;
		}
		if (n == 0) {
			return CHANNEL_BLOCKED;
		}
		if (n > 0 && (p.revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
			int r = channel_read(c);
			if (r != CHANNEL_BLOCKED) {
				return r;
			}
		}
	}
}
