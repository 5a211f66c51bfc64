#include "director/execute/admit.h"

#include "common/base/map.h"

#include <errno.h>
#include <stdlib.h>

/*
 * A user's entry outlives the user's calls, so that one call after another takes no memory; when more
 * than IDLE_MAX entries have no call in flight they all go.
 */
enum { IDLE_MAX = 4096 };

struct admit_user {
	UT_hash_handle hh;
	unsigned inflight;
	size_t n;
	uint8_t id[];
};

static void free_idle(struct admission *a)
{
	struct admit_user *user;
	struct admit_user *next;
	HASH_ITER (hh, a->users, user, next) {
		if (user->inflight == 0) {
			HASH_DELETE(hh, a->users, user);
			free(user);
		}
	}
	a->idle = 0;
}

void admission_deinit(struct admission *a)
{
	free_idle(a);
}

static struct admit_user *user_find_or_add(struct admission *a, struct slice id)
{
	struct admit_user *user;
	HASH_FIND(hh, a->users, id.p, id.n, user);
	if (user != NULL) {
		return user;
	}
	if (a->idle > IDLE_MAX) {
		free_idle(a);
	}
	user = calloc(1, sizeof(*user) + id.n);
	if (user == NULL) {
		return NULL;
	}
	user->n = id.n;
	memcpy(user->id, id.p, id.n);
	HASH_ADD_KEYPTR(hh, a->users, user->id, user->n, user);
	if (user->hh.tbl == NULL) {
		free(user);
		return NULL;
	}
	a->idle++;
	return user;
}

int admit_enter(struct admission *a,
	const struct user_context *user,
	unsigned *plugin_inflight,
	struct admit_user **ret_user)
{
	struct admit_user *entry = user_find_or_add(a, user->user_id);
	if (entry == NULL) {
		return -ENOMEM;
	}
	/* A full user is told so first: waiting for the others would not help. */
	if (entry->inflight >= a->limits.per_user) {
		return ADMIT_USER_FULL;
	}
	if (*plugin_inflight >= a->limits.per_plugin) {
		return ADMIT_PLUGIN_FULL;
	}
	if (a->total >= a->limits.total) {
		return ADMIT_FULL;
	}
	a->idle -= entry->inflight == 0 ? 1 : 0;
	entry->inflight++;
	a->total++;
	(*plugin_inflight)++;
	*ret_user = entry;
	return ADMIT_OK;
}

void admit_leave(struct admission *a, struct admit_user *user, unsigned *plugin_inflight)
{
	a->total--;
	(*plugin_inflight)--;
	user->inflight--;
	a->idle += user->inflight == 0 ? 1 : 0;
}
