#include "director/hosts/restart.h"

enum {
	/* The wait grows from the first one by these parts of it, then doubles from the last. */
	PARTS = 4,
	DOUBLINGS_MAX = 30,
	SECOND_MS = 1000,
	/* Microseconds, so that any rate divides a second well enough. */
	SECOND_US = 1000000,
};

/* 1, 2.5, 5 and 10 times the first wait: 0.1, 0.25, 0.5 and 1 s of 0.1. */
static const unsigned tenths[PARTS] = { 10, 25, 50, 100 };

static uint64_t wait_of(unsigned crashes, const struct restart_policy *policy)
{
	unsigned n = crashes - 1;
	uint64_t ms = policy->first_ms * tenths[n < PARTS ? n : PARTS - 1] / 10;
	for (unsigned i = PARTS; i <= n && i < DOUBLINGS_MAX && ms < policy->max_ms; i++) {
		ms *= 2;
	}
	return ms > policy->max_ms ? policy->max_ms : ms;
}

static uint64_t with_jitter(uint64_t ms, uint32_t chance)
{
	return ms * 4 / 5 + chance % (ms * 2 / 5 + 1);
}

void restart_crashed(struct restart *r,
	const struct restart_policy *policy,
	uint64_t ready_ms,
	bool succeeded,
	uint32_t chance,
	uint64_t now_ms)
{
	bool healthy = succeeded && ready_ms >= policy->healthy_ms;
	r->crashes = healthy ? 1 : r->crashes + 1;
	r->at_ms = now_ms + with_jitter(wait_of(r->crashes, policy), chance);
}

void restart_forget(struct restart *r)
{
	r->crashes = 0;
	r->at_ms = 0;
}

uint64_t restart_wait_ms(const struct restart *r, uint64_t now_ms)
{
	return r->at_ms > now_ms ? r->at_ms - now_ms : 0;
}

/*
 * A rate as the time that it is used up until: each start adds its part of a second, and there may be
 * no more than a second of it. Kept in microseconds.
 */
static uint64_t used_until(uint64_t used_us, uint64_t now_us)
{
	return used_us > now_us ? used_us : now_us;
}

static uint64_t wait_for_rate(uint64_t used_us, uint64_t rate, uint64_t now_us)
{
	uint64_t after = used_until(used_us, now_us) + SECOND_US / rate;
	return after > now_us + SECOND_US ? (after - now_us - SECOND_US + 999) / 1000 : 0;
}

static uint64_t half(uint64_t n)
{
	return n < 2 ? 1 : n / 2;
}

uint64_t restart_take(struct restart_rate *all,
	struct restart *r,
	const struct restart_policy *policy,
	uint64_t now_ms)
{
	uint64_t now_us = now_ms * SECOND_MS;
	uint64_t own = half(policy->rate);
	uint64_t wait_all = wait_for_rate(all->used_us, policy->rate, now_us);
	uint64_t wait_own = wait_for_rate(r->used_us, own, now_us);
	if (wait_all > 0 || wait_own > 0) {
		return wait_all > wait_own ? wait_all : wait_own;
	}
	all->used_us = used_until(all->used_us, now_us) + SECOND_US / policy->rate;
	r->used_us = used_until(r->used_us, now_us) + SECOND_US / own;
	return 0;
}

unsigned restart_share(const struct restart_policy *policy)
{
	return (unsigned)half(policy->at_once);
}
