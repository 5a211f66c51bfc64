/*
 * Calls of plugins over a session: {"type":"execute","id","plugin","data"}, the same steps as a POST,
 * answered with {"type":"execute_result","id","plugin","status","data"}, where data is the body that the
 * POST would have got. An answer in pieces is execute_begin with its status and content_type, execute_piece
 * with text (or base64, for what is no text), then execute_end, or execute_cut when it is not complete.
 */
#include "director/execute/execute.h"

#include "common/base/buffer.h"
#include "common/base/clock.h"
#include "common/base/map.h"
#include "common/json/scan.h"
#include "director/director.h"
#include "director/http/problem.h"
#include "director/websocket/session_inside.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	PREFIX_MAX = 2048,
	PROBLEM_MAX = 1 << 20,
	/* Of a piece as text, all of it escaped. */
	PIECE_MAX = 8 << 20,
	/* Bytes of an unfinished character. */
	CARRY_MAX = 3,
};

struct ws_execution {
	struct ws_execution *prev, *next;
	struct session *session;
	struct execution *execution;
	char request_id[REQUEST_ID_LENGTH];
	bool binary;     /* its pieces are no text */
	bool waits;      /* for the client to read */
	uint8_t carry_n; /* the start of a character, whose rest comes with the next piece */
	uint8_t carry[CARRY_MAX];
	size_t id_n, plugin_n;
	uint8_t text[]; /* the id and the plugin's name, as they stood in the message */
};

static struct slice id_of(const struct ws_execution *x)
{
	return slice_of(x->text, x->id_n);
}

static struct slice plugin_of(const struct ws_execution *x)
{
	return slice_of(x->text + x->id_n, x->plugin_n);
}

static void drop(struct ws_execution *x)
{
	DL_DELETE(x->session->executions, x);
	x->execution = execution_free(x->execution);
	free(x);
}

/* Sends the answer; it is over then. */
static void answer(struct ws_execution *x,
	int status,
	unsigned retry_after_s,
	const struct slice body[static 2])
{
	struct session *s = x->session;
	struct buffer b;
	buffer_init(&b, PREFIX_MAX);
	int r = buffer_append(&b, SLICE("{\"type\":\"execute_result\",\"id\":"));
	r = r < 0 ? r : buffer_append(&b, id_of(x));
	r = r < 0 ? r : buffer_append(&b, SLICE(",\"plugin\":"));
	r = r < 0 ? r : buffer_append(&b, plugin_of(x));
	r = r < 0 ? r : buffer_printf(&b, ",\"status\":%d", status);
	if (retry_after_s > 0) {
		r = r < 0 ? r : buffer_printf(&b, ",\"retry_after\":%u", retry_after_s);
	}
	r = r < 0 ? r : buffer_append(&b, SLICE(",\"data\":"));
	if (r == 0) {
		struct slice pieces[4] = { buffer_slice(&b), body[0], body[1], SLICE("}") };
		(void)websocket_answer(s->socket, false, pieces, 4);
	} else {
		websocket_close(s->socket, WS_TRY_LATER, SLICE("no memory for this answer now"));
	}
	buffer_deinit(&b);
	drop(x);
	session_check_drain(s);
}

static void on_answer(void *owner, const struct http_response *response)
{
	answer(owner, response->status, 0, response->body);
}

static void on_problem(void *owner, const struct execution_problem *p)
{
	struct ws_execution *x = owner;
	struct buffer words;
	buffer_init(&words, PROBLEM_MAX);
	const struct problem problem = {
		.status = p->status,
		.code = slice_str(p->code),
		.detail = p->detail,
		.request_id = slice_of(x->request_id, sizeof(x->request_id)),
		.extra = p->extra,
	};
	struct slice body[2] = { SLICE("null") };
	if (problem_append(&words, &problem) == 0) {
		body[0] = buffer_slice(&words);
	}
	answer(x, p->status, problem_retry_after_s(p->status, p->retry_after_s), body);
	buffer_deinit(&words);
}

