/* Between run.c and the files with the operations: parts of a task as libmongoc wants them. */
#pragma once

#include "director/store/mongodb/failure.h"
#include "director/store/mongodb/run.h"

/* One task at work. */
struct mongodb_command {
	struct mongodb_session *session;
	struct store_task *t;
	mongoc_collection_t *collection;
	bson_t filter; /* scoped, as it is sent (filter.h) */
};

/** A view of a document of a task; an absent one is empty. The bytes are not copied. */
void mongodb_view(bson_t *ret, struct slice document);

/** Appends what is there: a document, a number above 0. */
void mongodb_append_document(bson_t *to, const char *name, struct slice document);
void mongodb_append_number(bson_t *to, const char *name, uint64_t n);

/**
 * A document of the server's goes into the answer.
 * @param projected the server has applied the projection; otherwise it is applied here.
 * @return 0; positive: too much, or not the caller's; the task is answered.
 */
int mongodb_emit(struct store_task *t, struct slice document, bool projected);

void mongodb_find(struct mongodb_command *c);
void mongodb_aggregate(struct mongodb_command *c);
void mongodb_index_create(struct mongodb_command *c);
void mongodb_index_drop(struct mongodb_command *c);
void mongodb_names(struct mongodb_command *c);
void mongodb_index_list(struct mongodb_command *c);
void mongodb_count(struct mongodb_command *c);
void mongodb_distinct(struct mongodb_command *c);
void mongodb_insert(struct mongodb_command *c);
void mongodb_update(struct mongodb_command *c);
void mongodb_delete(struct mongodb_command *c);
void mongodb_modify(struct mongodb_command *c);
