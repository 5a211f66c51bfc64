/*
 * The scope guard: whose documents a command may touch. It rewrites or refuses, for both drivers,
 * before either sees the command (see README.md, "Scope").
 *
 *  USER    filter -> {$and: [{user_id: <caller>}, filter]}; documents get user_id; updates may not
 *          touch it; an upsert carries it in $setOnInsert. The plugin may name user_id only to say
 *          that it equals the caller.
 *  APP     filter -> {$and: [{user_id: {$exists: false}}, filter]}; user_id may not be named.
 *  SHARED  as it is.
 *
 * Only the names at the top of a document and below $and, $or and $nor are fields of the document
 * itself; a field `x.user_id` or one inside $elemMatch is the plugin's own business.
 */
#pragma once

#include "director/store/query/document.h"
#include "director/store/store.h"

/** Checks app, plugin, user and the collection's name. @return 0; positive and `f`. */
int scope_check_names(
	const struct store_scope *s, struct slice collection, struct store_failure *f);

/** Appends the scoped filter. @return 0; STORE_E_PERMISSION, STORE_E_LIMIT and `f`. Errors of the
 * writer stick in it. */
int scope_filter(const struct store_scope *s,
	struct slice filter,
	struct document_writer *w,
	struct store_failure *f);

/** Appends the document with its _id first (`oid` when it has none) and its owner.
 * @return 0; positive and `f`. */
int scope_document(const struct store_scope *s,
	struct slice document,
	const uint8_t oid[static OID_BYTES],
	struct document_writer *w,
	struct store_failure *f);

/** Appends the scoped update or replacement. @return 0; positive and `f`. */
int scope_update(const struct store_scope *s,
	struct slice update,
	bool upsert,
	struct document_writer *w,
	struct store_failure *f);
