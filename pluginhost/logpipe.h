/*
 * What workers write to stdout and stderr: read from pipes, cut into lines, logged as records with
 * the plugin's name. The bytes are hostile: control bytes are escaped by the log, lines are cut, and
 * all workers of a plugin together have a budget (64 KiB/s, burst 256 KiB). What is over it is
 * dropped and counted ("dropped 17 lines, 1380 bytes").
 *
 * In LOGPIPE_PAUSE_MS a pipe is read at most LOGPIPE_FLOOD_BYTES, and once its lines are dropped
 * LOGPIPE_DROP_BYTES: to drop what a writer never tires of costs both processors that others need.
 * It slows down only its writer. Thread: the loop's.
 */
#pragma once

#include "common/base/log_budget.h"
#include "common/base/log_tail.h"
#include "common/base/slice.h"
#include "common/uvx/close.h"

#include <uv.h>

enum {
	/* Read from one pipe before others have their turn. */
	LOGPIPE_READ_BYTES = 64 * 1024,
	LOGPIPE_FLOOD_BYTES = 1024 * 1024,
	/* No less than a pipe holds: one who stops writing is not held up. */
	LOGPIPE_DROP_BYTES = 64 * 1024,
	LOGPIPE_PAUSE_MS = 100,
	/* The longest line that the log takes, LOG_VALUE_MAX. */
	LOGPIPE_LINE_MAX = 8192,
};

/* The budgets of all plugins that have a worker. */
struct log_budgets {
	uint64_t rate;
	uint64_t burst;
	struct log_budget_entry *by_plugin;
};

/** The budget of a plugin, for one more user of it. @return NULL without memory. */
struct log_budget *log_budgets_ref(struct log_budgets *b, const char *plugin);

/** One user less; the last one takes it away. NULL is fine. */
void log_budgets_unref(struct log_budgets *b, struct log_budget *budget);

/* Bytes into lines; pure. */
struct log_lines {
	uint8_t line[LOGPIPE_LINE_MAX];
	size_t n;
	size_t max;
	/* The rest of the line in work is over `max` and thrown away. */
	size_t cut;
};

void log_lines_init(struct log_lines *l, size_t max);

/**
 * Feeds bytes; `emit` gets each line without its end, with the number of bytes cut off it.
 * \n and \r\n end a line; so does the end of the stream, with log_lines_end().
 */
void log_lines_feed(struct log_lines *l,
	struct slice bytes,
	void (*emit)(void *context, struct slice line, size_t cut),
	void *context);
void log_lines_end(struct log_lines *l,
	void (*emit)(void *context, struct slice line, size_t cut),
	void *context);

struct logpipe;

struct logpipe_config {
	uv_loop_t *loop;
	/* Copied. `stream` is "stdout" or "stderr"; all for the record. */
	const char *plugin;
	const char *version;
	const char *stream;
	uint64_t worker_id;
	/* The plugin's; its pipes share it. It outlives them. */
	struct log_budget *budget;
	size_t line_max;
	/* Gets each line, whether or not the budget lets it into the log; NULL: nobody. It outlives
	 * them, too. */
	struct log_tail *tail;
};

/**
 * Makes a pipe and reads its one end.
 * @param ret_write_fd the other end, blocking and close-on-exec; the caller closes it.
 * @return 0 or a negative errno.
 */
int logpipe_new(struct logpipe **ret, const struct logpipe_config *config, int *ret_write_fd);

/**
 * Frees it after what the pipe still holds was logged, up to one flood's worth: for a writer that
 * is gone.
 * @param closed may be NULL.
 */
void logpipe_close(struct logpipe *l, uvx_closed_fn closed, void *arg);
