/*
 * How many of something there may be in a second: a bucket that holds one second's worth and leaks as
 * fast. A zeroed one is empty. Not thread-safe.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct rate {
	uint64_t used; /* thousandths of one */
	uint64_t at_ms;
};

/* The largest rate that can be counted. */
#define RATE_MAX UINT64_C(1000000000)

/**
 * Takes one, when there is room.
 * @param per_second at most RATE_MAX; 0: any number.
 * @param now_ms of a clock that never goes back.
 */
bool rate_take(struct rate *r, uint64_t per_second, uint64_t now_ms);

/**
 * Takes `n` that have happened already, room or not.
 * @return milliseconds until no more than a second's worth is in the bucket; 0: that is so now.
 */
uint64_t rate_charge(struct rate *r, uint64_t per_second, uint64_t n, uint64_t now_ms);

/** True when nothing is left in it. */
bool rate_is_idle(struct rate *r, uint64_t per_second, uint64_t now_ms);
