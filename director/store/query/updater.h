/*
 * Inside of updates. update_compile.c builds a struct update; update_position.c turns paths with
 * positional operators into paths of one document; update.c walks the document and the paths;
 * update_leaf.c does to one field what its operation says.
 */
#pragma once

#include "director/store/query/pathset.h"
#include "director/store/query/sort.h"
#include "director/store/query/update.h"

enum update_kind {
	UPDATE_SET,
	UPDATE_UNSET,
	UPDATE_INC,
	UPDATE_MUL,
	UPDATE_MIN,
	UPDATE_MAX,
	UPDATE_BIT,
	UPDATE_PUSH,
	UPDATE_ADD_TO_SET,
	UPDATE_POP,
	UPDATE_PULL,
	UPDATE_PULL_ALL,
	UPDATE_RENAME, /* its UPDATE_MOVED is the next operation */
	UPDATE_CURRENT_DATE,
	UPDATE_SET_ON_INSERT,
	UPDATE_MOVED, /* where a $rename moves its field to; no operator of its own */
};

enum { UPDATE_OPERATORS = UPDATE_SET_ON_INSERT + 1 };

enum bit_operation { BIT_AND, BIT_OR, BIT_XOR };

/* The modifiers of $push, and $each of $addToSet. */
struct push_modifiers {
	bool each; /* the value is an array of what is to be added */
	bool sliced;
	bool placed;
	int64_t slice;
	int64_t position;
	int sort_whole;    /* 1, -1: elements by their values; 0: not */
	struct sort *sort; /* by their fields */
};

/* What happens to one path. */
struct update_op {
	enum update_kind kind;
	struct value value;   /* of UPDATE_MOVED: what the document has at the other path */
	struct matcher *pull; /* NULL: elements equal to `value` */
	struct push_modifiers push;
	enum bit_operation bit;
	bool timestamp; /* $currentDate with {$type: "timestamp"} */
	bool first;     /* $pop: the first element, not the last */
};

/* One of arrayFilters: which elements `$[name]` stands for. */
struct update_filter {
	struct slice name;
	struct matcher *matcher; /* of {name: element} */
	bool used;
};

struct update {
	bool replacement;
	bool positional; /* some path has a positional operator */
	bool by_match;   /* some path has the operator `$` */
	bool renames;
	struct slice document;
	struct update_limits limits;
	struct pathset set; /* payload: index into ops */
	struct update_op *ops;
	uint32_t n_ops;
	uint32_t cap_ops;
	struct update_filter *filters;
	uint32_t n_filters;
	struct pathset concrete;     /* of a positional update: the paths of one document */
	struct buffer concrete_text; /* their names */
	struct document_writer out;  /* the last result */
	struct document_writer scratch;
	struct document_writer element; /* {name: element} */
};

/* One application. */
struct apply {
	struct update *u;
	struct pathset *set; /* u->set or u->concrete */
	struct document_writer *w;
	struct store_failure *failure;
	struct budget *budget;
	int64_t now_ms;
	bool inserting;
};

/** "$set" and so on. */
const char *update_kind_name(enum update_kind kind);

/** An update with no operation yet, or NULL. */
struct update *update_new(struct slice document, const struct update_limits *limits);

/** Adds an operation on a path; takes no ownership of anything when it fails. */
int update_add(struct update *u, struct slice path, struct update_op op, struct store_failure *f);

/* --- update_position.c --- */

/** Notes what a path has of positional operators. @return 0; positive and `f`. */
int update_position_check(struct update *u, struct slice path, struct store_failure *f);

/** Compiles arrayFilters. @param filters the bytes of a BSON array. */
int update_filters_compile(struct update *u, struct slice filters, struct store_failure *f);

/** Every filter must have been named by a path. @return 0; STORE_E_INVALID and `f`. */
int update_filters_used(const struct update *u, struct store_failure *f);

/**
 * Fills u->concrete with the paths that the update has in this document.
 * @param filter what found the document, for `$`; NULL: nothing did.
 * @return 0; positive and `f`; -ENOMEM.
 */
int update_position_resolve(
	const struct apply *a, const struct matcher *filter, struct slice document);

/* --- update_leaf.c --- */

/**
 * Writes what becomes of a field under an operation.
 * @param v BT_MISSING: there was none.
 * @return 0; positive and a->failure; -ENOMEM.
 */
int update_leaf(const struct apply *a,
	const struct update_op *op,
	struct slice name,
	struct value v,
	bool in_array);

/** Whether the operation makes a field where there is none. */
bool update_leaf_creates(const struct apply *a, const struct update_op *op);
