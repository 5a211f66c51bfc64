/*
 * The declared indexes of one collection: rows of `idx`, and of `key` one for each key of each document
 * (schema.c). Writes keep them; plan.c asks which of them finds a filter's documents.
 *
 * An index that was made in a user's or the app's scope is owned: its keys begin with the owner's, so
 * that what is unique is unique among one owner's documents, and one owner's stand together. One that
 * was made in a shared scope, or lets documents expire, has all documents in one row.
 */
#pragma once

#include "director/store/query/index.h"
#include "director/store/query/match.h"
#include "director/store/sqlite/connection.h"

struct sqlite_index {
	int64_t iid;
	bool owned;
	bool loose;     /* of some document a key is not all there is to say (index_each_key()) */
	uint8_t *bytes; /* of the spec */
	struct slice text;
	struct index_spec spec;
};

struct sqlite_indexes {
	struct sqlite_index *p;
	unsigned n;
	unsigned all;                 /* with those behind them that were dropped and have keys */
	unsigned keys;                /* of one document in one index, at most; 0: any number */
	struct store_failure failure; /* of the last function that returned a positive number */
	struct slice failed;          /* the keys of the index that a duplicate is of */
};

/** Reads those of a collection. @return 0; -EIO, -ENOMEM. Deinit it in every case. */
int indexes_load(struct sqlite_indexes *x, struct connection *c, int64_t cid, unsigned keys);
void indexes_deinit(struct sqlite_indexes *x);

/** What is stored of a key: its first INDEX_KEY_BYTES. */
struct slice indexes_cut(struct slice key);

/**
 * Whether a document may have the keys that it would have.
 * @param rid its own; 0: a new one.
 * @return 0; STORE_E_DUPLICATE, STORE_E_LIMIT and x->failure; -EIO, -ENOMEM.
 */
int indexes_check(
	struct sqlite_indexes *x, struct connection *c, int64_t rid, struct slice document);
/** Adds or removes a document's keys. @return as indexes_check(). */
int indexes_add(struct sqlite_indexes *x, struct connection *c, int64_t rid, struct slice document);
int indexes_remove(
	struct sqlite_indexes *x, struct connection *c, int64_t rid, struct slice document);

/** INDEX_CREATE, INDEX_DROP, INDEX_LIST. @return 0; positive and x->failure; -EIO, -ENOMEM. */
int indexes_create(
	struct sqlite_indexes *x, struct connection *c, int64_t cid, const struct store_task *t);
int indexes_drop(
	struct sqlite_indexes *x, struct connection *c, int64_t cid, const struct store_task *t);
/** Removes some keys of an index that was dropped. @return 1: there may be more; 0; -EIO. */
int indexes_sweep(struct connection *c);

void indexes_list(const struct sqlite_indexes *x, struct store_task *t);
