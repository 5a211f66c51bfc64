/*
 * database.*: a plugin's command becomes a store command in the scope of the call that it belongs
 * to. The arguments are hostile BSON: checked by our own walker before anything else reads them, then
 * taken field by field; a field that the command does not know is refused by name.
 */
#include "common/base/buffer.h"
#include "common/json/bson_check.h"
#include "common/json/bson_json.h"
#include "common/proto/frame.h"
#include "director/capability/calls.h"
#include "director/capability/capability.h"
#include "director/capability/cursors.h"
#include "director/director.h"
#include "director/store/query/document.h"

#include <bson/bson.h>
#include <errno.h>
#include <stdlib.h>

enum {
	/* Documents of one batch: with its headers well inside a frame. */
	REPLY_BYTES = 900 * 1024,
	/* What fits a REPLY: a frame less sequence number and status. */
	REPLY_MAX = FRAME_PAYLOAD_MAX - 8,
	/* At most what one document adds to the answer of an insert: an id of our own with its index;
	 * an error without and with its message. */
	INSERT_ID_BYTES = 24,
	INSERT_ERROR_BYTES = 72,
	INSERT_MESSAGE_BYTES = 200,
};

/* Fields that a command may have, and where they go. */
enum field {
	F_COLLECTION,
	F_FILTER,
	F_PROJECTION,
	F_SORT,
	F_UPDATE,
	F_DOCUMENTS,
	F_FIELD,
	F_SKIP,
	F_LIMIT,
	F_MULTI,
	F_UPSERT,
	F_ORDERED,
	F_REMOVE,
	F_NEW,
	F_ARRAY_FILTERS,
	F_PIPELINE,
	F_INDEX,
	F_NAME,
	F_CURSOR,
	F_ALL_USERS,
	FIELDS,
};

#define ONLY(f) (1U << (f))
#define SCOPED  (ONLY(F_COLLECTION) | ONLY(F_ALL_USERS))

static const char *const field_names[FIELDS] = { "collection", "filter", "projection", "sort",
	"update", "documents", "field", "skip", "limit", "multi", "upsert", "ordered", "remove",
	"new", "array_filters", "pipeline", "index", "name", "cursor", "all_users" };

static const struct {
	uint16_t code;
	enum store_op op;
	unsigned fields, required;
} commands[] = {
	{ CAP_DATABASE_FIND, STORE_FIND,
		SCOPED | ONLY(F_FILTER) | ONLY(F_PROJECTION) | ONLY(F_SORT) | ONLY(F_SKIP) |
			ONLY(F_LIMIT),
		ONLY(F_COLLECTION) },
	{ CAP_DATABASE_COUNT, STORE_COUNT, SCOPED | ONLY(F_FILTER) | ONLY(F_SKIP) | ONLY(F_LIMIT),
		ONLY(F_COLLECTION) },
	{ CAP_DATABASE_DISTINCT, STORE_DISTINCT, SCOPED | ONLY(F_FILTER) | ONLY(F_FIELD),
		ONLY(F_COLLECTION) | ONLY(F_FIELD) },
	{ CAP_DATABASE_INSERT, STORE_INSERT, SCOPED | ONLY(F_DOCUMENTS) | ONLY(F_ORDERED),
		ONLY(F_COLLECTION) | ONLY(F_DOCUMENTS) },
	{ CAP_DATABASE_UPDATE, STORE_UPDATE,
		SCOPED | ONLY(F_FILTER) | ONLY(F_UPDATE) | ONLY(F_MULTI) | ONLY(F_UPSERT) |
			ONLY(F_ARRAY_FILTERS) | ONLY(F_SORT),
		ONLY(F_COLLECTION) | ONLY(F_FILTER) | ONLY(F_UPDATE) },
	{ CAP_DATABASE_DELETE, STORE_DELETE, SCOPED | ONLY(F_FILTER) | ONLY(F_MULTI),
		ONLY(F_COLLECTION) | ONLY(F_FILTER) },
	{ CAP_DATABASE_MODIFY, STORE_MODIFY,
		SCOPED | ONLY(F_FILTER) | ONLY(F_UPDATE) | ONLY(F_REMOVE) | ONLY(F_UPSERT) |
			ONLY(F_NEW) | ONLY(F_SORT) | ONLY(F_PROJECTION) | ONLY(F_ARRAY_FILTERS),
		ONLY(F_COLLECTION) | ONLY(F_FILTER) },
	{ CAP_DATABASE_AGGREGATE, STORE_AGGREGATE, SCOPED | ONLY(F_PIPELINE),
		ONLY(F_COLLECTION) | ONLY(F_PIPELINE) },
	{ CAP_DATABASE_CREATE_INDEX, STORE_INDEX_CREATE, ONLY(F_COLLECTION) | ONLY(F_INDEX),
		ONLY(F_COLLECTION) | ONLY(F_INDEX) },
	{ CAP_DATABASE_DROP_INDEX, STORE_INDEX_DROP, ONLY(F_COLLECTION) | ONLY(F_NAME),
		ONLY(F_COLLECTION) | ONLY(F_NAME) },
	{ CAP_DATABASE_INDEXES, STORE_INDEX_LIST, ONLY(F_COLLECTION), ONLY(F_COLLECTION) },
	{ CAP_DATABASE_NEXT, STORE_FIND, ONLY(F_CURSOR), ONLY(F_CURSOR) },
	{ CAP_DATABASE_CLOSE, STORE_FIND, ONLY(F_CURSOR), ONLY(F_CURSOR) },
};

