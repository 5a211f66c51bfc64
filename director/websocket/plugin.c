#include "director/websocket/plugin.h"

#include "common/base/buffer.h"
#include "common/proto/stream.h"
#include "director/director.h"
#include "director/execute/execute.h"
#include "director/execute/query.h"
#include "director/websocket/websocket.h"

#include <errno.h>
#include <stdlib.h>

enum {
	DATA_MAX = 768 * 1024,
	/* Pieces that the plugin had credit for, and their heads here. */
	WAITING_MAX = 2 * STREAM_WINDOW,
	WAITING_HEAD = 5,
	CODE_BYTES = 2,
};

/* One of them. It lives until both ends are done with it. */
struct plugin_socket {
	struct director *director;
	struct websocket *socket;    /* NULL: closed */
	struct execution *execution; /* NULL: over */
	struct buffer message;       /* the pieces of one, until it is complete */
	struct buffer waiting; /* pieces that came while the client did not read: u32 size, flags */
	char id[REQUEST_ID_LENGTH];
};

static void release(struct plugin_socket *s)
{
	if (s->socket == NULL && s->execution == NULL) {
		buffer_deinit(&s->message);
		buffer_deinit(&s->waiting);
		free(s);
	}
}

static void close_socket(struct plugin_socket *s, uint16_t code, struct slice reason)
{
	if (s->socket != NULL) {
		reason.n = reason.n > WS_REASON_MAX ? WS_REASON_MAX : reason.n;
		while (!slice_is_utf8(reason)) {
			reason.n--;
		}
		websocket_close(s->socket, code, reason);
	}
}

/* The plugin's call is over. */
static void finish(struct plugin_socket *s, uint16_t code, struct slice reason)
{
	s->execution = execution_free(s->execution);
	close_socket(s, code, reason);
	release(s);
}

/* ---- the plugin ----------------------------------------------------------------------------- */

static void on_respond(void *owner, const struct http_response *response)
{
	/* A WebSocket's call has no value. */
	finish(owner, WS_INTERNAL, SLICE("the plugin answered instead of serving the WebSocket"));
}

static void on_problem(void *owner, const struct execution_problem *p)
{
	uint16_t code = p->status == 404               ? WEBSOCKET_NOT_FOUND
		: p->status == 403                     ? WEBSOCKET_FORBIDDEN
		: p->status == 400                     ? WS_POLICY
		: p->status == 429 || p->status == 503 ? WS_TRY_LATER
						       : WS_INTERNAL;
	finish(owner, code, p->detail);
}

static struct slice on_request_id(void *owner)
{
	struct plugin_socket *s = owner;
	return slice_of(s->id, sizeof(s->id));
}

static void on_end(void *owner)
{
	finish(owner, WS_NORMAL, SLICE(""));
}

static void on_cut(void *owner, bool stopped)
{
	if (stopped) {
		finish(owner, WS_RESTART, SLICE("the plugin was stopped or replaced"));
	} else {
		finish(owner, WS_INTERNAL, SLICE("the plugin has failed"));
	}
}

static bool is_sendable(uint16_t code)
{
	return code == WS_NORMAL || code == WS_UNSUPPORTED ||
		(code >= WS_INVALID_DATA && code <= WS_TRY_LATER) || (code >= 3000 && code < 5000);
}

static void close_as_asked(struct plugin_socket *s, struct slice piece)
{
	uint16_t code = piece.n >= CODE_BYTES ? get_u16(piece.p) : WS_NORMAL;
	struct slice reason = piece.n > CODE_BYTES ? slice_skip(piece, CODE_BYTES) : SLICE_NULL;
	close_socket(s, is_sendable(code) ? code : WS_INTERNAL, reason);
}

static void send_message(struct plugin_socket *s, struct slice message, uint8_t flags)
{
	if ((flags & DATA_TEXT) != 0 && !slice_is_utf8(message)) {
		close_socket(s, WS_INTERNAL, SLICE("the plugin's text is not UTF-8"));
		return;
	}
	(void)websocket_send(s->socket, (flags & DATA_TEXT) == 0, &message, 1);
}

/* A piece, while nothing waits. */
static void take_piece(struct plugin_socket *s, struct slice piece, uint8_t flags)
{
	if (s->socket == NULL) {
		return;
	}
	if ((flags & DATA_LAST) != 0) {
		close_as_asked(s, piece);
	} else if (s->message.n == 0 && (flags & DATA_MORE) == 0) {
		send_message(s, piece, flags);
	} else if (buffer_append(&s->message, piece) < 0) {
		close_socket(s, WS_TOO_BIG,
			SLICE("a message of the plugin is too long "
			      "(MOZAIKS_MAX_PLUGIN_WEBSOCKET_MESSAGE_BYTES)"));
		buffer_deinit(&s->message);
	} else if ((flags & DATA_MORE) == 0) {
		send_message(s, buffer_slice(&s->message), flags);
		/* Long messages are rare: the memory is not kept for the next. */
		buffer_deinit(&s->message);
	}
}

static bool is_blocked(const struct plugin_socket *s)
{
	return s->socket != NULL && websocket_queued(s->socket) > 0;
}

static bool on_piece(void *owner, struct slice piece, uint8_t flags)
{
	struct plugin_socket *s = owner;
	if (s->waiting.n == 0 && !is_blocked(s)) {
		take_piece(s, piece, flags);
		return !is_blocked(s);
	}
	uint8_t head[WAITING_HEAD];
	put_u32(head, (uint32_t)piece.n);
	head[4] = flags;
	if (buffer_append(&s->waiting, slice_of(head, sizeof(head))) < 0 ||
		buffer_append(&s->waiting, piece) < 0) {
		buffer_deinit(&s->waiting);
		close_socket(s, WS_TRY_LATER, SLICE("no memory for what the plugin sends"));
	}
	return false;
}

