/* The inside of an execution, for execute.c and execute_stream.c. */
#pragma once

#include "director/execute/call.h"
#include "director/execute/execute.h"

struct execution_stream;

/* What a request has found on its way, from its head to its answer. */
struct execution {
	struct director *director;
	const struct execution_client *client;
	void *client_owner;
	struct user_context *user;
	struct plugin *plugin;
	struct call *call;               /* while it is with dispatch */
	struct execution_stream *stream; /* NULL: answer and body are short */
	struct idempotency_entry *kept;  /* its answer is to be kept */
	bool *told_running;              /* during execution_run_with_body() */
};

extern const struct call_stream_events execution_stream_events;

/** The client hears why there is no result. It may free the execution. */
void execution_problem(struct execution *x,
	int status,
	const char *code,
	unsigned retry_after_s,
	const char *format,
	...) __attribute__((format(printf, 5, 6)));

/** The plugin's JSON value, judged and sent. It may free the execution. */
void execution_answer_value(struct execution *x, struct slice text);

/** What the plugin raised is for its author. */
void execution_log_exception(struct execution *x, struct slice body);

/** @param message_bytes not 0: it is a WebSocket with messages of that size.
 * @return NULL without memory. */
struct execution_stream *execution_stream_new(size_t message_bytes);
/** NULL is allowed. */
void execution_stream_free(struct execution_stream *s);

/** The call is over. @return true when the client has been told; false: it has seen nothing yet, and gets
 * the usual answer. */
bool execution_stream_done(struct execution *x,
	const struct call *c,
	enum call_end end,
	const struct msg_result *result);
