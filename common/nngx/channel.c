#include "common/nngx/channel.h"

#include "common/base/error.h"
#include "common/base/map.h"

#include <errno.h>
#include <nng/nng.h>
#include <nng/protocol/pair0/pair.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
	/* Messages that nng may hold per direction: an unread flood costs a few MiB, then blocks. */
	NNG_QUEUE_MESSAGES = 4,
	PATH_MAX_BYTES = 100,
	SOCKET_MODE = 0660,
	/* Messages taken from one channel before the others get their turn. */
	RECEIVE_BUDGET = 16,
	HUB_HANDLES = 3,
	CHANNEL_HANDLES = 2,
	FIRST_RESERVE = 16384,
};

struct sealed {
	nng_msg *message;
	struct sealed *next;
};

struct channel {
	struct channel_hub *hub;
	const struct channel_events *events;
	void *owner;
	nng_socket socket;
	nng_aio *receive_aio, *send_aio;
	uv_poll_t receive_poll, send_poll;
	int handles;
	bool open, closing, send_polling, dirty;
	struct buffer out;     /* frames of the message that is being filled */
	struct sealed *sealed; /* full messages before it */
	size_t sealed_bytes;
	struct channel *prev, *next; /* in hub->dirty */
	char path[PATH_MAX_BYTES + 1];
	/* Guarded by hub->lock: all that nng's threads touch. nng_close() waits for them. */
	struct {
		int pipe; /* the one that is connected, 0 for none */
		bool opened, closed, queued, deaf;
		struct channel *next;
	} event;
};

struct channel_hub {
	uv_loop_t *loop;
	uv_prepare_t prepare;
	uv_check_t check;
	uv_async_t async;
	int handles;
	struct channel *dirty;
	pthread_mutex_t lock;
	struct channel *events; /* guarded by lock, linked by event.next */
	void (*done)(void *arg);
	void *done_arg;
};

static void flush_dirty(struct channel_hub *hub);
static void take_events(struct channel_hub *hub);

static void hub_on_prepare(uv_prepare_t *handle)
{
	flush_dirty(handle->data);
}

static void hub_on_check(uv_check_t *handle)
{
	flush_dirty(handle->data);
}

static void hub_on_async(uv_async_t *handle)
{
	take_events(handle->data);
}

int channel_hub_new(struct channel_hub **ret, uv_loop_t *loop)
{
	struct channel_hub *hub = calloc(1, sizeof(*hub));
	if (hub == NULL) {
		return -ENOMEM;
	}
	hub->loop = loop;
	int r = uv_async_init(loop, &hub->async, hub_on_async);
	if (r < 0) {
		free(hub);
		return r;
	}
	(void)pthread_mutex_init(&hub->lock, NULL);
	(void)uv_prepare_init(loop, &hub->prepare);
	(void)uv_check_init(loop, &hub->check);
	hub->prepare.data = hub->check.data = hub->async.data = hub;
	(void)uv_prepare_start(&hub->prepare, hub_on_prepare);
	(void)uv_check_start(&hub->check, hub_on_check);
	hub->handles = HUB_HANDLES;
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
	(void)pthread_mutex_destroy(&hub->lock);
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
	uv_close((uv_handle_t *)&hub->async, hub_on_closed);
}

/* ---- nng's threads -------------------------------------------------------------------------- */

static void on_pipe(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
	struct channel *c = arg;
	int id = nng_pipe_id(pipe);
	(void)pthread_mutex_lock(&c->hub->lock);
	bool news = false;
	if (event == NNG_PIPE_EV_ADD_POST) {
		c->event.pipe = id;
		c->event.opened = news = true;
	} else if (event == NNG_PIPE_EV_REM_POST && c->event.pipe == id) {
		c->event.pipe = 0;
		c->event.closed = news = true;
	}
	if (news && !c->event.queued && !c->event.deaf) {
		c->event.queued = true;
		LL_PREPEND2(c->hub->events, c, event.next);
		(void)uv_async_send(&c->hub->async);
	}
	(void)pthread_mutex_unlock(&c->hub->lock);
}

/* ---- the loop thread ------------------------------------------------------------------------ */

static void deliver_open(struct channel *c)
{
	if (!c->open && !c->closing) {
		c->open = true;
		c->events->on_open(c->owner);
	}
}

static void deliver_close(struct channel *c)
{
	if (c->open && !c->closing) {
		c->open = false;
		c->events->on_close(c->owner);
	}
}

static void receive(struct channel *c, int budget);

/* `connected`: a peer is there after all that happened since the last turn. */
static void deliver(struct channel *c, bool opened, bool closed, bool connected)
{
	if (closed && !connected) {
		if (opened) {
			deliver_open(c);
		}
		/* What the peer sent before it went is still worth reading. */
		receive(c, NNG_QUEUE_MESSAGES + RECEIVE_BUDGET);
		deliver_close(c);
		return;
	}
	if (closed) {
		deliver_close(c);
	}
	if (opened) {
		deliver_open(c);
	}
}

