#include "common/json/tree.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

__attribute__((format(printf, 2, 3))) static void explain(
	struct json_why *why, const char *format, ...)
{
	va_list args;
	if (why != NULL) {
		va_start(args, format);
		(void)vsnprintf(why->text, sizeof(why->text), format, args);
		va_end(args);
	}
}

/* What json_scan() lets through and jansson does not, or NULL. (jansson's own texts quote the
 * document; these do not.) */
static const char *jansson_reason(enum json_error_code code)
{
	switch ((int)code) {
	case json_error_duplicate_key:
		return "a name that occurs twice in one object";
	case json_error_numeric_overflow:
		return "a number out of range";
	case json_error_null_character:
	case json_error_null_byte_in_key:
		return "a NUL character (\\u0000) in a string";
	default:
		return NULL;
	}
}

int json_tree_parse(struct slice text, json_t **ret_tree, struct json_why *ret_why)
{
	struct json_failure failure;
	json_error_t error;
	size_t line;
	size_t column;
	int r = json_scan(text, NULL, NULL, NULL, &failure);
	if (r < 0) {
		json_position(text, failure.offset, &line, &column);
		explain(ret_why, "line %zu, column %zu: %s", line, column, failure.what);
		return r;
	}
	json_t *tree = json_loadb(
		(const char *)text.p, text.n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
	if (tree == NULL) {
		const char *what = jansson_reason(json_error_code(&error));
		if (what == NULL) {
			/* The text is JSON, so what is missing is memory, whatever jansson calls it: its
			 * reader takes a failed allocation for a bad token. */
			return -ENOMEM;
		}
		/* jansson names the place behind what it refused. */
		explain(ret_why, "line %d, before column %d: %s", error.line, error.column + 1,
			what);
		return -EBADMSG;
	}
	*ret_tree = tree;
	return 0;
}

/* A path that is too long is cut: the message still ends with the field and the rule. */
__attribute__((format(printf, 2, 3))) static void set_path(
	struct json_fields *f, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	(void)vsnprintf(f->path, sizeof(f->path), format, args);
	va_end(args);
}

bool json_fields_init(
	struct json_fields *ret, const json_t *tree, const char *path, struct json_why *why)
{
	if (!json_is_object(tree)) {
		explain(why, "%s%smust be an object", path, *path == '\0' ? "" : ": ");
		return false;
	}
	*ret = (struct json_fields){ .object = tree, .why = why };
	if (*path != '\0') {
		set_path(ret, "%s.", path);
	}
	return true;
}

bool json_field_refuse(const struct json_fields *f, const char *name, const char *format, ...)
{
	char rule[JSON_WHY_SIZE];
	va_list args;
	va_start(args, format);
	(void)vsnprintf(rule, sizeof(rule), format, args);
	va_end(args);
	explain(f->why, "%s%s: %s", f->path, name, rule);
	return false;
}

/* What a getter does with a field. */
enum found { FOUND_VALUE, FOUND_NOTHING, FOUND_MISSING };

static enum found
find(const struct json_fields *f, const char *name, enum json_presence presence, const json_t **ret)
{
	*ret = f->object == NULL ? NULL : json_object_get(f->object, name);
	if (*ret != NULL && !json_is_null(*ret)) {
		return FOUND_VALUE;
	}
	if (presence == JSON_OPTIONAL) {
		return FOUND_NOTHING;
	}
	(void)json_field_refuse(f, name, *ret == NULL ? "is missing" : "must not be null");
	return FOUND_MISSING;
}

bool json_field_string(const struct json_fields *f,
	const char *name,
	enum json_presence presence,
	size_t min,
	size_t max,
	struct slice *ret)
{
	const json_t *value;
	enum found found = find(f, name, presence, &value);
	if (found != FOUND_VALUE) {
		return found == FOUND_NOTHING;
	}
	size_t n = json_string_length(value);
	if (!json_is_string(value) || n < min || n > max) {
		return json_field_refuse(f, name, "must be a string of %zu to %zu bytes", min, max);
	}
	*ret = slice_of(json_string_value(value), n);
	return true;
}

bool json_field_int(const struct json_fields *f,
	const char *name,
	enum json_presence presence,
	int64_t min,
	int64_t max,
	int64_t *ret)
{
	const json_t *value;
	enum found found = find(f, name, presence, &value);
	if (found != FOUND_VALUE) {
		return found == FOUND_NOTHING;
	}
	json_int_t n = json_integer_value(value);
	if (!json_is_integer(value) || n < min || n > max) {
		return json_field_refuse(
			f, name, "must be an integer from %" PRId64 " to %" PRId64, min, max);
	}
	*ret = n;
	return true;
}

bool json_field_bool(
	const struct json_fields *f, const char *name, enum json_presence presence, bool *ret)
{
	const json_t *value;
	enum found found = find(f, name, presence, &value);
	if (found != FOUND_VALUE) {
		return found == FOUND_NOTHING;
	}
	if (!json_is_boolean(value)) {
		return json_field_refuse(f, name, "must be true or false");
	}
	*ret = json_is_true(value);
	return true;
}

bool json_field_array(const struct json_fields *f,
	const char *name,
	enum json_presence presence,
	size_t max,
	const json_t **ret)
{
	const json_t *value;
	enum found found = find(f, name, presence, &value);
	if (found != FOUND_VALUE) {
		return found == FOUND_NOTHING;
	}
	if (!json_is_array(value) || json_array_size(value) > max) {
		return json_field_refuse(f, name, "must be an array of at most %zu values", max);
	}
	*ret = value;
	return true;
}

bool json_field_strings(const struct json_fields *f,
	const char *name,
	enum json_presence presence,
	size_t max,
	size_t max_bytes,
	const json_t **ret)
{
	const json_t *array = NULL;
	if (!json_field_array(f, name, presence, max, &array)) {
		return false;
	}
	for (size_t i = 0; i < json_array_size(array); i++) {
		const json_t *value = json_array_get(array, i);
		size_t n = json_string_length(value);
		if (!json_is_string(value) || n == 0 || n > max_bytes) {
			return json_field_refuse(f, name,
				"value %zu must be a string of 1 to %zu bytes", i, max_bytes);
		}
	}
	if (array != NULL) {
		*ret = array;
	}
	return true;
}

bool json_field_object(const struct json_fields *f,
	const char *name,
	enum json_presence presence,
	struct json_fields *ret)
{
	const json_t *value;
	enum found found = find(f, name, presence, &value);
	if (found == FOUND_MISSING) {
		return false;
	}
	if (found == FOUND_VALUE && !json_is_object(value)) {
		return json_field_refuse(f, name, "must be an object");
	}
	*ret = (struct json_fields){ .object = found == FOUND_VALUE ? value : NULL, .why = f->why };
	set_path(ret, "%s%s.", f->path, name);
	return true;
}

bool json_field_item(const struct json_fields *f,
	const char *name,
	const json_t *array,
	size_t index,
	struct json_fields *ret)
{
	const json_t *value = json_array_get(array, index);
	if (!json_is_object(value)) {
		return json_field_refuse(f, name, "value %zu must be an object", index);
	}
	*ret = (struct json_fields){ .object = value, .why = f->why };
	set_path(ret, "%s%s[%zu].", f->path, name, index);
	return true;
}
