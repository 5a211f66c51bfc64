/*
 * Step 4: admission. Calls in flight, waiting and running together, are bounded per user, per plugin
 * and in all. Loop thread.
 */
#pragma once

#include "common/base/slice.h"
#include "director/auth/auth.h"

struct admit_limits {
	unsigned per_user;   /* MOZAIKS_MAX_INFLIGHT_PER_USER */
	unsigned per_plugin; /* MOZAIKS_MAX_INFLIGHT_PER_PLUGIN */
	unsigned total;      /* MOZAIKS_MAX_INFLIGHT */
};

/* Calls in flight of one user, over all of the user's tokens. */
struct admit_user;

struct admission {
	struct admit_limits limits;
	unsigned total;
	unsigned idle; /* users without a call in flight */
	struct admit_user *users;
};

enum admit_result {
	ADMIT_OK = 0,
	ADMIT_USER_FULL,   /* 429 */
	ADMIT_PLUGIN_FULL, /* 503 */
	ADMIT_FULL,        /* 503 */
};

/** Takes a place for one call.
 * @param plugin_inflight the plugin's own count, counted up on success.
 * @return ADMIT_* or -ENOMEM. */
int admit_enter(struct admission *a,
	const struct user_context *user,
	unsigned *plugin_inflight,
	struct admit_user **ret_user);

/** Gives the place back. */
void admit_leave(struct admission *a, struct admit_user *user, unsigned *plugin_inflight);

/** Frees the entries; no call is in flight any more. */
void admission_deinit(struct admission *a);
