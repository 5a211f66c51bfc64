#include "pluginhost/manifest.h"

#include "common/json/collections.h"
#include "pluginhost/beneath.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX = 200, DESCRIPTION_MAX = 4096, PERMISSION_MAX = 256, NAME_MAX_BYTES = 64 };

/* One reading: fields in, normalised tree out. `oom` is looked at once, at the end. */
struct reader {
	struct json_fields fields;
	struct manifest *m;
	json_t *out;
	bool oom;
};

static void put(struct reader *r, const char *name, json_t *value)
{
	if (json_object_set_new(r->out, name, value) < 0) {
		r->oom = true;
	}
}

static void put_text(struct reader *r, const char *name, struct slice text)
{
	put(r, name, json_stringn((const char *)text.p, text.n));
}

static void put_number(struct reader *r, json_t *object, const char *name, uint64_t n)
{
	json_t *value = n == 0 ? json_null() : json_integer((json_int_t)n);
	if (json_object_set_new(object, name, value) < 0) {
		r->oom = true;
	}
}

/* Names and texts */

/* "task_manager" becomes "Task Manager". */
static void title_of(const char *id, char out[static TEXT_MAX])
{
	bool start = true;
	size_t n = 0;
	for (; id[n] != '\0' && n < TEXT_MAX - 1; n++) {
		bool gap = id[n] == '_' || id[n] == '-';
		out[n] = gap ? ' ' : (char)(start ? toupper(id[n]) : id[n]);
		start = gap;
	}
	out[n] = '\0';
}

/* The first of the spellings that is there. */
static bool read_text(
	struct reader *r, const char *const names[], size_t n_names, size_t max, struct slice *text)
{
	for (size_t i = 0; i < n_names; i++) {
		struct slice found = SLICE_NULL;
		if (!json_field_string(&r->fields, names[i], JSON_OPTIONAL, 0, max, &found)) {
			return false;
		}
		if (found.n > 0) {
			*text = found;
			return true;
		}
	}
	return true;
}

static bool read_display_name(struct reader *r, const char *id)
{
	static const char *const names[] = { "display_name", "displayName", "title" };
	char title[TEXT_MAX];
	title_of(id, title);
	struct slice text = slice_str(title);
	bool ok = read_text(r, names, sizeof(names) / sizeof(names[0]), TEXT_MAX, &text);
	put_text(r, "display_name", text);
	return ok;
}

static bool read_description(struct reader *r, const char *id)
{
	static const char *const names[] = { "description" };
	char standard[TEXT_MAX];
	(void)snprintf(standard, sizeof(standard), "Plugin for %s", id);
	struct slice text = slice_str(standard);
	bool ok = read_text(r, names, 1, DESCRIPTION_MAX, &text);
	put_text(r, "description", text);
	return ok;
}

/* "1.0.0", and 1.0 from those who forget the quotes. */
static bool read_version(struct reader *r, const char *id)
{
	(void)id;
	const json_t *value = json_object_get(r->fields.object, "version");
	char number[32];
	struct slice text = SLICE("1.0.0");
	if (json_is_integer(value)) {
		(void)snprintf(
			number, sizeof(number), "%lld", (long long)json_integer_value(value));
		text = slice_str(number);
	} else if (json_is_real(value)) {
		(void)snprintf(number, sizeof(number), "%.15g", json_real_value(value));
		text = slice_str(number);
	} else if (!json_field_string(
			   &r->fields, "version", JSON_OPTIONAL, 0, NAME_MAX_BYTES, &text)) {
		return false;
	}
	put_text(r, "version", text.n == 0 ? SLICE("1.0.0") : text);
	return true;
}

/* Permissions */

static const struct {
	const char *seen;
	const char *means;
} permission_aliases[] = {
	{ "events.emit", "events.publish" },
	{ "events.listen", "events.subscribe" },
	{ "events.on", "events.subscribe" },
	{ "read", "database.read" },
	{ "write", "database.write" },
	{ "db.read", "database.read" },
	{ "db.write", "database.write" },
};

/* "database:read" means "database.read"; in "http:host" the colon is part of the name. */
static json_t *permission_of(const char *text)
{
	char name[PERMISSION_MAX + 1];
	(void)snprintf(name, sizeof(name), "%s", text);
	if (strncmp(name, "http:", 5) != 0 && strncmp(name, "smtp:", 5) != 0) {
		for (char *p = name; *p != '\0'; p++) {
			*p = *p == ':' ? '.' : *p;
		}
	}
	for (size_t i = 0; i < sizeof(permission_aliases) / sizeof(permission_aliases[0]); i++) {
		if (strcmp(name, permission_aliases[i].seen) == 0) {
			return json_string(permission_aliases[i].means);
		}
	}
	return json_string(name);
}

