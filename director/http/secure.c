#include "director/http/secure.h"

#include "common/base/log.h"
#include "common/base/map.h"
#include "director/http/transport.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	FLUSH_BYTES = 64 * 1024, /* of a long answer, encrypted and handed on at a time */
	COMPLAIN_MS = 10000,
};

struct secure {
	struct secure_hub *hub;
	struct transport *transport;
	const struct uvx_stream_ops *ops; /* the connection's */
	struct tls_session
		*session;    /* NULL until something arrives: who only connects costs little */
	struct buffer kept;  /* received and not yet wanted; what is used of it stands first */
	struct secure *prev; /* in the hub's list */
	struct secure *next;
	bool waiting;   /* in that list */
	bool ready;     /* the handshake is done */
	bool wants;     /* the connection reads */
	bool pumping;   /* inside pump() */
	bool ended;     /* the connection has been told */
	bool deaf;      /* what still arrives is thrown away */
	bool finishing; /* our end is shut when all is sent */
	bool closing;
};

static struct uvx_stream *stream_of(struct secure *s)
{
	return &s->transport->stream;
}

/* What is to be said goes out. @return 0 or a negative errno. */
static int flush(struct secure *s)
{
	struct buffer *out = &s->hub->out;
	int r = 0;
	if (out->n > 0) {
		uv_buf_t buf = uv_buf_init((char *)out->p, (unsigned)out->n);
		r = uvx_stream_send(stream_of(s), &buf, 1);
		buffer_clear(out);
	}
	return r < 0 ? r : 0;
}

/* The connection is told, once, that nothing more comes. */
static void end(struct secure *s, int error)
{
	s->deaf = true;
	if (!s->ended && !s->closing) {
		s->ended = true;
		s->ops->ended(stream_of(s), error);
	}
}

static void forget_input(struct secure *s)
{
	if (s->session != NULL) {
		tls_forget(s->session);
	}
	buffer_deinit(&s->kept);
}

/* Clients can bring it about as often as they like: at most once in a while. */
static void complain(struct secure *s)
{
	struct secure_hub *hub = s->hub;
	uint64_t now = uv_now(hub->loop);
	hub->failed++;
	if (now >= hub->silent_until) {
		char n[24];
		(void)snprintf(n, sizeof(n), "%llu", (unsigned long long)hub->failed);
		const struct log_field fields[] = { { "failed", slice_str(n) } };
		hub->silent_until = now + COMPLAIN_MS;
		hub->failed = 0;
		log_fields(LOG_INFO, "tls.failed", fields, 1,
			"TLS connections failed since the last record of it; this one: %s",
			tls_failure(s->session));
	}
}

/* Somebody has typed http:// for https://. */
static void answer_plain_http(struct secure *s)
{
	static const char answer[] =
		"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n"
		"Content-Length: 38\r\n\r\nThis port speaks HTTPS; use https:// .\n";
	uv_buf_t buf = uv_buf_init((char *)(uintptr_t)answer, sizeof(answer) - 1);
	buffer_clear(&s->hub->out);
	(void)uvx_stream_send(stream_of(s), &buf, 1);
}

static void fail(struct secure *s)
{
	if (tls_is_plain_http(s->session)) {
		answer_plain_http(s);
	}
	(void)flush(s);
	complain(s);
	forget_input(s);
	uvx_stream_pause(stream_of(s));
	end(s, -EPROTO);
}

/* Steps of pump(). @return true to go on. */

static bool step_handshake(struct secure *s)
{
	enum tls_verdict v = tls_handshake(s->session);
	if (v == TLS_FAILED) {
		fail(s);
		return false;
	}
	int r = flush(s);
	if (r < 0) {
		end(s, r);
		return false;
	}
	if (v == TLS_OK) {
		s->ready = true;
		/* Nothing yet, but other deadlines hold from now on. */
		s->ops->received(stream_of(s), 0);
	}
	return v == TLS_OK;
}

