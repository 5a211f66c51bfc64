/*
 * Collections before the first document goes in: how many one plugin may have, and the index that
 * finds an owner's documents. What was seen is remembered, so that it costs one look at the server
 * per collection and process.
 */
#pragma once

#include "director/store/task.h"

#include <mongoc/mongoc.h>
#include <pthread.h>

struct known_collection;

struct mongodb_collections {
	pthread_mutex_t lock;
	struct known_collection *known; /* by physical name; under lock */
};

/** @return 0 or a negative errno. */
int mongodb_collections_init(struct mongodb_collections *c);
void mongodb_collections_deinit(struct mongodb_collections *c);

/**
 * Before a task that may make its collection. Blocking.
 * @return 0; positive: it must not go on, and is answered.
 */
int mongodb_collections_prepare(
	struct mongodb_collections *c, mongoc_database_t *database, struct store_task *t);

/* One collection, by its physical name. @return 0; another number ends the walk. */
typedef int (*mongodb_collection_fn)(void *arg, struct slice name);

/**
 * Walks the collections of the task's plugin. Blocking.
 * @return 0; what `each` returned; positive: the server could not be asked, and the task is answered.
 */
int mongodb_collections_each(
	mongoc_database_t *database, struct store_task *t, mongodb_collection_fn each, void *arg);
