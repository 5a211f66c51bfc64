#include "director/store/mongodb/rehearse.h"

/* How often an upsert starts again because somebody else made or removed the document meanwhile. */
enum { UPSERT_ATTEMPTS = 3 };

static const char unanswerable[] = "the change was made, but its answer cannot be given";

static uint64_t reply_number(const bson_t *reply, const char *name)
{
	bson_iter_t it;
	return bson_iter_init_find(&it, reply, name) ? (uint64_t)bson_iter_as_int64(&it) : 0;
}

/* Before a change that may make the collection. @return false: the task is answered. */
static bool prepare(struct mongodb_command *c)
{
	return mongodb_collections_prepare(c->session->collections, c->session->database, c->t) ==
		0;
}

/* --- insert --- */

static int32_t item_number(bson_iter_t *item, const char *name)
{
	bson_iter_t it;
	return bson_iter_recurse(item, &it) && bson_iter_find(&it, name)
		? (int32_t)bson_iter_as_int64(&it)
		: 0;
}

static const char *duplicate_text(bson_iter_t *item, char text[static STORE_MESSAGE_MAX])
{
	bson_iter_t it;
	bool found = bson_iter_recurse(item, &it) && bson_iter_find(&it, "errmsg") &&
		BSON_ITER_HOLDS_UTF8(&it);
	mongodb_duplicate_text(found ? bson_iter_utf8(&it, NULL) : "", text);
	return text;
}

static void note_duplicate(struct store_task *t, bson_iter_t *item)
{
	const uint8_t *p = NULL;
	uint32_t n = 0;
	if (BSON_ITER_HOLDS_DOCUMENT(item)) {
		bson_iter_document(item, &n, &p);
		mongodb_note_duplicate(t, (uint32_t)item_number(item, "index"), slice_of(p, n));
	}
}

/* The documents that could not be stored, by index. @return 0; -ENOMEM. */
static int take_write_errors(struct store_task *t, const bson_t *reply)
{
	char text[STORE_MESSAGE_MAX];
	bson_iter_t it;
	bson_iter_t item;
	int r = 0;
	if (!bson_iter_init_find(&it, reply, "writeErrors") || !bson_iter_recurse(&it, &item)) {
		return 0;
	}
	while (r == 0 && bson_iter_next(&item)) {
		enum store_error e = mongodb_code_class(item_number(&item, "code"), true);
		if (e == STORE_E_DUPLICATE) {
			note_duplicate(t, &item);
		}
		r = store_task_write_error(t, (uint32_t)item_number(&item, "index"), e,
			e == STORE_E_DUPLICATE ? duplicate_text(&item, text)
					       : mongodb_class_text(e));
	}
	return r;
}

/* {ids: […]}, of all documents in their order. @return their number. */
static uint64_t keep_ids(struct store_task *t)
{
	uint64_t n = 0;
	struct slice row = t->documents;
	struct slice document;
	char text[24];
	size_t root = writer_open(&t->out);
	size_t ids = writer_open_in(&t->out, BT_ARRAY, SLICE("ids"));
	for (; document_take(&row, &document); n++) {
		writer_value(&t->out, index_name(n, text), document_find(document, SLICE("_id")));
	}
	writer_close(&t->out, ids);
	writer_close(&t->out, root);
	return n;
}

/* How many of `n` documents went in. Not every server counts right where some were refused. */
static uint64_t inserted(const struct store_task *t, uint64_t n)
{
	if (t->ordered && t->n_write_errors > 0) {
		return t->write_errors[0].index;
	}
	return n - t->n_write_errors;
}

/* True when all that went wrong is that the server refused some of the documents. */
static bool refused_some(const bson_error_t *error, const bson_t *reply)
{
	bson_iter_t it;
	bson_iter_t item;
	return error->domain == MONGOC_ERROR_SERVER && !mongodb_is_unconfirmed(reply) &&
		bson_iter_init_find(&it, reply, "writeErrors") && bson_iter_recurse(&it, &item) &&
		bson_iter_next(&item);
}

static void answer_insert(
	struct store_task *t, bool ok, const bson_error_t *error, const bson_t *reply)
{
	if (!ok && !refused_some(error, reply)) {
		(void)mongodb_fail(t, error, reply, true);
		return;
	}
	int r = take_write_errors(t, reply);
	t->result.n = inserted(t, keep_ids(t));
	r = r < 0 ? r : t->out.error;
	if (r < 0) {
		/* What was done cannot be told. */
		(void)store_task_fail(
			t, STORE_E_UNKNOWN, "%s", mongodb_class_text(STORE_E_UNKNOWN));
	}
}

