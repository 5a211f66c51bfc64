#include "pluginhost/discover.h"

#include "pluginhost/beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SOURCE_READ_MAX = 256 * 1024 };

/*
 * Reserved ids, in any case of letters.
 */
static const char *const reserved[] = {
	/* Packages that a worker imports, and the one that plugins are imported from. */
	"core",
	"nexus",
	"dotmac",
	"mozaiks",
	"plugins",
	/* What core's own events start with: a plugin may publish everything below its own name. */
	"system",
	"user",
	"subscription",
	"entitlement",
	/* Words of the routes and of the reference's files beside plugins. */
	"admin",
	"registry",
	/* Files of a plugin or of its tests: a plugin path that is a plugin itself yields these. */
	"conftest",
	"logic",
	"plugin",
	"setup",
};

const char *plugin_kind_name(enum plugin_kind kind)
{
	switch (kind) {
	case PLUGIN_UNKNOWN:
		return "unknown";
	case PLUGIN_MOZAIKS:
		return "mozaiks";
	case PLUGIN_NATIVE:
		return "native";
	case PLUGIN_NEXUS:
		return "nexus";
	case PLUGIN_DOTMAC:
		return "dotmac";
	}
	return "unknown";
}

bool plugin_id_is_valid(struct slice id)
{
	if (!slice_is_name(id, PLUGIN_ID_SIZE - 1) || id.p[0] == '_') {
		return false;
	}
	return memchr(id.p, '.', id.n) == NULL;
}

bool plugin_id_is_reserved(struct slice id)
{
	for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++) {
		if (slice_eq_nocase(id, slice_str(reserved[i]))) {
			return true;
		}
	}
	return false;
}

/* Paths */

static bool is_open_already(const struct plugin_path paths[], size_t n, int fd)
{
	struct stat a;
	struct stat b;
	if (fstat(fd, &a) < 0) {
		return false;
	}
	for (size_t i = 0; i < n; i++) {
		if (fstat(paths[i].fd, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino) {
			return true;
		}
	}
	return false;
}

static int open_path(struct slice text, struct plugin_path *ret)
{
	char *path = slice_dup(text);
	if (path == NULL) {
		return -ENOMEM;
	}
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		int e = -errno;
		free(path);
		return e;
	}
	*ret = (struct plugin_path){ .path = path, .fd = fd };
	return 0;
}

static int explain_path(struct buffer *why, struct slice path, const char *rule)
{
	buffer_clear(why);
	int r = buffer_printf(why, "MOZAIKS_PLUGINS_PATH: ");
	r = r < 0 ? r : buffer_append_json(why, path);
	return r < 0 ? r : buffer_printf(why, ": %s", rule);
}

int discover_open(
	const char *paths, bool given, struct plugin_path out[], size_t max, struct buffer *why)
{
	struct slice rest = slice_str(paths);
	size_t n = 0;
	while (rest.n > 0) {
		const uint8_t *colon = memchr(rest.p, ':', rest.n);
		struct slice part =
			slice_of(rest.p, colon == NULL ? rest.n : (size_t)(colon - rest.p));
		rest = slice_skip(rest, part.n + (colon != NULL));
		if (part.n == 0) {
			continue;
		}
		int r = n == max ? -E2BIG : open_path(part, &out[n]);
		if (r == 0 && is_open_already(out, n, out[n].fd)) {
			discover_close(&out[n], 1);
			continue;
		}
		if (r == 0) {
			n++;
			continue;
		}
		int e = r == -E2BIG
			? buffer_printf(why, "MOZAIKS_PLUGINS_PATH: more than %zu paths", max)
			: explain_path(why, part, strerror(-r));
		if (r == -ENOENT && !given) {
			continue;
		}
		discover_close(out, n);
		return e < 0 ? e : r;
	}
	return (int)n;
}

