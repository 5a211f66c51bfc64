/*
 * What is written into a plugin's history (exits.h) when one of its workers ends: the calls that
 * were in flight, with request and user, and the last of its log. Loop thread.
 */
#pragma once

#include "director/hosts/worker.h"

struct director;

/** Adds the end of a worker. Its calls must still be there. */
void worker_note_exit(
	const struct worker *w, enum worker_exit why, const char *text, uint64_t ready_ms);

/** EXITED for a worker that has ended already: adds the true reason, and logs it.
 * @return the entry, NULL when it is not kept. */
const struct exit_entry *history_complete(
	struct director *d, uint64_t worker, struct exit_report *report);