void mongodb_insert(struct mongodb_command *c)
{
	struct store_task *t = c->t;
	bson_t options = BSON_INITIALIZER;
	bson_t unchecked = BSON_INITIALIZER;
	bson_t reply;
	bson_error_t error = { 0 };
	struct slice row = t->documents;
	struct slice document;
	bool ok = true;
	if (!prepare(c)) {
		return;
	}
	/* scope.c has checked them, more strictly. */
	BSON_APPEND_BOOL(&unchecked, "validate", false);
	BSON_APPEND_BOOL(&options, "ordered", t->ordered);
	mongoc_bulk_operation_t *bulk =
		mongoc_collection_create_bulk_operation_with_opts(c->collection, &options);
	while (ok && document_take(&row, &document)) {
		bson_t b;
		mongodb_view(&b, document);
		ok = mongoc_bulk_operation_insert_with_opts(bulk, &b, &unchecked, &error);
	}
	if (!ok) {
		(void)mongodb_fail(t, &error, NULL, false);
	} else {
		ok = mongoc_bulk_operation_execute(bulk, &reply, &error) != 0;
		answer_insert(t, ok, &error, &reply);
		bson_destroy(&reply);
	}
	mongoc_bulk_operation_destroy(bulk);
	bson_destroy(&unchecked);
	bson_destroy(&options);
}

/* --- update, delete, find and modify --- */

/* Sends the task's command, without its upsert. The caller destroys `ret_reply` in every case. */
typedef bool (*send_fn)(struct mongodb_command *c, bson_t *ret_reply, bson_error_t *ret_error);

/* Takes the answer of a command that succeeded. */
typedef void (*take_fn)(struct store_task *t, const bson_t *reply);

static struct value reply_value(const bson_t *reply, struct slice name)
{
	return document_find(slice_of(bson_get_data(reply), reply->len), name);
}

/* Of what the server refused: the engine's words, when it refuses, too. */
static void explain(struct mongodb_command *c, enum store_error e)
{
	struct store_failure f;
	switch (mongodb_rehearse(c, NULL, &f)) {
	case REHEARSAL_REFUSED:
		(void)store_task_fail(c->t, f.error, "%s", f.message);
		break;
	case REHEARSAL_PASSED:
	case REHEARSAL_FAILED:
		/* Not what the explanation met on its way. */
		(void)store_task_fail(c->t, e, "%s", mongodb_class_text(e));
		break;
	}
}

/* The answer of a change that failed. Of many documents some may have been changed before. */
static void answer_failure(
	struct mongodb_command *c, const bson_error_t *error, const bson_t *reply)
{
	struct store_task *t = c->t;
	enum store_error e = mongodb_fail(t, error, reply, true);
	if (e == STORE_E_UNKNOWN || e == STORE_E_UNAVAILABLE || e == STORE_E_INTERNAL) {
		return;
	}
	if (t->updater != NULL && e != STORE_E_DUPLICATE) {
		explain(c, e);
	}
	if (t->multi) {
		char text[STORE_MESSAGE_MAX];
		memcpy(text, t->result.message, sizeof(text));
		(void)store_task_fail(t, STORE_E_UNKNOWN,
			"some documents may have been changed before this: %s", text);
	}
}

/* @return 0; positive: the task is answered. */
static int rehearse_first(struct mongodb_command *c)
{
	struct store_failure f;
	if (!mongodb_wants_rehearsal(c->t)) {
		return 0;
	}
	switch (mongodb_rehearse(c, NULL, &f)) {
	case REHEARSAL_PASSED:
		return 0;
	case REHEARSAL_REFUSED:
		return store_task_fail(c->t, f.error, "%s", f.message);
	case REHEARSAL_FAILED:
		break;
	}
	return (int)c->t->result.error;
}

/* Changes what is there. @return true: it is done and answered; false: there was nothing. */
static bool change(struct mongodb_command *c, send_fn send, take_fn take)
{
	struct store_task *t = c->t;
	bson_t reply;
	bson_error_t error = { 0 };
	if (rehearse_first(c) != 0) {
		return true;
	}
	if (!send(c, &reply, &error) || mongodb_is_unconfirmed(&reply)) {
		answer_failure(c, &error, &reply);
	} else {
		take(t, &reply);
	}
	bson_destroy(&reply);
	return t->result.error != STORE_OK || t->result.n > 0;
}

