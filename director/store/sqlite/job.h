/*
 * A job: a change that did not fit into a piece of a batch. It holds its plugin's lane, so that nobody
 * else writes to its collection, and goes
 *
 *	MATCH --> APPLY --> its answer         MATCH: a reader finds the documents, on a snapshot
 *	            |                          APPLY: the writer changes some of them per batch
 *	            +----> UNDO --> its error  UNDO:  the writer takes all of it back, some per batch
 *
 * Others see its changes while it is at work. What counts is its last transaction (undo.h).
 */
#pragma once

#include "director/store/engine.h"
#include "director/store/sqlite/connection.h"
#include "director/store/sqlite/quota.h"

enum job_phase { JOB_MATCH, JOB_APPLY, JOB_UNDO };

struct job {
	struct engine_job work;
	enum job_phase phase;
	int64_t id;   /* of its rows in undo */
	bool applied; /* something of it may be stored */
	struct quota_usage before;
};

/** Makes a job of a task that was tried and taken back: `t->driver`. @return 0 or -ENOMEM. */
int job_new(struct store_task *t, int64_t id);
void job_free(struct store_task *t);

static inline struct job *job_of(const struct store_task *t)
{
	return (struct job *)t->driver;
}

/** JOB_MATCH, on a reader's connection. The task has its answer when it failed. */
void job_match(struct connection *c, struct store_task *t);

/**
 * The next piece, inside a transaction of the writer.
 * @return 1 for more; 0 at its end: the answer counts when the transaction is committed; -EIO: `c` has
 *   the error, the piece is to be tried again.
 */
int job_step(struct connection *c, struct store_task *t, uint64_t until_ns);

/** What it did in a transaction that was lost is void: it ends with the error that the task now has. */
void job_turn_back(struct store_task *t);
