#include "director/websocket/session.h"

#include "common/base/buffer.h"
#include "common/base/clock.h"
#include "common/json/scan.h"
#include "director/director.h"
#include "director/execute/execute.h"
#include "director/websocket/session_inside.h"
#include "director/websocket/ticket.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { SMALL_MESSAGE_MAX = 4096, ID_MAX = 128 };

/* Sending */

static void send_buffer(struct session *s, struct buffer *b, int r)
{
	struct slice text = buffer_slice(b);
	/* Without memory for a few bytes there is nothing that could be said. */
	if (r == 0) {
		(void)websocket_send(s->socket, false, &text, 1);
	}
	buffer_deinit(b);
}

static int append_member(struct buffer *b, const char *name, struct slice json)
{
	int r = json.n == 0 ? 0 : buffer_printf(b, ",\"%s\":", name);
	return r < 0 || json.n == 0 ? r : buffer_append(b, json);
}

static int append_timestamp(struct buffer *b)
{
	char now[CLOCK_TEXT_SIZE];
	clock_text(clock_unix_ms(), now);
	return buffer_printf(b, ",\"timestamp\":\"%s\"}", now);
}

void session_error(struct session *s, struct slice id, const char *code, const char *detail)
{
	struct buffer b;
	buffer_init(&b, SMALL_MESSAGE_MAX);
	int r = buffer_printf(&b, "{\"type\":\"error\",\"code\":\"%s\",\"detail\":", code);
	r = r < 0 ? r : buffer_append_json(&b, slice_str(detail));
	r = r < 0 ? r : append_member(&b, "id", id);
	r = r < 0 ? r : append_timestamp(&b);
	send_buffer(s, &b, r);
}

/* connection_ack and auth_ok: who is known, and until when. */
static void send_state(struct session *s, const char *type, struct slice id)
{
	const struct user_context *user = websocket_user(s->socket);
	char until[CLOCK_TEXT_SIZE];
	struct buffer b;
	buffer_init(&b, SMALL_MESSAGE_MAX);
	clock_text(user->expires_at * 1000, until);
	int r = buffer_printf(&b, "{\"type\":\"%s\",\"data\":{\"user_id\":", type);
	r = r < 0 ? r : buffer_append_json(&b, user->user_id);
	r = r < 0 ? r
		  : buffer_printf(&b, ",\"expires_at\":\"%s\",\"heartbeat_seconds\":%g}", until,
			    (double)s->director->settings->websocket_ping_ms / 1000);
	r = r < 0 ? r : append_member(&b, "id", id);
	r = r < 0 ? r : append_timestamp(&b);
	send_buffer(s, &b, r);
}

/* Messages of the client */

static bool on_member(void *arg, const struct json_member *member)
{
	struct session_message *m = arg;
	const struct {
		struct slice name;
		struct slice *value;
	} known[] = {
		{ SLICE("type"), &m->type },
		{ SLICE("id"), &m->id },
		{ SLICE("plugin"), &m->plugin },
		{ SLICE("data"), &m->data },
		{ SLICE("token"), &m->token },
	};
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (json_name_eq(member->name, known[i].name)) {
			*known[i].value = member->value;
		}
	}
	return true;
}

static bool is_id(struct slice json)
{
	return json.n > 0 && json.n <= ID_MAX &&
		(json.p[0] == '"' || json.p[0] == '-' || (json.p[0] >= '0' && json.p[0] <= '9'));
}

/* The inside of a JSON string; p is NULL for any other value. */
static struct slice inside(struct slice json)
{
	return json.n >= 2 && json.p[0] == '"' ? slice_of(json.p + 1, json.n - 2) : SLICE_NULL;
}

static void take_ping(struct session *s, const struct session_message *m)
{
	struct buffer b;
	buffer_init(&b, SMALL_MESSAGE_MAX);
	int r = buffer_append(&b, SLICE("{\"type\":\"pong\""));
	r = r < 0 ? r : append_member(&b, "id", m->id);
	r = r < 0 ? r : append_timestamp(&b);
	send_buffer(s, &b, r);
}

static void take_execute(struct session *s, const struct session_message *m)
{
	if (!websocket_is_good(s->socket)) {
		return;
	}
	if (!is_id(m->id)) {
		session_error(s, SLICE_NULL, "invalid_message",
			"execute needs an \"id\": a string or number of at most 128 bytes");
		return;
	}
	session_execute(s, m);
}

/* A fresh token before the old one runs out: the connection stays. */
static void take_auth(struct session *s, const struct session_message *m)
{
	struct user_context *user = NULL;
	int r = websocket_verify(s->director->auth, inside(m->token), &user);
	if (r != AUTH_OK) {
		session_error(s, m->id, "invalid_token",
			r < 0 ? "No memory for this now" : auth_result_text(r));
		return;
	}
	if (!slice_eq(user->user_id, websocket_user(s->socket)->user_id)) {
		websocket_close(s->socket, WEBSOCKET_OTHER_USER, SLICE("User ID mismatch"));
	} else {
		websocket_set_user(s->socket, user);
		send_state(s, "auth_ok", m->id);
	}
	(void)user_context_unref(user);
}

static void take_nothing(struct session *s, const struct session_message *m)
{
}