/* The answer of an upsert that inserted. */
static void take_upsert(struct store_task *t, struct slice document)
{
	size_t start = writer_open(&t->id);
	writer_value(&t->id, SLICE("_id"), document_find(document, SLICE("_id")));
	writer_close(&t->id, start);
	bool shown = t->op == STORE_MODIFY && t->return_new;
	if (t->id.error < 0 || (shown && mongodb_emit(t, document, false) != 0)) {
		(void)store_task_fail(t, STORE_E_UNKNOWN, "%s", unanswerable);
	}
}

enum outcome { DONE, AGAIN };

/*
 * {$setOnInsert: document} as an upsert: the server inserts it unless the filter finds one now, which
 * is then left alone.
 */
static bool send_on_insert(struct mongodb_command *c,
	struct slice document,
	bson_t *ret_reply,
	bson_error_t *ret_error)
{
	bson_t update = BSON_INITIALIZER;
	bson_t options = BSON_INITIALIZER;
	mongodb_append_document(&update, "$setOnInsert", document);
	BSON_APPEND_BOOL(&options, "upsert", true);
	BSON_APPEND_BOOL(&options, "validate", false);
	bool ok = mongoc_collection_update_one(
		c->collection, &c->filter, &update, &options, ret_reply, ret_error);
	bson_destroy(&update);
	bson_destroy(&options);
	return ok;
}

/* A replacement has nothing of the filter but the _id, so that $setOnInsert would add to it. */
static bool send_insert(struct mongodb_command *c,
	struct slice document,
	bson_t *ret_reply,
	bson_error_t *ret_error)
{
	bson_t b;
	bson_t options = BSON_INITIALIZER;
	mongodb_view(&b, document);
	BSON_APPEND_BOOL(&options, "validate", false);
	bool ok = mongoc_collection_insert_one(c->collection, &b, &options, ret_reply, ret_error);
	bson_destroy(&options);
	return ok;
}

/* The document is the embedded store's, with an _id of our own making, whatever the server would make
 * of the filter. */
static enum outcome insert_missing(struct mongodb_command *c, struct slice document)
{
	struct store_task *t = c->t;
	bson_t reply;
	bson_error_t error = { 0 };
	enum outcome outcome = DONE;
	/* In $setOnInsert not every server takes a null for an _id. */
	bool alone = update_is_replacement(t->updater) ||
		document_find(document, SLICE("_id")).type == BT_NULL;
	bool ok = alone ? send_insert(c, document, &reply, &error)
			: send_on_insert(c, document, &reply, &error);
	if (!ok || mongodb_is_unconfirmed(&reply)) {
		/* A taken _id: somebody else was faster, or it is another owner's. */
		outcome = mongodb_fail(t, &error, &reply, true) == STORE_E_DUPLICATE ? AGAIN : DONE;
	} else if (reply_number(&reply, "matchedCount") > 0) {
		outcome = AGAIN;
	} else {
		take_upsert(t, document);
	}
	bson_destroy(&reply);
	return outcome;
}

/* @return DONE: answered. AGAIN: start again, with what is to be answered when that is too often. */
static enum outcome upsert(struct mongodb_command *c)
{
	struct store_task *t = c->t;
	struct store_failure f;
	struct slice document;
	int r = mongodb_upsert_document(t, &document, &f);
	if (r > 0) {
		(void)store_task_fail(t, f.error, "%s", f.message);
		return DONE;
	}
	if (r < 0) {
		(void)store_task_fail_errno(t, r);
		return DONE;
	}
	return insert_missing(c, document);
}

/* A change, and what it does when it finds nothing. */
static void change_or_insert(struct mongodb_command *c, send_fn send, take_fn take)
{
	struct store_task *t = c->t;
	if (t->upsert && !prepare(c)) {
		return;
	}
	for (int left = UPSERT_ATTEMPTS; left > 0; left--) {
		t->result = (struct store_result){ 0 };
		if (change(c, send, take) || !t->upsert || upsert(c) == DONE) {
			return;
		}
	}
	if (t->result.error == STORE_OK) {
		(void)store_task_fail(t, STORE_E_UNAVAILABLE,
			"others changed the same document all the time; nothing was done");
	}
}

static void append_array_filters(bson_t *options, const struct store_task *t)
{
	bson_t filters;
	if (t->array_filters.n > 0) {
		mongodb_view(&filters, t->array_filters);
		bson_append_array(options, "arrayFilters", -1, &filters);
	}
}

