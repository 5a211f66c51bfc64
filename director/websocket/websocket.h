/*
 * WebSockets (RFC 6455): what the rest of the director sees of them.
 *
 * A route that serves them, in its on_body:
 *	struct websocket_request q;
 *	if (!websocket_check(all, r, &q)) return;              (answered: no handshake, a foreign origin)
 *	int who = websocket_authenticate(all, d->auth, r, &q, &user);
 *	if (who != AUTH_OK) { websocket_refuse(all, r, &q, 4001, …); return; }
 *	struct websocket *w = websocket_open(all, r, &q, &config);   (NULL: refused)
 * websocket_open() and websocket_refuse() answer the request with 101. Between them and on_body time may
 * pass: `q` is valid while the request is not answered.
 *
 * An open one is its handler's: `message` for each whole message, `writable` when what had to wait is
 * sent, `closed` as the last call, however it ends. Nothing is called from within a function of this
 * file. Pings, pongs, close frames, the limits of WEBSOCKET settings and the end of the user's token
 * (4401) are settled here. Loop thread.
 */
#pragma once

#include "director/http/http.h"
#include "director/http/request_id.h"
#include "director/websocket/frame.h"
#include "director/websocket/handshake.h"

struct auth;
struct user_context;
struct websocket;
struct websockets;

/* Close codes of ours. */
enum websocket_code {
	WEBSOCKET_UNAUTHENTICATED = 4001,
	WEBSOCKET_OTHER_USER = 4003,
	WEBSOCKET_TOKEN_EXPIRED = 4401,
	WEBSOCKET_FORBIDDEN = 4403,
	WEBSOCKET_NOT_FOUND = 4404,
};

struct websocket_handler {
	/* A whole message; its bytes are valid during the call. Text is UTF-8. */
	void (*message)(struct websocket *w, bool binary, struct slice message);
	/* All that was sent is with the kernel, after some of it had to wait. May be NULL. */
	void (*writable)(struct websocket *w);
	/* The director ends: finish, then websocket_close(). NULL: closed at once with 1001. */
	void (*drain)(struct websocket *w);
	/* The last call. The code of the close frame that came, else of the one that was sent, else
	 * WS_ABNORMAL. */
	void (*closed)(struct websocket *w, uint16_t code);
};

struct websockets_config {
	uv_loop_t *loop;
	unsigned total, per_user; /* at a time */
	struct ws_limits limits;
	size_t send_bytes;     /* that wait for one client */
	size_t answer_bytes;   /* the same, when it asked for them */
	size_t buffer_bytes;   /* of messages that are not complete, of all clients */
	unsigned message_rate; /* of one connection, a second; 0: any */
	unsigned ping_rate;
	unsigned ping_ms, pong_ms, close_ms;
	unsigned drain_rate; /* closed in a second when the director ends; 0: all at once */
	/* Is this user still one? Asked again and again; AUTH_REVOKED and AUTH_DISABLED close with 4401.
	 * NULL: nobody is asked. */
	int (*judge)(void *arg, const struct user_context *user);
	void *judge_arg;
};

/** @return 0 or -ENOMEM. */
int websockets_new(struct websockets **ret, const struct websockets_config *config);

/** Each is closed with 1001, or by its handler's `drain`, `drain_rate` of them a second, so that not all of
 * their clients come back at once; new ones are refused. Idempotent. */
void websockets_drain(struct websockets *all);

/** Those that are left have had their time: each is closed with 1001 now. */
void websockets_end(struct websockets *all);

/** Releases what belongs to the loop; the HTTP server, and with it each of them, is closed already. */
void websockets_close(struct websockets *all, void (*done)(void *arg), void *arg);
/** After that. NULL is allowed. @return NULL. */
struct websockets *websockets_free(struct websockets *all);

/* What a request asks for. */
struct websocket_request {
	struct slice key;
	struct handshake_protocols protocols;
};

/** For a route's on_head: that no body follows, which websocket_check() refuses, too.
 * @return false after answering. */
