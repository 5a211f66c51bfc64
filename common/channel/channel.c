#include "common/channel/channel.h"

#include "common/base/error.h"
#include "common/base/map.h"
#include "common/proto/pair0.h"
#include "common/uvx/listener.h"
#include "common/uvx/timer.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define NO_BATCH SIZE_MAX

enum {
	SOCKET_MODE = 0660,
	/* Bytes asked of the kernel at once; a longer message is asked for whole. */
	READ_SIZE = 65536,
	/* What is read of one peer before the others have their turn: one that floods would hold the
	 * loop for milliseconds. */
	TURN_BYTES = 128 * 1024,
	HUB_HANDLES = 2,
	RETRY_MS = 100,
};

/* A peer, from its connection until its socket is closed. */
enum peer { PEER_NONE, PEER_GREETING, PEER_OPEN, PEER_LEAVING };

struct channel {
	struct channel_hub *hub;
	const struct channel_events *events;
	void *owner;
	struct uvx_listener listener;
	struct uvx_stream stream; /* while there is a peer */
	struct uvx_timer retry;   /* of accepting, after it failed for want of a descriptor */
	enum peer peer;
	bool another; /* a connection waits until this peer is gone */
	bool closing, dirty;
	bool paused;
	size_t turn_bytes;      /* read since the others had their turn, or some turns ago */
	struct uvx_timer pause; /* ends it */
	struct pair0_reader in;
	struct buffer out;           /* whole messages, and the one that is being filled */
	size_t batch;                /* where in `out` that one starts, or NO_BATCH */
	struct channel *prev, *next; /* in hub->dirty */
	struct uvx_closing closes;
};

struct channel_hub {
	uv_prepare_t prepare;
	uv_check_t check;
	int handles;
	size_t queue_bytes;
	struct channel *dirty;
	void (*done)(void *arg);
	void *done_arg;
};

/* ---- The hub -------------------------------------------------------------------------------- */

static void flush_dirty(struct channel_hub *hub);

static void hub_on_prepare(uv_prepare_t *handle)
{
	flush_dirty(handle->data);
}

static void hub_on_check(uv_check_t *handle)
{
	flush_dirty(handle->data);
}

int channel_hub_new(struct channel_hub **ret, uv_loop_t *loop, size_t queue_bytes)
{
	struct channel_hub *hub = calloc(1, sizeof(*hub));
	if (hub == NULL) {
		return -ENOMEM;
	}
	(void)uv_prepare_init(loop, &hub->prepare);
	(void)uv_check_init(loop, &hub->check);
	hub->prepare.data = hub->check.data = hub;
	/* What a timer queues must not wait for the end of the next poll. */
	(void)uv_prepare_start(&hub->prepare, hub_on_prepare);
	(void)uv_check_start(&hub->check, hub_on_check);
	hub->handles = HUB_HANDLES;
	hub->queue_bytes = queue_bytes;
	*ret = hub;
	return 0;
}

static void hub_on_closed(uv_handle_t *handle)
{
	struct channel_hub *hub = handle->data;
	if (--hub->handles > 0) {
		return;
	}
	void (*done)(void *) = hub->done;
	void *arg = hub->done_arg;
	free(hub);
	if (done != NULL) {
		done(arg);
	}
}

void channel_hub_close(struct channel_hub *hub, void (*done)(void *arg), void *arg)
{
	hub->done = done;
	hub->done_arg = arg;
	uv_close((uv_handle_t *)&hub->prepare, hub_on_closed);
	uv_close((uv_handle_t *)&hub->check, hub_on_closed);
}

/* ---- The peer comes and goes ---------------------------------------------------------------- */

static void accept_peer(void *arg);

static void forget_output(struct channel *c)
{
	buffer_deinit(&c->out);
	c->batch = NO_BATCH;
	if (c->dirty) {
		c->dirty = false;
		DL_DELETE(c->hub->dirty, c);
	}
}

static void peer_on_closed(void *arg)
{
	struct channel *c = arg;
	pair0_reader_deinit(&c->in);
	c->peer = PEER_NONE;
	if (c->closing) {
		uvx_closing_one(&c->closes);
	} else if (c->another) {
		accept_peer(c);
	}
}

