#include "director/hosts/manifest.h"

#include <errno.h>
#include <stdlib.h>

enum {
	TEXT_MAX = 1000,
	CONCURRENCY_DEFAULT = 64,
	CONCURRENCY_MAX = 256,
	WORKERS_MAX = 16,
	COLLECTIONS_MAX = 256,
	TIMEOUT_MAX_S = 3600,
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
	CAPABILITIES(PERMISSION_ROW)
#undef PERMISSION_ROW
};

static void grant(struct plugin_manifest *m, const char *permission)
{
	for (size_t i = 0; i < sizeof(permissions) / sizeof(permissions[0]); i++) {
		if (slice_eq(slice_str(permissions[i].permission), slice_str(permission))) {
			m->granted[permissions[i].code] = true;
		}
	}
}

static void read_permissions(struct plugin_manifest *m, const json_t *list)
{
	size_t i;
	json_t *item;
	grant(m, "");
	if (json_array_size(list) == 0) {
		for (i = 0; i < sizeof(default_grant) / sizeof(default_grant[0]); i++) {
			grant(m, default_grant[i]);
		}
		return;
	}
	json_array_foreach(list, i, item)
	{
		if (json_is_string(item)) {
			grant(m, json_string_value(item));
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

static unsigned read_number(const json_t *object, const char *name, unsigned fallback, unsigned max)
{
	const json_t *value = json_object_get(object, name);
	json_int_t n = json_is_integer(value) ? json_integer_value(value)
		: json_is_real(value)         ? (json_int_t)json_real_value(value)
					      : 0;
	return n < 1 ? fallback : n > (json_int_t)max ? max : (unsigned)n;
}

/* ["notes", {"name": "cities", "scope": "app"}]: those that are app-scoped. */
static int read_collections(struct plugin_manifest *m, const json_t *list)
{
	size_t n = 0;
	size_t i;
	json_t *item;
	m->shared_collections = calloc(COLLECTIONS_MAX + 1, sizeof(*m->shared_collections));
	if (m->shared_collections == NULL) {
		return -ENOMEM;
	}
	json_array_foreach(list, i, item)
	{
		const char *scope = json_string_value(json_object_get(item, "scope"));
		const char *name = json_string_value(
			json_is_object(item) ? json_object_get(item, "name") : item);
		if (name == NULL || n >= COLLECTIONS_MAX ||
			(scope != NULL && slice_eq(slice_str(scope), SLICE("user")))) {
			continue;
		}
		m->shared_collections[n] = slice_dup(slice_str(name));
		if (m->shared_collections[n++] == NULL) {
			return -ENOMEM;
		}
	}
	return 0;
}

int manifest_read(struct plugin_manifest *ret, const json_t *manifest, const char *id, bool native)
{
	struct plugin_manifest m = { 0 };
	const json_t *limits = json_object_get(manifest, "limits");
	m.display_name = read_text(manifest, "display_name", id);
	m.description = read_text(manifest, "description", "");
	m.version_text = read_text(manifest, "version", "1.0.0");
	m.concurrency = read_number(manifest, "concurrency", CONCURRENCY_DEFAULT, CONCURRENCY_MAX);
	m.workers = read_number(manifest, "workers", 1, WORKERS_MAX);
	m.timeout_ms = read_number(limits, "timeout", 0, TIMEOUT_MAX_S) * 1000;
	m.limits_json = limits == NULL ? NULL : json_dumps(limits, JSON_COMPACT);
	read_permissions(&m, json_object_get(manifest, "permissions"));
	int r = read_collections(&m, json_object_get(manifest, "collections"));
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
