/*
 * Answers and bodies in pieces: what lies between a call's stream and its client. Whoever is slower is
 * waited for: credit goes back to the plugin when the client has taken what it paid for, and the client is
 * asked for more of its body when the plugin has taken what was there. What is held is a window of the
 * answer and a block of the body.
 */
#include "common/base/log.h"
#include "common/json/tree.h"
#include "director/director.h"
#include "director/execute/dispatch.h"
#include "director/execute/execution.h"
#include "director/execute/streams.h"

#include <errno.h>
#include <stdlib.h>

/* Headers that a plugin may set beside the type of its content. */
static const char *const allowed_headers[] = { "Cache-Control", "Content-Disposition",
	"Content-Language", "ETag", "Last-Modified", "X-Accel-Buffering" };

enum {
	ALLOWED_HEADERS = sizeof(allowed_headers) / sizeof(allowed_headers[0]),
	HEADER_VALUE_MAX = 1024,
	BODY_PENDING_MAX = 1024 * 1024,
};

enum answer_mode {
	ANSWER_NONE,   /* nothing came yet */
	ANSWER_VALUE,  /* JSON that is too long for a frame: collected, judged, sent */
	ANSWER_PIECES, /* goes to the client as it comes */
	ANSWER_SOCKET, /* messages of a WebSocket, likewise */
};

struct execution_stream {
	enum answer_mode mode;
	struct buffer value;
	size_t held;        /* cost of what waits for the client */
	bool at_event_end;  /* an event stream: a comment may stand here */
	struct buffer body; /* what waits for the plugin */
	size_t body_sent;   /* of it */
	bool body_last;     /* nothing comes after it … */
	bool body_done;     /* … and that was said */
	bool body_paused;
	bool text; /* the message that waits is */
};

struct execution_stream *execution_stream_new(size_t message_bytes)
{
	struct execution_stream *s = calloc(1, sizeof(*s));
	if (s != NULL) {
		s->mode = message_bytes > 0 ? ANSWER_SOCKET : ANSWER_NONE;
		buffer_init(&s->body, message_bytes > 0 ? message_bytes : BODY_PENDING_MAX);
	}
	return s;
}

void execution_stream_free(struct execution_stream *s)
{
	if (s != NULL) {
		buffer_deinit(&s->value);
		buffer_deinit(&s->body);
		free(s);
	}
}

/* The call is of no use any more, and the client gets an error. It may free the execution. */
static void fail(struct execution *x, int status, const char *code, const char *text)
{
	execution_abandon(x);
	execution_problem(x, status, code, 0, "Plugin '%s' %s", x->plugin->id, text);
}

static void cut(struct execution *x, const char *why, bool stopped)
{
	const struct log_field fields[] = {
		{ "plugin", plugin_slice(x->plugin) },
		{ "request_id", x->client->request_id(x->client_owner) },
	};
	log_fields(LOG_WARNING, "stream.cut", fields, 2, "an answer was not completed: %s", why);
	x->client->cut(x->client_owner, stopped);
}

/* ---- the answer ----------------------------------------------------------------------------- */

static void heartbeat(struct call *c)
{
	struct execution *x = c->owner;
	if (x->stream->at_event_end && x->stream->held == 0) {
		(void)x->client->piece(x->client_owner, SLICE(":\n\n"));
	}
}

static bool is_event_stream(struct slice type)
{
	struct slice wanted = SLICE("text/event-stream");
	return type.n >= wanted.n && slice_eq_nocase(slice_of(type.p, wanted.n), wanted) &&
		(type.n == wanted.n || type.p[wanted.n] == ';' || type.p[wanted.n] == ' ');
}

static struct slice header_of(const json_t *headers, const char *name)
{
	const char *key;
	json_t *value;
	json_object_foreach((json_t *)(uintptr_t)headers, key, value)
	{
		if (json_is_string(value) && slice_eq_nocase(slice_str(key), slice_str(name)) &&
			json_string_length(value) <= HEADER_VALUE_MAX) {
			return slice_of(json_string_value(value), json_string_length(value));
		}
	}
	return SLICE_NULL;
}

