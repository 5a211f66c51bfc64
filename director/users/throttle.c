#include "director/users/throttle.h"

#include "common/base/map.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>

enum { DIGEST_SIZE = 16 };

enum kind { ACCOUNT, ADDRESS };

struct entry {
	uint8_t digest[DIGEST_SIZE];
	unsigned attempts;
	uint64_t last_ms;
	uint64_t until_ms; /* the next attempt may be made from then on */
	struct entry *prev;
	struct entry *next;
	UT_hash_handle hh;
};

struct throttle {
	struct throttle_policy policy;
	uint8_t key[crypto_generichash_KEYBYTES];
	struct entry *table;
	struct entry *recent; /* a list, the one used last in front */
	size_t n;
};

int throttle_new(struct throttle **ret, const struct throttle_policy *policy)
{
	struct throttle *t = calloc(1, sizeof(*t));
	if (t == NULL) {
		return -ENOMEM;
	}
	t->policy = *policy;
	randombytes_buf(t->key, sizeof(t->key));
	*ret = t;
	return 0;
}

static void remove_entry(struct throttle *t, struct entry *e)
{
	HASH_DELETE(hh, t->table, e);
	DL_DELETE(t->recent, e);
	t->n--;
	free(e);
}

struct throttle *throttle_free(struct throttle *t)
{
	if (t != NULL) {
		while (t->recent != NULL) {
			remove_entry(t, t->recent);
		}
		free(t);
	}
	return NULL;
}

static void digest_of(const struct throttle *t,
	enum kind kind,
	struct slice text,
	uint8_t out[static DIGEST_SIZE])
{
	crypto_generichash_state state;
	uint8_t first = (uint8_t)kind;
	(void)crypto_generichash_init(&state, t->key, sizeof(t->key), DIGEST_SIZE);
	(void)crypto_generichash_update(&state, &first, 1);
	(void)crypto_generichash_update(&state, text.p, text.n);
	(void)crypto_generichash_final(&state, out, DIGEST_SIZE);
}

static unsigned free_of(const struct throttle *t, enum kind kind)
{
	return kind == ACCOUNT ? t->policy.account_free : t->policy.address_free;
}

static struct entry *find(const struct throttle *t, enum kind kind, struct slice text)
{
	struct entry *e = NULL;
	uint8_t digest[DIGEST_SIZE];
	if (text.n > 0 && free_of(t, kind) > 0) {
		digest_of(t, kind, text, digest);
		HASH_FIND(hh, t->table, digest, DIGEST_SIZE, e);
	}
	return e;
}

/* Without memory nobody is counted, rather than nobody let in. */
static struct entry *find_or_add(struct throttle *t, enum kind kind, struct slice text)
{
	struct entry *e = find(t, kind, text);
	if (e != NULL || text.n == 0 || free_of(t, kind) == 0) {
		return e;
	}
	e = calloc(1, sizeof(*e));
	if (e == NULL) {
		return NULL;
	}
	digest_of(t, kind, text, e->digest);
	HASH_ADD(hh, t->table, digest, DIGEST_SIZE, e);
	if (e->hh.tbl == NULL) {
		free(e);
		return NULL;
	}
	DL_PREPEND(t->recent, e);
	t->n++;
	if (t->n > t->policy.entries) {
		remove_entry(t, t->recent->prev);
	}
	return e;
}

static uint64_t wait_of(const struct throttle *t, const struct entry *e, uint64_t now_ms)
{
	return e == NULL || now_ms >= e->until_ms ? 0 : e->until_ms - now_ms;
}

static void charge(struct throttle *t, enum kind kind, struct slice text, uint64_t now_ms)
{
	struct entry *e = find_or_add(t, kind, text);
	if (e == NULL) {
		return;
	}
	if (e->attempts > 0 && now_ms - e->last_ms >= t->policy.forget_ms) {
		e->attempts = 0;
	}
	e->attempts++;
	e->last_ms = now_ms;
	unsigned most = free_of(t, kind);
	uint64_t wait = e->attempts < most ? 0 : t->policy.first_ms;
	for (unsigned i = most; i < e->attempts && wait < t->policy.max_ms; i++) {
		wait *= 2;
	}
	e->until_ms = now_ms + (wait < t->policy.max_ms ? wait : t->policy.max_ms);
	DL_DELETE(t->recent, e);
	DL_PREPEND(t->recent, e);
}

bool throttle_try(struct throttle *t,
	struct slice account,
	struct slice address,
	uint64_t now_ms,
	uint64_t *ret_wait_ms)
{
	uint64_t by_account = wait_of(t, find(t, ACCOUNT, account), now_ms);
	uint64_t by_address = wait_of(t, find(t, ADDRESS, address), now_ms);
	*ret_wait_ms = by_account > by_address ? by_account : by_address;
	if (*ret_wait_ms > 0) {
		return false;
	}
	charge(t, ACCOUNT, account, now_ms);
	charge(t, ADDRESS, address, now_ms);
	return true;
}

static void give_back(struct throttle *t, enum kind kind, struct slice text)
{
	struct entry *e = find(t, kind, text);
	if (e != NULL && e->attempts > 0) {
		e->attempts--;
		e->until_ms = 0;
	}
}

void throttle_succeeded(struct throttle *t, struct slice account, struct slice address)
{
	struct entry *e = find(t, ACCOUNT, account);
	if (e != NULL) {
		remove_entry(t, e);
	}
	give_back(t, ADDRESS, address);
}

void throttle_undo(struct throttle *t, struct slice account, struct slice address)
{
	give_back(t, ACCOUNT, account);
	give_back(t, ADDRESS, address);
}
