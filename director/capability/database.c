/*
 * database.*: a plugin's command becomes a store command in the scope of the call that it belongs
 * to. The arguments are hostile BSON: checked by our own walker before anything else reads them, then
 * taken field by field; a field that the command does not know is refused by name.
 */
#include "director/capability/database.h"

#include "common/json/bson_json.h"
#include "director/capability/calls.h"
#include "director/capability/capability.h"
#include "director/capability/cursors.h"
#include "director/director.h"

#include <errno.h>
#include <stdlib.h>

enum {
	/* Documents of one batch: with its headers well inside a frame. */
	REPLY_BYTES = 900 * 1024,
	/* At most what an id of our own adds to the answer of an insert, and the message of an error. */
	INSERT_ID_BYTES = 24,
	MESSAGE_BYTES = 200,
};

static void reply_document(struct capability_call *c, const bson_t *b)
{
	capability_reply(c, slice_of(bson_get_data(b), b->len));
}

/* u32 cursor, then the documents of a batch. */
static void reply_batch(struct capability_call *c, uint32_t cursor, struct slice batch)
{
	struct buffer b;
	uint8_t head[4];
	buffer_init(&b, FRAME_PAYLOAD_MAX);
	put_u32(head, cursor);
	int r = buffer_append(&b, slice_of(head, sizeof(head)));
	r = r < 0 ? r : buffer_append(&b, batch);
	if (r < 0) {
		capability_fail(c, "unavailable", "no memory");
	} else {
		capability_reply(c, buffer_slice(&b));
	}
	buffer_deinit(&b);
}

static struct cursors *cursors_of(struct capability_call *c)
{
	void **slot = capability_worker_slot(c, cursors_free);
	if (*slot == NULL && capability_worker(c) != NULL) {
		const struct settings *s = capability_director(c)->settings;
		*slot = cursors_new(&(struct cursors_limits){
			.bytes = s->cursor_bytes,
			.per_request = s->cursors_per_request,
			.per_worker = s->cursors_per_worker,
			.idle_ms = s->cursor_idle_ms,
		});
	}
	return *slot;
}

static void refuse_cursor(struct capability_call *c, int r)
{
	const struct settings *s = capability_director(c)->settings;
	switch (r) {
	case CURSORS_E_REQUEST_COUNT:
		capability_fail(c, "limit_exceeded",
			"more than %llu cursors are open in this request "
			"(MOZAIKS_MAX_CURSORS_PER_REQUEST)",
			(unsigned long long)s->cursors_per_request);
		break;
	case CURSORS_E_WORKER_COUNT:
		capability_fail(c, "limit_exceeded",
			"more than %llu cursors are open in this worker (MOZAIKS_MAX_CURSORS_PER_WORKER)",
			(unsigned long long)s->cursors_per_worker);
		break;
	case CURSORS_E_BYTES:
		capability_fail(c, "limit_exceeded",
			"this worker has more than %llu bytes of documents found and not fetched "
			"(MOZAIKS_MAX_CURSOR_BYTES)",
			(unsigned long long)s->cursor_bytes);
		break;
	default:
		capability_fail(c, "unavailable", "no memory");
	}
}

/* The first batch; a cursor takes the result over when there are more. */
static void reply_find(struct capability_call *c, const struct store_result *result)
{
	struct slice rest = result->documents;
	struct slice batch = cursors_batch(&rest, REPLY_BYTES);
	struct cursors *cs = rest.n == 0 ? NULL : cursors_of(c);
	uint32_t cursor = 0;
	if (rest.n == 0 || capability_worker(c) == NULL) {
		reply_batch(c, 0, batch);
		return;
	}
	size_t n = 0;
	uint8_t *memory = store_result_steal_documents(result, &n);
	int r = cs == NULL ? -ENOMEM
			   : cursors_open(cs, capability_work_id(c), memory, rest,
				     uv_now(capability_director(c)->loop), &cursor);
	if (r != 0) {
		free(memory);
		refuse_cursor(c, r);
		return;
	}
	reply_batch(c, cursor, batch);
}

static bool append_iter_of(bson_t *out, const char *name, struct slice document, const char *member)
{
	bson_iter_t it;
	return document.n > 0 && bson_iter_init_from_data(&it, document.p, document.n) &&
		bson_iter_find(&it, member) && bson_append_iter(out, name, -1, &it);
}

void database_append_duplicate(bson_t *out, const struct store_result *result, uint32_t index)
{
	struct slice row = result->duplicates;
	struct slice document;
	while (document_take(&row, &document)) {
		struct value i = document_find(document, SLICE("index"));
		if (i.type == BT_INT32 && (uint32_t)value_int32(i) == index) {
			(void)append_iter_of(out, "keyPattern", document, "keyPattern");
			(void)append_iter_of(out, "keyValue", document, "keyValue");
			return;
		}
	}
}

