/*
 * Checks BSON from a worker before any libbson call sees it: iterative, so that nesting cannot
 * overflow the stack; every length inside its parent; keys and strings valid UTF-8 and keys without
 * NUL; depth and sizes bounded; no duplicate names in one document; only types a plugin may send.
 *
 * Format: bsonspec.org, version 1.1.
 */
#pragma once

#include "common/base/slice.h"

struct bson_limits {
	size_t bytes;    /* of the whole document */
	unsigned depth;  /* the root is 1 */
	unsigned keys;   /* elements in all, arrays included */
};

struct bson_failure {
	size_t offset;
	const char *what; /* static text, e.g. "a string without its closing NUL" */
};

/**
 * Takes one document off the front of `bytes` and checks it.
 * Refused types: JavaScript code (with and without scope), DBPointer, symbol, undefined.
 * @return 0 and the document; -EBADMSG and `ret_failure`; -ENOMEM.
 */
int bson_check(struct slice *bytes, const struct bson_limits *limits, struct slice *ret_document,
	struct bson_failure *ret_failure);
