#include "common/base/limiter.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>

_Static_assert(crypto_shorthash_BYTES == sizeof(uint64_t), "a hash is a number");

enum { WAYS = 8, NS_OF_MS = 1000000 };

/*
 * "Theoretical arrival time": when the bucket is full again. Each one that is taken moves it by the time
 * in which one flows in; it may lie one window ahead. 0: nobody is here.
 */
struct bucket {
	uint64_t key;
	uint64_t full_ns;
};

struct limiter {
	struct limit limit;
	uint64_t window_ns;
	uint64_t each_ns; /* in which one flows in */
	size_t sets;      /* a power of two */
	unsigned char secret[crypto_shorthash_KEYBYTES];
	struct bucket buckets[];
};

int limiter_new(struct limiter **ret, struct limit limit, size_t keys)
{
	if (limit.n == 0 || limit.n > LIMIT_MAX || limit.window_ms < 1000 ||
		limit.window_ms > UINT64_C(86400000) || keys > SIZE_MAX / 64) {
		return -EINVAL;
	}
	if (sodium_init() < 0) {
		return -EIO;
	}
	size_t sets = 1;
	while (sets * WAYS < keys) {
		sets *= 2;
	}
	struct limiter *l = calloc(1, sizeof(*l) + sets * WAYS * sizeof(l->buckets[0]));
	if (l == NULL) {
		return -ENOMEM;
	}
	l->limit = limit;
	l->window_ns = limit.window_ms * NS_OF_MS;
	l->each_ns = l->window_ns / limit.n;
	l->sets = sets;
	crypto_shorthash_keygen(l->secret);
	*ret = l;
	return 0;
}

struct limiter *limiter_free(struct limiter *l)
{
	free(l);
	return NULL;
}

struct limit limiter_limit(const struct limiter *l)
{
	return l->limit;
}

/* The key's bucket, which may have been somebody else's until now. */
static struct bucket *bucket_of(struct limiter *l, struct slice key)
{
	uint64_t hash;
	crypto_shorthash((unsigned char *)&hash, key.p, key.n, l->secret);
	struct bucket *set = &l->buckets[(hash & (l->sets - 1)) * WAYS];
	struct bucket *oldest = set;
	for (int i = 0; i < WAYS; i++) {
		if (set[i].full_ns != 0 && set[i].key == hash) {
			return &set[i];
		}
		oldest = set[i].full_ns < oldest->full_ns ? &set[i] : oldest;
	}
	*oldest = (struct bucket){ .key = hash };
	return oldest;
}

static uint64_t ms_of(uint64_t ns)
{
	return (ns + NS_OF_MS - 1) / NS_OF_MS;
}

void limiter_take(struct limiter *l, struct slice key, uint64_t now_ms, struct limit_state *ret)
{
	struct bucket *b = bucket_of(l, key);
	uint64_t now = now_ms * NS_OF_MS;
	uint64_t full = (b->full_ns > now ? b->full_ns : now) + l->each_ns;
	uint64_t ahead = full - now;
	*ret = (struct limit_state){ .allowed = ahead <= l->window_ns };
	if (ret->allowed) {
		b->full_ns = full;
		ret->left = (l->window_ns - ahead) / l->each_ns;
		ret->full_ms = ms_of(ahead);
	} else {
		ret->full_ms = ms_of(ahead - l->each_ns);
		ret->retry_ms = ms_of(ahead - l->window_ns);
	}
}
