/*
 * Which workers should run: the decisions. For each plugin it compares what should be with what is
 * and starts, drains or ends workers. Loop thread.
 *
 * A new version starts beside the old one and takes over when it is ready; when it fails the old one
 * stays. A crash is followed by a restart after a back-off of 0.1, 0.25, 0.5, 1, 2, 4 … 60 s.
 */
#pragma once

#include "director/hosts/plugin.h"

/** Compares and acts. Call after anything that may change the answer. */
void supervise(struct plugin *p);

/** A worker became ready: older versions give way. */
void supervise_ready(struct worker *w);

/** A worker ended.
 * @param failed it crashed or never became ready.
 * @param ready_ms how long it was ready, 0 when it never was. */
void supervise_ended(struct plugin *p, bool failed, uint64_t ready_ms);

/** Ends everything that runs of it. `text` as in worker_end(). */
void supervise_stop(struct plugin *p, enum worker_exit why, const char *text);

/** What ended its workers was not its fault: the next start need not wait. */
void supervise_forgive(struct plugin *p);

/** A plugin's timer fired; its argument is the plugin. */
void supervise_on_timer(void *plugin);

/** Milliseconds until the next start is tried, 0 when nothing holds it back. */
uint64_t supervise_retry_after_ms(const struct plugin *p);
