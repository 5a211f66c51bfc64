/* Inside of the matcher: what match_compile.c builds and match.c walks. */
#pragma once

#include "director/store/query/match.h"
#include "director/store/query/regex.h"

enum match_op {
	/* Of other nodes. */
	MATCH_AND,
	MATCH_OR,
	MATCH_NOR,
	MATCH_NOT, /* not all of its children */
	/* Of each array at the path: one element for which all children match. */
	MATCH_ELEMENT_FIELDS, /* children look into the element, a document */
	MATCH_ELEMENT_VALUE,  /* children look at the element itself */
	/* Of each value at the path. */
	MATCH_EQ,
	MATCH_LT,
	MATCH_LTE,
	MATCH_GT,
	MATCH_GTE,
	MATCH_IN,
	MATCH_REGEX,
	MATCH_MOD,
	MATCH_EXISTS,
	MATCH_TYPE,
	MATCH_SIZE,
	MATCH_BITS,
	MATCH_NEVER,
};

struct match_node {
	enum match_op op;
	uint32_t end; /* index after the last node of its subtree */
	/* What it looks at: a path, or with no parts the subject itself. */
	uint32_t part;
	uint32_t n_parts;
	struct slice text; /* the path as written */
	enum path_end path_end;
	union {
		struct value value;
		struct {
			uint32_t first; /* in values, sorted */
			uint32_t n;
		} in;
		struct regex *regex;
		struct {
			int64_t divisor;
			int64_t remainder;
		} mod;
		struct {
			uint32_t low; /* bit per type 0 to 31 */
			bool min_key;
			bool max_key;
		} types;
		int64_t size;
		struct {
			struct value mask; /* a whole number, a binary, or an array of positions */
			bool set;          /* bits are wanted to be 1 */
			bool all;          /* all of them; else one */
		} bits;
	} u;
};

struct matcher {
	struct match_node *nodes; /* [0] is the root: MATCH_AND */
	uint32_t n_nodes;
	uint32_t cap_nodes;
	struct path_parts parts;
	struct value *values;
	uint32_t n_values;
	uint32_t cap_values;
	/* Of matcher_compile_element(): the nodes look into the element, which must be a document. */
	bool element_fields;
};
