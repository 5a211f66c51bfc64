/* Time. Deadlines, back-off and ages use the monotonic clock; only tokens and dates the other. */
#pragma once

#include <stdint.h>

/** Milliseconds of the monotonic clock. */
uint64_t clock_ms(void);

/** Nanoseconds of the monotonic clock. */
uint64_t clock_ns(void);

/** Milliseconds since 1970-01-01 UTC. */
int64_t clock_unix_ms(void);

enum { CLOCK_TEXT_SIZE = 32 };

/** Writes such a time as 2026-11-21T12:00:00.000Z; years from 1970 to 9999. */
void clock_text(int64_t unix_ms, char out[static CLOCK_TEXT_SIZE]);