static void append_write_errors(
	bson_t *out, const struct store_result *result, bool messages, bool duplicates)
{
	bson_t errors;
	bson_append_array_begin(out, "errors", 6, &errors);
	for (size_t i = 0; i < result->n_write_errors; i++) {
		const struct store_write_error *e = &result->write_errors[i];
		bson_t item;
		char buffer[16];
		const char *key;
		size_t n = bson_uint32_to_string((uint32_t)i, &key, buffer, sizeof(buffer));
		bson_append_document_begin(&errors, key, (int)n, &item);
		(void)bson_append_int32(&item, "index", 5, (int32_t)e->index);
		(void)bson_append_utf8(&item, "code", 4, store_error_code(e->error), -1);
		(void)bson_append_utf8(&item, "message", 7, messages ? e->message : "", -1);
		if (duplicates && e->error == STORE_E_DUPLICATE) {
			database_append_duplicate(&item, result, e->index);
		}
		bson_append_document_end(&errors, &item);
	}
	bson_append_array_end(out, &errors);
}

static void append_insert(bson_t *out, const struct store_result *result, bool ids, size_t spare)
{
	(void)bson_append_int64(out, "inserted", 8, (int64_t)result->n);
	if (ids) {
		(void)append_iter_of(out, "ids", result->documents, "ids");
	}
	/* It was seen to before that all but the messages fit. */
	size_t errors = result->n_write_errors * (DATABASE_ERROR_BYTES + MESSAGE_BYTES);
	append_write_errors(out, result, errors < spare, errors + result->duplicates.n < spare);
}

void database_append_change(
	bson_t *out, enum store_op op, const struct store_result *result, bool ids, size_t spare)
{
	if (op == STORE_INSERT) {
		append_insert(out, result, ids, spare);
	} else if (op == STORE_UPDATE) {
		(void)bson_append_int64(out, "matched", 7, (int64_t)result->n);
		(void)bson_append_int64(out, "modified", 8, (int64_t)result->modified);
		(void)append_iter_of(out, "upserted", result->upserted_id, "_id");
	} else if (op == STORE_DELETE) {
		(void)bson_append_int64(out, "deleted", 7, (int64_t)result->n);
	}
}

static void reply_write(struct capability_call *c, const struct store_result *result)
{
	static const struct {
		uint16_t code;
		enum store_op op;
	} changes[] = {
		{ CAP_DATABASE_INSERT, STORE_INSERT },
		{ CAP_DATABASE_UPDATE, STORE_UPDATE },
		{ CAP_DATABASE_DELETE, STORE_DELETE },
	};
	bson_t b = BSON_INITIALIZER;
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		if (changes[i].code == capability_code(c)) {
			size_t used = result->documents.n;
			database_append_change(&b, changes[i].op, result, true,
				used < DATABASE_REPLY_MAX ? DATABASE_REPLY_MAX - used : 0);
		}
	}
	if (bson_empty(&b)) {
		(void)bson_append_int64(&b, "n", 1, (int64_t)result->n);
	}
	reply_document(c, &b);
	bson_destroy(&b);
}

static void reply_values(struct capability_call *c, const struct store_result *result)
{
	if (result->documents.n > DATABASE_REPLY_MAX) {
		capability_fail(c, "limit_exceeded",
			"the values have %zu bytes; an answer holds %d", result->documents.n,
			DATABASE_REPLY_MAX);
		return;
	}
	capability_reply(c, result->documents);
}

static void reply_modify(struct capability_call *c, const struct store_result *result)
{
	bson_t b = BSON_INITIALIZER;
	bson_t value;
	if (result->documents.n == 0) {
		(void)bson_append_null(&b, "value", 5);
	} else if (bson_init_static(&value, result->documents.p, result->documents.n)) {
		(void)bson_append_document(&b, "value", 5, &value);
	}
	reply_document(c, &b);
	bson_destroy(&b);
}

/* What a duplicate is of goes with its error. */
static void fail(struct capability_call *c, const struct store_result *result)
{
	struct slice row = result->duplicates;
	struct slice document;
	struct buffer details;
	buffer_init(&details, FRAME_PAYLOAD_MAX / 2);
	if (result->error == STORE_E_DUPLICATE && document_take(&row, &document)) {
		/* Without memory, or for a NaN that JSON has not: without it. */
		(void)bson_to_json(document, JSON_BSON_EXTENDED, &details);
	}
	capability_fail_with(c, store_error_code(result->error), slice_str(result->message),
		buffer_slice(&details));
	buffer_deinit(&details);
}

static void on_done(void *owner, const struct store_result *result)
{
	struct capability_call *c = owner;
	if (result->error != STORE_OK && result->n_write_errors == 0) {
		fail(c, result);
		return;
	}
	switch (capability_code(c)) {
	case CAP_DATABASE_FIND:
	case CAP_DATABASE_AGGREGATE:
	case CAP_DATABASE_INDEXES:
		reply_find(c, result);
		break;
	case CAP_DATABASE_DISTINCT:
	case CAP_DATABASE_COLLECTIONS:
		reply_values(c, result);
		break;
	case CAP_DATABASE_MODIFY:
		reply_modify(c, result);
		break;
	default:
		reply_write(c, result);
	}
}

