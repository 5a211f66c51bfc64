#include "director/schema/job.h"

#include "common/base/clock.h"
#include "director/director.h"
#include "director/schema/plan.h"
#include "director/store/query/document.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define COLLECTION SLICE("schemas")

enum { BYTES_MAX = 16 * 1024 * 1024, TEXT_MAX = 512 };

enum job_state { READING, DROPPING, CREATING, LOOKING, STORING, SAVING, JOB_STATES };

struct schema_job {
	struct schema_job_config config;
	enum job_state state;
	size_t next; /* of the state's commands */
	bool again;  /* somebody else stored documents at the same time */
	struct plan plan;
	struct buffer document, other;
};

static void on_done(void *owner, const struct store_result *result);

static void job_end(struct schema_job *j, const char *error, bool its_fault)
{
	const struct schema_outcome outcome = {
		.error = error,
		.its_fault = its_fault,
		.created = json_array_size(j->plan.create),
		.dropped = json_array_size(j->plan.drop),
		.documents = j->plan.n_documents,
	};
	j->config.done(j->config.owner, &outcome);
	plan_deinit(&j->plan);
	json_decref(j->config.declared);
	buffer_deinit(&j->document);
	buffer_deinit(&j->other);
	free(j);
}

/* Core's, for the record. */
static struct store_scope core_scope(const struct schema_job *j)
{
	return (struct store_scope){
		.kind = STORE_SCOPE_SHARED,
		.app = j->config.director->app_id,
	};
}

/* Of one of the plugin's collections, wherever the operator has it. */
static struct store_scope scope_of(
	const struct schema_job *j, enum store_scope_kind kind, struct slice collection)
{
	const struct director *d = j->config.director;
	return (struct store_scope){
		.kind = kind,
		.physical = grants_alias(&d->registry.grants, j->config.plugin, collection),
		.app = d->app_id,
		.plugin = slice_str(j->config.plugin),
	};
}

/* --- the commands of a job --- */

/* {_id: 1} */
static const uint8_t id_only[] = { 14, 0, 0, 0, BT_INT32, '_', 'i', 'd', 0, 1, 0, 0, 0, 0 };

/* All send_*: 0; 1: there is nothing to be sent; a negative errno: no answer will come. */

static int submit(
	struct schema_job *j, const struct store_scope *scope, const struct store_command *c)
{
	return store_submit(j->config.director->store, scope, c, on_done, j);
}

/* {_id: key} */
static int key_of(const struct schema_job *j, struct buffer *out)
{
	struct document_writer w;
	writer_init(&w, BYTES_MAX);
	size_t start = writer_open(&w);
	writer_string(&w, SLICE("_id"), slice_str(j->config.key));
	writer_close(&w, start);
	buffer_clear(out);
	int r = w.error < 0 ? w.error : buffer_append(out, buffer_slice(&w.b));
	writer_deinit(&w);
	return r;
}

static int send_read(struct schema_job *j)
{
	struct store_scope scope = core_scope(j);
	int r = key_of(j, &j->document);
	struct store_command c = {
		.op = STORE_FIND,
		.collection = COLLECTION,
		.filter = buffer_slice(&j->document),
	};
	return r < 0 ? r : submit(j, &scope, &c);
}

static struct slice text_of(const json_t *object, const char *name)
{
	const json_t *text = json_object_get(object, name);
	return slice_of(json_string_value(text), json_string_length(text));
}

/* The scope of an index of a user's collection is anybody's without a user: it is owned. */
static struct store_scope index_scope(const struct schema_job *j, const json_t *index)
{
	bool user = json_is_true(json_object_get(index, "user"));
	return scope_of(
		j, user ? STORE_SCOPE_APP : STORE_SCOPE_SHARED, text_of(index, "collection"));
}

static int send_drop(struct schema_job *j)
{
	const json_t *index = json_array_get(j->plan.drop, j->next);
	struct store_scope scope = index_scope(j, index);
	struct store_command c = {
		.op = STORE_INDEX_DROP,
		.collection = text_of(index, "collection"),
		.field = text_of(json_object_get(index, "spec"), "name"),
	};
	return submit(j, &scope, &c);
}

