/*
 * The engine: carries a task out over documents that somebody else stores. What a find, an update or
 * an upsert means is here and nowhere else, so that it is the same on every storage and can be tested
 * and fuzzed on documents in memory. No threads, no I/O of its own.
 */
#pragma once

#include "director/store/task.h"

struct engine_source;

/*
 * A storage as the engine sees it: the documents of the task's collection, positioned by its owner
 * before engine_run() at those that may match. Every function returns 0 or more, or a negative errno
 * that ends the task and is passed to the caller of engine_run() unchanged.
 *
 * The bytes of a document are valid until the next call of any function of the source.
 */
struct engine_source_ops {
	/* The next document that may match. 1; 0 at the end. */
	int (*next)(struct engine_source *s, int64_t *ret_rid, struct slice *ret_document);
	/* One that next() has shown. 1; 0 when it is gone. */
	int (*load)(struct engine_source *s, int64_t rid, struct slice *ret_document);
	/* 1; 0 when there is one with this _id; -EEXIST: refused, `failure` says why. */
	int (*insert)(struct engine_source *s, struct slice document, struct value id);
	/* The _id stays the same. -EEXIST as of insert(). */
	int (*replace)(struct engine_source *s, int64_t rid, struct slice document);
	int (*remove)(struct engine_source *s, int64_t rid);
	/* NULL, or how many documents are in the task's scope, without looking at them. */
	int (*count)(struct engine_source *s, uint64_t *ret_n);
	/* INDEX_CREATE, INDEX_DROP, INDEX_LIST: does it and fills in the task's writer. NULL: there
	 * are no indexes. -EEXIST as of insert(). */
	int (*index)(struct engine_source *s);
	/* NAMES: fills in the task's writer. NULL: there is one collection, without a name. */
	int (*names)(struct engine_source *s);
};

struct engine_source {
	const struct engine_source_ops *ops;
	struct store_failure failure; /* of the last -EEXIST */
	struct slice keys;            /* of the index that it is about */
	bool sorted;                  /* next() gives the documents in the task's order */
};

/**
 * Runs a compiled task to its end and fills in its answer (store_task_finish() included).
 *
 * A task may have changed documents before it fails: unless store_task_keeps() says otherwise, the
 * caller takes the changes back.
 *
 * @return 0, also when the answer is an error; or what the source returned (the answer is then the
 *   caller's to give).
 */
int engine_run(struct store_task *t, struct engine_source *s);

/**
 * As engine_run(), but gives up when it takes longer than `within_ms`, far below the task's own limit.
 * @return also -ETIME: what it changed is to be taken back, and the task may be run again.
 */
int engine_try(struct store_task *t, struct engine_source *s, unsigned within_ms);

/*
 * A change that is too long for one go: first the documents are found (on any snapshot after which
 * nobody else changes them), then it is made in steps, with whatever the caller likes in between. What
 * it means is the same; to take all of it back when it fails is the caller's.
 */
struct engine_job {
	int64_t *rids; /* what it is about, in its order; not INSERT */
	size_t n;
	size_t cap;
	size_t next;      /* the first that is not done */
	struct slice row; /* INSERT: the documents that are not done */
	uint32_t index;   /* and the number of the first */
	size_t root;      /* of the answer */
	size_t ids;
	bool begun;
	bool stopped;
	bool done;
	uint64_t spent_ms; /* of the task's limit */
};

#define ENGINE_JOB_NULL ((struct engine_job){ 0 })

/**
 * Finds what a task is to change; changes nothing.
 * @return 0, also when it failed: then the task has its answer, an error; or what the source returned.
 */
int engine_match(struct store_task *t, struct engine_source *s, struct engine_job *job);

/**
 * Makes the next changes, until clock_ns() is `until_ns` and at least one.
 * @param s of the same collection; its next() is not called.
 * @return 1 when there is more to do; 0 at the end, with the task's answer; or what the source
 *   returned.
 */
int engine_step(
	struct store_task *t, struct engine_source *s, struct engine_job *job, uint64_t until_ns);

void engine_job_deinit(struct engine_job *job);
