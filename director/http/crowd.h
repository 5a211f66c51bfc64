/* How many connections each client has: one v4 address, or one v6 /64. There are at most as many
 * entries as connections. Loop thread. */
#pragma once

#include "common/base/address.h"

struct crowd_entry;

struct crowd {
	struct crowd_entry *entries;
};

enum { CROWD_FULL = 1 };

/** One more. @return 0, CROWD_FULL (nothing is counted) or -ENOMEM. */
int crowd_enter(struct crowd *c, const struct address *a, unsigned most);

/** One less of those that entered. */
void crowd_leave(struct crowd *c, const struct address *a);
