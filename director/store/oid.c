#include "common/base/clock.h"
#include "director/store/task.h"

#include <errno.h>
#include <sodium.h>

int oid_source_init(struct oid_source *s)
{
	if (sodium_init() < 0) {
		return -EIO;
	}
	randombytes_buf(s->random, sizeof(s->random));
	s->counter = randombytes_random() & 0xffffff;
	return 0;
}

void oid_next(struct oid_source *s, uint8_t ret[static OID_BYTES])
{
	uint32_t seconds = (uint32_t)(clock_unix_ms() / 1000);
	uint32_t n = s->counter++ & 0xffffff;
	for (unsigned i = 0; i < 4; i++) {
		ret[i] = (uint8_t)(seconds >> (24 - 8 * i));
	}
	memcpy(ret + 4, s->random, sizeof(s->random));
	for (unsigned i = 0; i < 3; i++) {
		ret[9 + i] = (uint8_t)(n >> (16 - 8 * i));
	}
}
