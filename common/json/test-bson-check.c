/* The BSON walker: what it lets through, and each thing that it refuses, with the place. */
/* cmocka.h needs what stands before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "common/base/clock.h"
#include "common/base/map.h"
#include "common/json/bson_check.h"

#include <bson/bson.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static const struct bson_limits limits = { .bytes = 16 << 20, .depth = 64, .keys = 1000000 };

static struct bson_failure refusal(struct slice bytes, const struct bson_limits *l)
{
	struct bson_failure failure = { .offset = 9999, .what = "" };
	struct slice document = SLICE("untouched");
	struct slice rest = bytes;
	assert_int_equal(bson_check(&rest, l, &document, &failure), -EBADMSG);
	assert_ptr_equal(rest.p, bytes.p);
	assert_int_equal(rest.n, bytes.n);
	assert_int_equal(document.n, 9);
	return failure;
}

static void accept_all(struct slice bytes, const struct bson_limits *l)
{
	struct bson_failure failure = { .what = "" };
	struct slice document;
	struct slice rest = bytes;
	int r = bson_check(&rest, l, &document, &failure);
	assert_string_equal(failure.what, "");
	assert_int_equal(r, 0);
	assert_ptr_equal(document.p, bytes.p);
	assert_int_equal(document.n, bytes.n);
	assert_int_equal(rest.n, 0);
}

static struct slice bytes_of(const bson_t *b)
{
	return slice_of(bson_get_data(b), b->len);
}

static void accepts_every_type_a_plugin_may_send(void **state)
{
	bson_t b = BSON_INITIALIZER;
	bson_t child;
	bson_t array;
	bson_oid_t oid;
	bson_decimal128_t decimal;
	bson_oid_init_from_string(&oid, "66b0a2f4c3d2e10000000001");
	assert_true(bson_decimal128_from_string("1.50", &decimal));
	BSON_APPEND_DOUBLE(&b, "double", 1.5);
	BSON_APPEND_UTF8(&b, "string", "h\xc3\xa4");
	bson_append_utf8(&b, "nul", 3, "a\0b", 3);
	BSON_APPEND_DOCUMENT_BEGIN(&b, "document", &child);
	BSON_APPEND_INT32(&child, "double", 1);
	BSON_APPEND_ARRAY_BEGIN(&child, "array", &array);
	for (uint32_t i = 0; i < 120; i++) {
		const char *key;
		char digits[16];
		bson_uint32_to_string(i, &key, digits, sizeof(digits));
		BSON_APPEND_INT32(&array, key, 1);
	}
	bson_append_array_end(&child, &array);
	bson_append_document_end(&b, &child);
	BSON_APPEND_BINARY(
		&b, "binary", BSON_SUBTYPE_UUID, (const uint8_t *)"0123456789abcdef", 16);
	BSON_APPEND_BINARY(
		&b, "old binary", BSON_SUBTYPE_BINARY_DEPRECATED, (const uint8_t *)"xy", 2);
	BSON_APPEND_BINARY(&b, "no binary", BSON_SUBTYPE_BINARY, (const uint8_t *)"", 0);
	BSON_APPEND_OID(&b, "oid", &oid);
	BSON_APPEND_BOOL(&b, "bool", true);
	BSON_APPEND_DATE_TIME(&b, "date", -1);
	BSON_APPEND_NULL(&b, "null");
	BSON_APPEND_REGEX(&b, "regex", "^a+$", "imsx");
	BSON_APPEND_INT32(&b, "int32", 1);
	BSON_APPEND_TIMESTAMP(&b, "timestamp", 1, 2);
	BSON_APPEND_INT64(&b, "int64", INT64_MIN);
	BSON_APPEND_DECIMAL128(&b, "decimal", &decimal);
	BSON_APPEND_MINKEY(&b, "min");
	BSON_APPEND_MAXKEY(&b, "max");
	BSON_APPEND_INT32(&b, "", 1);
	BSON_APPEND_INT32(&b, "$dotted.na\xc3\xafve", 1);
	accept_all(bytes_of(&b), &limits);
	bson_destroy(&b);
}

static void takes_documents_one_by_one(void **state)
{
	struct slice bytes = SLICE("\x05\0\0\0\0"
				   "\x08\0\0\0\x0a"
				   "a\0\0"
				   "\x05\0\0");
	struct slice document;
	struct bson_failure failure;
	assert_int_equal(bson_check(&bytes, &limits, &document, &failure), 0);
	assert_int_equal(document.n, 5);
	assert_int_equal(bson_check(&bytes, &limits, &document, &failure), 0);
	assert_int_equal(document.n, 8);
	assert_int_equal(bytes.n, 3);
	assert_int_equal(bson_check(&bytes, &limits, &document, &failure), -EBADMSG);
	assert_int_equal(bytes.n, 3);
}

/* The bytes of one document: its length in front, `body`, the closing NUL. */
static size_t wrap(struct slice body, uint8_t *out)
{
	uint32_t n = (uint32_t)body.n + 5;
	memcpy(out, &n, sizeof(n));
	memcpy(out + 4, body.p, body.n);
	out[n - 1] = 0;
	return n;
}

