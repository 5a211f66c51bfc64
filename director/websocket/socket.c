/* One WebSocket: reading, answering control frames, sending, its clock, its end. */
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "director/auth/auth.h"
#include "director/websocket/inside.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	PIECES_MAX = 4,
	/* The wall clock may be set, and sessions end: users are looked at again after this. */
	LOOK_MS = 10 * 1000,
	REASON_SIZE = WS_REASON_MAX + 1,
};

static uint64_t now_ms(const struct websocket *w)
{
	return uv_now(w->all->config.loop);
}

/* Sending */

int socket_send(struct websocket *w, enum ws_opcode opcode, const struct slice *pieces, unsigned n)
{
	uint8_t head[WS_SENT_HEAD_MAX];
	uv_buf_t bufs[1 + PIECES_MAX];
	size_t total = 0;
	invariant(n <= PIECES_MAX);
	if (w->tunnel == NULL || w->state == WEBSOCKET_ENDING) {
		return -EPIPE;
	}
	for (unsigned i = 0; i < n; i++) {
		total += pieces[i].n;
		bufs[1 + i] = uv_buf_init((char *)(uintptr_t)pieces[i].p, (unsigned)pieces[i].n);
	}
	size_t head_n = ws_head(head, opcode, total);
	bufs[0] = uv_buf_init((char *)head, (unsigned)head_n);
	return http_tunnel_send(w->tunnel, bufs, 1 + n);
}

/* What may wait for a client, and what says so. */
struct backlog {
	size_t bytes;
	const char *setting;
};

static int send_within(struct websocket *w,
	bool binary,
	const struct slice *pieces,
	unsigned n,
	const struct backlog *most)
{
	size_t total = 0;
	if (w->state != WEBSOCKET_OPEN || w->tunnel == NULL) {
		return -EPIPE;
	}
	for (unsigned i = 0; i < n; i++) {
		total += pieces[i].n;
	}
	size_t queued = http_tunnel_queued(w->tunnel);
	if (queued > 0 && queued + total > most->bytes) {
		char text[REASON_SIZE];
		int length = snprintf(text, sizeof(text),
			"more than %zu bytes wait to be read (%s)", most->bytes, most->setting);
		websocket_close(w, WS_TRY_LATER, slice_of(text, (size_t)length));
		return -EPIPE;
	}
	int r = socket_send(w, binary ? WS_BINARY : WS_TEXT, pieces, n);
	return r < 0 ? -EPIPE : r;
}

int websocket_send(struct websocket *w, bool binary, const struct slice *pieces, unsigned n)
{
	const struct backlog most = { w->all->config.send_bytes,
		"MOZAIKS_MAX_WEBSOCKET_SEND_BYTES" };
	return send_within(w, binary, pieces, n, &most);
}

int websocket_answer(struct websocket *w, bool binary, const struct slice *pieces, unsigned n)
{
	const struct backlog most = { w->all->config.answer_bytes,
		"MOZAIKS_MAX_WEBSOCKET_ANSWER_BYTES" };
	return send_within(w, binary, pieces, n, &most);
}

size_t websocket_queued(const struct websocket *w)
{
	return w->tunnel == NULL ? 0 : http_tunnel_queued(w->tunnel);
}

/* The message that comes in pieces */

static void drop_message(struct websocket *w)
{
	w->all->buffered -= w->message.n;
	buffer_deinit(&w->message);
}

/* @return 0, or a negative errno. */
static int keep_piece(struct websocket *w, struct slice piece)
{
	if (piece.n > w->all->config.buffer_bytes - w->all->buffered) {
		return -ENOBUFS;
	}
	int r = buffer_append(&w->message, piece);
	w->all->buffered += r < 0 ? 0 : piece.n;
	return r;
}

/* The end */

static void on_timer_closed(void *arg)
{
	struct websocket *w = arg;
	struct websockets *all = w->all;
	(void)user_context_unref(w->user);
	drop_message(w);
	buffer_deinit(&w->held);
	free(w);
	websockets_freed(all);
}

