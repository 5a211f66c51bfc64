#include "director/hosts/grants.h"

#include "common/base/buffer.h"
#include "common/json/tree.h"
#include "common/proto/capabilities.h"
#include "director/config/file.h"
#include "director/hosts/plugin.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
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

/* --- changing it --- */

/* Whether the plugin's entry still has to say it: several capabilities may need one permission. */
static bool is_missing(const struct grants *g,
	const char *plugin,
	const struct plugin_manifest *m,
	struct slice permission,
	bool granted)
{
	struct plugin_manifest then = { 0 };
	bool missing = false;
	memcpy(then.asked, m->asked, sizeof(then.asked));
	grants_apply(g, plugin, &then);
	for (size_t i = 0; i < PERMISSIONS; i++) {
		missing = missing ||
			(slice_eq(slice_str(permissions[i].permission), permission) &&
				then.granted[permissions[i].code] != granted);
	}
	return missing;
}

static void remove_from(json_t *entry, const char *list, struct slice permission)
{
	json_t *names = json_object_get(entry, list);
	for (size_t i = json_array_size(names); i > 0; i--) {
		const char *name = json_string_value(json_array_get(names, i - 1));
		if (slice_eq(slice_str(name), permission)) {
			(void)json_array_remove(names, i - 1);
		}
	}
	if (names != NULL && json_array_size(names) == 0) {
		(void)json_object_del(entry, list);
	}
}

/* The object's member, which is made when it is missing. NULL: no memory. */
static json_t *member(json_t *object, const char *name, json_t *(*make)(void))
{
	json_t *found = json_object_get(object, name);
	if (found == NULL && json_object_set_new(object, name, make()) == 0) {
		found = json_object_get(object, name);
	}
	return found;
}

/* Takes it out of the one list, and puts it into the other when that is not enough. @return 0; -ENOMEM. */
static int edit(struct grants *next,
	const char *plugin,
	const struct plugin_manifest *m,
	struct slice permission,
	bool granted)
{
	json_t *plugins = member(next->tree, "plugins", json_object);
	json_t *entry = member(plugins, plugin, json_object);
	const char *list = granted ? "grant" : "deny";
	if (entry == NULL) {
		return -ENOMEM;
	}
	remove_from(entry, granted ? "deny" : "grant", permission);
	if (is_missing(next, plugin, m, permission, granted)) {
		json_t *name = json_stringn((const char *)permission.p, permission.n);
		if (json_array_append_new(member(entry, list, json_array), name) < 0) {
			return -ENOMEM;
		}
	}
	if (json_object_size(entry) == 0) {
		(void)json_object_del(plugins, plugin);
	}
	return 0;
}

static bool is_first(size_t row)
{
	struct slice name = slice_str(permissions[row].permission);
	for (size_t i = 0; i < row; i++) {
		if (slice_eq(slice_str(permissions[i].permission), name)) {
			return false;
		}
	}
	return name.n > 0;
}

/* With those that there are. */
static void refuse_name(struct slice permission, char why[static GRANTS_WHY_SIZE])
{
	struct buffer b;
	buffer_init(&b, GRANTS_WHY_SIZE - 1);
	int r = buffer_printf(&b, "there is no permission \"%.*s\"; there are",
		permission.n > NAME_MAX_BYTES ? NAME_MAX_BYTES : (int)permission.n,
		(const char *)permission.p);
	for (size_t i = 0; i < PERMISSIONS && r == 0; i++) {
		r = is_first(i) ? buffer_printf(&b, " %s", permissions[i].permission) : 0;
	}
	memcpy(why, b.p, b.n);
	why[b.n] = 0;
	buffer_deinit(&b);
}

static int append_tree(const json_t *tree, struct buffer *out)
{
	char *dump = json_dumps(tree, JSON_INDENT(4) | JSON_PRESERVE_ORDER);
	int r = dump == NULL ? -ENOMEM : buffer_append(out, slice_str(dump));
	free(dump);
	return r < 0 ? r : buffer_append_byte(out, '\n');
}

/* The file as a whole, with the mode that it had. */
static int replace(const char *path, struct slice text)
{
	char folder[sizeof(((struct grants *)NULL)->path)];
	struct stat st;
	/* It is one in MOZAIKS_CONFIGS_PATH. */
	const char *slash = strrchr(path, '/');
	if (slash == NULL) {
		return -EINVAL;
	}
	size_t n = (size_t)(slash - path);
	memcpy(folder, path, n);
	folder[n] = '\0';
	mode_t mode = stat(path, &st) == 0 ? st.st_mode & 0777 : 0644;
	int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0) {
		return -errno;
	}
	int r = file_replace(dir, slash + 1, mode, text);
	(void)close(dir);
	return r;
}

/* Checks the new tree as if it had been read, and writes it. */
static int store(struct grants *next, char why[static GRANTS_WHY_SIZE])
{
	struct grants checked = { 0 };
	struct buffer text;
	buffer_init(&text, GRANTS_FILE_MAX);
	int r = append_tree(next->tree, &text);
	if (r < 0) {
		(void)snprintf(why, GRANTS_WHY_SIZE, "plugin_policy.json: %s",
			strerrordesc_np(r == -ENOBUFS ? EFBIG : ENOMEM));
	} else {
		r = grants_parse(&checked, buffer_slice(&text), why);
	}
	if (r == 0) {
		r = replace(next->path, buffer_slice(&text));
		if (r < 0) {
			(void)snprintf(why, GRANTS_WHY_SIZE, "cannot write %.300s: %s", next->path,
				strerrordesc_np(-r));
		}
	}
	grants_deinit(&checked);
	buffer_deinit(&text);
	return r;
}

int grants_set(struct grants *g,
	const char *plugin,
	const struct plugin_manifest *m,
	struct slice permission,
	bool granted,
	char ret_why[static GRANTS_WHY_SIZE])
{
	char name[NAME_MAX_BYTES + 1] = "";
	if (permission.n <= NAME_MAX_BYTES && permission.n > 0) {
		memcpy(name, permission.p, permission.n);
	}
	if (!is_permission(name)) {
		refuse_name(permission, ret_why);
		return -EINVAL;
	}
	if (g->path[0] == '\0') {
		(void)snprintf(ret_why, GRANTS_WHY_SIZE,
			"plugin_policy.json has no place: MOZAIKS_CONFIGS_PATH is not set");
		return -EINVAL;
	}
	/* What an operator has written meanwhile stays. */
	int r = grants_read(g, ret_why);
	if (r < 0) {
		return r;
	}
	struct grants next = *g;
	next.tree = g->tree == NULL ? json_object() : json_deep_copy(g->tree);
	r = next.tree == NULL ? -ENOMEM : edit(&next, plugin, m, permission, granted);
	if (r < 0) {
		(void)snprintf(ret_why, GRANTS_WHY_SIZE, "no memory");
	}
	r = r < 0 ? r : store(&next, ret_why);
	if (r < 0) {
		json_decref(next.tree);
		return r;
	}
	json_decref(g->tree);
	g->tree = next.tree;
	return 0;
}

/* --- how it is told --- */

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

void grants_each_alias(const struct grants *g, const char *plugin, grants_alias_fn fn, void *arg)
{
	const char *name;
	const json_t *value;
	json_object_foreach(
		mutable(json_object_get(entry_of(g, plugin), "collections")), name, value)
	{
		fn(arg, slice_str(name), slice_str(json_string_value(value)));
	}
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
