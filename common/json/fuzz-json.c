/*
 * The scanner against jansson: they accept the same texts, but for the documented differences
 * (refused here: more than 64 levels, a NUL byte; refused there: numbers out of range, NUL in
 * names), and they read the same names and strings. Members lie in the text, in order, and each
 * value is a text of its own.
 */
#include "common/base/error.h"
#include "common/json/tree.h"

#include <errno.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FLAGS = JSON_DECODE_ANY | JSON_ALLOW_NUL };

struct seen {
	struct slice text;
	size_t end; /* of the last member */
	size_t n;
};

static bool see(void *arg, const struct json_member *m)
{
	struct seen *seen = arg;
	invariant(m->start >= seen->end && m->start < m->end && m->end <= seen->text.n);
	invariant(seen->text.p[m->start] == '"' && m->name.p == seen->text.p + m->start + 1);
	invariant(m->name.p[m->name.n] == '"' && m->value.p > m->name.p + m->name.n);
	invariant(m->value.n > 0 && m->value.p + m->value.n == seen->text.p + m->end);
	invariant(json_scan(m->value, NULL, NULL, NULL, NULL) == 0);
	seen->end = m->end;
	seen->n++;
	return true;
}

/* A string that both read. */
static void same_string(struct slice escaped, const json_t *theirs)
{
	uint8_t *plain = malloc(escaped.n + 1);
	invariant(plain != NULL);
	size_t n = json_unescape(escaped, plain);
	struct slice s = slice_of(plain, n);
	invariant(n <= escaped.n && slice_is_utf8(s) && json_name_eq(escaped, s));
	invariant(slice_eq(s, slice_of(json_string_value(theirs), json_string_length(theirs))));
	/* Another string is not equal: one byte more, one other byte. */
	plain[n] = 'x';
	invariant(!json_name_eq(escaped, slice_of(plain, n + 1)));
	if (n > 0) {
		plain[n - 1] ^= 1;
		invariant(!json_name_eq(escaped, s));
	}
	free(plain);
}

/* Name and value of a member, each as jansson reads it alone. */
static bool compare(void *arg, const struct json_member *m)
{
	json_t *name = json_loadb((const char *)m->name.p - 1, m->name.n + 2, FLAGS, NULL);
	invariant(name != NULL);
	same_string(m->name, name);
	json_decref(name);
	if (m->value.p[0] == '"') {
		json_t *value = json_loadb((const char *)m->value.p, m->value.n, FLAGS, NULL);
		invariant(value != NULL);
		same_string(slice_of(m->value.p + 1, m->value.n - 2), value);
		json_decref(value);
	}
	return true;
}

static void same_kind(enum json_kind kind, const json_t *tree)
{
	invariant((kind == JSON_IS_OBJECT) == json_is_object(tree));
	invariant((kind == JSON_IS_ARRAY) == json_is_array(tree));
	invariant((kind == JSON_IS_STRING) == json_is_string(tree));
	invariant((kind == JSON_IS_NUMBER) == json_is_number(tree));
	invariant((kind == JSON_IS_TRUE) == json_is_true(tree));
	invariant((kind == JSON_IS_FALSE) == json_is_false(tree));
	invariant((kind == JSON_IS_NULL) == json_is_null(tree));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text = slice_of(data, size);
	struct seen seen = { .text = text };
	struct json_failure failure = { .what = NULL };
	enum json_kind kind;
	json_error_t error;
	json_t *tree = json_loadb((const char *)data, size, FLAGS, &error);
	/* see() scans the values: the members of a text that is refused further on are valid too. */
	int r = json_scan(text, see, &seen, &kind, &failure);
	if (r == 0) {
		enum json_error_code code = json_error_code(&error);
		invariant(tree != NULL || code == json_error_numeric_overflow ||
			code == json_error_null_byte_in_key);
		invariant(json_scan(text, compare, NULL, NULL, NULL) == 0);
	} else {
		invariant(r == -EBADMSG && failure.what != NULL && failure.offset <= size);
		/* jansson swallows a NUL byte behind a number. */
		invariant(tree == NULL || memchr(data, 0, size) != NULL ||
			strcmp(failure.what, "more than 64 levels of nesting") == 0);
	}
	if (r == 0 && tree != NULL) {
		same_kind(kind, tree);
		invariant(!json_is_object(tree) || json_object_size(tree) <= seen.n);
	}
	json_decref(tree);

	struct json_why why;
	json_t *strict = NULL;
	int again = json_tree_parse(text, &strict, &why);
	invariant(again == 0 ? r == 0 : again == -EBADMSG && slice_is_utf8(slice_str(why.text)));
	json_decref(strict);
	return 0;
}
