/*
 * The main job: POST /api/execute/{plugin}, steps 2 to 9 in the order of the design. Each step is a
 * file with its name: ../auth, ../hosts/registry.c, admit.c, inject.c, dispatch.c, the worker's
 * runtime, answer.c. Loop thread.
 */
#pragma once

#include "director/http/http.h"

/* The route's handler; its owner is the struct director. */
extern const struct http_handler execute_handler;

/** Step 2 alone, for other routes: the caller, or NULL after answering with a 401. */
struct director;
struct user_context;
struct user_context *execute_authenticate(struct director *d, struct http_request *r);
