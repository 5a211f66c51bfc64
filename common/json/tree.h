/*
 * JSON as a tree (jansson), for documents that somebody edits or that are read rarely: manifests,
 * configurations, control messages. Never on the path of a request.
 *
 * Reading is strict: json_scan() first (so jansson's recursion is bounded by JSON_DEPTH_MAX), then
 * jansson, which also refuses duplicate names at every level, \u0000, and numbers that fit neither
 * int64 nor a finite double. Fields are then taken out with getters that say which field breaks
 * which rule, in words for the author of the document.
 *
 * Any thread; a tree belongs to one at a time.
 */
#pragma once

#include "common/json/scan.h"

#include <jansson.h>

enum { JSON_WHY_SIZE = 256, JSON_PATH_SIZE = 128 };

/* Why a document was refused: one phrase, valid UTF-8, without bytes of the document's values. */
struct json_why {
	char text[JSON_WHY_SIZE];
};

/**
 * Reads a whole text, of any kind of value. The memory is a multiple of the text's (up to about 40
 * times): the caller bounds the text.
 * @param ret_tree the caller's: json_decref().
 * @param ret_why NULL, or set with -EBADMSG: "line 3, column 7: a comma without a value after it".
 * @return 0, -EBADMSG, -ENOMEM.
 */
int json_tree_parse(struct slice text, json_t **ret_tree, struct json_why *ret_why);

/* An object whose fields are taken out, with the path that its messages begin with. */
struct json_fields {
	const json_t
		*object; /* borrowed; NULL: a member that is not there, all fields are absent */
	char path[JSON_PATH_SIZE]; /* "" or "limits." or "plugins[3]." */
	struct json_why *why;
};

enum json_presence { JSON_OPTIONAL, JSON_REQUIRED };

/**
 * Begins with a tree that must be an object.
 * @param path the first part of every field's name in a message, mostly "".
 * @param why where the getters leave their message; outlives `ret`.
 * @return false with the message when it is no object.
 */
bool json_fields_init(
	struct json_fields *ret, const json_t *tree, const char *path, struct json_why *why);

/*
 * The getters. Each returns true when the field is fine, and false with a message that names the
 * field and the rule, such as "limits.memory: must be an integer from 1 to 4096".
 *
 * A field that is absent or null is fine when it is JSON_OPTIONAL; then `ret` is untouched, so it
 * holds the default that the caller put there. Strings are borrowed from the tree, end with a NUL
 * and hold no other.
 */

/** A string of `min` to `max` bytes. */
bool json_field_string(const struct json_fields *f,
	const char *name,
	enum json_presence presence,
	size_t min,
	size_t max,
	struct slice *ret);

/** An integer (not 1.0) from `min` to `max`. */
bool json_field_int(const struct json_fields *f,
	const char *name,
	enum json_presence presence,
	int64_t min,
	int64_t max,
	int64_t *ret);

bool json_field_bool(
	const struct json_fields *f, const char *name, enum json_presence presence, bool *ret);

/** An array of at most `max` strings, each 1 to `max_bytes` bytes; json_array_foreach() over it. */
bool json_field_strings(const struct json_fields *f,
	const char *name,
	enum json_presence presence,
	size_t max,
	size_t max_bytes,
	const json_t **ret);

/** An array of at most `max` values of any kind. */
bool json_field_array(const struct json_fields *f,
	const char *name,
	enum json_presence presence,
	size_t max,
	const json_t **ret);

/** An object, whose fields then carry `name` in front. Absent: `ret->object` is NULL. */
bool json_field_object(const struct json_fields *f,
	const char *name,
	enum json_presence presence,
	struct json_fields *ret);

/** The object at an index of an array that json_field_array() gave. */
bool json_field_item(const struct json_fields *f,
	const char *name,
	const json_t *array,
	size_t index,
	struct json_fields *ret);

/** Writes "path.name: " and the text: for rules of the caller's own. Always false. */
bool json_field_refuse(const struct json_fields *f, const char *name, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
