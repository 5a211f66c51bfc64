/* The server's inside, for director/http only. */
#pragma once

#include "common/base/limiter.h"
#include "common/uvx/later.h"
#include "common/uvx/listener.h"
#include "director/http/connection.h"
#include "director/http/crowd.h"
#include "director/http/response.h"

enum { HTTP_FREE_BLOCKS_MAX = 256, HTTP_JUNK = 16 * 1024 };

/* A listening socket. */
struct http_listener {
	struct uvx_listener listener;
	struct http_server *server;
	struct http_listener *prev;
	struct http_listener *next;
	bool full; /* a connection waits there that was not accepted */
};

struct http_server {
	struct http_config config;
	struct router *router;
	struct http_listener *listeners;
	struct crowd crowd;
	struct limiter *addresses; /* by rate; NULL: any number */
	struct connection *connections;
	unsigned n_connections;
	struct connection *ready;
	unsigned n_ready;
	struct deadlines deadlines;
	struct uvx_later later;
	struct uvx_timer retry;      /* of accepting, after it failed */
	uint64_t silent_until;       /* ms of the loop, for the log of that */
	uint64_t crowd_silent_until; /* the same, of addresses with too many connections */

	/* What is to be written for `out_owner`, until its tick ends. */
	struct buffer out;
	struct connection *out_owner;
	struct buffer words;       /* of an error answer, while it is made */
	struct secure_hub *secure; /* NULL: TCP is plain */
	struct response_clock clock;
	struct request_ids ids;

	size_t block_size;
	struct block *free_blocks;
	unsigned n_free_blocks;
	uint8_t junk[HTTP_JUNK]; /* where bytes go that nobody will read */

	bool draining;
	bool drained;
	void (*drain_done)(void *arg);
	void *drain_arg;
	bool closing; /* http_server_close() was called */
	bool handles_closed;
	bool closed;
	struct uvx_closing closes;
	void (*close_done)(void *arg);
	void *close_arg;
};

/** A block from the spare ones or the heap; NULL without memory. */
struct block *server_take_block(struct http_server *s);
void server_give_block(struct http_server *s, struct block *b);

/** Lets the connection go on in the next turn. */
void server_add_ready(struct http_server *s, struct connection *c);
void server_remove_ready(struct http_server *s, struct connection *c);

/** Counts a new connection to its address. @return false: that one has enough. */
bool server_admits(struct http_server *s, struct connection *c);

/** A connection is no more: its memory goes, and another one may be accepted. */
void server_connection_closed(struct http_server *s, struct connection *c);
