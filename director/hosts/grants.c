#include "director/hosts/grants.h"

#include "common/base/buffer.h"
#include "common/json/tree.h"
#include "common/proto/capabilities.h"
#include "director/hosts/plugin.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum { LIST_MAX = 64, NAME_MAX_BYTES = 64 };

static const struct {
	uint16_t code;
	const char *permission;
} permissions[] = {
#define PERMISSION_ROW(symbol, code_, name, permission_) { code_, permission_ },
	CAPABILITIES(PERMISSION_ROW) PERMISSIONS_OF_OPERATORS(PERMISSION_ROW)
		PERMISSIONS_THAT_WIDEN(PERMISSION_ROW)
#undef PERMISSION_ROW
};

enum { PERMISSIONS = sizeof(permissions) / sizeof(permissions[0]) };

/* --- checking --- */

/* An object's iterator takes one that could be changed. */
static json_t *mutable(const json_t *object)
{
	union {
		const json_t *in;
		json_t *out;
	} u = { .in = object };
	return u.out;
}

static bool is_permission(const char *name)
{
	for (size_t i = 0; i < PERMISSIONS; i++) {
		if (name[0] != '\0' &&
			slice_eq(slice_str(permissions[i].permission), slice_str(name))) {
			return true;
		}
	}
	return false;
}

static bool check_list(const struct json_fields *f, const char *name)
{
	const json_t *list = NULL;
	const json_t *item;
	size_t i;
	if (!json_field_strings(f, name, JSON_OPTIONAL, LIST_MAX, NAME_MAX_BYTES, &list)) {
		return false;
	}
	json_array_foreach(list, i, item)
	{
		if (!is_permission(json_string_value(item))) {
			return json_field_refuse(
				f, name, "there is no permission \"%s\"", json_string_value(item));
		}
	}
	return true;
}

/* "a", "a/b" …: parts of a name, none of them empty. */
static bool is_physical(struct slice s)
{
	size_t start = 0;
	if (s.n == 0 || s.n > GRANTS_ALIAS_MAX || slice_starts(s, SLICE("system."))) {
		return false;
	}
	for (size_t i = 0; i <= s.n; i++) {
		if (i < s.n && s.p[i] != '/') {
			continue;
		}
		if (!slice_is_name(slice_of(s.p + start, i - start), GRANTS_ALIAS_MAX)) {
			return false;
		}
		start = i + 1;
	}
	return true;
}

static bool check_collections(const struct json_fields *f)
{
	struct json_fields names;
	const char *name;
	const json_t *value;
	if (!json_field_object(f, "collections", JSON_OPTIONAL, &names)) {
		return false;
	}
	json_object_foreach(mutable(names.object), name, value)
	{
		if (!slice_is_name(slice_str(name), GRANTS_ALIAS_MAX) ||
			!is_physical(slice_str(json_string_value(value)))) {
			return json_field_refuse(&names, name,
				"a collection is called by 1 to %d letters, digits, '.', '_' and '-', "
				"in the database also '/'",
				GRANTS_ALIAS_MAX);
		}
	}
	return true;
}

static bool check_entry(const struct json_fields *f)
{
	static const char *const known[] = { "grant", "deny", "collections" };
	const char *name;
	const json_t *value;
	json_object_foreach(mutable(f->object), name, value)
	{
		bool found = false;
		for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
			found = found || slice_eq(slice_str(known[i]), slice_str(name));
		}
		if (!found) {
			return json_field_refuse(
				f, name, "only grant, deny and collections are known");
		}
	}
	return check_list(f, "grant") && check_list(f, "deny") && check_collections(f);
}

static bool check(const json_t *tree, struct json_why *why)
{
	struct json_fields root;
	struct json_fields plugins;
	const char *name;
	const json_t *value;
	if (!json_fields_init(&root, tree, "", why) ||
		!json_field_object(&root, "plugins", JSON_REQUIRED, &plugins)) {
		return false;
	}
	json_object_foreach(mutable(plugins.object), name, value)
	{
		struct json_fields entry;
		if (!json_field_object(&plugins, name, JSON_REQUIRED, &entry) ||
			!check_entry(&entry)) {
			return false;
		}
	}
	return true;
}

/* --- reading --- */

int grants_parse(struct grants *g, struct slice text, char ret_why[static GRANTS_WHY_SIZE])
{
	json_t *tree = NULL;
	struct json_why why = { "no memory" };
	int r = json_tree_parse(text, &tree, &why);
	if (r == 0 && !check(tree, &why)) {
		json_decref(tree);
		r = -EBADMSG;
	}
	if (r < 0) {
		(void)snprintf(ret_why, GRANTS_WHY_SIZE, "plugin_policy.json: %.200s", why.text);
		return r;
	}
	json_decref(g->tree);
	g->tree = tree;
	return 0;
}

