/* Opening the module: its indexes, the keys of older accounts, and what has ended or is disabled. Again and
 * again until the store answers; the last part also from time to time, for a store with other nodes. */
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/base/map.h"
#include "director/users/operation.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	OLDER_AT_ONCE = 100,
	SESSIONS_AT_ONCE = 5000,
	PURGE_MS = 3600000,
	/* Changes of other nodes that the store shows late, and clocks that differ. */
	OVERLAP_MS = 60000,
};

#define USERS    SLICE("users")
#define SESSIONS SLICE("sessions")

/* ---- indexes -------------------------------------------------------------------------------- */

static const struct index {
	struct slice collection;
	const char *field;
	bool unique;
	bool expire;
} indexes[] = {
	{ { (const uint8_t *)"users", 5 }, "username_key", .unique = true },
	{ { (const uint8_t *)"users", 5 }, "email_key", .unique = true },
	{ { (const uint8_t *)"users", 5 }, "disabled" },
	{ { (const uint8_t *)"sessions", 8 }, "expires_at", .expire = true },
	{ { (const uint8_t *)"sessions", 8 }, "user_id" },
	{ { (const uint8_t *)"sessions", 8 }, "revoked_at" },
};

enum { N_INDEXES = sizeof(indexes) / sizeof(indexes[0]) };

static void take_indexes(struct operation *o, const struct store_result *r)
{
	free(o->rows);
	o->rows = store_result_steal_documents(r, &o->rows_n);
}

/* Which there are: a server may not tell of an index all that it was made with, so that making it again
 * would be refused. */
static enum step_result list_indexes(struct operation *o, struct slice collection)
{
	struct store_command c = { .op = STORE_INDEX_LIST, .collection = collection };
	return o->users->opened ? STEP_ON : operation_submit(o, &c, take_indexes);
}

static enum step_result step_list_user_indexes(struct operation *o)
{
	return list_indexes(o, USERS);
}

static enum step_result step_list_session_indexes(struct operation *o)
{
	return list_indexes(o, SESSIONS);
}

static bool is_listed(const struct operation *o, struct slice name)
{
	struct slice rows = slice_of(o->rows, o->rows_n);
	struct slice row;
	bool found = false;
	while (!found && document_take(&rows, &row)) {
		struct value v = document_find(row, SLICE("name"));
		found = v.type == BT_STRING && slice_eq(value_string(v), name);
	}
	return found;
}

static void take_index(struct operation *o, const struct store_result *r)
{
	o->tolerated = STORE_OK;
	if (r->error == STORE_E_DUPLICATE) {
		(void)operation_end(o, USERS_E_STORE, r->message);
	}
}

/* Sparse where unique: accounts without an address, and older ones until they have a key. */
static enum step_result make_index(struct operation *o, const struct index *x)
{
	struct document_writer w;
	struct slice field = slice_str(x->field);
	size_t root = filter_open(&w);
	size_t key = writer_open_in(&w, BT_OBJECT, SLICE("key"));
	writer_int32(&w, field, 1);
	writer_close(&w, key);
	writer_string(&w, SLICE("name"), field);
	if (x->unique) {
		writer_bool(&w, SLICE("unique"), true);
		writer_bool(&w, SLICE("sparse"), true);
	}
	if (x->expire) {
		writer_int32(&w, SLICE("expireAfterSeconds"), 0);
	}
	writer_close(&w, root);
	struct store_command c = {
		.op = STORE_INDEX_CREATE, .collection = x->collection, .index = buffer_slice(&w.b)
	};
	enum step_result r = w.error < 0 ? operation_end(o, USERS_E_STORE, "no memory")
					 : operation_submit(o, &c, take_index);
	writer_deinit(&w);
	return r;
}

/* Documents that expire are also removed by step_purge(): a server without that may say so. */
static enum step_result step_make_index(struct operation *o)
{
	const struct index *x = &indexes[o->n_indexes];
	invariant(o->n_indexes < N_INDEXES);
	o->n_indexes++;
	if (o->users->opened || is_listed(o, slice_str(x->field))) {
		return STEP_ON;
	}
	o->tolerated = x->expire ? STORE_E_UNSUPPORTED : STORE_OK;
	return make_index(o, x);
}

/* ---- older accounts ------------------------------------------------------------------------- */

