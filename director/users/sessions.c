#include "director/users/sessions.h"

#include "common/base/map.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>

enum {
	FAMILY_BYTES = 16,
	SECRET_BYTES = 32,
	TOKEN_BYTES = FAMILY_BYTES + SECRET_BYTES,
	SWEEP_MS = 60000
};

_Static_assert(SESSION_TOKEN_SIZE == TOKEN_BYTES / 3 * 4 + 1, "base64 without padding");

/* ---- refresh tokens ------------------------------------------------------------------------- */

static void hash(
	const char *what, const uint8_t *p, size_t n, uint8_t out[static crypto_hash_sha256_BYTES])
{
	crypto_hash_sha256_state state;
	(void)crypto_hash_sha256_init(&state);
	(void)crypto_hash_sha256_update(&state, (const uint8_t *)what, strlen(what));
	(void)crypto_hash_sha256_update(&state, p, n);
	(void)crypto_hash_sha256_final(&state, out);
}

static void fill(struct session_token *t, const uint8_t bytes[static TOKEN_BYTES])
{
	uint8_t digest[crypto_hash_sha256_BYTES];
	(void)sodium_bin2base64(t->token, sizeof(t->token), bytes, TOKEN_BYTES,
		sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	hash("mozaiks session ", bytes, FAMILY_BYTES, digest);
	(void)sodium_bin2hex(t->session, sizeof(t->session), digest, SESSION_ID_SIZE / 2);
	hash("mozaiks refresh ", bytes, TOKEN_BYTES, digest);
	(void)sodium_bin2hex(t->secret, sizeof(t->secret), digest, sizeof(digest));
}

static bool decode(struct slice text, uint8_t bytes[static TOKEN_BYTES])
{
	size_t n = 0;
	return text.n == SESSION_TOKEN_SIZE - 1 &&
		sodium_base642bin(bytes, TOKEN_BYTES, (const char *)text.p, text.n, NULL, &n, NULL,
			sodium_base64_VARIANT_URLSAFE_NO_PADDING) == 0 &&
		n == TOKEN_BYTES;
}

void session_token_new(struct session_token *ret, const struct session_token *before)
{
	uint8_t bytes[TOKEN_BYTES];
	uint8_t old[TOKEN_BYTES];
	randombytes_buf(bytes, sizeof(bytes));
	if (before != NULL && decode(slice_str(before->token), old)) {
		memcpy(bytes, old, FAMILY_BYTES);
	}
	fill(ret, bytes);
	sodium_memzero(bytes, sizeof(bytes));
	sodium_memzero(old, sizeof(old));
}

bool session_token_parse(struct slice text, struct session_token *ret)
{
	uint8_t bytes[TOKEN_BYTES];
	bool good = decode(text, bytes);
	if (good) {
		fill(ret, bytes);
	}
	sodium_memzero(bytes, sizeof(bytes));
	return good;
}

void session_token_wipe(struct session_token *t)
{
	sodium_memzero(t, sizeof(*t));
}

/* ---- what has ended ------------------------------------------------------------------------- */

struct ended_session {
	char id[SESSION_ID_SIZE];
	int64_t until_ms;
	UT_hash_handle hh;
};

struct disabled_user {
	unsigned generation;
	UT_hash_handle hh;
	size_t n;
	uint8_t id[];
};

void revocations_deinit(struct revocations *r)
{
	struct ended_session *s;
	struct ended_session *next_session;
	struct disabled_user *u;
	struct disabled_user *next_user;
	HASH_ITER (hh, r->sessions, s, next_session) {
		HASH_DELETE(hh, r->sessions, s);
		free(s);
	}
	HASH_ITER (hh, r->users, u, next_user) {
		HASH_DELETE(hh, r->users, u);
		free(u);
	}
}

/* Tokens of such a session have run out by themselves. */
static void sweep(struct revocations *r, int64_t now_ms)
{
	struct ended_session *s;
	struct ended_session *next;
	if (now_ms >= r->swept_ms && now_ms < r->swept_ms + SWEEP_MS) {
		return;
	}
	r->swept_ms = now_ms;
	HASH_ITER (hh, r->sessions, s, next) {
		if (s->until_ms <= now_ms) {
			HASH_DELETE(hh, r->sessions, s);
			free(s);
		}
	}
}

static struct ended_session *find_session(const struct revocations *r, struct slice id)
{
	struct ended_session *s = NULL;
	if (id.n == SESSION_ID_SIZE - 1) {
		HASH_FIND(hh, r->sessions, id.p, id.n, s);
	}
	return s;
}

int revocations_end_session(
	struct revocations *r, struct slice session, int64_t until_ms, int64_t now_ms)
{
	struct ended_session *s;
	sweep(r, now_ms);
	if (session.n != SESSION_ID_SIZE - 1 || until_ms <= now_ms ||
		find_session(r, session) != NULL) {
		return 0;
	}
	s = calloc(1, sizeof(*s));
	if (s == NULL) {
		return -ENOMEM;
	}
	memcpy(s->id, session.p, session.n);
	s->until_ms = until_ms;
	HASH_ADD_KEYPTR(hh, r->sessions, s->id, SESSION_ID_SIZE - 1, s);
	if (s->hh.tbl == NULL) {
		free(s);
		return -ENOMEM;
	}
	return 0;
}

bool revocations_has_session(const struct revocations *r, struct slice session)
{
	return find_session(r, session) != NULL;
}

unsigned revocations_count(const struct revocations *r)
{
	return HASH_COUNT(r->sessions);
}

static struct disabled_user *find_user(const struct revocations *r, struct slice id)
{
	struct disabled_user *u = NULL;
	if (r->users != NULL && id.n > 0) {
		HASH_FIND(hh, r->users, id.p, id.n, u);
	}
	return u;
}

int revocations_disable(struct revocations *r, struct slice user)
{
	struct disabled_user *u = find_user(r, user);
	if (u != NULL || user.n == 0) {
		if (u != NULL) {
			u->generation = r->generation;
		}
		return 0;
	}
	u = calloc(1, sizeof(*u) + user.n);
	if (u == NULL) {
		return -ENOMEM;
	}
	u->generation = r->generation;
	u->n = user.n;
	memcpy(u->id, user.p, user.n);
	HASH_ADD_KEYPTR(hh, r->users, u->id, u->n, u);
	if (u->hh.tbl == NULL) {
		free(u);
		return -ENOMEM;
	}
	return 0;
}

static void remove_user(struct revocations *r, struct disabled_user *u)
{
	HASH_DELETE(hh, r->users, u);
	free(u);
}

void revocations_enable(struct revocations *r, struct slice user)
{
	struct disabled_user *u = find_user(r, user);
	if (u != NULL) {
		remove_user(r, u);
	}
}

bool revocations_has_user(const struct revocations *r, struct slice user)
{
	return find_user(r, user) != NULL;
}

void revocations_list_begin(struct revocations *r)
{
	r->generation++;
}

void revocations_list_end(struct revocations *r)
{
	struct disabled_user *u;
	struct disabled_user *next;
	HASH_ITER (hh, r->users, u, next) {
		if (u->generation != r->generation) {
			remove_user(r, u);
		}
	}
}
