/*
 * One connection and the one request that it works on. Inside director/http only.
 *
 *          bytes            head complete          body complete
 *   IDLE ─────────▶ HEAD ───────────────▶ BODY ──────────────────▶ ANSWER
 *    ▲ ▲              │                    │  answered early          │
 *    │ └──────────────┼──── DISCARD ◀──────┤                          │
 *    └────────────────┼────────────────────┼──────────────────────────┤  answered, kept alive
 *                     ▼                    ▼                          ▼  answered, not kept
 *                     └──────────────────▶ LAST ──────────▶ LINGER ──▶ CLOSED
 *                       refused                  all sent
 *
 * ANSWER may also become TUNNEL, for good: the connection is another protocol's (tunnel.c), until that
 * goes to LAST.
 *
 * HEAD is also where a fresh connection starts. LAST waits until the last answer is with the kernel,
 * then our end is shut; LINGER throws away what still arrives until the peer ends or its time is over,
 * because closing over unread bytes sends a reset, and that destroys the answer on its way. Any state
 * goes to CLOSED when the peer is gone.
 *
 * Invariants:
 *  - Bytes are read into one block of fixed size per connection, held only while something is in it
 *    or a request needs it. Nothing of a later request is looked at before the one at hand is
 *    answered; when the block is full, reading stops (back-pressure).
 *  - The bytes of a request do not move while it lives.
 *  - In one turn of the loop at most HTTP_PIPELINE_MAX requests of a connection are taken, then the
 *    others have their turn. Their answers leave in one write.
 *  - connection_tick() is the only mover; callbacks store what happened and call it. Its steps stand in
 *    several files (states.h), the states and what may follow them in connection.c alone.
 */
#pragma once

#include "director/http/chunked.h"
#include "director/http/deadline.h"
#include "director/http/head.h"
#include "director/http/proxies.h"
#include "director/http/request_id.h"
#include "director/http/response.h"
#include "director/http/router.h"
#include "director/http/trace.h"
#include "director/http/transport.h"

enum {
	HTTP_PIPELINE_MAX = 8,
	/* An answer given before the body was read keeps the connection if at most this is left. */
	HTTP_DISCARD_MAX = 64 * 1024,
	/* A body slower than this on the average, after a grace, is given up. */
	HTTP_BODY_GRACE_MS = 5000,
	/* What a block holds beside the longest head: small bodies stay in it. */
	HTTP_BLOCK_EXTRA = 4096,
};

enum connection_state {
	CONNECTION_IDLE,
	CONNECTION_HEAD,
	CONNECTION_BODY,
	CONNECTION_ANSWER,
	CONNECTION_DISCARD,
	CONNECTION_TUNNEL,
	CONNECTION_LAST,
	CONNECTION_LINGER,
	CONNECTION_CLOSED,
	CONNECTION_STATES,
};

struct uvx_listener;

struct block {
	struct block *next;
	uint8_t bytes[];
};

struct http_request {
	struct connection *connection;
	struct http_head head;
	struct slice path; /* as sent; empty when the head was refused */
	uint8_t *decoded;  /* owns the decoded path when it had escapes */
	struct route_match match;
	bool live; /* between its head and its end */
	bool seen; /* a handler knows it */
	bool answered;
	int status;               /* of the answer */
	size_t answer_n;          /* bytes of its body */
	uint64_t began;           /* uv_hrtime(), with an observer only */
	bool resolved;            /* `forwarded` is */
	char trace[TRACE_LENGTH]; /* once asked for */
	bool traced;
	unsigned n_timings;
	struct http_timing timings[HTTP_TIMINGS_MAX];
	struct http_quota quota; /* n is 0: none */
	struct forwarded forwarded;
	struct slice id; /* empty until somebody asks */
	char made_id[REQUEST_ID_LENGTH];
	void *context;
	void (*release)(void *context);

	/* A body that the handler gets in pieces. */
	uint64_t pieces_limit; /* 0: it gets it whole */
	const char *pieces_limit_is;
	uint64_t pieces_n; /* bytes that it has got */
	bool paused;
	uint64_t paused_at; /* uv_now() */

	/* An answer in pieces. */
	bool streaming; /* begun and not ended; given up, it stays so */
	bool chunked;
	bool sent_wanted; /* the handler waits for on_sent */
};

