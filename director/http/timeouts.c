/* What limits each state of a connection in time, and what becomes of one that is too slow. */
#include "director/http/states.h"

#include <stdio.h>

static void refuse_late(
	struct connection *c, const char *what, unsigned limit_ms, const char *setting)
{
	char text[200];
	(void)snprintf(
		text, sizeof(text), "%s within %g s (%s)", what, (double)limit_ms / 1000, setting);
	exchange_refuse(c, 408, text);
}

void connection_set_deadline(struct connection *c)
{
	static const enum deadline_kind kinds[CONNECTION_STATES] = {
		[CONNECTION_IDLE] = DEADLINE_KEEPALIVE,
		[CONNECTION_HEAD] = DEADLINE_HEADER,
		[CONNECTION_BODY] = DEADLINE_BODY,
		[CONNECTION_ANSWER] = DEADLINE_NONE,
		[CONNECTION_DISCARD] = DEADLINE_BODY,
		[CONNECTION_TUNNEL] = DEADLINE_NONE,
		[CONNECTION_LAST] = DEADLINE_SEND,
		[CONNECTION_LINGER] = DEADLINE_LINGER,
		[CONNECTION_CLOSED] = DEADLINE_NONE,
	};
	size_t queued = transport_queued(&c->transport);
	enum deadline_kind kind = queued > 0        ? DEADLINE_SEND
		: transport_is_ready(&c->transport) ? kinds[c->state]
						    : DEADLINE_HANDSHAKE;
	if (kind == DEADLINE_BODY && c->request.live && c->request.paused) {
		/* It is not the client that is slow. */
		kind = DEADLINE_NONE;
	}
	bool anew = kind != c->deadline.kind || c->progressed || kind == DEADLINE_BODY;
	if (anew && (kind != DEADLINE_NONE || c->deadline.kind != DEADLINE_NONE)) {
		deadline_set(&c->server->deadlines, &c->deadline, kind);
		c->unsent = kind == DEADLINE_SEND ? transport_unsent(&c->transport) : 0;
	}
	c->progressed = false;
}

void connection_expired(struct connection *c, enum deadline_kind kind)
{
	const struct http_limits *limits = &c->server->config.limits;
	if (kind == DEADLINE_SEND && transport_unsent(&c->transport) < c->unsent) {
		c->unsent = transport_unsent(&c->transport);
		deadline_set(&c->server->deadlines, &c->deadline, DEADLINE_SEND);
		return;
	}
	if (kind == DEADLINE_HEADER) {
		refuse_late(c, "the request head did not arrive", limits->header_ms,
			"MOZAIKS_HEADER_TIMEOUT_SECONDS");
	} else if (kind == DEADLINE_BODY && c->state == CONNECTION_BODY) {
		refuse_late(c, "nothing of the body arrived", limits->body_ms,
			"MOZAIKS_BODY_TIMEOUT_SECONDS");
	} else {
		c->doomed = true;
	}
	connection_tick(c, 0);
}

bool connection_is_crawling(const struct connection *c)
{
	uint64_t elapsed = uv_now(c->server->config.loop) - c->body_began;
	return elapsed > HTTP_BODY_GRACE_MS &&
		c->body_n * 1000 <
		(elapsed - HTTP_BODY_GRACE_MS) * c->server->config.limits.body_rate;
}

_Static_assert(HTTP_BODY_GRACE_MS == 5000, "what the client is told");

void connection_end_crawling(struct connection *c)
{
	struct http_refusal refusal = {
		.status = 408,
		.reason = "after its first 5 s the body arrived at less than",
		.limit = c->server->config.limits.body_rate,
		.limit_is = "bytes a second (MOZAIKS_MIN_BODY_RATE)",
	};
	if (c->state == CONNECTION_BODY) {
		exchange_refuse_with(c, &refusal);
	} else {
		c->doomed = true;
	}
	connection_tick(c, 0);
}
