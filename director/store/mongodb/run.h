/*
 * Carries one compiled task out on a MongoDB server. The commands are built from the task, which
 * scope.c has rewritten; nothing of a plugin's own words about the scope is left in it. Blocking, on a
 * thread of the driver.
 */
#pragma once

#include "director/store/mongodb/collections.h"
#include "director/store/mongodb/health.h"
#include "director/store/mongodb/quota.h"

/* What a thread has. */
struct mongodb_session {
	mongoc_client_t *client; /* from the pool */
	mongoc_database_t *database;
	struct mongodb_collections *collections; /* of the driver, as are the next two */
	struct mongodb_health *health;
	struct mongodb_quotas *quotas;
	bool connected; /* a change can be sent, as far as is known */
	unsigned outages;
};

/**
 * Runs a compiled task to its answer (store_task_finish() included). A change is sent over a connection
 * that is known to work: what cannot be sent is "unavailable", and not "unknown".
 */
void mongodb_run(struct mongodb_session *s, struct store_task *t);
