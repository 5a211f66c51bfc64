/*
 * What socket.c (one WebSocket) and websockets.c (all of them) share. Inside director/websocket only.
 *
 *   OPEN ──our close──▶ CLOSING ──theirs, or close_ms──▶ ENDING ──▶ (freed)
 *     └──theirs, or an error; answered with a close frame──▲
 *
 * ENDING: nothing more is read or sent; the tunnel and the timer are on their way out. From any state the
 * tunnel may close: that is the end, too.
 */
#pragma once

#include "common/base/buffer.h"
#include "common/base/map.h"
#include "common/base/rate.h"
#include "common/uvx/later.h"
#include "common/uvx/timer.h"
#include "director/websocket/websocket.h"

enum websocket_state { WEBSOCKET_OPEN, WEBSOCKET_CLOSING, WEBSOCKET_ENDING };

/* The connections of one user. */
struct websocket_user {
	UT_hash_handle hh;
	struct websocket *sockets;
	unsigned n;
	size_t id_n;
	char id[];
};

struct websocket {
	struct websockets *all;
	struct websocket *prev, *next; /* all, the oldest first */
	struct websocket *user_prev, *user_next;
	struct websocket_user *of;
	uint64_t id;                /* in the order of opening */
	struct http_tunnel *tunnel; /* NULL once it is closed */
	struct user_context *user;
	const struct websocket_handler *handler; /* NULL: nobody wants to know */
	void *owner;
	enum websocket_state state;
	bool pushed;
	bool paused;
	uint16_t code; /* for `closed` */
	struct ws_reader reader;
	struct buffer message; /* of several pieces, until it is complete */
	struct buffer held;    /* bytes that came before the pause was noticed */
	struct uvx_timer timer;
	uint64_t heard_ms;  /* when anything came last */
	uint64_t pinged_ms; /* when it was last asked whether it lives */
	uint64_t close_ms;  /* until when its close frame is waited for */
	struct rate messages, pings;
};

struct broadcast;

struct websockets {
	struct websockets_config config;
	struct websocket *list;
	struct websocket_user *users;
	struct tickets *tickets;
	struct request_ids ids;
	unsigned n;      /* in the list */
	unsigned n_left; /* not freed yet */
	uint64_t last_id;
	struct broadcast *broadcasts; /* one after another */
	struct websocket *cursor;     /* the next that the first of them is sent to */
	size_t buffered;              /* in `message` of all */
	bool draining;
	struct websocket *drained; /* the next that is told of the end */
	struct uvx_timer drain;
	struct uvx_closing closes;
	struct uvx_later later; /* broadcasts, a part in each turn */
	void (*closed)(void *arg);
	void *closed_arg;
};

/** Makes one of a request's connection. @return NULL without memory, and nothing is answered. */
struct websocket *socket_new(struct websockets *all,
	struct http_request *r,
	const struct websocket_request *q,
	const struct websocket_open_config *config);

/** Sends one frame. @return as websocket_send(). */
int socket_send(struct websocket *w, enum ws_opcode opcode, const struct slice *pieces, unsigned n);

/* websockets.c */
void websockets_remove(struct websockets *all, struct websocket *w);
void websockets_freed(struct websockets *all);
