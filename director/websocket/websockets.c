/* All WebSockets: who may open one, whose they are, what is sent to many of them. */
#include "common/base/clock.h"
#include "common/base/error.h"
#include "director/auth/auth.h"
#include "director/websocket/inside.h"
#include "director/websocket/ticket.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	/* Connections that a broadcast is sent to in one turn of the loop. */
	BROADCAST_BATCH = 64,
	BROADCASTS_MAX = 1024,
	/* How often some are told of the end. */
	DRAIN_STEP_MS = 10,
	RETRY_S = 5,
	REASON_SIZE = WS_REASON_MAX + 1,
};

struct broadcast {
	struct broadcast *prev, *next;
	bool begun;
	uint64_t last_id; /* those that were opened later do not get it */
	unsigned recipients;
	void (*done)(void *arg, unsigned recipients);
	void *arg;
	size_t n;
	uint8_t text[];
};

static void on_later(void *arg);
static void drain_some(void *arg);

int websockets_new(struct websockets **ret, const struct websockets_config *config)
{
	struct websockets *all = calloc(1, sizeof(*all));
	if (all == NULL) {
		return -ENOMEM;
	}
	all->config = *config;
	all->tickets = tickets_new(NULL, TICKETS_MAX);
	if (all->tickets == NULL) {
		free(all);
		return -ENOMEM;
	}
	uvx_later_init(&all->later, config->loop, on_later, all);
	uvx_timer_init(&all->drain, config->loop, drain_some, all);
	*ret = all;
	return 0;
}

unsigned websockets_count(const struct websockets *all)
{
	return all->n;
}

struct tickets *websockets_tickets(struct websockets *all)
{
	return all->tickets;
}

void websockets_request_id(struct websockets *all, char ret[static REQUEST_ID_LENGTH])
{
	request_id_make(&all->ids, clock_unix_ms(), ret);
}

/* Opening */

static bool has_word(const struct http_request *r, struct slice name, struct slice word)
{
	unsigned at = 0;
	struct slice value = http_request_header_next(r, name, &at);
	while (value.p != NULL && !handshake_list_has(value, word)) {
		value = http_request_header_next(r, name, &at);
	}
	return value.p != NULL;
}

static void ask_for_upgrade(struct http_request *r, const char *detail)
{
	static const struct http_header headers[] = {
		{ SLICE("Upgrade"), SLICE("websocket") },
		{ SLICE("Sec-WebSocket-Version"), SLICE("13") },
	};
	char body[256];
	int n = snprintf(body, sizeof(body),
		"{\"type\":\"about:blank\",\"title\":\"Upgrade Required\",\"status\":426,"
		"\"detail\":\"%s\",\"code\":\"upgrade_required\"}",
		detail);
	struct http_response response = {
		.status = 426,
		.content_type = SLICE("application/problem+json"),
		.headers = headers,
		.n_headers = 2,
		.body = { slice_of(body, (size_t)n) },
	};
	http_respond(r, &response);
}

bool websocket_check_head(const struct websockets *all, struct http_request *r)
{
	bool good = http_request_may_upgrade(r);
	if (!good) {
		http_problem(r, 400, "bad_handshake", 0,
			"A handshake is an HTTP/1.1 request without a body");
	}
	return good;
}

