#include "pluginhost/logpipe.h"

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/base/map.h"
#include "common/uvx/poll.h"
#include "common/uvx/timer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NAME_SIZE = 72, VERSION_SHOWN = 12 };

struct logpipe {
	char plugin[NAME_SIZE];
	char version[NAME_SIZE];
	char worker[24];
	const char *stream;
	struct log_budget *budget;
	struct log_tail *tail;
	int fd;
	bool ended;
	bool dropping; /* the last line did not fit */
	size_t in_period;
	struct log_lines lines;
	struct uvx_poll poll;
	/* Runs while there is something to count. */
	struct uvx_timer period;
	bool counting;
	struct uvx_closing closing;
	uvx_closed_fn closed;
	void *closed_arg;
};

struct log_budget_entry {
	/* First: what is given out is this entry. */
	struct log_budget budget;
	char plugin[NAME_SIZE];
	unsigned refs;
	UT_hash_handle hh;
};

struct log_budget *log_budgets_ref(struct log_budgets *b, const char *plugin)
{
	struct log_budget_entry *e;
	HASH_FIND_STR(b->by_plugin, plugin, e);
	if (e == NULL) {
		e = calloc(1, sizeof(*e));
		if (e == NULL) {
			return NULL;
		}
		(void)snprintf(e->plugin, sizeof(e->plugin), "%s", plugin);
		log_budget_init(&e->budget, b->rate, b->burst, clock_ms());
		HASH_ADD_STR(b->by_plugin, plugin, e);
		if (e->hh.tbl == NULL) {
			free(e);
			return NULL;
		}
	}
	e->refs++;
	return &e->budget;
}

void log_budgets_unref(struct log_budgets *b, struct log_budget *budget)
{
	struct log_budget_entry *e = (struct log_budget_entry *)budget;
	if (e != NULL && --e->refs == 0) {
		HASH_DEL(b->by_plugin, e);
		free(e);
	}
}

/* Lines */

void log_lines_init(struct log_lines *l, size_t max)
{
	l->n = 0;
	l->cut = 0;
	l->max = max < LOGPIPE_LINE_MAX ? max : LOGPIPE_LINE_MAX;
}

static void add_bytes(struct log_lines *l, struct slice bytes)
{
	size_t room = l->max - l->n;
	size_t n = bytes.n < room ? bytes.n : room;
	memcpy(l->line + l->n, bytes.p, n);
	l->n += n;
	l->cut += bytes.n - n;
}

static void end_line(struct log_lines *l,
	void (*emit)(void *context, struct slice line, size_t cut),
	void *context)
{
	if (l->n > 0 && l->cut == 0 && l->line[l->n - 1] == '\r') {
		l->n--;
	}
	emit(context, slice_of(l->line, l->n), l->cut);
	l->n = 0;
	l->cut = 0;
}

void log_lines_feed(struct log_lines *l,
	struct slice bytes,
	void (*emit)(void *context, struct slice line, size_t cut),
	void *context)
{
	while (bytes.n > 0) {
		const uint8_t *end = memchr(bytes.p, '\n', bytes.n);
		struct slice part =
			slice_of(bytes.p, end == NULL ? bytes.n : (size_t)(end - bytes.p));
		add_bytes(l, part);
		if (end == NULL) {
			return;
		}
		end_line(l, emit, context);
		bytes = slice_skip(bytes, part.n + 1);
	}
}

void log_lines_end(struct log_lines *l,
	void (*emit)(void *context, struct slice line, size_t cut),
	void *context)
{
	if (l->n > 0 || l->cut > 0) {
		end_line(l, emit, context);
	}
}

/* Records */

static void emit_line(void *context, struct slice line, size_t cut)
{
	struct logpipe *l = context;
	uint64_t now_ms = clock_ms();
	if (l->tail != NULL) {
		log_tail_add(l->tail, line);
	}
	l->dropping = !log_budget_take(l->budget, line.n + LOG_RECORD_COST, now_ms);
	if (l->dropping) {
		return;
	}
	const struct log_field fields[] = {
		{ "plugin", slice_str(l->plugin) },
		{ "version", slice_of(l->version, strnlen(l->version, VERSION_SHOWN)) },
		{ "worker", slice_str(l->worker) },
		{ "stream", slice_str(l->stream) },
		{ "line", line },
	};
	if (cut > 0) {
		log_fields(LOG_INFO, "plugin.output", fields, 5,
			"%s: a line of which %zu bytes are cut off", l->plugin, cut);
	} else {
		log_fields(LOG_INFO, "plugin.output", fields, 5, "%s", l->plugin);
	}
}

/* Reading */

