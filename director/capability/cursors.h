/*
 * Open cursors of one worker: what a find has beyond its first batch. A cursor belongs to the work
 * call that opened it (the next batch is given to that call only) and ends with its last batch, with
 * database.close, with that call, after CURSOR_IDLE_MS without use, or with the worker. What all of a
 * worker's cursors keep is bounded in bytes. Loop thread.
 */
#pragma once

#include "common/base/slice.h"

enum {
	CURSORS_PER_CALL = 8,
	CURSORS_PER_WORKER = 128,
	CURSOR_IDLE_MS = 60000,
	BATCH_DOCUMENTS = 500
};

struct cursors;

/** @param bytes that the cursors may keep together. @return NULL without memory. */
struct cursors *cursors_new(size_t bytes);
void cursors_free(void *cursors);

/** Takes the first batch off a row of documents: at most BATCH_DOCUMENTS and `bytes`, at least one. */
struct slice cursors_batch(struct slice *documents, size_t bytes);

/* Why cursors_open() refuses. */
enum { CURSORS_E_COUNT = 1, CURSORS_E_BYTES };

/**
 * Keeps what is left of a result.
 * @param memory the whole result, on the heap: the cursor's, unless this fails.
 * @param rest what is left of it.
 * @return 0 and the cursor's id (> 0); CURSORS_E_COUNT when the call has CURSORS_PER_CALL open or the
 *   worker CURSORS_PER_WORKER; CURSORS_E_BYTES; -ENOMEM.
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
