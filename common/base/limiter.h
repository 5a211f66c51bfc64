/*
 * How many of something each of many clients may do in a while: a bucket per key, filled evenly, as
 * deep as the whole allowance. All buckets of a limiter have the same depth.
 *
 * The table has a fixed size, so that a flood of keys takes no memory: a key lives in one of eight
 * places that its hash names, and a new one takes the place of the key that is nearest to having its
 * whole allowance again. Who is pushed out that way is forgiven something; to push one out on purpose
 * takes the hash's secret key, or so many clients that their own allowances add up to more. Two keys
 * share a bucket when 64 bits of their hashes agree. Every operation is O(1). Not thread-safe.
 */
#pragma once

#include "common/base/slice.h"

struct limiter;

/* How much: n in the window, n above 0. */
struct limit {
	uint64_t n;
	uint64_t window_ms;
};

/* The largest n of a window of one second or more. */
#define LIMIT_MAX UINT64_C(100000000)

struct limit_state {
	bool allowed;
	uint64_t left;     /* how many more at once */
	uint64_t full_ms;  /* until all are there again */
	uint64_t retry_ms; /* until the next one is allowed; 0: it was */
};

/**
 * @param keys to remember, at least: a power of two is taken, 16 bytes for each.
 * @return 0, -ENOMEM, -EINVAL for a limit that cannot be counted, or -EIO without random numbers.
 */
int limiter_new(struct limiter **ret, struct limit limit, size_t keys);
/** NULL is allowed. @return NULL. */
struct limiter *limiter_free(struct limiter *l);

struct limit limiter_limit(const struct limiter *l);

/** Takes one, if it is allowed. @param now_ms of a clock that never goes back. */
void limiter_take(struct limiter *l, struct slice key, uint64_t now_ms, struct limit_state *ret);