static void cut_peer_off(struct channel *c, enum channel_end why)
{
	bool was_open = c->peer == PEER_OPEN;
	if (c->peer == PEER_NONE || c->peer == PEER_LEAVING) {
		return;
	}
	c->peer = PEER_LEAVING;
	c->paused = false;
	uvx_timer_stop(&c->pause);
	forget_output(c);
	uvx_stream_close(&c->stream, peer_on_closed, c);
	if (was_open && !c->closing) {
		c->events->on_close(c->owner, why);
	}
}

/* ---- Reading -------------------------------------------------------------------------------- */

static struct uvx_room peer_room(struct uvx_stream *s)
{
	struct channel *c = s->owner;
	struct uvx_room room = { 0 };
	uint8_t *p;
	if (pair0_reader_space(&c->in, READ_SIZE, &p, &room.n) < 0) {
		return (struct uvx_room){ 0 };
	}
	room.p = p;
	return room;
}

static void deliver_messages(struct channel *c)
{
	struct slice message;
	enum pair0_result r = PAIR0_MORE;
	while (c->peer == PEER_OPEN && !c->paused &&
		(r = pair0_reader_next(&c->in, &message)) == PAIR0_MESSAGE) {
		c->events->on_message(c->owner, message);
	}
	if (r == PAIR0_BAD) {
		cut_peer_off(c, CHANNEL_BAD_MESSAGE);
	}
	pair0_reader_trim(&c->in);
}

static void peer_received(struct uvx_stream *s, size_t n)
{
	struct channel *c = s->owner;
	pair0_reader_fill(&c->in, n);
	c->turn_bytes += n;
	if (c->peer == PEER_GREETING) {
		enum pair0_result r = pair0_reader_greet(&c->in);
		if (r == PAIR0_BAD) {
			cut_peer_off(c, CHANNEL_BAD_MESSAGE);
		}
		if (r != PAIR0_MESSAGE) {
			return;
		}
		c->peer = PEER_OPEN;
		c->events->on_open(c->owner);
	}
	deliver_messages(c);
	if (c->turn_bytes >= TURN_BYTES && !c->paused) {
		c->turn_bytes = 0;
		channel_pause(c, 0);
	}
}

void channel_pause(struct channel *c, uint64_t ms)
{
	if (c->peer == PEER_OPEN && !c->closing) {
		c->paused = true;
		uvx_stream_pause(&c->stream);
		uvx_timer_once(&c->pause, ms);
	}
}

static void on_pause_over(void *arg)
{
	struct channel *c = arg;
	c->paused = false;
	deliver_messages(c);
	if (c->peer == PEER_OPEN && !c->paused && uvx_stream_read(&c->stream) < 0) {
		cut_peer_off(c, CHANNEL_PEER_GONE);
	}
}

static void peer_ended(struct uvx_stream *s, int error)
{
	cut_peer_off(s->owner, CHANNEL_PEER_GONE);
}

static void peer_sent(struct uvx_stream *s, int error)
{
	if (error < 0) {
		cut_peer_off(s->owner, CHANNEL_PEER_GONE);
	}
}

static const struct uvx_stream_ops peer_ops = {
	.room = peer_room, .received = peer_received, .ended = peer_ended, .sent = peer_sent
};

static bool greet(struct channel *c)
{
	uv_buf_t hello = uv_buf_init((char *)(uintptr_t)pair0_handshake, PAIR0_HANDSHAKE_SIZE);
	return uvx_stream_send(&c->stream, &hello, 1) >= 0 && uvx_stream_read(&c->stream) == 0;
}

/* Those who come while there is a peer wait in the kernel, as nng lets them wait. */
static void accept_peer(void *arg)
{
	struct channel *c = arg;
	c->another = c->peer != PEER_NONE;
	if (c->another) {
		return;
	}
	int r = uvx_listener_accept(&c->listener, &c->stream, &peer_ops, c);
	if (r < 0) {
		if (r != -EAGAIN) {
			uvx_timer_once(&c->retry, RETRY_MS);
		}
		return;
	}
	pair0_reader_init(&c->in, MESSAGE_MAX);
	c->peer = PEER_GREETING;
	if (!greet(c)) {
		cut_peer_off(c, CHANNEL_PEER_GONE);
	}
}

static void on_waiting(struct uvx_listener *l)
{
	accept_peer(l->owner);
}

/* ---- Writing -------------------------------------------------------------------------------- */