static int send_create(struct schema_job *j)
{
	const json_t *index = json_array_get(j->plan.create, j->next);
	struct store_scope scope = index_scope(j, index);
	buffer_clear(&j->document);
	int r = plan_index(index, &j->document);
	struct store_command c = {
		.op = STORE_INDEX_CREATE,
		.collection = text_of(index, "collection"),
		.index = buffer_slice(&j->document),
	};
	return r < 0 ? r : submit(j, &scope, &c);
}

/* What an earlier try has stored, or another director. */
static int send_lookup(struct schema_job *j)
{
	const struct plan_insert *insert = &j->plan.inserts[j->next];
	struct store_scope scope = scope_of(j, STORE_SCOPE_SHARED, slice_str(insert->collection));
	buffer_clear(&j->document);
	int r = plan_stored_filter(insert, &j->document);
	struct store_command c = {
		.op = STORE_FIND,
		.collection = slice_str(insert->collection),
		.filter = buffer_slice(&j->document),
		.projection = slice_of(id_only, sizeof(id_only)),
	};
	return r < 0 ? r : submit(j, &scope, &c);
}

static int send_documents(struct schema_job *j)
{
	const struct plan_insert *insert = &j->plan.inserts[j->next];
	if (insert->documents.n == 0) {
		return 1;
	}
	struct store_scope scope = scope_of(j, STORE_SCOPE_SHARED, slice_str(insert->collection));
	struct store_command c = {
		.op = STORE_INSERT,
		.collection = slice_str(insert->collection),
		.documents = buffer_slice(&insert->documents),
	};
	return submit(j, &scope, &c);
}

static int send_record(struct schema_job *j)
{
	struct store_scope scope = core_scope(j);
	buffer_clear(&j->other);
	int r = key_of(j, &j->document);
	r = r < 0 ? r : plan_write_record(&j->plan, clock_unix_ms(), &j->other);
	struct store_command c = {
		.op = STORE_UPDATE,
		.collection = COLLECTION,
		.filter = buffer_slice(&j->document),
		.update = buffer_slice(&j->other),
		.upsert = true,
	};
	return r < 0 ? r : submit(j, &scope, &c);
}

/* --- the life of a job --- */

static size_t one(const struct schema_job *j)
{
	return 1;
}

static size_t drops(const struct schema_job *j)
{
	return json_array_size(j->plan.drop);
}

static size_t creates(const struct schema_job *j)
{
	return json_array_size(j->plan.create);
}

static size_t inserts(const struct schema_job *j)
{
	return j->plan.n_inserts;
}

/* What stands between the name of a command's object and the store's words. */
static void name_index(const struct schema_job *j, char *text, size_t n)
{
	const json_t *list = j->state == DROPPING ? j->plan.drop : j->plan.create;
	const json_t *index = json_array_get(list, j->next);
	(void)snprintf(text, n, "collection %s, index %s: ",
		json_string_value(json_object_get(index, "collection")),
		json_string_value(json_object_get(json_object_get(index, "spec"), "name")));
}

static void name_documents(const struct schema_job *j, char *text, size_t n)
{
	(void)snprintf(text, n, "initial data of %s: ", j->plan.inserts[j->next].collection);
}

static void name_record(const struct schema_job *j, char *text, size_t n)
{
	(void)snprintf(text, n, "the record of what is applied: ");
}

static const struct {
	size_t (*count)(const struct schema_job *j); /* how many commands */
	int (*send)(struct schema_job *j);
	void (*name)(const struct schema_job *j, char *text, size_t n);
	enum store_error harmless; /* done already */
} states[JOB_STATES] = {
	[READING] = { one, send_read, name_record, STORE_OK },
	[DROPPING] = { drops, send_drop, name_index, STORE_E_INVALID },
	[CREATING] = { creates, send_create, name_index, STORE_OK },
	[LOOKING] = { inserts, send_lookup, name_documents, STORE_OK },
	[STORING] = { inserts, send_documents, name_documents, STORE_OK },
	[SAVING] = { one, send_record, name_record, STORE_OK },
};

