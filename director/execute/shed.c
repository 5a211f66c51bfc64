#include "director/execute/shed.h"

enum { SECOND_US = 1000000, MEAN_OF = 8 };

uint64_t shed_wait_ms(uint64_t max_ms, uint64_t timeout_ms)
{
	return timeout_ms / 2 < max_ms ? timeout_ms / 2 : max_ms;
}

unsigned shed_retry_after_s(uint64_t waiting, uint64_t mean_service_us, unsigned places)
{
	uint64_t per_second = (uint64_t)SECOND_US * (places == 0 ? 1 : places);
	uint64_t s = (waiting * mean_service_us + per_second - 1) / per_second;
	return s < 1 ? 1 : s > SHED_RETRY_MAX_S ? SHED_RETRY_MAX_S : (unsigned)s;
}

uint64_t shed_mean(uint64_t mean, uint64_t value)
{
	return mean == 0 ? value : (mean * (MEAN_OF - 1) + value) / MEAN_OF;
}