static bool array_has(const json_t *array, const char *text)
{
	size_t i;
	const json_t *item;
	json_array_foreach(array, i, item)
	{
		if (strcmp(json_string_value(item), text) == 0) {
			return true;
		}
	}
	return false;
}

static void add_permission(struct reader *r, json_t *out, const char *text)
{
	json_t *name = permission_of(text);
	if (name == NULL) {
		r->oom = true;
	} else if (array_has(out, json_string_value(name))) {
		json_decref(name);
	} else if (json_array_append_new(out, name) < 0) {
		r->oom = true;
	}
}

static bool read_permissions(struct reader *r, const char *id)
{
	(void)id;
	const json_t *list = NULL;
	const json_t *item;
	size_t i;
	json_t *out = json_array();
	put(r, "permissions", out);
	if (r->oom) {
		return true;
	}
	const json_t *value = json_object_get(r->fields.object, "permissions");
	if (json_is_string(value) && json_string_length(value) <= PERMISSION_MAX) {
		add_permission(r, out, json_string_value(value));
		return true;
	}
	if (!json_field_strings(&r->fields, "permissions", JSON_OPTIONAL, MANIFEST_PERMISSIONS_MAX,
		    PERMISSION_MAX, &list)) {
		return false;
	}
	json_array_foreach(list, i, item)
	{
		add_permission(r, out, json_string_value(item));
	}
	return true;
}

/* Numbers */

static bool read_u32(struct reader *r,
	const struct json_fields *f,
	const char *name,
	int64_t min,
	int64_t max,
	uint32_t *ret)
{
	int64_t n = *ret;
	if (!json_field_int(f, name, JSON_OPTIONAL, min, max, &n)) {
		return false;
	}
	(void)r;
	*ret = (uint32_t)n;
	return true;
}

static bool read_workers(struct reader *r, const char *id)
{
	(void)id;
	r->m->workers = 1;
	bool ok = read_u32(r, &r->fields, "workers", 1, MANIFEST_WORKERS_MAX, &r->m->workers);
	put_number(r, r->out, "workers", r->m->workers);
	return ok;
}

static bool read_concurrency(struct reader *r, const char *id)
{
	(void)id;
	bool ok = read_u32(
		r, &r->fields, "concurrency", 1, MANIFEST_CONCURRENCY_MAX, &r->m->concurrency);
	put_number(r, r->out, "concurrency", r->m->concurrency);
	return ok;
}

static bool read_uploads(struct reader *r, const char *id)
{
	(void)id;
	bool uploads = false;
	bool ok = json_field_bool(&r->fields, "uploads", JSON_OPTIONAL, &uploads);
	put(r, "uploads", json_boolean(uploads));
	return ok;
}

struct unit {
	const char *suffix;
	uint64_t factor;
};

static const struct unit units[] = {
	{ "", 1 },
	{ "k", 1 << 10 },
	{ "kb", 1 << 10 },
	{ "ki", 1 << 10 },
	{ "kib", 1 << 10 },
	{ "m", 1 << 20 },
	{ "mb", 1 << 20 },
	{ "mi", 1 << 20 },
	{ "mib", 1 << 20 },
	{ "g", 1 << 30 },
	{ "gb", 1 << 30 },
	{ "gi", 1 << 30 },
	{ "gib", 1 << 30 },
};

/* "256M", "1 GiB", "268435456". */
static bool parse_bytes(struct slice text, uint64_t max, uint64_t *ret)
{
	size_t digits = 0;
	while (digits < text.n && text.p[digits] >= '0' && text.p[digits] <= '9') {
		digits++;
	}
	struct slice suffix = slice_skip(text, digits);
	if (suffix.n > 0 && suffix.p[0] == ' ') {
		suffix = slice_skip(suffix, 1);
	}
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		uint64_t n;
		if (slice_eq_nocase(suffix, slice_str(units[i].suffix))) {
			bool ok = slice_to_u64(slice_of(text.p, digits), max / units[i].factor, &n);
			*ret = ok ? n * units[i].factor : *ret;
			return ok;
		}
	}
	return false;
}

static bool read_memory(const struct json_fields *f, uint64_t *ret)
{
	static const uint64_t min = UINT64_C(16) << 20;
	static const uint64_t max = UINT64_C(1) << 40;
	const json_t *value = json_object_get(f->object, "memory");
	if (value == NULL || json_is_null(value)) {
		return true;
	}
	uint64_t bytes = 0;
	bool ok = false;
	if (json_is_integer(value)) {
		json_int_t mib = json_integer_value(value);
		ok = mib > 0 && (uint64_t)mib <= max >> 20;
		bytes = ok ? (uint64_t)mib << 20 : 0;
	} else if (json_is_string(value)) {
		ok = parse_bytes(
			slice_of(json_string_value(value), json_string_length(value)), max, &bytes);
	}
	if (!ok || bytes < min) {
		return json_field_refuse(f, "memory",
			"must be a number of MiB, or a text such as \"256M\" or \"1G\", "
			"from 16 MiB to 1 TiB");
	}
	*ret = bytes;
	return true;
}

