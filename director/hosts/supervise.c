#include "director/hosts/supervise.h"

#include "common/base/log.h"
#include "director/director.h"
#include "director/execute/dispatch.h"
#include "director/hosts/control.h"
#include "director/hosts/worker.h"

#include <stdlib.h>

enum {
	FIRST_BACK_OFF_MS = 100,
	BACK_OFF_MAX_MS = 60000,
	BACK_OFF_DOUBLINGS = 10,
	HEALTHY_MS = 60000,
};

void supervise_on_timer(void *plugin)
{
	struct plugin *p = plugin;
	p->retrying = false;
	supervise(p);
}

/* Back-off after the n-th failure in a row, with a jitter of a fifth either way. */
static uint64_t back_off_ms(unsigned failures)
{
	static const unsigned first[] = { 0, FIRST_BACK_OFF_MS, 250, 500 };
	uint64_t ms = failures < 4              ? first[failures]
		: failures > BACK_OFF_DOUBLINGS ? BACK_OFF_MAX_MS
						: 1000ULL << (failures - 4);
	ms = ms > BACK_OFF_MAX_MS ? BACK_OFF_MAX_MS : ms;
	return ms * 4 / 5 + (uint64_t)rand() % (ms * 2 / 5 + 1);
}

uint64_t supervise_retry_after_ms(const struct plugin *p)
{
	uint64_t now = uv_now(p->director->loop);
	return p->retry_at_ms > now ? p->retry_at_ms - now : 0;
}

static unsigned count_current(const struct plugin *p)
{
	unsigned n = 0;
	const struct worker *w;
	DL_FOREACH (p->workers, w) {
		bool counts = w->state <= WORKER_READY;
		n += counts && slice_eq(slice_str(w->version), slice_str(p->version)) ? 1 : 0;
	}
	return n;
}

static bool should_run(const struct plugin *p)
{
	const struct director *d = p->director;
	if (!p->enabled || p->gone || p->version[0] == '\0' || d->stopping) {
		return false;
	}
	return p->wanted || HASH_COUNT(d->registry.plugins) <= d->settings->eager_plugins;
}

static void retry_in(struct plugin *p, uint64_t ms)
{
	if (!p->retrying) {
		p->retrying = true;
		uvx_timer_once(&p->timer, ms);
	}
}

void supervise(struct plugin *p)
{
	struct director *d = p->director;
	if (!should_run(p)) {
		return;
	}
	uint64_t wait = supervise_retry_after_ms(p);
	while (count_current(p) < p->manifest.workers) {
		if (wait > 0) {
			retry_in(p, wait);
			return;
		}
		if (d->starting >= d->settings->workers_starting || !hosts_ready(d, p->host)) {
			/* The next that becomes ready or ends makes room: supervise_others(). */
			return;
		}
		int r = worker_start(p);
		if (r < 0) {
			log_fields(LOG_WARNING, "worker.start_failed",
				(struct log_field[]){ { "plugin", plugin_slice(p) } }, 1,
				"cannot start a worker: %s", strerror(-r));
			p->failures++;
			wait = back_off_ms(p->failures);
			p->retry_at_ms = uv_now(d->loop) + wait;
			retry_in(p, wait);
			return;
		}
	}
	dispatch_next(p);
}

/* A start slot is free: those that were held back get it, callers waiting for them first. */
static void supervise_others(struct director *d)
{
	for (int pass = 0; pass < 2; pass++) {
		struct plugin *p;
		struct plugin *next;
		HASH_ITER (hh, d->registry.plugins, p, next) {
			if (d->starting >= d->settings->workers_starting) {
				return;
			}
			if ((p->waiting != NULL) == (pass == 0) &&
				count_current(p) < p->manifest.workers) {
				supervise(p);
			}
		}
	}
}

void supervise_ready(struct worker *w)
{
	struct plugin *p = w->plugin;
	struct worker *other;
	struct worker *next;
	dispatch_next(p);
	DL_FOREACH_SAFE (p->workers, other, next) {
		if (!slice_eq(slice_str(other->version), slice_str(w->version))) {
			worker_drain(other, (unsigned)w->director->settings->worker_drain_ms,
				EXITED_REPLACED);
		}
	}
	supervise_others(w->director);
}

void supervise_ended(struct plugin *p, bool failed, uint64_t ready_ms)
{
	struct director *d = p->director;
	if (d->stopping) {
		return;
	}
	if (failed) {
		/* One that served long enough starts the count anew. */
		p->failures = ready_ms >= HEALTHY_MS ? 1 : p->failures + 1;
		p->restarts++;
		p->retry_at_ms = uv_now(d->loop) + back_off_ms(p->failures);
		/* A version that never got ready: whoever waits for it would wait in vain, unless
		 * an older version still serves. */
		if (ready_ms == 0 && p->workers == NULL) {
			dispatch_fail_waiting(p);
		}
	}
	supervise(p);
	supervise_others(d);
}

void supervise_forgive(struct plugin *p)
{
	p->failures = 0;
	p->retry_at_ms = 0;
}

void supervise_stop(struct plugin *p, enum worker_exit why, const char *text)
{
	uvx_timer_stop(&p->timer);
	p->retrying = false;
	while (p->workers != NULL) {
		worker_end(p->workers, why, text);
	}
	dispatch_fail_waiting(p);
}
