/*
 * When a plugin's next worker may be started: the wait after crashes in a row (0.1, 0.25, 0.5, 1, 2, 4 …
 * with the usual settings), and how many restarts all plugins may have together.
 *
 * First starts and lazy starts are not rated: admission bounds those.
 *
 * Pure: time and chance are parameters.
 */
#pragma once

#include "director/hosts/policy.h"

#include <stdbool.h>

/* One plugin's. */
struct restart {
	unsigned crashes; /* in a row */
	uint64_t at_ms;   /* not before */
	uint64_t used_us; /* see restart_take() */
};

/**
 * A worker crashed.
 * @param ready_ms how long it was ready; 0: never.
 * @param succeeded a call of it ended well.
 * @param chance any number: the jitter, a fifth either way, is made of it.
 */
void restart_crashed(struct restart *r,
	const struct restart_policy *policy,
	uint64_t ready_ms,
	bool succeeded,
	uint32_t chance,
	uint64_t now_ms);

/** Whatever happened is forgotten: the next start need not wait. */
void restart_forget(struct restart *r);

uint64_t restart_wait_ms(const struct restart *r, uint64_t now_ms);

/* All plugins together. */
struct restart_rate {
	uint64_t used_us; /* the time that the restarts so far have used up */
};

/**
 * Takes one restart out of the rate; a plugin gets at most half of it.
 * @return 0, or the milliseconds until one will be there: nothing was taken.
 */
uint64_t restart_take(struct restart_rate *all,
	struct restart *r,
	const struct restart_policy *policy,
	uint64_t now_ms);

/** Workers of one plugin that may be on their way at once: half of what all may have. */
unsigned restart_share(const struct restart_policy *policy);