static void take_older(struct operation *o, const struct store_result *r)
{
	o->rows = store_result_steal_documents(r, &o->rows_n);
	o->more_rows_n = 0; /* how far they are done */
}

static enum step_result step_find_older(struct operation *o)
{
	struct document_writer w;
	if (o->users->opened) {
		return STEP_ON;
	}
	free(o->rows);
	o->rows = NULL;
	o->rows_n = 0;
	size_t root = filter_open(&w);
	size_t inner = writer_open_in(&w, BT_OBJECT, SLICE("username_key"));
	writer_bool(&w, SLICE("$exists"), false);
	writer_close(&w, inner);
	writer_close(&w, root);
	struct store_command c = { .op = STORE_FIND, .collection = USERS, .limit = OLDER_AT_ONCE };
	return operation_submit_written(o, &c, &w, NULL, take_older);
}

static struct slice older_row(const struct operation *o)
{
	struct slice rows = slice_of(o->rows + o->more_rows_n, o->rows_n - o->more_rows_n);
	struct slice row;
	return document_take(&rows, &row) ? row : SLICE_NULL;
}

static struct slice text_of(struct slice row, struct slice name)
{
	struct value v = document_find(row, name);
	return v.type == BT_STRING ? value_string(v) : SLICE_NULL;
}

/* '=' and the name as it is spelled. */
static struct slice exact_key(struct slice name, uint8_t out[static USER_KEY_MAX + 1])
{
	out[0] = '=';
	memcpy(out + 1, name.p, name.n);
	return slice_of(out, name.n + 1);
}

/* Which of the keys that it could have are somebody else's? */
static void take_probed(struct operation *o, const struct store_result *r)
{
	uint8_t bytes[USER_KEY_MAX + 1];
	struct slice name = text_of(older_row(o), SLICE("username"));
	struct slice key = user_key(name, bytes);
	uint8_t email_bytes[USER_KEY_MAX];
	struct slice email = user_key(text_of(older_row(o), SLICE("email")), email_bytes);
	struct slice rows = r->documents;
	struct slice row;
	o->match = false;
	o->raced = false;
	o->email_taken = false;
	while (document_take(&rows, &row)) {
		struct slice taken = text_of(row, SLICE("username_key"));
		bool own = slice_eq(taken, key);
		bool exact = taken.n == name.n + 1 && taken.p[0] == '=' &&
			slice_eq(slice_skip(taken, 1), name);
		o->match = o->match || own;
		o->raced = o->raced || exact;
		o->email_taken = o->email_taken ||
			(email.n > 0 && slice_eq(text_of(row, SLICE("email_key")), email));
	}
}

/* Asked rather than tried: not every server says well that an update breaks a unique index. */
static enum step_result step_probe_older(struct operation *o)
{
	struct document_writer w;
	uint8_t bytes[USER_KEY_MAX + 1];
	uint8_t exact[USER_KEY_MAX + 1];
	uint8_t email_bytes[USER_KEY_MAX];
	struct slice row = o->users->opened ? SLICE_NULL : older_row(o);
	struct slice name = text_of(row, SLICE("username"));
	struct slice key = user_key(name, bytes);
	struct slice email = user_key(text_of(row, SLICE("email")), email_bytes);
	if (row.n == 0) {
		return STEP_ON;
	}
	size_t root = filter_open(&w);
	size_t list = writer_open_in(&w, BT_ARRAY, SLICE("$or"));
	size_t one = writer_open_in(&w, BT_OBJECT, SLICE("0"));
	size_t inner = writer_open_in(&w, BT_OBJECT, SLICE("username_key"));
	size_t keys = writer_open_in(&w, BT_ARRAY, SLICE("$in"));
	if (key.n > 0) {
		writer_string(&w, SLICE("0"), key);
		writer_string(&w, SLICE("1"), exact_key(name, exact));
	}
	writer_close(&w, keys);
	writer_close(&w, inner);
	writer_close(&w, one);
	if (email.n > 0) {
		one = writer_open_in(&w, BT_OBJECT, SLICE("1"));
		writer_string(&w, SLICE("email_key"), email);
		writer_close(&w, one);
	}
	writer_close(&w, list);
	writer_close(&w, root);
	struct store_command c = { .op = STORE_FIND, .collection = USERS, .limit = 3 };
	return operation_submit_written(o, &c, &w, NULL, take_probed);
}

