#include "director/http/request_id.h"

#include "common/base/error.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

enum { RANDOM_BYTES = 10, RANDOM_MAX = 64 };

/* One system call for hundreds of ids. */
static void fill(struct request_ids *ids)
{
	size_t n = 0;
	while (n < sizeof(ids->pool)) {
		ssize_t r = getrandom(ids->pool + n, sizeof(ids->pool) - n, 0);
		/* It fails only when a signal comes before the kernel has any randomness. */
		invariant(r > 0 || errno == EINTR);
		n += r > 0 ? (size_t)r : 0;
	}
	ids->left = sizeof(ids->pool);
}

void request_ids_random(struct request_ids *ids, uint8_t *ret, size_t n)
{
	invariant(n <= RANDOM_MAX);
	if (ids->left < n) {
		fill(ids);
	}
	ids->left -= n;
	memcpy(ret, ids->pool + ids->left, n);
}

void request_id_make(struct request_ids *ids, int64_t unix_ms, char ret[static REQUEST_ID_LENGTH])
{
	static const char hex[] = "0123456789abcdef";
	uint8_t id[16];
	request_ids_random(ids, id + 6, RANDOM_BYTES);
	for (int i = 0; i < 6; i++) {
		id[i] = (uint8_t)((uint64_t)unix_ms >> (40 - 8 * i));
	}
	id[6] = (uint8_t)(0x70 | (id[6] & 0x0f)); /* version 7 */
	id[8] = (uint8_t)(0x80 | (id[8] & 0x3f)); /* the RFC's variant */
	size_t n = 0;
	for (int i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10) {
			ret[n++] = '-';
		}
		ret[n++] = hex[id[i] >> 4];
		ret[n++] = hex[id[i] & 0x0f];
	}
}