static bool send_update(struct mongodb_command *c, bson_t *ret_reply, bson_error_t *ret_error)
{
	const struct store_task *t = c->t;
	bson_t update;
	bson_t options = BSON_INITIALIZER;
	bool ok;
	mongodb_view(&update, t->update);
	BSON_APPEND_BOOL(&options, "validate", false);
	append_array_filters(&options, t);
	if (update_is_replacement(t->updater)) {
		ok = mongoc_collection_replace_one(
			c->collection, &c->filter, &update, &options, ret_reply, ret_error);
	} else if (t->multi) {
		ok = mongoc_collection_update_many(
			c->collection, &c->filter, &update, &options, ret_reply, ret_error);
	} else {
		ok = mongoc_collection_update_one(
			c->collection, &c->filter, &update, &options, ret_reply, ret_error);
	}
	bson_destroy(&options);
	return ok;
}

static void take_update(struct store_task *t, const bson_t *reply)
{
	t->result.n = reply_number(reply, "matchedCount");
	t->result.modified = reply_number(reply, "modifiedCount");
}

static bool send_modify(struct mongodb_command *c, bson_t *ret_reply, bson_error_t *ret_error);

/* {value: <the document before, or null>, …} */
static void take_sorted_update(struct store_task *t, const bson_t *reply)
{
	struct value before = reply_value(reply, SLICE("value"));
	if (before.type != BT_OBJECT) {
		return;
	}
	t->result.n = 1;
	t->result.modified = mongodb_changes(t, before.data) ? 1 : 0;
}

/* Few servers take the order of an update; all take that of a findAndModify. */
void mongodb_update(struct mongodb_command *c)
{
	bool sorted = c->t->sort.n > 0;
	change_or_insert(
		c, sorted ? send_modify : send_update, sorted ? take_sorted_update : take_update);
}

static bool send_delete(struct mongodb_command *c, bson_t *ret_reply, bson_error_t *ret_error)
{
	const bson_t *filter = &c->filter;
	return c->t->multi
		? mongoc_collection_delete_many(c->collection, filter, NULL, ret_reply, ret_error)
		: mongoc_collection_delete_one(c->collection, filter, NULL, ret_reply, ret_error);
}

static void take_delete(struct store_task *t, const bson_t *reply)
{
	t->result.n = reply_number(reply, "deletedCount");
}

void mongodb_delete(struct mongodb_command *c)
{
	(void)change(c, send_delete, take_delete);
}

static void set_document(mongoc_find_and_modify_opts_t *options,
	bool (*set)(mongoc_find_and_modify_opts_t *options, const bson_t *document),
	struct slice document)
{
	bson_t b;
	if (document.n > 0) {
		mongodb_view(&b, document);
		(void)set(options, &b);
	}
}

/* The projection is not sent: whole documents can be checked, and not every server knows it here. */
static bool send_modify(struct mongodb_command *c, bson_t *ret_reply, bson_error_t *ret_error)
{
	const struct store_task *t = c->t;
	mongoc_find_and_modify_opts_t *options = mongoc_find_and_modify_opts_new();
	int flags = (t->remove ? MONGOC_FIND_AND_MODIFY_REMOVE : 0) |
		(t->return_new ? MONGOC_FIND_AND_MODIFY_RETURN_NEW : 0);
	bson_t extra = BSON_INITIALIZER;
	append_array_filters(&extra, t);
	(void)mongoc_find_and_modify_opts_append(options, &extra);
	set_document(options, mongoc_find_and_modify_opts_set_update, t->update);
	set_document(options, mongoc_find_and_modify_opts_set_sort, t->sort);
	(void)mongoc_find_and_modify_opts_set_flags(options, (mongoc_find_and_modify_flags_t)flags);
	bool ok = mongoc_collection_find_and_modify_with_opts(
		c->collection, &c->filter, options, ret_reply, ret_error);
	mongoc_find_and_modify_opts_destroy(options);
	bson_destroy(&extra);
	return ok;
}

/* {value: <document or null>, …} */
static void take_modify(struct store_task *t, const bson_t *reply)
{
	struct value found = reply_value(reply, SLICE("value"));
	if (found.type != BT_OBJECT) {
		return;
	}
	if (mongodb_emit(t, found.data, false) != 0) {
		(void)store_task_fail(t, STORE_E_UNKNOWN, "%s", unanswerable);
		return;
	}
	t->result.n = 1;
	t->result.modified = t->remove ? 0 : 1;
}

void mongodb_modify(struct mongodb_command *c)
{
	change_or_insert(c, send_modify, take_modify);
}
