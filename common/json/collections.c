#include "common/json/collections.h"

#include "common/base/buffer.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { INDEX_NAME_BYTES = 128, TEXT_BYTES = 64 };

struct reader {
	struct json_fields fields; /* of messages alone */
	json_t *out;
	size_t documents;
	bool oom;
};

/* Writes why; always false. `name` is a collection's, of a size that was checked. */
static bool refuse(struct reader *r, const char *name, const char *text)
{
	return json_field_refuse(&r->fields, "collections", "%.*s%s%s", COLLECTION_NAME_MAX, name,
		name[0] == '\0' ? "" : ": ", text);
}

static json_t *taken(struct reader *r, json_t *value)
{
	r->oom |= value == NULL;
	return value;
}

static void put(struct reader *r, json_t *object, const char *name, json_t *value)
{
	r->oom |= json_object_set_new(object, name, value) < 0;
}

/* --- indexes --- */

/* 1, -1, "asc", "descending", … */
static bool read_direction(const json_t *value, int *ret)
{
	const char *text = json_string_value(value);
	*ret = 1;
	if (value == NULL || json_is_null(value)) {
		return true;
	}
	if (text != NULL) {
		*ret = strncmp(text, "desc", 4) == 0 ? -1 : 1;
		return strncmp(text, "desc", 4) == 0 || strncmp(text, "asc", 3) == 0;
	}
	*ret = json_integer_value(value) < 0 ? -1 : 1;
	return json_is_integer(value) &&
		(json_integer_value(value) == 1 || json_integer_value(value) == -1);
}

static bool add_key(struct reader *r, json_t *keys, const char *field, const json_t *direction)
{
	int n;
	if (field == NULL || field[0] == '\0' || !read_direction(direction, &n) ||
		json_object_get(keys, field) != NULL) {
		return false;
	}
	put(r, keys, field, json_integer(n));
	return true;
}

/* "a"; ["a", ["b", -1], {"c": -1}]; {"a": 1}. */
static bool add_keys(struct reader *r, json_t *keys, json_t *value, const json_t *direction);

static bool add_key_item(struct reader *r, json_t *keys, json_t *item, const json_t *direction)
{
	if (json_is_array(item)) {
		return json_array_size(item) == 2 &&
			add_key(r, keys, json_string_value(json_array_get(item, 0)),
				json_array_get(item, 1));
	}
	if (json_is_object(item) && json_object_get(item, "field") != NULL) {
		const json_t *own = json_object_get(item, "order");
		own = own == NULL ? json_object_get(item, "direction") : own;
		return add_key(r, keys, json_string_value(json_object_get(item, "field")), own);
	}
	return !json_is_array(item) && add_keys(r, keys, item, direction);
}

static bool add_keys(struct reader *r, json_t *keys, json_t *value, const json_t *direction)
{
	const char *name;
	json_t *item;
	size_t i;
	if (json_is_string(value)) {
		return add_key(r, keys, json_string_value(value), direction);
	}
	json_object_foreach(value, name, item)
	{
		if (!add_key(r, keys, name, item)) {
			return false;
		}
	}
	json_array_foreach(value, i, item)
	{
		if (!add_key_item(r, keys, item, direction)) {
			return false;
		}
	}
	return json_is_object(value) || json_is_array(value);
}

/* As drivers name it: a_1_b_-1. NULL when that is too long. */
static json_t *name_of(struct reader *r, json_t *keys)
{
	struct buffer text;
	const char *field;
	json_t *direction;
	int result = 0;
	/* A printed piece takes its NUL along. */
	buffer_init(&text, INDEX_NAME_BYTES + 1);
	json_object_foreach(keys, field, direction)
	{
		result = result < 0 || text.n == 0 ? result : buffer_append_byte(&text, '_');
		result = result < 0
			? result
			: buffer_printf(&text, "%s_%d", field, (int)json_integer_value(direction));
	}
	r->oom |= result == -ENOMEM;
	bool fits = result == 0 && text.n <= INDEX_NAME_BYTES;
	json_t *name = fits ? json_stringn((const char *)text.p, text.n) : NULL;
	buffer_deinit(&text);
	return name;
}

static bool is_seconds(const json_t *value)
{
	return json_is_integer(value) && json_integer_value(value) >= 0 &&
		json_integer_value(value) <= INT32_MAX;
}

/* One member of an index but its keys. @return false when it is not understood. */
static bool add_option(struct reader *r, json_t *out, const char *name, json_t *value)
{
	static const char *const expire[] = { "expireAfterSeconds", "expire_after_seconds", "ttl" };
	static const char *const said[] = { "order", "direction", "background", "description" };
	for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
		if (strcmp(name, said[i]) == 0) {
			return true;
		}
	}
	for (size_t i = 0; i < sizeof(expire) / sizeof(expire[0]); i++) {
		if (strcmp(name, expire[i]) == 0 && is_seconds(value)) {
			put(r, out, expire[0], json_incref(value));
			return true;
		}
	}
	if (strcmp(name, "name") == 0) {
		size_t n = json_string_length(value);
		put(r, out, "name", json_incref(value));
		return n >= 1 && n <= INDEX_NAME_BYTES;
	}
	bool flag = strcmp(name, "unique") == 0 || strcmp(name, "sparse") == 0;
	if (flag && json_is_true(value)) {
		put(r, out, name, json_true());
	}
	return flag && json_is_boolean(value);
}

