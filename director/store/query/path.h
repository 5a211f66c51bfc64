/*
 * Dotted paths ("address.city", "items.0.name") and what they reach in a document.
 *
 * Two readings, both MongoDB's:
 *  - path_match(): what a condition looks at. An array on the way stands for each of its documents,
 *    and a part that is a number also for that element; at the end an array stands for each of its
 *    elements and for itself.
 *  - path_values(): what a sort or a distinct looks at: as above, but an array at the end stands for
 *    its elements only (empty: undefined), and what is missing for null.
 */
#pragma once

#include "director/store/error.h"
#include "director/store/query/document.h"

enum { PATH_PARTS_MAX = 64 };

struct path_part {
	struct slice name;
	int64_t index; /* as an array index; -1: the name is none */
};

struct path {
	const struct path_part *parts;
	unsigned n;
};

/* Parts of many paths in one block; paths are offsets until it is complete. */
struct path_parts {
	struct path_part *p;
	size_t n;
	size_t cap;
};

void path_parts_deinit(struct path_parts *parts);

/**
 * Splits a dotted name. The names point into `text`.
 * @return 0 and where its parts are; STORE_E_INVALID (an empty part, more than 64) and `f`; -ENOMEM.
 */
int path_parts_add(struct path_parts *parts,
	struct slice text,
	uint32_t *ret_first,
	uint32_t *ret_n,
	struct store_failure *f);

/**
 * What an operation may still spend: time. The walkers charge it by the bytes that they look at; the
 * clock is read every few thousand charges.
 */
struct budget {
	uint64_t deadline_ms; /* clock_ms() when it ends; 0: never */
	uint64_t until_check;
	bool regex_limit; /* a regular expression ran into its match limit */
	bool late;
};

static inline bool budget_spent(const struct budget *b)
{
	return b->late || b->regex_limit;
}

void budget_charge(struct budget *b, size_t bytes);

/* Looks at one value; true ends the walk. A missing field is BT_MISSING. */
typedef bool (*path_visit_fn)(void *arg, struct value v);

/** How an array at the end of a path is presented. */
enum path_end { PATH_END_EXPAND, PATH_END_WHOLE };

/**
 * @param ret_element NULL, or where to put which element of the outermost array on the way the visit
 *   that ended the walk was in; -1 when it was in none, or only in those that the path names itself.
 * @return true when a visit did. A spent budget ends the walk with true, too.
 */
bool path_match(struct path path,
	struct value root,
	enum path_end end,
	struct budget *budget,
	path_visit_fn visit,
	void *arg,
	int64_t *ret_element);

bool path_values(
	struct path path, struct value root, struct budget *budget, path_visit_fn visit, void *arg);
