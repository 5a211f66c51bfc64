#include "common/base/clock.h"
#include "director/store/collection_names.h"
#include "director/store/mongodb/command.h"

/* Documents of one reply: more would only be held in memory longer. */
enum { BATCH = 1000 };

static int late(struct store_task *t)
{
	return store_task_fail(t, STORE_E_LIMIT,
		"the operation took longer than %u ms (MOZAIKS_STORE_TIMEOUT_SECONDS)",
		t->limits->operation_ms);
}

/* The operators of projections are understood differently by servers; the engine has them all. */
static bool server_projects(const struct store_task *t)
{
	return t->projector != NULL && projection_is_plain(t->projector);
}

static void find_options(const struct store_task *t, bson_t *ret)
{
	bson_init(ret);
	if (server_projects(t)) {
		mongodb_append_document(ret, "projection", t->projection);
	}
	mongodb_append_document(ret, "sort", t->sort);
	mongodb_append_number(ret, "skip", t->skip);
	mongodb_append_number(ret, "limit", t->limit);
	/* With room for one more, since a server may not see that a full batch is all there is: then
	 * the end of it is asked for once more. */
	mongodb_append_number(
		ret, "batchSize", t->limit > 0 && t->limit < BATCH ? t->limit + 1 : BATCH);
	mongodb_append_number(ret, "maxTimeMS", t->limits->operation_ms);
}

/* Puts what a cursor brings into the answer, and ends the cursor. */
static void read_cursor(struct mongodb_command *c, mongoc_cursor_t *cursor, bool projected)
{
	struct store_task *t = c->t;
	bson_error_t error;
	const bson_t *document;
	const bson_t *reply;
	uint64_t deadline = clock_ms() + t->limits->operation_ms;
	int r = 0;
	while (r == 0 && mongoc_cursor_next(cursor, &document)) {
		r = mongodb_emit(t, slice_of(bson_get_data(document), document->len), projected);
		t->result.n += r == 0;
		/* Not every server knows maxTimeMS. */
		if (r == 0 && clock_ms() > deadline) {
			r = late(t);
		}
	}
	if (r == 0 && mongoc_cursor_error_document(cursor, &error, &reply)) {
		(void)mongodb_fail(t, &error, reply, false);
	}
	mongoc_cursor_destroy(cursor);
}

void mongodb_find(struct mongodb_command *c)
{
	struct store_task *t = c->t;
	bson_t options;
	find_options(t, &options);
	read_cursor(c, mongoc_collection_find_with_opts(c->collection, &c->filter, &options, NULL),
		server_projects(t));
	bson_destroy(&options);
}

/* $set is another name of $addFields, which every server knows. */
static void append_stage(bson_t *to, struct slice name, struct slice stage)
{
	struct document_iter it = document_iter(stage);
	struct element e;
	bson_t b;
	if (document_next(&it, &e) && slice_eq(e.name, SLICE("$set")) &&
		e.value.type == BT_OBJECT) {
		bson_t fields;
		mongodb_view(&fields, e.value.data);
		bson_append_document_begin(to, (const char *)name.p, (int)name.n, &b);
		BSON_APPEND_DOCUMENT(&b, "$addFields", &fields);
		bson_append_document_end(to, &b);
		return;
	}
	mongodb_view(&b, stage);
	bson_append_document(to, (const char *)name.p, (int)name.n, &b);
}

/* [{$match: <the scoped filter>}, …] */
static void scoped_pipeline(const struct mongodb_command *c, bson_t *ret)
{
	struct document_iter it = document_iter(c->t->pipeline);
	struct element e;
	bson_t match;
	char text[24];
	bson_init(ret);
	BSON_APPEND_DOCUMENT_BEGIN(ret, "0", &match);
	BSON_APPEND_DOCUMENT(&match, "$match", &c->filter);
	bson_append_document_end(ret, &match);
	for (uint64_t n = 1; document_next(&it, &e); n++) {
		struct slice name = index_name(n, text);
		append_stage(ret, name, e.value.data);
	}
}

/* What comes out is made of the caller's documents alone: the first stage sees to that. */
void mongodb_aggregate(struct mongodb_command *c)
{
	bson_t pipeline;
	bson_t options = BSON_INITIALIZER;
	scoped_pipeline(c, &pipeline);
	mongodb_append_number(&options, "batchSize", BATCH);
	mongodb_append_number(&options, "maxTimeMS", c->t->limits->operation_ms);
	read_cursor(c,
		mongoc_collection_aggregate(
			c->collection, MONGOC_QUERY_NONE, &pipeline, &options, NULL),
		true);
	bson_destroy(&pipeline);
	bson_destroy(&options);
}

