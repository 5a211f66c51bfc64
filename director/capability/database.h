/*
 * Inside of database.*: the arguments (database_args.c), the one command (database.c) and the list of
 * writes (database_bulk.c).
 */
#pragma once

#include "common/base/buffer.h"
#include "common/proto/frame.h"
#include "director/store/query/document.h"
#include "director/store/store.h"

#include <bson/bson.h>

struct capability_call;

enum {
	DATABASE_WHY_SIZE = 160,
	/* What fits a REPLY: a frame less sequence number and status. */
	DATABASE_REPLY_MAX = FRAME_PAYLOAD_MAX - 8,
	/* At most what one document that is refused adds to an answer, without its message. */
	DATABASE_ERROR_BYTES = 72,
};

struct database_args {
	struct store_command command;
	struct buffer documents; /* the array's documents in a row */
	struct slice writes;     /* a BSON array */
	uint64_t cursor;
	bool all_users;
	unsigned given;
};

void database_args_init(struct database_args *a);
void database_args_deinit(struct database_args *a);

/** Checks the call's bytes, then reads them. @return false after answering. */
bool database_args_read(struct capability_call *c, struct database_args *a);

/** Reads one write of a checked list: {insert: {…}}, {update: {…}} or {delete: {…}}.
 * @return false and `why`. */
bool database_args_write(
	struct database_args *a, struct value write, char why[static DATABASE_WHY_SIZE]);

/** Whose documents a command of the call is about. */
struct store_scope database_scope(
	struct capability_call *c, struct slice collection, bool all_users);

/** Appends what a change has done, and which documents of an insert were refused.
 * @param ids of an insert: those of all documents.
 * @param spare bytes for the refusals' messages. */
void database_append_change(
	bson_t *out, enum store_op op, const struct store_result *result, bool ids, size_t spare);
/** Appends keyPattern and keyValue of the document with this index, when they are known. */
void database_append_duplicate(bson_t *out, const struct store_result *result, uint32_t index);

/** Makes the writes of a list and answers the call. The scope's permission has been checked. */
void database_bulk(struct capability_call *c, const struct database_args *a);