/* The name's key; or with the name as it is; or its id. */
static struct slice older_key(
	const struct operation *o, struct slice row, uint8_t out[static USER_ID_MAX + USER_KEY_MAX])
{
	struct slice name = text_of(row, SLICE("username"));
	struct slice key = user_key(name, out);
	char id[USER_ID_MAX + 1] = "?";
	if (key.n > 0 && !o->match) {
		return key;
	}
	if (key.n > 0 && !o->raced) {
		return exact_key(name, out);
	}
	(void)record_id_text(document_find(row, SLICE("_id")), id);
	struct slice text = slice_str(id);
	out[0] = '=';
	memcpy(out + 1, text.p, text.n);
	return slice_of(out, text.n + 1);
}

static void log_taken(struct slice key)
{
	struct log_field fields[] = { { "username_key", key } };
	log_fields(LOG_WARNING, "users.name_twice", fields, 1,
		"two accounts have names that differ in case alone, or not at all: this one logs in only "
		"with the exact spelling");
}

static void take_keyed(struct operation *o, const struct store_result *r)
{
	if (r->error != STORE_OK) {
		(void)operation_end(o, USERS_E_STORE, r->message);
	} else {
		o->more_rows_n += older_row(o).n;
	}
}

/* E-mail addresses only get a key when they are free; nobody logs in with one. */
static void write_older_update(
	const struct operation *o, struct slice row, struct slice key, struct document_writer *w)
{
	uint8_t bytes[USER_KEY_MAX];
	struct value email = document_find(row, SLICE("email"));
	struct slice email_key =
		email.type == BT_STRING ? user_key(value_string(email), bytes) : SLICE_NULL;
	size_t root = filter_open(w);
	size_t set = writer_open_in(w, BT_OBJECT, SLICE("$set"));
	writer_string(w, SLICE("username_key"), key);
	if (email_key.n > 0 && !o->email_taken) {
		writer_string(w, SLICE("email_key"), email_key);
	}
	writer_close(w, set);
	writer_close(w, root);
}

static enum step_result step_key_older(struct operation *o)
{
	struct slice row = o->users->opened ? SLICE_NULL : older_row(o);
	uint8_t bytes[USER_ID_MAX + USER_KEY_MAX];
	struct document_writer filter;
	struct document_writer update;
	if (o->rows_n == 0 || o->users->opened) {
		return STEP_ON;
	}
	if (row.n == 0) {
		/* Perhaps there are more. */
		o->step -= 3;
		return STEP_ON;
	}
	struct slice key = older_key(o, row, bytes);
	if (o->match) {
		log_taken(key);
	}
	size_t root = filter_open(&filter);
	writer_value(&filter, SLICE("_id"), document_find(row, SLICE("_id")));
	writer_close(&filter, root);
	write_older_update(o, row, key, &update);
	struct store_command c = { .op = STORE_UPDATE, .collection = USERS };
	/* The two steps again, for the next one. */
	o->step -= 2;
	return operation_submit_written(o, &c, &filter, &update, take_keyed);
}

static void take_bcrypt(struct operation *o, const struct store_result *r)
{
	hasher_set_mixed(o->users->hasher, r->n > 0);
	o->users->opened = true;
}

/* Are there hashes of the older kind? */
static enum step_result step_find_bcrypt(struct operation *o)
{
	struct document_writer w;
	if (o->users->opened) {
		return STEP_ON;
	}
	size_t root = filter_open(&w);
	size_t inner = writer_open_in(&w, BT_OBJECT, SLICE("hashed_password"));
	writer_string(&w, SLICE("$gte"), SLICE("$2"));
	writer_string(&w, SLICE("$lt"), SLICE("$3"));
	writer_close(&w, inner);
	writer_close(&w, root);
	struct store_command c = { .op = STORE_FIND, .collection = USERS, .limit = 1 };
	return operation_submit_written(o, &c, &w, NULL, take_bcrypt);
}

/* ---- what has ended, who is disabled -------------------------------------------------------- */

/* Where the next page begins. */
static void note_last(struct operation *o, struct slice rows)
{
	struct slice row;
	while (document_take(&rows, &row)) {
		struct value id = document_find(row, SLICE("_id"));
		struct slice text = id.type == BT_STRING ? value_string(id) : SLICE_NULL;
		if (text.n == SESSION_ID_SIZE - 1) {
			memcpy(o->session, text.p, text.n);
		}
	}
}