/* {<verb>: <collection>, …, query: <filter>, maxTimeMS: …} */
static void begin_command(
	const struct mongodb_command *c, const char *verb, bool timed, bson_t *ret)
{
	const struct store_task *t = c->t;
	bson_init(ret);
	bson_append_utf8(ret, verb, -1, (const char *)t->collection.p, (int)t->collection.n);
	BSON_APPEND_DOCUMENT(ret, "query", &c->filter);
	if (timed) {
		mongodb_append_number(ret, "maxTimeMS", t->limits->operation_ms);
	}
}

/* Runs a command that only reads. The caller destroys `ret_reply` in every case. */
static bool run_command(struct mongodb_command *c,
	const bson_t *command,
	bson_t *ret_reply,
	bson_error_t *ret_error)
{
	return mongoc_database_read_command_with_opts(
		c->session->database, command, NULL, NULL, ret_reply, ret_error);
}

void mongodb_count(struct mongodb_command *c)
{
	struct store_task *t = c->t;
	bson_t command;
	bson_t reply;
	bson_iter_t it;
	bson_error_t error;
	begin_command(c, "count", true, &command);
	mongodb_append_number(&command, "skip", t->skip);
	mongodb_append_number(&command, "limit", t->limit);
	if (!run_command(c, &command, &reply, &error)) {
		(void)mongodb_fail(t, &error, &reply, false);
	} else if (bson_iter_init_find(&it, &reply, "n")) {
		t->result.n = (uint64_t)bson_iter_as_int64(&it);
	}
	bson_destroy(&reply);
	bson_destroy(&command);
}

/* {values: […]}: a document of our own with the server's array. */
static int keep_values(struct store_task *t, const bson_t *reply)
{
	struct document_iter it;
	struct element e;
	struct value values =
		document_find(slice_of(bson_get_data(reply), reply->len), SLICE("values"));
	if (values.type != BT_ARRAY) {
		return store_task_fail(
			t, STORE_E_INTERNAL, "%s", mongodb_class_text(STORE_E_INTERNAL));
	}
	size_t root = writer_open(&t->out);
	writer_value(&t->out, SLICE("values"), values);
	writer_close(&t->out, root);
	if (t->out.error < 0) {
		return store_task_fail(t, STORE_E_LIMIT,
			"the values have more than %zu bytes (MOZAIKS_MAX_RESULT_BYTES)",
			t->limits->result_bytes);
	}
	for (it = document_iter(values.data); document_next(&it, &e);) {
		t->result.n++;
	}
	return 0;
}

static bool distinct(
	struct mongodb_command *c, bool timed, bson_t *ret_reply, bson_error_t *ret_error)
{
	bson_t command;
	begin_command(c, "distinct", timed, &command);
	bson_append_utf8(&command, "key", -1, (const char *)c->t->field.p, (int)c->t->field.n);
	bool ok = run_command(c, &command, ret_reply, ret_error);
	bson_destroy(&command);
	return ok;
}

void mongodb_distinct(struct mongodb_command *c)
{
	bson_t reply;
	bson_error_t error;
	bool ok = distinct(c, true, &reply, &error);
	if (!ok && error.domain == MONGOC_ERROR_SERVER &&
		strstr(error.message, "maxTimeMS") != NULL) {
		/* FerretDB 1 refuses it here, and has no other limit. */
		bson_destroy(&reply);
		ok = distinct(c, false, &reply, &error);
	}
	if (ok) {
		(void)keep_values(c->t, &reply);
	} else {
		(void)mongodb_fail(c->t, &error, &reply, false);
	}
	bson_destroy(&reply);
}

/* --- names --- */

static int add_name(void *arg, struct slice name)
{
	collection_names_add((struct collection_names *)arg, name);
	return 0;
}

static int collection_exists(void *arg, struct slice physical)
{
	struct mongodb_command *c = (struct mongodb_command *)arg;
	char name[512];
	bson_error_t error = { 0 };
	if (physical.n >= sizeof(name)) {
		return 0; /* no name is that long */
	}
	memcpy(name, physical.p, physical.n);
	name[physical.n] = '\0';
	if (mongoc_database_has_collection(c->session->database, name, &error)) {
		return 1;
	}
	/* A number that is neither: the task is answered. */
	return error.code == 0 ? 0 : -(int)mongodb_fail(c->t, &error, NULL, false);
}

void mongodb_names(struct mongodb_command *c)
{
	struct collection_names names;
	collection_names_begin(&names, c->t);
	if (mongodb_collections_each(c->session->database, c->t, add_name, &names) == 0) {
		(void)collection_names_add_aliases(&names, collection_exists, c);
	}
	collection_names_end(&names);
}
