/*
 * What the files share that move a connection through its states: connection.c has the states and
 * the loop over them, intake.c what a head leads to, body.c what a body does, exchange.c where a
 * request begins and ends, input.c what arrives, timeouts.c what came too late. For these only.
 */
#pragma once

#include "director/http/server.h"

/** Goes to another state. The table in connection.c says from which; any other way is a defect. */
void connection_enter(struct connection *c, enum connection_state state);

/* Steps do what their state can do now. @return true to go on, false to wait. */
bool connection_step_head(struct connection *c);
bool connection_step_body(struct connection *c);

/** Where the stream's bytes go, and what it tells. */
extern const struct uvx_stream_ops connection_stream_ops;

/** What was read and not used. */
static inline struct slice connection_unread(const struct connection *c)
{
	return slice_of(c->block == NULL ? NULL : c->block->bytes + c->taken, c->end - c->taken);
}

/** Moves the start of the next request to the front of the block; no slice may point at it yet. */
void connection_pack(struct connection *c);

/** The request begins: its head is parsed. */
void exchange_begin(struct connection *c);

/** It ends, answered or not; what came after it becomes the next one. Does nothing without one. */
void exchange_end(struct connection *c);

/** It is answered: ends it, and goes to the state that comes next. */
void exchange_finish(struct connection *c);

/** The server itself ends the request at hand, or what was to become one, with an error. */
void exchange_refuse(struct connection *c, int status, const char *reason);
void exchange_refuse_with(struct connection *c, const struct http_refusal *refusal);

/** The handler wants the body: refuses it, or decides where it goes and lets a client that asked send
 * it. */
void connection_begin_body(struct connection *c);

/** The handler of an answer in pieces waits for what it has said to be with the kernel: tells it.
 * @return false: it is not yet. */
bool connection_tell_sent(struct connection *c);

/** True when a body has been coming too slowly for too long. */
bool connection_is_crawling(const struct connection *c);

/** Gives up such a one. */
void connection_end_crawling(struct connection *c);
