/*
 * The last lines that somebody wrote: a bounded text from which whole lines are dropped at the front
 * to make room at the end. For the history of what a process said before it ended.
 *
 * Takes no memory before the first line. Not thread-safe.
 */
#pragma once

#include "common/base/buffer.h"

enum {
	/* A longer line is cut. */
	LOG_TAIL_LINE_MAX = 512,
};

struct log_tail {
	struct buffer text; /* lines, each with its line end; the limit is the buffer's */
};

/** @param max bytes of all lines together; 0 keeps nothing. */
void log_tail_init(struct log_tail *t, size_t max);
void log_tail_deinit(struct log_tail *t);

/** Adds a line; line ends in it become blanks. Without memory it is dropped. */
void log_tail_add(struct log_tail *t, struct slice line);

/** Appends ["…","…"], oldest first. @return 0, -ENOBUFS, -ENOMEM. */
int log_tail_append_json(const struct log_tail *t, struct buffer *out);
