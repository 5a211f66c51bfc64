/*
 * Which workers should run: the decisions. For each plugin it compares what should be with what is
 * and starts, drains or ends workers. Loop thread.
 *
 * A new version starts beside the old one and takes over when it is ready; when it fails the old one
 * stays. A crash is followed by a restart after a wait (restart.h); too many of them open the plugin's
 * breaker (breaker.h).
 */
#pragma once

#include "director/hosts/worker.h"
#include "director/store/store.h"

/* What supervision means to the calls that wait; in struct director. */
struct queue_events {
	/* A worker has room: waiting calls may go to it. */
	void (*room)(struct plugin *p);
	/* No worker will come: none of them can be served. */
	void (*hopeless)(struct plugin *p);
};

/** Compares and acts. Call after anything that may change the answer. */
void supervise(struct plugin *p);

/** A worker became ready: older versions give way. */
void supervise_ready(struct worker *w);

/** A worker ended, and all is known of it. */
void supervise_ended(struct plugin *p, const struct worker_end *end);

/** It has had no call for a while: it may be stopped. */
void supervise_idle(struct worker *w);

/** A call of the plugin ended well. */
void supervise_succeeded(struct plugin *p);

/** No more calls: those that run may end, its workers shut down. */
void supervise_retire(struct plugin *p);

/** Ends everything that runs of it at once. `text` as in worker_end(). */
void supervise_stop(struct plugin *p, enum worker_exit why, const char *text);

/** A pluginhost is gone, and its workers with it. */
void supervise_pluginhost_gone(struct director *d, const char *host);

/** supervise() for every plugin: the list of them has changed. */
void supervise_all(struct director *d);

/** No more calls for this worker: it is replaced, and ends when its calls are done. */
void supervise_drain(struct worker *w, enum worker_exit why);

/** For the operator: the breaker closes, crashes and quarantined requests are forgotten, the plugin
 * starts. Also ends an
 * automatic disabling; a plugin that an operator disabled stays so. */
void supervise_reset(struct plugin *p);

/** For the operator: new workers beside the old ones, which end when the new are ready and their own
 * calls are done. A plugin without workers is started. What the breaker holds back stays so. */
void supervise_restart(struct plugin *p);

/** Enables or disables a plugin, at once, and stores that. Disabled, the calls that run may end.
 * Enabling is a reset, too.
 * @param saved NULL, or called later with the store's answer.
 * @return 0, or a negative errno when it could not be handed to the store: `saved` is not called. */
int plugin_set_enabled(struct plugin *p, bool enabled, store_done_fn saved, void *owner);

/** False when a call would wait in vain: 503, and plugin_wait_ms() says until when. */
bool supervise_takes_calls(const struct plugin *p);

/** A plugin's timer fired; its argument is the plugin. */
void supervise_on_timer(void *plugin);
