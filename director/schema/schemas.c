#include "director/schema/schemas.h"

#include "common/base/log.h"
#include "common/base/map.h"
#include "common/json/collections.h"
#include "director/director.h"
#include "director/schema/job.h"
#include "director/schema/plan.h"
#include "director/store/query/document.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define COLLECTION SLICE("schemas")

enum source { MANIFEST, CODE, SOURCES };

enum { KEY_MAX = PLUGIN_ID_MAX + 16 };

static const char *const source_names[SOURCES] = { "manifest", "code" };

/* A worker that waits until its declaration is applied. */
struct waiter {
	struct waiter *next;
	uint64_t worker;
	json_t *declared;
	char digest[PLAN_DIGEST_MAX + 1];
};

/* One plugin and source. */
struct entry {
	UT_hash_handle hh;
	struct schemas *schemas;
	char key[KEY_MAX + 1]; /* "<plugin>/<source>" */
	char plugin[PLUGIN_ID_MAX + 1];
	enum source source;
	char applied[PLAN_DIGEST_MAX + 1]; /* "": nothing, or nobody knows */
	json_t *declared;                  /* what is applied */
	struct waiter *waiting;
	json_t *job; /* the declaration that is at work, for the first of them */
};

struct schemas {
	struct director *director;
	struct entry *entries;
};

static void wake(struct entry *e);

/* --- entries --- */

/* For "%.*s". */
#define PLUGIN_ID(s) (s).n > PLUGIN_ID_MAX ? PLUGIN_ID_MAX : (int)(s).n, (const char *)(s).p

static struct entry *find(const struct schemas *s, struct slice plugin, enum source source)
{
	char key[KEY_MAX + 1];
	struct entry *e;
	(void)snprintf(key, sizeof(key), "%.*s/%s", PLUGIN_ID(plugin), source_names[source]);
	HASH_FIND_STR(s->entries, key, e);
	return e;
}

static struct entry *have(struct schemas *s, struct slice plugin, enum source source)
{
	struct entry *e = plugin.n > PLUGIN_ID_MAX ? NULL : find(s, plugin, source);
	if (e != NULL || plugin.n > PLUGIN_ID_MAX) {
		return e;
	}
	e = calloc(1, sizeof(*e));
	if (e == NULL) {
		return NULL;
	}
	e->schemas = s;
	e->source = source;
	(void)snprintf(e->plugin, sizeof(e->plugin), "%.*s", PLUGIN_ID(plugin));
	(void)snprintf(e->key, sizeof(e->key), "%s/%s", e->plugin, source_names[source]);
	HASH_ADD_STR(s->entries, key, e);
	if (e->hh.tbl == NULL) {
		free(e);
		return NULL;
	}
	return e;
}

/* --- the end of a job --- */

static struct worker *worker_of(const struct entry *e, uint64_t id)
{
	struct worker *w;
	HASH_FIND(hh, e->schemas->director->workers, &id, sizeof(id), w);
	return w;
}

static struct waiter *waiter_free(struct waiter *x)
{
	struct waiter *next = x->next;
	json_decref(x->declared);
	free(x);
	return next;
}

/* The version cannot be used; or nobody can say yet, and it is tried again. */
static void refuse(struct worker *w, const char *text, bool its_fault)
{
	struct plugin *p = w->plugin;
	if (w->generation == p->generation) {
		(void)snprintf(p->load_error, sizeof(p->load_error), "%s", text);
	}
	worker_end(w, its_fault ? EXITED_LOAD : EXITED_START, text);
}

static void job_failed(
	struct entry *e, const json_t *declared, const struct schema_outcome *outcome)
{
	struct waiter *waiting = e->waiting;
	struct waiter *next;
	char digest[PLAN_DIGEST_MAX + 1];
	plan_digest(declared, digest);
	log_fields(LOG_ERROR, "schema.failed",
		(struct log_field[]){ { "plugin", slice_str(e->plugin) },
			{ "error", slice_str(outcome->error) } },
		2, "the collections that a plugin declares could not be prepared");
	e->waiting = NULL;
	for (struct waiter *x = waiting; x != NULL; x = next) {
		next = x->next;
		x->next = NULL;
		/* One of another version is tried by itself. */
		if (!slice_eq(slice_str(x->digest), slice_str(digest))) {
			LL_APPEND(e->waiting, x);
			continue;
		}
		struct worker *w = worker_of(e, x->worker);
		(void)waiter_free(x);
		if (w != NULL) {
			refuse(w, outcome->error, outcome->its_fault);
		}
	}
}