int discover_check(const struct plugin_path paths[], size_t n, struct buffer *why)
{
	for (size_t i = 0; i < n; i++) {
		int fd = beneath_open(paths[i].fd, ".", O_RDONLY | O_DIRECTORY);
		if (fd < 0) {
			char rule[128];
			(void)snprintf(rule, sizeof(rule),
				"%s; pluginhost (uid %u) needs read and search permission",
				strerror(-fd), (unsigned)geteuid());
			int e = explain_path(why, slice_str(paths[i].path), rule);
			return e < 0 ? e : fd;
		}
		(void)close(fd);
	}
	return 0;
}

void discover_close(struct plugin_path paths[], size_t n)
{
	for (size_t i = 0; i < n; i++) {
		(void)close(paths[i].fd);
		free(paths[i].path);
		paths[i] = (struct plugin_path){ .fd = -1 };
	}
}

/* Kinds */

/* A link counts as there: the snapshot then refuses it with its name. */
static bool has_file(int dir_fd, const char *name)
{
	struct stat st;
	return fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		(S_ISREG(st.st_mode) || S_ISLNK(st.st_mode));
}

static bool line_defines(struct slice line, const char *name)
{
	static const struct slice heads[] = { { (const uint8_t *)"def ", 4 },
		{ (const uint8_t *)"async def ", 10 } };
	struct slice want = slice_str(name);
	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		if (slice_starts(line, heads[i])) {
			struct slice rest = slice_skip(line, heads[i].n);
			return slice_starts(rest, want) && rest.n > want.n &&
				(rest.p[want.n] == '(' || rest.p[want.n] == ' ');
		}
	}
	/* "from .provider import register" makes it a name of the module too. */
	return slice_starts(line, SLICE("from ")) && line.n > want.n &&
		memmem(line.p, line.n, name, want.n) != NULL;
}

/* Is `name` defined at the top level of the source, as far as its text tells? */
static bool source_defines(struct slice text, const char *name)
{
	while (text.n > 0) {
		const uint8_t *end = memchr(text.p, '\n', text.n);
		struct slice line = slice_of(text.p, end == NULL ? text.n : (size_t)(end - text.p));
		if (line_defines(line, name)) {
			return true;
		}
		text = slice_skip(text, line.n + (end != NULL));
	}
	return false;
}

/* A module with register() and without execute() is a provider. */
static bool is_provider(int dir_fd, const char *name)
{
	char *text;
	size_t n;
	if (beneath_read(dir_fd, name, SOURCE_READ_MAX, &text, &n) < 0) {
		return false;
	}
	struct slice source = slice_of(text, n);
	bool yes = source_defines(source, "register") && !source_defines(source, "execute") &&
		!source_defines(source, "run");
	free(text);
	return yes;
}

#define UNSUPPORTED "plugins of this kind are not supported by this version"

bool discover_kind(int dir_fd, struct found *f)
{
	f->has_native = has_file(dir_fd, "logic.so");
	if (has_file(dir_fd, "logic.py")) {
		f->kind = PLUGIN_MOZAIKS;
		f->entry = "logic.py";
		return true;
	}
	if (has_file(dir_fd, "backend/logic.py")) {
		f->kind = PLUGIN_MOZAIKS;
		f->entry = "backend/logic.py";
		return true;
	}
	if (f->has_native) {
		f->kind = PLUGIN_NATIVE;
		f->entry = "logic.so";
		return true;
	}
	bool manifest = has_file(dir_fd, "manifest.json");
	if (has_file(dir_fd, "plugin.py")) {
		f->kind = PLUGIN_NEXUS;
		f->entry = "plugin.py";
		f->error = manifest ? UNSUPPORTED : "plugin.py needs a manifest.json beside it";
		return true;
	}
	if (has_file(dir_fd, "__init__.py") && is_provider(dir_fd, "__init__.py")) {
		f->kind = PLUGIN_DOTMAC;
		f->entry = "__init__.py";
		f->error = UNSUPPORTED;
		return true;
	}
	if (manifest) {
		f->error =
			"manifest.json, but no logic.py, backend/logic.py, logic.so or plugin.py";
	}
	return manifest;
}

