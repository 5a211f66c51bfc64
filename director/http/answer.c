/* What a connection says: answers, problems, and their way out. */
#include "common/base/error.h"
#include "director/http/connection.h"
#include "director/http/problem.h"
#include "director/http/server.h"
#include "director/http/site.h"

#include <stdio.h>
#include <string.h>

enum {
	REQUEST_ID_IN_MAX = 128,  /* of an accepted X-Request-Id */
	FLUSH_BYTES = 64 * 1024,  /* of output, after which a batch of answers is not extended */
	DIRECT_BYTES = 16 * 1024, /* a body from here on is sent from where it is, not copied */
};

/* Output: everything that a tick says goes out in one write, at its end. */

static void send_now(struct connection *c, const uv_buf_t *bufs, unsigned n_bufs)
{
	if (!c->doomed && transport_send(&c->transport, bufs, n_bufs) < 0) {
		c->doomed = true;
	}
}

void connection_flush(struct connection *c)
{
	struct http_server *s = c->server;
	if (s->out_owner != c) {
		return;
	}
	s->out_owner = NULL;
	if (s->out.n > 0) {
		uv_buf_t buf = uv_buf_init((char *)s->out.p, (unsigned)s->out.n);
		send_now(c, &buf, 1);
		buffer_clear(&s->out);
	}
}

/* The output, which may hold what another connection wanted to say: a handler may answer one
 * connection's request while it is called for another's. */
static struct buffer *output(struct connection *c)
{
	struct http_server *s = c->server;
	if (s->out_owner != NULL && s->out_owner != c) {
		connection_flush(s->out_owner);
	}
	s->out_owner = c;
	return &s->out;
}

void connection_say(struct connection *c, struct slice bytes)
{
	if (buffer_append(output(c), bytes) < 0) {
		c->doomed = true;
	}
}

static void put_body(struct connection *c, const struct http_response *response)
{
	struct http_server *s = c->server;
	size_t n = response->body[0].n + response->body[1].n;
	if (n < DIRECT_BYTES) {
		if (buffer_append(&s->out, response->body[0]) < 0 ||
			buffer_append(&s->out, response->body[1]) < 0) {
			c->doomed = true;
		}
		return;
	}
	uv_buf_t bufs[3] = { uv_buf_init((char *)s->out.p, (unsigned)s->out.n) };
	for (int i = 0; i < 2; i++) {
		bufs[i + 1].base = (char *)(uintptr_t)response->body[i].p;
		bufs[i + 1].len = response->body[i].n;
	}
	send_now(c, bufs, 3);
	buffer_clear(&s->out);
}

struct slice connection_request_id(struct connection *c)
{
	struct http_request *r = &c->request;
	if (r->id.n > 0) {
		return r->id;
	}
	if (r->live) {
		struct slice given = head_find(&r->head, SLICE("X-Request-Id"));
		if (slice_is_name(given, REQUEST_ID_IN_MAX)) {
			r->id = given;
			return given;
		}
	}
	response_clock_update(&c->server->clock);
	request_id_make(&c->server->ids, c->server->clock.ms, r->made_id);
	r->id = slice_of(r->made_id, sizeof(r->made_id));
	return r->id;
}

/* Bytes of the body that are still to come or to be looked at; UINT64_MAX when nobody knows. */
uint64_t connection_body_left(const struct connection *c)
{
	const struct http_head *h = &c->request.head;
	if (c->body_done) {
		return 0;
	}
	if (h->chunked || (h->expects_continue && h->length > 0)) {
		/* A client that waits for the 100 may or may not send its body after an error. */
		return UINT64_MAX;
	}
	return h->length - (c->request.pieces_limit > 0 ? c->request.pieces_n : c->body.n);
}

static bool may_keep(const struct connection *c)
{
	const struct http_request *r = &c->request;
	return r->live && !c->refused && r->head.keep_alive && !c->server->draining && !c->ended;
}

/* The request's origin when its pages may read the answer. */
static struct slice trusted_origin(const struct connection *c)
{
	const struct http_site *site = c->server->config.site;
	const struct http_request *r = &c->request;
	bool trusted = site != NULL && r->live && r->head.origin.p != NULL &&
		site_trusts(site, r->head.origin);
	return trusted ? r->head.origin : SLICE_NULL;
}

/* What the server knows about the answer of the request at hand. */
static struct response_frame frame_of(struct connection *c)
{
	struct http_server *s = c->server;
	response_clock_update(&s->clock);
	return (struct response_frame){
		.clock = &s->clock,
		.request_id = connection_request_id(c),
		.close = !c->keep,
		.keep_alive = c->keep && c->request.head.http10,
		.varies = s->config.site != NULL && s->config.site->origins.n > 0,
		.origin = trusted_origin(c),
		.timings = c->request.timings,
		.n_timings = c->request.n_timings,
		.total_us = s->config.timing ? (uv_hrtime() - c->request.began) / 1000 + 1 : 0,
		.quota = c->request.quota.n > 0 ? &c->request.quota : NULL,
		.hsts_s = (c->trusted && c->request.live ? connection_forwarded(c)->https
							 : transport_is_secure(&c->transport))
			? s->config.hsts_s
			: 0,
	};
}

