/*
 * The strict JSON scanner (RFC 8259): validates text in one pass, without a tree, without
 * allocation and without recursion. The text is untrusted.
 *
 * Valid UTF-8, depth <= JSON_DEPTH_MAX, no byte order mark, escapes complete, surrogates paired,
 * numbers to the letter of the grammar, nothing after the value but white space. Duplicate names
 * and the size of numbers are not its business: json_to_bson() and json_tree_parse() refuse them,
 * and who takes members from the callback sees every top-level one.
 *
 * Any thread.
 */
#pragma once

#include "common/base/slice.h"

enum { JSON_DEPTH_MAX = 64 };

/* Where and why a text was refused. `offset` counts bytes from 0 and may be the length of the text
 * (it ended too early). `what` is a static noun phrase for the error's text, such as
 * "a control character inside a string" or "more than 64 levels of nesting". */
struct json_failure {
	size_t offset;
	const char *what;
};

/* One member of the top-level object, as it stands in the text. */
struct json_member {
	struct slice name;  /* between its quotes, still escaped */
	struct slice value; /* from its first to its last byte */
	size_t start;       /* offset of the name's opening quote */
	size_t end;         /* offset after the value */
};

/* Called for each top-level member in order; false stops the scan and makes it return -ECANCELED. */
typedef bool (*json_member_fn)(void *arg, const struct json_member *member);

enum json_kind {
	JSON_IS_OBJECT,
	JSON_IS_ARRAY,
	JSON_IS_STRING,
	JSON_IS_NUMBER,
	JSON_IS_TRUE,
	JSON_IS_FALSE,
	JSON_IS_NULL
};

/**
 * Validates the whole text.
 * @param on_member NULL, or called for each member when the value is an object. Members are
 *   reported while scanning: an error further on still makes the whole text invalid.
 * @param ret_kind NULL, or the kind of the value.
 * @param ret_failure NULL, or set with -EBADMSG.
 * @return 0 and the kind of the value; -EBADMSG and `ret_failure`; -ECANCELED.
 */
int json_scan(struct slice text,
	json_member_fn on_member,
	void *arg,
	enum json_kind *ret_kind,
	struct json_failure *ret_failure);

/** True when the whole text is one valid object. */
bool json_scan_is_object(struct slice text);

/** Line and column (in bytes), both from 1, of an offset in a text. */
void json_position(struct slice text, size_t offset, size_t *ret_line, size_t *ret_column);

/** Compares a name that is still escaped with a plain one: "\u0075ser_id" equals "user_id". */
bool json_name_eq(struct slice escaped, struct slice plain);

/**
 * Unescapes the inside of a valid JSON string (without quotes) into `out`, which has room for
 * `escaped.n` bytes.
 * @return the length.
 */
size_t json_unescape(struct slice escaped, uint8_t *out);
