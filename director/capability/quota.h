/*
 * How many capability calls a plugin may make: those that wait for their answers at once, by request
 * and by worker, and those of a second, by plugin and by user. Loop thread.
 */
#pragma once

#include "common/base/slice.h"
#include "director/hosts/worker.h"

enum { QUOTA_TEXT_MAX = 256 };

struct call;

/* Calls a second of each user. */
struct quota_users;

/** @return NULL without memory. */
struct quota_users *quota_users_new(void);
/** NULL is allowed. @return NULL. */
struct quota_users *quota_users_free(struct quota_users *users);

/** Those of which something is kept; for tests. */
unsigned quota_users_count(const struct quota_users *users);

/**
 * Takes a place for one more call of `w`.
 * @param work the call that it belongs to, NULL in app scope.
 * @param bytes of its arguments.
 * @param why which limit is in the way: what, its value, its setting.
 * @return false with `why`; nothing was taken then.
 */
bool quota_enter(
	struct worker *w, struct call *work, size_t bytes, char why[static QUOTA_TEXT_MAX]);

/** Gives the place back; `work` is NULL when it is over. */
void quota_leave(struct worker *w, struct call *work, size_t bytes);
