#include "director/websocket/ticket.h"

#include "common/base/clock.h"
#include "common/base/map.h"
#include "director/auth/auth.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>

enum { BYTES = 32, HASH = 32 };

struct ticket {
	UT_hash_handle hh;
	struct ticket *prev, *next; /* all, the oldest first: their time is the same */
	uint8_t hash[HASH];
	uint64_t until_ms;
	struct user_context *user;
};

struct tickets {
	uint64_t (*now_ms)(void);
	unsigned most;
	struct ticket *by_hash;
	struct ticket *list;
	unsigned n;
};

struct tickets *tickets_new(uint64_t (*now_ms)(void), unsigned most)
{
	struct tickets *all = calloc(1, sizeof(*all));
	if (all != NULL) {
		all->now_ms = now_ms == NULL ? clock_ms : now_ms;
		all->most = most;
	}
	return all;
}

static void drop(struct tickets *all, struct ticket *t)
{
	HASH_DELETE(hh, all->by_hash, t);
	DL_DELETE(all->list, t);
	all->n--;
	(void)user_context_unref(t->user);
	free(t);
}

struct tickets *tickets_free(struct tickets *all)
{
	while (all != NULL && all->list != NULL) {
		drop(all, all->list);
	}
	free(all);
	return NULL;
}

static void drop_old(struct tickets *all)
{
	uint64_t now = all->now_ms();
	while (all->list != NULL && all->list->until_ms <= now) {
		drop(all, all->list);
	}
}

/* Makes room for one more of this user. */
static void drop_of_user(struct tickets *all, const struct user_context *user)
{
	struct ticket *oldest = NULL;
	struct ticket *t;
	unsigned n = 0;
	DL_FOREACH (all->list, t) {
		if (slice_eq(t->user->user_id, user->user_id)) {
			oldest = oldest == NULL ? t : oldest;
			n++;
		}
	}
	if (n >= TICKETS_PER_USER_MAX) {
		drop(all, oldest);
	}
}

static int hash_of(struct slice ticket, uint8_t out[static HASH])
{
	return crypto_generichash(out, HASH, ticket.p, ticket.n, NULL, 0);
}

int tickets_issue(struct tickets *all, struct user_context *user, char ret[static TICKET_SIZE])
{
	uint8_t bytes[BYTES];
	drop_old(all);
	drop_of_user(all, user);
	if (all->n >= all->most) {
		return -ENOBUFS;
	}
	struct ticket *t = calloc(1, sizeof(*t));
	if (t == NULL) {
		return -ENOMEM;
	}
	randombytes_buf(bytes, sizeof(bytes));
	(void)sodium_bin2base64(
		ret, TICKET_SIZE, bytes, sizeof(bytes), sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	(void)hash_of(slice_of(ret, TICKET_SIZE - 1), t->hash);
	HASH_ADD(hh, all->by_hash, hash, HASH, t);
	if (t->hh.tbl == NULL) {
		free(t);
		return -ENOMEM;
	}
	t->user = user_context_ref(user);
	t->until_ms = all->now_ms() + TICKET_SECONDS * UINT64_C(1000);
	DL_APPEND(all->list, t);
	all->n++;
	return 0;
}

struct user_context *tickets_redeem(struct tickets *all, struct slice ticket)
{
	uint8_t hash[HASH];
	struct ticket *t = NULL;
	drop_old(all);
	if (ticket.n != TICKET_SIZE - 1 || hash_of(ticket, hash) != 0) {
		return NULL;
	}
	HASH_FIND(hh, all->by_hash, hash, HASH, t);
	if (t == NULL) {
		return NULL;
	}
	struct user_context *user = user_context_ref(t->user);
	drop(all, t);
	return user;
}