bool websocket_check(struct websockets *all, struct http_request *r, struct websocket_request *ret)
{
	*ret = (struct websocket_request){ 0 };
	if (!has_word(r, SLICE("Connection"), SLICE("upgrade")) ||
		!has_word(r, SLICE("Upgrade"), SLICE("websocket"))) {
		ask_for_upgrade(r, "This address is for WebSockets");
		return false;
	}
	if (!slice_eq(http_request_header(r, SLICE("Sec-WebSocket-Version")), SLICE("13"))) {
		ask_for_upgrade(r, "Only version 13 of the WebSocket protocol is spoken");
		return false;
	}
	if (!websocket_check_head(all, r)) {
		return false;
	}
	unsigned at = 0;
	ret->key = http_request_header_next(r, SLICE("Sec-WebSocket-Key"), &at);
	if (!handshake_key_is_good(ret->key) ||
		http_request_header_next(r, SLICE("Sec-WebSocket-Key"), &at).p != NULL) {
		http_problem(r, 400, "bad_handshake", 0,
			"Sec-WebSocket-Key must be the base64 of 16 bytes, once");
		return false;
	}
	if (!http_request_origin_is_trusted(r)) {
		http_problem(r, 403, "origin_not_trusted", 0,
			"Pages of this origin may not open WebSockets here (FRONTEND_URL, "
			"ADDITIONAL_CORS_ORIGINS)");
		return false;
	}
	if (all->draining) {
		http_problem(r, 503, "stopping", RETRY_S, "The runtime is stopping");
		return false;
	}
	if (all->n >= all->config.total) {
		http_problem(r, 503, "too_many_websockets", RETRY_S,
			"More than %u WebSockets are open (MOZAIKS_MAX_WEBSOCKETS)",
			all->config.total);
		return false;
	}
	at = 0;
	struct slice name = SLICE("Sec-WebSocket-Protocol");
	struct slice list = http_request_header_next(r, name, &at);
	while (list.p != NULL) {
		handshake_protocols_add(&ret->protocols, list);
		list = http_request_header_next(r, name, &at);
	}
	return true;
}

int websocket_verify(struct auth *auth, struct slice token, struct user_context **ret_user)
{
	static const struct slice scheme = SLICE("Bearer ");
	uint8_t text[WS_TOKEN_MAX + 7];
	if (token.n > WS_TOKEN_MAX) {
		return AUTH_MALFORMED;
	}
	memcpy(text, scheme.p, 7);
	if (token.n > 0) {
		memcpy(text + 7, token.p, token.n);
	}
	return auth_verify(auth, slice_of(text, 7 + token.n), ret_user);
}

static int redeem(struct websockets *all, struct slice ticket, struct user_context **ret_user)
{
	struct user_context *user = tickets_redeem(all->tickets, ticket);
	if (user == NULL) {
		return AUTH_MALFORMED;
	}
	if (user->expires_at <= clock_unix_ms() / 1000) {
		(void)user_context_unref(user);
		return AUTH_EXPIRED;
	}
	*ret_user = user;
	return AUTH_OK;
}

int websocket_authenticate(struct websockets *all,
	struct auth *auth,
	struct http_request *r,
	const struct websocket_request *q,
	struct user_context **ret_user)
{
	struct slice header = http_request_header(r, SLICE("Authorization"));
	if (header.p != NULL) {
		return auth_verify(auth, header, ret_user);
	}
	if (q->protocols.tokens > 1) {
		return AUTH_MALFORMED;
	}
	if (q->protocols.tokens == 1) {
		return websocket_verify(auth, q->protocols.token, ret_user);
	}
	struct slice query = http_request_query(r);
	struct slice ticket = handshake_query(query, SLICE("ticket"));
	if (ticket.p != NULL) {
		return redeem(all, ticket, ret_user);
	}
	struct slice token = handshake_query(query, SLICE("access_token"));
	return token.p == NULL ? AUTH_MISSING : websocket_verify(auth, token, ret_user);
}

static struct websocket_user *find_user(struct websockets *all, struct slice id)
{
	struct websocket_user *u = NULL;
	if (id.n > 0) {
		HASH_FIND(hh, all->users, id.p, id.n, u);
	}
	return u;
}

static struct websocket_user *take_user(struct websockets *all, struct slice id)
{
	struct websocket_user *u = find_user(all, id);
	if (u != NULL || id.n == 0) {
		return u;
	}
	u = calloc(1, sizeof(*u) + id.n);
	if (u == NULL) {
		return NULL;
	}
	memcpy(u->id, id.p, id.n);
	u->id_n = id.n;
	HASH_ADD_KEYPTR(hh, all->users, u->id, u->id_n, u);
	if (u->hh.tbl == NULL) {
		free(u);
		return NULL;
	}
	return u;
}

