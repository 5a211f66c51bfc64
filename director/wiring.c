/*
 * The modules of a call stand in layers, and each knows only those below it:
 *
 *   capability/  events/        what a plugin may ask for, whom it tells
 *   execute/                    calls: to which worker, until when
 *   hosts/supervise.c           which workers should run
 *   hosts/worker.c  registry.c  one worker, the table of plugins
 *   hosts/control.c  plugin.c   the pluginhosts, one plugin
 *
 * What a lower one has to say goes through a table that it declares itself. Here the tables are filled.
 */
#include "director/wiring.h"

#include "common/base/map.h"
#include "director/capability/calls.h"
#include "director/director.h"
#include "director/events/events.h"
#include "director/execute/dispatch.h"
#include "director/execute/history.h"
#include "director/execute/streams.h"
#include "director/hosts/control.h"
#include "director/hosts/supervise.h"
#include "director/hosts/worker.h"
#include "director/schema/schemas.h"
#include "director/stop.h"

#include <stdio.h>

/* ---- a worker ------------------------------------------------------------------------------- */

static enum worker_gate on_hello(struct worker *w)
{
	return schemas_at_hello(w->director->schemas, w);
}

static enum worker_gate on_loaded(struct worker *w, struct slice info)
{
	struct plugin *p = w->plugin;
	int r = events_subscribe_ready(w->director->events, w, info);
	if (r == EVENTS_TOO_MANY) {
		(void)snprintf(p->load_error, sizeof(p->load_error),
			"more than %llu event subscriptions (MOZAIKS_MAX_EVENT_SUBSCRIPTIONS)",
			(unsigned long long)w->director->settings->event_subscriptions);
		worker_end(w, EXITED_LOAD, p->load_error);
	} else if (r < 0) {
		worker_violation(w, "a malformed list of subscriptions");
	}
	return r == 0 ? schemas_at_ready(w->director->schemas, w, info) : WORKER_ENDED;
}

static void on_cut(struct worker *w)
{
	capability_calls_drop(w);
	dispatch_on_worker_gone(w);
}

static void on_ended(struct plugin *p, const struct worker_end *end)
{
	struct director *d = p->director;
	supervise_ended(p, end);
	director_on_worker_gone(d);
}

static const struct worker_events worker_events = {
	.hello = on_hello,
	.loaded = on_loaded,
	.ready = supervise_ready,
	.result = dispatch_on_result,
	.call = capability_on_call,
	.stream = streams_on_frame,
	.work_ended = capability_work_ended,
	.ending = worker_note_exit,
	.cut = on_cut,
	.ended = on_ended,
	.idle = supervise_idle,
	.room = dispatch_next,
};

/* ---- a pluginhost --------------------------------------------------------------------------- */

static int on_plugins(struct director *d, const char *host, struct slice list)
{
	int r = registry_update(&d->registry, d, host, list);
	supervise_all(d);
	return r;
}

static struct worker *find_worker(const struct director *d, uint64_t id)
{
	struct worker *w;
	HASH_FIND(hh, d->workers, &id, sizeof(id), w);
	return w;
}

/* The channel may have closed before, or may close now. */
static void on_exited(struct director *d, uint64_t worker_id, struct exit_report *report)
{
	struct worker *w = find_worker(d, worker_id);
	if (w != NULL) {
		worker_died(w);
	}
	const struct exit_entry *e = history_complete(d, worker_id, report);
	w = find_worker(d, worker_id);
	if (w != NULL) {
		worker_finish(w, e == NULL ? w->end.why : e->why);
	}
}

static const struct control_events control_events = {
	.plugins = on_plugins,
	.exited = on_exited,
	.gone = supervise_pluginhost_gone,
};

/* ---- a plugin ------------------------------------------------------------------------------- */

static void on_stopped(struct plugin *p)
{
	events_unsubscribe_plugin(p->director->events, p);
	if (p->director->stopping) {
		supervise_stop(p, EXITED_STOPPED, NULL);
	} else {
		supervise_retire(p);
	}
}

static void on_switches_known(struct director *d)
{
	registry_take_switches(&d->registry, d);
}

static const struct registry_events registry_events = {
	.switches_known = on_switches_known,
	.stopped = on_stopped,
	.resumed = supervise,
	.timer = supervise_on_timer,
};

static const struct queue_events queue_events = {
	.room = dispatch_next,
	.hopeless = dispatch_fail_waiting,
};

void director_wire(struct director *d)
{
	d->on_worker = &worker_events;
	d->on_pluginhost = &control_events;
	d->on_registry = &registry_events;
	d->on_plugin = &queue_events;
	d->calls.deadline = dispatch_on_deadline;
}