/* The scan */

struct scan {
	struct discovery *out;
	const struct discover_config *config;
	/* The index of the path that is being looked at. */
	size_t path;
};

static int complain(struct scan *s, const char *source, const char *rule)
{
	struct buffer *b = &s->out->complaints;
	size_t before = b->n;
	int r = buffer_append_json(b, slice_str(s->config->paths[s->path].path));
	if (r == 0 && source != NULL) {
		r = buffer_printf(b, " ");
		r = r < 0 ? r : buffer_append_json(b, slice_str(source));
	}
	r = r < 0 ? r : buffer_printf(b, ": %s\n", rule);
	if (r < 0) {
		b->n = before;
	}
	/* More complaints than room: the first ones will do. */
	return r == -ENOBUFS ? 0 : r;
}

static const struct found *find(const struct discovery *d, const char *id)
{
	for (size_t i = 0; i < d->n; i++) {
		if (strcmp(d->found[i].id, id) == 0) {
			return &d->found[i];
		}
	}
	return NULL;
}

/* Takes a plugin up, or complains why not. */
static int add(struct scan *s, const struct found *f)
{
	struct discovery *d = s->out;
	if (plugin_id_is_reserved(slice_str(f->id))) {
		return complain(s, f->source, "the name is reserved; the plugin is left out");
	}
	const struct found *other = find(d, f->id);
	if (other != NULL) {
		char rule[512];
		(void)snprintf(rule, sizeof(rule),
			"the id is taken by %.200s in %.200s; this one is left out", other->source,
			s->config->paths[other->path].path);
		return complain(s, f->source, rule);
	}
	if (d->n == s->config->plugins_max) {
		char rule[96];
		(void)snprintf(rule, sizeof(rule),
			"more than %zu plugins (MOZAIKS_PLUGINS_MAX); left out",
			s->config->plugins_max);
		return complain(s, f->source, rule);
	}
	if (d->n == d->room) {
		size_t room = d->room == 0 ? 16 : 2 * d->room;
		struct found *more = reallocarray(d->found, room, sizeof(*more));
		if (more == NULL) {
			return -ENOMEM;
		}
		d->found = more;
		d->room = room;
	}
	d->found[d->n++] = *f;
	return 0;
}

static void set_id(struct found *f, struct slice id)
{
	memcpy(f->id, id.p, id.n);
	f->id[id.n] = '\0';
}

/* "<name>" or "<category>/<name>". */
static void set_source(struct found *f, const char *category, const char *name)
{
	(void)snprintf(f->source, sizeof(f->source), "%.64s%s%.68s",
		category == NULL ? "" : category, category == NULL ? "" : "/", name);
}

static int scan_file(struct scan *s, int dir_fd, const char *name)
{
	struct slice stem = slice_str(name);
	if (stem.n <= 3 || memcmp(name + stem.n - 3, ".py", 3) != 0 || name[0] == '_') {
		return 0;
	}
	stem.n -= 3;
	struct found f = {
		.path = s->path, .kind = PLUGIN_MOZAIKS, .single_file = true, .entry = "logic.py"
	};
	if (!plugin_id_is_valid(stem)) {
		return complain(s, name, "not a plugin id ([A-Za-z0-9_-], 1 to 64); left out");
	}
	set_id(&f, stem);
	set_source(&f, NULL, name);
	if (is_provider(dir_fd, name)) {
		f.kind = PLUGIN_DOTMAC;
		f.error = UNSUPPORTED;
	}
	return add(s, &f);
}

static int scan_names(struct scan *s, int dir_fd, const char *category);

static int found_directory(struct scan *s, struct found *f, const char *name)
{
	if (!plugin_id_is_valid(slice_str(name))) {
		return complain(s, name,
			"not a plugin id ([A-Za-z0-9_-], 1 to 64, not starting with _); left out");
	}
	set_id(f, slice_str(name));
	return add(s, f);
}

