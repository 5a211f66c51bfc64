/*
 * What a plugin declares of its collections: in manifest.json, and as what get_database_schema() of a
 * plugin returns. Read leniently, in every spelling seen in the wild, and brought into one:
 *
 *   [{"name":"plans","scope":"user","indexes":[{"key":{"a":1},"name":"a_1","unique":true}],
 *     "initial_data":[{…}]}]
 *
 * `scope` is there only when it is "user", `indexes` and `initial_data` only when there are some.
 *
 * Any thread. The tree may be hostile.
 */
#pragma once

#include "common/json/tree.h"

enum {
	COLLECTIONS_MAX = 64,
	COLLECTION_NAME_MAX = 64,
	COLLECTION_INDEXES_MAX = 64,
	/* Documents of all collections together. */
	COLLECTION_DOCUMENTS_MAX = 1000,
};

/**
 * @param owner the object with the members `collections` and `initial_data`, or with both one level
 *   down in `database_schema`; NULL: nothing is declared.
 * @param path what a message begins with, such as "".
 * @param ret the caller's: json_decref(). An array, empty when nothing is declared.
 * @return 0; -EBADMSG and `why`; -ENOMEM.
 */
int collections_read(const json_t *owner, const char *path, json_t **ret, struct json_why *why);
