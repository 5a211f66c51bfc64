#include "director/execute/quarantine.h"

#include "common/base/map.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>

enum { WHOLE = 1000, DOUBLINGS_MAX = 20 };

/* A request or a user. */
struct suspect {
	UT_hash_handle hh;
	uint64_t key;
	uint64_t since_ms;  /* the first crash of the window */
	uint64_t crash;     /* the last one that it was in flight at */
	unsigned suspicion; /* in thousandths */
	unsigned crashes;   /* that it was in flight at */
	unsigned times;     /* quarantined */
	uint64_t until_ms;  /* quarantined, or slowed down, until then */
	bool proven;        /* it crashed a worker that had nothing else */
	bool running;       /* under suspicion */
};

/* The latest of a kind: the oldest place is used anew. */
struct ring {
	struct suspect *by_key;
	struct suspect *places;
	size_t size, next;
};

struct quarantine {
	struct quarantine_policy policy;
	uint8_t key[crypto_shorthash_KEYBYTES];
	struct ring requests, users;
	uint64_t crashes; /* ever */
};

static struct suspect *find(const struct ring *r, uint64_t key)
{
	struct suspect *s = NULL;
	if (r->by_key != NULL) {
		HASH_FIND(hh, r->by_key, &key, sizeof(key), s);
	}
	return s;
}

/* NULL without memory: then it goes unnoticed. */
static struct suspect *find_or_add(struct ring *r, uint64_t key)
{
	struct suspect *s = find(r, key);
	if (s != NULL) {
		return s;
	}
	s = &r->places[r->next];
	r->next = (r->next + 1) % r->size;
	if (s->key != 0) {
		HASH_DELETE(hh, r->by_key, s);
	}
	*s = (struct suspect){ .key = key };
	HASH_ADD(hh, r->by_key, key, sizeof(s->key), s);
	if (s->hh.tbl == NULL) {
		s->key = 0;
		return NULL;
	}
	return s;
}

int quarantine_new(struct quarantine **ret, const struct quarantine_policy *policy)
{
	struct quarantine *q = calloc(1, sizeof(*q));
	if (q == NULL) {
		return -ENOMEM;
	}
	q->policy = *policy;
	q->requests.size = QUARANTINE_REQUESTS;
	q->users.size = QUARANTINE_USERS;
	q->requests.places = calloc(q->requests.size, sizeof(struct suspect));
	q->users.places = calloc(q->users.size, sizeof(struct suspect));
	if (q->requests.places == NULL || q->users.places == NULL) {
		(void)quarantine_free(q);
		return -ENOMEM;
	}
	crypto_shorthash_keygen(q->key);
	*ret = q;
	return 0;
}

struct quarantine *quarantine_free(struct quarantine *q)
{
	if (q != NULL) {
		HASH_CLEAR(hh, q->requests.by_key);
		HASH_CLEAR(hh, q->users.by_key);
		free(q->requests.places);
		free(q->users.places);
		free(q);
	}
	return NULL;
}

/* ---- hashes --------------------------------------------------------------------------------- */

static uint64_t hash(const struct quarantine *q, const void *p, size_t n)
{
	uint64_t h;
	_Static_assert(sizeof(h) == crypto_shorthash_BYTES, "a hash of 64 bits");
	(void)crypto_shorthash((uint8_t *)&h, p == NULL ? (const void *)"" : p, n, q->key);
	return h == 0 ? 1 : h;
}

uint64_t quarantine_request(
	const struct quarantine *q, struct slice plugin, struct slice route, struct slice body)
{
	/* The parts are hashed apart: nothing of one can pass for the end of another. */
	uint64_t parts[] = { 'r', hash(q, plugin.p, plugin.n), hash(q, route.p, route.n),
		hash(q, body.p, body.n) };
	return hash(q, parts, sizeof(parts));
}

uint64_t quarantine_user(const struct quarantine *q, struct slice plugin, struct slice user)
{
	uint64_t parts[] = { 'u', hash(q, plugin.p, plugin.n), hash(q, user.p, user.n) };
	return hash(q, parts, sizeof(parts));
}

/* ---- questions ------------------------------------------------------------------------------ */

static bool is_recent(const struct quarantine *q, const struct suspect *s, uint64_t now_ms)
{
	return s->suspicion > 0 && now_ms - s->since_ms < q->policy.window_ms;
}

static enum quarantine_verdict judge(
	const struct quarantine *q, const struct suspect *s, uint64_t now_ms)
{
	if (s == NULL || q->policy.crashes == 0) {
		return QUARANTINE_CLEAN;
	}
	return s->until_ms > now_ms       ? QUARANTINE_REFUSED
		: is_recent(q, s, now_ms) ? QUARANTINE_ALONE
					  : QUARANTINE_CLEAN;
}

enum quarantine_verdict quarantine_ask_again(
	const struct quarantine *q, uint64_t request, uint64_t now_ms)
{
	return judge(q, find(&q->requests, request), now_ms);
}

