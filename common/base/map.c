#include "common/base/map.h"

#include <errno.h>
#include <sodium.h>

static unsigned char process_key[crypto_shorthash_KEYBYTES];

int map_init(void)
{
	if (sodium_init() < 0) {
		return -EIO;
	}
	randombytes_buf(process_key, sizeof(process_key));
	return 0;
}

unsigned map_hash(const void *key, size_t n)
{
	unsigned hash;
	unsigned char out[crypto_shorthash_BYTES];
	_Static_assert(sizeof(hash) <= sizeof(out), "hash fits");
	(void)crypto_shorthash(out, key, n, process_key);
	__builtin_memcpy(&hash, out, sizeof(hash));
	return hash;
}
