/*
 * How much a plugin and each of its users may store. The table `usage` is kept by triggers, in the
 * transaction of every change, whoever makes it: so it is exact after a rollback, a taken-back job and a
 * kill. What declared indexes keep of a document counts with it, in bytes. Core's own collections are not counted against anybody.
 */
#pragma once

#include "director/store/sqlite/connection.h"

struct quota_usage {
	uint64_t plugin_documents;
	uint64_t plugin_bytes;
	uint64_t user_documents; /* of the task's user; 0 in other scopes than a user's */
	uint64_t user_bytes;
};

/** What is used now by those that the task is for. @return 0 or -EIO. */
int quota_read(struct connection *c, const struct store_task *t, struct quota_usage *ret);

/**
 * Refuses a task after which more is stored than before it, and more than allowed: what shrinks passes.
 * @return 0; positive: the task has its answer, a limit, and is to be taken back; -EIO.
 */
int quota_check(struct connection *c, struct store_task *t, const struct quota_usage *before);