static void leave_user(struct websockets *all, struct websocket *w)
{
	struct websocket_user *u = w->of;
	w->of = NULL;
	if (u == NULL) {
		return;
	}
	DL_DELETE2(u->sockets, w, user_prev, user_next);
	if (u->sockets == NULL) {
		HASH_DELETE(hh, all->users, u);
		free(u);
	}
}

/* Those that are on their way out have made room. */
static bool has_too_many(const struct websocket_user *u, unsigned most)
{
	const struct websocket *w;
	unsigned n = 0;
	DL_FOREACH2(u->sockets, w, user_next)
	{
		n += w->state == WEBSOCKET_OPEN;
		if (n >= most) {
			return true;
		}
	}
	return false;
}

static struct websocket *add(struct websockets *all,
	struct http_request *r,
	const struct websocket_request *q,
	const struct websocket_open_config *config)
{
	struct websocket *w = socket_new(all, r, q, config);
	if (w == NULL) {
		http_problem(r, 503, "out_of_memory", 1, "No memory for this WebSocket now");
		return NULL;
	}
	w->id = ++all->last_id;
	DL_APPEND(all->list, w);
	all->n++;
	all->n_left++;
	return w;
}

void websocket_refuse(struct websockets *all,
	struct http_request *r,
	const struct websocket_request *q,
	uint16_t code,
	struct slice reason)
{
	struct websocket_open_config config = { 0 };
	struct websocket *w = add(all, r, q, &config);
	if (w != NULL) {
		websocket_close(w, code, reason);
	}
}

struct websocket *websocket_open(struct websockets *all,
	struct http_request *r,
	const struct websocket_request *q,
	const struct websocket_open_config *config)
{
	unsigned most = all->config.per_user;
	struct websocket_user *u = take_user(all, config->user->user_id);
	if (u == NULL) {
		http_problem(r, 503, "out_of_memory", 1, "No memory for this WebSocket now");
		return NULL;
	}
	if (has_too_many(u, most)) {
		char text[REASON_SIZE];
		int n = snprintf(text, sizeof(text),
			"more than %u WebSockets of this user (MOZAIKS_MAX_WEBSOCKETS_PER_USER)",
			most);
		websocket_refuse(all, r, q, WS_TRY_LATER, slice_of(text, (size_t)n));
		return NULL;
	}
	struct websocket *w = add(all, r, q, config);
	if (w != NULL) {
		w->of = u;
		DL_APPEND2(u->sockets, w, user_prev, user_next);
	} else if (u->sockets == NULL) {
		HASH_DELETE(hh, all->users, u);
		free(u);
	}
	return w;
}

void websockets_remove(struct websockets *all, struct websocket *w)
{
	if (all->cursor == w) {
		all->cursor = w->next;
	}
	if (all->drained == w) {
		all->drained = w->next;
	}
	leave_user(all, w);
	DL_DELETE(all->list, w);
	all->n--;
}

/* Sending to many */

unsigned websockets_send_to_user(struct websockets *all, struct slice user_id, struct slice text)
{
	struct websocket_user *u = find_user(all, user_id);
	struct websocket *w;
	unsigned n = 0;
	if (u == NULL) {
		return 0;
	}
	/* Sending closes nothing before the next turn: the list stays. */
	DL_FOREACH2(u->sockets, w, user_next)
	{
		n += w->pushed && websocket_send(w, false, &text, 1) >= 0;
	}
	return n;
}

static void end_broadcast(struct websockets *all, struct broadcast *b)
{
	DL_DELETE(all->broadcasts, b);
	all->cursor = NULL;
	if (b->done != NULL) {
		b->done(b->arg, b->recipients);
	}
	free(b);
}

