/*
 * Projections: {a: 1, "b.c": 1} keeps what is named (and _id, unless {_id: 0}), {a: 0} drops what is
 * named. Paths go through arrays into each of their documents. Of arrays, {a: {$slice: 2}} keeps some
 * elements and leaves the other fields alone, {a: {$elemMatch: {…}}} keeps the first that matches, and
 * {"a.$": 1} the one that made the filter match. Other operators are refused by name.
 */
#pragma once

#include "director/store/query/match.h"

struct projection;

/**
 * @param spec a document; empty keeps everything.
 * @param limits of the conditions in $elemMatch.
 * @param ret NULL when everything is kept.
 * @return 0; STORE_E_INVALID, STORE_E_UNSUPPORTED, STORE_E_LIMIT and `f`; -ENOMEM.
 */
int projection_compile(struct projection **ret,
	struct slice spec,
	const struct match_limits *limits,
	struct store_failure *f);
struct projection *projection_free(struct projection *p);

/** True when it only keeps or drops fields: no operators. */
bool projection_is_plain(const struct projection *p);

/**
 * Appends what is left of the document; errors of the writer stick in it.
 * @param filter what found the document, for "a.$"; may be NULL.
 * @return 0; STORE_E_INVALID and `f`: `$` stands for nothing here. With a spent budget the result is
 *   worthless: check it.
 */
int projection_apply(struct projection *p,
	const struct matcher *filter,
	struct slice document,
	struct budget *budget,
	struct document_writer *w,
	struct store_failure *f);
