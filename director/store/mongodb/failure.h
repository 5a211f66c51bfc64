/*
 * What an error of libmongoc means for a plugin: a class of ours and a sentence of ours. The server's
 * own words go to the log alone: they may hold values of other users (SECURITY E16).
 *
 * For a change the question is whether it may have happened. It has not when no server was found, no
 * connection made, or when the server's answer says that it refused; everything else is unknown.
 */
#pragma once

#include "director/store/task.h"

#include <mongoc/mongoc.h>

/** The class of an error that a server answered with, by its code. @param change see above. */
enum store_error mongodb_code_class(int32_t code, bool change);

/** The class of any error of libmongoc (error API 2). @param reply what came with it, or NULL. */
enum store_error mongodb_error_class(const bson_error_t *error, const bson_t *reply, bool change);

/** True when the reply says that a change was made but not confirmed as durable in time. */
bool mongodb_is_unconfirmed(const bson_t *reply);

/** What a duplicate key means: which unique index it is of, by the server's own words. Nothing else of
 * them is taken. */
void mongodb_duplicate_text(const char *server, char ret[static STORE_MESSAGE_MAX]);

/**
 * Notes which value was there already, as servers from 4.4 on say it.
 * @param error {keyPattern, keyValue, …}: an item of writeErrors, or a reply. With neither nothing is
 *   noted.
 */
void mongodb_note_duplicate(struct store_task *t, uint32_t index, struct slice error);

/** The sentence for a class. */
const char *mongodb_class_text(enum store_error e);

/** Records the failure as the task's answer and logs the server's words. @return the class. */
enum store_error mongodb_fail(
	struct store_task *t, const bson_error_t *error, const bson_t *reply, bool change);