#define BAD(body, offset, what)                                             \
	{                                                                   \
		{ (const uint8_t *)(body), sizeof(body) - 1 }, offset, what \
	}

static void refuses_elements_saying_what_and_where(void **state)
{
	static const struct {
		struct slice body;
		size_t offset;
		const char *what;
	} cases[] = {
		BAD("\x0a", 5, "a name or pattern without its closing NUL"),
		BAD("\x0a"
		    "abc",
			5, "a name or pattern without its closing NUL"),
		BAD("\x0a\xff\0", 5, "a name or pattern that is not valid UTF-8"),
		BAD("\x01"
		    "a\0"
		    "1234567",
			7, "a value cut short"),
		BAD("\x10"
		    "a\0"
		    "123",
			7, "a value cut short"),
		BAD("\x12"
		    "a\0",
			7, "a value cut short"),
		BAD("\x07"
		    "a\0"
		    "12345678901",
			7, "a value cut short"),
		BAD("\x13"
		    "a\0"
		    "123456789012345",
			7, "a value cut short"),
		BAD("\x08"
		    "a\0",
			7, "a value cut short"),
		BAD("\x08"
		    "a\0\2",
			7, "a boolean other than 0 and 1"),
		BAD("\x02"
		    "a\0\1\0\0",
			7, "a value cut short"),
		BAD("\x02"
		    "a\0\0\0\0\0",
			7, "a string's length that does not count its closing NUL"),
		BAD("\x02"
		    "a\0\3\0\0\0b\0",
			7, "a value's length that reaches too far"),
		BAD("\x02"
		    "a\0\xff\xff\xff\xff"
		    "b\0",
			7, "a value's length that reaches too far"),
		BAD("\x02"
		    "a\0\2\0\0\0bc",
			12, "a string without its closing NUL"),
		BAD("\x02"
		    "a\0\3\0\0\0\xc0\x80\0",
			11, "a string that is not valid UTF-8"),
		BAD("\x05"
		    "a\0\1\0\0\0",
			7, "a value cut short"),
		BAD("\x05"
		    "a\0\2\0\0\0\0b",
			7, "a value's length that reaches too far"),
		BAD("\x05"
		    "a\0\3\0\0\0\2bcd",
			12, "a binary value whose second length differs"),
		BAD("\x05"
		    "a\0\5\0\0\0\2\2\0\0\0x",
			12, "a binary value whose second length differs"),
		BAD("\x0b"
		    "a\0b",
			7, "a name or pattern without its closing NUL"),
		BAD("\x0b"
		    "a\0b\0i",
			9, "a name or pattern without its closing NUL"),
		BAD("\x0b"
		    "a\0\xff\0\0",
			7, "a name or pattern that is not valid UTF-8"),
		BAD("\x0b"
		    "a\0b\0ig\0",
			9, "a regular expression's option other than i, l, m, s, u, x"),
		BAD("\x03"
		    "a\0\4\0\0\0",
			7, "a document cut short"),
		BAD("\x03"
		    "a\0\4\0\0\0\0",
			7, "a document's length that is too small or reaches too far"),
		BAD("\x03"
		    "a\0\6\0\0\0\0",
			7, "a document's length that is too small or reaches too far"),
		BAD("\x03"
		    "a\0\xff\xff\xff\xff\0",
			7, "a document's length that is too small or reaches too far"),
		BAD("\x03"
		    "a\0\5\0\0\0\1",
			11, "a document without its closing NUL"),
		BAD("\x04"
		    "a\0\x08\0\0\0\x0a"
		    "1\0\0",
			12, "an array whose names are not 0, 1, 2 and so on"),
		BAD("\x04"
		    "a\0\x09\0\0\0\x0a"
		    "00\0\0",
			12, "an array whose names are not 0, 1, 2 and so on"),
		BAD("\x04"
		    "a\0\x07\0\0\0\x0a\0\0",
			12, "an array whose names are not 0, 1, 2 and so on"),
		BAD("\x04"
		    "a\0\x0b\0\0\0\x0a"
		    "0\0\x0a"
		    "0\0\0",
			15, "an array whose names are not 0, 1, 2 and so on"),
		BAD("\0a\0", 4, "a value of an unknown type"),
		BAD("\0", 5, "a name or pattern without its closing NUL"),
		BAD("\x14"
		    "a\0",
			4, "a value of an unknown type"),
		BAD("\x80"
		    "a\0",
			4, "a value of an unknown type"),
		BAD("\x06"
		    "a\0",
			4, "a value of the refused type undefined"),
		BAD("\x0c"
		    "a\0\2\0\0\0b\0"
		    "123456789012",
			4, "a value of the refused type DBPointer"),
		BAD("\x0d"
		    "a\0\2\0\0\0b\0",
			4, "a value of the refused type JavaScript code"),
		BAD("\x0e"
		    "a\0\2\0\0\0b\0",
			4, "a value of the refused type symbol"),
		BAD("\x0f"
		    "a\0\x0f\0\0\0\2\0\0\0b\0\5\0\0\0\0",
			4, "a value of the refused type JavaScript code"),
		BAD("\x0a"
		    "a\0\x0a"
		    "b\0\x0a"
		    "a\0",
			11, "a name that occurs twice in one document"),
		BAD("\x0a\0\x0a\0", 7, "a name that occurs twice in one document"),
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		/* A block of the exact size, so that a sanitizer sees one byte too many. */
		uint8_t *exact = malloc(cases[i].body.n + 5);
		assert_non_null(exact);
		size_t n = wrap(cases[i].body, exact);
		struct bson_failure failure = refusal(slice_of(exact, n), &limits);
		assert_string_equal(failure.what, cases[i].what);
		assert_int_equal(failure.offset, cases[i].offset);
		assert_int_equal(failure.limit, BSON_LIMIT_NONE);
		free(exact);
	}
}