static void begin_pieces(struct execution *x, struct call *c, int status, const json_t *headers)
{
	struct http_header list[ALLOWED_HEADERS + 1];
	size_t n = 0;
	struct slice type = header_of(headers, "Content-Type");
	for (size_t i = 0; i < ALLOWED_HEADERS; i++) {
		struct slice value = header_of(headers, allowed_headers[i]);
		if (value.p != NULL) {
			list[n++] = (struct http_header){ slice_str(allowed_headers[i]), value };
		}
	}
	list[n++] = (struct http_header){ SLICE("Content-Security-Policy"),
		SLICE("sandbox; default-src 'none'; frame-ancestors 'none'") };
	struct http_response head = {
		.status = status,
		.content_type = type.n > 0 ? type : SLICE("application/octet-stream"),
		.headers = list,
		.n_headers = n,
	};
	x->stream->mode = ANSWER_PIECES;
	if (is_event_stream(type)) {
		uint64_t every = x->director->settings->heartbeat_ms;
		x->stream->at_event_end = true;
		c->stream->silent = true;
		c->stream->beat = heartbeat;
		c->stream->beat_ms = every > 0 ? uv_now(x->director->loop) + every : 0;
		streams_set_timer(c);
	}
	x->client->begin(x->client_owner, &head);
}

static void on_head(struct call *c, const struct msg_result_head *m)
{
	struct execution *x = c->owner;
	json_t *headers = NULL;
	x->stream = x->stream == NULL ? execution_stream_new(0) : x->stream;
	if (x->stream == NULL) {
		fail(x, 503, "out_of_memory",
			"answers in pieces, and there is no memory for that now");
		return;
	}
	if (m->status == HEAD_VALUE) {
		x->stream->mode = ANSWER_VALUE;
		buffer_init(&x->stream->value, x->director->settings->response_bytes);
		return;
	}
	if (m->status < 200 || m->status > 599 || json_tree_parse(m->headers, &headers, NULL) < 0 ||
		!json_is_object(headers)) {
		json_decref(headers);
		fail(x, 502, "plugin_bad_response", "began an answer with a malformed head");
		return;
	}
	if (x->client->begin == NULL) {
		json_decref(headers);
		fail(x, 406, "plugin_streams",
			"answers in pieces, which only POST /api/execute can carry");
		return;
	}
	begin_pieces(x, c, m->status, headers);
	json_decref(headers);
}

static void collect(struct execution *x, struct call *c, struct slice piece)
{
	int r = buffer_append(&x->stream->value, piece);
	if (r == 0) {
		streams_passed_on(c, stream_cost(piece.n));
		return;
	}
	execution_abandon(x);
	if (r == -ENOMEM) {
		execution_problem(
			x, 503, "out_of_memory", 1, "No memory for the plugin's answer now");
		return;
	}
	execution_problem(x, 502, "plugin_response_too_large", 0,
		"Plugin '%s' answered with more than %llu bytes (MOZAIKS_MAX_RESPONSE_BYTES)",
		x->plugin->id, (unsigned long long)x->director->settings->response_bytes);
}

static void note_event_end(struct execution_stream *s, struct slice piece)
{
	if (piece.n >= 2) {
		s->at_event_end = piece.p[piece.n - 1] == '\n' && piece.p[piece.n - 2] == '\n';
	} else if (piece.n == 1) {
		/* The end of an event may have come in two pieces; not knowing costs a comment. */
		s->at_event_end = false;
	}
}