struct arguments {
	struct store_command command;
	struct buffer documents; /* the array's documents in a row */
	uint64_t cursor;
	bool all_users;
	unsigned given;
};

static struct slice document_of(const bson_iter_t *it)
{
	uint32_t n = 0;
	const uint8_t *p = NULL;
	if (BSON_ITER_HOLDS_DOCUMENT(it)) {
		bson_iter_document(it, &n, &p);
	}
	return slice_of(p, n);
}

static bool take_number(const bson_iter_t *it, uint64_t *ret)
{
	int64_t n = BSON_ITER_HOLDS_INT(it) ? bson_iter_as_int64(it) : -1;
	if (n < 0) {
		return false;
	}
	*ret = (uint64_t)n;
	return true;
}

static bool take_bool(const bson_iter_t *it, bool *ret)
{
	*ret = BSON_ITER_HOLDS_BOOL(it) && bson_iter_bool(it);
	return BSON_ITER_HOLDS_BOOL(it);
}

static bool take_text(const bson_iter_t *it, struct slice *ret)
{
	uint32_t n = 0;
	if (!BSON_ITER_HOLDS_UTF8(it)) {
		return false;
	}
	const char *p = bson_iter_utf8(it, &n);
	*ret = slice_of(p, n);
	return true;
}

static bool take_document(const bson_iter_t *it, struct slice *ret)
{
	*ret = document_of(it);
	return ret->p != NULL;
}

static bool take_array(const bson_iter_t *it, struct slice *ret)
{
	uint32_t n = 0;
	const uint8_t *p = NULL;
	if (BSON_ITER_HOLDS_ARRAY(it)) {
		bson_iter_array(it, &n, &p);
	}
	*ret = slice_of(p, n);
	return p != NULL;
}

static bool take_documents(const bson_iter_t *it, struct buffer *out)
{
	bson_iter_t item;
	if (!BSON_ITER_HOLDS_ARRAY(it) || !bson_iter_recurse(it, &item)) {
		return false;
	}
	while (bson_iter_next(&item)) {
		struct slice document = document_of(&item);
		if (document.p == NULL || buffer_append(out, document) < 0) {
			return false;
		}
	}
	return true;
}

static bool take_field(struct arguments *a, enum field f, const bson_iter_t *it)
{
	struct store_command *c = &a->command;
	switch (f) {
	case F_COLLECTION:
		return take_text(it, &c->collection);
	case F_FILTER:
		return take_document(it, &c->filter);
	case F_PROJECTION:
		return take_document(it, &c->projection);
	case F_SORT:
		return take_document(it, &c->sort);
	case F_UPDATE:
		return take_document(it, &c->update);
	case F_DOCUMENTS:
		return take_documents(it, &a->documents);
	case F_FIELD:
		return take_text(it, &c->field);
	case F_SKIP:
		return take_number(it, &c->skip);
	case F_LIMIT:
		return take_number(it, &c->limit);
	case F_MULTI:
		return take_bool(it, &c->multi);
	case F_UPSERT:
		return take_bool(it, &c->upsert);
	case F_ORDERED:
		return take_bool(it, &c->ordered);
	case F_REMOVE:
		return take_bool(it, &c->remove);
	case F_NEW:
		return take_bool(it, &c->return_new);
	case F_ARRAY_FILTERS:
		return take_array(it, &c->array_filters);
	case F_PIPELINE:
		return take_array(it, &c->pipeline);
	case F_INDEX:
		return take_document(it, &c->index);
	case F_NAME:
		return take_text(it, &c->field);
	case F_CURSOR:
		return take_number(it, &a->cursor);
	case F_ALL_USERS:
		return take_bool(it, &a->all_users);
	case FIELDS:
		break;
	}
	return false;
}

