/*
 * Verified tokens by their SHA-256: who they stand for and when they may be used. Bounded: the oldest
 * that was not used since it was last looked at leaves ("second chance"), so that finding one writes
 * to nothing but itself. Only tokens with a good signature get in, so a stranger cannot push others
 * out. The tokens themselves are not kept.
 */
#pragma once

#include "common/base/map.h"
#include "director/auth/auth.h"

enum { TOKEN_DIGEST_SIZE = 32 };

/* When a token may be used. */
struct token_window {
	int64_t from_ms;  /* wall clock, from this millisecond on */
	int64_t until_ms; /* wall clock, up to the millisecond before this one */
	uint64_t end_ms;  /* the same end on the monotonic clock */
};

/* Two cache lines of the processor's: the first is all that a search looks at on its way. */
struct token_entry {
	_Alignas(64) UT_hash_handle hh;
	/* A reference of the cache's; NULL: it has run out for good. */
	struct user_context *user;
	uint8_t digest[TOKEN_DIGEST_SIZE];
	struct token_window window;
	uint32_t serial; /* of the key that it was checked with */
	bool used;       /* since it was last looked at */
};

struct token_cache {
	struct token_entry *table; /* in order of age */
	size_t limit;
};

/** Takes no memory yet. */
void token_cache_init(struct token_cache *c, size_t limit);

void token_cache_deinit(struct token_cache *c);

/** @return the entry, which counts as used; valid until the next put; or NULL. */
struct token_entry *token_cache_find(
	struct token_cache *c, const uint8_t digest[static TOKEN_DIGEST_SIZE]);

/** Remembers a token that is not in it yet; takes a reference of its own. Without memory, or with a
 * limit of 0, it just does not. */
void token_cache_put(struct token_cache *c,
	const uint8_t digest[static TOKEN_DIGEST_SIZE],
	const struct token_window *window,
	uint32_t serial,
	struct user_context *user);

/** Forgets the tokens of keys that `keep` does not want. @return how many. */
size_t token_cache_retain(
	struct token_cache *c, bool (*keep)(const void *arg, uint32_t serial), const void *arg);