static void refuses_roots(void **state)
{
	static const struct {
		struct slice bytes;
		size_t offset;
		const char *what;
	} cases[] = {
		BAD("", 0, "a document cut short"),
		BAD("\5\0\0\0", 0, "a document cut short"),
		BAD("\4\0\0\0\0", 0, "a document's length that is too small or reaches too far"),
		BAD("\0\0\0\0\0", 0, "a document's length that is too small or reaches too far"),
		BAD("\6\0\0\0\0", 0, "a document's length that is too small or reaches too far"),
		BAD("\5\0\0\0\1", 4, "a document without its closing NUL"),
		BAD("\xff\xff\xff\xff\0", 0, "a document larger than the limit"),
		BAD("\xff\xff\xff\x7f\0", 0, "a document larger than the limit"),
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct bson_failure failure = refusal(cases[i].bytes, &limits);
		assert_string_equal(failure.what, cases[i].what);
		assert_int_equal(failure.offset, cases[i].offset);
	}
	struct bson_failure failure = refusal(SLICE_NULL, &limits);
	assert_string_equal(failure.what, "a document cut short");
}

/* Every prefix of a document is refused, whatever its length field says. */
static void refuses_every_cut(void **state)
{
	bson_t b = BSON_INITIALIZER;
	bson_t child;
	BSON_APPEND_UTF8(&b, "s", "text");
	BSON_APPEND_ARRAY_BEGIN(&b, "array", &child);
	BSON_APPEND_INT64(&child, "0", 7);
	bson_append_array_end(&b, &child);
	BSON_APPEND_BINARY(&b, "b", BSON_SUBTYPE_BINARY, (const uint8_t *)"xyz", 3);
	for (uint32_t n = 0; n < b.len; n++) {
		uint8_t *exact = malloc(n > 0 ? n : 1);
		assert_non_null(exact);
		memcpy(exact, bson_get_data(&b), n);
		(void)refusal(slice_of(exact, n), &limits);
		if (n >= 5) {
			memcpy(exact, &n, sizeof(n));
			exact[n - 1] = 0;
			struct slice rest = slice_of(exact, n);
			struct slice document;
			/* A cut between elements is a document, any other is not: no bad read. */
			(void)bson_check(&rest, &limits, &document, NULL);
		}
		free(exact);
	}
	bson_destroy(&b);
}

