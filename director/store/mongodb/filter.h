/*
 * A task's filter as it is sent: {user_id: "alice", _id: 1} where scope.c has written {$and: [{user_id:
 * "alice"}, {_id: 1}]}. It means the same, and servers that look for an index only among the fields at
 * the top (FerretDB, mongo-java-server) find the document by its _id and not by reading all of them.
 *
 * SECURITY: the scope stays the first field, and is put beside the caller's own conditions only when
 * those are all of plain fields, none of which is the scope's. Anything else is sent as it is.
 */
#pragma once

#include "director/store/task.h"

#include <mongoc/mongoc.h>

/** @param ret for bson_destroy(); may be a view of the task's bytes. Any thread. */
void mongodb_filter_init(bson_t *ret, const struct store_task *t);