static const char *const field_kinds[FIELDS] = {
	[F_COLLECTION] = "a string",
	[F_FILTER] = "a document",
	[F_PROJECTION] = "a document",
	[F_SORT] = "a document",
	[F_UPDATE] = "a document",
	[F_DOCUMENTS] = "an array of documents",
	[F_FIELD] = "a string",
	[F_SKIP] = "a whole number that is not negative",
	[F_LIMIT] = "a whole number that is not negative",
	[F_MULTI] = "true or false",
	[F_UPSERT] = "true or false",
	[F_ORDERED] = "true or false",
	[F_REMOVE] = "true or false",
	[F_NEW] = "true or false",
	[F_ARRAY_FILTERS] = "an array",
	[F_PIPELINE] = "an array",
	[F_INDEX] = "a document",
	[F_NAME] = "a string",
	[F_CURSOR] = "a cursor's number",
	[F_ALL_USERS] = "true or false",
};

static size_t command_row(uint16_t code)
{
	size_t row = 0;
	while (commands[row].code != code) {
		row++;
	}
	return row;
}

/* Reads the checked document; false after answering. */
static bool read_fields(struct capability_call *c, struct slice document, struct arguments *a)
{
	size_t row = command_row(capability_code(c));
	bson_iter_t it;
	a->command.op = commands[row].op;
	(void)bson_iter_init_from_data(&it, document.p, document.n);
	while (bson_iter_next(&it)) {
		struct slice name = slice_of(bson_iter_key(&it), bson_iter_key_len(&it));
		unsigned f = 0;
		while (f < FIELDS && !slice_eq(name, slice_str(field_names[f]))) {
			f++;
		}
		if (f == FIELDS || (commands[row].fields & ONLY(f)) == 0) {
			capability_fail(c, "invalid_argument", "unknown field '%.*s'",
				name.n > 64 ? 64 : (int)name.n, (const char *)name.p);
			return false;
		}
		if (!take_field(a, (enum field)f, &it)) {
			capability_fail(c, "invalid_argument", "%s must be %s", field_names[f],
				field_kinds[f]);
			return false;
		}
		a->given |= ONLY(f);
	}
	for (unsigned f = 0; f < FIELDS; f++) {
		if ((commands[row].required & ~a->given & ONLY(f)) != 0) {
			capability_fail(c, "invalid_argument", "%s is missing", field_names[f]);
			return false;
		}
	}
	return true;
}

static size_t limit_value(const struct bson_limits *limits, enum bson_limit limit)
{
	return limit == BSON_LIMIT_DEPTH   ? limits->depth
		: limit == BSON_LIMIT_KEYS ? limits->keys
					   : limits->bytes;
}

static const char *limit_setting(enum bson_limit limit)
{
	return limit == BSON_LIMIT_DEPTH   ? "MOZAIKS_MAX_BSON_DEPTH; "
		: limit == BSON_LIMIT_KEYS ? "MOZAIKS_MAX_BSON_KEYS; "
					   : "";
}

/* Checks the bytes, then reads them; false after answering. */
static bool read_arguments(struct capability_call *c, struct arguments *a)
{
	struct slice bytes = capability_args(c);
	struct slice document;
	struct bson_failure failure = { 0 };
	const struct settings *s = capability_director(c)->settings;
	struct bson_limits limits = {
		.bytes = FRAME_PAYLOAD_MAX,
		.depth = (unsigned)s->bson_depth,
		.keys = (unsigned)s->bson_keys,
	};
	int r = bson_check(&bytes, &limits, &document, &failure);
	if (r == 0 && bytes.n > 0) {
		failure.what = "bytes after the document";
		r = -EBADMSG;
	}
	if (r == -ENOMEM) {
		capability_fail(c, "unavailable", "no memory");
	} else if (r < 0 && failure.limit != BSON_LIMIT_NONE) {
		capability_fail(c, "limit_exceeded", "the arguments have %s of %zu (%sbyte %zu)",
			failure.what, limit_value(&limits, failure.limit),
			limit_setting(failure.limit), failure.offset);
	} else if (r < 0) {
		capability_fail(c, "invalid_argument",
			"the arguments are no valid BSON document: %s (byte %zu)", failure.what,
			failure.offset);
	}
	if (r < 0) {
		return false;
	}
	return read_fields(c, document, a);
}

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