void connection_begin_pieces(struct connection *c, const struct http_response *response)
{
	struct http_request *r = &c->request;
	invariant(!r->answered && !r->streaming);
	struct http_response sound = *response;
	if (sound.status < 200 || sound.status > 599) {
		sound.status = 500;
	}
	r->streaming = true;
	r->chunked = !r->head.http10;
	r->status = sound.status;
	/* While a body comes in pieces it is too early to say: see http_stream_end(). */
	bool body = r->pieces_limit > 0 || connection_body_left(c) <= HTTP_DISCARD_MAX;
	c->keep = may_keep(c) && r->chunked && body;
	struct response_frame frame = frame_of(c);
	frame.pieces = true;
	frame.chunked = r->chunked;
	if (response_append_head(output(c), &sound, &frame) < 0) {
		c->doomed = true;
	}
	connection_flush(c);
}

bool connection_piece(struct connection *c, struct slice piece, bool last)
{
	struct http_request *r = &c->request;
	invariant(r->streaming);
	bool silent = r->head.method == HTTP_M_HEAD || response_is_bodiless(r->status);
	char size[24] = "";
	if (r->chunked && piece.n > 0) {
		(void)snprintf(size, sizeof(size), "%zx\r\n", piece.n);
	}
	if (!silent && (piece.n > 0 || last)) {
		struct slice behind = !r->chunked ? SLICE("")
			: last                    ? SLICE("\r\n0\r\n\r\n")
						  : SLICE("\r\n");
		behind = piece.n == 0 && behind.n > 0 ? slice_skip(behind, 2) : behind;
		/* What was said before goes first. */
		(void)output(c);
		connection_flush(c);
		uv_buf_t bufs[3] = {
			uv_buf_init(size, (unsigned)strlen(size)),
			uv_buf_init((char *)(uintptr_t)piece.p, (unsigned)piece.n),
			uv_buf_init((char *)(uintptr_t)behind.p, (unsigned)behind.n),
		};
		send_now(c, bufs, 3);
		r->answer_n += piece.n;
	}
	return transport_queued(&c->transport) == 0;
}

void connection_answer(struct connection *c, const struct http_response *response)
{
	struct http_request *r = &c->request;
	struct http_server *s = c->server;
	invariant(!r->answered && !r->streaming);
	r->answered = true;
	struct http_response sound = *response;
	if (sound.status < 200 || sound.status > 599) {
		sound.status = 500;
	}
	r->status = sound.status;
	r->answer_n = response->body[0].n + response->body[1].n;
	c->keep = may_keep(c) && connection_body_left(c) <= HTTP_DISCARD_MAX;
	struct response_frame frame = frame_of(c);
	if (response_append_head(output(c), &sound, &frame) < 0) {
		c->doomed = true;
		return;
	}
	bool head_only = r->live && r->head.method == HTTP_M_HEAD;
	if (!head_only && !response_is_bodiless(sound.status)) {
		put_body(c, &sound);
	}
	if (s->out.n >= FLUSH_BYTES) {
		connection_flush(c);
	}
}

/* What a 401 must say (RFC 6750, section 3): a token that was sent was no good, or none was. */
static struct slice challenge(const struct http_request *r)
{
	bool sent = r->live && head_find(&r->head, SLICE("Authorization")).p != NULL;
	return sent ? SLICE("Bearer realm=\"mozaiks\", error=\"invalid_token\"")
		    : SLICE("Bearer realm=\"mozaiks\"");
}

void connection_problem(struct connection *c, const struct connection_problem *p)
{
	struct http_request *r = &c->request;
	struct http_header headers[3];
	size_t n = 0;
	char retry[16];
	char allow[64];
	if (p->status == 401) {
		headers[n++] = (struct http_header){ SLICE("WWW-Authenticate"), challenge(r) };
	}
	unsigned retry_after_s = problem_retry_after_s(p->status, p->retry_after_s);
	if (retry_after_s > 0) {
		(void)snprintf(retry, sizeof(retry), "%u", retry_after_s);
		headers[n++] = (struct http_header){ SLICE("Retry-After"), slice_str(retry) };
	}
	if (p->allowed != 0) {
		router_allow(p->allowed, allow);
		headers[n++] = (struct http_header){ SLICE("Allow"), slice_str(allow) };
	}
	struct problem problem = {
		.status = p->status,
		.code = slice_str(p->code),
		.detail = p->detail,
		.instance = r->live ? r->path : SLICE_NULL,
		.request_id = connection_request_id(c),
		.trace_id = r->live ? connection_trace_id(c) : SLICE_NULL,
		.extra = p->extra,
	};
	struct buffer *words = &c->server->words;
	buffer_clear(words);
	if (problem_append(words, &problem) < 0) {
		/* No memory for the words: the status alone must do. */
		buffer_clear(words);
	}
	struct http_response response = {
		.status = p->status,
		.content_type = SLICE("application/problem+json"),
		.headers = headers,
		.n_headers = n,
		.body = { buffer_slice(words) },
	};
	connection_answer(c, &response);
}