/* Writes the header of the message that is being filled, now that its size is known. */
static void close_batch(struct channel *c)
{
	if (c->batch == NO_BATCH) {
		return;
	}
	size_t size = c->out.n - c->batch - PAIR0_HEADER_SIZE;
	if (size == 0) {
		c->out.n = c->batch;
	} else {
		pair0_encode_header(c->out.p + c->batch, size);
	}
	c->batch = NO_BATCH;
}

static void flush(struct channel *c)
{
	close_batch(c);
	uv_buf_t bytes = uv_buf_init((char *)c->out.p, (unsigned)c->out.n);
	if (uvx_stream_send(&c->stream, &bytes, 1) < 0) {
		cut_peer_off(c, CHANNEL_PEER_GONE);
		return;
	}
	buffer_clear(&c->out);
	if (c->out.cap > MESSAGE_BATCH_MAX) {
		buffer_deinit(&c->out);
	}
}

/* An on_close may queue frames for other channels: they go at once. */
static void flush_dirty(struct channel_hub *hub)
{
	while (hub->dirty != NULL) {
		struct channel *c = hub->dirty;
		DL_DELETE(hub->dirty, c);
		c->dirty = false;
		flush(c);
	}
}

struct buffer *channel_begin(struct channel *c, size_t size)
{
	static const uint8_t header[PAIR0_HEADER_SIZE];
	if (c->peer != PEER_OPEN ||
		channel_queued(c) + sizeof(header) + size > c->hub->queue_bytes) {
		return NULL;
	}
	if (c->batch != NO_BATCH &&
		c->out.n - c->batch - PAIR0_HEADER_SIZE + size > MESSAGE_BATCH_MAX) {
		close_batch(c);
	}
	if (c->batch == NO_BATCH) {
		size_t at = c->out.n;
		if (buffer_append(&c->out, slice_of(header, sizeof(header))) < 0) {
			return NULL;
		}
		c->batch = at;
	}
	return &c->out;
}

void channel_end(struct channel *c)
{
	if (!c->dirty && c->peer == PEER_OPEN && !c->closing) {
		c->dirty = true;
		DL_APPEND(c->hub->dirty, c);
	}
}

size_t channel_queued(const struct channel *c)
{
	return c->out.n + (c->peer == PEER_OPEN ? uvx_stream_queued(&c->stream) : 0);
}

bool channel_is_open(const struct channel *c)
{
	return c->peer == PEER_OPEN && !c->closing;
}

/* ---- Beginning and end ---------------------------------------------------------------------- */

static void channel_free(void *arg)
{
	struct channel *c = arg;
	pair0_reader_deinit(&c->in);
	buffer_deinit(&c->out);
	free(c);
}

int channel_listen(struct channel **ret,
	struct channel_hub *hub,
	const char *path,
	const struct channel_events *events,
	void *owner)
{
	struct channel *c = calloc(1, sizeof(*c));
	if (c == NULL) {
		return -ENOMEM;
	}
	*c = (struct channel){ .hub = hub, .events = events, .owner = owner, .batch = NO_BATCH };
	buffer_init(&c->out, hub->queue_bytes);
	int fd = uvx_listen_unix(path, SOCKET_MODE);
	int r = fd < 0 ? fd
		       : uvx_listener_init(&c->listener, hub->check.loop, fd, path, on_waiting, c);
	if (r < 0) {
		if (fd >= 0) {
			(void)close(fd);
		}
		free(c);
		return r;
	}
	uvx_timer_init(&c->retry, hub->check.loop, accept_peer, c);
	uvx_timer_init(&c->pause, hub->check.loop, on_pause_over, c);
	*ret = c;
	return 0;
}

void channel_close(struct channel *c)
{
	if (c == NULL || c->closing) {
		return;
	}
	c->closing = true;
	uvx_closing_begin(&c->closes, channel_free, c);
	uvx_listener_close(&c->listener, uvx_closing_one, uvx_closing_add(&c->closes));
	uvx_timer_close(&c->retry, uvx_closing_one, uvx_closing_add(&c->closes));
	uvx_timer_close(&c->pause, uvx_closing_one, uvx_closing_add(&c->closes));
	if (c->peer != PEER_NONE) {
		uvx_closing_add(&c->closes);
		cut_peer_off(c, CHANNEL_PEER_GONE);
	}
	uvx_closing_one(&c->closes);
}