static void names_the_limit(void **state)
{
	bson_t b = BSON_INITIALIZER;
	bson_t child;
	BSON_APPEND_INT32(&b, "a", 1);
	BSON_APPEND_ARRAY_BEGIN(&b, "b", &child);
	BSON_APPEND_INT32(&child, "0", 1);
	bson_append_array_end(&b, &child);
	struct bson_limits exact = { .bytes = b.len, .depth = 2, .keys = 3 };
	accept_all(bytes_of(&b), &exact);

	struct bson_limits small = exact;
	small.bytes--;
	struct bson_failure failure = refusal(bytes_of(&b), &small);
	assert_int_equal(failure.limit, BSON_LIMIT_BYTES);
	assert_int_equal(failure.offset, 0);

	/* libbson's own limit holds whatever ours is. */
	struct bson_limits none = exact;
	none.bytes = SIZE_MAX;
	failure = refusal(SLICE("\0\0\0\x80\0"), &none);
	assert_int_equal(failure.limit, BSON_LIMIT_BYTES);

	struct bson_limits flat = exact;
	flat.depth--;
	failure = refusal(bytes_of(&b), &flat);
	assert_int_equal(failure.limit, BSON_LIMIT_DEPTH);
	assert_int_equal(failure.offset, 14);

	struct bson_limits few = exact;
	few.keys--;
	failure = refusal(bytes_of(&b), &few);
	assert_int_equal(failure.limit, BSON_LIMIT_KEYS);
	assert_int_equal(failure.offset, 18);
	bson_destroy(&b);
}

/* `depth` documents, each the only member of the one around it. */
static uint8_t *nest(size_t depth, size_t *ret_n)
{
	size_t n = depth * 8 - 3;
	uint8_t *p = calloc(n, 1);
	assert_non_null(p);
	for (size_t i = 0; i < depth; i++) {
		uint32_t length = (uint32_t)((depth - i) * 8 - 3);
		memcpy(p + i * 7, &length, sizeof(length));
		if (i + 1 < depth) {
			memcpy(p + i * 7 + 4,
				"\x03"
				"a",
				2);
		}
	}
	*ret_n = n;
	return p;
}

static void bounds_the_depth_without_recursion(void **state)
{
	static const struct {
		size_t depth;
		unsigned limit;
		bool ok;
	} cases[] = { { 64, 64, true }, { 65, 64, false }, { 1000000, 64, false },
		{ BSON_DEPTH_MAX, 4000000, true }, { BSON_DEPTH_MAX + 1, 4000000, false },
		{ 1000000, 4000000, false }, { 1, 0, false } };
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t n;
		uint8_t *p = nest(cases[i].depth, &n);
		struct bson_limits l = limits;
		l.depth = cases[i].limit;
		if (cases[i].ok) {
			accept_all(slice_of(p, n), &l);
		} else {
			assert_int_equal(refusal(slice_of(p, n), &l).limit, BSON_LIMIT_DEPTH);
		}
		free(p);
	}
}