/* Takes up to `max` bytes. @return false when the writers are gone. */
static bool read_some(struct logpipe *l, size_t max)
{
	uint8_t bytes[16 * 1024];
	size_t got = 0;
	while (got < max) {
		ssize_t n = read(l->fd, bytes, sizeof(bytes));
		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0 && errno == EAGAIN) {
			return true;
		}
		if (n <= 0) {
			return false;
		}
		got += (size_t)n;
		l->in_period += (size_t)n;
		log_lines_feed(&l->lines, slice_of(bytes, (size_t)n), emit_line, l);
	}
	return true;
}

static bool floods(const struct logpipe *l)
{
	return l->in_period >= (size_t)(l->dropping ? LOGPIPE_DROP_BYTES : LOGPIPE_FLOOD_BYTES);
}

static void logpipe_read(struct logpipe *l)
{
	if (!l->counting) {
		l->counting = true;
		uvx_timer_once(&l->period, LOGPIPE_PAUSE_MS);
	}
	if (!read_some(l, LOGPIPE_READ_BYTES)) {
		l->ended = true;
		log_lines_end(&l->lines, emit_line, l);
		(void)uvx_poll_pause(&l->poll);
		return;
	}
	if (floods(l)) {
		(void)uvx_poll_pause(&l->poll);
	}
}

static void logpipe_on_ready(void *arg)
{
	logpipe_read(arg);
}

/* The period is over: whoever flooded may go on. */
static void logpipe_on_period(void *arg)
{
	struct logpipe *l = arg;
	bool paused = floods(l);
	l->in_period = 0;
	l->counting = false;
	log_budget_report(l->budget, slice_str(l->plugin), clock_ms(), false);
	if (l->budget->dropped_lines > 0) {
		l->counting = true;
		uvx_timer_once(&l->period, LOGPIPE_PAUSE_MS);
	}
	if (paused && !l->ended) {
		(void)uvx_poll_resume(&l->poll);
	}
}

/* Life */

static void logpipe_on_closed(void *arg)
{
	struct logpipe *l = arg;
	uvx_closed_fn closed = l->closed;
	void *closed_arg = l->closed_arg;
	(void)close(l->fd);
	free(l);
	if (closed != NULL) {
		closed(closed_arg);
	}
}

static int open_pipe(int ret[static 2])
{
	if (pipe2(ret, O_CLOEXEC) < 0) {
		return -errno;
	}
	/* Only our end: the worker's writes wait as writes to a pipe do. */
	if (fcntl(ret[0], F_SETFL, O_NONBLOCK) < 0) {
		int e = -errno;
		(void)close(ret[0]);
		(void)close(ret[1]);
		return e;
	}
	return 0;
}

int logpipe_new(struct logpipe **ret, const struct logpipe_config *config, int *ret_write_fd)
{
	int fds[2];
	struct logpipe *l = calloc(1, sizeof(*l));
	int r = l == NULL ? -ENOMEM : open_pipe(fds);
	if (r < 0) {
		free(l);
		return r;
	}
	(void)snprintf(l->plugin, sizeof(l->plugin), "%s", config->plugin);
	(void)snprintf(l->version, sizeof(l->version), "%s", config->version);
	(void)snprintf(l->worker, sizeof(l->worker), "%llu", (unsigned long long)config->worker_id);
	l->stream = config->stream;
	l->budget = config->budget;
	l->tail = config->tail;
	l->fd = fds[0];
	log_lines_init(&l->lines, config->line_max);
	r = uvx_poll_init(&l->poll, config->loop, l->fd, logpipe_on_ready, l);
	if (r < 0) {
		(void)close(fds[0]);
		(void)close(fds[1]);
		free(l);
		return r;
	}
	uvx_timer_init(&l->period, config->loop, logpipe_on_period, l);
	*ret = l;
	*ret_write_fd = fds[1];
	return 0;
}

void logpipe_close(struct logpipe *l, uvx_closed_fn closed, void *arg)
{
	if (!l->ended) {
		(void)read_some(l, LOGPIPE_FLOOD_BYTES);
		log_lines_end(&l->lines, emit_line, l);
		l->ended = true;
	}
	log_budget_report(l->budget, slice_str(l->plugin), clock_ms(), true);
	l->closed = closed;
	l->closed_arg = arg;
	uvx_closing_begin(&l->closing, logpipe_on_closed, l);
	uvx_poll_close(&l->poll, uvx_closing_one, uvx_closing_add(&l->closing));
	uvx_timer_close(&l->period, uvx_closing_one, uvx_closing_add(&l->closing));
	uvx_closing_one(&l->closing);
}