static struct channel *next_event(
	struct channel_hub *hub, bool *ret_opened, bool *ret_closed, bool *ret_connected)
{
	(void)pthread_mutex_lock(&hub->lock);
	struct channel *c = hub->events;
	if (c != NULL) {
		hub->events = c->event.next;
		*ret_opened = c->event.opened;
		*ret_closed = c->event.closed;
		*ret_connected = c->event.pipe != 0;
		c->event.opened = c->event.closed = c->event.queued = false;
	}
	(void)pthread_mutex_unlock(&hub->lock);
	return c;
}

static void take_events(struct channel_hub *hub)
{
	struct channel *c;
	bool opened;
	bool closed;
	bool connected;
	while ((c = next_event(hub, &opened, &closed, &connected)) != NULL) {
		deliver(c, opened, closed, connected);
	}
}

/* Takes one message that nng has already, without waiting; NULL when there is none. */
static nng_msg *receive_one(struct channel *c)
{
	nng_recv_aio(c->socket, c->receive_aio);
	nng_aio_wait(c->receive_aio);
	return nng_aio_result(c->receive_aio) == 0 ? nng_aio_get_msg(c->receive_aio) : NULL;
}

static void receive(struct channel *c, int budget)
{
	nng_msg *message;
	/* A message may be there before the event that tells of its pipe. */
	while (budget-- > 0 && !c->closing && (message = receive_one(c)) != NULL) {
		deliver_open(c);
		if (!c->closing) {
			c->events->on_message(
				c->owner, slice_of(nng_msg_body(message), nng_msg_len(message)));
		}
		nng_msg_free(message);
	}
}

static void on_receivable(uv_poll_t *handle, int status, int events)
{
	receive(handle->data, RECEIVE_BUDGET);
}

/* Hands one message to nng. False when nng cannot take it now. */
static bool send_one(struct channel *c, nng_msg *message)
{
	nng_aio_set_msg(c->send_aio, message);
	nng_send_aio(c->socket, c->send_aio);
	nng_aio_wait(c->send_aio);
	return nng_aio_result(c->send_aio) == 0;
}

static int seal(struct channel *c)
{
	struct sealed *s = calloc(1, sizeof(*s));
	/* The one copy between frame and kernel that is ours: nng owns the memory of its messages. */
	if (s == NULL || nng_msg_alloc(&s->message, c->out.n) != 0) {
		free(s);
		return -ENOMEM;
	}
	memcpy(nng_msg_body(s->message), c->out.p, c->out.n);
	LL_APPEND(c->sealed, s);
	c->sealed_bytes += c->out.n;
	buffer_clear(&c->out);
	if (c->out.cap > MESSAGE_BATCH_MAX) {
		buffer_deinit(&c->out);
	}
	return 0;
}

static void on_sendable(uv_poll_t *handle, int status, int events);

static void flush(struct channel *c)
{
	if (c->out.n > 0 && seal(c) < 0) {
		channel_end(c); /* no memory: the next turn tries again */
		return;
	}
	while (c->sealed != NULL) {
		struct sealed *s = c->sealed;
		size_t size = nng_msg_len(s->message);
		if (!send_one(c, s->message)) {
			if (!c->send_polling) {
				c->send_polling = true;
				(void)uv_poll_start(&c->send_poll, UV_READABLE, on_sendable);
			}
			return;
		}
		c->sealed_bytes -= size;
		LL_DELETE(c->sealed, s);
		free(s);
	}
	if (c->send_polling) {
		c->send_polling = false;
		(void)uv_poll_stop(&c->send_poll);
	}
}

static void on_sendable(uv_poll_t *handle, int status, int events)
{
	flush(handle->data);
}

static void flush_dirty(struct channel_hub *hub)
{
	struct channel *dirty = hub->dirty;
	hub->dirty = NULL;
	while (dirty != NULL) {
		struct channel *c = dirty;
		DL_DELETE(dirty, c);
		c->dirty = false;
		flush(c);
	}
}

static int nng_error(int r)
{
	return r == NNG_ENOMEM ? -ENOMEM : r == NNG_EADDRINUSE ? -EADDRINUSE : -EIO;
}

static int socket_listen(struct channel *c)
{
	char url[PATH_MAX_BYTES + 16];
	nng_listener listener;
	(void)snprintf(url, sizeof(url), "ipc://%s", c->path);
	int r = nng_pipe_notify(c->socket, NNG_PIPE_EV_ADD_POST, on_pipe, c);
	r = r != 0 ? r : nng_pipe_notify(c->socket, NNG_PIPE_EV_REM_POST, on_pipe, c);
	r = r != 0 ? r : nng_socket_set_int(c->socket, NNG_OPT_RECVBUF, NNG_QUEUE_MESSAGES);
	r = r != 0 ? r : nng_socket_set_int(c->socket, NNG_OPT_SENDBUF, NNG_QUEUE_MESSAGES);
	r = r != 0 ? r : nng_socket_set_size(c->socket, NNG_OPT_RECVMAXSZ, MESSAGE_MAX);
	r = r != 0 ? r : nng_listener_create(&listener, c->socket, url);
	r = r != 0 ? r : nng_listener_set_int(listener, NNG_OPT_IPC_PERMISSIONS, SOCKET_MODE);
	r = r != 0 ? r : nng_listener_start(listener, 0);
	return r == 0 ? 0 : nng_error(r);
}