/* Sends the last frame, then our end of the connection. */
static void end_with(struct websocket *w, uint16_t code, struct slice reason)
{
	uint8_t payload[WS_CONTROL_MAX];
	struct slice piece = slice_of(payload, ws_close_payload(payload, code, reason));
	if (w->state == WEBSOCKET_OPEN) {
		(void)socket_send(w, WS_CLOSE, &piece, 1);
	}
	w->state = WEBSOCKET_ENDING;
	uvx_timer_stop(&w->timer);
	if (w->tunnel != NULL) {
		http_tunnel_finish(w->tunnel);
	}
}

void websocket_close(struct websocket *w, uint16_t code, struct slice reason)
{
	uint8_t payload[WS_CONTROL_MAX];
	if (w->state != WEBSOCKET_OPEN) {
		return;
	}
	struct slice piece = slice_of(payload, ws_close_payload(payload, code, reason));
	(void)socket_send(w, WS_CLOSE, &piece, 1);
	w->state = WEBSOCKET_CLOSING;
	w->code = code;
	w->close_ms = now_ms(w) + w->all->config.close_ms;
	drop_message(w);
	uvx_timer_once(&w->timer, w->all->config.close_ms);
	if (w->paused) {
		/* The client's close frame is still to be read. */
		websocket_resume(w);
	}
}

/* The protocol, or a limit of it, was broken. */
static void fail(struct websocket *w, uint16_t code, struct slice reason)
{
	w->code = w->state == WEBSOCKET_OPEN ? code : w->code;
	end_with(w, code, reason);
}

static void on_tunnel_closed(void *owner)
{
	struct websocket *w = owner;
	w->tunnel = NULL;
	w->state = WEBSOCKET_ENDING;
	websockets_remove(w->all, w);
	const struct websocket_handler *handler = w->handler;
	w->handler = NULL;
	if (handler != NULL) {
		handler->closed(w, w->code == 0 ? WS_ABNORMAL : w->code);
	}
	uvx_timer_close(&w->timer, on_timer_closed, w);
}

/* Reading */

static void deliver(struct websocket *w, bool binary, struct slice message)
{
	unsigned rate = w->all->config.message_rate;
	if (!rate_take(&w->messages, rate, now_ms(w))) {
		char text[REASON_SIZE];
		int n = snprintf(text, sizeof(text),
			"more than %u messages in a second (MOZAIKS_WEBSOCKET_MESSAGE_RATE)", rate);
		fail(w, WS_POLICY, slice_of(text, (size_t)n));
	} else if (w->handler != NULL) {
		w->handler->message(w, binary, message);
	}
}

static void take_data(struct websocket *w, const struct ws_item *item)
{
	if (w->state != WEBSOCKET_OPEN) {
		return;
	}
	if (item->last && w->message.n == 0) {
		deliver(w, item->binary, item->data);
		return;
	}
	if (keep_piece(w, item->data) < 0) {
		fail(w, WS_TRY_LATER,
			SLICE("no room for this message now (MOZAIKS_MAX_WEBSOCKET_BUFFER_BYTES)"));
		return;
	}
	if (item->last) {
		/* The handler may close, which drops what is kept of a message. */
		struct buffer whole = w->message;
		w->all->buffered -= whole.n;
		buffer_init(&w->message, whole.limit);
		deliver(w, item->binary, buffer_slice(&whole));
		buffer_deinit(&whole);
	}
}

static void take_ping(struct websocket *w, struct slice payload)
{
	unsigned rate = w->all->config.ping_rate;
	if (!rate_take(&w->pings, rate, now_ms(w))) {
		char text[REASON_SIZE];
		int n = snprintf(text, sizeof(text),
			"more than %u pings in a second (MOZAIKS_WEBSOCKET_PING_RATE)", rate);
		fail(w, WS_POLICY, slice_of(text, (size_t)n));
	} else if (w->state == WEBSOCKET_OPEN) {
		(void)socket_send(w, WS_PONG, &payload, 1);
	}
}

static void take_close(struct websocket *w, uint16_t code)
{
	w->code = code;
	end_with(w, code, SLICE_NULL);
}

static bool takes_bytes(const struct websocket *w)
{
	return w->state != WEBSOCKET_ENDING && (!w->paused || w->state == WEBSOCKET_CLOSING);
}

