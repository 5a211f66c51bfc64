#include "director/settings/plugin_settings.h"

#include "common/base/buffer.h"
#include "common/json/bson_json.h"
#include "director/director.h"

#include <bson/bson.h>
#include <errno.h>
#include <stdlib.h>

enum { VALUE_MAX = 1024 * 1024 };

struct operation {
	plugin_settings_fn done;
	void *owner;
	size_t n;
	uint8_t plugin[];
};

static struct operation *operation_new(struct slice plugin, plugin_settings_fn done, void *owner)
{
	struct operation *o = malloc(sizeof(*o) + plugin.n);
	if (o != NULL) {
		*o = (struct operation){ .done = done, .owner = owner, .n = plugin.n };
		memcpy(o->plugin, plugin.p, plugin.n);
	}
	return o;
}

static struct slice bson_slice(const bson_t *b)
{
	return slice_of(bson_get_data(b), b->len);
}

static int submit(
	struct director *d, const struct store_command *c, store_done_fn done, struct operation *o)
{
	struct store_scope scope = { .kind = STORE_SCOPE_SHARED, .app = d->app_id };
	int r = o == NULL ? -ENOMEM : store_submit(d->store, &scope, c, done, o);
	if (r < 0) {
		free(o);
	}
	return r;
}

/* Looks for one member of an object's text. */
struct wanted {
	struct slice name, value;
};

static bool on_member(void *arg, const struct json_member *m)
{
	struct wanted *w = arg;
	if (json_name_eq(m->name, w->name)) {
		w->value = m->value;
	}
	return true;
}

static struct slice member(struct slice object, struct slice name)
{
	struct wanted w = { .name = name };
	return json_scan(object, on_member, &w, NULL, NULL) == 0 ? w.value : SLICE_NULL;
}

static void on_found(void *owner, const struct store_result *result)
{
	struct operation *o = owner;
	struct buffer json;
	buffer_init(&json, VALUE_MAX);
	struct slice value = SLICE("{}");
	if (result->error != STORE_OK) {
		value = SLICE_NULL;
	} else if (result->documents.n > 0 &&
		bson_to_json(result->documents, JSON_BSON_PLAIN, &json) == 0) {
		struct slice all = member(buffer_slice(&json), SLICE("plugin_settings"));
		struct slice own = member(all, slice_of(o->plugin, o->n));
		value = own.n > 0 ? own : value;
	}
	o->done(o->owner, result, value);
	buffer_deinit(&json);
	free(o);
}

static bool append_id(bson_t *b, struct slice user)
{
	return bson_append_utf8(b, "_id", 3, (const char *)user.p, (int)user.n);
}

/* "plugin_settings.<plugin>"; ids hold no dots and are short. */
static int settings_path(struct slice plugin, char out[static 96])
{
	static const char prefix[] = "plugin_settings.";
	if (plugin.n > 64) {
		return -EBADMSG;
	}
	memcpy(out, prefix, sizeof(prefix) - 1);
	memcpy(out + sizeof(prefix) - 1, plugin.p, plugin.n);
	out[sizeof(prefix) - 1 + plugin.n] = '\0';
	return (int)(sizeof(prefix) - 1 + plugin.n);
}

int plugin_settings_get(struct director *d,
	struct slice user,
	struct slice plugin,
	plugin_settings_fn done,
	void *owner)
{
	bson_t filter = BSON_INITIALIZER;
	int r = append_id(&filter, user) ? 0 : -ENOMEM;
	struct store_command c = {
		.op = STORE_FIND,
		.collection = SLICE("settings"),
		.filter = bson_slice(&filter),
		.limit = 1,
	};
	r = r < 0 ? r : submit(d, &c, on_found, operation_new(plugin, done, owner));
	bson_destroy(&filter);
	return r;
}

static void on_saved(void *owner, const struct store_result *result)
{
	struct operation *o = owner;
	o->done(o->owner, result, SLICE_NULL);
	free(o);
}

/* {"$set": {"plugin_settings.<plugin>": value}, "$setOnInsert": {"user_id": user}} */
static int make_update(struct slice user, struct slice plugin, struct slice value, bson_t *out)
{
	char path[96];
	bson_t set;
	bson_t on_insert;
	struct buffer text;
	struct json_failure failure;
	int n = settings_path(plugin, path);
	bson_t wrapped = BSON_INITIALIZER;
	bson_iter_t it;
	buffer_init(&text, VALUE_MAX + 16);
	/* json_to_bson() takes an object: the value becomes its member "v". */
	int r = n < 0 ? n : buffer_append(&text, SLICE("{\"v\":"));
	r = r < 0 ? r : buffer_append(&text, value);
	r = r < 0 ? r : buffer_append_byte(&text, '}');
	r = r < 0 ? r : json_to_bson(buffer_slice(&text), JSON_BSON_PLAIN, &wrapped, &failure);
	if (r == 0) {
		bool ok = bson_iter_init_find(&it, &wrapped, "v");
		ok = ok && bson_append_document_begin(out, "$set", 4, &set);
		ok = ok && bson_append_iter(&set, path, n, &it);
		ok = ok && bson_append_document_end(out, &set);
		ok = ok && bson_append_document_begin(out, "$setOnInsert", 12, &on_insert);
		ok = ok &&
			bson_append_utf8(
				&on_insert, "user_id", 7, (const char *)user.p, (int)user.n);
		ok = ok && bson_append_document_end(out, &on_insert);
		r = ok ? 0 : -ENOMEM;
	}
	bson_destroy(&wrapped);
	buffer_deinit(&text);
	return r;
}

int plugin_settings_save(struct director *d,
	struct slice user,
	struct slice plugin,
	struct slice value,
	plugin_settings_fn done,
	void *owner)
{
	bson_t filter = BSON_INITIALIZER;
	bson_t update = BSON_INITIALIZER;
	int r = append_id(&filter, user) ? 0 : -ENOMEM;
	r = r < 0 ? r : make_update(user, plugin, value, &update);
	struct store_command c = {
		.op = STORE_UPDATE,
		.collection = SLICE("settings"),
		.filter = bson_slice(&filter),
		.update = bson_slice(&update),
		.upsert = true,
	};
	r = r < 0 ? r : submit(d, &c, on_saved, operation_new(plugin, done, owner));
	bson_destroy(&filter);
	bson_destroy(&update);
	return r;
}
