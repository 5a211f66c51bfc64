/*
 * Open cursors of one worker: what a find has beyond its first batch. A cursor belongs to the work
 * call that opened it (the next batch is given to that call only) and ends with its last batch, with
 * database.close, after CURSOR_IDLE_MS without use, or with the worker. Loop thread.
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

/** @return NULL without memory. */
struct cursors *cursors_new(void);
void cursors_free(void *cursors);

/** Takes the first batch off a row of documents: at most BATCH_DOCUMENTS and `bytes`, at least one. */
struct slice cursors_batch(struct slice *documents, size_t bytes);

/**
 * Keeps what is left of a result.
 * @param documents copied.
 * @return the cursor's id (> 0); 0 when the call has CURSORS_PER_CALL open, or the worker
 *   CURSORS_PER_WORKER; -ENOMEM.
 */
int64_t cursors_open(struct cursors *cs, uint64_t work_id, struct slice documents, uint64_t now_ms);

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
