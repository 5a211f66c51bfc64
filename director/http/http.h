/*
 * The HTTP/1.1 server: what a handler sees. One loop thread; nothing here may be called from
 * another.
 *
 * A request lives in its connection. Pipelined requests are answered one after another. Each
 * request is answered exactly once with http_respond() or http_problem(), at once or later;
 * afterwards the handler must not touch it. When the client goes away first, on_abort tells the
 * handler, and the request must not be touched after it returns.
 */
#pragma once

#include <uv.h>

#include "common/base/slice.h"

struct http_server;
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

/* What a route does. All but on_body may be NULL. */
struct http_handler {
	/* The head is complete, the body not yet read. False: answered already (an error). */
	bool (*on_head)(void *owner, struct http_request *r);
	/* The whole body is here (empty without one). It is valid during this call only. */
	void (*on_body)(void *owner, struct http_request *r, struct slice body);
	/* The client is gone; no answer is possible any more. */
	void (*on_abort)(void *owner, struct http_request *r);
};

struct http_route {
	enum http_method method;
	/* "/api/execute/{plugin}": a segment in braces matches one non-empty segment. */
	const char *pattern;
	const struct http_handler *handler;
	void *owner;
};

struct http_limits {
	size_t head_bytes;         /* request line and headers; over it 431, or 414 in the line */
	size_t body_bytes;         /* MAX_REQUEST_BODY_BYTES; over it 413 */
	unsigned connections;      /* in all; over it accept waits */
	unsigned header_ms;        /* time for a head, from its first byte or the accept: 408 */
	unsigned body_ms;          /* time without progress in a body: 408 */
	unsigned keepalive_ms;     /* idle connection */
	unsigned send_ms;          /* no progress in sending an answer */
};

struct http_config {
	uv_loop_t *loop;
	const struct http_route *routes; /* outlives the server */
	size_t n_routes;
	struct http_limits limits;
	bool development; /* problem bodies may say more */
};

/** @return 0, -ENOMEM, -EINVAL for a bad route pattern. */
int http_server_new(struct http_server **ret, const struct http_config *config);

/** Listens on host:port (port 0: any). @return 0 and the bound port, or a negative errno. */
int http_server_listen_tcp(struct http_server *s, const char *host, int port, int *ret_port);

/** Listens on a unix socket with this mode. */
int http_server_listen_unix(struct http_server *s, const char *path, int mode);

/** Listens on an inherited descriptor (socket activation). */
int http_server_listen_fd(struct http_server *s, int fd);

/** Stops accepting, answers what is in flight with `Connection: close`, closes idle connections.
 * `done` is called once when none is left. Idempotent. */
void http_server_drain(struct http_server *s, void (*done)(void *arg), void *arg);

/** Closes everything now; `done` when all memory may be freed. */
void http_server_close(struct http_server *s, void (*done)(void *arg), void *arg);
void http_server_free(struct http_server *s);

/* The request. Slices are valid until it is answered. */
enum http_method http_request_method(const struct http_request *r);
struct slice http_request_path(const struct http_request *r);
struct slice http_request_query(const struct http_request *r);
/** The i-th {name} of the route's pattern, percent-decoded. */
struct slice http_request_param(const struct http_request *r, size_t i);
/** The header's value without surrounding blanks; p is NULL when it is absent. */
struct slice http_request_header(const struct http_request *r, struct slice name);
/** Its id: X-Request-Id when it was well-formed, else a UUIDv7. */
struct slice http_request_id(struct http_request *r);
/** Peer uid and pid of a unix socket connection; false for TCP. */
bool http_request_peer(const struct http_request *r, uid_t *ret_uid, pid_t *ret_pid);

/* A place for the handler's own state, e.g. the user found in on_head. `release` runs when the
 * request ends, however it ends. */
void http_request_set_context(struct http_request *r, void *context, void (*release)(void *context));
void *http_request_context(const struct http_request *r);

struct http_header {
	struct slice name;
	struct slice value;
};

struct http_response {
	int status;
	struct slice content_type;          /* empty: application/json */
	const struct http_header *headers;  /* beside the server's own */
	size_t n_headers;
	struct slice body[2];               /* sent one after the other; copied */
};

/** Answers. Content-Length, Date, Connection, X-Request-Id and the version header are added. */
void http_respond(struct http_request *r, const struct http_response *response);

/**
 * Answers with application/problem+json (RFC 9457): type, title, status, detail, instance and our
 * `code` and `request_id`. A 401 gets its WWW-Authenticate, a 503 or 429 its Retry-After.
 * @param retry_after_s seconds, 0 for none.
 */
void http_problem(struct http_request *r, int status, const char *code, unsigned retry_after_s,
	const char *format, ...) __attribute__((format(printf, 5, 6)));

/** A problem with more members: `extra` is JSON text such as `"errors":[…]`, without braces. */
void http_problem_extra(struct http_request *r, int status, const char *code, struct slice extra,
	const char *format, ...) __attribute__((format(printf, 5, 6)));
