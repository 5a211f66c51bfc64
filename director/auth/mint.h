/* The claims of tokens that we make ourselves. */
#pragma once

#include "common/base/buffer.h"

struct mint_request {
	struct slice user;       /* user_id, and sub */
	struct slice username;   /* empty: as user */
	struct slice roles;      /* comma-separated */
	struct slice roles_json; /* instead: the array's text, trusted; empty: roles */
	struct slice session;    /* claim sid, for the session hook (auth.h); empty: left out */
	struct slice use;        /* claim mozaiks_token_use; empty: left out */
	struct slice audience;   /* claim aud; empty: left out */
	bool is_superadmin;      /* adds the claim is_superadmin */
	int64_t now_s;           /* seconds since 1970; auth_mint_token() sets it */
	unsigned ttl_s;
};

/**
 * Appends {"sub","user_id","username","roles":[…],"iat","exp","jti"}, and what else is asked for.
 * @return 0; -EINVAL for a name that is empty, too long, not UTF-8 or has control characters, or
 *   too many roles, or no lifetime; -ENOBUFS; -ENOMEM.
 */
int mint_claims(struct buffer *b, const struct mint_request *request);