static int init_polls(struct channel *c)
{
	int receive_fd;
	int send_fd;
	if (nng_socket_get_int(c->socket, NNG_OPT_RECVFD, &receive_fd) != 0 ||
		nng_socket_get_int(c->socket, NNG_OPT_SENDFD, &send_fd) != 0) {
		return -EIO;
	}
	int r = uv_poll_init(c->hub->loop, &c->receive_poll, receive_fd);
	if (r < 0) {
		return r;
	}
	c->handles++;
	c->receive_poll.data = c;
	r = uv_poll_init(c->hub->loop, &c->send_poll, send_fd);
	if (r < 0) {
		return r;
	}
	c->handles++;
	c->send_poll.data = c;
	return uv_poll_start(&c->receive_poll, UV_READABLE, on_receivable);
}

static int init_nng(struct channel *c)
{
	int r = nng_pair0_open(&c->socket);
	if (r != 0) {
		return nng_error(r);
	}
	if (nng_aio_alloc(&c->receive_aio, NULL, NULL) != 0 ||
		nng_aio_alloc(&c->send_aio, NULL, NULL) != 0) {
		return -ENOMEM;
	}
	/* Preallocated and without waiting: nng_recvmsg() would set one up, with a call of
	 * getrandom(), for each message. */
	nng_aio_set_timeout(c->receive_aio, NNG_DURATION_ZERO);
	nng_aio_set_timeout(c->send_aio, NNG_DURATION_ZERO);
	return 0;
}

int channel_listen(struct channel **ret,
	struct channel_hub *hub,
	const char *path,
	const struct channel_events *events,
	void *owner)
{
	if (strlen(path) > PATH_MAX_BYTES) {
		return -ENAMETOOLONG;
	}
	struct channel *c = calloc(1, sizeof(*c));
	if (c == NULL) {
		return -ENOMEM;
	}
	*c = (struct channel){ .hub = hub, .events = events, .owner = owner };
	buffer_init(&c->out, MESSAGE_MAX);
	memcpy(c->path, path, strlen(path));
	int r = init_nng(c);
	r = r < 0 ? r : init_polls(c);
	r = r < 0 ? r : socket_listen(c);
	if (r < 0) {
		channel_close(c);
		return r;
	}
	*ret = c;
	return 0;
}

struct buffer *channel_begin(struct channel *c, size_t size)
{
	if (c->sealed_bytes + c->out.n + size > CHANNEL_QUEUE_MAX) {
		return NULL;
	}
	if (c->out.n > 0 && c->out.n + size > MESSAGE_BATCH_MAX && seal(c) < 0) {
		return NULL;
	}
	if (c->out.cap == 0) {
		(void)buffer_reserve(&c->out, FIRST_RESERVE);
	}
	return &c->out;
}

void channel_end(struct channel *c)
{
	if (!c->dirty && !c->closing && c->out.n > 0) {
		c->dirty = true;
		DL_APPEND(c->hub->dirty, c);
	}
}

size_t channel_queued(const struct channel *c)
{
	return c->sealed_bytes + c->out.n;
}

bool channel_is_open(const struct channel *c)
{
	return c->open && !c->closing;
}

static void channel_free(struct channel *c)
{
	if (c->socket.id != 0) {
		(void)nng_close(c->socket);
	}
	nng_aio_free(c->receive_aio);
	nng_aio_free(c->send_aio);
	while (c->sealed != NULL) {
		struct sealed *s = c->sealed;
		LL_DELETE(c->sealed, s);
		nng_msg_free(s->message);
		free(s);
	}
	buffer_deinit(&c->out);
	free(c);
}

static void channel_on_closed(uv_handle_t *handle)
{
	struct channel *c = handle->data;
	if (--c->handles == 0) {
		channel_free(c);
	}
}

void channel_close(struct channel *c)
{
	if (c == NULL || c->closing) {
		return;
	}
	c->closing = true;
	c->open = false;
	(void)pthread_mutex_lock(&c->hub->lock);
	c->event.deaf = true;
	if (c->event.queued) {
		LL_DELETE2(c->hub->events, c, event.next);
		c->event.queued = false;
	}
	(void)pthread_mutex_unlock(&c->hub->lock);
	if (c->dirty) {
		c->dirty = false;
		DL_DELETE(c->hub->dirty, c);
	}
	(void)unlink(c->path);
	if (c->handles == 0) {
		channel_free(c);
		return;
	}
	bool both = c->handles == CHANNEL_HANDLES;
	uv_close((uv_handle_t *)&c->receive_poll, channel_on_closed);
	if (both) {
		uv_close((uv_handle_t *)&c->send_poll, channel_on_closed);
	}
}