static void take_bytes(struct websocket *w, struct ws_bytes in)
{
	struct ws_item item;
	while (takes_bytes(w)) {
		switch (ws_read(&w->reader, &in, &item)) {
		case WS_GOT_NOTHING:
			return;
		case WS_GOT_DATA:
			take_data(w, &item);
			break;
		case WS_GOT_PING:
			take_ping(w, item.data);
			break;
		case WS_GOT_PONG:
			break;
		case WS_GOT_CLOSE:
			take_close(w, item.code);
			break;
		case WS_FAILED:
			fail(w, item.code, item.data);
			break;
		}
	}
	/* What came in one read with the message that made its handler pause. */
	if (w->state == WEBSOCKET_OPEN && in.n > 0 &&
		buffer_append(&w->held, slice_of(in.p, in.n)) < 0) {
		fail(w, WS_TRY_LATER, SLICE("no memory for this message now"));
	}
}

/* Its clock */

static uint64_t until_expiry_ms(const struct websocket *w)
{
	int64_t left = w->user == NULL ? INT64_MAX : w->user->expires_at * 1000 - clock_unix_ms();
	return left <= 0 ? 0 : left > LOOK_MS ? LOOK_MS : (uint64_t)left;
}

bool websocket_is_good(struct websocket *w)
{
	const struct websockets_config *c = &w->all->config;
	int r = w->user == NULL || c->judge == NULL ? AUTH_OK : c->judge(c->judge_arg, w->user);
	if (until_expiry_ms(w) == 0) {
		r = AUTH_EXPIRED;
	}
	if (r == AUTH_EXPIRED || r == AUTH_REVOKED || r == AUTH_DISABLED) {
		websocket_close(w, WEBSOCKET_TOKEN_EXPIRED, slice_str(auth_result_text(r)));
	}
	return w->state == WEBSOCKET_OPEN;
}

static bool waits_for_pong(const struct websocket *w)
{
	return w->pinged_ms > w->heard_ms;
}

static void set_timer(struct websocket *w)
{
	const struct websockets_config *c = &w->all->config;
	uint64_t at = waits_for_pong(w) ? w->pinged_ms + c->pong_ms : w->heard_ms + c->ping_ms;
	uint64_t now = now_ms(w);
	uint64_t wait = at > now ? at - now : 0;
	uint64_t expiry = until_expiry_ms(w);
	uvx_timer_once(&w->timer, expiry < wait ? expiry : wait);
}

static void no_pong(struct websocket *w)
{
	char text[REASON_SIZE];
	int n = snprintf(text, sizeof(text),
		"no answer to a ping within %g s (MOZAIKS_WEBSOCKET_PONG_SECONDS)",
		(double)w->all->config.pong_ms / 1000);
	fail(w, WS_INTERNAL, slice_of(text, (size_t)n));
}

/* It has not answered our close frame, or does not take it. */
static void end_unanswered(struct websocket *w)
{
	uint64_t now = now_ms(w);
	if (now < w->close_ms) {
		uvx_timer_once(&w->timer, w->close_ms - now);
		return;
	}
	w->state = WEBSOCKET_ENDING;
	http_tunnel_close(w->tunnel);
}

/* What waited for the end of a pause. */
static void take_held(struct websocket *w)
{
	struct buffer held = w->held;
	if (held.n == 0 || w->paused) {
		return;
	}
	buffer_init(&w->held, held.limit);
	take_bytes(w, (struct ws_bytes){ held.p, held.n });
	buffer_deinit(&held);
	if (!w->paused && w->held.n == 0) {
		http_tunnel_resume(w->tunnel);
	}
}

static void on_timer(void *arg)
{
	struct websocket *w = arg;
	const struct websockets_config *c = &w->all->config;
	uint64_t now = now_ms(w);
	if (w->tunnel == NULL) {
		return;
	}
	take_held(w);
	if (w->state == WEBSOCKET_ENDING) {
		return;
	}
	if (w->state == WEBSOCKET_CLOSING) {
		end_unanswered(w);
		return;
	}
	if (!websocket_is_good(w)) {
		return;
	}
	if (waits_for_pong(w)) {
		if (now >= w->pinged_ms + c->pong_ms) {
			no_pong(w);
			return;
		}
	} else if (now >= w->heard_ms + c->ping_ms) {
		struct slice nothing = SLICE_NULL;
		w->pinged_ms = now > w->heard_ms ? now : w->heard_ms + 1;
		if (socket_send(w, WS_PING, &nothing, 1) < 0) {
			return;
		}
	}
	set_timer(w);
}

