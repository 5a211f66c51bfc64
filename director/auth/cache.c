#include "director/auth/cache.h"

#include <stdlib.h>

void token_cache_init(struct token_cache *c, size_t limit)
{
	*c = (struct token_cache){ .limit = limit };
}

static void drop(struct token_cache *c, struct token_entry *e)
{
	HASH_DEL(c->table, e);
	DL_DELETE(c->recent, e);
	c->n--;
	(void)user_context_unref(e->user);
	free(e);
}

void token_cache_deinit(struct token_cache *c)
{
	while (c->recent != NULL) {
		drop(c, c->recent);
	}
}

struct token_entry *token_cache_find(
	struct token_cache *c, const uint8_t digest[static TOKEN_DIGEST_SIZE])
{
	struct token_entry *e = NULL;
	HASH_FIND(hh, c->table, digest, TOKEN_DIGEST_SIZE, e);
	if (e != NULL && e != c->recent) {
		DL_DELETE(c->recent, e);
		DL_PREPEND(c->recent, e);
	}
	return e;
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
	struct token_entry *e = calloc(1, sizeof(*e));
	if (e == NULL) {
		return;
	}
	memcpy(e->digest, digest, sizeof(e->digest));
	e->window = *window;
	e->serial = serial;
	HASH_ADD(hh, c->table, digest, TOKEN_DIGEST_SIZE, e);
	if (e->hh.tbl == NULL) {
		free(e);
		return;
	}
	e->user = user_context_ref(user);
	DL_PREPEND(c->recent, e);
	c->n++;
	if (c->n > c->limit) {
		drop(c, c->recent->prev);
	}
}

size_t token_cache_retain(
	struct token_cache *c, bool (*keep)(const void *arg, uint32_t serial), const void *arg)
{
	size_t before = c->n;
	struct token_entry *e;
	struct token_entry *next;
	DL_FOREACH_SAFE (c->recent, e, next) {
		if (!keep(arg, e->serial)) {
			drop(c, e);
		}
	}
	return before - c->n;
}
