/*
 * Finds a name that occurs twice in one document, for the walkers of this folder (private to it).
 *
 * A stack: while a walker is inside a document the names of its parents lie below. A document is
 * checked when it ends: a few names by comparing each with each, more in a hash set with the keyed
 * hash of common/base/map.h. So the time is linear in the names whoever chose them, small documents
 * take no memory, and large ones at most 24 bytes for each open name and 16 for each name of the
 * largest document. The walker bounds how many there are.
 */
#pragma once

#include "common/base/slice.h"

enum { NAMES_LOCAL = 64 };

struct name {
	uint32_t at; /* its place in the bytes given to names_end() */
	uint32_t n;
	uint32_t where; /* what the walker reports: the place for a failure */
};

/* Points into itself: never copied. */
struct names {
	struct name *list; /* local, or the heap's once that is full */
	size_t n;
	size_t capacity;
	uint32_t *table;
	size_t slots;
	struct name local[NAMES_LOCAL];
};

enum { NAMES_E_DUPLICATE = 1 };

void names_init(struct names *names);
void names_deinit(struct names *names);

/** @return 0 or -ENOMEM. */
int names_push(struct names *names, struct name name);

/**
 * Checks the names from index `first` on and drops them: the document that began when there were
 * `first` names has ended.
 * @param bytes what `at` counts from.
 * @param ret_where with NAMES_E_DUPLICATE: of the second of the two.
 * @return 0, NAMES_E_DUPLICATE or -ENOMEM.
 */
int names_end(struct names *names, size_t first, const uint8_t *bytes, size_t *ret_where);
