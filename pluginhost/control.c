#include "pluginhost/control.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/proto/pair0.h"
#include "common/uvx/stream.h"
#include "common/uvx/timer.h"
#include "pluginhost/beneath.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum state { STATE_WAITING, STATE_SHAKING, STATE_UP, STATE_CLOSING, STATE_STOPPED };

enum { READ_SIZE = 16 * 1024 };

struct control {
	enum state state;
	uv_loop_t *loop;
	const char *run_path;
	char socket[128];
	struct control_handler handler;
	struct uvx_stream stream;
	struct pair0_reader reader;
	struct uvx_timer timer;
	uint64_t backoff_ms;
	uint64_t since_ms;
	bool was_up;
	/* The reason was logged; not again before it works once more. */
	int logged_error;
	uvx_closed_fn closed;
	void *closed_arg;
	struct uvx_closing closing;
};

/* Decoding */

static const char *dispatch_frame(const struct frame *f, const struct control_handler *h)
{
	struct msg_start start;
	struct msg_limits limits;
	const char *wrong = message_violation(f, FROM_DIRECTOR);
	if (wrong != NULL) {
		return wrong;
	}
	switch (f->type) {
	case MSG_DISCOVER:
		h->discover(h->context);
		return NULL;
	case MSG_START:
		if (!msg_start_decode(f->payload, &start)) {
			return "malformed START";
		}
		h->start(h->context, f->call_id, start.spec);
		return NULL;
	case MSG_KILL:
		h->kill(h->context, f->call_id);
		return NULL;
	case MSG_LIMITS:
		if (!msg_limits_decode(f->payload, &limits)) {
			return "malformed LIMITS";
		}
		h->limits(h->context, f->call_id, limits.limits);
		return NULL;
	case MSG_SERVES:
		h->serves(h->context, f->call_id);
		return NULL;
	default:
		return "a frame that is not for pluginhost";
	}
}

const char *control_dispatch(struct slice message, const struct control_handler *handler)
{
	struct frame f;
	for (;;) {
		switch (frame_decode(&message, &f)) {
		case FRAME_OK:
			break;
		case FRAME_END:
			return NULL;
		case FRAME_MALFORMED:
			return "a malformed frame";
		}
		const char *wrong = dispatch_frame(&f, handler);
		if (wrong != NULL) {
			return wrong;
		}
	}
}

/* Connecting */

static int connect_path_fd(int path_fd)
{
	struct stat st;
	if (fstat(path_fd, &st) < 0) {
		return -errno;
	}
	if (!S_ISSOCK(st.st_mode)) {
		return -ENOTSOCK;
	}
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		return -errno;
	}
	/* The descriptor is the socket that was looked at, whatever its path names by now; and it is
	 * short, which sun_path must be. */
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	(void)snprintf(to.sun_path, sizeof(to.sun_path), "/proc/self/fd/%d", path_fd);
	if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) < 0) {
		int e = -errno;
		(void)close(fd);
		return e;
	}
	return fd;
}

int control_connect(int dir_fd, const char *path)
{
	int path_fd = beneath_open(dir_fd, path, O_PATH);
	if (path_fd < 0) {
		return path_fd;
	}
	int fd = connect_path_fd(path_fd);
	(void)close(path_fd);
	return fd;
}

static int connect_director(const struct control *c)
{
	int dir_fd = open(c->run_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0) {
		return -errno;
	}
	int fd = control_connect(dir_fd, c->socket);
	(void)close(dir_fd);
	return fd;
}

static void wait_and_retry(struct control *c)
{
	c->state = STATE_WAITING;
	uvx_timer_once(&c->timer, c->backoff_ms);
	c->backoff_ms = c->backoff_ms * 2 > CONTROL_BACKOFF_MAX_MS ? CONTROL_BACKOFF_MAX_MS
								   : c->backoff_ms * 2;
}

static void control_on_stopped(void *arg)
{
	struct control *c = arg;
	uvx_closed_fn closed = c->closed;
	void *closed_arg = c->closed_arg;
	free(c);
	if (closed != NULL) {
		closed(closed_arg);
	}
}

static void control_on_stream_closed(void *arg)
{
	struct control *c = arg;
	pair0_reader_deinit(&c->reader);
	if (c->state == STATE_STOPPED) {
		uvx_closing_one(&c->closing);
		return;
	}
	bool was_up = c->was_up;
	c->was_up = false;
	wait_and_retry(c);
	/* Here and not where it broke: that may be in the middle of somebody's loop. */
	if (was_up) {
		c->handler.down(c->handler.context);
	}
}

/* Ends the connection; a new one follows. */
static void hang_up(struct control *c, const char *why)
{
	if (c->state != STATE_SHAKING && c->state != STATE_UP) {
		return;
	}
	c->was_up = c->state == STATE_UP;
	c->state = STATE_CLOSING;
	if (c->was_up) {
		log_event(
			LOG_WARNING, "control.down", "the channel to the director ended: %s", why);
		if (clock_ms() - c->since_ms >= CONTROL_GOOD_MS) {
			c->backoff_ms = CONTROL_BACKOFF_MIN_MS;
		}
	}
	uvx_stream_close(&c->stream, control_on_stream_closed, c);
}

/* Receiving */

static struct uvx_room control_on_room(struct uvx_stream *s)
{
	struct control *c = s->owner;
	uint8_t *p;
	size_t n;
	int r = pair0_reader_space(&c->reader, READ_SIZE, &p, &n);
	if (r < 0) {
		hang_up(c, strerror(-r));
		return (struct uvx_room){ 0 };
	}
	return (struct uvx_room){ p, n };
}

