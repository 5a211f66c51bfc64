/*
 * How much happened within the last so many milliseconds: the latest TALLY_MAX events, each with a
 * weight. Pure.
 */
#pragma once

#include <stdint.h>

enum { TALLY_MAX = 64 };

struct tally {
	uint64_t at_ms[TALLY_MAX];
	uint8_t weight[TALLY_MAX];
	unsigned n; /* ever added */
};

void tally_add(struct tally *t, unsigned weight, uint64_t now_ms);

/** The weights of the events that are less than `within_ms` old. */
unsigned tally_sum(const struct tally *t, uint64_t within_ms, uint64_t now_ms);

void tally_clear(struct tally *t);
