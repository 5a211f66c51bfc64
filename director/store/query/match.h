/*
 * Filters: compiled once into an array of nodes, then matched against many documents.
 *
 * Supported: equality (also of documents, arrays and null), $eq $ne $gt $gte $lt $lte $in $nin
 * $exists $type $size $all $elemMatch $mod $not $regex ($options) $bitsAllSet $bitsAllClear
 * $bitsAnySet $bitsAnyClear $and $or $nor $comment, dotted paths through arrays. Everything else is refused by its name: a filter is understood whole or not at
 * all, so that an operator which is not known can never widen a result.
 *
 * The nodes stand in pre-order and each knows where its subtree ends. Compiling and matching nest as
 * deep as the filter, which is bounded by DOCUMENT_DEPTH_MAX. A matcher borrows the filter's bytes.
 * One thread at a time (a regular expression has its scratch space in it).
 */
#pragma once

#include "director/store/query/path.h"

/* A few milliseconds at worst. */
enum { MATCH_REGEX_STEPS = 200000 };

struct match_limits {
	unsigned in_values;   /* values of one $in, $nin or $all: MOZAIKS_MAX_IN_VALUES */
	unsigned regex_bytes; /* MOZAIKS_MAX_REGEX_BYTES */
	unsigned regex_steps; /* MOZAIKS_MAX_REGEX_STEPS: of backtracking, on one text; 0: 200000 */
};

struct matcher;

/**
 * Compiles a filter. An empty slice is the empty filter, which matches every document.
 * @return 0; STORE_E_INVALID, STORE_E_UNSUPPORTED, STORE_E_LIMIT and `f`; -ENOMEM.
 */
int matcher_compile(struct matcher **ret,
	struct slice filter,
	const struct match_limits *limits,
	struct store_failure *f);

/**
 * Compiles what $pull wants of an element: a document of operators ({$gt: 3}) or a regular
 * expression is held against the element, another document ({name: "x"}) against its fields.
 */
int matcher_compile_element(struct matcher **ret,
	struct value condition,
	const struct match_limits *limits,
	struct store_failure *f);

struct matcher *matcher_free(struct matcher *m);

/** Whether it matches; when the budget is spent, false, and nothing may be concluded. */
bool matcher_match(const struct matcher *m, struct slice document, struct budget *budget);
/** The same. @param ret_element the index of the array element that made it match: what the operator
 * `$` of an update stands for; -1 when no array had a part in it. */
bool matcher_match_at(const struct matcher *m,
	struct slice document,
	struct budget *budget,
	int64_t *ret_element);
bool matcher_match_element(const struct matcher *m, struct value element, struct budget *budget);

/**
 * The values that `field` must be one of for a document to match ({f: v}, {f: {$eq: v}} or
 * {f: {$in: […]}}, also inside $and): for a planner. The values belong to the filter.
 * @return true when there is such a condition.
 */
bool matcher_equals_any(
	const struct matcher *m, struct slice field, const struct value **ret, size_t *ret_n);

/* What a field of every match must be: one of some values, or from `low` to `high` (VALUE_MISSING: no
 * such condition). Of several conditions of a kind it is one of them. */
struct matcher_bounds {
	const struct value *values; /* NULL: not known */
	size_t n;
	struct value low;
	struct value high;
};

/**
 * The same for a name with dots, and with ranges. Bounds are inclusive, whatever the filter says. A part
 * of a name that is a number has two readings, of which nothing is known.
 * @return true when there is any condition.
 */
bool matcher_bounds(const struct matcher *m, struct slice field, struct matcher_bounds *ret);

/** The first part that the names of all conditions begin with ("x" of {'x.a': 1, 'x.b': 2}); false
 * when they differ or there is no condition. */
bool matcher_common_name(const struct matcher *m, struct slice *ret);

/* One field that a matching document is known to have, for an upsert. */
typedef int (*matcher_equality_fn)(void *arg, struct slice path, struct value v);

/** Reports each equality that every match must satisfy. @return 0 or what `fn` returned. */
int matcher_each_equality(const struct matcher *m, matcher_equality_fn fn, void *arg);
