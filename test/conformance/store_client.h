/*
 * For tests: a store and its loop, used one command after the other or many at once. Mistakes of the
 * test itself end the program.
 */
#pragma once

#include "director/store/query/document.h"
#include "director/store/store.h"

#include <uv.h>

struct client {
	uv_loop_t loop;
	struct store_config config; /* may be changed between client_init() and client_open() */
	struct store *store;
	char why[256];
	bool closed;
};

/** @param uri mongodb://… or sqlite:////path; borrowed. */
void client_init(struct client *c, const char *uri);
/** @return what store_open() does; the reason is in `why`. */
int client_open(struct client *c);
/** Waits until the server is there. @return false: not within the time. */
bool client_wait_ready(struct client *c, unsigned ms);
void client_close(struct client *c);
void client_deinit(struct client *c);

/* An answer, copied; everything in it is the reply's. */
struct reply {
	enum store_error error;
	char message[STORE_MESSAGE_MAX];
	struct slice documents;
	uint64_t n;
	uint64_t modified;
	struct slice upserted_id;
	struct store_write_error *write_errors;
	size_t n_write_errors;
	uint64_t order; /* this was the nth answer of the client */
	bool done;
};

void reply_deinit(struct reply *r);

/** Submits; the answer is there when `done` is. `r` stays where it is until then. */
void client_submit(struct client *c,
	const struct store_scope *scope,
	const struct store_command *command,
	struct reply *r);

/** Runs the loop until all are done. */
void client_wait(struct client *c, const struct reply *replies, size_t n);

/** Submits and waits. */
void client_run(struct client *c,
	const struct store_scope *scope,
	const struct store_command *command,
	struct reply *r);