/* One room full. */
static bool step_read(struct secure *s)
{
	enum tls_verdict v = tls_look(s->session);
	int r = flush(s);
	if (v == TLS_FAILED) {
		fail(s);
	} else if (v == TLS_ENDED || r < 0) {
		end(s, r);
	}
	if (v != TLS_OK || r < 0) {
		return false;
	}
	struct uvx_room room = s->ops->room(stream_of(s));
	if (room.n == 0) {
		s->wants = false;
		return false;
	}
	size_t n = 0;
	while (n < room.n && v == TLS_OK) {
		size_t more;
		v = tls_read(s->session, (uint8_t *)room.p + n, room.n - n, &more);
		n += more;
	}
	r = flush(s);
	/* Whatever comes behind these bytes is met again by the next look. */
	s->ops->received(stream_of(s), n);
	if (!s->closing && r < 0) {
		end(s, r);
	}
	return true;
}

/* Keeps what nobody wanted yet. @return 0 or -ENOMEM. */
static int keep(struct secure *s)
{
	struct slice rest = tls_unread(s->session);
	if (rest.n == 0) {
		buffer_deinit(&s->kept);
		return 0;
	}
	bool here = s->kept.n > 0;
	if (here) {
		return 0;
	}
	int r = buffer_append(&s->kept, rest);
	if (r == 0) {
		tls_moved(s->session, s->kept.p);
	}
	return r;
}

static bool has_rest(const struct secure *s)
{
	return !s->deaf && s->session != NULL &&
		(tls_unread(s->session).n > 0 || tls_has_rest(s->session));
}

/* Takes from what has arrived as much as is wanted. */
static void pump(struct secure *s)
{
	bool more = true;
	s->pumping = true;
	while (more && !s->closing && !s->deaf) {
		if (!s->ready) {
			more = step_handshake(s);
		} else {
			more = s->wants && step_read(s);
		}
	}
	s->pumping = false;
	if (s->closing) {
		return;
	}
	if (s->deaf) {
		forget_input(s);
		return;
	}
	int r = keep(s);
	if (r < 0) {
		forget_input(s);
		end(s, r);
		return;
	}
	if (!s->wants || has_rest(s)) {
		uvx_stream_pause(stream_of(s));
	} else if (uvx_stream_read(stream_of(s)) < 0) {
		end(s, -EIO);
	}
}

static void on_later(void *arg)
{
	struct secure_hub *hub = arg;
	unsigned n;
	struct secure *s;
	/* Who is added meanwhile has its turn in the next one. */
	DL_COUNT(hub->waiting, s, n);
	for (; n > 0 && hub->waiting != NULL; n--) {
		s = hub->waiting;
		s->waiting = false;
		DL_DELETE(hub->waiting, s);
		pump(s);
	}
}

/* The stream's callbacks: it stands first in its transport. */

static struct secure *secure_of(struct uvx_stream *stream)
{
	return ((struct transport *)stream)->secure;
}

static struct uvx_room on_room(struct uvx_stream *stream)
{
	struct secure_hub *hub = secure_of(stream)->hub;
	return (struct uvx_room){ hub->in, sizeof(hub->in) };
}

static void on_received(struct uvx_stream *stream, size_t n)
{
	struct secure *s = secure_of(stream);
	if (s->session == NULL && !s->deaf) {
		s->session = tls_session_new(s->hub->context, &s->hub->out);
		if (s->session == NULL) {
			end(s, -ENOMEM);
		}
	}
	if (n > 0 && !s->deaf) {
		tls_feed(s->session, slice_of(s->hub->in, n));
		pump(s);
	}
}

static void on_ended(struct uvx_stream *stream, int error)
{
	end(secure_of(stream), error);
}

