#include "director/capability/cursors.h"

#include "common/base/map.h"
#include "common/proto/frame.h"

#include <errno.h>
#include <stdlib.h>

struct cursor {
	struct cursor *prev, *next;
	uint32_t id;
	uint64_t work_id;
	uint64_t used_ms;
	uint8_t *memory; /* the whole result */
	size_t bytes;
	struct slice rest;
};

struct cursors {
	struct cursor *list;
	struct cursor *spent; /* its last batch was handed out; freed at the next call */
	uint32_t last_id;
	size_t bytes; /* of all, the spent one included */
	struct cursors_limits limits;
};

struct cursors *cursors_new(const struct cursors_limits *limits)
{
	struct cursors *cs = calloc(1, sizeof(*cs));
	if (cs != NULL) {
		cs->limits = *limits;
	}
	return cs;
}

static void cursor_free(struct cursors *cs, struct cursor *c)
{
	cs->bytes -= c->bytes;
	free(c->memory);
	free(c);
}

static void drop(struct cursors *cs, struct cursor *c)
{
	DL_DELETE(cs->list, c);
	cursor_free(cs, c);
}

static void free_spent(struct cursors *cs)
{
	if (cs->spent != NULL) {
		cursor_free(cs, cs->spent);
		cs->spent = NULL;
	}
}

void cursors_free(void *cursors)
{
	struct cursors *cs = cursors;
	if (cs != NULL) {
		while (cs->list != NULL) {
			drop(cs, cs->list);
		}
		free_spent(cs);
		free(cs);
	}
}

/* Documents in a row, each with its length in front: what the store made is well-formed. */
static size_t document_size(struct slice documents)
{
	size_t n = documents.n < 4 ? 0 : get_u32(documents.p);
	return n < 5 || n > documents.n ? documents.n : n;
}

struct slice cursors_batch(struct slice *documents, size_t bytes)
{
	struct slice all = *documents;
	size_t n = 0;
	for (unsigned i = 0; i < BATCH_DOCUMENTS && n < all.n; i++) {
		size_t size = document_size(slice_skip(all, n));
		if (n > 0 && n + size > bytes) {
			break;
		}
		n += size;
	}
	*documents = slice_skip(all, n);
	return slice_of(all.p, n);
}

static void drop_idle(struct cursors *cs, uint64_t now_ms)
{
	struct cursor *c;
	struct cursor *next;
	DL_FOREACH_SAFE (cs->list, c, next) {
		if (now_ms - c->used_ms > cs->limits.idle_ms) {
			drop(cs, c);
		}
	}
}

int cursors_open(struct cursors *cs,
	uint64_t work_id,
	uint8_t *memory,
	struct slice rest,
	uint64_t now_ms,
	uint32_t *ret_id)
{
	unsigned of_call = 0;
	unsigned of_worker = 0;
	const struct cursor *other;
	size_t bytes = (size_t)(rest.p - memory) + rest.n;
	free_spent(cs);
	drop_idle(cs, now_ms);
	DL_FOREACH (cs->list, other) {
		of_worker++;
		of_call += other->work_id == work_id ? 1 : 0;
	}
	if (of_call >= cs->limits.per_request) {
		return CURSORS_E_REQUEST_COUNT;
	}
	if (of_worker >= cs->limits.per_worker) {
		return CURSORS_E_WORKER_COUNT;
	}
	if (bytes > cs->limits.bytes - cs->bytes) {
		return CURSORS_E_BYTES;
	}
	struct cursor *c = malloc(sizeof(*c));
	if (c == NULL) {
		return -ENOMEM;
	}
	*c = (struct cursor){
		.id = ++cs->last_id,
		.work_id = work_id,
		.used_ms = now_ms,
		.memory = memory,
		.bytes = bytes,
		.rest = rest,
	};
	cs->bytes += bytes;
	DL_APPEND(cs->list, c);
	*ret_id = c->id;
	return 0;
}

void cursors_end_work(struct cursors *cs, uint64_t work_id)
{
	struct cursor *c;
	struct cursor *next;
	free_spent(cs);
	DL_FOREACH_SAFE (cs->list, c, next) {
		if (c->work_id == work_id) {
			drop(cs, c);
		}
	}
}

static struct cursor *find(struct cursors *cs, uint64_t work_id, uint32_t id)
{
	struct cursor *c;
	DL_FOREACH (cs->list, c) {
		if (c->id == id && c->work_id == work_id) {
			return c;
		}
	}
	return NULL;
}

bool cursors_next(struct cursors *cs,
	uint64_t work_id,
	uint32_t id,
	size_t bytes,
	uint64_t now_ms,
	struct slice *ret_batch,
	bool *ret_more)
{
	struct cursor *c = find(cs, work_id, id);
	free_spent(cs);
	if (c == NULL) {
		return false;
	}
	c->used_ms = now_ms;
	*ret_batch = cursors_batch(&c->rest, bytes);
	*ret_more = c->rest.n > 0;
	if (!*ret_more) {
		DL_DELETE(cs->list, c);
		cs->spent = c;
	}
	return true;
}

bool cursors_close(struct cursors *cs, uint64_t work_id, uint32_t id)
{
	struct cursor *c = find(cs, work_id, id);
	if (c == NULL) {
		return false;
	}
	drop(cs, c);
	return true;
}
