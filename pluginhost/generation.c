#include "pluginhost/generation.h"

#include "common/base/clock.h"
#include "common/base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

const char *flavour_name(enum worker_flavour f)
{
	return f == WORKER_PYTHON ? "python" : "native";
}

enum { SPARE_BACKOFF_MIN_MS = 100, SPARE_BACKOFF_MAX_MS = 5000 };

/* Spares */

static void keep_spares(struct generation *g)
{
	if (!g->ready || g->ended || g->spare_waiting) {
		return;
	}
	int r = zygote_keep_spares(g->zygote, (unsigned)g->config.settings->spare_workers);
	if (r < 0 && r != -EPIPE && r != -EUSERS) {
		log_event(LOG_WARNING, "zygote.spare", "no process can wait ahead of a start: %s",
			strerror(-r));
	}
}

static void generation_on_spare_timer(void *arg)
{
	struct generation *g = arg;
	g->spare_waiting = false;
	keep_spares(g);
}

static void spare_ended(struct generation *g, const struct zygote_event *e)
{
	log_event(LOG_WARNING, "zygote.spare_ended",
		"a %s process that waited for a plugin ended (%s %d)%s%s",
		flavour_name(g->config.zygote.flavour), e->signal != 0 ? "signal" : "status",
		e->signal != 0 ? e->signal : e->status, e->message[0] == '\0' ? "" : ": ",
		e->message);
	g->spare_waiting = true;
	uvx_timer_once(&g->spare_timer, g->spare_backoff_ms);
	g->spare_backoff_ms = g->spare_backoff_ms * 2 > SPARE_BACKOFF_MAX_MS
		? SPARE_BACKOFF_MAX_MS
		: g->spare_backoff_ms * 2;
}

static void see_to_spares(struct generation *g, const struct zygote_event *e)
{
	switch (e->type) {
	case ZYGOTE_SPARE_ENDED:
		spare_ended(g, e);
		break;
	case ZYGOTE_WORKER_STARTED:
		g->spare_backoff_ms = SPARE_BACKOFF_MIN_MS;
		keep_spares(g);
		break;
	case ZYGOTE_READY:
	case ZYGOTE_WORKER_EXITED:
		keep_spares(g);
		break;
	case ZYGOTE_ENDED:
		break;
	}
}

static void give(struct generation *g, const struct zygote_event *e)
{
	if (e->type == ZYGOTE_READY) {
		g->ready = true;
		log_event(LOG_INFO, "zygote.ready", "the %s zygote serves after %llu ms",
			flavour_name(g->config.zygote.flavour),
			(unsigned long long)(clock_ms() - g->started_ms));
	}
	g->ended |= e->type == ZYGOTE_ENDED;
	g->config.on_event(g, e);
	see_to_spares(g, e);
}

static void drain(struct generation *g)
{
	struct zygote_event e;
	int r = 0;
	while (!g->ended && (r = zygote_next_event(g->zygote, &e)) == 1) {
		give(g, &e);
	}
	if (r < 0 && !g->ended) {
		log_event(LOG_ERROR, "zygote.events", "the %s zygote cannot be heard: %s",
			flavour_name(g->config.zygote.flavour), strerror(-r));
		e = (struct zygote_event){ .type = ZYGOTE_ENDED };
		give(g, &e);
	}
}

static void generation_on_ready(void *arg)
{
	struct generation *g = arg;
	drain(g);
	g->config.on_drained(g);
}

/* What the zygote says while it loads goes to the log like a plugin's output. */
static int open_log(struct generation *g)
{
	const struct settings *s = g->config.settings;
	log_budget_init(&g->log_budget, s->log_rate, s->log_burst, clock_ms());
	const struct logpipe_config c = {
		.loop = g->config.loop,
		.plugin = g->config.zygote.flavour == WORKER_PYTHON ? "(python zygote)"
								    : "(native zygote)",
		.version = "",
		.stream = "stderr",
		.budget = &g->log_budget,
		.line_max = s->log_line,
	};
	return logpipe_new(&g->log, &c, &g->config.zygote.log_fd);
}

static int open_parts(struct generation *g)
{
	int r = open_log(g);
	if (r < 0) {
		return r;
	}
	r = zygote_start(&g->config.zygote, &g->zygote);
	(void)close(g->config.zygote.log_fd);
	g->config.zygote.log_fd = -1;
	return r < 0 ? r
		     : uvx_poll_init(&g->poll, g->config.loop, zygote_fd(g->zygote),
			       generation_on_ready, g);
}

static void free_half_made(void *arg)
{
	free(arg);
}

int generation_new(struct generation **ret, const struct generation_config *config)
{
	struct generation *g = calloc(1, sizeof(*g));
	if (g == NULL) {
		return -ENOMEM;
	}
	g->config = *config;
	g->started_ms = clock_ms();
	g->spare_backoff_ms = SPARE_BACKOFF_MIN_MS;
	int r = open_parts(g);
	if (r < 0) {
		zygote_free(g->zygote);
		if (g->log != NULL) {
			logpipe_close(g->log, free_half_made, g);
		} else {
			free(g);
		}
		return r;
	}
	uvx_timer_init(&g->spare_timer, config->loop, generation_on_spare_timer, g);
	*ret = g;
	return 0;
}

static void generation_on_closed(void *arg)
{
	struct generation *g = arg;
	uvx_closed_fn closed = g->closed;
	void *closed_arg = g->closed_arg;
	zygote_free(g->zygote);
	free(g);
	if (closed != NULL) {
		closed(closed_arg);
	}
}

void generation_close(struct generation *g, uvx_closed_fn closed, void *arg)
{
	g->closed = closed;
	g->closed_arg = arg;
	uvx_closing_begin(&g->closing, generation_on_closed, g);
	uvx_timer_close(&g->spare_timer, uvx_closing_one, uvx_closing_add(&g->closing));
	uvx_poll_close(&g->poll, uvx_closing_one, uvx_closing_add(&g->closing));
	logpipe_close(g->log, uvx_closing_one, uvx_closing_add(&g->closing));
	uvx_closing_one(&g->closing);
}