/* keyPattern and keyValue of the document with this index, when they are known. */
static void append_duplicate(bson_t *out, const struct store_result *result, uint32_t index)
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
			append_duplicate(&item, result, e->index);
		}
		bson_append_document_end(&errors, &item);
	}
	bson_append_array_end(out, &errors);
}

static void append_insert(bson_t *out, const struct store_result *result)
{
	(void)bson_append_int64(out, "inserted", 8, (int64_t)result->n);
	(void)append_iter_of(out, "ids", result->documents, "ids");
	/* run_command() has seen to it that all but the messages fit. */
	size_t errors = result->n_write_errors * (INSERT_ERROR_BYTES + INSERT_MESSAGE_BYTES);
	append_write_errors(out, result, out->len + errors < REPLY_MAX,
		out->len + errors + result->duplicates.n < REPLY_MAX);
}

static void reply_write(struct capability_call *c, const struct store_result *result)
{
	bson_t b = BSON_INITIALIZER;
	switch (capability_code(c)) {
	case CAP_DATABASE_INSERT:
		append_insert(&b, result);
		break;
	case CAP_DATABASE_UPDATE:
		(void)bson_append_int64(&b, "matched", 7, (int64_t)result->n);
		(void)bson_append_int64(&b, "modified", 8, (int64_t)result->modified);
		(void)append_iter_of(&b, "upserted", result->upserted_id, "_id");
		break;
	case CAP_DATABASE_DELETE:
		(void)bson_append_int64(&b, "deleted", 7, (int64_t)result->n);
		break;
	default:
		(void)bson_append_int64(&b, "n", 1, (int64_t)result->n);
	}
	reply_document(c, &b);
	bson_destroy(&b);
}

static void reply_values(struct capability_call *c, const struct store_result *result)
{
	if (result->documents.n > REPLY_MAX) {
		capability_fail(c, "limit_exceeded",
			"the values have %zu bytes; an answer holds %d", result->documents.n,
			REPLY_MAX);
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
		reply_values(c, result);
		break;
	case CAP_DATABASE_MODIFY:
		reply_modify(c, result);
		break;
	default:
		reply_write(c, result);
	}
}

static void run_cursor(struct capability_call *c, const struct arguments *a)
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

static struct store_scope scope_of(
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
	size_t bytes = INSERT_ERROR_BYTES + INSERT_MESSAGE_BYTES;
	while (document_take(&row, &document)) {
		bytes += INSERT_ID_BYTES + document_find(document, SLICE("_id")).data.n;
		bytes += c->ordered ? 0 : INSERT_ERROR_BYTES;
	}
	return bytes < REPLY_MAX;
}

static void run_command(struct capability_call *c, struct arguments *a)
{
	bool defaults_to_ordered = (a->given & ONLY(F_ORDERED)) == 0;
	a->command.ordered = a->command.ordered || defaults_to_ordered;
	a->command.documents = buffer_slice(&a->documents);
	if (a->command.op == STORE_INSERT && !insert_answer_fits(&a->command)) {
		capability_fail(c, "limit_exceeded",
			"too many documents in one insert: its answer would have more than %d bytes",
			REPLY_MAX);
		return;
	}
	if (a->all_users && !capability_may(c, CAP_DATABASE_CROSS_USER)) {
		capability_deny(c, "database.cross_user", "all_users");
		return;
	}
	struct store_scope scope = scope_of(c, a->command.collection, a->all_users);
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
	struct arguments a = { 0 };
	buffer_init(&a.documents, FRAME_PAYLOAD_MAX);
	if (read_arguments(c, &a)) {
		if (capability_code(c) == CAP_DATABASE_NEXT ||
			capability_code(c) == CAP_DATABASE_CLOSE) {
			run_cursor(c, &a);
		} else {
			run_command(c, &a);
		}
	}
	buffer_deinit(&a.documents);
}
