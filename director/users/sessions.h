/*
 * Sessions: refresh tokens, and in memory which sessions have ended and which users are disabled.
 *
 * A login begins a session. Its refresh token is 16 random bytes that stay the same (the family) and 32
 * that change with each use (the secret), in base64url. The store has neither: the session's id is a hash
 * of the family, and it is also the claim `sid` of the access tokens; beside it stands the hash of the one
 * secret that is good. So whoever reads the store or an access token can neither refresh nor make it look
 * as if a token had been used twice.
 *
 * No I/O. Loop thread; clocks are the caller's.
 */
#pragma once

#include "common/base/slice.h"

enum {
	SESSION_TOKEN_SIZE = 65,  /* with NUL, as all of these */
	SESSION_ID_SIZE = 33,     /* 16 bytes in hexadecimal */
	SESSION_SECRET_SIZE = 65, /* SHA-256 in hexadecimal */
};

/* What belongs to a refresh token. */
struct session_token {
	char token[SESSION_TOKEN_SIZE];
	char session[SESSION_ID_SIZE];
	char secret[SESSION_SECRET_SIZE]; /* its hash */
};

/** A new family, or the next token of one (`before`). */
void session_token_new(struct session_token *ret, const struct session_token *before);

/** @param text untrusted. @return false: no refresh token of ours. */
bool session_token_parse(struct slice text, struct session_token *ret);

void session_token_wipe(struct session_token *t);

/* Ended sessions and disabled users. */
struct ended_session;
struct disabled_user;

struct revocations {
	struct ended_session *sessions;
	struct disabled_user *users;
	unsigned generation; /* of the list of users */
	int64_t swept_ms;
};

#define REVOCATIONS_NULL ((struct revocations){ 0 })

void revocations_deinit(struct revocations *r);

/** A session ended. @param until_ms no token of it lives longer (wall clock). @return 0, -ENOMEM. */
int revocations_end_session(
	struct revocations *r, struct slice session, int64_t until_ms, int64_t now_ms);
bool revocations_has_session(const struct revocations *r, struct slice session);
unsigned revocations_count(const struct revocations *r);

/** @return 0, -ENOMEM. */
int revocations_disable(struct revocations *r, struct slice user);
void revocations_enable(struct revocations *r, struct slice user);
bool revocations_has_user(const struct revocations *r, struct slice user);

/* A new list of the disabled users, from the store: begin, disable each, end. Who is not in it is enabled. */
void revocations_list_begin(struct revocations *r);
void revocations_list_end(struct revocations *r);
