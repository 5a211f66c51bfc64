/*
 * Open cursors of one worker: what a find has beyond its first batch. A cursor belongs to the work
 * call that opened it (the next batch is given to that call only) and ends with its last batch, with
 * database.close, with that call, after a time without use, or with the worker. What all of a
 * worker's cursors keep is bounded in bytes. Loop thread.
 */
#pragma once

#include "common/base/slice.h"

enum { BATCH_DOCUMENTS = 500 };

struct cursors_limits {
	size_t bytes; /* that they may keep together: MOZAIKS_MAX_CURSOR_BYTES */
	uint64_t per_request, per_worker;
	uint64_t idle_ms;
};

struct cursors;

/** @return NULL without memory. */
struct cursors *cursors_new(const struct cursors_limits *limits);
void cursors_free(void *cursors);

/** Takes the first batch off a row of documents: at most BATCH_DOCUMENTS and `bytes`, at least one. */
struct slice cursors_batch(struct slice *documents, size_t bytes);

/* Why cursors_open() refuses. */
enum { CURSORS_E_REQUEST_COUNT = 1, CURSORS_E_WORKER_COUNT, CURSORS_E_BYTES };

/**
 * Keeps what is left of a result.
 * @param memory the whole result, on the heap: the cursor's, unless this fails.
 * @param rest what is left of it.
 * @return 0 and the cursor's id (> 0); CURSORS_E_* for the limit that is in the way; -ENOMEM.
 */
int cursors_open(struct cursors *cs,
	uint64_t work_id,
	uint8_t *memory,
	struct slice rest,
	uint64_t now_ms,
	uint32_t *ret_id);

/**
 * The next batch. It is valid until the next call of any of these functions.
 * @param ret_more false: it was the last one and the cursor is closed.
 * @return false when the call has no such cursor.
 */
bool cursors_next(struct cursors *cs,
	uint64_t work_id,
	uint32_t id,
	size_t bytes,
	uint64_t now_ms,
	struct slice *ret_batch,
	bool *ret_more);

/** @return false when the call has no such cursor. */
bool cursors_close(struct cursors *cs, uint64_t work_id, uint32_t id);

/** The work call is over. */
void cursors_end_work(struct cursors *cs, uint64_t work_id);
