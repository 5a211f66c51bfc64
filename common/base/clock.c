#include "common/base/clock.h"

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