/* @return true when all have got it. */
static bool go_on_with(struct websockets *all, struct broadcast *b)
{
	struct slice text = slice_of(b->text, b->n);
	if (!b->begun) {
		b->begun = true;
		all->cursor = all->list;
	}
	for (unsigned i = 0; i < BROADCAST_BATCH; i++) {
		struct websocket *w = all->cursor;
		if (w == NULL || w->id > b->last_id) {
			return true;
		}
		all->cursor = w->next;
		b->recipients += w->pushed && websocket_send(w, false, &text, 1) >= 0;
	}
	return false;
}

static void on_later(void *arg)
{
	struct websockets *all = arg;
	struct broadcast *b = all->broadcasts;
	if (b != NULL && go_on_with(all, b)) {
		end_broadcast(all, b);
	}
	if (all->broadcasts != NULL) {
		uvx_later_ask(&all->later);
	}
}

int websockets_broadcast(struct websockets *all,
	struct slice text,
	void (*done)(void *arg, unsigned recipients),
	void *arg)
{
	const struct broadcast *other;
	unsigned waiting;
	DL_COUNT(all->broadcasts, other, waiting);
	struct broadcast *b = waiting >= BROADCASTS_MAX ? NULL : calloc(1, sizeof(*b) + text.n);
	if (b == NULL) {
		return -ENOMEM;
	}
	b->last_id = all->last_id;
	b->done = done;
	b->arg = arg;
	b->n = text.n;
	memcpy(b->text, text.p, text.n);
	DL_APPEND(all->broadcasts, b);
	uvx_later_ask(&all->later);
	return 0;
}

/* The end */

static void go_away(struct websocket *w)
{
	websocket_close(w, WS_GOING_AWAY, SLICE("the runtime is stopping"));
}

static void tell_of_end(struct websocket *w)
{
	if (w->handler != NULL && w->handler->drain != NULL && w->state == WEBSOCKET_OPEN) {
		w->handler->drain(w);
	} else {
		go_away(w);
	}
}

static void drain_some(void *arg)
{
	struct websockets *all = arg;
	unsigned rate = all->config.drain_rate;
	unsigned n = rate == 0 ? UINT_MAX : rate / (1000 / DRAIN_STEP_MS) + 1;
	while (all->drained != NULL && n > 0) {
		struct websocket *w = all->drained;
		all->drained = w->next;
		n--;
		tell_of_end(w);
	}
	if (all->drained != NULL) {
		uvx_timer_once(&all->drain, DRAIN_STEP_MS);
	}
}

void websockets_drain(struct websockets *all)
{
	if (!all->draining) {
		all->draining = true;
		all->drained = all->list;
		drain_some(all);
	}
}

void websockets_end(struct websockets *all)
{
	struct websocket *w;
	/* What ends, ends in a later turn: the list stays as it is. */
	DL_FOREACH (all->list, w) {
		go_away(w);
	}
}

static void check_end(struct websockets *all)
{
	if (all->closed != NULL && all->n_left == 0) {
		uvx_closing_begin(&all->closes, all->closed, all->closed_arg);
		all->closed = NULL;
		uvx_later_close(&all->later, uvx_closing_one, uvx_closing_add(&all->closes));
		uvx_timer_close(&all->drain, uvx_closing_one, uvx_closing_add(&all->closes));
		uvx_closing_one(&all->closes);
	}
}

void websockets_freed(struct websockets *all)
{
	all->n_left--;
	check_end(all);
}

void websockets_close(struct websockets *all, void (*done)(void *arg), void *arg)
{
	while (all->broadcasts != NULL) {
		end_broadcast(all, all->broadcasts);
	}
	all->draining = true;
	all->closed = done;
	all->closed_arg = arg;
	check_end(all);
}

struct websockets *websockets_free(struct websockets *all)
{
	if (all != NULL) {
		invariant(all->n_left == 0);
		all->tickets = tickets_free(all->tickets);
		free(all);
	}
	return NULL;
}
