#include "director/execute/admit.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/map.h"

/* Only users with a call in flight have an entry. */
struct admit_user {
	UT_hash_handle hh;
	unsigned inflight;
	size_t n;
	uint8_t id[];
};

static struct admit_user *user_find_or_add(struct admission *a, struct slice id)
{
	struct admit_user *user;
	HASH_FIND(hh, a->users, id.p, id.n, user);
	if (user != NULL) {
		return user;
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
	return user;
}

int admit_enter(struct admission *a, const struct user_context *user, unsigned *plugin_inflight,
	struct admit_user **ret_user)
{
	struct admit_user *entry = user_find_or_add(a, user->user_id);
	if (entry == NULL) {
		return -ENOMEM;
	}
	/* A full user is told so first: waiting for the others would not help. An entry that is
	 * full has calls in flight, so only the other two refusals may leave an empty one. */
	if (entry->inflight >= a->limits.per_user) {
		return ADMIT_USER_FULL;
	}
	int refusal = *plugin_inflight >= a->limits.per_plugin ? ADMIT_PLUGIN_FULL :
		a->total >= a->limits.total			? ADMIT_FULL :
								  ADMIT_OK;
	if (refusal != ADMIT_OK) {
		if (entry->inflight == 0) {
			HASH_DELETE(hh, a->users, entry);
			free(entry);
		}
		return refusal;
	}
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
	if (--user->inflight == 0) {
		HASH_DELETE(hh, a->users, user);
		free(user);
	}
}
