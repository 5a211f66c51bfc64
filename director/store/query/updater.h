/* Inside of updates: what update_compile.c builds and update.c applies. */
#pragma once

#include "director/store/query/pathset.h"
#include "director/store/query/update.h"

enum update_kind {
	UPDATE_SET,
	UPDATE_UNSET,
	UPDATE_INC,
	UPDATE_PUSH,
	UPDATE_PULL,
	UPDATE_ADD_TO_SET,
	UPDATE_CURRENT_DATE,
	UPDATE_SET_ON_INSERT,
};

enum { UPDATE_KINDS = UPDATE_SET_ON_INSERT + 1 };

/* What happens to one path. */
struct update_op {
	enum update_kind kind;
	struct value value;
	struct matcher *pull; /* NULL: elements equal to `value` */
	bool timestamp;       /* $currentDate with {$type: "timestamp"} */
};

struct update {
	bool replacement;
	struct slice document;
	struct update_limits limits;
	struct pathset set; /* payload: index into ops */
	struct update_op *ops;
	uint32_t n_ops;
	uint32_t cap_ops;
	struct document_writer out; /* the last result */
	struct document_writer scratch;
};

/** "$set" and so on. */
const char *update_kind_name(enum update_kind kind);

/** An update with no operation yet, or NULL. */
struct update *update_new(struct slice document, const struct update_limits *limits);

/** Adds an operation on a path; takes no ownership of anything when it fails. */
int update_add(struct update *u, struct slice path, struct update_op op, struct store_failure *f);
