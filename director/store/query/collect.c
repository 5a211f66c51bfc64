#include "director/store/query/collect.h"

#include "common/base/map.h"
#include "director/store/query/key.h"

#include <errno.h>
#include <stdlib.h>

int key_order(struct slice a, struct slice b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int c = n == 0 ? 0 : memcmp(a.p, b.p, n);
	return c != 0 ? c : (int)(a.n > b.n) - (int)(a.n < b.n);
}

void collect_init(struct collect *c, size_t bytes, uint64_t wanted)
{
	*c = (struct collect){ .wanted = wanted };
	buffer_init(&c->keys, bytes);
	buffer_init(&c->documents, bytes);
}

void collect_deinit(struct collect *c)
{
	buffer_deinit(&c->keys);
	buffer_deinit(&c->documents);
	free(c->entries);
	c->entries = NULL;
}

int collect_begin(struct collect *c)
{
	if (c->n == c->cap) {
		size_t cap = c->cap == 0 ? 64 : c->cap * 2;
		struct collect_entry *entries = reallocarray(c->entries, cap, sizeof(*entries));
		if (entries == NULL) {
			return -ENOMEM;
		}
		c->entries = entries;
		c->cap = cap;
	}
	c->key_start = c->keys.n;
	return 0;
}

static int entry_compare(const void *x, const void *y, void *arg)
{
	const struct collect *c = (const struct collect *)arg;
	const struct collect_entry *a = (const struct collect_entry *)x;
	const struct collect_entry *b = (const struct collect_entry *)y;
	int order = key_order(
		slice_of(c->keys.p + a->key, a->key_n), slice_of(c->keys.p + b->key, b->key_n));
	return order != 0 ? order : (int)(a->seq > b->seq) - (int)(a->seq < b->seq);
}

static int offset_compare(const void *x, const void *y)
{
	const struct collect_entry *a = (const struct collect_entry *)x;
	const struct collect_entry *b = (const struct collect_entry *)y;
	return (int)(a->seq > b->seq) - (int)(a->seq < b->seq);
}

void collect_sort(struct collect *c)
{
	if (c->n > 1) {
		qsort_r(c->entries, c->n, sizeof(*c->entries), entry_compare, c);
	}
	if (c->wanted != 0 && c->n > c->wanted) {
		c->n = (size_t)c->wanted;
	}
}

/* Keeps the wanted ones and moves their bytes together. */
static void prune(struct collect *c)
{
	size_t key = 0;
	size_t document = 0;
	collect_sort(c);
	/* In the order of arrival, bytes only ever move to the front. */
	qsort(c->entries, c->n, sizeof(*c->entries), offset_compare);
	for (size_t i = 0; i < c->n; i++) {
		struct collect_entry *e = &c->entries[i];
		memmove(c->keys.p + key, c->keys.p + e->key, e->key_n);
		memmove(c->documents.p + document, c->documents.p + e->document, e->document_n);
		e->key = key;
		e->document = document;
		key += e->key_n;
		document += e->document_n;
	}
	c->keys.n = key;
	c->documents.n = document;
}

int collect_end(struct collect *c, struct slice document)
{
	size_t start = c->documents.n;
	int r = buffer_append(&c->documents, document);
	if (r < 0) {
		return r;
	}
	c->entries[c->n++] = (struct collect_entry){ c->key_start, c->keys.n - c->key_start, start,
		document.n, c->seq++ };
	if (c->wanted != 0 && c->n >= 64 && c->n / 2 >= c->wanted) {
		prune(c);
	}
	return 0;
}

size_t collect_n(const struct collect *c)
{
	return c->n;
}

struct slice collect_document(const struct collect *c, size_t i)
{
	return slice_of(c->documents.p + c->entries[i].document, c->entries[i].document_n);
}

struct value_set_entry {
	UT_hash_handle hh;
	size_t n;
	uint8_t key[];
};

void value_set_init(struct value_set *s, size_t bytes)
{
	*s = (struct value_set){ .limit = bytes };
	buffer_init(&s->key, bytes);
}

void value_set_deinit(struct value_set *s)
{
	struct value_set_entry *e;
	struct value_set_entry *next;
	HASH_ITER (hh, s->entries, e, next) {
		HASH_DEL(s->entries, e);
		free(e);
	}
	buffer_deinit(&s->key);
}

int value_set_add(struct value_set *s, struct value v)
{
	struct value_set_entry *e = NULL;
	buffer_clear(&s->key);
	int r = key_append(&s->key, v);
	if (r < 0) {
		return r;
	}
	HASH_FIND(hh, s->entries, s->key.p, s->key.n, e);
	if (e != NULL) {
		return 0;
	}
	size_t cost = sizeof(*e) + s->key.n;
	if (cost > s->limit - s->bytes) {
		return -ENOBUFS;
	}
	e = malloc(cost);
	if (e == NULL) {
		return -ENOMEM;
	}
	e->n = s->key.n;
	memcpy(e->key, s->key.p, s->key.n);
	HASH_ADD_KEYPTR(hh, s->entries, e->key, e->n, e);
	if (e->hh.tbl == NULL) {
		free(e);
		return -ENOMEM;
	}
	s->bytes += cost;
	return 1;
}