static void shake_hands(struct control *c)
{
	c->state = STATE_UP;
	c->since_ms = clock_ms();
	c->logged_error = 0;
	log_event(LOG_INFO, "control.up", "connected to the director");
	c->handler.up(c->handler.context);
}

static void control_on_received(struct uvx_stream *s, size_t n)
{
	struct control *c = s->owner;
	pair0_reader_fill(&c->reader, n);
	while (c->state == STATE_SHAKING || c->state == STATE_UP) {
		struct slice message;
		enum pair0_result r = pair0_reader_next(&c->reader, &message);
		if (r == PAIR0_BAD) {
			hang_up(c, "not the pair0 protocol, or a message that is too long");
			return;
		}
		if (c->state == STATE_SHAKING && c->reader.shook_hands) {
			shake_hands(c);
		}
		if (r == PAIR0_MORE) {
			return;
		}
		const char *wrong = control_dispatch(message, &c->handler);
		if (wrong != NULL) {
			hang_up(c, wrong);
		}
	}
}

static void control_on_ended(struct uvx_stream *s, int error)
{
	hang_up(s->owner, error == 0 ? "closed by the director" : strerror(-error));
}

static void control_on_sent(struct uvx_stream *s, int error)
{
	if (error < 0) {
		hang_up(s->owner, strerror(-error));
	}
}

static const struct uvx_stream_ops stream_ops = {
	.room = control_on_room,
	.received = control_on_received,
	.ended = control_on_ended,
	.sent = control_on_sent,
};

/* Takes the connected socket. */
static int begin_stream(struct control *c, int fd)
{
	pair0_reader_init(&c->reader, MESSAGE_MAX);
	uvx_stream_init_unix(&c->stream, c->loop, &stream_ops, c);
	int r = uvx_stream_open(&c->stream, fd);
	if (r < 0) {
		(void)close(fd);
	}
	c->state = STATE_SHAKING;
	/* uv_buf_t is used for reading too and cannot be const. */
	uint8_t hello[PAIR0_HANDSHAKE_SIZE];
	memcpy(hello, pair0_handshake, sizeof(hello));
	const uv_buf_t buf = uv_buf_init((char *)hello, sizeof(hello));
	r = r < 0 ? r : uvx_stream_send(&c->stream, &buf, 1);
	return r < 0 ? r : uvx_stream_read(&c->stream);
}

static void control_try(struct control *c)
{
	int fd = connect_director(c);
	if (fd < 0) {
		if (fd != c->logged_error) {
			c->logged_error = fd;
			log_event(LOG_INFO, "control.connect",
				"waiting for the director at %s/%s: %s", c->run_path, c->socket,
				strerror(-fd));
		}
		wait_and_retry(c);
		return;
	}
	int r = begin_stream(c, fd);
	if (r < 0) {
		hang_up(c, strerror(-r));
	}
}

static void control_on_timer(void *arg)
{
	control_try(arg);
}

/* Sending */

int control_send(struct control *c, struct slice frame)
{
	if (c->state != STATE_UP) {
		return -ENOTCONN;
	}
	uint8_t header[PAIR0_HEADER_SIZE];
	pair0_encode_header(header, frame.n);
	const uv_buf_t bufs[] = {
		uv_buf_init((char *)header, sizeof(header)),
		uv_buf_init((char *)(uintptr_t)frame.p, (unsigned)frame.n),
	};
	int r = uvx_stream_send(&c->stream, bufs, 2);
	if (r >= 0 && uvx_stream_queued(&c->stream) > CONTROL_QUEUE_MAX) {
		r = -ENOBUFS;
	}
	if (r < 0) {
		hang_up(c, r == -ENOBUFS ? "the director does not read" : strerror(-r));
		return r;
	}
	return 0;
}

/* Life */

int control_new(struct control **ret,
	uv_loop_t *loop,
	const char *run_path,
	const char *name,
	const struct control_handler *handler)
{
	struct control *c = calloc(1, sizeof(*c));
	if (c == NULL) {
		return -ENOMEM;
	}
	c->loop = loop;
	c->run_path = run_path;
	(void)snprintf(c->socket, sizeof(c->socket), "control/%s.sock", name);
	c->handler = *handler;
	c->backoff_ms = CONTROL_BACKOFF_MIN_MS;
	uvx_timer_init(&c->timer, loop, control_on_timer, c);
	*ret = c;
	return 0;
}

void control_start(struct control *c)
{
	control_try(c);
}

bool control_is_up(const struct control *c)
{
	return c->state == STATE_UP;
}

void control_close(struct control *c, uvx_closed_fn closed, void *arg)
{
	if (c->state == STATE_STOPPED) {
		return;
	}
	bool has_stream = c->state == STATE_SHAKING || c->state == STATE_UP;
	bool stream_closing = c->state == STATE_CLOSING;
	c->state = STATE_STOPPED;
	c->closed = closed;
	c->closed_arg = arg;
	uvx_closing_begin(&c->closing, control_on_stopped, c);
	uvx_timer_close(&c->timer, uvx_closing_one, uvx_closing_add(&c->closing));
	if (has_stream || stream_closing) {
		(void)uvx_closing_add(&c->closing);
	}
	if (has_stream) {
		uvx_stream_close(&c->stream, control_on_stream_closed, c);
	}
	uvx_closing_one(&c->closing);
}