static bool is_keys(const char *name)
{
	static const char *const names[] = { "key", "keys", "field", "fields" };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(name, names[i]) == 0) {
			return true;
		}
	}
	return false;
}

static bool read_index_object(
	struct reader *r, const char *collection, json_t *value, json_t *keys, json_t *options)
{
	const json_t *direction = json_object_get(value, "order");
	const char *name;
	json_t *item;
	direction = direction == NULL ? json_object_get(value, "direction") : direction;
	json_object_foreach(value, name, item)
	{
		if (is_keys(name)) {
			if (!add_keys(r, keys, item, direction)) {
				return refuse(r, collection,
					"the fields of an index must be names with 1 or -1");
			}
		} else if (!json_is_null(item) && !add_option(r, options, name, item)) {
			char text[TEXT_BYTES + 64];
			(void)snprintf(text, sizeof(text), "an index does not take this \"%.*s\"",
				TEXT_BYTES, name);
			return refuse(r, collection, text);
		}
	}
	return true;
}

/* The members in the order in which the store keeps them. */
static void add_index(struct reader *r, json_t *out, json_t *keys, json_t *options, json_t *name)
{
	static const char *const order[] = { "unique", "sparse", "expireAfterSeconds" };
	json_t *index = taken(r, json_object());
	put(r, index, "key", json_incref(keys));
	put(r, index, "name", json_incref(name));
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		json_t *value = json_object_get(options, order[i]);
		if (value != NULL) {
			put(r, index, order[i], json_incref(value));
		}
	}
	r->oom |= json_array_append_new(out, index) < 0;
}

static bool read_index(struct reader *r, const char *collection, json_t *value, json_t *out)
{
	json_t *keys = taken(r, json_object());
	json_t *options = taken(r, json_object());
	bool ok = json_is_object(value) ? read_index_object(r, collection, value, keys, options)
		: add_keys(r, keys, value, NULL)
		? true
		: refuse(r, collection, "an index must be a name, a list of names or an object");
	if (ok && json_object_size(keys) == 0) {
		ok = refuse(r, collection, "an index needs a field");
	}
	json_t *given = json_object_get(options, "name");
	json_t *name = !ok ? NULL : given != NULL ? json_incref(given) : name_of(r, keys);
	if (ok && name == NULL) {
		ok = refuse(r, collection, "the name of an index has 1 to 128 bytes");
	}
	if (ok) {
		add_index(r, out, keys, options, name);
	}
	json_decref(name);
	json_decref(keys);
	json_decref(options);
	return ok;
}

static bool read_indexes(struct reader *r, const char *collection, json_t *value, json_t *out)
{
	json_t *item;
	size_t i;
	if (value == NULL || json_is_null(value)) {
		return true;
	}
	if (!json_is_array(value) || json_array_size(value) > COLLECTION_INDEXES_MAX) {
		return refuse(r, collection, "indexes must be a list of at most 64");
	}
	json_array_foreach(value, i, item)
	{
		if (!read_index(r, collection, item, out)) {
			return false;
		}
	}
	return true;
}

/* --- initial data --- */

static bool read_document(struct reader *r, const char *collection, json_t *value, json_t *out)
{
	if (!json_is_object(value)) {
		return refuse(r, collection, "initial data must be objects");
	}
	if (++r->documents > COLLECTION_DOCUMENTS_MAX) {
		return refuse(r, collection, "more than 1000 documents of initial data in all");
	}
	r->oom |= json_array_append(out, value) < 0;
	return true;
}

/* One document or a list of them. */
static bool read_documents(struct reader *r, const char *collection, json_t *value, json_t *out)
{
	json_t *item;
	size_t i;
	if (value == NULL || json_is_null(value)) {
		return true;
	}
	if (!json_is_array(value)) {
		return read_document(r, collection, value, out);
	}
	json_array_foreach(value, i, item)
	{
		if (!read_document(r, collection, item, out)) {
			return false;
		}
	}
	return true;
}

/* --- collections --- */

static bool is_collection_name(const char *name)
{
	struct slice s = slice_str(name);
	return slice_is_name(s, COLLECTION_NAME_MAX) && s.p[0] != '.';
}

static json_t *find(const struct reader *r, const char *name)
{
	json_t *item;
	size_t i;
	json_array_foreach(r->out, i, item)
	{
		if (strcmp(json_string_value(json_object_get(item, "name")), name) == 0) {
			return item;
		}
	}
	return NULL;
}

static json_t *add_collection(struct reader *r, const char *name)
{
	json_t *collection = taken(r, json_object());
	put(r, collection, "name", json_string(name));
	r->oom |= json_array_append_new(r->out, collection) < 0;
	return r->oom ? NULL : collection;
}

