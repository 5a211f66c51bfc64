#include "director/http/crowd.h"

#include "common/base/error.h"
#include "common/base/map.h"

#include <errno.h>
#include <stdlib.h>

struct crowd_entry {
	UT_hash_handle hh;
	struct address client;
	unsigned n;
};

static struct crowd_entry *find(const struct crowd *c, const struct address *client)
{
	struct crowd_entry *e;
	HASH_FIND(hh, c->entries, client, sizeof(*client), e);
	return e;
}

int crowd_enter(struct crowd *c, const struct address *a, unsigned most)
{
	struct address client = address_client(a);
	struct crowd_entry *e = find(c, &client);
	if (e != NULL) {
		if (e->n >= most) {
			return CROWD_FULL;
		}
		e->n++;
		return 0;
	}
	if (most == 0) {
		return CROWD_FULL;
	}
	e = calloc(1, sizeof(*e));
	if (e == NULL) {
		return -ENOMEM;
	}
	e->client = client;
	HASH_ADD(hh, c->entries, client, sizeof(e->client), e);
	if (e->hh.tbl == NULL) {
		free(e);
		return -ENOMEM;
	}
	e->n = 1;
	return 0;
}

void crowd_leave(struct crowd *c, const struct address *a)
{
	struct address client = address_client(a);
	struct crowd_entry *e = find(c, &client);
	invariant(e != NULL && e->n > 0);
	e->n--;
	if (e->n == 0) {
		HASH_DELETE(hh, c->entries, e);
		free(e);
	}
}
