/*
 * A set of paths that an update or a projection names, sorted so that a document can be rebuilt in
 * one walk: at each level the paths below one field stand together and are found by bisection. No
 * path may be another's beginning; that is refused as a conflict.
 *
 * Order: at each level array indexes by number before names by bytes. It is also the order in which
 * new fields are created.
 */
#pragma once

#include "director/store/query/path.h"

struct pathset_entry {
	struct slice text;
	uint32_t part; /* its parts, in pathset.parts */
	uint32_t n_parts;
	uint32_t payload; /* the owner's: which operation this is */
	uint64_t seen; /* bit per level: the document had that field (the owner's, for one walk) */
};

struct pathset {
	struct pathset_entry *entries;
	uint32_t n;
	uint32_t cap;
	struct path_parts parts;
};

/* The entries that share their parts up to a level. */
struct pathset_range {
	uint32_t low;
	uint32_t high; /* after the last */
};

void pathset_deinit(struct pathset *set);
/** Forgets the paths, keeps the memory. */
void pathset_clear(struct pathset *set);

/** @return 0; STORE_E_INVALID and `f`; -ENOMEM. */
int pathset_add(struct pathset *set, struct slice text, uint32_t payload, struct store_failure *f);

/** Sorts; afterwards the ranges may be used. @return 0; STORE_E_INVALID and `f` for a conflict. */
int pathset_finish(struct pathset *set, struct store_failure *f);

static inline struct pathset_range pathset_all(const struct pathset *set)
{
	return (struct pathset_range){ 0, set->n };
}

static inline const struct path_part *pathset_part(
	const struct pathset *set, uint32_t entry, unsigned level)
{
	return &set->parts.p[set->entries[entry].part + level];
}

/** True when the range is one entry that ends at this level (its last part is `level`). */
static inline bool pathset_is_leaf(
	const struct pathset *set, struct pathset_range r, unsigned level)
{
	return set->entries[r.low].n_parts == level + 1;
}

/** The entries of `r` whose part at `level` is the name. @return false: none. */
bool pathset_find(const struct pathset *set,
	struct pathset_range r,
	unsigned level,
	struct slice name,
	struct pathset_range *ret);

/** The entries from `low` on, inside `r`, that have the same part at `level` as the first. */
struct pathset_range pathset_group(
	const struct pathset *set, struct pathset_range r, unsigned level, uint32_t low);