/* 100 is one core; "50%" is as good as 50. */
static bool read_cpu(struct reader *r, const struct json_fields *f, uint32_t *ret)
{
	const json_t *value = json_object_get(f->object, "cpu");
	if (!json_is_string(value)) {
		return read_u32(r, f, "cpu", 1, 100000, ret);
	}
	struct slice text = slice_of(json_string_value(value), json_string_length(value));
	uint64_t percent = 0;
	if (text.n < 2 || text.p[text.n - 1] != '%' ||
		!slice_to_u64(slice_of(text.p, text.n - 1), 100000, &percent) || percent == 0) {
		return json_field_refuse(f, "cpu",
			"must be an integer from 1 to 100000 (percent of a core) or a text such as "
			"\"50%%\"");
	}
	*ret = (uint32_t)percent;
	return true;
}

/* Seconds, with a fraction if wanted. */
static bool read_timeout(const struct json_fields *f, uint64_t *ret)
{
	static const char *const names[] = { "timeout", "timeout_seconds", "deadline" };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const json_t *value = json_object_get(f->object, names[i]);
		if (value == NULL || json_is_null(value)) {
			continue;
		}
		double seconds = json_number_value(value);
		if (!json_is_number(value) || !(seconds >= 0.05) || !(seconds <= 86400)) {
			return json_field_refuse(
				f, names[i], "must be a number of seconds from 0.05 to 86400");
		}
		*ret = (uint64_t)(seconds * 1000 + 0.5);
		return true;
	}
	return true;
}

static bool read_limits(struct reader *r, const char *id)
{
	(void)id;
	struct json_fields f;
	struct manifest *m = r->m;
	if (!json_field_object(&r->fields, "limits", JSON_OPTIONAL, &f) ||
		!read_memory(&f, &m->memory_bytes) || !read_u32(r, &f, "pids", 4, 4096, &m->pids) ||
		!read_cpu(r, &f, &m->cpu_percent) || !read_timeout(&f, &m->timeout_ms)) {
		return false;
	}
	json_t *limits = json_object();
	put(r, "limits", limits);
	if (r->oom) {
		return true;
	}
	put_number(r, limits, "memory", m->memory_bytes);
	put_number(r, limits, "pids", m->pids);
	put_number(r, limits, "cpu", m->cpu_percent);
	json_t *timeout = m->timeout_ms == 0 ? json_null()
		: m->timeout_ms % 1000 == 0  ? json_integer((json_int_t)(m->timeout_ms / 1000))
					     : json_real((double)m->timeout_ms / 1000);
	r->oom |= json_object_set_new(limits, "timeout", timeout) < 0;
	return true;
}

/* Words */

static bool read_word(
	struct reader *r, const char *name, const char *const words[], size_t n_words, size_t *ret)
{
	const json_t *value = json_object_get(r->fields.object, name);
	if (value == NULL || json_is_null(value)) {
		return true;
	}
	const char *text = json_string_value(value);
	char rule[128] = "must be one of";
	size_t n = strlen(rule);
	for (size_t i = 0; i < n_words; i++) {
		if (text != NULL && strcmp(text, words[i]) == 0) {
			*ret = i;
			return true;
		}
		n += (size_t)snprintf(
			rule + n, sizeof(rule) - n, "%s %s", i == 0 ? "" : ",", words[i]);
	}
	return json_field_refuse(&r->fields, name, "%s", rule);
}

static bool read_isolation(struct reader *r, const char *id)
{
	static const char *const words[] = { "plugin", "user", "request" };
	(void)id;
	size_t i = ISOLATION_PLUGIN;
	bool ok = read_word(r, "isolation", words, 3, &i);
	r->m->isolation = (enum manifest_isolation)i;
	put_text(r, "isolation", slice_str(words[i]));
	return ok;
}

static bool read_runtime(struct reader *r, const char *id)
{
	static const char *const words[] = { "python", "native" };
	(void)id;
	size_t i = 2;
	bool ok = read_word(r, "runtime", words, 2, &i);
	r->m->runtime = i == 0 ? RUNTIME_PYTHON : i == 1 ? RUNTIME_NATIVE : RUNTIME_UNSAID;
	put(r, "runtime", i == 2 ? json_null() : json_string(words[i]));
	return ok;
}

/* Collections and subscriptions */

/* Every spelling of them, also in database_schema (collections.h). */
static bool read_collections(struct reader *r, const char *id)
{
	json_t *out = NULL;
	(void)id;
	int result = collections_read(r->fields.object, r->fields.path, &out, r->fields.why);
	r->oom |= result == -ENOMEM;
	if (result == 0) {
		put(r, "collections", out);
	}
	return result == 0 || r->oom;
}

