/* Inside of expressions: what expression.c compiles and walks, and the operators (operators.h) calculate. */
#pragma once

#include "director/store/query/expression.h"

enum expression_kind {
	EXPRESSION_LITERAL,
	EXPRESSION_FIELD,  /* a path from the document; without parts the document itself */
	EXPRESSION_REMOVE, /* "$$REMOVE": nothing */
	EXPRESSION_NOW,
	EXPRESSION_OBJECT, /* children with names */
	EXPRESSION_ARRAY,
	EXPRESSION_CALL,
};

struct expression_operator;

struct expression_node {
	enum expression_kind kind;
	uint32_t end;      /* index after the last node of its subtree */
	struct slice name; /* of a member of an EXPRESSION_OBJECT */
	struct value literal;
	uint32_t part;
	uint32_t n_parts;
	const struct expression_operator *op;
};

struct expression {
	struct expression_node *nodes;
	uint32_t n;
	uint32_t cap;
	struct path_parts parts;
};

/* A function of values. An argument may be missing. */
typedef struct value (*expression_fn)(struct evaluation *x,
	const struct expression_operator *op,
	const struct value *v,
	unsigned n);
/* One that evaluates its arguments as it needs them: the children of node `i`. */
typedef struct value (*expression_lazy_fn)(
	const struct expression *e, struct evaluation *x, uint32_t i);

struct expression_operator {
	const char *name;
	unsigned least;
	unsigned most;
	expression_fn call;
	expression_lazy_fn lazy;
	/* Arguments by name: {if: …, then: …}; those before `required` must be given. NULL: an array, or
	 * one value alone. */
	const char *const *named;
	unsigned required;
	int variant; /* which of several operators that share a function */
};

/** The operator of that name, or NULL. */
const struct expression_operator *expression_operator_find(struct slice name);

/** The value of node `i`. */
struct value expression_eval(const struct expression *e, struct evaluation *x, uint32_t i);
