/* HTTP to the director over its admin socket. */
#pragma once

#include "common/base/buffer.h"
#include "director/ctl/ctl.h"

struct client_request {
	const char *path;
	bool post;          /* else GET */
	struct slice body;  /* JSON, with post */
	const char *bearer; /* NULL: none */
};

struct client_answer {
	int status;
	bool problem; /* application/problem+json: the runtime's own error */
	struct buffer body;
};

/**
 * Sends one request and waits for its answer, up to the command line's timeout.
 * @param ret for client_answer_deinit(), with CTL_OK only; any HTTP status is CTL_OK.
 * @return CTL_OK, or after a message CTL_NOT_RUNNING, CTL_NOT_FOUND (the socket may not be used),
 *   CTL_FAILURE.
 */
int client_send(
	const struct ctl *ctl, const struct client_request *request, struct client_answer *ret);

void client_answer_deinit(struct client_answer *a);

/** Turns an answer that is no success into its message. @return its exit status. */
int client_refusal(const struct client_answer *answer);
