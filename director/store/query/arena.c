#include "director/store/query/arena.h"

#include <errno.h>
#include <stdlib.h>

enum { BLOCK_BYTES = 4096 };

struct arena_block {
	struct arena_block *next;
	size_t n;
	size_t cap;
	uint8_t p[];
};

void arena_init(struct arena *a, size_t limit)
{
	*a = (struct arena){ .limit = limit };
}

void arena_deinit(struct arena *a)
{
	while (a->blocks != NULL) {
		struct arena_block *next = a->blocks->next;
		free(a->blocks);
		a->blocks = next;
	}
	a->bytes = 0;
}

void arena_clear(struct arena *a)
{
	struct arena_block *kept = a->blocks;
	a->error = 0;
	if (kept == NULL) {
		return;
	}
	a->blocks = kept->next;
	arena_deinit(a);
	if (kept->cap > BLOCK_BYTES) {
		free(kept);
		return;
	}
	kept->n = 0;
	kept->next = NULL;
	a->blocks = kept;
	a->bytes = kept->cap;
}

static struct arena_block *block_add(struct arena *a, size_t n)
{
	size_t cap = n > BLOCK_BYTES ? n : BLOCK_BYTES;
	if (cap > a->limit - a->bytes) {
		a->error = -ENOBUFS;
		return NULL;
	}
	struct arena_block *block = malloc(sizeof(*block) + cap);
	if (block == NULL) {
		a->error = -ENOMEM;
		return NULL;
	}
	*block = (struct arena_block){ .next = a->blocks, .cap = cap };
	a->blocks = block;
	a->bytes += cap;
	return block;
}

uint8_t *arena_take(struct arena *a, size_t n)
{
	struct arena_block *block = a->blocks;
	if (a->error != 0) {
		return NULL;
	}
	if (block == NULL || n > block->cap - block->n) {
		block = block_add(a, n);
	}
	if (block == NULL) {
		return NULL;
	}
	uint8_t *p = block->p + block->n;
	block->n += n;
	return p;
}

struct value arena_value(struct arena *a, struct value v)
{
	uint8_t *p = arena_take(a, v.data.n);
	if (p == NULL) {
		return VALUE_MISSING;
	}
	if (v.data.n > 0) {
		memcpy(p, v.data.p, v.data.n);
	}
	return (struct value){ v.type, slice_of(p, v.data.n) };
}

struct value arena_string(struct arena *a, struct slice text)
{
	uint8_t *p = text.n > INT32_MAX - 1 ? NULL : arena_take(a, text.n + 5);
	if (p == NULL) {
		a->error = a->error == 0 ? -ENOBUFS : a->error;
		return VALUE_MISSING;
	}
	uint32_t n = (uint32_t)text.n + 1;
	for (unsigned i = 0; i < 4; i++) {
		p[i] = (uint8_t)(n >> 8 * i);
	}
	if (text.n > 0) {
		memcpy(p + 4, text.p, text.n);
	}
	p[4 + text.n] = 0;
	return (struct value){ BT_STRING, slice_of(p, text.n + 5) };
}
