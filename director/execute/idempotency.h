/*
 * Idempotency-Key: an answer is kept for a while, and repeated to the same user for the same key and body,
 * so that a client may ask again without anything happening twice. The same header says that a call may
 * run again when its worker dies (quarantine.h): one meaning, "once is enough".
 *
 * Kept are the answers of plugins, good or bad; what the runtime itself says, answers in pieces and calls
 * whose client goes away leave the key free.
 *
 *   begin() --NEW--> running --finish()--> kept --time, or room for others--> (gone)
 *                       \--release()--> (gone)
 *
 * Bounded by time, by bytes in all, and by keys of one user at one plugin; what runs is never given up for
 * room. Pure: time is a parameter. Loop thread.
 */
#pragma once

#include "common/base/slice.h"

#include <stdint.h>

/* Bytes of a key. */
enum { IDEMPOTENCY_KEY_MAX = 255 };

struct idempotency_policy {
	uint64_t ms;       /* how long an answer is kept; 0: none is */
	uint64_t bytes;    /* of all that is kept, keys and management included */
	uint64_t per_user; /* keys of one user at one plugin */
};

enum idempotency_verdict {
	IDEMPOTENCY_NEW,     /* run it, then finish() or release() */
	IDEMPOTENCY_RUNNING, /* the first one has no answer yet: 409 */
	IDEMPOTENCY_OTHER,   /* the key was used with another body: 422 */
	IDEMPOTENCY_KEPT,    /* its answer */
};

struct idempotency;
struct idempotency_entry;

/* An answer that was kept; valid until the next call of this file. */
struct idempotency_answer {
	int status;
	struct slice body;
};

/** @return 0 or -ENOMEM. */
int idempotency_new(struct idempotency **ret, const struct idempotency_policy *policy);
/** Nothing may run any more. NULL is allowed. @return NULL. */
struct idempotency *idempotency_free(struct idempotency *all);

/** True for a key that a client may use: 1 to 255 printable ASCII bytes. */
bool idempotency_is_key(struct slice key);

/**
 * A request with this key.
 * @param plugin, user without NUL bytes.
 * @param body a keyed hash of it.
 * @param ret_entry with NEW: the caller's, until finish() or release().
 * @param ret_answer with KEPT.
 * @return enum idempotency_verdict or -ENOMEM.
 */
int idempotency_begin(struct idempotency *all,
	struct slice plugin,
	struct slice user,
	struct slice key,
	uint64_t body,
	uint64_t now_ms,
	struct idempotency_entry **ret_entry,
	struct idempotency_answer *ret_answer);

/** It is answered: kept when there is room. Two pieces, one after the other. */
void idempotency_finish(struct idempotency_entry *e,
	int status,
	const struct slice body[static 2],
	uint64_t now_ms);

/** It has no answer worth keeping. */
void idempotency_release(struct idempotency_entry *e);

/** Bytes that are kept now. */
uint64_t idempotency_bytes(const struct idempotency *all);
