/*
 * A walk over the bytes with a stack of frames. Invariants: a frame's `end` is the place of its
 * closing NUL and lies before its parent's; `at` never passes the end of the innermost frame, so
 * each element's bytes are checked against that frame alone.
 */
#include "common/json/bson_check.h"

#include "common/json/names.h"

#include <endian.h>
#include <errno.h>
#include <limits.h>

enum {
	TYPE_DOUBLE = 0x01,
	TYPE_STRING = 0x02,
	TYPE_DOCUMENT = 0x03,
	TYPE_ARRAY = 0x04,
	TYPE_BINARY = 0x05,
	TYPE_UNDEFINED = 0x06,
	TYPE_OBJECT_ID = 0x07,
	TYPE_BOOL = 0x08,
	TYPE_DATE = 0x09,
	TYPE_NULL = 0x0A,
	TYPE_REGEX = 0x0B,
	TYPE_DB_POINTER = 0x0C,
	TYPE_CODE = 0x0D,
	TYPE_SYMBOL = 0x0E,
	TYPE_CODE_WITH_SCOPE = 0x0F,
	TYPE_INT32 = 0x10,
	TYPE_TIMESTAMP = 0x11,
	TYPE_INT64 = 0x12,
	TYPE_DECIMAL128 = 0x13,
	TYPE_MAX_KEY = 0x7F,
	TYPE_MIN_KEY = 0xFF,
};

enum {
	DOCUMENT_MIN = 5,          /* its length and its closing NUL */
	BINARY_SUBTYPE_OLD = 0x02, /* carries its length a second time */
};

struct frame {
	size_t end;     /* of the closing NUL */
	size_t names;   /* how many there were when the document began */
	uint32_t index; /* the next name of an array */
	bool array;
};

struct walk {
	const uint8_t *p;
	size_t at;
	unsigned depth;
	unsigned keys;
	const struct bson_limits *limits;
	struct frame frames[BSON_DEPTH_MAX];
	struct names names;
	struct bson_failure failure;
};

static int fail(struct walk *w, size_t offset, const char *what)
{
	w->failure = (struct bson_failure){ .offset = offset, .what = what };
	return -EBADMSG;
}

static int fail_limit(struct walk *w, size_t offset, enum bson_limit limit, const char *what)
{
	w->failure = (struct bson_failure){ .offset = offset, .what = what, .limit = limit };
	return -EBADMSG;
}

static uint32_t read_u32(const uint8_t *p)
{
	uint32_t n;
	memcpy(&n, p, sizeof(n));
	return le32toh(n);
}

static struct frame *top(struct walk *w)
{
	return &w->frames[w->depth - 1];
}

/* Opens the document at w->at, which may fill `room` bytes. */
static int open_document(struct walk *w, size_t room, bool array)
{
	size_t max = w->limits->depth < BSON_DEPTH_MAX ? w->limits->depth : BSON_DEPTH_MAX;
	if (w->depth >= max) {
		return fail_limit(w, w->at, BSON_LIMIT_DEPTH, "nesting deeper than the limit");
	}
	if (room < DOCUMENT_MIN) {
		return fail(w, w->at, "a document cut short");
	}
	size_t length = read_u32(w->p + w->at);
	if (length < DOCUMENT_MIN || length > room) {
		return fail(w, w->at, "a document's length that is too small or reaches too far");
	}
	size_t end = w->at + length - 1;
	if (w->p[end] != 0) {
		return fail(w, end, "a document without its closing NUL");
	}
	w->frames[w->depth++] = (struct frame){ .end = end, .names = w->names.n, .array = array };
	w->at += sizeof(uint32_t);
	return 0;
}

static int close_document(struct walk *w)
{
	struct frame *f = top(w);
	size_t where;
	int r = names_end(&w->names, f->names, w->p, &where);
	if (r == NAMES_E_DUPLICATE) {
		return fail(w, where, "a name that occurs twice in one document");
	}
	w->at = f->end + 1;
	w->depth--;
	return r;
}

/* The text that ends with a NUL at w->at, before the frame's end. Leaves w->at behind the NUL. */
static int take_cstring(struct walk *w, struct slice *ret)
{
	const uint8_t *start = w->p + w->at;
	const uint8_t *end = w->p + top(w)->end;
	const uint8_t *p = start;
	uint8_t seen = 0;
	while (p < end && *p != 0) {
		seen |= *p++;
	}
	if (p == end) {
		return fail(w, w->at, "a name or pattern without its closing NUL");
	}
	*ret = slice_of(start, (size_t)(p - start));
	if (seen >= 0x80 && !slice_is_utf8(*ret)) {
		return fail(w, w->at, "a name or pattern that is not valid UTF-8");
	}
	w->at += ret->n + 1;
	return 0;
}

static bool is_index(struct slice name, uint32_t index)
{
	char digits[10];
	size_t at = sizeof(digits);
	do {
		digits[--at] = (char)('0' + index % 10);
		index /= 10;
	} while (index > 0);
	return slice_eq(name, slice_of(digits + at, sizeof(digits) - at));
}

static int check_name(struct walk *w)
{
	struct frame *f = top(w);
	size_t at = w->at;
	struct slice name;
	int r = take_cstring(w, &name);
	if (r < 0) {
		return r;
	}
	if (!f->array) {
		struct name entry = { (uint32_t)at, (uint32_t)name.n, (uint32_t)at };
		return names_push(&w->names, entry);
	}
	if (!is_index(name, f->index++)) {
		return fail(w, at, "an array whose names are not 0, 1, 2 and so on");
	}
	return 0;
}