static void on_data(struct call *c, struct slice piece, uint8_t flags)
{
	struct execution *x = c->owner;
	struct execution_stream *s = x->stream;
	if (s->mode == ANSWER_VALUE) {
		collect(x, c, piece);
		return;
	}
	if (c->stream->beat_ms > 0) {
		c->stream->beat_ms =
			uv_now(x->director->loop) + x->director->settings->heartbeat_ms;
		note_event_end(s, piece);
	}
	s->held += stream_cost(piece.n);
	bool gone = s->mode == ANSWER_SOCKET
		? x->client->message(x->client_owner, piece, flags)
		: piece.n == 0 || x->client->piece(x->client_owner, piece);
	if (gone) {
		execution_sent(x);
	} else {
		c->stream->client_owes = true;
	}
}

void execution_sent(struct execution *x)
{
	struct execution_stream *s = x->stream;
	if (s == NULL || x->call == NULL) {
		return;
	}
	size_t held = s->held;
	s->held = 0;
	x->call->stream->client_owes = false;
	if (held > 0) {
		streams_passed_on(x->call, held);
	}
}

static const char *why_over(const struct call *c, enum call_end end)
{
	if (end == CALL_END_DEADLINE) {
		return c->stream->over == NULL ? "its time is over" : c->stream->over;
	}
	if (end == CALL_END_STOPPED) {
		return "the plugin was stopped or replaced, and the time that calls have then is over "
		       "(MOZAIKS_WORKER_DRAIN_TIMEOUT_SECONDS)";
	}
	return end == CALL_END_DIED ? "the plugin died" : "the plugin failed";
}

bool execution_stream_done(struct execution *x,
	const struct call *c,
	enum call_end end,
	const struct msg_result *result)
{
	struct execution_stream *s = x->stream;
	bool good = end == CALL_END_RESULT && result->outcome == RESULT_VALUE;
	bool ended = c->stream != NULL && c->stream->table.in.state == STREAM_ENDED;
	if (s->mode == ANSWER_NONE || (s->mode == ANSWER_VALUE && !(good && ended))) {
		return false;
	}
	if (s->mode == ANSWER_VALUE) {
		/* The execution, and with it the buffer, may be gone in the middle. */
		struct buffer value = s->value;
		s->value = (struct buffer){ 0 };
		execution_answer_value(x, buffer_slice(&value));
		buffer_deinit(&value);
		return true;
	}
	if (end == CALL_END_RESULT && result->outcome == RESULT_NO_ENTRY) {
		execution_problem(x, 404, "plugin_has_no_websocket", 0,
			"Plugin '%s' has no websocket()", x->plugin->id);
		return true;
	}
	if (s->mode == ANSWER_SOCKET && end != CALL_END_RESULT && !c->stream->begun) {
		/* It never ran. */
		return false;
	}
	if (good && (ended || s->mode == ANSWER_SOCKET)) {
		x->client->end(x->client_owner);
		return true;
	}
	if (end == CALL_END_RESULT && result->outcome == RESULT_EXCEPTION) {
		execution_log_exception(x, result->body);
	}
	cut(x, why_over(c, end), end == CALL_END_STOPPED);
	return true;
}

/* ---- the body ------------------------------------------------------------------------------- */

/* Sends what there is room for; then either all is gone, or the client waits. */
static void send_body(struct execution *x)
{
	struct execution_stream *s = x->stream;
	struct call *c = x->call;
	struct slice left = slice_skip(buffer_slice(&s->body), s->body_sent);
	size_t room;
	while (left.n > 0 && (room = streams_room(c)) > 0) {
		struct slice piece = slice_of(left.p, left.n < room ? left.n : room);
		bool last = s->body_last && piece.n == left.n;
		if (!streams_send(c, piece, last ? DATA_LAST : 0)) {
			break;
		}
		s->body_done = last;
		s->body_sent += piece.n;
		left = slice_skip(left, piece.n);
	}
	if (left.n == 0) {
		buffer_clear(&s->body);
		s->body_sent = 0;
		s->body_done =
			s->body_done || (s->body_last && streams_send(c, SLICE_NULL, DATA_LAST));
	}
	/* The call's own deadline counts from the end of its body. */
	c->stream->client_owes = left.n == 0 && !s->body_last;
}

