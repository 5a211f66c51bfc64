/*
 * The control channel to the director: a plain unix socket to <run>/control/<name>.sock that speaks
 * pair0 (common/proto/pair0.h) and carries control frames (common/proto/messages.h).
 *
 * The director is trusted to be what it is, its bytes are still checked: an unknown type, a wrong
 * direction, a frame that does not decode or a message over MESSAGE_MAX ends the connection, and so
 * does a director that does not read (CONTROL_QUEUE_MAX). Then it is connected again, after 50 ms,
 * doubling up to 1 s, for ever.
 *
 * States: WAITING (timer) -> SHAKING (connected, hands not shaken yet) -> UP -> CLOSING -> WAITING.
 * Thread: the loop's.
 */
#pragma once

#include "common/proto/messages.h"
#include "common/uvx/close.h"

#include <uv.h>

enum {
	CONTROL_BACKOFF_MIN_MS = 50,
	CONTROL_BACKOFF_MAX_MS = 1000,
	/* A connection that lived this long was a good one: the back-off begins anew. */
	CONTROL_GOOD_MS = 1000,
	/* Bytes that the director has not read yet. */
	CONTROL_QUEUE_MAX = 16 * 1024 * 1024,
};

struct control;

/* What the director says. All run on the loop; none may free the control. */
struct control_handler {
	/* Hands are shaken: say HOST first. */
	void (*up)(void *context);
	/* The connection is gone; what was sent may not have arrived. Only after up(), and never from
	 * within another function of this file. */
	void (*down)(void *context);
	void (*discover)(void *context);
	void (*start)(void *context, uint64_t worker_id, struct slice spec);
	void (*kill)(void *context, uint64_t worker_id);
	void (*limits)(void *context, uint64_t worker_id, struct slice limits);
	void (*serves)(void *context, uint64_t worker_id);
	void *context;
};

/**
 * @param run_path the run directory; @param name of this pluginhost. Both borrowed.
 * @return 0 or -ENOMEM. Connecting begins with control_start().
 */
int control_new(struct control **ret,
	uv_loop_t *loop,
	const char *run_path,
	const char *name,
	const struct control_handler *handler);

void control_start(struct control *c);

bool control_is_up(const struct control *c);

/**
 * Sends one frame as a message of its own.
 * @param frame bytes of a whole frame, as the msg_*_append() functions make them.
 * @return 0; -ENOTCONN when there is no connection; another negative errno when this broke it.
 */
int control_send(struct control *c, struct slice frame);

/** Ends and frees it; what the kernel has not taken yet is lost. */
void control_close(struct control *c, uvx_closed_fn closed, void *arg);

/**
 * Takes one message apart and calls the handler for each frame.
 * @return NULL, or what is wrong with it; the frames before that were handled. Pure: for the tests
 *   and the fuzz target.
 */
const char *control_dispatch(struct slice message, const struct control_handler *handler);

/**
 * Connects a unix stream socket without following a link anywhere in `path`.
 * @param dir_fd the directory that `path` may not leave.
 * @return a non-blocking descriptor; -ENOTSOCK when there is something else; another -errno.
 */
int control_connect(int dir_fd, const char *path);
