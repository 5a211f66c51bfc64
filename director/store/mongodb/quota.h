/*
 * Quotas on a server: what a plugin and each of its users have stored, as the director knows it. The same
 * limits, errors and words as on the embedded store.
 *
 * A server cannot say cheaply what a user has stored, so it is seldom asked. For each plugin, and for a
 * user only when the plugin has more than one user may have, an *account* holds what the server counted
 * last, and what has been claimed since. A change claims before it is sent the most that it can add, and
 * gives back what it turned out not to need. Only when an account says "too much", or is older than
 * RECOUNT_MS (10 s; a user's RECOUNT_USER_MS, a minute), the server is asked again:
 *
 *   plugin   collStats of its collections: figures that a server keeps anyway
 *   user     $group over the user's documents, by the index on user_id; where $bsonSize is not known
 *            (FerretDB, mongo-java-server) they are read
 *
 * and an update that may add too much is rehearsed to know what it adds.
 *
 * So one director refuses exactly as the embedded store does. Several on one database learn of each
 * other's writes with the next count: together they may exceed a quota by what they write until then.
 *
 * Any thread of the driver.
 */
#pragma once

#include "director/store/task.h"

#include <mongoc/mongoc.h>
#include <pthread.h>
#include <stdatomic.h>

struct mongodb_command;
struct quota_account;

struct mongodb_quotas {
	pthread_mutex_t lock;
	pthread_cond_t counted;
	struct quota_account *accounts; /* by plugin and user; under lock */
	atomic_bool no_bson_size;       /* the server does not know $bsonSize */
};

/* What is stored, or added to it. */
struct quota_usage {
	uint64_t documents;
	uint64_t bytes;
};

/* What a change has claimed, and of whom; all zero: nothing. */
struct quota_claim {
	struct quota_usage added;
	struct quota_account *plugin;
	struct quota_account *user;
};

/** @return 0 or a negative errno. */
int mongodb_quotas_init(struct mongodb_quotas *q);
void mongodb_quotas_deinit(struct mongodb_quotas *q);

/**
 * Before a change is sent. Blocking when the server has to be asked.
 * @return 0: goes on, and mongodb_quota_settle() afterwards; positive: refused, the task is answered.
 */
int mongodb_quota_claim(struct mongodb_command *c, struct quota_claim *ret);

/** After each change, with its answer in the task: gives back what was not needed, notes what is gone. */
void mongodb_quota_settle(struct mongodb_command *c, const struct quota_claim *claim);