static void job_done(struct entry *e, json_t *declared, const struct schema_outcome *outcome)
{
	char indexes[64];
	char documents[24];
	plan_digest(declared, e->applied);
	json_decref(e->declared);
	e->declared = json_incref(declared);
	(void)snprintf(indexes, sizeof(indexes), "%zu made, %zu dropped", outcome->created,
		outcome->dropped);
	(void)snprintf(documents, sizeof(documents), "%zu", outcome->documents);
	log_fields(LOG_INFO, "schema.applied",
		(struct log_field[]){ { "plugin", slice_str(e->plugin) },
			{ "indexes", slice_str(indexes) }, { "documents", slice_str(documents) } },
		3, "the collections that a plugin declares are as it declares them");
}

static void on_job_done(void *owner, const struct schema_outcome *outcome)
{
	struct entry *e = owner;
	json_t *declared = e->job;
	e->job = NULL;
	if (outcome->error == NULL) {
		job_done(e, declared, outcome);
	} else {
		job_failed(e, declared, outcome);
	}
	json_decref(declared);
	wake(e);
}

static int job_start(struct entry *e, json_t *declared)
{
	int r = schema_job_start(&(struct schema_job_config){
		.director = e->schemas->director,
		.plugin = e->plugin,
		.key = e->key,
		.declared = declared,
		.done = on_job_done,
		.owner = e,
	});
	e->job = r < 0 ? NULL : json_incref(declared);
	return r;
}

/* Those who wait for what is applied go on; the first of the others is next. */
static void wake(struct entry *e)
{
	struct waiter *x = e->waiting;
	e->waiting = NULL;
	while (x != NULL) {
		struct waiter *next = x->next;
		struct worker *w = worker_of(e, x->worker);
		bool applied = slice_eq(slice_str(x->digest), slice_str(e->applied));
		if (w != NULL && w->state == WORKER_LOADING && !applied) {
			LL_APPEND(e->waiting, x);
		} else {
			(void)waiter_free(x);
		}
		if (w != NULL && applied) {
			worker_go_on(w);
		}
		x = next;
	}
	if (e->waiting != NULL && e->job == NULL && job_start(e, e->waiting->declared) < 0) {
		/* The time to load ends them. */
		log_event(LOG_ERROR, "schema.failed", "no memory");
	}
}

/* --- the gates --- */

static enum worker_gate end_without_memory(struct worker *w)
{
	worker_end(w, EXITED_START, "no memory for its collections");
	return WORKER_ENDED;
}

static struct slice text_of(const json_t *object, const char *name)
{
	const json_t *text = json_object_get(object, name);
	return slice_of(json_string_value(text), json_string_length(text));
}

/* @param declared the normal form, taken. */
static enum worker_gate gate(
	struct schemas *s, struct worker *w, enum source source, json_t *declared)
{
	char digest[PLAN_DIGEST_MAX + 1];
	struct entry *e = find(s, plugin_slice(w->plugin), source);
	plan_digest(declared, digest);
	/* Of one that never declared anything nothing is kept. */
	if (e == NULL && json_array_size(declared) == 0) {
		json_decref(declared);
		return WORKER_GOES_ON;
	}
	e = e != NULL ? e : have(s, plugin_slice(w->plugin), source);
	if (e != NULL && slice_eq(slice_str(digest), slice_str(e->applied))) {
		/* What the store said was applied has no words: these are the same. */
		json_decref(e->declared);
		e->declared = declared;
		return WORKER_GOES_ON;
	}
	struct waiter *x = e == NULL ? NULL : calloc(1, sizeof(*x));
	if (x == NULL) {
		json_decref(declared);
		return end_without_memory(w);
	}
	*x = (struct waiter){ .worker = w->id, .declared = declared };
	memcpy(x->digest, digest, sizeof(x->digest));
	LL_APPEND(e->waiting, x);
	if (e->job == NULL && job_start(e, declared) < 0) {
		LL_DELETE(e->waiting, x);
		(void)waiter_free(x);
		return end_without_memory(w);
	}
	return WORKER_WAITS;
}

/* One of an older version finds the collections as the newest wants them. */
static bool is_of_another_version(const struct worker *w)
{
	return !slice_eq(slice_str(w->version), slice_str(w->plugin->version));
}

enum worker_gate schemas_at_hello(struct schemas *s, struct worker *w)
{
	json_t *declared = w->plugin->manifest.collections;
	if (declared == NULL || is_of_another_version(w)) {
		return WORKER_GOES_ON;
	}
	return gate(s, w, MANIFEST, json_incref(declared));
}

static bool is_declared(const json_t *declared, struct slice name)
{
	json_t *collection;
	size_t i;
	json_array_foreach(declared, i, collection)
	{
		if (slice_eq(text_of(collection, "name"), name)) {
			return true;
		}
	}
	return false;
}

/* What the manifest declares is the manifest's alone. */
static const char *declared_twice(const struct worker *w, const json_t *declared)
{
	json_t *collection;
	size_t i;
	json_array_foreach(declared, i, collection)
	{
		struct slice name = text_of(collection, "name");
		if (is_declared(w->plugin->manifest.collections, name)) {
			return (const char *)name.p;
		}
	}
	return NULL;
}

