#include "director/hosts/registry.h"

#include "common/base/error.h"
#include "common/base/log.h"
#include "common/json/tree.h"
#include "director/director.h"
#include "director/hosts/manifest.h"
#include "director/hosts/registry_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { JSON_MAX = 8 * 1024 * 1024 };

int registry_init(struct registry *r,
	struct director *d,
	const char *path,
	const char *policy,
	char why[static GRANTS_WHY_SIZE])
{
	*r = (struct registry){ 0 };
	why[0] = '\0';
	(void)snprintf(r->grants.path, sizeof(r->grants.path), "%s", policy);
	int e = grants_read(&r->grants, why);
	return e < 0 ? e : registry_file_new(&r->file, d->loop, path);
}

void registry_read_grants(struct registry *r)
{
	char why[GRANTS_WHY_SIZE];
	struct plugin *p;
	struct plugin *next;
	if (grants_read(&r->grants, why) < 0) {
		log_event(LOG_WARNING, "registry.policy", "the permissions stay as they were: %s",
			why);
	}
	HASH_ITER (hh, r->plugins, p, next) {
		grants_apply(&r->grants, p->id, &p->manifest);
	}
}

/* Takes a plugin out of the table; it is freed when nothing uses it any more. */
static void remove_plugin(struct registry *r, struct plugin *p)
{
	HASH_DELETE(hh, r->plugins, p);
	p->gone = true;
	plugin_ref(p);
	p->director->on_registry->stopped(p);
	plugin_unref(p);
}

void registry_deinit(struct registry *r)
{
	struct plugin *p;
	struct plugin *next;
	HASH_ITER (hh, r->plugins, p, next) {
		remove_plugin(r, p);
	}
	switches_deinit(&r->switches);
	grants_deinit(&r->grants);
	registry_file_free(r->file);
	r->file = NULL;
}

struct plugin *registry_find(const struct registry *r, struct slice id)
{
	struct plugin *p;
	HASH_FIND(hh, r->plugins, id.p, id.n, p);
	return p;
}

static struct plugin *add_plugin(
	struct registry *r, struct director *d, const char *id, const char *host)
{
	struct plugin *p = plugin_new(d, id, host);
	if (p == NULL) {
		return NULL;
	}
	const struct switch_entry *stored = switches_find(&r->switches, id);
	p->enabled = stored == NULL || stored->enabled;
	HASH_ADD_STR(r->plugins, id, p);
	if (p->hh.tbl == NULL) {
		p->gone = true;
		plugin_release(p);
		return NULL;
	}
	return p;
}

static const char *text_of(const json_t *entry, const char *name)
{
	const char *text = json_string_value(json_object_get(entry, name));
	return text == NULL ? "" : text;
}

static bool is_plugin_id(const char *id)
{
	struct slice s = slice_str(id);
	return slice_is_name(s, PLUGIN_ID_MAX) && memchr(s.p, '.', s.n) == NULL;
}

/* A new snapshot, or files that cannot be used: the old version keeps serving until a new one is
 * ready. */
static int change_plugin(struct plugin *p, const json_t *entry)
{
	const char *version = text_of(entry, "version");
	const char *error = text_of(entry, "error");
	bool broken = !slice_eq(slice_str(text_of(entry, "state")), SLICE("ready"));
	struct plugin_manifest m;
	/* Files that cannot be used leave the newest version that could: it runs, or goes on. */
	(void)snprintf(p->files_error, sizeof(p->files_error), "%s",
		!broken                    ? ""
			: error[0] == '\0' ? "the plugin cannot be used"
					   : error);
	const char *good = text_of(entry, "last_good");
	if (slice_is_name(slice_str(good), PLUGIN_VERSION_MAX)) {
		(void)snprintf(p->last_good, sizeof(p->last_good), "%s", good);
	}
	if (slice_eq(slice_str(version), slice_str(p->version)) ||
		!slice_is_name(slice_str(version), PLUGIN_VERSION_MAX)) {
		return 0;
	}
	(void)snprintf(p->kind, sizeof(p->kind), "%s", text_of(entry, "kind"));
	int r = manifest_read(&m, json_object_get(entry, "manifest"), p->id, p->director->settings);
	if (r < 0) {
		return r;
	}
	/* Its pluginhost notes a good version after a while; one that served here is good enough. */
	if (p->proven && p->last_good[0] == '\0') {
		memcpy(p->last_good, p->version, sizeof(p->last_good));
	}
	manifest_deinit(&p->manifest);
	p->manifest = m;
	grants_apply(&p->director->registry.grants, p->id, &p->manifest);
	(void)snprintf(p->version, sizeof(p->version), "%s", version);
	p->load_error[0] = '\0';
	p->generation++;
	p->proven = false;
	(void)breaker_renewed(&p->breaker);
	restart_forget(&p->restart);
	uvx_timer_stop(&p->timer);
	struct log_field fields[] = {
		{ "plugin", plugin_slice(p) },
		{ "version",
			slice_of(p->version,
				slice_str(p->version).n > 12 ? 12 : slice_str(p->version).n) },
		{ "kind", slice_str(p->kind) },
	};
	log_fields(LOG_INFO, "plugin.found", fields, 3, "a version of a plugin was found");
	return 0;
}

