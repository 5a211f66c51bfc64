/*
 * From what a plugin declares of its collections to what has to be done for it: which indexes go, which
 * come, which documents of its initial data are stored. What was done is kept as a record, one for
 * each plugin and source, so that everything is done once: a document that was deleted later stays
 * deleted, and an index that is no longer declared is dropped.
 *
 * A document without an `_id` gets one made of its content, and so is the same when two directors store
 * it, or one does after a crash.
 *
 * The record, in core's collection `schemas`:
 *
 *   {_id: "<plugin>/manifest", digest: "…", indexes: "[{…}]", documents: ["…", …], changed_at: date}
 *
 * Pure. The declaration is hostile; it has passed collections_read().
 */
#pragma once

#include "common/base/buffer.h"
#include "common/json/tree.h"

enum { PLAN_DIGEST_MAX = 32 };

struct plan_insert {
	const char *collection;  /* the declaration's */
	struct buffer documents; /* BSON, in a row */
};

struct plan {
	char digest[PLAN_DIGEST_MAX + 1];
	json_t *declared;
	/* [{"collection", "user"?, "spec": {key, name, …}}]: all that are declared, and of those … */
	json_t *indexes;
	json_t *drop;   /* … what the record has and the declaration has not, or otherwise */
	json_t *create; /* … what the record has not */
	struct plan_insert *inserts;
	size_t n_inserts;
	json_t *marks; /* of all documents that will have been stored; the same as an object: */
	json_t *known;
	json_t *seen; /* how often each document without an _id stands in the declaration */
	size_t n_documents;
};

/** Two declarations with the same digest are the same. */
void plan_digest(const json_t *declared, char ret[static PLAN_DIGEST_MAX + 1]);

/**
 * @param declared the normal form of collections_read(); it is held as long as the plan.
 * @param record of plan_read_record(); NULL: there is none.
 * @return 0; -EBADMSG and `why`: a document that cannot be stored; -ENOMEM. Deinit it in every case.
 */
int plan_make(struct plan *p, json_t *declared, const json_t *record, struct json_why *why);
void plan_deinit(struct plan *p);

/** Appends an index as BSON, as the store takes it. @return 0; -EBADMSG; -ENOMEM. */
int plan_index(const json_t *index, struct buffer *out);

/** Appends {_id: {$in: […]}}, the ids of what is to be inserted. @return 0; -ENOMEM. */
int plan_stored_filter(const struct plan_insert *insert, struct buffer *out);

/** Leaves out what is there already. @param found documents in a row. @return 0; -ENOMEM. */
int plan_leave_out(struct plan_insert *insert, struct slice found);

/** Appends {$set: {digest, indexes, documents, changed_at}}. @return 0; -ENOMEM. */
int plan_write_record(const struct plan *p, int64_t now_ms, struct buffer *out);

/** @return 0 and the record as JSON; -EBADMSG: it is none; -ENOMEM. */
int plan_read_record(struct slice document, json_t **ret);