bool websocket_check_head(const struct websockets *all, struct http_request *r);

/** Is it a handshake, from where we allow it? @return false after answering 400, 403, 426 or 503. */
bool websocket_check(struct websockets *all, struct http_request *r, struct websocket_request *ret);

/**
 * Who asks: the Authorization header, else a token among the subprotocols, else a ticket or a token in
 * the query.
 * @return AUTH_* or -ENOMEM, with a reference of the caller's own on AUTH_OK.
 */
int websocket_authenticate(struct websockets *all,
	struct auth *auth,
	struct http_request *r,
	const struct websocket_request *q,
	struct user_context **ret_user);

/** auth_verify() for a token that stands alone. */
int websocket_verify(struct auth *auth, struct slice token, struct user_context **ret_user);

/** Opens it and closes it at once, so that a browser sees the code. */
void websocket_refuse(struct websockets *all,
	struct http_request *r,
	const struct websocket_request *q,
	uint16_t code,
	struct slice reason);

struct websocket_open_config {
	struct user_context *user; /* a reference is taken */
	const struct websocket_handler *handler;
	void *owner;
	bool pushed;                 /* gets what is sent to its user, and broadcasts */
	struct slice protocol;       /* to answer with; empty: mozaiks or what carried the token */
	size_t message_bytes;        /* of one message, or frame; 0: the settings' */
	const char *message_setting; /* that says so; static */
};

/** Opens it. @return NULL when it was refused: 503 without memory or over the total, or a close with
 * 1013 when its user has too many. The handler is not called then. */
struct websocket *websocket_open(struct websockets *all,
	struct http_request *r,
	const struct websocket_request *q,
	const struct websocket_open_config *config);

void *websocket_owner(const struct websocket *w);
struct user_context *websocket_user(const struct websocket *w);

/** Asks `judge` now. @return false, and it is closing. */
bool websocket_is_good(struct websocket *w);

/** Goes on with a fresh token of the same user. A reference is taken. */
void websocket_set_user(struct websocket *w, struct user_context *user);

/**
 * Sends one message of at most 4 pieces; the bytes are the caller's again on return. More than
 * MOZAIKS_MAX_WEBSOCKET_SEND_BYTES waiting closes it with 1013.
 * @return 0; 1 when a part of it waits and `writable` follows; -EPIPE when it is closing.
 */
int websocket_send(struct websocket *w, bool binary, const struct slice *pieces, unsigned n);

/** The same for what the client has asked for: MOZAIKS_MAX_WEBSOCKET_ANSWER_BYTES may wait. */
int websocket_answer(struct websocket *w, bool binary, const struct slice *pieces, unsigned n);

/** Bytes that wait. A source that can wait does so while there are any, until `writable`. */
size_t websocket_queued(const struct websocket *w);

/** No `message` until websocket_resume(): the client is held back by TCP, its pings, too. */
void websocket_pause(struct websocket *w);
void websocket_resume(struct websocket *w);

/** Sends a close frame; `closed` follows when the client has answered, or after a while. Idempotent. */
void websocket_close(struct websocket *w, uint16_t code, struct slice reason);

/** Sends a text to each connection of that user that is pushed to. @return how many there were. */
unsigned websockets_send_to_user(struct websockets *all, struct slice user_id, struct slice text);

/**
 * Sends a text to every connection that is pushed to, a part of them in each turn of the loop, one
 * broadcast after another.
 * @param text copied.
 * @param done called later with how many there were; not when the director ends before. May be NULL.
 * @return 0 or -ENOMEM.
 */
int websockets_broadcast(struct websockets *all,
	struct slice text,
	void (*done)(void *arg, unsigned recipients),
	void *arg);

/** How many there are. */
unsigned websockets_count(const struct websockets *all);

struct tickets *websockets_tickets(struct websockets *all);

/** A fresh request id, for what a message asks for: REQUEST_ID_LENGTH bytes. */
void websockets_request_id(struct websockets *all, char ret[static REQUEST_ID_LENGTH]);