static void on_sent(struct uvx_stream *stream, int error)
{
	struct secure *s = secure_of(stream);
	if (s->finishing && error == 0 && uvx_stream_queued(stream) == 0) {
		s->finishing = false;
		uvx_stream_finish(stream);
	}
	s->ops->sent(stream, error);
}

const struct uvx_stream_ops secure_stream_ops = { on_room, on_received, on_ended, on_sent };

/* The interface */

struct secure_hub *secure_hub_new(uv_loop_t *loop, struct tls_context *context)
{
	struct secure_hub *hub = calloc(1, sizeof(*hub));
	if (hub != NULL) {
		hub->loop = loop;
		hub->context = context;
		buffer_init(&hub->out, INT32_MAX);
		uvx_later_init(&hub->later, loop, on_later, hub);
	}
	return hub;
}

void secure_hub_close(struct secure_hub *hub, uvx_closed_fn closed, void *arg)
{
	uvx_later_close(&hub->later, closed, arg);
}

void secure_hub_free(struct secure_hub *hub)
{
	if (hub != NULL) {
		buffer_deinit(&hub->out);
		free(hub);
	}
}

struct secure *secure_new(
	struct secure_hub *hub, struct transport *t, const struct uvx_stream_ops *ops)
{
	struct secure *s = calloc(1, sizeof(*s));
	if (s == NULL) {
		return NULL;
	}
	s->hub = hub;
	s->transport = t;
	s->ops = ops;
	buffer_init(&s->kept, SECURE_IN);
	return s;
}

void secure_free(struct secure *s)
{
	if (s != NULL) {
		tls_session_free(s->session);
		buffer_deinit(&s->kept);
		free(s);
	}
}

bool secure_is_ready(const struct secure *s)
{
	return s->ready;
}

int secure_read(struct secure *s)
{
	s->wants = true;
	if (s->pumping || s->waiting) {
		return 0;
	}
	if (has_rest(s)) {
		/* Not here: the caller is in the middle of a tick. */
		s->waiting = true;
		DL_APPEND(s->hub->waiting, s);
		uvx_later_ask(&s->hub->later);
		return 0;
	}
	return uvx_stream_read(stream_of(s));
}

void secure_pause(struct secure *s)
{
	s->wants = false;
	if (s->ready) {
		uvx_stream_pause(stream_of(s));
	}
}

int secure_send(struct secure *s, const uv_buf_t *bufs, unsigned n_bufs)
{
	int r = s->ready && !s->deaf ? 0 : -ENOTCONN;
	for (unsigned i = 0; i < n_bufs && r == 0; i++) {
		struct slice rest = slice_of(bufs[i].base, bufs[i].len);
		while (rest.n > 0 && r == 0) {
			size_t n = rest.n < FLUSH_BYTES ? rest.n : FLUSH_BYTES;
			r = tls_write(s->session, slice_of(rest.p, n));
			rest = slice_skip(rest, n);
			if (r == 0 && s->hub->out.n >= FLUSH_BYTES) {
				r = flush(s);
			}
		}
	}
	r = r < 0 ? r : flush(s);
	if (r < 0) {
		buffer_clear(&s->hub->out);
		return r;
	}
	return uvx_stream_queued(stream_of(s)) > 0 ? UVX_QUEUED : UVX_SENT;
}

/* After a failure there is nothing to add. */
static void say_goodbye(struct secure *s)
{
	if (s->ready && !s->deaf) {
		tls_finish(s->session);
		(void)flush(s);
	}
}

void secure_finish(struct secure *s)
{
	say_goodbye(s);
	s->deaf = true;
	if (uvx_stream_queued(stream_of(s)) > 0) {
		s->finishing = true;
	} else {
		uvx_stream_finish(stream_of(s));
	}
}

void secure_close(struct secure *s)
{
	if (uvx_stream_queued(stream_of(s)) == 0) {
		say_goodbye(s);
	}
	s->closing = true;
	if (s->waiting) {
		s->waiting = false;
		DL_DELETE(s->hub->waiting, s);
	}
}
