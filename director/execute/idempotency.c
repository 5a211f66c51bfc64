#include "director/execute/idempotency.h"

#include "common/base/error.h"
#include "common/base/map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The keys of one user at one plugin. */
struct owner {
	UT_hash_handle hh;
	struct idempotency_entry *kept; /* the oldest first */
	unsigned n;                     /* kept and running */
	size_t name_n;
	char name[];
};

struct idempotency_entry {
	UT_hash_handle hh;
	struct idempotency *all;
	struct owner *owner;
	struct idempotency_entry *prev, *next;             /* kept, of all: the oldest first */
	struct idempotency_entry *owner_prev, *owner_next; /* kept, of its owner */
	bool running;
	int status;
	uint64_t body;
	uint64_t expires_ms;
	uint8_t *answer;
	size_t answer_n;
	size_t name_n;
	char name[]; /* owner's name, NUL, key */
};

struct idempotency {
	struct idempotency_policy policy;
	struct idempotency_entry *entries; /* by name */
	struct idempotency_entry *kept;
	struct owner *owners;
	uint64_t bytes;
};

int idempotency_new(struct idempotency **ret, const struct idempotency_policy *policy)
{
	struct idempotency *all = calloc(1, sizeof(*all));
	if (all == NULL) {
		return -ENOMEM;
	}
	all->policy = *policy;
	*ret = all;
	return 0;
}

static size_t cost(const struct idempotency_entry *e)
{
	return sizeof(*e) + sizeof(*e->owner) + 2 * e->name_n + e->answer_n;
}

static void leave_owner(struct idempotency *all, struct owner *o)
{
	o->n--;
	if (o->n == 0) {
		HASH_DELETE(hh, all->owners, o);
		free(o);
	}
}

static void forget(struct idempotency_entry *e)
{
	struct idempotency *all = e->all;
	if (!e->running) {
		DL_DELETE(all->kept, e);
		DL_DELETE2(e->owner->kept, e, owner_prev, owner_next);
		all->bytes -= cost(e);
	}
	HASH_DELETE(hh, all->entries, e);
	leave_owner(all, e->owner);
	free(e->answer);
	free(e);
}

struct idempotency *idempotency_free(struct idempotency *all)
{
	if (all != NULL) {
		while (all->kept != NULL) {
			forget(all->kept);
		}
		invariant(all->entries == NULL && all->owners == NULL);
		free(all);
	}
	return NULL;
}

bool idempotency_is_key(struct slice key)
{
	for (size_t i = 0; i < key.n; i++) {
		if (key.p[i] < ' ' || key.p[i] > '~') {
			return false;
		}
	}
	return key.n > 0 && key.n <= IDEMPOTENCY_KEY_MAX;
}

static void expire(struct idempotency *all, uint64_t now_ms)
{
	/* All are kept for the same time: the oldest goes first. */
	while (all->kept != NULL && all->kept->expires_ms <= now_ms) {
		forget(all->kept);
	}
}

static struct owner *find_owner(struct idempotency *all, const char *name, size_t n)
{
	struct owner *o;
	HASH_FIND(hh, all->owners, name, n, o);
	if (o != NULL) {
		return o;
	}
	o = calloc(1, sizeof(*o) + n);
	if (o == NULL) {
		return NULL;
	}
	memcpy(o->name, name, n);
	o->name_n = n;
	HASH_ADD_KEYPTR(hh, all->owners, o->name, n, o);
	if (o->hh.tbl == NULL) {
		free(o);
		return NULL;
	}
	return o;
}

static void put(char *to, size_t *at, struct slice s)
{
	if (s.n > 0) {
		memcpy(to + *at, s.p, s.n);
	}
	*at += s.n;
}

/* Takes `e`, whose name is set. @return false without memory. */
static bool add(struct idempotency *all, struct idempotency_entry *e, size_t owner_n)
{
	e->all = all;
	e->running = true;
	e->owner = find_owner(all, e->name, owner_n);
	if (e->owner == NULL) {
		free(e);
		return false;
	}
	e->owner->n++;
	HASH_ADD_KEYPTR(hh, all->entries, e->name, e->name_n, e);
	if (e->hh.tbl == NULL) {
		leave_owner(all, e->owner);
		free(e);
		return false;
	}
	while (e->owner->n > all->policy.per_user && e->owner->kept != NULL) {
		forget(e->owner->kept);
	}
	return true;
}

int idempotency_begin(struct idempotency *all,
	struct slice plugin,
	struct slice user,
	struct slice key,
	uint64_t body,
	uint64_t now_ms,
	struct idempotency_entry **ret_entry,
	struct idempotency_answer *ret_answer)
{
	size_t owner_n = plugin.n + 1 + user.n;
	size_t n = owner_n + 1 + key.n;
	struct idempotency_entry *e = calloc(1, sizeof(*e) + n);
	struct idempotency_entry *found;
	size_t at = 0;
	if (e == NULL) {
		return -ENOMEM;
	}
	put(e->name, &at, plugin);
	at++;
	put(e->name, &at, user);
	at++;
	put(e->name, &at, key);
	e->name_n = n;
	expire(all, now_ms);
	HASH_FIND(hh, all->entries, e->name, n, found);
	if (found == NULL) {
		e->body = body;
		*ret_entry = e;
		return add(all, e, owner_n) ? IDEMPOTENCY_NEW : -ENOMEM;
	}
	free(e);
	if (found->body != body) {
		return IDEMPOTENCY_OTHER;
	}
	if (found->running) {
		return IDEMPOTENCY_RUNNING;
	}
	*ret_answer = (struct idempotency_answer){ .status = found->status,
		.body = slice_of(found->answer, found->answer_n) };
	return IDEMPOTENCY_KEPT;
}

void idempotency_finish(
	struct idempotency_entry *e, int status, const struct slice body[static 2], uint64_t now_ms)
{
	struct idempotency *all = e->all;
	size_t n = body[0].n + body[1].n;
	size_t at = 0;
	e->answer_n = n;
	/* One that would drive out all the others is not worth it. */
	if (all->policy.ms == 0 || cost(e) > all->policy.bytes / 4 ||
		(e->answer = malloc(n > 0 ? n : 1)) == NULL) {
		idempotency_release(e);
		return;
	}
	put((char *)e->answer, &at, body[0]);
	put((char *)e->answer, &at, body[1]);
	e->running = false;
	e->status = status;
	e->expires_ms = now_ms + all->policy.ms;
	DL_APPEND(all->kept, e);
	DL_APPEND2(e->owner->kept, e, owner_prev, owner_next);
	all->bytes += cost(e);
	while (all->bytes > all->policy.bytes) {
		forget(all->kept);
	}
}

void idempotency_release(struct idempotency_entry *e)
{
	invariant(e->running);
	forget(e);
}

uint64_t idempotency_bytes(const struct idempotency *all)
{
	return all->bytes;
}