/* Where the body of the request goes. */
enum body_mode { BODY_IN_BLOCK, BODY_IN_BUFFER, BODY_CHUNKED, BODY_PIECES, BODY_CHUNKED_PIECES };

struct connection {
	struct transport transport;
	struct http_server *server;
	struct connection *prev; /* all of the server's */
	struct connection *next;
	struct connection *ready_prev; /* those that go on in the next turn */
	struct connection *ready_next;
	struct deadline deadline;
	struct address peer;
	enum connection_state state;

	bool has_peer;   /* its address is known: TCP */
	bool trusted;    /* a proxy of ours */
	bool counted;    /* in the server's crowd */
	bool ticking;    /* inside connection_tick() */
	bool ready;      /* on the ready list */
	bool doomed;     /* to be closed by the tick */
	bool ended;      /* the peer sends no more */
	bool refused;    /* the server ended a request with an error: nothing after it is read */
	bool keep;       /* the answer said that the connection stays */
	bool progressed; /* a request was taken: deadlines start anew */
	bool body_done;  /* the request's body is read */
	unsigned batch;  /* requests that may still be taken in this turn */
	size_t unsent;   /* bytes that the peer had not taken when the send deadline was set */

	struct block *block;
	size_t begin; /* of the request at hand, in the block */
	size_t taken; /* end of what of it was used */
	size_t end;   /* of what was read */
	struct guard guard;

	enum body_mode body_mode;
	struct buffer body;
	struct chunked chunked;
	uint64_t discard;    /* bytes of the body still to be thrown away */
	uint64_t body_n;     /* bytes of it that arrived, framing included */
	uint64_t body_began; /* uv_now() */

	struct http_request request;

	/* Of a tunnel; NULL and false for any other. */
	const struct http_tunnel_ops *tunnel;
	void *tunnel_owner;
	bool tunnel_paused;
	bool tunnel_finished; /* it goes to LAST with the next tick */
};

/** Makes a connection of what waits at the listener. @return 0, -EAGAIN, or a negative errno. */
int connection_accept(struct http_server *s, struct uvx_listener *l);

/** Goes on where it can. @param batch requests that may be taken. May close the connection. */
void connection_tick(struct connection *c, unsigned batch);

/** Starts or stops what limits the present state; after something was sent from outside a tick. */
void connection_set_deadline(struct connection *c);

/** The deadline has passed. */
void connection_expired(struct connection *c, enum deadline_kind kind);

/** Closes it now; a handler that waits for its request is told. Idempotent. */
void connection_close(struct connection *c);

/** True when it has nothing to do and nothing to say, so that a drain may close it. */
bool connection_is_idle(const struct connection *c);

/*
 * Output: what a connection says during a tick is gathered in the server's one buffer and leaves in
 * one write at the tick's end. Failure dooms the connection.
 */
void connection_flush(struct connection *c);
void connection_say(struct connection *c, struct slice bytes);

/** Bytes of the request's body that are still to come or to be looked at; UINT64_MAX when nobody
 * knows. */
uint64_t connection_body_left(const struct connection *c);

/** Puts the head of an answer in pieces into the output, and what it says onto its way. */
void connection_begin_pieces(struct connection *c, const struct http_response *response);

/** Sends a piece of such an answer, or with `last` its end, at once. @return false when it waits. */
bool connection_piece(struct connection *c, struct slice piece, bool last);

/** Who sent the request at hand, and how, as far as those who are believed say. */
const struct forwarded *connection_forwarded(struct connection *c);

/** Puts the answer of the request at hand into the output. */
void connection_answer(struct connection *c, const struct http_response *response);

/** The id of its trace. */
struct slice connection_trace_id(struct connection *c);

/** The id of the request at hand, made when it has none. */
struct slice connection_request_id(struct connection *c);

/* An error answer. */
struct connection_problem {
	int status;
	const char *code;       /* NULL: the status's own */
	unsigned retry_after_s; /* 0: no Retry-After */
	unsigned allowed;       /* 0: no Allow; else bits as in struct route_match */
	struct slice detail;
	struct slice extra; /* more members as JSON text without braces */
};

/** Puts an error answer into the output. */
void connection_problem(struct connection *c, const struct connection_problem *p);