static int take_entry(struct registry *r, struct director *d, const char *host, const json_t *entry)
{
	const char *id = text_of(entry, "id");
	if (!is_plugin_id(id)) {
		return 0;
	}
	struct plugin *p = registry_find(r, slice_str(id));
	if (p != NULL && !slice_eq(slice_str(p->host), slice_str(host))) {
		log_fields(LOG_WARNING, "plugin.twice",
			(struct log_field[]){ { "plugin", slice_str(id) } }, 1,
			"two pluginhosts have a plugin of this name; the first keeps it");
		return 0;
	}
	p = p != NULL ? p : add_plugin(r, d, id, host);
	if (p == NULL) {
		return -ENOMEM;
	}
	p->listed = r->listing;
	return change_plugin(p, entry);
}

static void remove_missing(struct registry *r, const char *host)
{
	struct plugin *p;
	struct plugin *next;
	HASH_ITER (hh, r->plugins, p, next) {
		if (slice_eq(slice_str(p->host), slice_str(host)) && p->listed != r->listing) {
			log_fields(LOG_INFO, "plugin.removed",
				(struct log_field[]){ { "plugin", plugin_slice(p) } }, 1,
				"a plugin was removed");
			remove_plugin(r, p);
		}
	}
}

int registry_update(struct registry *r, struct director *d, const char *host, struct slice list)
{
	json_t *tree = NULL;
	int result = json_tree_parse(list, &tree, NULL);
	if (result == 0 && !json_is_array(tree)) {
		json_decref(tree);
		result = -EBADMSG;
	}
	if (result < 0) {
		return result;
	}
	/* What other nodes have changed meanwhile, or what this one does not know yet. */
	(void)switches_load(d);
	registry_read_grants(r);
	size_t i;
	json_t *entry;
	r->listing++;
	json_array_foreach(tree, i, entry)
	{
		result = result < 0 ? result : take_entry(r, d, host, entry);
	}
	json_decref(tree);
	remove_missing(r, host);
	registry_sync_file(r, d);
	return result;
}

static int append_entry(const struct plugin *p, enum registry_view view, struct buffer *out)
{
	int r = buffer_append(out, SLICE("{\"name\":"));
	r = r < 0 ? r : buffer_append_json(out, plugin_slice(p));
	r = r < 0 ? r : buffer_append(out, SLICE(",\"display_name\":"));
	r = r < 0 ? r
		  : buffer_append_json(out,
			    slice_str(p->manifest.display_name == NULL ? p->id
								       : p->manifest.display_name));
	r = r < 0 ? r : buffer_append(out, SLICE(",\"description\":"));
	r = r < 0 ? r : buffer_append_json(out, slice_str(p->manifest.description));
	r = r < 0 ? r : buffer_append(out, SLICE(",\"version\":"));
	r = r < 0 ? r : buffer_append_json(out, slice_str(p->manifest.version_text));
	r = r < 0 ? r
		  : buffer_printf(out, ",\"enabled\":%s,\"backend\":\"plugins.%s.logic\"",
			    p->enabled ? "true" : "false", p->id);
	if (view == REGISTRY_FILE) {
		return r < 0 ? r : buffer_append_byte(out, '}');
	}
	r = r < 0 ? r
		  : buffer_printf(out, ",\"kind\":\"%s\",\"state\":\"%s\",\"error\":", p->kind,
			    plugin_state(p));
	r = r < 0                            ? r
		: plugin_error(p)[0] == '\0' ? buffer_append(out, SLICE("null"))
					     : buffer_append_json(out, slice_str(plugin_error(p)));
	return r < 0 ? r : buffer_append_byte(out, '}');
}

