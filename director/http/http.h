/*
 * The HTTP/1.1 server: what a handler sees. One loop thread; nothing here may be called from
 * another.
 *
 * A request lives in its connection. Pipelined requests are answered one after another. Each
 * request is answered exactly once with http_respond(), http_problem() or http_upgrade(), at once or later;
 * afterwards the handler must not touch it. When the client goes away first, or its body turns out
 * to be bad, on_abort tells the handler, and the request must not be touched after it returns. A
 * client that shuts its sending side while its answer is pending counts as gone.
 */
#pragma once

#include "common/base/address.h"
#include "common/base/slice.h"

#include <uv.h>

struct http_server;
struct tls_context;
struct http_request;

enum http_method {
	HTTP_M_GET,
	HTTP_M_HEAD,
	HTTP_M_POST,
	HTTP_M_PUT,
	HTTP_M_PATCH,
	HTTP_M_DELETE,
	HTTP_M_OPTIONS,
	HTTP_M_OTHER,
};

/* What a route does. All but on_body may be NULL. A handler may answer from within a call or later,
 * and may answer other requests at any time. */
struct http_handler {
	/* The head is complete, the body not yet read. False: answered already (an error). */
	bool (*on_head)(void *owner, struct http_request *r);
	/* The whole body is here (empty without one). It is valid during this call only. */
	void (*on_body)(void *owner, struct http_request *r, struct slice body);
	/* No answer is wanted any more: the client is gone, or the server itself has refused the body
	 * (too long, malformed, too slow). Only for a request that on_head accepted or that on_body
	 * has seen, and that is not answered. */
	void (*on_abort)(void *owner, struct http_request *r);
	/* A piece of a body that on_head wanted in pieces, valid during this call only; instead of
	 * on_body. The last one may be empty. */
	void (*on_piece)(void *owner, struct http_request *r, struct slice piece, bool last);
	/* What http_stream_piece() said had to wait is with the kernel now. */
	void (*on_sent)(void *owner, struct http_request *r);
};

struct http_route {
	enum http_method method;
	/* "/api/execute/{plugin}": a segment in braces matches one non-empty segment. */
	const char *pattern;
	const struct http_handler *handler;
	void *owner;
};

/* 0 means the value in brackets. Further, fixed limits: 100 headers (431); 64 KiB of chunk sizes,
 * extensions and trailers (400); 8 requests
 * of one connection per turn of the loop, and one at a time. */
struct http_limits {
	size_t head_bytes; /* request line and headers; over it 431, or 414 in the line [16384] */
	size_t body_bytes; /* MAX_REQUEST_BODY_BYTES; over it 413 [1000000] */
	unsigned connections; /* in all; over it accept waits [10000] */
	/* Of one address (v6: one /64), trusted proxies not counted; over it a connection is closed at
	 * once. 0: any number. */
	unsigned per_address;
	/* Requests a minute of one address (v6: one /64), trusted proxies not counted; over it 429.
	 * 0: any number. */
	uint64_t address_rate;
	bool spare_loopback;   /* the machine itself is not held to it */
	unsigned handshake_ms; /* time for a TLS handshake; then closed [10000] */
	unsigned header_ms;    /* time for a head, from its first byte or the accept: 408 [10000] */
	unsigned body_ms;      /* time without progress in a body: 408 [20000] */
	unsigned body_rate;    /* bytes a second on the average in a body after 5 s: 408 [500] */
	unsigned keepalive_ms; /* idle connection [75000] */
	unsigned send_ms;      /* no progress in sending an answer [20000] */
	unsigned linger_ms;    /* for the peer's end, after ours [5000] */
};

enum { HTTP_HEAD_MIN = 256 }; /* the least head_bytes; the most is 256 KiB */

/* What became of a request. The slices are valid during the call only. */
struct http_outcome {
	enum http_method method;
	struct slice path;   /* as sent, without the query; empty when the head was refused */
	const char *pattern; /* of its route; NULL when it has none */
	const struct address *client; /* NULL: a unix socket */
	struct slice trace_id;        /* empty when the head was refused */
	struct slice request_id;
	int status;          /* 499: the client went away */
	size_t answer_bytes; /* of the body */
	uint64_t microseconds;
};

struct http_site;
struct proxies;

struct http_config {
	uv_loop_t *loop;
	const struct http_site
		*site; /* site.h; NULL: any host, no other origin. Outlives the server */
	const struct proxies
		*proxies; /* proxies.h; NULL: nobody is believed. Outlives the server */
	const struct http_route *routes; /* outlives the server */
	size_t n_routes;
	struct http_limits limits;
	/* TCP is TLS with this certificate, unix sockets are not. NULL: all is plain. */
	struct tls_context *tls;
	bool timing;      /* answers say what took how long (Server-Timing) */
	unsigned hsts_s;  /* of Strict-Transport-Security over TLS; 0: not sent */
	bool development; /* a 500 without a code of its own says what went wrong */
	/* For metrics and the access log: called at the end of every request. May be NULL. */
	void (*observe)(void *owner, const struct http_outcome *outcome);
	void *observe_owner;
};