static void take_sessions(struct operation *o, const struct store_result *r)
{
	unsigned n = 0;
	if (sessions_note(o->users, r->documents, &n) < 0) {
		(void)operation_end(o, USERS_E_STORE, "no memory");
	} else if (n == SESSIONS_AT_ONCE) {
		note_last(o, r->documents);
		o->step--;
	} else {
		o->users->loaded_ms = o->now_ms;
	}
}

static void write_ended_filter(const struct operation *o, struct document_writer *w)
{
	size_t root = filter_open(w);
	size_t inner = writer_open_in(w, BT_OBJECT, SLICE("revoked_at"));
	writer_date(w, SLICE("$gt"), o->users->loaded_ms - OVERLAP_MS);
	writer_close(w, inner);
	inner = writer_open_in(w, BT_OBJECT, SLICE("_id"));
	writer_string(w, SLICE("$gt"), slice_str(o->session));
	writer_close(w, inner);
	writer_close(w, root);
}

/* In pages: what one find returns is bounded, what has ended in a day is not. */
static enum step_result step_load_sessions(struct operation *o)
{
	struct document_writer filter;
	struct document_writer sort;
	write_ended_filter(o, &filter);
	size_t root = filter_open(&sort);
	writer_int32(&sort, SLICE("_id"), 1);
	writer_close(&sort, root);
	struct store_command c = {
		.op = STORE_FIND,
		.collection = SESSIONS,
		.sort = buffer_slice(&sort.b),
		.limit = SESSIONS_AT_ONCE,
	};
	enum step_result r = operation_submit_written(o, &c, &filter, NULL, take_sessions);
	writer_deinit(&sort);
	return r;
}

static void take_disabled(struct operation *o, const struct store_result *r)
{
	struct users *u = o->users;
	struct slice rows = r->documents;
	struct slice row;
	char id[USER_ID_MAX + 1];
	if (o->changes != u->changes) {
		/* Somebody was switched meanwhile: the list may be older than that. Once more. */
		o->step--;
		return;
	}
	revocations_list_begin(&u->revocations);
	while (document_take(&rows, &row)) {
		if (record_id_text(document_find(row, SLICE("_id")), id) &&
			revocations_disable(&u->revocations, slice_str(id)) < 0) {
			(void)operation_end(o, USERS_E_STORE, "no memory");
			return;
		}
	}
	revocations_list_end(&u->revocations);
	u->known = true;
}

static enum step_result step_load_disabled(struct operation *o)
{
	struct document_writer filter;
	struct document_writer projection;
	o->changes = o->users->changes;
	size_t root = filter_open(&filter);
	writer_bool(&filter, SLICE("disabled"), true);
	writer_close(&filter, root);
	root = filter_open(&projection);
	writer_int32(&projection, SLICE("_id"), 1);
	writer_close(&projection, root);
	struct store_command c = {
		.op = STORE_FIND, .collection = USERS, .projection = buffer_slice(&projection.b)
	};
	enum step_result r = operation_submit_written(o, &c, &filter, NULL, take_disabled);
	writer_deinit(&projection);
	return r;
}

static void take_purged(struct operation *o, const struct store_result *r)
{
	o->users->purged_ms = o->now_ms;
}

/* Where the store does not do it by itself. */
static enum step_result step_purge(struct operation *o)
{
	struct document_writer w;
	if (o->now_ms < o->users->purged_ms + PURGE_MS) {
		return STEP_ON;
	}
	size_t root = filter_open(&w);
	size_t inner = writer_open_in(&w, BT_OBJECT, SLICE("expires_at"));
	writer_date(&w, SLICE("$lt"), o->now_ms);
	writer_close(&w, inner);
	writer_close(&w, root);
	struct store_command c = { .op = STORE_DELETE, .collection = SESSIONS, .multi = true };
	return operation_submit_written(o, &c, &w, NULL, take_purged);
}

static const step_fn open_steps[] = { step_list_user_indexes, step_make_index, step_make_index,
	step_make_index, step_list_session_indexes, step_make_index, step_make_index,
	step_make_index, step_find_older, step_probe_older, step_key_older, step_find_bcrypt,
	step_load_sessions, step_load_disabled, step_purge, NULL };

const struct operation_kind users_open_kind = { "open", open_steps };
