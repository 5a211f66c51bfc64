/* The claims of tokens that we make ourselves. */
#pragma once

#include "common/base/buffer.h"

struct mint_request {
	struct slice user;
	struct slice roles; /* comma-separated */
	int64_t now_s;      /* seconds since 1970 */
	unsigned ttl_s;
};

/**
 * Appends {"sub","user_id","username","roles":[…],"iat","exp","jti"}.
 * @return 0; -EINVAL for a name that is empty, too long, not UTF-8 or has control characters, or
 *   too many roles, or no lifetime; -ENOBUFS; -ENOMEM.
 */
int mint_claims(struct buffer *b, const struct mint_request *request);
