#include "director/hosts/tally.h"

void tally_add(struct tally *t, unsigned weight, uint64_t now_ms)
{
	unsigned i = t->n++ % TALLY_MAX;
	t->at_ms[i] = now_ms;
	t->weight[i] = (uint8_t)weight;
}

unsigned tally_sum(const struct tally *t, uint64_t within_ms, uint64_t now_ms)
{
	unsigned kept = t->n < TALLY_MAX ? t->n : TALLY_MAX;
	unsigned sum = 0;
	for (unsigned i = 0; i < kept; i++) {
		sum += now_ms - t->at_ms[i] < within_ms ? t->weight[i] : 0;
	}
	return sum;
}

void tally_clear(struct tally *t)
{
	*t = (struct tally){ 0 };
}