/* "task.created", "task.*" or {"event":"task.created",…}. */
static bool is_event(const json_t *value)
{
	size_t n = json_string_length(value);
	return json_is_string(value) && n >= 1 && n <= PERMISSION_MAX;
}

static bool read_subscriptions(struct reader *r, const char *id)
{
	(void)id;
	json_t *out = json_array();
	put(r, "subscriptions", out);
	const json_t *list = NULL;
	json_t *item;
	size_t i;
	if (r->oom ||
		!json_field_array(&r->fields, "subscriptions", JSON_OPTIONAL,
			MANIFEST_SUBSCRIPTIONS_MAX, &list)) {
		return r->oom;
	}
	json_array_foreach(list, i, item)
	{
		if (!is_event(item) && !is_event(json_object_get(item, "event"))) {
			return json_field_refuse(&r->fields, "subscriptions",
				"must be event names of 1 to %d bytes, or objects with an event",
				PERMISSION_MAX);
		}
		r->oom |= json_array_append(out, item) < 0;
	}
	return true;
}

/* Every shape of dependencies is accepted; a number or a text is none. */
static bool read_dependencies(struct reader *r, const char *id)
{
	(void)id;
	const json_t *value = json_object_get(r->fields.object, "dependencies");
	if (value == NULL || json_is_null(value) || json_is_array(value) || json_is_object(value)) {
		return true;
	}
	return json_field_refuse(&r->fields, "dependencies", "must be an array or an object");
}

static bool (*const members[])(struct reader *r, const char *id) = {
	read_display_name,
	read_description,
	read_version,
	read_permissions,
	read_workers,
	read_concurrency,
	read_uploads,
	read_isolation,
	read_limits,
	read_collections,
	read_subscriptions,
	read_runtime,
	read_dependencies,
};

static int dump_chunk(const char *p, size_t n, void *buffer)
{
	return buffer_append(buffer, slice_of(p, n)) < 0 ? -1 : 0;
}

static int read_members(struct reader *r, const char *id)
{
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		if (!members[i](r, id)) {
			return MANIFEST_E_BROKEN;
		}
		if (r->oom) {
			return -ENOMEM;
		}
	}
	put(r, "given", json_boolean(r->fields.object != NULL));
	/* Escapes can make it longer than the text was. */
	buffer_init(&r->m->json, 8 * MANIFEST_MAX);
	if (r->oom || json_dump_callback(r->out, dump_chunk, &r->m->json, JSON_COMPACT) < 0) {
		return -ENOMEM;
	}
	return 0;
}

int manifest_parse(struct slice text, const char *id, struct manifest *ret, struct json_why *why)
{
	json_t *tree = NULL;
	struct manifest m = { 0 };
	struct reader r = { .m = &m };
	if (slice_starts(text, SLICE("\xef\xbb\xbf"))) {
		text = slice_skip(text, 3);
	}
	if (text.p != NULL) {
		int e = json_tree_parse(text, &tree, why);
		if (e < 0) {
			return e == -EBADMSG ? MANIFEST_E_BROKEN : e;
		}
	}
	int e = 0;
	if (tree == NULL) {
		r.fields = (struct json_fields){ .why = why };
	} else if (!json_fields_init(&r.fields, tree, "", why)) {
		e = MANIFEST_E_BROKEN;
	}
	r.out = json_object();
	if (e == 0) {
		e = r.out == NULL ? -ENOMEM : read_members(&r, id);
	}
	json_decref(r.out);
	json_decref(tree);
	if (e != 0) {
		manifest_deinit(&m);
		return e;
	}
	*ret = m;
	return 0;
}

int manifest_read(int dir_fd, const char *id, struct manifest *ret, struct json_why *why)
{
	char *text;
	size_t n;
	int r = beneath_read(dir_fd, "manifest.json", MANIFEST_MAX, &text, &n);
	if (r == -ENOENT) {
		return manifest_parse(SLICE_NULL, id, ret, why);
	}
	if (r == -EFBIG) {
		(void)snprintf(why->text, sizeof(why->text),
			"manifest.json is longer than %d bytes", MANIFEST_MAX);
		return MANIFEST_E_BROKEN;
	}
	if (r == -EINVAL) {
		(void)snprintf(why->text, sizeof(why->text), "manifest.json is no regular file");
		return MANIFEST_E_BROKEN;
	}
	if (r < 0) {
		return r;
	}
	r = manifest_parse(slice_of(text, n), id, ret, why);
	free(text);
	return r;
}

void manifest_deinit(struct manifest *m)
{
	buffer_deinit(&m->json);
	*m = (struct manifest){ 0 };
}
