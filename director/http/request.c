/* What a handler may ask of its request, and how it answers. */
#include "common/base/error.h"
#include "director/http/connection.h"
#include "director/http/etag.h"
#include "director/http/server.h"
#include "director/http/site.h"

#include <stdarg.h>
#include <stdio.h>

enum { DETAIL_MAX = 1024 };

enum http_method http_request_method(const struct http_request *r)
{
	return r->head.method;
}

struct slice http_request_path(const struct http_request *r)
{
	return r->path;
}

struct slice http_request_query(const struct http_request *r)
{
	return r->head.query;
}

struct slice http_request_param(const struct http_request *r, size_t i)
{
	invariant(i < r->match.n_params);
	return r->match.params[i];
}

struct slice http_request_header(const struct http_request *r, struct slice name)
{
	return head_find(&r->head, name);
}

struct slice http_request_header_next(const struct http_request *r, struct slice name, unsigned *at)
{
	return head_find_from(&r->head, name, at);
}

bool http_request_origin_is_trusted(const struct http_request *r)
{
	const struct http_site *site = r->connection->server->config.site;
	struct slice origin = r->head.origin;
	if (origin.p == NULL || (site != NULL && site_trusts(site, origin))) {
		return true;
	}
	struct connection *c = r->connection;
	struct slice host = c->trusted ? connection_forwarded(c)->host : SLICE_NULL;
	host = host.n > 0 ? host : r->head.host;
	struct slice schemes[] = { SLICE("http://"), SLICE("https://") };
	for (size_t i = 0; i < 2; i++) {
		if (slice_starts(origin, schemes[i]) && host.n > 0 &&
			slice_eq_nocase(slice_skip(origin, schemes[i].n), host)) {
			return true;
		}
	}
	return false;
}

struct slice http_request_id(struct http_request *r)
{
	return connection_request_id(r->connection);
}

void http_request_set_quota(struct http_request *r, const struct http_quota *quota)
{
	if (r->quota.n == 0 || quota->left < r->quota.left) {
		r->quota = *quota;
	}
}

struct slice http_request_trace(struct http_request *r)
{
	if (!r->traced) {
		uint8_t random[TRACE_RANDOM];
		unsigned at = 0;
		struct slice parent = head_find_from(&r->head, SLICE("traceparent"), &at);
		/* With two of them nobody knows which is meant. */
		bool one = head_find_from(&r->head, SLICE("traceparent"), &at).p == NULL;
		request_ids_random(&r->connection->server->ids, random, sizeof(random));
		(void)trace_make(one ? parent : SLICE_NULL, random, r->trace);
		r->traced = true;
	}
	return slice_of(r->trace, sizeof(r->trace));
}

struct slice connection_trace_id(struct connection *c)
{
	return slice_of(http_request_trace(&c->request).p + TRACE_ID_AT, TRACE_ID_LENGTH);
}

void http_request_add_timing(struct http_request *r, const char *name, uint64_t ns)
{
	if (r->connection->server->config.timing && r->n_timings < HTTP_TIMINGS_MAX) {
		r->timings[r->n_timings++] = (struct http_timing){ name, ns / 1000 };
	}
}

void http_respond_tagged(struct http_request *r, const struct http_response *response)
{
	char tag[ETAG_LENGTH];
	struct http_response tagged = *response;
	invariant(response->body[1].n == 0);
	etag_make(response->body[0], tag);
	/* It may be kept, but is to be asked for each time. */
	const struct http_header headers[] = {
		{ SLICE("ETag"), slice_of(tag, sizeof(tag)) },
		{ SLICE("Cache-Control"), SLICE("private, no-cache") },
	};
	bool known = false;
	unsigned at = 0;
	struct slice list;
	while (!known && (list = head_find_from(&r->head, SLICE("If-None-Match"), &at)).p != NULL) {
		known = etag_matches(list, slice_of(tag, sizeof(tag)));
	}
	tagged.status = known ? 304 : 200;
	tagged.headers = headers;
	tagged.n_headers = 2;
	if (known) {
		tagged.body[0] = SLICE_NULL;
	}
	http_respond(r, &tagged);
}

const struct forwarded *connection_forwarded(struct connection *c)
{
	struct http_request *r = &c->request;
	if (!r->resolved) {
		r->resolved = true;
		r->forwarded = (struct forwarded){ .client = c->peer,
			.https = transport_is_secure(&c->transport) };
		if (c->trusted && r->live) {
			proxies_resolve(
				c->server->config.proxies, &c->peer, &r->head, &r->forwarded);
		}
	}
	return &r->forwarded;
}

bool http_request_client(struct http_request *r, struct address *ret)
{
	if (!r->connection->has_peer) {
		return false;
	}
	*ret = connection_forwarded(r->connection)->client;
	return true;
}

bool http_request_is_https(struct http_request *r)
{
	return connection_forwarded(r->connection)->https;
}

bool http_request_peer(const struct http_request *r, uid_t *ret_uid, pid_t *ret_pid)
{
	return transport_peer(&r->connection->transport, ret_uid, ret_pid);
}

void http_request_address(const struct http_request *r, char out[static HTTP_ADDRESS_SIZE])
{
	if (!transport_address(&r->connection->transport, out)) {
		out[0] = '\0';
	}
}

void http_request_set_context(struct http_request *r, void *context, void (*release)(void *context))
{
	r->context = context;
	r->release = release;
}

void *http_request_context(const struct http_request *r)
{
	return r->context;
}

/* Inside a tick its end sends the answer; from elsewhere it goes at once. */
static void go_on(struct connection *c)
{
	if (!c->ticking) {
		connection_tick(c, 0);
	}
}

void http_respond(struct http_request *r, const struct http_response *response)
{
	invariant(r->live && !r->answered);
	connection_answer(r->connection, response);
	go_on(r->connection);
}

static void __attribute__((format(printf, 3, 0))) respond_problem(
	struct http_request *r, struct connection_problem *p, const char *format, va_list args)
{
	char detail[DETAIL_MAX];
	invariant(r->live && !r->answered);
	int n = vsnprintf(detail, sizeof(detail), format, args);
	if (p->status == 500 && p->code == NULL && !r->connection->server->config.development) {
		/* What went wrong inside is for the log, not for the client. */
		p->detail = SLICE("Internal error; the log tells more under this request_id");
	} else if (n > 0) {
		size_t most = sizeof(detail) - 1;
		p->detail = slice_of(detail, (size_t)n < most ? (size_t)n : most);
	}
	connection_problem(r->connection, p);
	go_on(r->connection);
}

void http_problem(struct http_request *r,
	int status,
	const char *code,
	unsigned retry_after_s,
	const char *format,
	...)
{
	struct connection_problem p = {
		.status = status,
		.code = code,
		.retry_after_s = retry_after_s,
	};
	va_list args;
	va_start(args, format);
	respond_problem(r, &p, format, args);
	va_end(args);
}

void http_problem_extra(struct http_request *r,
	int status,
	const char *code,
	unsigned retry_after_s,
	struct slice extra,
	const char *format,
	...)
{
	struct connection_problem p = {
		.status = status,
		.code = code,
		.retry_after_s = retry_after_s,
		.extra = extra,
	};
	va_list args;
	va_start(args, format);
	respond_problem(r, &p, format, args);
	va_end(args);
}
