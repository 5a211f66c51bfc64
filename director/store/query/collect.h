/*
 * Two containers of the engine, each within a number of bytes: documents to be sorted by their keys,
 * and a set of values.
 */
#pragma once

#include "common/base/buffer.h"
#include "director/store/query/document.h"

/** memcmp() order; the shorter first when one begins with the other. */
int key_order(struct slice a, struct slice b);

struct collect_entry {
	size_t key;
	size_t key_n;
	size_t document;
	size_t document_n;
	uint64_t seq; /* equal keys stay in the order of arrival */
};

/* Documents with their sort keys. When only the first few are wanted the others are dropped now and
 * then, so that memory follows what is wanted and not what was found. */
struct collect {
	struct buffer keys; /* collect_begin(), then append the key here, then collect_end() */
	struct buffer documents;
	struct collect_entry *entries;
	size_t n;
	size_t cap;
	uint64_t wanted; /* 0: all */
	uint64_t seq;
	size_t key_start;
};

void collect_init(struct collect *c, size_t bytes, uint64_t wanted);
void collect_deinit(struct collect *c);
/** @return 0, -ENOMEM. */
int collect_begin(struct collect *c);
/** @return 0, -ENOBUFS, -ENOMEM. */
int collect_end(struct collect *c, struct slice document);
/** Sorts and keeps the wanted ones. */
void collect_sort(struct collect *c);
size_t collect_n(const struct collect *c);
struct slice collect_document(const struct collect *c, size_t i);

struct value_set_entry;

struct value_set {
	struct value_set_entry *entries;
	struct buffer key;
	size_t bytes;
	size_t limit;
};

void value_set_init(struct value_set *s, size_t bytes);
void value_set_deinit(struct value_set *s);
/** Values are the same as value_compare() says. @return 1 when it is new, 0; -ENOBUFS, -ENOMEM. */
int value_set_add(struct value_set *s, struct value v);