static void want_body(struct execution *x, bool want)
{
	struct execution_stream *s = x->stream;
	if (s->body_paused == want && !s->body_last) {
		s->body_paused = !want;
		x->client->want_body(x->client_owner, want);
	}
}

void execution_body(struct execution *x, struct slice piece, bool last)
{
	struct execution_stream *s = x->stream;
	if (x->call == NULL || s == NULL) {
		return;
	}
	if (buffer_append(&s->body, piece) < 0) {
		fail(x, 503, "out_of_memory", "cannot get the body: there is no memory for it now");
		return;
	}
	s->body_last = last;
	send_body(x);
	if (s->body.n > 0) {
		want_body(x, false);
	}
}

/* ---- messages ------------------------------------------------------------------------------- */

/* Sends what there is room for of the message at hand; the client waits for the rest. */
static void send_message(struct execution *x)
{
	struct execution_stream *s = x->stream;
	struct call *c = x->call;
	struct slice left = slice_skip(buffer_slice(&s->body), s->body_sent);
	uint8_t kind = s->text ? DATA_TEXT : 0;
	while (s->body_paused && c->state == CALL_RUNNING) {
		size_t room = streams_room(c);
		struct slice piece = slice_of(left.p, left.n < room ? left.n : room);
		bool more = piece.n < left.n;
		if ((piece.n == 0 && more) ||
			!streams_send(c, piece, kind | (more ? DATA_MORE : 0))) {
			return;
		}
		s->body_sent += piece.n;
		left = slice_skip(left, piece.n);
		if (!more) {
			buffer_deinit(&s->body);
			s->body_sent = 0;
			s->body_paused = false;
			x->client->want_body(x->client_owner, true);
			return;
		}
	}
}

void execution_message(struct execution *x, bool binary, struct slice message)
{
	struct execution_stream *s = x->stream;
	if (x->call == NULL || s == NULL || s->body_paused) {
		return;
	}
	if (buffer_append(&s->body, message) < 0) {
		fail(x, 503, "out_of_memory",
			"cannot get a message: there is no memory for it now");
		return;
	}
	s->text = !binary;
	s->body_paused = true;
	x->client->want_body(x->client_owner, false);
	send_message(x);
}

void execution_socket_closed(struct execution *x, uint16_t code)
{
	uint8_t payload[2];
	struct call *c = x->call;
	if (c == NULL) {
		return;
	}
	if (c->state != CALL_RUNNING) {
		/* Nobody knows of it yet. */
		execution_abandon(x);
		x->client->end(x->client_owner);
		return;
	}
	put_u16(payload, code);
	if (!x->stream->body_paused) {
		(void)streams_send(c, slice_of(payload, sizeof(payload)), DATA_LAST);
	}
	streams_reset(c, code, "the client has closed the WebSocket");
	/* It may put things away, but not for ever. */
	c->stream->silent = false;
	streams_set_timer(c);
}

static void on_room(struct call *c)
{
	struct execution *x = c->owner;
	struct execution_stream *s = x == NULL ? NULL : x->stream;
	if (s == NULL || s->body_done || c->work_flags == 0) {
		return;
	}
	if (c->work_flags == WORK_SOCKET) {
		send_message(x);
		return;
	}
	send_body(x);
	if (s->body.n == 0) {
		/* May bring the next piece at once. */
		want_body(x, true);
	}
}

/* The plugin gives its stream up: an answer that has begun will not be completed; of a body it wants no
 * more, and what comes of it is thrown away. */
static void on_reset(struct call *c, const struct msg_reset *m)
{
	struct execution *x = c->owner;
	struct execution_stream *s = x->stream;
	if (s != NULL && s->mode == ANSWER_PIECES) {
		execution_abandon(x);
		cut(x, "the plugin has given it up", false);
	}
}

const struct call_stream_events execution_stream_events = {
	.head = on_head,
	.data = on_data,
	.room = on_room,
	.reset = on_reset,
};