/* The length in front of a string or binary value whose bytes must end before the frame does. */
static int take_length(struct walk *w, size_t extra, size_t *ret)
{
	size_t room = top(w)->end - w->at;
	if (room < sizeof(uint32_t) + extra) {
		return fail(w, w->at, "a value cut short");
	}
	size_t length = read_u32(w->p + w->at);
	if (length > room - sizeof(uint32_t) - extra) {
		return fail(w, w->at, "a value's length that reaches too far");
	}
	w->at += sizeof(uint32_t);
	*ret = length;
	return 0;
}

static int check_string(struct walk *w)
{
	size_t length;
	size_t start = w->at;
	int r = take_length(w, 0, &length);
	if (r < 0) {
		return r;
	}
	if (length == 0) {
		return fail(w, start, "a string's length that does not count its closing NUL");
	}
	if (w->p[w->at + length - 1] != 0) {
		return fail(w, w->at + length - 1, "a string without its closing NUL");
	}
	if (!slice_is_utf8(slice_of(w->p + w->at, length - 1))) {
		return fail(w, w->at, "a string that is not valid UTF-8");
	}
	w->at += length;
	return 0;
}

static int check_binary(struct walk *w)
{
	size_t length;
	int r = take_length(w, 1, &length);
	if (r < 0) {
		return r;
	}
	uint8_t subtype = w->p[w->at];
	w->at++;
	bool inner_wrong = subtype == BINARY_SUBTYPE_OLD &&
		(length < sizeof(uint32_t) || read_u32(w->p + w->at) != length - sizeof(uint32_t));
	if (inner_wrong) {
		return fail(w, w->at, "a binary value whose second length differs");
	}
	w->at += length;
	return 0;
}

static int check_regex(struct walk *w)
{
	static const uint8_t known[] = { 'i', 'l', 'm', 's', 'u', 'x' };
	struct slice pattern;
	struct slice options;
	int r = take_cstring(w, &pattern);
	size_t at = w->at;
	r = r < 0 ? r : take_cstring(w, &options);
	if (r < 0) {
		return r;
	}
	for (size_t i = 0; i < options.n; i++) {
		if (memchr(known, options.p[i], sizeof(known)) == NULL) {
			return fail(
				w, at, "a regular expression's option other than i, l, m, s, u, x");
		}
	}
	return 0;
}

static int check_bool(struct walk *w)
{
	if (w->at == top(w)->end) {
		return fail(w, w->at, "a value cut short");
	}
	if (w->p[w->at] > 1) {
		return fail(w, w->at, "a boolean other than 0 and 1");
	}
	w->at++;
	return 0;
}

static int check_fixed(struct walk *w, size_t n)
{
	if (top(w)->end - w->at < n) {
		return fail(w, w->at, "a value cut short");
	}
	w->at += n;
	return 0;
}

static int check_value(struct walk *w, uint8_t type, size_t type_at)
{
	switch (type) {
	case TYPE_DOCUMENT:
	case TYPE_ARRAY:
		return open_document(w, top(w)->end - w->at, type == TYPE_ARRAY);
	case TYPE_STRING:
		return check_string(w);
	case TYPE_BINARY:
		return check_binary(w);
	case TYPE_REGEX:
		return check_regex(w);
	case TYPE_BOOL:
		return check_bool(w);
	case TYPE_NULL:
	case TYPE_MIN_KEY:
	case TYPE_MAX_KEY:
		return 0;
	case TYPE_INT32:
		return check_fixed(w, 4);
	case TYPE_DOUBLE:
	case TYPE_DATE:
	case TYPE_TIMESTAMP:
	case TYPE_INT64:
		return check_fixed(w, 8);
	case TYPE_OBJECT_ID:
		return check_fixed(w, 12);
	case TYPE_DECIMAL128:
		return check_fixed(w, 16);
	case TYPE_CODE:
	case TYPE_CODE_WITH_SCOPE:
		return fail(w, type_at, "a value of the refused type JavaScript code");
	case TYPE_DB_POINTER:
		return fail(w, type_at, "a value of the refused type DBPointer");
	case TYPE_SYMBOL:
		return fail(w, type_at, "a value of the refused type symbol");
	case TYPE_UNDEFINED:
		return fail(w, type_at, "a value of the refused type undefined");
	default:
		return fail(w, type_at, "a value of an unknown type");
	}
}

static int check_element(struct walk *w)
{
	size_t type_at = w->at;
	if (w->keys == w->limits->keys) {
		return fail_limit(w, type_at, BSON_LIMIT_KEYS, "more elements than the limit");
	}
	w->keys++;
	w->at++;
	int r = check_name(w);
	return r < 0 ? r : check_value(w, w->p[type_at], type_at);
}

static int check_root(struct walk *w, size_t n)
{
	size_t max = w->limits->bytes < INT_MAX ? w->limits->bytes : INT_MAX;
	if (n >= sizeof(uint32_t) && read_u32(w->p) > max) {
		return fail_limit(w, 0, BSON_LIMIT_BYTES, "a document larger than the limit");
	}
	int r = open_document(w, n, false);
	while (r == 0 && w->depth > 0) {
		r = w->at == top(w)->end ? close_document(w) : check_element(w);
	}
	return r;
}

int bson_check(struct slice *bytes,
	const struct bson_limits *limits,
	struct slice *ret_document,
	struct bson_failure *ret_failure)
{
	struct walk w;
	w.p = bytes->p;
	w.at = 0;
	w.depth = 0;
	w.keys = 0;
	w.limits = limits;
	names_init(&w.names);
	int r = check_root(&w, bytes->n);
	names_deinit(&w.names);
	if (r == -EBADMSG && ret_failure != NULL) {
		*ret_failure = w.failure;
	}
	if (r == 0) {
		*ret_document = slice_of(bytes->p, w.at);
		*bytes = slice_skip(*bytes, w.at);
	}
	return r;
}
