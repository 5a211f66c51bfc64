/*
 * Checks BSON from a worker before any libbson call sees it: iterative, so that nesting cannot
 * overflow the stack; every length inside its parent; keys and strings valid UTF-8 and keys without
 * NUL; depth and sizes bounded; no duplicate names in one document; only types a plugin may send.
 *
 * Stricter than bsonspec.org 1.1 in two more places, so that two readers cannot differ about a
 * document: the names in an array are exactly "0", "1", "2" … (every driver writes them so), and
 * the options of a regular expression are letters that mean something.
 *
 * Any thread. The process has called map_init().
 */
#pragma once

#include "common/base/slice.h"

/* The walker's own bound; libbson's readers and MongoDB have the same. */
enum { BSON_DEPTH_MAX = 100 };

struct bson_limits {
	size_t bytes;   /* of the whole document; never more than libbson's 2^31 - 1 */
	unsigned depth; /* the root is 1; never more than BSON_DEPTH_MAX */
	unsigned keys;  /* elements in all, arrays included */
};

enum bson_limit { BSON_LIMIT_NONE, BSON_LIMIT_BYTES, BSON_LIMIT_DEPTH, BSON_LIMIT_KEYS };

struct bson_failure {
	size_t offset;
	const char *what; /* static text, e.g. "a string without its closing NUL" */
	enum bson_limit
		limit; /* which limit it was, for a message with the value and the setting */
};

/**
 * Takes one document off the front of `bytes` and checks it. Takes memory only for documents with
 * more than 16 names: at most 40 bytes a name.
 * Refused types: JavaScript code (with and without scope), DBPointer, symbol, undefined.
 * @param bytes advanced past the document; untouched on failure.
 * @param ret_failure NULL, or set with -EBADMSG; its offset counts from the front of `bytes`.
 * @return 0 and the document; -EBADMSG and `ret_failure`; -ENOMEM.
 */
int bson_check(struct slice *bytes,
	const struct bson_limits *limits,
	struct slice *ret_document,
	struct bson_failure *ret_failure);