static int read_text(int fd, struct buffer *out)
{
	ssize_t n = 1;
	while (n > 0) {
		int r = buffer_reserve(out, 4096);
		if (r < 0) {
			return r == -ENOBUFS ? -EFBIG : r;
		}
		n = read(fd, out->p + out->n, out->cap - out->n);
		out->n += n > 0 ? (size_t)n : 0;
	}
	return n < 0 ? -errno : 0;
}

int grants_read(struct grants *g, char ret_why[static GRANTS_WHY_SIZE])
{
	struct buffer text;
	int fd = g->path[0] == '\0' ? -1 : open(g->path, O_RDONLY | O_CLOEXEC);
	int r = fd < 0 && g->path[0] != '\0' && errno != ENOENT ? -errno : 0;
	if (fd < 0 && r == 0) {
		json_decref(g->tree);
		g->tree = NULL;
		return 0;
	}
	buffer_init(&text, GRANTS_FILE_MAX);
	r = r < 0 ? r : read_text(fd, &text);
	if (r < 0) {
		(void)snprintf(
			ret_why, GRANTS_WHY_SIZE, "plugin_policy.json: %s", strerrordesc_np(-r));
	} else {
		r = grants_parse(g, buffer_slice(&text), ret_why);
	}
	buffer_deinit(&text);
	if (fd >= 0) {
		(void)close(fd);
	}
	return r;
}

void grants_deinit(struct grants *g)
{
	json_decref(g->tree);
	g->tree = NULL;
}

/* --- what it says --- */

static void set(bool *granted, const json_t *list, bool value)
{
	size_t i;
	const json_t *item;
	json_array_foreach(list, i, item)
	{
		struct slice name = slice_str(json_string_value(item));
		for (size_t row = 0; row < PERMISSIONS; row++) {
			if (slice_eq(slice_str(permissions[row].permission), name)) {
				granted[permissions[row].code] = value;
			}
		}
	}
}

static const json_t *entry_of(const struct grants *g, const char *plugin)
{
	return json_object_get(json_object_get(g->tree, "plugins"), plugin);
}

void grants_apply(const struct grants *g, const char *plugin, struct plugin_manifest *m)
{
	const char *const names[] = { "*", plugin };
	memcpy(m->granted, m->asked, sizeof(m->granted));
#define NOT_BY_ASKING(symbol, code, name, permission) m->granted[code] = false;
	PERMISSIONS_OF_OPERATORS(NOT_BY_ASKING)
#undef NOT_BY_ASKING
	for (size_t i = 0; i < 2; i++) {
		const json_t *entry = entry_of(g, names[i]);
		set(m->granted, json_object_get(entry, "grant"), true);
		set(m->granted, json_object_get(entry, "deny"), false);
	}
}

static bool is_listed(const struct plugin_manifest *m, bool granted, size_t i)
{
	uint16_t code = permissions[i].code;
	return permissions[i].permission[0] != '\0' &&
		(granted ? m->granted[code] : m->asked[code] && !m->granted[code]);
}

/* Several capabilities have one permission; it is named once. */
static bool was_listed(const struct plugin_manifest *m, bool granted, size_t i)
{
	struct slice name = slice_str(permissions[i].permission);
	for (size_t j = 0; j < i; j++) {
		if (is_listed(m, granted, j) &&
			slice_eq(slice_str(permissions[j].permission), name)) {
			return true;
		}
	}
	return false;
}

int grants_append_json(const struct plugin_manifest *m, bool granted, struct buffer *out)
{
	bool first = true;
	int r = buffer_append_byte(out, '[');
	for (size_t i = 0; i < PERMISSIONS && r == 0; i++) {
		if (!is_listed(m, granted, i) || was_listed(m, granted, i)) {
			continue;
		}
		r = first ? 0 : buffer_append_byte(out, ',');
		r = r < 0 ? r : buffer_append_json(out, slice_str(permissions[i].permission));
		first = false;
	}
	return r < 0 ? r : buffer_append_byte(out, ']');
}

struct slice grants_alias(const struct grants *g, const char *plugin, struct slice collection)
{
	char name[GRANTS_ALIAS_MAX + 1];
	const json_t *names = json_object_get(entry_of(g, plugin), "collections");
	if (names == NULL || collection.n > GRANTS_ALIAS_MAX) {
		return SLICE_NULL;
	}
	memcpy(name, collection.p, collection.n);
	name[collection.n] = '\0';
	return slice_str(json_string_value(json_object_get(names, name)));
}