/** Ignores SIGPIPE in the whole process. @return 0, -ENOMEM, -EINVAL for a bad or repeated route
 * pattern (more than 16 segments or 4 parameters, no on_body) or a limit out of its range. */
int http_server_new(struct http_server **ret, const struct http_config *config);

/** Listens on host:port (port 0: any). @return 0 and the bound port, or a negative errno. */
int http_server_listen_tcp(struct http_server *s, const char *host, int port, int *ret_port);

/** Listens on a unix socket with this mode. A file left behind by a dead process is replaced; the
 * file goes with the listener. */
int http_server_listen_unix(struct http_server *s, const char *path, int mode);

/** Listens on an inherited descriptor (socket activation), which becomes the server's even when it
 * fails. */
int http_server_listen_fd(struct http_server *s, int fd);

/** New connections get this certificate. Only for a server that was made with one. */
void http_server_set_tls(struct http_server *s, struct tls_context *tls);

/** Stops accepting, answers what is in flight with `Connection: close`, closes idle connections.
 * `done` is called once when none is left, from the loop. Idempotent: later calls are ignored. */
void http_server_drain(struct http_server *s, void (*done)(void *arg), void *arg);

/** Closes everything in the next turn of the loop; `done`, from the loop, when http_server_free() may
 * be called (it may call it). Handlers of unanswered requests get on_abort before. */
void http_server_close(struct http_server *s, void (*done)(void *arg), void *arg);
/** After the close is done. NULL is allowed. */
void http_server_free(struct http_server *s);

/* The request. Slices are valid until it is answered. */
enum http_method http_request_method(const struct http_request *r);
struct slice http_request_path(const struct http_request *r);
struct slice http_request_query(const struct http_request *r);
/** The i-th {name} of the route's pattern, percent-decoded. */
struct slice http_request_param(const struct http_request *r, size_t i);
/** The header's value without surrounding blanks; p is NULL when it is absent. */
struct slice http_request_header(const struct http_request *r, struct slice name);
/** The value of the next header of that name. @param at 0 before the first; moved on. p is NULL when
 * there are no more. */
struct slice http_request_header_next(
	const struct http_request *r, struct slice name, unsigned *at);
/** True for a page of this very host or of a trusted origin, and for a client that names no origin. */
bool http_request_origin_is_trusted(const struct http_request *r);
/** Its id: X-Request-Id when it was well-formed, else a UUIDv7. */
struct slice http_request_id(struct http_request *r);
/** The trace that it belongs to, as a traceparent for what is called from here: the client's, when
 * that is well-formed, else one of its own. */
struct slice http_request_trace(struct http_request *r);
/** Whose request it is: the address of the connection, or what a trusted proxy says. @return false
 * for a unix socket. */
bool http_request_client(struct http_request *r, struct address *ret);
/** True when the client itself came over TLS, to us or to a trusted proxy. */
bool http_request_is_https(struct http_request *r);
/** Peer uid and pid of a unix socket connection; false for TCP. */
bool http_request_peer(const struct http_request *r, uid_t *ret_uid, pid_t *ret_pid);
enum { HTTP_ADDRESS_SIZE = 46 };
/** The client's IP address as text; "" for a unix socket. */
void http_request_address(const struct http_request *r, char out[static HTTP_ADDRESS_SIZE]);

/* A place for the handler's own state, e.g. the user found in on_head. `release` (may be NULL) runs
 * when the request ends, however it ends, and after on_abort. */
void http_request_set_context(
	struct http_request *r, void *context, void (*release)(void *context));
void *http_request_context(const struct http_request *r);

/**
 * From on_head only: the body is to come through on_piece as it arrives, instead of being collected.
 * @param limit longest body in bytes; beyond it 413.
 * @param limit_is the end of that sentence: "bytes (NAME_OF_THE_SETTING)". Static.
 */
void http_request_want_pieces(struct http_request *r, uint64_t limit, const char *limit_is);

/** Stops on_piece, and soon the client, until it is called with false, which may call on_piece. Only
 * while the body is not complete and the request is not answered. */
void http_request_pause(struct http_request *r, bool pause);

struct http_header {
	struct slice name;
	struct slice value;
};

/* What is left of a limit, for the RateLimit headers (draft-ietf-httpapi-ratelimit-headers). */
struct http_quota {
	const char *name; /* of the policy; a static text of letters and dashes */
	uint64_t n;       /* in the window */
	unsigned window_s;
	uint64_t left;
	unsigned full_s; /* until all are there again */
};

/** The answer will tell it; of several the one of which least is left. */
void http_request_set_quota(struct http_request *r, const struct http_quota *quota);