/* `n` int32 elements k0, k1, …; the last one called `last` when that is not NULL. */
static void many(bson_t *b, unsigned n, const char *last)
{
	char key[16];
	bson_init(b);
	for (unsigned i = 0; i < n; i++) {
		(void)snprintf(key, sizeof(key), "k%u", i);
		BSON_APPEND_INT32(b, i + 1 == n && last != NULL ? last : key, 0);
	}
}

/* Around the number of names where the method changes, and where memory is first taken. */
static void finds_duplicates_among_few_and_many(void **state)
{
	static const unsigned counts[] = { 2, 15, 16, 17, 18, 33, 63, 64, 65, 66, 129, 1000 };
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		bson_t b;
		many(&b, counts[i], NULL);
		accept_all(bytes_of(&b), &limits);
		bson_destroy(&b);
		many(&b, counts[i], "k0");
		struct bson_failure failure = refusal(bytes_of(&b), &limits);
		assert_string_equal(failure.what, "a name that occurs twice in one document");
		/* The last element: its name k0, its NUL, its value, the document's NUL. */
		assert_int_equal(failure.offset, b.len - 1 - 4 - 3);
		bson_destroy(&b);
	}
}

/* A name that begins like another is another, in either order, among few and many. */
static void tells_names_from_their_beginnings(void **state)
{
	static const unsigned counts[] = { 3, 40 };
	for (size_t i = 0; i < 2; i++) {
		bson_t b = BSON_INITIALIZER;
		char name[41];
		memset(name, 'x', sizeof(name));
		for (unsigned n = counts[i]; n > 0; n--) {
			assert_true(bson_append_int32(&b, name, (int)n, 1));
		}
		BSON_APPEND_INT32(&b, "", 1);
		accept_all(bytes_of(&b), &limits);
		bson_destroy(&b);
	}
}

/* The same names in a parent, its children and siblings are no duplicates; a duplicate behind a
 * child is one. */
static void tells_documents_apart(void **state)
{
	bson_t b = BSON_INITIALIZER;
	bson_t child;
	bson_t inner;
	many(&inner, 40, NULL);
	for (unsigned i = 0; i < 40; i++) {
		char key[16];
		(void)snprintf(key, sizeof(key), "k%u", i);
		BSON_APPEND_DOCUMENT_BEGIN(&b, key, &child);
		BSON_APPEND_DOCUMENT(&child, "k0", &inner);
		BSON_APPEND_INT32(&child, "k1", 1);
		bson_append_document_end(&b, &child);
	}
	accept_all(bytes_of(&b), &limits);
	uint32_t before = b.len;
	BSON_APPEND_INT32(&b, "k7", 1);
	assert_int_equal(refusal(bytes_of(&b), &limits).offset, before);
	bson_destroy(&b);
	bson_destroy(&inner);
}

/* Quadratic work on this many names would be 2 * 10^10 comparisons, a minute at least. */
static void many_names_take_linear_time(void **state)
{
	bson_t b;
	many(&b, 200000, NULL);
	uint64_t start = clock_ms();
	accept_all(bytes_of(&b), &limits);
	assert_in_range(clock_ms() - start, 0, 5000);
	struct bson_limits few = limits;
	few.keys = 100000;
	assert_int_equal(refusal(bytes_of(&b), &few).limit, BSON_LIMIT_KEYS);
	bson_destroy(&b);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(accepts_every_type_a_plugin_may_send),
		cmocka_unit_test(takes_documents_one_by_one),
		cmocka_unit_test(refuses_elements_saying_what_and_where),
		cmocka_unit_test(refuses_roots),
		cmocka_unit_test(refuses_every_cut),
		cmocka_unit_test(names_the_limit),
		cmocka_unit_test(bounds_the_depth_without_recursion),
		cmocka_unit_test(finds_duplicates_among_few_and_many),
		cmocka_unit_test(tells_names_from_their_beginnings),
		cmocka_unit_test(tells_documents_apart),
		cmocka_unit_test(many_names_take_linear_time),
	};
	return map_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
