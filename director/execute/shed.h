/* How long a call may wait for its turn, and when a refused client should come again. Pure. */
#pragma once

#include <stdint.h>

enum { SHED_RETRY_MAX_S = 30 };

/** Milliseconds that a call may wait for a busy worker: half of its deadline at most. */
uint64_t shed_wait_ms(uint64_t max_ms, uint64_t timeout_ms);

/** Seconds for Retry-After, 1 to SHED_RETRY_MAX_S: when those that wait now will have been served. */
unsigned shed_retry_after_s(uint64_t waiting, uint64_t mean_service_us, unsigned places);

/** The mean with one more value, of which the latest count most. */
uint64_t shed_mean(uint64_t mean, uint64_t value);
