#include "director/hosts/switches.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "director/director.h"

#include <bson/bson.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define COLLECTION SLICE("plugins")

void switches_deinit(struct switches *s)
{
	struct switch_entry *e;
	struct switch_entry *next;
	HASH_ITER (hh, s->by_id, e, next) {
		HASH_DELETE(hh, s->by_id, e);
		free(e);
	}
}

static struct switch_entry *find(const struct switches *s, const char *id)
{
	struct switch_entry *e;
	HASH_FIND_STR(s->by_id, id, e);
	return e;
}

const struct switch_entry *switches_find(const struct switches *s, const char *id)
{
	return find(s, id);
}

/* Of two opinions the later one counts. An answer of the store may be older than a change that was
 * made while it was on its way. */
static int take(struct switches *s, const char *id, bool enabled, int64_t changed_ms)
{
	struct switch_entry *e = find(s, id);
	if (e != NULL && e->changed_ms > changed_ms) {
		return 0;
	}
	if (e == NULL) {
		e = calloc(1, sizeof(*e));
		if (e == NULL) {
			return -ENOMEM;
		}
		(void)snprintf(e->id, sizeof(e->id), "%s", id);
		HASH_ADD_STR(s->by_id, id, e);
		if (e->hh.tbl == NULL) {
			free(e);
			return -ENOMEM;
		}
	}
	e->enabled = enabled;
	e->changed_ms = changed_ms;
	return 0;
}

/* A document that is not ours, or of a later version of this program, is left alone. */
static int take_document(struct switches *s, const bson_t *document)
{
	bson_iter_t id;
	bson_iter_t enabled;
	bson_iter_t changed;
	uint32_t n = 0;
	if (!bson_iter_init_find(&id, document, "_id") || !BSON_ITER_HOLDS_UTF8(&id) ||
		!bson_iter_init_find(&enabled, document, "enabled") ||
		!BSON_ITER_HOLDS_BOOL(&enabled) ||
		!bson_iter_init_find(&changed, document, "changed_at") ||
		!BSON_ITER_HOLDS_DATE_TIME(&changed)) {
		return 0;
	}
	const char *text = bson_iter_utf8(&id, &n);
	return n > SWITCH_ID_MAX
		? 0
		: take(s, text, bson_iter_bool(&enabled), bson_iter_date_time(&changed));
}

static int take_documents(struct switches *s, struct slice documents)
{
	int r = 0;
	bool end = false;
	if (documents.n == 0) {
		return 0;
	}
	bson_reader_t *reader = bson_reader_new_from_data(documents.p, documents.n);
	const bson_t *document;
	while (r == 0 && (document = bson_reader_read(reader, &end)) != NULL) {
		r = take_document(s, document);
	}
	bson_reader_destroy(reader);
	return r;
}

static void on_loaded(void *owner, const struct store_result *result)
{
	struct director *d = owner;
	struct switches *s = &d->registry.switches;
	if (d->stopping) {
		return;
	}
	if (result->error != STORE_OK || take_documents(s, result->documents) < 0) {
		log_event(LOG_WARNING, "registry.switches_unknown",
			"which plugins are disabled cannot be read from the store: %s",
			result->error == STORE_OK ? "no memory" : result->message);
		return;
	}
	d->on_registry->switches_known(d);
}

int switches_load(struct director *d)
{
	struct store_scope scope = { .kind = STORE_SCOPE_SHARED, .app = d->app_id };
	bson_t all = BSON_INITIALIZER;
	struct store_command c = {
		.op = STORE_FIND,
		.collection = COLLECTION,
		.filter = slice_of(bson_get_data(&all), all.len),
	};
	int r = store_submit(d->store, &scope, &c, on_loaded, d);
	bson_destroy(&all);
	return r;
}

struct saving {
	store_done_fn done;
	void *owner;
	char id[SWITCH_ID_MAX + 1];
};

static void on_saved(void *owner, const struct store_result *result)
{
	struct saving *s = owner;
	if (result->error != STORE_OK) {
		struct log_field fields[] = {
			{ "plugin", slice_str(s->id) },
			{ "error", slice_str(result->message) },
		};
		log_fields(LOG_WARNING, "registry.switch_not_saved", fields, 2,
			"that a plugin was enabled or disabled could not be stored");
	}
	if (s->done != NULL) {
		s->done(s->owner, result);
	}
	free(s);
}

static bool make_documents(
	const char *id, bool enabled, int64_t now, bson_t *filter, bson_t *update)
{
	bson_t set;
	bool ok = bson_append_utf8(filter, "_id", 3, id, -1);
	ok = ok && bson_append_document_begin(update, "$set", 4, &set);
	ok = ok && bson_append_bool(&set, "enabled", 7, enabled);
	ok = ok && bson_append_date_time(&set, "changed_at", 10, now);
	return ok && bson_append_document_end(update, &set);
}

int switches_save(struct director *d, const char *id, bool enabled, store_done_fn done, void *owner)
{
	int64_t now = clock_unix_ms();
	struct store_scope scope = { .kind = STORE_SCOPE_SHARED, .app = d->app_id };
	bson_t filter = BSON_INITIALIZER;
	bson_t update = BSON_INITIALIZER;
	struct saving *s = calloc(1, sizeof(*s));
	bool made = s != NULL && make_documents(id, enabled, now, &filter, &update);
	int r = made ? take(&d->registry.switches, id, enabled, now) : -ENOMEM;
	struct store_command c = {
		.op = STORE_UPDATE,
		.collection = COLLECTION,
		.filter = slice_of(bson_get_data(&filter), filter.len),
		.update = slice_of(bson_get_data(&update), update.len),
		.upsert = true,
	};
	if (r == 0) {
		*s = (struct saving){ .done = done, .owner = owner };
		(void)snprintf(s->id, sizeof(s->id), "%s", id);
		r = store_submit(d->store, &scope, &c, on_saved, s);
	}
	if (r < 0) {
		free(s);
	}
	bson_destroy(&filter);
	bson_destroy(&update);
	return r;
}
