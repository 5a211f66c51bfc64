/*
 * The main job: a plugin's execute(), steps 2 to 9 in the order of the design. Each step is a file with
 * its name: ../auth, ../hosts/registry.c, admit.c, inject.c, dispatch.c, the worker's runtime,
 * answer.c. It is asked for by POST /api/execute/{plugin} (execute_http.c) and by messages on
 * WebSockets (../websocket/execute.c), which differ in how the answer travels only. Loop thread.
 */
#pragma once

#include "director/execute/idempotency.h"
#include "director/http/http.h"

struct director;
struct execution;
struct user_context;

/* Why there is no result; http_problem() says what the members are. */
struct execution_problem {
	int status;
	const char *code;
	unsigned retry_after_s;
	struct slice extra; /* more members, as JSON */
	struct slice detail;
};

/* Who asked. Of `respond` and `problem` exactly one is called, once, from within a call of this file or
 * later; the execution may be freed in it. */
struct execution_client {
	/* The plugin's answer, with its status. */
	void (*respond)(void *owner, const struct http_response *response);
	void (*problem)(void *owner, const struct execution_problem *problem);
	/* What the request is called in the log. */
	struct slice (*request_id)(void *owner);

	/* An answer in pieces, instead of `respond`; after `begin`, `end` or `cut` takes the place of
	 * `problem`. NULL, all of them: this client cannot take such answers. `begin` may be followed by
	 * execution_abandon() only when it has returned. */
	void (*begin)(void *owner, const struct http_response *head);
	/* @return false when it had to wait: execution_sent() follows. */
	bool (*piece)(void *owner, struct slice piece);
	void (*end)(void *owner);
	/* It will not be completed, and the client is to see that. @param stopped by the runtime: the plugin
	 * has not failed, and it is worth another try. */
	void (*cut)(void *owner, bool stopped);
	/* A WebSocket: a piece of a message, flags as in enum data_flag; with DATA_LAST the plugin closes,
	 * and the piece is its code and reason. @return as `piece`. */
	bool (*message)(void *owner, struct slice piece, uint8_t flags);
	/* A body, or messages, that go to the plugin in pieces: may there be more of it? */
	void (*want_body)(void *owner, bool want);

	/* A traceparent for what the request calls. May be NULL. */
	struct slice (*trace)(void *owner);
	/* What a step took. May be NULL. */
	void (*timing)(void *owner, const char *step, uint64_t ns);
	/* What is left of the limits of the request. May be NULL. */
	void (*quota)(void *owner, const struct http_quota *quota);
};

/** @return an execution for that user, or NULL without memory. */
struct execution *execution_new(struct director *d,
	struct user_context *user,
	const struct execution_client *client,
	void *owner);

/** It is answered, or was abandoned. NULL is allowed. @return NULL. */
struct execution *execution_free(struct execution *x);

/** Step 3: a plugin that is known, enabled and not broken. @return false after telling the client. */
bool execution_find_plugin(struct execution *x, struct slice name);

/**
 * Steps 4 to 9.
 * @param body the client's JSON; it is needed during the call only.
 * @param repeatable it may run twice when its worker dies: the client said so.
 */
void execution_run(struct execution *x, struct slice body, bool repeatable);

/** Steps 4 to 9 for a request whose body follows through execution_body(). @param data the object that
 * execute() gets, as execution_run()'s body. @return false after telling the client. */
bool execution_run_with_body(struct execution *x, struct slice data);

/** The next piece of the body, valid during the call, until `want_body` says no. */
void execution_body(struct execution *x, struct slice piece, bool last);

/** Steps 4 to 9 for a WebSocket; as execution_run_with_body(). @param message_bytes of one message. */
bool execution_run_socket(struct execution *x, struct slice data, size_t message_bytes);

/** A whole message for the plugin, when `want_body` does not say no. */
void execution_message(struct execution *x, bool binary, struct slice message);

/** The client has closed. The plugin is told, and its call goes on for a while, so that it can put away
 * what it has; `end` or `cut` follow. */
void execution_socket_closed(struct execution *x, uint16_t code);

/** What `piece` said had to wait has gone. */
void execution_sent(struct execution *x);

/** Its plugin takes bodies of any kind in pieces; after execution_find_plugin(). */
bool execution_takes_uploads(const struct execution *x);

/**
 * The client's Idempotency-Key.
 * @param ret_answer with IDEMPOTENCY_KEPT.
 * @return IDEMPOTENCY_*; with NEW the execution holds the key until it is freed or execution_keep() was
 *   called; or -ENOMEM.
 */
int execution_begin_once(struct execution *x,
	struct slice key,
	struct slice body,
	struct idempotency_answer *ret_answer);

/** An answer of the plugin: kept if the client has sent a key. */
void execution_keep(struct execution *x, const struct http_response *response);

/** The client is gone: it hears nothing any more, and the plugin's call is cancelled. */
void execution_abandon(struct execution *x);

/* The route's handler; its owner is the struct director. */
extern const struct http_handler execute_handler;

/** Step 2 alone, for other routes: the caller, or NULL after answering with a 401, or with a 503 while
 * the keys of the issuer are not known. */
struct user_context *execute_authenticate(struct director *d, struct http_request *r);

/** The same with a token that would have to be exchanged first (auth_verify_any()). */
struct user_context *execute_authenticate_any(struct director *d, struct http_request *r);
