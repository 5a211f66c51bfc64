/*
 * Which index finds a task's documents, if any: a declared one, or that on _id which every collection has.
 * A range of keys must hold every document that matches, and may hold more: the filter has the last word.
 *
 *  - Of the first fields of an index a value is given: {a: 1}, {a: {$eq: 1}}, {a: {$in: [1, 2]}} (also
 *    inside $and): one range for each combination of values, at most PLAN_RANGES_MAX.
 *  - The next field may have bounds: {$gt, $gte, $lt, $lte}. Both of them count only while every
 *    document has one key in the index: of an array one element may satisfy the one bound and another
 *    the other.
 *  - A sort needs no sorting when it names the fields that follow the given ones, all of them in the
 *    order and the directions of the index or all of them in the other ones, and every document has one
 *    whole key. After _id there is nothing to sort by: no two documents have the same.
 *
 * The index with the most given fields is chosen, then one with bounds, then one in order. One that is
 * only in order is worth it when few of the documents are wanted.
 */
#pragma once

#include "director/store/sqlite/indexes.h"
#include "director/store/task.h"

enum { PLAN_RANGES_MAX = 1000 };

/* The keys from `low` on, before `high`. */
struct index_range {
	struct buffer low;
	struct buffer high;
};

struct index_plan {
	const struct sqlite_index *index; /* NULL: no index helps; may be index_of_ids() */
	struct index_range *ranges;
	size_t n;
	unsigned given; /* fields of which a value is known */
	bool bounded;   /* the next one has bounds */
	bool sorted;    /* the keys stand in the task's order … */
	bool descending;
};

/** That on _id. Its keys are those of doc.id: no owner stands in front. */
const struct sqlite_index *index_of_ids(void);

/**
 * @param by_id whether that on _id may be taken.
 * @param owner whose documents are asked for: VALUE_MISSING for those of nobody; NULL: anybody's.
 * @return 0 with or without an index; -ENOMEM. Deinit it in every case.
 */
int index_plan_choose(struct index_plan *ret,
	const struct sqlite_indexes *x,
	const struct store_task *t,
	bool by_id,
	const struct value *owner);
void index_plan_deinit(struct index_plan *p);