static struct slice on_request_id(void *owner)
{
	const struct ws_execution *x = owner;
	return slice_of(x->request_id, sizeof(x->request_id));
}

/* Answers in pieces */

static int begin_message(struct buffer *b, const struct ws_execution *x, const char *type)
{
	int r = buffer_printf(b, "{\"type\":\"%s\",\"id\":", type);
	r = r < 0 ? r : buffer_append(b, id_of(x));
	r = r < 0 ? r : buffer_append(b, SLICE(",\"plugin\":"));
	return r < 0 ? r : buffer_append(b, plugin_of(x));
}

/* Sends `b` with the end of its object. @return as websocket_answer(). */
static int send_message(const struct ws_execution *x, struct buffer *b, int r)
{
	struct slice pieces[2] = { buffer_slice(b), SLICE("}") };
	if (r < 0) {
		websocket_close(
			x->session->socket, WS_TRY_LATER, SLICE("no memory for this answer now"));
	} else {
		r = websocket_answer(x->session->socket, false, pieces, 2);
	}
	buffer_deinit(b);
	return r;
}

static bool is_text(struct slice type)
{
	struct slice texts[] = { SLICE("text/"), SLICE("application/json"),
		SLICE("application/x-ndjson") };
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (type.n >= texts[i].n &&
			slice_eq_nocase(slice_of(type.p, texts[i].n), texts[i])) {
			return true;
		}
	}
	return false;
}

static void on_begin(void *owner, const struct http_response *head)
{
	struct ws_execution *x = owner;
	struct buffer b;
	buffer_init(&b, PREFIX_MAX);
	x->binary = !is_text(head->content_type);
	int r = begin_message(&b, x, "execute_begin");
	r = r < 0 ? r : buffer_printf(&b, ",\"status\":%d,\"content_type\":", head->status);
	r = r < 0 ? r : buffer_append_json(&b, head->content_type);
	(void)send_message(x, &b, r);
}

/* How much of the text's end is the start of a character. */
static size_t unfinished(struct slice text)
{
	for (size_t n = 1; n <= CARRY_MAX && n <= text.n; n++) {
		uint8_t c = text.p[text.n - n];
		if (c >= 0xC0) {
			size_t whole = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;
			return n < whole ? n : 0;
		}
		if (c < 0x80) {
			return 0;
		}
	}
	return 0;
}

/* As JSON strings are text and pieces are cut anywhere, a character may come in two of them. */
static int append_text(struct buffer *b, struct ws_execution *x, struct slice piece)
{
	struct buffer text;
	buffer_init(&text, PIECE_MAX);
	int r = buffer_append(&text, slice_of(x->carry, x->carry_n));
	r = r < 0 ? r : buffer_append(&text, piece);
	if (r == 0) {
		size_t rest = unfinished(buffer_slice(&text));
		text.n -= rest;
		x->carry_n = (uint8_t)rest;
		memcpy(x->carry, text.p + text.n, rest);
		r = buffer_append(b, SLICE(",\"data\":"));
		r = r < 0 ? r : buffer_append_json(b, buffer_slice(&text));
	}
	buffer_deinit(&text);
	return r;
}

static int append_base64(struct buffer *b, struct slice piece)
{
	size_t n = sodium_base64_ENCODED_LEN(piece.n, sodium_base64_VARIANT_ORIGINAL);
	int r = buffer_append(b, SLICE(",\"base64\":\""));
	r = r < 0 ? r : buffer_reserve(b, n);
	if (r == 0) {
		(void)sodium_bin2base64(
			(char *)b->p + b->n, n, piece.p, piece.n, sodium_base64_VARIANT_ORIGINAL);
		b->n += n - 1;
	}
	return r < 0 ? r : buffer_append_byte(b, '"');
}

static bool on_piece(void *owner, struct slice piece)
{
	struct ws_execution *x = owner;
	struct buffer b;
	buffer_init(&b, PIECE_MAX);
	int r = begin_message(&b, x, "execute_piece");
	r = r < 0 ? r : x->binary ? append_base64(&b, piece) : append_text(&b, x, piece);
	/* Once it is closing nothing more is asked for: the end abandons the call. */
	x->waits = send_message(x, &b, r) != 0;
	return !x->waits;
}