struct http_response {
	int status;                        /* 200 to 599, else it becomes 500 */
	struct slice content_type;         /* empty: application/json */
	const struct http_header *headers; /* beside the server's own */
	size_t n_headers;
	struct slice body[2]; /* sent one after the other; copied */
};

/** Answers with a 200 and its entity tag, or with 304 when the client has this body already. The
 * response's status and headers are not used. */
void http_respond_tagged(struct http_request *r, const struct http_response *response);

/** What a step of the work took, for Server-Timing, when http_config.timing is set. At most four; the
 * name is a static text. */
void http_request_add_timing(struct http_request *r, const char *name, uint64_t ns);

/** Answers. Content-Length, Date, Connection, X-Request-Id, the version header and what CORS needs are
 * added, and unless the handler says otherwise `Cache-Control: no-store` and a content security
 * policy that allows nothing. A header that would break the message (control bytes, one of the
 * server's own) is dropped and logged. */
void http_respond(struct http_request *r, const struct http_response *response);

/**
 * Begins an answer whose body comes in pieces: `body` of the response is ignored. HTTP/1.1 gets it
 * chunked; for HTTP/1.0 the end of the connection is its end. The request counts as unanswered (on_abort
 * may come) until http_stream_end() or http_stream_abort().
 */
void http_stream_begin(struct http_request *r, const struct http_response *response);

/** Sends a piece; an empty one is nothing. Never calls the handler.
 * @return true; false when the client is slower than we are: on_sent follows, and who goes on sending
 * before it makes the server hold the bytes. */
bool http_stream_piece(struct http_request *r, struct slice piece);

/** The answer is complete. */
void http_stream_end(struct http_request *r);

/** The answer cannot be completed: the connection ends without the end of the body, or where that has none
 * (HTTP/1.0) with a reset, so that the client sees it. */
void http_stream_abort(struct http_request *r);

/**
 * Answers with application/problem+json (RFC 9457): type, title, status, detail, instance and our
 * `code` and `request_id`. A 401 gets its WWW-Authenticate, a 503 or 429 always a Retry-After. A 500
 * without a code of its own carries its detail in development only.
 * @param code NULL for the status's own.
 * @param retry_after_s seconds; 0: none, or 1 with a 503 or 429.
 */
void http_problem(struct http_request *r,
	int status,
	const char *code,
	unsigned retry_after_s,
	const char *format,
	...) __attribute__((format(printf, 5, 6)));

/** A problem with more members: `extra` is JSON text such as `"errors":[…]`, without braces. */
void http_problem_extra(struct http_request *r,
	int status,
	const char *code,
	unsigned retry_after_s,
	struct slice extra,
	const char *format,
	...) __attribute__((format(printf, 6, 7)));

/*
 * A connection that no longer speaks HTTP: what the peer sends goes to its owner as it arrives, what
 * the owner sends goes out as it is. It still counts as a connection of the server, and what makes no
 * progress in sending for `send_ms` is cut. Draining does not end it: its owner does.
 */
struct http_tunnel;

struct http_tunnel_ops {
	/* Bytes that may be changed in place; they are valid during the call. */
	void (*received)(void *owner, uint8_t *bytes, size_t n);
	/* What had to wait is all with the kernel. */
	void (*sent)(void *owner);
	/* The last call: closed by either side, broken, or the server closes. */
	void (*closed)(void *owner);
};

/** True for a request that http_upgrade() may answer: HTTP/1.1 (RFC 9110, 7.8), without a body. */
bool http_request_may_upgrade(const struct http_request *r);

/**
 * Answers with 101 and hands the connection over. The request must have come without a body and is gone
 * afterwards. `received` is not called before this has returned.
 * @param headers of the answer, without Connection, which is the server's.
 * @return the tunnel, valid until `closed`.
 */
struct http_tunnel *http_upgrade(struct http_request *r,
	const struct http_header *headers,
	size_t n_headers,
	const struct http_tunnel_ops *ops,
	void *owner);

/** Sends at most 8 pieces; they are the caller's again on return. @return 0, 1 when a part of it
 * waits and `sent` follows, a negative errno when nothing more can be sent. */
int http_tunnel_send(struct http_tunnel *t, const uv_buf_t *bufs, unsigned n_bufs);

/** Bytes that the kernel has not taken yet. */
size_t http_tunnel_queued(const struct http_tunnel *t);

/** `received` is not called until http_tunnel_resume(), except for what was read already. */
void http_tunnel_pause(struct http_tunnel *t);
void http_tunnel_resume(struct http_tunnel *t);

/** Sends what waits, then our end; then the connection closes. Nothing is received any more. */
void http_tunnel_finish(struct http_tunnel *t);

/** Closes it in the next turn of the loop. */
void http_tunnel_close(struct http_tunnel *t);
