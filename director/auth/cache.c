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