/* Sends what is next. A job that ends is freed. */
static void job_tick(struct schema_job *j)
{
	int r = 1;
	while (r > 0 && j->state < JOB_STATES) {
		if (j->next >= states[j->state].count(j)) {
			j->state++;
			j->next = 0;
		} else {
			r = states[j->state].send(j);
			j->next += r > 0 ? 1 : 0;
		}
	}
	if (r < 0) {
		job_end(j, r == -ENOMEM ? "no memory" : "the store is closed", false);
	} else if (j->state == JOB_STATES) {
		job_end(j, NULL, false);
	}
}

static bool is_its_fault(enum store_error e)
{
	return e == STORE_E_INVALID || e == STORE_E_UNSUPPORTED || e == STORE_E_LIMIT ||
		e == STORE_E_PERMISSION || e == STORE_E_DUPLICATE;
}

/* The record is there, or there is none. @return false after the job's end. */
static bool take_record(struct schema_job *j, const struct store_result *result)
{
	struct json_why why = { "" };
	struct slice row = result->documents;
	struct slice document;
	json_t *record = NULL;
	/* One that cannot be read is of nobody: everything is done again, and nothing twice. */
	if (document_take(&row, &document)) {
		(void)plan_read_record(document, &record);
	}
	int r = plan_make(&j->plan, j->config.declared, record, &why);
	const char *digest = json_string_value(json_object_get(record, "digest"));
	bool same =
		r == 0 && digest != NULL && slice_eq(slice_str(digest), slice_str(j->plan.digest));
	json_decref(record);
	if (r < 0) {
		job_end(j, r == -ENOMEM ? "no memory" : why.text, r != -ENOMEM);
		return false;
	}
	if (same) {
		job_end(j, NULL, false);
	}
	return !same;
}

/* The first error of a command that counts. */
static bool has_failed(const struct schema_job *j,
	const struct store_result *result,
	enum store_error *ret_error,
	const char **ret_text)
{
	*ret_error = result->error;
	*ret_text = result->message;
	for (size_t i = 0; i < result->n_write_errors; i++) {
		*ret_error = result->write_errors[i].error;
		*ret_text = result->write_errors[i].message;
		if (*ret_error != states[j->state].harmless) {
			return true;
		}
	}
	return *ret_error != STORE_OK && *ret_error != states[j->state].harmless;
}

static void on_done(void *owner, const struct store_result *result)
{
	struct schema_job *j = owner;
	enum store_error error;
	const char *words;
	if (has_failed(j, result, &error, &words)) {
		/* Stored by another director, or a value that a unique index has already. */
		if (j->state == STORING && error == STORE_E_DUPLICATE && !j->again) {
			j->again = true;
			j->state = LOOKING;
			j->next = 0;
			job_tick(j);
			return;
		}
		char text[TEXT_MAX];
		char name[256];
		states[j->state].name(j, name, sizeof(name));
		(void)snprintf(text, sizeof(text), "%s%s", name, words);
		job_end(j, text, is_its_fault(error));
		return;
	}
	if (j->state == READING && !take_record(j, result)) {
		return;
	}
	if (j->state == LOOKING &&
		plan_leave_out(&j->plan.inserts[j->next], result->documents) < 0) {
		job_end(j, "no memory", false);
		return;
	}
	j->next++;
	job_tick(j);
}

int schema_job_start(const struct schema_job_config *config)
{
	struct schema_job *j = calloc(1, sizeof(*j));
	if (j == NULL) {
		return -ENOMEM;
	}
	j->config = *config;
	(void)json_incref(config->declared);
	buffer_init(&j->document, BYTES_MAX);
	buffer_init(&j->other, BYTES_MAX);
	int r = send_read(j);
	if (r < 0) {
		json_decref(config->declared);
		buffer_deinit(&j->document);
		free(j);
	}
	return r;
}