static bool read_scope(struct reader *r, const char *name, const json_t *value, bool *ret_user)
{
	const char *scope = json_string_value(value);
	*ret_user = scope != NULL && strcmp(scope, "user") == 0;
	return value == NULL || json_is_null(value) || *ret_user ||
			(scope != NULL && strcmp(scope, "app") == 0)
		? true
		: refuse(r, name, "scope must be app or user");
}

/* Sets `name` when there is something in it; takes `list`. */
static void put_list(struct reader *r, json_t *object, const char *name, json_t *list)
{
	if (json_array_size(list) > 0) {
		put(r, object, name, list);
	} else {
		json_decref(list);
	}
}

/* @param value an object, or NULL. */
static bool read_collection(struct reader *r, const char *name, const json_t *value)
{
	bool user = false;
	if (name == NULL || !is_collection_name(name)) {
		return refuse(r, "",
			name == NULL ? "must be names, or objects with a name"
				     : "names must be 1 to 64 of the characters A-Z a-z 0-9 . _ -");
	}
	if (find(r, name) != NULL) {
		return refuse(r, name, "declared twice");
	}
	json_t *collection = add_collection(r, name);
	json_t *indexes = taken(r, json_array());
	json_t *documents = taken(r, json_array());
	bool ok = collection != NULL && read_scope(r, name, json_object_get(value, "scope"), &user);
	ok = ok && read_indexes(r, name, json_object_get(value, "indexes"), indexes);
	ok = ok && read_documents(r, name, json_object_get(value, "initial_data"), documents);
	if (ok && user && json_array_size(documents) > 0) {
		ok = refuse(r, name, "initial data needs the scope app");
	}
	if (ok && user) {
		put(r, collection, "scope", json_string("user"));
	}
	put_list(r, collection, "indexes", indexes);
	put_list(r, collection, "initial_data", documents);
	return ok;
}

static bool read_list(struct reader *r, json_t *list)
{
	size_t i;
	json_t *item;
	json_array_foreach(list, i, item)
	{
		const char *name = json_string_value(
			json_is_object(item) ? json_object_get(item, "name") : item);
		if (!read_collection(r, name, item)) {
			return false;
		}
	}
	return true;
}

static bool read_object(struct reader *r, json_t *object)
{
	const char *name;
	json_t *value;
	json_object_foreach(object, name, value)
	{
		if (!json_is_object(value)) {
			return refuse(r, "", "each must be an object");
		}
		if (!read_collection(r, name, value)) {
			return false;
		}
	}
	return true;
}

/* {"config": {…}, "plans": [{…}]}: what is not declared yet is so now. */
static bool read_initial_data(struct reader *r, json_t *value)
{
	const char *name;
	json_t *item;
	if (value != NULL && !json_is_null(value) && !json_is_object(value)) {
		return json_field_refuse(&r->fields, "initial_data",
			"must be an object by the names of collections");
	}
	json_object_foreach(value, name, item)
	{
		if (find(r, name) == NULL && !read_collection(r, name, NULL)) {
			return false;
		}
		json_t *collection = find(r, name);
		json_t *documents = json_object_get(collection, "initial_data");
		documents = documents == NULL ? taken(r, json_array()) : json_incref(documents);
		bool ok = read_documents(r, name, item, documents);
		bool some = json_array_size(documents) > 0;
		put_list(r, collection, "initial_data", documents);
		if (ok && some && json_object_get(collection, "scope") != NULL) {
			ok = refuse(r, name, "initial data needs the scope app");
		}
		if (!ok) {
			return false;
		}
	}
	return true;
}

static bool read_all(struct reader *r, const json_t *owner)
{
	json_t *value = json_object_get(owner, "collections");
	json_t *data = json_object_get(owner, "initial_data");
	size_t n = json_is_array(value) ? json_array_size(value) : json_object_size(value);
	if (value != NULL && !json_is_null(value) && !json_is_array(value) &&
		!json_is_object(value)) {
		n = SIZE_MAX;
	}
	if (n > COLLECTIONS_MAX || json_object_size(data) > COLLECTIONS_MAX) {
		return json_field_refuse(&r->fields, "collections",
			"must be an array or object of at most %d collections", COLLECTIONS_MAX);
	}
	bool ok = json_is_array(value)  ? read_list(r, value)
		: json_is_object(value) ? read_object(r, value)
					: true;
	return ok && read_initial_data(r, data);
}

int collections_read(const json_t *owner, const char *path, json_t **ret, struct json_why *why)
{
	struct reader r = { .fields = { .object = owner, .why = why }, .out = json_array() };
	const json_t *inner = json_object_get(owner, "database_schema");
	(void)snprintf(r.fields.path, sizeof(r.fields.path), "%s", path);
	bool outer = json_object_get(owner, "collections") != NULL ||
		json_object_get(owner, "initial_data") != NULL;
	r.oom = r.out == NULL;
	bool ok = read_all(&r, outer || inner == NULL ? owner : inner);
	if (r.oom || !ok) {
		json_decref(r.out);
		return r.oom ? -ENOMEM : -EBADMSG;
	}
	*ret = r.out;
	return 0;
}
