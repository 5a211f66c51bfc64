/* From a head to a request: what the server itself says to it, else the route whose handler gets it. */
#include "common/base/error.h"
#include "director/http/site.h"
#include "director/http/states.h"

#include <stdio.h>
#include <stdlib.h>

/* How long a browser may remember what it was allowed; the most that any of them takes. */
#define PREFLIGHT_AGE_S "7200"

/* What a browser asks before it lets a page of another origin send a request. The headers that it
 * names are all allowed: the origin is one that the operator trusts. @return how many were set. */
static size_t preflight_headers(
	const struct connection *c, struct slice methods, struct http_header ret[static 3])
{
	const struct http_head *h = &c->request.head;
	const struct http_site *site = c->server->config.site;
	if (site == NULL || h->origin.p == NULL || !site_trusts(site, h->origin) ||
		head_find(h, SLICE("Access-Control-Request-Method")).p == NULL) {
		return 0;
	}
	size_t n = 0;
	ret[n++] = (struct http_header){ SLICE("Access-Control-Allow-Methods"), methods };
	ret[n++] = (struct http_header){ SLICE("Access-Control-Max-Age"), SLICE(PREFLIGHT_AGE_S) };
	struct slice wanted = head_find(h, SLICE("Access-Control-Request-Headers"));
	if (wanted.n > 0) {
		ret[n++] = (struct http_header){ SLICE("Access-Control-Allow-Headers"), wanted };
	}
	return n;
}

/* An answer of the server's own to a request that no handler knows. */
static void answer_unrouted(struct connection *c, int status, unsigned allowed, const char *detail)
{
	if (status != 204) {
		struct connection_problem problem = {
			.status = status,
			.allowed = allowed,
			.detail = slice_str(detail),
		};
		connection_problem(c, &problem);
		return;
	}
	char allow[64];
	router_allow(allowed, allow);
	struct http_header headers[4] = { { SLICE("Allow"), slice_str(allow) } };
	size_t n = 1 + preflight_headers(c, slice_str(allow), headers + 1);
	struct http_response response = { .status = 204, .headers = headers, .n_headers = n };
	connection_answer(c, &response);
}

/* Does its address send too many? @return false when the request is answered already. */
static bool take_rate(struct connection *c)
{
	struct http_server *s = c->server;
	if (s->addresses == NULL || !c->has_peer) {
		return true;
	}
	const struct address *client = &connection_forwarded(c)->client;
	if (c->trusted && proxies_trust(s->config.proxies, client)) {
		/* It has not said whose this is, and is not to suffer for all of them. */
		return true;
	}
	struct address key = address_client(client);
	struct limit_state state;
	struct limit limit = limiter_limit(s->addresses);
	limiter_take(s->addresses, slice_of(&key, sizeof(key)), uv_now(s->config.loop), &state);
	const struct http_quota quota = {
		.name = "address",
		.n = limit.n,
		.window_s = (unsigned)(limit.window_ms / 1000),
		.left = state.left,
		.full_s = (unsigned)((state.full_ms + 999) / 1000),
	};
	http_request_set_quota(&c->request, &quota);
	if (!state.allowed) {
		char text[120];
		(void)snprintf(text, sizeof(text),
			"More than %llu requests a minute from this address "
			"(MOZAIKS_RATE_PER_ADDRESS)",
			(unsigned long long)limit.n);
		struct connection_problem problem = {
			.status = 429,
			.code = "too_many_requests",
			.retry_after_s = (unsigned)((state.retry_ms + 999) / 1000),
			.detail = slice_str(text),
		};
		connection_problem(c, &problem);
	}
	return state.allowed;
}

/* Finds the route. @return false when the request is answered already. */
static bool route_request(struct connection *c)
{
	struct http_request *r = &c->request;
	struct http_refusal refusal;
	struct slice path;
	const struct http_site *site = c->server->config.site;
	struct slice asked = c->trusted ? connection_forwarded(c)->host : SLICE_NULL;
	if (site != NULL && !site_serves(site, asked.n > 0 ? asked : r->head.host)) {
		answer_unrouted(c, 421, 0, "this host is not served here (ALLOWED_HOSTS)");
		return false;
	}
	if (r->head.asterisk) {
		answer_unrouted(c, 204, (1U << HTTP_M_OTHER) - 1, NULL);
		return false;
	}
	if (!path_is_plain(r->path)) {
		r->decoded = malloc(r->path.n);
		if (r->decoded == NULL) {
			answer_unrouted(c, 503, 0, "out of memory");
			return false;
		}
	}
	if (!path_decode(r->path, r->decoded, &path, &refusal)) {
		answer_unrouted(c, refusal.status, 0, refusal.reason);
		return false;
	}
	switch (router_match(c->server->router, r->head.method, path, &r->match)) {
	case ROUTE_FOUND:
		return true;
	case ROUTE_UNKNOWN:
		answer_unrouted(c, 404, 0, "Not Found");
		return false;
	case ROUTE_METHOD:
		if (r->head.method == HTTP_M_OPTIONS) {
			answer_unrouted(c, 204, r->match.allowed, NULL);
		} else {
			answer_unrouted(c, 405, r->match.allowed, "Method Not Allowed");
		}
		return false;
	}
	return false;
}

/* A complete head. */
static void take_request(struct connection *c)
{
	struct http_request *r = &c->request;
	struct http_refusal refusal;
	struct slice in = slice_of(c->block->bytes + c->begin, c->end - c->begin);
	if (!head_parse(&r->head, &c->guard, in, &refusal)) {
		exchange_refuse_with(c, &refusal);
		return;
	}
	exchange_begin(c);
	if (take_rate(c) && route_request(c)) {
		const struct http_route *route = r->match.route;
		if (route->handler->on_head != NULL) {
			bool accepted = route->handler->on_head(route->owner, r);
			invariant(accepted || r->answered);
			r->seen = accepted;
		}
	}
	if (r->answered) {
		exchange_finish(c);
	} else {
		connection_begin_body(c);
	}
}

bool connection_step_head(struct connection *c)
{
	/* A client that does not take its answers gets no more of them. */
	if (transport_queued(&c->transport) > 0) {
		return false;
	}
	if (c->end == c->begin) {
		c->doomed = c->ended || c->server->draining;
		return false;
	}
	if (c->batch == 0) {
		server_add_ready(c->server, c);
		return false;
	}
	struct slice in = slice_of(c->block->bytes + c->begin, c->end - c->begin);
	switch (guard_scan(&c->guard, in, c->server->config.limits.head_bytes)) {
	case GUARD_MORE:
		c->doomed = c->ended;
		return false;
	case GUARD_REFUSED:
		exchange_refuse_with(c, &c->guard.refusal);
		return true;
	case GUARD_OK:
		if (c->server->block_size - c->begin - c->guard.head_end < HTTP_BLOCK_EXTRA) {
			/* Behind the head there must be room for the pieces of its body. */
			connection_pack(c);
		}
		c->batch--;
		take_request(c);
		return true;
	}
	return false;
}
