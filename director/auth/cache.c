#include "director/auth/cache.h"

#include <stdlib.h>
#include <string.h>

enum { CHANCES = 8 };

void token_cache_init(struct token_cache *c, size_t limit)
{
	*c = (struct token_cache){ .limit = limit };
}

/*
 * The keyed hash of other tables is not needed: who could choose digests would need as many tokens
 * that this node or its issuer has signed.
 */
static unsigned hash_of(const uint8_t digest[static TOKEN_DIGEST_SIZE])
{
	unsigned hash;
	memcpy(&hash, digest, sizeof(hash));
	return hash;
}

/* @return whether it is in the table, as the youngest. */
static bool add(struct token_cache *c, struct token_entry *e)
{
	HASH_ADD_BYHASHVALUE(hh, c->table, digest, TOKEN_DIGEST_SIZE, hash_of(e->digest), e);
	return e->hh.tbl != NULL;
}

static void discard(struct token_entry *e)
{
	(void)user_context_unref(e->user);
	free(e);
}

static void drop(struct token_cache *c, struct token_entry *e)
{
	HASH_DEL(c->table, e);
	discard(e);
}

void token_cache_deinit(struct token_cache *c)
{
	while (c->table != NULL) {
		drop(c, c->table);
	}
}

struct token_entry *token_cache_find(
	struct token_cache *c, const uint8_t digest[static TOKEN_DIGEST_SIZE])
{
	struct token_entry *e = NULL;
	HASH_FIND_BYHASHVALUE(hh, c->table, digest, TOKEN_DIGEST_SIZE, hash_of(digest), e);
	if (e != NULL) {
		e->used = true;
	}
	return e;
}

/* The oldest goes, unless it was used: then it counts as the youngest again. After some of those the
 * next goes all the same, so that a put takes no longer in a large cache. */
static void make_room(struct token_cache *c)
{
	for (unsigned i = 0; i < CHANCES && c->table->used; i++) {
		struct token_entry *e = c->table;
		e->used = false;
		HASH_DEL(c->table, e);
		if (!add(c, e)) {
			discard(e);
			return;
		}
	}
	drop(c, c->table);
}

void token_cache_put(struct token_cache *c,
	const uint8_t digest[static TOKEN_DIGEST_SIZE],
	const struct token_window *window,
	uint32_t serial,
	struct user_context *user)
{
	if (c->limit == 0) {
		return;
	}
	if (HASH_COUNT(c->table) >= c->limit) {
		make_room(c);
	}
	struct token_entry *e = aligned_alloc(_Alignof(struct token_entry), sizeof(*e));
	if (e == NULL) {
		return;
	}
	*e = (struct token_entry){
		.window = *window, .serial = serial, .user = user_context_ref(user)
	};
	memcpy(e->digest, digest, sizeof(e->digest));
	if (!add(c, e)) {
		discard(e);
	}
}

size_t token_cache_retain(
	struct token_cache *c, bool (*keep)(const void *arg, uint32_t serial), const void *arg)
{
	size_t before = HASH_COUNT(c->table);
	struct token_entry *e;
	struct token_entry *next;
	HASH_ITER (hh, c->table, e, next) {
		if (!keep(arg, e->serial)) {
			drop(c, e);
		}
	}
	return before - HASH_COUNT(c->table);
}
