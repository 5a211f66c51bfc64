#include "director/store/mongodb/collections.h"

#include "common/base/log.h"
#include "common/base/map.h"
#include "director/store/mongodb/failure.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	KNOWN_MAX = 65536,   /* then everything is forgotten and looked up again */
	NAMESPACE_MAX = 255, /* of MongoDB: "<database>.<collection>" */
	PATTERN_MAX = 2 * 130 + 2,
};

struct known_collection {
	UT_hash_handle hh;
	bool indexed;
	size_t n;
	uint8_t name[];
};

int mongodb_collections_init(struct mongodb_collections *c)
{
	*c = (struct mongodb_collections){ 0 };
	return -pthread_mutex_init(&c->lock, NULL);
}

static void forget_all(struct mongodb_collections *c)
{
	struct known_collection *k = NULL;
	struct known_collection *following = NULL;
	HASH_ITER (hh, c->known, k, following) {
		HASH_DEL(c->known, k);
		free(k);
	}
}

void mongodb_collections_deinit(struct mongodb_collections *c)
{
	forget_all(c);
	(void)pthread_mutex_destroy(&c->lock);
}

static bool wants_index(const struct store_task *t)
{
	return t->scope != STORE_SCOPE_SHARED;
}

static bool is_known(struct mongodb_collections *c, const struct store_task *t)
{
	struct known_collection *k = NULL;
	(void)pthread_mutex_lock(&c->lock);
	HASH_FIND(hh, c->known, t->collection.p, t->collection.n, k);
	bool known = k != NULL && (k->indexed || !wants_index(t));
	(void)pthread_mutex_unlock(&c->lock);
	return known;
}

/* Without memory it is not remembered, and looked up again. */
static void remember(struct mongodb_collections *c, const struct store_task *t)
{
	struct known_collection *k = NULL;
	(void)pthread_mutex_lock(&c->lock);
	HASH_FIND(hh, c->known, t->collection.p, t->collection.n, k);
	if (k == NULL && HASH_COUNT(c->known) >= KNOWN_MAX) {
		forget_all(c);
	}
	if (k == NULL) {
		k = calloc(1, sizeof(*k) + t->collection.n);
		if (k != NULL) {
			k->n = t->collection.n;
			memcpy(k->name, t->collection.p, k->n);
			HASH_ADD_KEYPTR(hh, c->known, k->name, k->n, k);
			if (k->hh.tbl == NULL) {
				free(k);
				k = NULL;
			}
		}
	}
	if (k != NULL) {
		k->indexed = k->indexed || wants_index(t);
	}
	(void)pthread_mutex_unlock(&c->lock);
}

/* --- the number --- */

/* ^<app>/<plugin>/ with the dots escaped: of all that a name may hold only they mean something. */
static void pattern_of(struct slice plugin, char ret[static PATTERN_MAX])
{
	size_t n = 0;
	ret[n++] = '^';
	for (size_t i = 0; i < plugin.n && n < PATTERN_MAX - 2; i++) {
		if (plugin.p[i] == '.') {
			ret[n++] = '\\';
		}
		ret[n++] = (char)plugin.p[i];
	}
	ret[n] = '\0';
}

/* The server's filter only spares the way here. */
int mongodb_collections_each(
	mongoc_database_t *database, struct store_task *t, mongodb_collection_fn each, void *arg)
{
	char pattern[PATTERN_MAX];
	bson_t options = BSON_INITIALIZER;
	bson_t filter;
	bson_error_t error;
	const bson_t *row;
	pattern_of(t->plugin, pattern);
	BSON_APPEND_DOCUMENT_BEGIN(&options, "filter", &filter);
	BSON_APPEND_REGEX(&filter, "name", pattern, "");
	bson_append_document_end(&options, &filter);
	BSON_APPEND_BOOL(&options, "nameOnly", true);
	int r = 0;
	mongoc_cursor_t *cursor = mongoc_database_find_collections_with_opts(database, &options);
	while (r == 0 && mongoc_cursor_next(cursor, &row)) {
		struct value v =
			document_find(slice_of(bson_get_data(row), row->len), SLICE("name"));
		struct slice name = v.type == BT_STRING ? value_string(v) : SLICE_NULL;
		if (!slice_starts(name, t->plugin)) {
			continue;
		}
		struct slice own = slice_skip(name, t->plugin.n);
		/* "<app>/" is core's; what has another '/' behind it is a plugin's. */
		if (own.n > 0 && memchr(own.p, '/', own.n) == NULL) {
			r = each(arg, name);
		}
	}
	if (r == 0 && mongoc_cursor_error(cursor, &error)) {
		r = (int)mongodb_fail(t, &error, NULL, false);
	}
	mongoc_cursor_destroy(cursor);
	bson_destroy(&options);
	return r;
}

