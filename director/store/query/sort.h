/*
 * Sort orders: {a: 1, "b.c": -1}. Each document gets a key whose memcmp() order is the wanted order
 * (key.h), so that sorting compares bytes. A field that is an array counts as its smallest element
 * when ascending and its largest when descending; what is missing counts as null.
 */
#pragma once

#include "director/store/query/path.h"

enum { SORT_FIELDS_MAX = 32 };

struct sort;

/**
 * @param spec a document; an empty slice or document sorts nothing.
 * @param ret NULL when there is nothing to sort by.
 * @return 0; STORE_E_INVALID, STORE_E_UNSUPPORTED and `f`; -ENOMEM.
 */
int sort_compile(struct sort **ret, struct slice spec, struct store_failure *f);
struct sort *sort_free(struct sort *s);

/** Appends the key of a document. @return 0; -ENOBUFS, -ENOMEM, -EINVAL (key.h). */
int sort_key(
	const struct sort *s, struct slice document, struct budget *budget, struct buffer *key);