static void on_want(void *owner, bool want)
{
	struct plugin_socket *s = owner;
	if (s->socket == NULL) {
		return;
	}
	if (want) {
		websocket_resume(s->socket);
	} else {
		websocket_pause(s->socket);
	}
}

static const struct execution_client client = {
	.respond = on_respond,
	.problem = on_problem,
	.request_id = on_request_id,
	.end = on_end,
	.cut = on_cut,
	.want_body = on_want,
	.message = on_piece,
};

/* ---- the client ----------------------------------------------------------------------------- */

static void on_message(struct websocket *w, bool binary, struct slice message)
{
	struct plugin_socket *s = websocket_owner(w);
	if (s->execution != NULL) {
		execution_message(s->execution, binary, message);
	}
}

static void on_writable(struct websocket *w)
{
	struct plugin_socket *s = websocket_owner(w);
	size_t at = 0;
	while (at < s->waiting.n && !is_blocked(s)) {
		size_t n = get_u32(s->waiting.p + at);
		uint8_t flags = s->waiting.p[at + 4];
		at += WAITING_HEAD + n;
		take_piece(s, slice_of(s->waiting.p + at - n, n), flags);
	}
	if (at == s->waiting.n) {
		buffer_deinit(&s->waiting);
	} else {
		buffer_consume(&s->waiting, at);
	}
	if (s->waiting.n == 0 && !is_blocked(s) && s->execution != NULL) {
		execution_sent(s->execution);
	}
}

static void on_closed(struct websocket *w, uint16_t code)
{
	struct plugin_socket *s = websocket_owner(w);
	s->socket = NULL;
	if (s->execution != NULL) {
		/* May call `end`, which may free it. */
		execution_socket_closed(s->execution, code);
	} else {
		release(s);
	}
}

static const struct websocket_handler handler = {
	.message = on_message,
	.writable = on_writable,
	.closed = on_closed,
};

/* ---- the beginning -------------------------------------------------------------------------- */

/* {"name": "value", …, "_path": "/a/b"}. What carries the token stays here. */
static int append_data(struct buffer *out, const struct http_request *r)
{
	struct slice path = http_request_path(r);
	struct slice prefix = SLICE("/ws/plugins/");
	path = slice_skip(path, path.n < prefix.n ? path.n : prefix.n);
	const uint8_t *rest = path.n == 0 ? NULL : memchr(path.p, '/', path.n);
	path = rest == NULL ? SLICE("/") : slice_skip(path, (size_t)(rest - path.p));
	int e = buffer_append_byte(out, '{');
	e = e < 0 ? e : query_append_json_but(out, http_request_query(r), "access_token", "ticket");
	e = e < 0 ? e : buffer_append(out, SLICE("\"_path\":"));
	e = e < 0 ? e : buffer_append_json(out, path);
	return e < 0 ? e : buffer_append_byte(out, '}');
}

static void begin(struct director *d,
	struct http_request *r,
	const struct websocket_request *q,
	struct user_context *user)
{
	struct plugin_socket *s = calloc(1, sizeof(*s));
	struct buffer data;
	struct buffer name;
	size_t limit = d->settings->plugin_message_bytes;
	buffer_init(&data, DATA_MAX);
	buffer_init(&name, 256);
	/* The request, and with it what it says, is gone once the WebSocket is open. */
	int e = append_data(&data, r);
	e = e < 0 ? e : buffer_append(&name, http_request_param(r, 0));
	struct execution *x = s == NULL ? NULL : execution_new(d, user, &client, s);
	if (x == NULL || e < 0) {
		if (e == -EINVAL) {
			http_problem(r, 400, "invalid_query", 0,
				"The query must be name=value&…, percent-encoded UTF-8");
		} else {
			http_problem(
				r, 503, "out_of_memory", 1, "No memory for this WebSocket now");
		}
		(void)execution_free(x);
		free(s);
	} else {
		struct websocket_open_config config = {
			.user = user,
			.handler = &handler,
			.owner = s,
			.message_bytes = limit,
			.message_setting = "MOZAIKS_MAX_PLUGIN_WEBSOCKET_MESSAGE_BYTES",
		};
		s->director = d;
		s->execution = x;
		buffer_init(&s->message, limit);
		buffer_init(&s->waiting, WAITING_MAX);
		websockets_request_id(d->websockets, s->id);
		s->socket = websocket_open(d->websockets, r, q, &config);
		if (s->socket == NULL) {
			s->execution = execution_free(x);
			release(s);
		} else if (execution_find_plugin(x, buffer_slice(&name))) {
			(void)execution_run_socket(x, buffer_slice(&data), limit);
		}
	}
	buffer_deinit(&data);
	buffer_deinit(&name);
}

static void on_body(void *owner, struct http_request *r, struct slice body)
{
	struct director *d = owner;
	struct websocket_request q;
	struct user_context *user = NULL;
	if (!websocket_check(d->websockets, r, &q)) {
		return;
	}
	int who = websocket_authenticate(d->websockets, d->auth, r, &q, &user);
	if (who != AUTH_OK) {
		websocket_refuse(d->websockets, r, &q, WEBSOCKET_UNAUTHENTICATED,
			slice_str(auth_result_text(who)));
		return;
	}
	begin(d, r, &q, user);
	(void)user_context_unref(user);
}

const struct http_handler plugin_socket_handler = { .on_body = on_body };