struct census {
	struct slice wanted;
	uint64_t n;
	bool exists;
};

static int count_collection(void *arg, struct slice name)
{
	struct census *census = (struct census *)arg;
	census->n++;
	census->exists = census->exists || slice_eq(name, census->wanted);
	return 0;
}

static int check_number(mongoc_database_t *database, struct store_task *t)
{
	struct census census = { .wanted = t->collection };
	int r = mongodb_collections_each(database, t, count_collection, &census);
	if (r == 0 && !census.exists && census.n >= t->limits->collections) {
		return store_task_fail(t, STORE_E_LIMIT,
			"more than %u collections (MOZAIKS_MAX_COLLECTIONS)",
			t->limits->collections);
	}
	return r;
}

/* --- the index --- */

/* {createIndexes: <name>, indexes: [{key: {user_id: 1}, name: "owner"}]} */
static void index_command(const struct store_task *t, bson_t *ret)
{
	bson_t list;
	bson_t index;
	bson_t key;
	bson_init(ret);
	bson_append_utf8(
		ret, "createIndexes", -1, (const char *)t->collection.p, (int)t->collection.n);
	BSON_APPEND_ARRAY_BEGIN(ret, "indexes", &list);
	BSON_APPEND_DOCUMENT_BEGIN(&list, "0", &index);
	BSON_APPEND_DOCUMENT_BEGIN(&index, "key", &key);
	BSON_APPEND_INT32(&key, "user_id", 1);
	bson_append_document_end(&index, &key);
	BSON_APPEND_UTF8(&index, "name", "owner");
	bson_append_document_end(&list, &index);
	bson_append_array_end(ret, &list);
}

/* A server that refuses the index still has the documents: slower, not wrong. */
static int make_index(mongoc_database_t *database, struct store_task *t)
{
	bson_t command;
	bson_t reply;
	bson_error_t error;
	int r = 0;
	index_command(t, &command);
	if (!mongoc_database_write_command_with_opts(database, &command, NULL, &reply, &error)) {
		enum store_error e = mongodb_error_class(&error, &reply, false);
		if (e == STORE_E_UNAVAILABLE) {
			r = (int)mongodb_fail(t, &error, &reply, false);
		} else {
			struct log_field field = { "collection", t->collection };
			log_fields(LOG_WARNING, "store.mongodb_no_index", &field, 1,
				"the server made no index on user_id (code %u)", error.code);
		}
	}
	bson_destroy(&reply);
	bson_destroy(&command);
	return r;
}

int mongodb_collections_prepare(
	struct mongodb_collections *c, mongoc_database_t *database, struct store_task *t)
{
	size_t n = strlen(mongoc_database_get_name(database)) + 1 + t->collection.n;
	if (is_known(c, t)) {
		return 0;
	}
	if (n > NAMESPACE_MAX) {
		return store_task_fail(t, STORE_E_LIMIT,
			"database and collection have names of %zu bytes; MongoDB's limit is %d", n,
			NAMESPACE_MAX);
	}
	int r = check_number(database, t);
	if (r == 0 && wants_index(t)) {
		r = make_index(database, t);
	}
	if (r == 0) {
		remember(c, t);
	}
	return r;
}