static void tell_hooks(const struct discover_config *config, int fd)
{
	if (config->hooks != NULL) {
		config->hooks->on_directory(config->hooks->context, fd);
	}
}

static int scan_directory(struct scan *s, int parent_fd, const char *category, const char *name)
{
	struct found f = { .path = s->path, .entry = "" };
	set_source(&f, category, name);
	int fd = beneath_open(parent_fd, name, O_RDONLY | O_DIRECTORY);
	if (fd == -ENOENT || fd == -ENOTDIR) {
		return 0;
	}
	if (fd < 0) {
		f.error = "the directory cannot be read by pluginhost; it needs read and search "
			  "permission";
		return found_directory(s, &f, name);
	}
	tell_hooks(s->config, fd);
	int r = 0;
	if (discover_kind(fd, &f)) {
		r = found_directory(s, &f, name);
	} else if (category == NULL && plugin_id_is_valid(slice_str(name))) {
		r = scan_names(s, fd, name);
	}
	(void)close(fd);
	return r;
}

/* A link that is named like a plugin is shown, so that its author sees why nothing happens. */
static int scan_link(struct scan *s, const char *category, const char *name)
{
	struct slice id = slice_str(name);
	if (id.n > 3 && memcmp(name + id.n - 3, ".py", 3) == 0) {
		id.n -= 3;
	}
	if (!plugin_id_is_valid(id)) {
		return 0;
	}
	struct found f = { .path = s->path,
		.entry = "",
		.error = "it is a symbolic link; links are not followed" };
	set_id(&f, id);
	set_source(&f, category, name);
	return add(s, &f);
}

static int scan_name(struct scan *s, int dir_fd, const char *category, const char *name)
{
	struct stat st;
	if (walk_skips(name) || name[0] == '_' ||
		fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		return 0;
	}
	if (S_ISDIR(st.st_mode)) {
		bool ours = st.st_dev == s->config->skip_dev && st.st_ino == s->config->skip_ino;
		return ours ? 0 : scan_directory(s, dir_fd, category, name);
	}
	if (S_ISLNK(st.st_mode)) {
		return scan_link(s, category, name);
	}
	return category == NULL && S_ISREG(st.st_mode) ? scan_file(s, dir_fd, name) : 0;
}

static int scan_names(struct scan *s, int dir_fd, const char *category)
{
	struct file_names names;
	int r = beneath_list(dir_fd, DISCOVER_NAMES_MAX, &names);
	if (r == -E2BIG) {
		return complain(s, category, "more than 10000 names in one directory; left out");
	}
	if (r < 0) {
		return r == -ENOMEM ? r : complain(s, category, strerror(-r));
	}
	for (size_t i = 0; i < names.n && r == 0; i++) {
		r = scan_name(s, dir_fd, category, names.v[i]);
	}
	file_names_deinit(&names);
	return r;
}

static int compare_found(const void *a, const void *b)
{
	return strcmp(((const struct found *)a)->id, ((const struct found *)b)->id);
}

int discover_scan(const struct discover_config *config, struct discovery *ret)
{
	struct discovery d = { 0 };
	buffer_init(&d.complaints, DISCOVER_COMPLAINTS_MAX);
	struct scan s = { .out = &d, .config = config };
	int r = 0;
	for (; s.path < config->n_paths && r == 0; s.path++) {
		int fd = config->paths[s.path].fd;
		tell_hooks(config, fd);
		r = scan_names(&s, fd, NULL);
	}
	if (r < 0) {
		discovery_deinit(&d);
		return r;
	}
	if (d.n > 1) {
		qsort(d.found, d.n, sizeof(d.found[0]), compare_found);
	}
	*ret = d;
	return 0;
}

void discovery_deinit(struct discovery *d)
{
	free(d->found);
	buffer_deinit(&d->complaints);
	*d = (struct discovery){ 0 };
}