enum quarantine_verdict quarantine_ask(struct quarantine *q,
	uint64_t request,
	uint64_t user,
	uint64_t now_ms,
	uint64_t *ret_wait_ms)
{
	const struct suspect *r = find(&q->requests, request);
	struct suspect *u = find(&q->users, user);
	enum quarantine_verdict verdict = judge(q, r, now_ms);
	if (verdict == QUARANTINE_REFUSED) {
		*ret_wait_ms = r->until_ms - now_ms;
		return verdict;
	}
	uint64_t limit = q->policy.user_crashes;
	if (u == NULL || limit == 0 || !is_recent(q, u, now_ms) || u->suspicion <= limit * WHOLE) {
		return verdict;
	}
	if (u->until_ms > now_ms) {
		*ret_wait_ms = u->until_ms - now_ms;
		return QUARANTINE_SLOWED;
	}
	u->until_ms = now_ms + q->policy.user_wait_ms;
	return verdict;
}

bool quarantine_begin(struct quarantine *q, uint64_t request)
{
	struct suspect *s = find(&q->requests, request);
	if (s != NULL && s->running) {
		return false;
	}
	if (s != NULL) {
		s->running = true;
	}
	return true;
}

void quarantine_over(struct quarantine *q, uint64_t request)
{
	struct suspect *s = find(&q->requests, request);
	if (s != NULL) {
		s->running = false;
	}
}

void quarantine_succeeded(struct quarantine *q, uint64_t request)
{
	struct suspect *s = find(&q->requests, request);
	/* One that is proven to crash does so now and then. */
	if (s != NULL && !s->proven) {
		s->suspicion = 0;
		s->crashes = 0;
	}
}

/* ---- crashes -------------------------------------------------------------------------------- */

/* How many different ones there are, each marked with this crash. What is not known is one. */
static unsigned mark(struct quarantine *q,
	struct ring *ring,
	const struct quarantine_suspect *list,
	size_t n,
	bool users)
{
	unsigned different = 0;
	bool unknown = false;
	for (size_t i = 0; i < n; i++) {
		uint64_t key = users ? list[i].user : list[i].request;
		struct suspect *s = key == 0 ? NULL : find_or_add(ring, key);
		unknown = unknown || s == NULL;
		if (s != NULL && s->crash != q->crashes) {
			s->crash = q->crashes;
			different++;
		}
	}
	return different + (unknown ? 1 : 0);
}

static void blame(
	const struct quarantine *q, struct suspect *s, unsigned different, uint64_t now_ms)
{
	if (!is_recent(q, s, now_ms)) {
		s->suspicion = 0;
		s->crashes = 0;
		s->proven = false;
		s->since_ms = now_ms;
	}
	s->suspicion += WHOLE / different;
	s->crashes++;
	if (different == 1) {
		s->proven = true;
		/* So it was this one the times before, too. */
		s->suspicion = s->crashes * WHOLE;
	}
}

/* @return true when it is quarantined now. */
static bool sentence(const struct quarantine *q, struct suspect *s, uint64_t now_ms)
{
	if (q->policy.crashes == 0 || s->suspicion < q->policy.crashes * WHOLE) {
		return false;
	}
	uint64_t ms = q->policy.ms << (s->times < DOUBLINGS_MAX ? s->times : DOUBLINGS_MAX);
	s->times++;
	s->until_ms = now_ms + (ms > q->policy.max_ms ? q->policy.max_ms : ms);
	s->suspicion = 0;
	s->crashes = 0;
	s->proven = false;
	return true;
}

uint64_t quarantine_crashed(struct quarantine *q,
	const struct quarantine_suspect *list,
	size_t n,
	uint64_t now_ms,
	struct quarantine_suspect *ret)
{
	unsigned worst_request = 0;
	unsigned worst_user = 0;
	uint64_t quarantined = 0;
	*ret = (struct quarantine_suspect){ 0 };
	q->crashes++;
	unsigned requests = mark(q, &q->requests, list, n, false);
	unsigned users = mark(q, &q->users, list, n, true);
	for (size_t i = 0; i < n; i++) {
		struct suspect *r = find(&q->requests, list[i].request);
		struct suspect *u = find(&q->users, list[i].user);
		/* Once each; the mark is taken away. */
		if (u != NULL && u->crash == q->crashes) {
			u->crash = 0;
			blame(q, u, users, now_ms);
			if (u->suspicion > worst_user) {
				worst_user = u->suspicion;
				ret->user = u->key;
			}
		}
		if (r != NULL && r->crash == q->crashes) {
			r->crash = 0;
			blame(q, r, requests, now_ms);
			if (r->suspicion > worst_request) {
				worst_request = r->suspicion;
				ret->request = r->key;
			}
			quarantined = sentence(q, r, now_ms) ? r->key : quarantined;
		}
	}
	return quarantined;
}