static void run_cursor(struct capability_call *c, const struct database_args *a)
{
	struct cursors *cs = cursors_of(c);
	uint64_t work = capability_work_id(c);
	uint32_t id = a->cursor > UINT32_MAX ? 0 : (uint32_t)a->cursor;
	struct slice batch = SLICE_NULL;
	bool more = false;
	bool known = cs != NULL &&
		(capability_code(c) == CAP_DATABASE_CLOSE
				? cursors_close(cs, work, id)
				: cursors_next(cs, work, id, REPLY_BYTES,
					  uv_now(capability_director(c)->loop), &batch, &more));
	if (!known) {
		capability_fail(c, "invalid_argument",
			"cursor: this request has no such open cursor; one that was not used for %g s "
			"is closed (MOZAIKS_CURSOR_TIMEOUT_SECONDS)",
			(double)capability_director(c)->settings->cursor_idle_ms / 1000);
	} else if (capability_code(c) == CAP_DATABASE_CLOSE) {
		bson_t b = BSON_INITIALIZER;
		reply_document(c, &b);
		bson_destroy(&b);
	} else {
		reply_batch(c, more ? id : 0, batch);
	}
}

struct store_scope database_scope(
	struct capability_call *c, struct slice collection, bool all_users)
{
	struct slice user = capability_user(c);
	bool shared = all_users || capability_collection_is_shared(c, collection);
	return (struct store_scope){
		.kind = shared       ? STORE_SCOPE_SHARED
			: user.n > 0 ? STORE_SCOPE_USER
				     : STORE_SCOPE_APP,
		.physical = capability_collection_alias(c, collection),
		.app = capability_app(c),
		.plugin = capability_plugin(c),
		.user = user,
	};
}

/* Whether the answer to an insert fits a frame, whatever becomes of each document. */
static bool insert_answer_fits(const struct store_command *c)
{
	struct slice row = c->documents;
	struct slice document;
	size_t bytes = DATABASE_ERROR_BYTES + MESSAGE_BYTES;
	while (document_take(&row, &document)) {
		bytes += INSERT_ID_BYTES + document_find(document, SLICE("_id")).data.n;
		bytes += c->ordered ? 0 : DATABASE_ERROR_BYTES;
	}
	return bytes < DATABASE_REPLY_MAX;
}

static void write_alias(void *arg, struct slice collection, struct slice physical)
{
	writer_string((struct document_writer *)arg, collection, physical);
}

/* The plugin's own collections, whoever calls. */
static void run_names(struct capability_call *c)
{
	struct document_writer aliases;
	writer_init(&aliases, FRAME_PAYLOAD_MAX);
	size_t start = writer_open(&aliases);
	capability_each_alias(c, write_alias, &aliases);
	writer_close(&aliases, start);
	struct store_scope scope = {
		.kind = STORE_SCOPE_SHARED, .app = capability_app(c), .plugin = capability_plugin(c)
	};
	struct store_command command = { .op = STORE_NAMES, .aliases = buffer_slice(&aliases.b) };
	int r = aliases.error;
	r = r < 0 ? r : store_submit(capability_director(c)->store, &scope, &command, on_done, c);
	writer_deinit(&aliases);
	if (r < 0) {
		capability_fail(c, "unavailable", "%s",
			r == -ECANCELED ? "the store is closed" : "no memory");
	}
}

static void run_command(struct capability_call *c, struct database_args *a)
{
	if (a->command.op == STORE_NAMES) {
		run_names(c);
		return;
	}
	if (a->command.op == STORE_INSERT && !insert_answer_fits(&a->command)) {
		capability_fail(c, "limit_exceeded",
			"too many documents in one insert: its answer would have more than %d bytes",
			DATABASE_REPLY_MAX);
		return;
	}
	if (a->all_users && !capability_may(c, CAP_DATABASE_CROSS_USER)) {
		capability_deny(c, "database.cross_user", "all_users");
		return;
	}
	if (capability_code(c) == CAP_DATABASE_BULK) {
		database_bulk(c, a);
		return;
	}
	struct store_scope scope = database_scope(c, a->command.collection, a->all_users);
	int r = store_submit(capability_director(c)->store, &scope, &a->command, on_done, c);
	if (r < 0) {
		capability_fail(
			c, "unavailable", "%s", r == -ENOMEM ? "no memory" : "the store is closed");
	}
}

void capability_work_ended(struct worker *w, uint64_t work_id)
{
	for (size_t i = 0; i < WORKER_CAPABILITY_SLOTS; i++) {
		if (w->slots[i].release == cursors_free && w->slots[i].state != NULL) {
			cursors_end_work(w->slots[i].state, work_id);
		}
	}
}

void capability_database(struct capability_call *c)
{
	struct database_args a;
	database_args_init(&a);
	if (database_args_read(c, &a)) {
		if (capability_code(c) == CAP_DATABASE_NEXT ||
			capability_code(c) == CAP_DATABASE_CLOSE) {
			run_cursor(c, &a);
		} else {
			run_command(c, &a);
		}
	}
	database_args_deinit(&a);
}