/* Events of the connection */

static void on_received(void *owner, uint8_t *bytes, size_t n)
{
	struct websocket *w = owner;
	w->heard_ms = now_ms(w);
	if (w->held.n > 0) {
		/* Behind what is held, which the next turn takes. */
		if (buffer_append(&w->held, slice_of(bytes, n)) < 0) {
			fail(w, WS_TRY_LATER, SLICE("no memory for this message now"));
		}
		return;
	}
	take_bytes(w, (struct ws_bytes){ bytes, n });
}

static void on_sent(void *owner)
{
	struct websocket *w = owner;
	if (w->state == WEBSOCKET_OPEN && w->handler != NULL && w->handler->writable != NULL) {
		w->handler->writable(w);
	}
}

void websocket_pause(struct websocket *w)
{
	if (!w->paused && w->state == WEBSOCKET_OPEN) {
		w->paused = true;
		http_tunnel_pause(w->tunnel);
	}
}

void websocket_resume(struct websocket *w)
{
	if (!w->paused) {
		return;
	}
	w->paused = false;
	if (w->held.n > 0) {
		/* Not from here: its handler may be the caller. */
		uvx_timer_once(&w->timer, 0);
	} else if (w->tunnel != NULL) {
		http_tunnel_resume(w->tunnel);
	}
}

/* What an owner may ask */

void *websocket_owner(const struct websocket *w)
{
	return w->owner;
}

struct user_context *websocket_user(const struct websocket *w)
{
	return w->user;
}

void websocket_set_user(struct websocket *w, struct user_context *user)
{
	(void)user_context_ref(user);
	(void)user_context_unref(w->user);
	w->user = user;
	if (w->state == WEBSOCKET_OPEN) {
		set_timer(w);
	}
}

static size_t make_headers(const struct websocket_request *q,
	const struct websocket_open_config *config,
	struct slice accept,
	struct http_header ret[static 3])
{
	struct slice protocol = config->protocol.n > 0 ? config->protocol : q->protocols.echo;
	size_t n = 0;
	ret[n++] = (struct http_header){ SLICE("Upgrade"), SLICE("websocket") };
	ret[n++] = (struct http_header){ SLICE("Sec-WebSocket-Accept"), accept };
	if (protocol.n > 0) {
		ret[n++] = (struct http_header){ SLICE("Sec-WebSocket-Protocol"), protocol };
	}
	return n;
}

struct websocket *socket_new(struct websockets *all,
	struct http_request *r,
	const struct websocket_request *q,
	const struct websocket_open_config *config)
{
	static const struct http_tunnel_ops ops = { on_received, on_sent, on_tunnel_closed };
	char accept[WS_ACCEPT_SIZE];
	struct http_header headers[3];
	struct websocket *w = calloc(1, sizeof(*w));
	if (w == NULL || handshake_accept(q->key, accept) < 0) {
		free(w);
		return NULL;
	}
	struct ws_limits limits = all->config.limits;
	if (config->message_bytes > 0) {
		limits.frame_bytes = limits.message_bytes = config->message_bytes;
		limits.setting = config->message_setting;
	}
	w->all = all;
	w->handler = config->handler;
	w->owner = config->owner;
	w->pushed = config->pushed;
	w->user = config->user == NULL ? NULL : user_context_ref(config->user);
	w->heard_ms = now_ms(w);
	ws_reader_init(&w->reader, &limits);
	buffer_init(&w->message, limits.message_bytes);
	buffer_init(&w->held, SIZE_MAX / 4);
	uvx_timer_init(&w->timer, all->config.loop, on_timer, w);
	set_timer(w);
	size_t n = make_headers(q, config, slice_str(accept), headers);
	w->tunnel = http_upgrade(r, headers, n, &ops, w);
	return w;
}
