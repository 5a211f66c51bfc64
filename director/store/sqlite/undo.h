/*
 * What a job has changed so far, so that it can be taken back: by the job itself when it fails, by the
 * next start when the program was killed. `undo` holds each document as it was before the job touched
 * it (NULL: it was not there), `undo_job` the jobs that are not at their end; the row of a job goes in
 * the transaction of its last change, which is what makes all of them count. Rows of ended jobs are
 * swept later, a few at a time.
 *
 * The writer's thread, inside a transaction; undo_recover() opens its own.
 */
#pragma once

#include "director/store/sqlite/connection.h"

/** Begins or ends a job. @return 0 or -EIO. */
int undo_begin(struct connection *c, int64_t job);
int undo_end(struct connection *c, int64_t job);

/** Before a document is replaced or removed / after it was inserted. @return 0 or -EIO. */
int undo_keep(struct connection *c, int64_t job, int64_t rid);
int undo_inserted(struct connection *c, int64_t job, int64_t rid, int64_t cid);

/** Takes changes back until clock_ns() is `until_ns`, at least one. @return 1 for more; 0 at the
 * end; a negative errno. */
int undo_step(struct connection *c, int64_t job, uint64_t until_ns);

/** Removes some rows of ended jobs. @return how many, or -EIO. */
int undo_sweep(struct connection *c);

/** At start: takes back what was not at its end, and removes every row. @return 0 or a negative errno. */
int undo_recover(struct connection *c);
