#include "common/base/rate.h"

enum { THOUSANDTHS = 1000 };

/* What leaked since the last look. A thousandth of `per_second` leaks in a millisecond. */
static void leak(struct rate *r, uint64_t per_second, uint64_t now_ms)
{
	uint64_t elapsed = now_ms - r->at_ms;
	r->at_ms = now_ms;
	r->used = elapsed >= r->used / per_second + 1 ? 0 : r->used - elapsed * per_second;
}

bool rate_take(struct rate *r, uint64_t per_second, uint64_t now_ms)
{
	if (per_second == 0) {
		return true;
	}
	leak(r, per_second, now_ms);
	if (r->used + THOUSANDTHS > per_second * THOUSANDTHS) {
		return false;
	}
	r->used += THOUSANDTHS;
	return true;
}

uint64_t rate_charge(struct rate *r, uint64_t per_second, uint64_t n, uint64_t now_ms)
{
	if (per_second == 0) {
		return 0;
	}
	leak(r, per_second, now_ms);
	r->used += n * THOUSANDTHS;
	uint64_t full = per_second * THOUSANDTHS;
	return r->used <= full ? 0 : (r->used - full + per_second - 1) / per_second;
}

bool rate_is_idle(struct rate *r, uint64_t per_second, uint64_t now_ms)
{
	if (per_second > 0) {
		leak(r, per_second, now_ms);
	}
	return per_second == 0 || r->used == 0;
}
