/* Time. Deadlines, back-off and ages use the monotonic clock; only tokens and dates the other. */
#pragma once

#include <stdint.h>

/** Milliseconds of the monotonic clock. */
uint64_t clock_ms(void);

/** Nanoseconds of the monotonic clock. */
uint64_t clock_ns(void);

/** Milliseconds since 1970-01-01 UTC. */
int64_t clock_unix_ms(void);
