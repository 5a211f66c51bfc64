/* Making user contexts: the `trusted` text is rendered once, when a token is first seen. */
#pragma once

#include "director/auth/auth.h"

struct user_identity {
	struct slice app_id;
	struct slice user_id;
	struct slice username;
	const struct slice *roles;
	size_t n_roles;
	bool is_superadmin;
	struct slice session;
	struct slice email;
	bool external;
	uint32_t key_serial;
	int64_t issued_at; /* seconds since 1970 */
	int64_t expires_at;
};

/**
 * Everything is copied; one reference is the caller's.
 * @return 0; -ENOBUFS when `trusted` would be longer than AUTH_TRUSTED_MAX; -ENOMEM.
 */
int user_context_new(struct user_context **ret, const struct user_identity *identity);
