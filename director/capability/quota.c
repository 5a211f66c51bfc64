#include "director/capability/quota.h"

#include "common/base/map.h"
#include "common/base/rate.h"
#include "director/director.h"
#include "director/execute/call.h"

#include <stdio.h>
#include <stdlib.h>

/* With more users than this, those who have made no call for a second are forgotten. */
enum { USERS_KEPT = 4096 };

struct quota_user {
	UT_hash_handle hh;
	struct rate rate;
	size_t n;
	uint8_t id[];
};

struct quota_users {
	struct quota_user *table;
	unsigned sweep_at; /* users */
};

struct quota_users *quota_users_new(void)
{
	struct quota_users *users = calloc(1, sizeof(*users));
	if (users != NULL) {
		users->sweep_at = USERS_KEPT;
	}
	return users;
}

static void forget_idle(struct quota_users *users, uint64_t per_second, uint64_t now_ms)
{
	struct quota_user *user;
	struct quota_user *next;
	HASH_ITER (hh, users->table, user, next) {
		if (rate_is_idle(&user->rate, per_second, now_ms)) {
			HASH_DELETE(hh, users->table, user);
			free(user);
		}
	}
	/* Twice what is left: a sweep is paid for by the users that came since the last. */
	unsigned left = HASH_COUNT(users->table);
	users->sweep_at = 2 * left > USERS_KEPT ? 2 * left : USERS_KEPT;
}

struct quota_users *quota_users_free(struct quota_users *users)
{
	if (users != NULL) {
		forget_idle(users, 0, 0);
		free(users);
	}
	return NULL;
}

unsigned quota_users_count(const struct quota_users *users)
{
	return HASH_COUNT(users->table);
}

static struct quota_user *find_or_add(
	struct quota_users *users, struct slice id, uint64_t per_second, uint64_t now_ms)
{
	struct quota_user *user;
	HASH_FIND(hh, users->table, id.p, id.n, user);
	if (user != NULL) {
		return user;
	}
	if (HASH_COUNT(users->table) >= users->sweep_at) {
		forget_idle(users, per_second, now_ms);
	}
	user = calloc(1, sizeof(*user) + id.n);
	if (user == NULL) {
		return NULL;
	}
	user->n = id.n;
	memcpy(user->id, id.p, id.n);
	HASH_ADD_KEYPTR(hh, users->table, user->id, user->n, user);
	if (user->hh.tbl == NULL) {
		free(user);
		return NULL;
	}
	return user;
}

static bool refuse(
	char why[static QUOTA_TEXT_MAX], const char *what, uint64_t limit, const char *setting)
{
	(void)snprintf(why, QUOTA_TEXT_MAX, "more than %llu %s (%s)", (unsigned long long)limit,
		what, setting);
	return false;
}

static bool has_room(const struct worker *w, const struct call *work, size_t bytes, char *why)
{
	const struct settings *s = w->director->settings;
	if (work != NULL && work->capability_calls >= s->capability_calls_per_request) {
		return refuse(why, "capability calls at once in one request",
			s->capability_calls_per_request,
			"MOZAIKS_MAX_CAPABILITY_CALLS_PER_REQUEST");
	}
	if (w->capability_calls >= s->capability_calls_per_worker) {
		return refuse(why, "capability calls at once in one worker",
			s->capability_calls_per_worker, "MOZAIKS_MAX_CAPABILITY_CALLS_PER_WORKER");
	}
	if (bytes > s->capability_bytes_per_worker - w->capability_bytes) {
		return refuse(why, "bytes of arguments at once in one worker",
			s->capability_bytes_per_worker, "MOZAIKS_MAX_CAPABILITY_BYTES_PER_WORKER");
	}
	return true;
}

static bool is_slow_enough(struct worker *w, const struct call *work, char *why)
{
	const struct director *d = w->director;
	const struct settings *s = d->settings;
	uint64_t now_ms = uv_now(d->loop);
	if (!rate_take(&w->plugin->capability_rate, s->capability_rate_per_plugin, now_ms)) {
		return refuse(why, "capability calls a second of this plugin",
			s->capability_rate_per_plugin, "MOZAIKS_CAPABILITY_RATE_PER_PLUGIN");
	}
	if (s->capability_rate_per_user == 0 || work == NULL || work->user == NULL) {
		return true;
	}
	struct quota_user *user = find_or_add(
		d->capability_users, work->user->user_id, s->capability_rate_per_user, now_ms);
	if (user == NULL) {
		(void)snprintf(why, QUOTA_TEXT_MAX, "no memory to count this user's calls");
		return false;
	}
	if (!rate_take(&user->rate, s->capability_rate_per_user, now_ms)) {
		return refuse(why, "capability calls a second of this user",
			s->capability_rate_per_user, "MOZAIKS_CAPABILITY_RATE_PER_USER");
	}
	return true;
}

bool quota_enter(struct worker *w, struct call *work, size_t bytes, char why[static QUOTA_TEXT_MAX])
{
	if (!has_room(w, work, bytes, why) || !is_slow_enough(w, work, why)) {
		return false;
	}
	w->capability_calls++;
	w->capability_bytes += bytes;
	if (work != NULL) {
		work->capability_calls++;
	}
	return true;
}

void quota_leave(struct worker *w, struct call *work, size_t bytes)
{
	w->capability_calls--;
	w->capability_bytes -= bytes;
	if (work != NULL) {
		work->capability_calls--;
	}
}