static void end_pieces(struct ws_execution *x, const char *type)
{
	struct session *s = x->session;
	struct buffer b;
	buffer_init(&b, PREFIX_MAX);
	(void)send_message(x, &b, begin_message(&b, x, type));
	drop(x);
	session_check_drain(s);
}

static void on_end(void *owner)
{
	end_pieces(owner, "execute_end");
}

static void on_cut(void *owner, bool stopped)
{
	end_pieces(owner, "execute_cut");
}

void session_go_on(struct session *s)
{
	struct ws_execution *x;
	struct ws_execution *next;
	DL_FOREACH_SAFE (s->executions, x, next) {
		if (x->waits && websocket_queued(s->socket) == 0) {
			x->waits = false;
			execution_sent(x->execution);
		}
	}
}

static const struct execution_client client = {
	.respond = on_answer,
	.problem = on_problem,
	.request_id = on_request_id,
	.begin = on_begin,
	.piece = on_piece,
	.end = on_end,
	.cut = on_cut,
};

static bool is_in_flight(const struct session *s, struct slice id)
{
	const struct ws_execution *x;
	DL_FOREACH (s->executions, x) {
		if (slice_eq(id_of(x), id)) {
			return true;
		}
	}
	return false;
}

static struct ws_execution *add(struct session *s, struct slice id, struct slice plugin)
{
	struct ws_execution *x = calloc(1, sizeof(*x) + id.n + plugin.n);
	if (x == NULL) {
		return NULL;
	}
	x->session = s;
	x->id_n = id.n;
	x->plugin_n = plugin.n;
	memcpy(x->text, id.p, id.n);
	memcpy(x->text + id.n, plugin.p, plugin.n);
	websockets_request_id(s->director->websockets, x->request_id);
	x->execution = execution_new(s->director, websocket_user(s->socket), &client, x);
	if (x->execution == NULL) {
		free(x);
		return NULL;
	}
	DL_APPEND(s->executions, x);
	return x;
}

static void refuse(struct ws_execution *x, int status, const char *code, const char *detail)
{
	struct execution_problem p = {
		.status = status, .code = code, .detail = slice_str(detail)
	};
	on_problem(x, &p);
}

void session_execute(struct session *s, const struct session_message *m)
{
	/* A name that is longer, escaped or no string is none of a plugin. */
	struct slice plugin = m->plugin;
	struct slice name = SLICE_NULL;
	if (plugin.n < 2 || plugin.p[0] != '"' || plugin.n > PLUGIN_ID_MAX + 2) {
		plugin = SLICE("\"\"");
	} else {
		name = slice_of(plugin.p + 1, plugin.n - 2);
	}
	if (is_in_flight(s, m->id)) {
		session_error(s, m->id, "duplicate_id", "a call with this id is in flight");
		return;
	}
	struct ws_execution *x = add(s, m->id, plugin);
	if (x == NULL) {
		session_error(s, m->id, "out_of_memory", "No memory for this call now");
		return;
	}
	const struct settings *settings = s->director->settings;
	char text[128];
	if (s->draining) {
		refuse(x, 503, "stopping", "The runtime is stopping");
	} else if (!execution_find_plugin(x->execution, name)) {
		return;
	} else if (m->data.n > settings->body_bytes) {
		(void)snprintf(text, sizeof(text),
			"\"data\" has more than %llu bytes (MAX_REQUEST_BODY_BYTES)",
			(unsigned long long)settings->body_bytes);
		refuse(x, 413, "content_too_large", text);
	} else {
		execution_run(x->execution, m->data, false);
	}
}

void session_abandon(struct session *s)
{
	struct ws_execution *x;
	struct ws_execution *next;
	DL_FOREACH_SAFE (s->executions, x, next) {
		execution_abandon(x->execution);
		drop(x);
	}
}
