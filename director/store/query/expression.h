/*
 * Expressions of aggregation: "$a.b", "$$ROOT", literals, documents and arrays of expressions, and
 * the operators in the table of expression_ops.c. What is not in it is refused by its name: nothing
 * here can run code or reach another collection.
 *
 * Compiled into nodes in pre-order, as filters are; compiling and evaluating nest as deep as the
 * expression, which is bounded by DOCUMENT_DEPTH_MAX. An expression borrows its bytes.
 */
#pragma once

#include "director/store/query/arena.h"
#include "director/store/query/path.h"

enum { EXPRESSION_ARGUMENTS_MAX = 64 };

struct expression;

/** @return 0; STORE_E_INVALID, STORE_E_UNSUPPORTED, STORE_E_LIMIT and `f`; -ENOMEM. */
int expression_compile(struct expression **ret, struct value v, struct store_failure *f);
struct expression *expression_free(struct expression *e);

/* Where an evaluation takes place. */
struct evaluation {
	struct arena *arena; /* of the results */
	struct budget *budget;
	int64_t now_ms;
	struct store_failure *failure;
	int error; /* the first sticks: positive and `failure`, or negative */
	struct slice document;
};

/**
 * The value for a document; BT_MISSING when there is none. It points into the document, the expression
 * or the arena.
 * @return 0; x->error. With a spent budget the result is worthless: check it.
 */
int expression_evaluate(
	const struct expression *e, struct evaluation *x, struct slice document, struct value *ret);
