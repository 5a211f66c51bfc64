#include "director/store/memory.h"

#include "common/base/error.h"
#include "director/store/query/compare.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

void memory_init(struct memory_store *m)
{
	*m = (struct memory_store){ 0 };
}

static void set_bytes(struct memory_document *d, struct slice s)
{
	d->heap = malloc(s.n);
	if (d->heap == NULL) {
		abort();
	}
	memcpy(d->heap, s.p, s.n);
	d->bytes = slice_of(d->heap, s.n);
}

static void drop(struct memory_document *d)
{
	free(d->heap);
	*d = (struct memory_document){ 0 };
}

void memory_deinit(struct memory_store *m)
{
	for (size_t i = 0; i < MEMORY_DOCUMENTS_MAX; i++) {
		drop(&m->documents[i]);
	}
}

void memory_copy(struct memory_store *to, const struct memory_store *from)
{
	memory_init(to);
	for (size_t i = 0; i < MEMORY_DOCUMENTS_MAX; i++) {
		if (from->documents[i].collection[0] != 0) {
			to->documents[i] = from->documents[i];
			set_bytes(&to->documents[i], from->documents[i].bytes);
		}
	}
}

void memory_put(struct memory_store *m, const char *collection, struct slice document)
{
	for (size_t i = 0; i < MEMORY_DOCUMENTS_MAX; i++) {
		struct memory_document *d = &m->documents[i];
		if (d->collection[0] == 0) {
			(void)snprintf(d->collection, sizeof(d->collection), "%s", collection);
			set_bytes(d, document);
			return;
		}
	}
	abort();
}

struct memory_source {
	struct engine_source source;
	struct memory_store *m;
	char collection[64];
	size_t at;
};

static bool is_here(const struct memory_source *s, size_t i)
{
	return strcmp(s->m->documents[i].collection, s->collection) == 0;
}

static int memory_next(struct engine_source *source, int64_t *ret_rid, struct slice *ret_document)
{
	struct memory_source *s = (struct memory_source *)source;
	while (s->at < MEMORY_DOCUMENTS_MAX) {
		size_t i = s->at++;
		if (is_here(s, i)) {
			*ret_rid = (int64_t)i;
			*ret_document = s->m->documents[i].bytes;
			return 1;
		}
	}
	return 0;
}

static int memory_load(struct engine_source *source, int64_t rid, struct slice *ret_document)
{
	struct memory_source *s = (struct memory_source *)source;
	*ret_document = s->m->documents[rid].bytes;
	return is_here(s, (size_t)rid) ? 1 : 0;
}

static int memory_insert(struct engine_source *source, struct slice document, struct value id)
{
	struct memory_source *s = (struct memory_source *)source;
	bool room = false;
	for (size_t i = 0; i < MEMORY_DOCUMENTS_MAX; i++) {
		room = room || s->m->documents[i].collection[0] == 0;
		if (is_here(s, i) &&
			value_compare(id, document_find(s->m->documents[i].bytes, SLICE("_id"))) ==
				0) {
			return 0;
		}
	}
	if (!room) {
		return -ENOSPC;
	}
	memory_put(s->m, s->collection, document);
	return 1;
}

static int memory_replace(struct engine_source *source, int64_t rid, struct slice document)
{
	struct memory_source *s = (struct memory_source *)source;
	struct memory_document *d = &s->m->documents[rid];
	uint8_t *before = d->heap;
	set_bytes(d, document);
	free(before);
	return 0;
}

static int memory_remove(struct engine_source *source, int64_t rid)
{
	struct memory_source *s = (struct memory_source *)source;
	drop(&s->m->documents[rid]);
	return 0;
}

void memory_run(struct memory_store *m, struct store_task *t)
{
	static const struct engine_source_ops ops = {
		.next = memory_next,
		.load = memory_load,
		.insert = memory_insert,
		.replace = memory_replace,
		.remove = memory_remove,
	};
	struct memory_store before;
	struct memory_source s = { .source = { &ops }, .m = m };
	invariant(t->collection.n < sizeof(s.collection));
	if (t->collection.n > 0) {
		memcpy(s.collection, t->collection.p, t->collection.n);
	}
	if (store_task_compile(t) != 0) {
		return;
	}
	memory_copy(&before, m);
	int r = engine_run(t, &s.source);
	if (r < 0) {
		(void)store_task_fail_errno(t, r);
	}
	if (r < 0 || !store_task_keeps(t)) {
		memory_deinit(m);
		*m = before;
		return;
	}
	memory_deinit(&before);
}