static const struct {
	struct slice type;
	void (*take)(struct session *s, const struct session_message *m);
} types[] = {
	{ { (const uint8_t *)"ping", 4 }, take_ping },
	{ { (const uint8_t *)"pong", 4 }, take_nothing },
	{ { (const uint8_t *)"execute", 7 }, take_execute },
	{ { (const uint8_t *)"auth", 4 }, take_auth },
};

static void on_message(struct websocket *w, bool binary, struct slice message)
{
	struct session *s = websocket_owner(w);
	struct session_message m = { 0 };
	struct json_failure failure = { 0 };
	enum json_kind kind;
	if (binary) {
		websocket_close(w, WS_UNSUPPORTED, SLICE("messages are JSON texts"));
		return;
	}
	if (json_scan(message, on_member, &m, &kind, &failure) < 0 || kind != JSON_IS_OBJECT) {
		session_error(s, SLICE_NULL, "invalid_json",
			failure.what == NULL ? "a message is a JSON object" : failure.what);
		return;
	}
	if (!is_id(m.id)) {
		m.id = SLICE_NULL;
	}
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (json_name_eq(inside(m.type), types[i].type)) {
			types[i].take(s, &m);
			return;
		}
	}
	session_error(s, m.id, "unknown_type", "\"type\" must be ping, execute or auth");
}

/* Its life */

void session_check_drain(struct session *s)
{
	if (s->draining && s->executions == NULL) {
		websocket_close(s->socket, WS_GOING_AWAY, SLICE("the runtime is stopping"));
	}
}

static void on_drain(struct websocket *w)
{
	struct session *s = websocket_owner(w);
	s->draining = true;
	session_check_drain(s);
}

static void on_closed(struct websocket *w, uint16_t code)
{
	struct session *s = websocket_owner(w);
	session_abandon(s);
	free(s);
}

static void on_writable(struct websocket *w)
{
	session_go_on(websocket_owner(w));
}

static const struct websocket_handler websocket_handler = {
	.message = on_message,
	.writable = on_writable,
	.drain = on_drain,
	.closed = on_closed,
};

static void begin(struct director *d,
	struct http_request *r,
	const struct websocket_request *q,
	struct user_context *user)
{
	struct session *s = calloc(1, sizeof(*s));
	if (s == NULL) {
		http_problem(r, 503, "out_of_memory", 1, "No memory for this WebSocket now");
		return;
	}
	struct websocket_open_config config = {
		.user = user,
		.handler = &websocket_handler,
		.owner = s,
		.pushed = true,
	};
	s->director = d;
	s->socket = websocket_open(d->websockets, r, q, &config);
	if (s->socket == NULL) {
		free(s);
		return;
	}
	send_state(s, "connection_ack", SLICE_NULL);
}

static void on_body(void *owner, struct http_request *r, struct slice body)
{
	struct director *d = owner;
	struct websocket_request q;
	if (!websocket_check(d->websockets, r, &q)) {
		return;
	}
	struct user_context *user = NULL;
	int who = websocket_authenticate(d->websockets, d->auth, r, &q, &user);
	if (who != AUTH_OK) {
		/* What is no fault of the token must not log its user out. */
		bool later = who < 0 || who == AUTH_UNKNOWN || who == AUTH_NO_KEYS;
		websocket_refuse(d->websockets, r, &q,
			later ? WS_TRY_LATER : WEBSOCKET_UNAUTHENTICATED,
			slice_str(auth_result_text(who)));
		return;
	}
	struct slice wanted = http_request_param(r, 0);
	if (!slice_eq(wanted, SLICE("_")) && !slice_eq(wanted, user->user_id)) {
		websocket_refuse(
			d->websockets, r, &q, WEBSOCKET_OTHER_USER, SLICE("User ID mismatch"));
	} else {
		begin(d, r, &q, user);
	}
	(void)user_context_unref(user);
}

/* No stranger's body is read. */
static bool on_head(void *owner, struct http_request *r)
{
	const struct director *d = owner;
	return websocket_check_head(d->websockets, r);
}

const struct http_handler session_handler = { .on_head = on_head, .on_body = on_body };

static void release_user(void *user)
{
	(void)user_context_unref(user);
}

static bool on_ticket_head(void *owner, struct http_request *r)
{
	struct user_context *user = execute_authenticate(owner, r);
	if (user != NULL) {
		http_request_set_context(r, user, release_user);
	}
	return user != NULL;
}

static void on_ticket(void *owner, struct http_request *r, struct slice body)
{
	const struct director *d = owner;
	char ticket[TICKET_SIZE];
	char text[128];
	struct user_context *user = http_request_context(r);
	int e = tickets_issue(websockets_tickets(d->websockets), user, ticket);
	if (e < 0) {
		http_problem(r, 503, e == -ENOBUFS ? "too_many_tickets" : "out_of_memory", 1,
			"No ticket can be had now");
		return;
	}
	int n = snprintf(text, sizeof(text), "{\"ticket\":\"%s\",\"expires_in\":%d}", ticket,
		TICKET_SECONDS);
	struct http_response response = {
		.status = 200,
		.body = { slice_of(text, (size_t)n) },
	};
	http_respond(r, &response);
}

const struct http_handler session_ticket_handler = {
	.on_head = on_ticket_head,
	.on_body = on_ticket,
};