static enum worker_gate refuse_code(struct worker *w, const char *format, const char *name)
{
	char text[PLUGIN_TEXT_MAX];
	(void)snprintf(text, sizeof(text), "get_database_schema(): %s%s", format, name);
	refuse(w, text, true);
	return WORKER_ENDED;
}

enum worker_gate schemas_at_ready(struct schemas *s, struct worker *w, struct slice info)
{
	struct json_why why = { "no memory" };
	json_t *tree = NULL;
	json_t *declared = NULL;
	int r = json_tree_parse(info, &tree, &why);
	const json_t *schema = json_object_get(tree, "schema");
	if (r == 0 && schema != NULL && !json_is_object(schema) && !json_is_null(schema)) {
		json_decref(tree);
		return refuse_code(w, "it must return an object", "");
	}
	r = r < 0 ? r : collections_read(schema, "", &declared, &why);
	json_decref(tree);
	if (r < 0) {
		return refuse_code(w, why.text, "");
	}
	const char *twice = declared_twice(w, declared);
	if (twice != NULL) {
		enum worker_gate g = refuse_code(w, "manifest.json declares this, too: ", twice);
		json_decref(declared);
		return g;
	}
	if (is_of_another_version(w)) {
		json_decref(declared);
		return WORKER_GOES_ON;
	}
	return gate(s, w, CODE, declared);
}

bool schemas_is_shared(const struct schemas *s, struct slice plugin, struct slice collection)
{
	json_t *item;
	size_t i;
	if (s->entries == NULL || plugin.n > PLUGIN_ID_MAX) {
		return false;
	}
	const struct entry *e = find(s, plugin, CODE);
	json_array_foreach(e == NULL ? NULL : e->declared, i, item)
	{
		if (slice_eq(text_of(item, "name"), collection)) {
			return json_object_get(item, "scope") == NULL;
		}
	}
	return false;
}

/* --- the table --- */

/* "<plugin>/<source>" of a record. */
static void take_digest(struct schemas *s, struct slice document)
{
	struct value id = document_find(document, SLICE("_id"));
	struct value digest = document_find(document, SLICE("digest"));
	struct slice key = id.type == BT_STRING ? value_string(id) : SLICE_NULL;
	struct slice text = digest.type == BT_STRING ? value_string(digest) : SLICE_NULL;
	const uint8_t *slash = key.n == 0 ? NULL : memchr(key.p, '/', key.n);
	for (int i = 0; slash != NULL && i < SOURCES; i++) {
		size_t n = (size_t)(slash - key.p);
		struct entry *e = NULL;
		if (slice_eq(slice_skip(key, n + 1), slice_str(source_names[i]))) {
			e = have(s, slice_of(key.p, n), (enum source)i);
		}
		/* What was applied meanwhile is newer. */
		if (e != NULL && e->applied[0] == '\0' && text.n <= PLAN_DIGEST_MAX) {
			(void)snprintf(e->applied, sizeof(e->applied), "%.*s", (int)text.n,
				(const char *)text.p);
		}
	}
}

static void on_loaded(void *owner, const struct store_result *result)
{
	struct director *d = owner;
	struct slice row = result->documents;
	struct slice document;
	if (d->stopping || d->schemas == NULL) {
		return;
	}
	if (result->error != STORE_OK) {
		log_event(LOG_WARNING, "schema.unknown",
			"what is applied of the plugins' collections cannot be read from the store: %s",
			result->message);
		return;
	}
	while (document_take(&row, &document)) {
		take_digest(d->schemas, document);
	}
}

int schemas_new(struct schemas **ret, struct director *d)
{
	static const uint8_t digest_only[] = { 17, 0, 0, 0, BT_INT32, 'd', 'i', 'g', 'e', 's', 't',
		0, 1, 0, 0, 0, 0 };
	struct store_scope scope = { .kind = STORE_SCOPE_SHARED, .app = d->app_id };
	struct store_command c = {
		.op = STORE_FIND,
		.collection = COLLECTION,
		.projection = slice_of(digest_only, sizeof(digest_only)),
	};
	struct schemas *s = calloc(1, sizeof(*s));
	if (s == NULL) {
		return -ENOMEM;
	}
	s->director = d;
	*ret = s;
	return store_submit(d->store, &scope, &c, on_loaded, d);
}

struct schemas *schemas_free(struct schemas *s)
{
	struct entry *e;
	struct entry *next;
	if (s == NULL) {
		return NULL;
	}
	HASH_ITER (hh, s->entries, e, next) {
		HASH_DELETE(hh, s->entries, e);
		while (e->waiting != NULL) {
			e->waiting = waiter_free(e->waiting);
		}
		json_decref(e->job);
		json_decref(e->declared);
		free(e);
	}
	free(s);
	return NULL;
}
