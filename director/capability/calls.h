/* CALL frames: from the worker's channel to a handler of the table, and back. Loop thread. */
#pragma once

#include "common/proto/messages.h"
#include "director/hosts/worker.h"

/** A worker asks. Whatever is wrong with it is answered, or is a violation. */
void capability_on_call(
	struct worker *w, uint16_t code, uint64_t work_id, const struct msg_call *m);

/** The worker is gone: what it asked for goes on, the answers are dropped. */
void capability_calls_drop(struct worker *w);

/** A work call is over: what its capability calls kept for it (cursors) is freed. */
void capability_work_ended(struct worker *w, uint64_t work_id);
