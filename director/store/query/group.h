/*
 * The stage $group: documents with the same _id become one, by the accumulators $sum $avg $min $max
 * $first $last $push $addToSet $count. Others are refused by name. Groups come in the order in which
 * their first documents did. Within a number of bytes; one thread at a time.
 */
#pragma once

#include "director/store/query/expression.h"

struct group;

/** @return 0; STORE_E_INVALID, STORE_E_UNSUPPORTED, STORE_E_LIMIT and `f`; -ENOMEM. */
int group_compile(struct group **ret, struct value spec, struct store_failure *f);

/** The group that counts documents by an expression: {_id: v, count: {$sum: 1}}. */
int group_compile_count(struct group **ret, struct value v, struct store_failure *f);
struct group *group_free(struct group *g);

/** What all groups may take; before the first document. */
void group_limit(struct group *g, size_t bytes);

/** Takes a document. @return 0; x->error; -ENOBUFS: more than the limit; -ENOMEM. */
int group_add(struct group *g, struct evaluation *x, struct slice document);

/** After the last document, one group after the other. @return false: there is none left. */
bool group_next(struct group *g, struct document_writer *w);