int registry_append_json(const struct registry *r, enum registry_view view, struct buffer *out)
{
	int e = buffer_append(out, SLICE("{\"plugins\":["));
	bool first = true;
	struct plugin *p;
	struct plugin *next;
	HASH_ITER (hh, r->plugins, p, next) {
		if (view == REGISTRY_API && !p->enabled) {
			continue;
		}
		e = e < 0 || first ? e : buffer_append_byte(out, ',');
		e = e < 0 ? e : append_entry(p, view, out);
		first = false;
	}
	return e < 0 ? e : buffer_append(out, SLICE("]}"));
}

static void switch_plugin(struct plugin *p, bool enabled)
{
	p->enabled = enabled;
	if (enabled) {
		(void)breaker_reset(&p->breaker);
		restart_forget(&p->restart);
		p->director->on_registry->resumed(p);
	} else {
		p->director->on_registry->stopped(p);
	}
}

/* What the file says of a plugin: an operator's edit, unless the store knows of a later change. */
static void take_edit(struct registry *r, struct director *d, struct plugin *p, bool enabled)
{
	const struct switch_entry *stored = switches_find(&r->switches, p->id);
	p->in_file = true;
	if (enabled == p->enabled || (stored != NULL && stored->changed_ms >= r->file_ms)) {
		return;
	}
	switch_plugin(p, enabled);
	/* Before the store has answered nobody knows which is later: registry_take_switches(). */
	if (r->switches.known) {
		(void)switches_save(d, p->id, enabled, NULL, NULL);
	}
}

static void take_enabled(struct registry *r, struct director *d, struct slice text)
{
	json_t *tree = NULL;
	struct json_why why = { "no memory" };
	if (text.n == 0) {
		return;
	}
	if (json_tree_parse(text, &tree, &why) < 0) {
		log_event(LOG_WARNING, "registry.unreadable",
			"plugin_registry.json is written anew: %s", why.text);
		return;
	}
	size_t i;
	json_t *entry;
	json_array_foreach(json_object_get(tree, "plugins"), i, entry)
	{
		struct plugin *p = registry_find(r, slice_str(text_of(entry, "name")));
		const json_t *enabled = json_object_get(entry, "enabled");
		if (p != NULL && json_is_boolean(enabled)) {
			take_edit(r, d, p, json_is_true(enabled));
		}
	}
	json_decref(tree);
}

static void write_file(struct registry *r, struct buffer *text)
{
	buffer_clear(text);
	if (registry_append_json(r, REGISTRY_FILE, text) == 0 &&
		buffer_append_byte(text, '\n') == 0) {
		registry_file_write(r->file, text);
	}
}

void registry_sync_file(struct registry *r, struct director *d)
{
	struct buffer text;
	buffer_init(&text, JSON_MAX);
	int e = registry_file_read(r->file, &text, &r->file_ms);
	if (e < 0) {
		log_event(LOG_WARNING, "registry.unreadable",
			"cannot read plugin_registry.json: %s", strerror(-e));
	} else {
		take_enabled(r, d, buffer_slice(&text));
	}
	write_file(r, &text);
	buffer_deinit(&text);
}

static void mirror(struct registry *r)
{
	struct buffer text;
	buffer_init(&text, JSON_MAX);
	write_file(r, &text);
	buffer_deinit(&text);
}

int registry_set_enabled(struct plugin *p, bool enabled, store_done_fn saved, void *owner)
{
	struct director *d = p->director;
	/* What an operator has written there for others meanwhile stays. */
	registry_sync_file(&d->registry, d);
	p->enabled = enabled;
	int e = switches_save(d, p->id, enabled, saved, owner);
	mirror(&d->registry);
	return e;
}

/* The first answer of the store meets what the file said at the start, which may have been edited while
 * no director ran; later ones bring what other nodes changed. */
static void take_switch(
	struct registry *r, struct director *d, struct plugin *p, const struct switch_entry *stored)
{
	bool later = stored == NULL || (r->file_ms > stored->changed_ms && !r->switches.known);
	bool differs = p->enabled != (stored == NULL || stored->enabled);
	if (p->in_file && later && differs) {
		(void)switches_save(d, p->id, p->enabled, NULL, NULL);
	} else if (stored != NULL && stored->enabled != p->enabled) {
		switch_plugin(p, stored->enabled);
	}
}

void registry_take_switches(struct registry *r, struct director *d)
{
	struct plugin *p;
	struct plugin *next;
	HASH_ITER (hh, r->plugins, p, next) {
		take_switch(r, d, p, switches_find(&r->switches, p->id));
	}
	r->switches.known = true;
	mirror(r);
}
