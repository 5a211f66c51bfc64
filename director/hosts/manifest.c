#include "director/hosts/manifest.h"

#include "common/base/log.h"
#include "common/json/collections.h"

#include <errno.h>
#include <stdlib.h>

enum {
	TEXT_MAX = 1000,
	CONCURRENCY_DEFAULT = 64,
};

/* With no permissions in the manifest a plugin gets these. */
static const char *const default_grant[] = {
	"database.read",
	"database.write",
	"events.publish",
	"events.subscribe",
	"websocket.send",
	"websocket.broadcast",
	"notifications.send",
};

static const struct {
	uint16_t code;
	const char *permission;
} permissions[] = {
#define PERMISSION_ROW(symbol, code_, name, permission_) { code_, permission_ },
	CAPABILITIES(PERMISSION_ROW) PERMISSIONS_OF_OPERATORS(PERMISSION_ROW)
		PERMISSIONS_THAT_WIDEN(PERMISSION_ROW)
#undef PERMISSION_ROW
};

static void ask(struct plugin_manifest *m, const char *permission)
{
	for (size_t i = 0; i < sizeof(permissions) / sizeof(permissions[0]); i++) {
		if (slice_eq(slice_str(permissions[i].permission), slice_str(permission))) {
			m->asked[permissions[i].code] = true;
		}
	}
}

static void read_permissions(struct plugin_manifest *m, const json_t *list)
{
	size_t i;
	json_t *item;
	ask(m, "");
	if (json_array_size(list) == 0) {
		for (i = 0; i < sizeof(default_grant) / sizeof(default_grant[0]); i++) {
			ask(m, default_grant[i]);
		}
		return;
	}
	json_array_foreach(list, i, item)
	{
		if (json_is_string(item)) {
			ask(m, json_string_value(item));
		}
	}
}

static char *read_text(const json_t *manifest, const char *name, const char *fallback)
{
	const char *text = json_string_value(json_object_get(manifest, name));
	struct slice s = slice_str(text == NULL ? fallback : text);
	s.n = s.n > TEXT_MAX ? TEXT_MAX : s.n;
	while (!slice_is_utf8(s)) {
		s.n--;
	}
	return slice_dup(s);
}

/* A number that a manifest may ask for. */
struct bounded {
	const char *name;
	double scale; /* of the manifest's unit in ours */
	unsigned fallback;
	uint64_t max;
	const char *setting; /* that says so */
};

static unsigned read_number(const json_t *object, const struct bounded *b, const char *plugin)
{
	const json_t *value = json_object_get(object, b->name);
	double n = json_is_number(value) ? json_number_value(value) * b->scale : 0;
	if (!(n >= 1)) {
		return b->fallback < b->max ? b->fallback : (unsigned)b->max;
	}
	if (n <= (double)b->max) {
		return (unsigned)n;
	}
	log_fields(LOG_WARNING, "plugin.limit_cut",
		(struct log_field[]){ { "plugin", slice_str(plugin) } }, 1,
		"the manifest asks for %s %g; at most %g is given (%s)", b->name, n / b->scale,
		(double)b->max / b->scale, b->setting);
	return (unsigned)b->max;
}

/* Those that are app-scoped, and what is declared of all. */
static int read_collections(struct plugin_manifest *m, const json_t *manifest, const char *id)
{
	struct json_why why = { "" };
	size_t n = 0;
	size_t i;
	json_t *item;
	int r = collections_read(manifest, "", &m->collections, &why);
	/* pluginhost has read it in the same way. */
	if (r == -EBADMSG) {
		log_fields(LOG_WARNING, "plugin.collections",
			(struct log_field[]){ { "plugin", slice_str(id) } }, 1, "%s", why.text);
		m->collections = json_array();
	}
	if (m->collections == NULL) {
		return -ENOMEM;
	}
	m->shared_collections = calloc(COLLECTIONS_MAX + 1, sizeof(*m->shared_collections));
	if (m->shared_collections == NULL) {
		return -ENOMEM;
	}
	json_array_foreach(m->collections, i, item)
	{
		const char *name = json_string_value(json_object_get(item, "name"));
		if (n >= COLLECTIONS_MAX || json_object_get(item, "scope") != NULL) {
			continue;
		}
		m->shared_collections[n] = slice_dup(slice_str(name));
		if (m->shared_collections[n++] == NULL) {
			return -ENOMEM;
		}
	}
	return 0;
}

static enum tenant read_isolation(const json_t *manifest)
{
	static const struct {
		const char *word;
		enum tenant tenant;
	} words[] = { { "user", TENANT_USER }, { "request", TENANT_ALONE } };
	const char *text = json_string_value(json_object_get(manifest, "isolation"));
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (text != NULL && slice_eq(slice_str(text), slice_str(words[i].word))) {
			return words[i].tenant;
		}
	}
	return TENANT_SHARED;
}

int manifest_read(struct plugin_manifest *ret,
	const json_t *manifest,
	const char *id,
	const struct settings *s)
{
	const struct bounded concurrency = { "concurrency", 1, CONCURRENCY_DEFAULT,
		s->max_concurrency, "MOZAIKS_MAX_CONCURRENCY" };
	const struct bounded workers = { "workers", 1, 1, s->max_workers,
		"MOZAIKS_MAX_WORKERS_PER_PLUGIN" };
	const struct bounded timeout = { "timeout", 1000, 0, s->max_plugin_ms,
		"MOZAIKS_MAX_PLUGIN_TIMEOUT_SECONDS" };
	struct plugin_manifest m = { 0 };
	const json_t *limits = json_object_get(manifest, "limits");
	m.display_name = read_text(manifest, "display_name", id);
	m.description = read_text(manifest, "description", "");
	m.version_text = read_text(manifest, "version", "1.0.0");
	m.concurrency = read_number(manifest, &concurrency, id);
	m.isolation = read_isolation(manifest);
	m.uploads = json_is_true(json_object_get(manifest, "uploads"));
	m.workers = read_number(manifest, &workers, id);
	m.timeout_ms = read_number(limits, &timeout, id);
	m.limits_json = limits == NULL ? NULL : json_dumps(limits, JSON_COMPACT);
	read_permissions(&m, json_object_get(manifest, "permissions"));
	int r = read_collections(&m, manifest, id);
	if (r < 0 || m.display_name == NULL || m.description == NULL || m.version_text == NULL) {
		manifest_deinit(&m);
		return -ENOMEM;
	}
	*ret = m;
	return 0;
}

void manifest_deinit(struct plugin_manifest *m)
{
	for (char **c = m->shared_collections; c != NULL && *c != NULL; c++) {
		free(*c);
	}
	free(m->shared_collections);
	json_decref(m->collections);
	free(m->display_name);
	free(m->description);
	free(m->version_text);
	free(m->limits_json);
	*m = (struct plugin_manifest){ 0 };
}

bool manifest_is_shared(const struct plugin_manifest *m, struct slice collection)
{
	for (char **c = m->shared_collections; c != NULL && *c != NULL; c++) {
		if (slice_eq(slice_str(*c), collection)) {
			return true;
		}
	}
	return false;
}
