#include "common/base/clock.h"

#include <stdio.h>
#include <time.h>

static int64_t read_clock(clockid_t id, int64_t per_second, int64_t per_unit)
{
	struct timespec t;
	(void)clock_gettime(id, &t);
	return (int64_t)t.tv_sec * per_second + (int64_t)t.tv_nsec / per_unit;
}

uint64_t clock_ms(void)
{
	return (uint64_t)read_clock(CLOCK_MONOTONIC, 1000, 1000000);
}

uint64_t clock_ns(void)
{
	return (uint64_t)read_clock(CLOCK_MONOTONIC, 1000000000, 1);
}

int64_t clock_unix_ms(void)
{
	return read_clock(CLOCK_REALTIME, 1000, 1000000);
}

void clock_text(int64_t unix_ms, char out[static CLOCK_TEXT_SIZE])
{
	time_t seconds = (time_t)(unix_ms / 1000);
	struct tm tm;
	char date[24];
	(void)gmtime_r(&seconds, &tm);
	(void)strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
	(void)snprintf(out, CLOCK_TEXT_SIZE, "%.19s.%03dZ", date, (int)(unix_ms % 1000));
}
