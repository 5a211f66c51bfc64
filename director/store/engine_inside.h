/* What the parts of the engine share: one run of a task over a source. */
#pragma once

#include "common/base/buffer.h"
#include "director/store/engine.h"

struct run {
	struct store_task *t;
	struct engine_source *s;
	struct budget budget;
	struct store_failure failure;
	int64_t now_ms;
	uint64_t until_ns; /* of a step; 0: to the end */
	bool attempt;      /* no error when the time is over: -ETIME */
};

/*
 * Errors below: 0; positive, and the failure is in `failure`; negative of the source, or -ENOMEM.
 */

/* ---- engine_run.c: outcomes, and looking for documents ---------------------------------------- */

/** What an operation returns for an error: negative ones go up, a failure becomes the task's answer. */
int run_end(struct run *run, int r);

/** The time or the regular expressions' budget is used up. @return the error. */
int run_spent(struct run *run);

/** After something was written. @return 0, the answer's limit, or no memory. */
int run_written(struct run *run, const struct document_writer *w);

/** -EEXIST of the source: its own failure becomes the run's. Other results stay as they are. */
int run_source_failed(struct run *run, int r);

/** @return whether the step is long enough. */
bool run_pauses(const struct run *run);

enum { FOUND = 1, NONE = 0, FAILED = -1 };

/** The next match. @return FOUND; NONE; FAILED with the error in `ret_error`. */
int run_next(struct run *run, int64_t *rid, struct slice *document, int *ret_error);

/** Puts a document into the answer. @return an error. */
int run_emit(struct run *run, struct slice document);

/* ---- engine_read.c ---------------------------------------------------------------------------- */

int run_find(struct run *run);
int run_count(struct run *run);
int run_distinct(struct run *run);
int run_aggregate(struct run *run);
/** Making, dropping and listing indexes. */
int run_index(struct run *run);
/** Names of collections. */
int run_names(struct run *run);

/* ---- engine_insert.c -------------------------------------------------------------------------- */

/** A document that is not the caller's was about to be stored. @return the error. */
int run_outside(struct run *run);

/** @return 1; 0 when the _id is taken; -EPERM: not the caller's; -EEXIST: the source's failure; or negative. */
int run_insert_one(struct run *run, struct slice document);

extern const char run_duplicate[];

/** A document was refused: 0, its _id is taken; -EEXIST, an index refuses it. Other results are ignored. */
void run_note_refused(struct run *run, int r, uint32_t index, struct slice document);

int run_insert(struct run *run);
int step_insert(struct run *run, struct engine_job *job);

/* ---- engine_update.c: update and delete ------------------------------------------------------- */

/** The ids of rows, collected before any of them changes. @return 0 or -ENOMEM. */
int engine_job_add(struct engine_job *job, int64_t rid);

/** All that match, or the first. @return an error. */
int run_collect(struct run *run, struct engine_job *job);

/** The next document of a job, when it is still there and a match. @return as run_next(). */
int run_next_of_job(
	struct run *run, struct engine_job *job, int64_t *rid, struct slice *document, int *error);

/** Updates one document and counts it. @param ret_after may be NULL; valid until the next one. */
int run_update_one(struct run *run, int64_t rid, struct slice document, struct slice *ret_after);

/** Inserts what the filter and the update make of nothing. @return an error. */
int run_upsert(struct run *run, struct slice *ret_document);

int run_update(struct run *run);
int run_delete(struct run *run);
int step_update(struct run *run, struct engine_job *job);
int step_delete(struct run *run, struct engine_job *job);

/* ---- engine_modify.c: find and modify --------------------------------------------------------- */

/** The first match in the task's order, copied. @return as run_next(). */
int run_best_match(struct run *run, struct buffer *copy, int64_t *ret_rid, int *ret_error);

int run_modify(struct run *run);
int match_modify(struct run *run, struct engine_job *job);
int step_modify(struct run *run, struct engine_job *job);
