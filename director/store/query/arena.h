/*
 * Memory for values that are made on the way from one document to another: taken piece by piece,
 * given back all at once. Within a number of bytes; one thread.
 */
#pragma once

#include "director/store/query/document.h"

struct arena_block;

struct arena {
	struct arena_block *blocks;
	size_t bytes; /* of all blocks */
	size_t limit;
	int error; /* the first failure sticks: -ENOBUFS or -ENOMEM */
};

void arena_init(struct arena *a, size_t limit);
void arena_deinit(struct arena *a);
/** Everything that was taken is gone; keeps a little memory for the next time. Forgets the error. */
void arena_clear(struct arena *a);
/** @return NULL and `error`. */
uint8_t *arena_take(struct arena *a, size_t n);
/** A copy that lives as long as the arena is not cleared; missing when there is no room. */
struct value arena_value(struct arena *a, struct value v);
/** A string value of that text. */
struct value arena_string(struct arena *a, struct slice text);
