/* The scanner: what it refuses, where and why; members; names and strings without their escapes. */
/* cmocka.h needs what stands before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "common/json/scan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static void accepts(void **state)
{
	static const struct {
		const char *text;
		enum json_kind kind;
	} cases[] = {
		{ "{}", JSON_IS_OBJECT },
		{ " \t\r\n{ } \n", JSON_IS_OBJECT },
		{ "[]", JSON_IS_ARRAY },
		{ "[ [ ] , { } ]", JSON_IS_ARRAY },
		{ "\"\"", JSON_IS_STRING },
		{ "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e4\\ud83d\\ude00\\u0000\"", JSON_IS_STRING },
		{ "\"h\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80 \xf4\x8f\xbf\xbf \x7f\"",
			JSON_IS_STRING },
		{ "0", JSON_IS_NUMBER },
		{ "-0", JSON_IS_NUMBER },
		{ "-0.0e-0", JSON_IS_NUMBER },
		{ "12E+3", JSON_IS_NUMBER },
		{ "1e99999", JSON_IS_NUMBER },
		{ "true", JSON_IS_TRUE },
		{ "false ", JSON_IS_FALSE },
		{ "null", JSON_IS_NULL },
		{ "{\"a\":[1,{\"b\":null}],\"a\":2}", JSON_IS_OBJECT },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		enum json_kind kind = JSON_IS_NULL;
		assert_int_equal(json_scan(slice_str(cases[i].text), NULL, NULL, &kind, NULL), 0);
		assert_int_equal(kind, cases[i].kind);
	}
}

static void refuses_saying_what_and_where(void **state)
{
	static const struct {
		const char *text;
		size_t offset;
		const char *what;
	} cases[] = {
		{ "", 0, "an empty text" },
		{ "  ", 2, "an empty text" },
		{ "\xef\xbb\xbf{}", 0, "a byte order mark" },
		{ "{} x", 3, "text after the end of the value" },
		{ "{}{}", 2, "text after the end of the value" },
		{ "[1]]", 3, "text after the end of the value" },
		{ "{", 1, "an end of the text inside an object" },
		{ "{\"a\":", 5, "an end of the text inside an object" },
		{ "{\"a\":1", 6, "an end of the text inside an object" },
		{ "{\"a\":1,", 7, "an end of the text inside an object" },
		{ "[1,", 3, "an end of the text inside an array" },
		{ "[[]", 3, "an end of the text inside an array" },
		{ "\"ab", 3, "an end of the text inside a string" },
		{ "\"ab\\", 4, "an end of the text inside a string" },
		{ "\"long enough for two words", 26, "an end of the text inside a string" },
		{ "[\"a\nb\"]", 3, "a control character inside a string" },
		{ "\"12345678\x1f\"", 9, "a control character inside a string" },
		{ "\"a\\x\"", 2, "an unknown escape inside a string" },
		{ "\"\\u12g4\"", 1, "a \\u escape without four hexadecimal digits" },
		{ "\"\\u12", 1, "a \\u escape without four hexadecimal digits" },
		{ "\"\\ud83d", 1, "half of a surrogate pair" },
		{ "\"\\ud83d\\ude0", 1, "half of a surrogate pair" },
		{ "\"\\ud83d\"", 1, "half of a surrogate pair" },
		{ "\"\\ud83d\\n\"", 1, "half of a surrogate pair" },
		{ "\"\\ud83d\\u0041\"", 1, "half of a surrogate pair" },
		{ "\"\\ude00\\ude00\"", 1, "half of a surrogate pair" },
		{ "\"\\ude00\\ud83d\"", 1, "half of a surrogate pair" },
		{ "\"12345678\xff\"", 9, "invalid UTF-8" },
		{ "\"\xc3\xa4\xc3\"", 3, "invalid UTF-8" },
		{ "\"\xed\xa0\x80\"", 1, "invalid UTF-8" },
		{ "\"\xe2\x82", 1, "invalid UTF-8" },
		{ "-", 1, "a minus sign without a digit after it" },
		{ "-a", 1, "a minus sign without a digit after it" },
		{ "01", 0, "a number with a leading zero" },
		{ "-012", 1, "a number with a leading zero" },
		{ "1.", 2, "a decimal point without a digit after it" },
		{ "1.e3", 2, "a decimal point without a digit after it" },
		{ "1e", 2, "an exponent without a digit" },
		{ "1E+", 3, "an exponent without a digit" },
		{ "+1", 0, "something that is not a JSON value" },
		{ ".5", 0, "something that is not a JSON value" },
		{ "NaN", 0, "something that is not a JSON value" },
		{ "nul", 0, "something that is not a JSON value" },
		{ "[tru]", 1, "something that is not a JSON value" },
		{ "'a'", 0, "something that is not a JSON value" },
		{ "// c\n1", 0, "something that is not a JSON value" },
		{ "truefalse", 4, "text after the end of the value" },
		{ "[1,]", 3, "a comma without a value after it" },
		{ "[,1]", 1, "a missing value" },
		{ "{\"a\":}", 5, "a missing value" },
		{ "{\"a\":]}", 5, "a missing value" },
		{ "]", 0, "a missing value" },
		{ "{\"a\":1,}", 7, "a comma without a member after it" },
		{ "{,}", 1, "a name that is not a string in double quotes" },
		{ "{a:1}", 1, "a name that is not a string in double quotes" },
		{ "{1:1}", 1, "a name that is not a string in double quotes" },
		{ "{\"a\" 1}", 5, "a name without a colon after it" },
		{ "{\"a\"", 4, "a name without a colon after it" },
		{ "{\"a\":1 \"b\":2}", 7, "a missing comma or closing brace in an object" },
		{ "{\"a\":1]", 6, "a missing comma or closing brace in an object" },
		{ "[1 2]", 3, "a missing comma or closing bracket in an array" },
		{ "[1}", 2, "a missing comma or closing bracket in an array" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct json_failure failure = { .offset = 999, .what = "" };
		enum json_kind kind = JSON_IS_TRUE;
		/* A block of the exact size, so that a sanitizer sees one byte too many. */
		struct slice text = slice_str(cases[i].text);
		uint8_t *exact = malloc(text.n + (text.n == 0));
		assert_non_null(exact);
		memcpy(exact, text.p, text.n);
		text.p = exact;
		assert_int_equal(json_scan(text, NULL, NULL, &kind, &failure), -EBADMSG);
		assert_string_equal(failure.what, cases[i].what);
		assert_int_equal(failure.offset, cases[i].offset);
		assert_int_equal(kind, JSON_IS_TRUE);
		free(exact);
	}
}

/* Every byte value at every place of a word: the fast path agrees with the definition. */
static void finds_special_bytes_at_every_place(void **state)
{
	for (size_t at = 1; at < 33; at++) {
		for (int c = 0; c < 256; c++) {
			uint8_t text[40];
			struct json_failure failure;
			memset(text, 'x', sizeof(text));
			text[0] = '"';
			text[34] = '"';
			text[at] = (uint8_t)c;
			int r = json_scan(slice_of(text, 35), NULL, NULL, NULL, &failure);
			bool plain = c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
			assert_int_equal(r, plain ? 0 : -EBADMSG);
			if (!plain) {
				/* After a quote stands text, unless it closed the string one early. */
				assert_int_equal(failure.offset, c == '"' ? at + 1 : at);
			}
		}
	}
}

static void refuses_a_nul_outside_a_string(void **state)
{
	struct json_failure failure;
	assert_int_equal(json_scan(SLICE("[1\0]"), NULL, NULL, NULL, &failure), -EBADMSG);
	assert_int_equal(failure.offset, 2);
	assert_int_equal(json_scan(SLICE("1\0"), NULL, NULL, NULL, &failure), -EBADMSG);
	assert_int_equal(failure.offset, 1);
	assert_int_equal(json_scan(SLICE_NULL, NULL, NULL, NULL, &failure), -EBADMSG);
	assert_int_equal(failure.offset, 0);
}

static void bounds_the_depth(void **state)
{
	char text[2 * (JSON_DEPTH_MAX + 1)];
	struct json_failure failure;
	memset(text, '[', JSON_DEPTH_MAX);
	memset(text + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
	assert_int_equal(
		json_scan(slice_of(text, 2 * JSON_DEPTH_MAX), NULL, NULL, NULL, &failure), 0);
	memset(text, '[', JSON_DEPTH_MAX + 1);
	memset(text + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
	assert_int_equal(
		json_scan(slice_of(text, sizeof(text)), NULL, NULL, NULL, &failure), -EBADMSG);
	assert_int_equal(failure.offset, JSON_DEPTH_MAX);
	assert_string_equal(failure.what, "more than 64 levels of nesting");
}

/* Objects and arrays in turn: the bits of 64 levels come back in the right order. */
static void remembers_each_level(void **state)
{
	char text[1024];
	size_t n = 0;
	for (int i = 0; i < JSON_DEPTH_MAX / 2; i++) {
		n += (size_t)snprintf(text + n, sizeof(text) - n, "[{\"a\":");
	}
	text[n++] = '1';
	for (int i = 0; i < JSON_DEPTH_MAX / 2; i++) {
		n += (size_t)snprintf(text + n, sizeof(text) - n, ",\"b\":2},3]");
	}
	assert_int_equal(json_scan(slice_of(text, n), NULL, NULL, NULL, NULL), 0);
	for (size_t i = 0; i < n; i++) {
		char was = text[i];
		if (was == ']' || was == '}') {
			text[i] = was == ']' ? '}' : ']';
			struct json_failure failure;
			assert_int_equal(
				json_scan(slice_of(text, n), NULL, NULL, NULL, &failure), -EBADMSG);
			assert_int_equal(failure.offset, i);
			text[i] = was;
		}
	}
}

struct seen {
	size_t n;
	size_t stop_after;
	struct json_member members[8];
};

static bool see(void *arg, const struct json_member *member)
{
	struct seen *seen = arg;
	assert_in_range(seen->n, 0, 7);
	seen->members[seen->n++] = *member;
	return seen->n != seen->stop_after;
}

static void reports_the_top_level_members(void **state)
{
	struct slice text = SLICE(" { \"a\" : {\"x\":[1,{\"y\":2}]} ,\"\\u0062\":-1.5e3,\"\":\"s\","
				  "\"a\":[ ] , \"n\":null }");
	struct seen seen = { 0 };
	assert_int_equal(json_scan(text, see, &seen, NULL, NULL), 0);
	static const char *names[] = { "a", "\\u0062", "", "a", "n" };
	static const char *values[] = { "{\"x\":[1,{\"y\":2}]}", "-1.5e3", "\"s\"", "[ ]", "null" };
	assert_int_equal(seen.n, 5);
	for (size_t i = 0; i < 5; i++) {
		const struct json_member *m = &seen.members[i];
		assert_true(slice_eq(m->name, slice_str(names[i])));
		assert_true(slice_eq(m->value, slice_str(values[i])));
		assert_int_equal(text.p[m->start], '"');
		assert_ptr_equal(text.p + m->start + 1, m->name.p);
		assert_ptr_equal(text.p + m->end, m->value.p + m->value.n);
	}
	assert_int_equal(seen.members[0].start, 3);
}

static void reports_nothing_below_and_no_array(void **state)
{
	struct seen seen = { 0 };
	assert_int_equal(json_scan(SLICE("[{\"a\":1},{\"b\":2}]"), see, &seen, NULL, NULL), 0);
	assert_int_equal(json_scan(SLICE("{}"), see, &seen, NULL, NULL), 0);
	assert_int_equal(seen.n, 0);
}

static void stops_when_told(void **state)
{
	struct seen seen = { .stop_after = 2 };
	struct json_failure failure = { .offset = 77 };
	assert_int_equal(json_scan(SLICE("{\"a\":1,\"b\":2,\"c\":3,!"), see, &seen, NULL, &failure),
		-ECANCELED);
	assert_int_equal(seen.n, 2);
	assert_int_equal(failure.offset, 77);
}

static void finds_line_and_column(void **state)
{
	size_t line;
	size_t column;
	struct slice text = SLICE("{\n  \"a\": x\n}\n");
	json_position(text, 0, &line, &column);
	assert_int_equal(line * 100 + column, 101);
	json_position(text, 9, &line, &column);
	assert_int_equal(line * 100 + column, 208);
	json_position(text, text.n, &line, &column);
	assert_int_equal(line * 100 + column, 401);
}

static void compares_names_without_escapes(void **state)
{
	static const struct {
		const char *escaped;
		const char *plain;
		bool equal;
	} cases[] = {
		{ "user_id", "user_id", true },
		{ "\\u0075ser_id", "user_id", true },
		{ "user_i\\u0064", "user_id", true },
		{ "\\u0075\\u0073\\u0065\\u0072\\u005F\\u0069\\u0064", "user_id", true },
		{ "user_id\\u0000", "user_id", false },
		{ "user_i", "user_id", false },
		{ "user_id2", "user_id", false },
		{ "\\u0075ser_i", "user_id", false },
		{ "\\u0055ser_id", "user_id", false },
		{ "a\\/b\\\\c\\\"d", "a/b\\c\"d", true },
		{ "\\b\\f\\n\\r\\t", "\b\f\n\r\t", true },
		{ "\\u00e4\\u20AC\\ud83d\\ude00", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", true },
		{ "\xc3\xa4", "\xc3\xa4", true },
		{ "", "", true },
		{ "", "a", false },
		{ "a", "", false },
		{ "\\u0061", "", false },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(
			json_name_eq(slice_str(cases[i].escaped), slice_str(cases[i].plain)),
			cases[i].equal);
	}
	assert_true(json_name_eq(SLICE("a\\u0000b"), SLICE("a\0b")));
	assert_true(json_name_eq(SLICE_NULL, SLICE_NULL));
}

static void unescapes(void **state)
{
	struct slice escaped = SLICE("a\\n\\u00e4\\u20ac\\ud83d\\ude00\\u0000\xc3\xa4\\\\z");
	struct slice plain = SLICE("a\n\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\0\xc3\xa4\\z");
	uint8_t out[64];
	size_t n = json_unescape(escaped, out);
	assert_true(slice_eq(slice_of(out, n), plain));
	assert_int_equal(json_unescape(SLICE_NULL, out), 0);
}

/* A caller that forgot to scan gets rubbish, but from inside its text. */
static void unescapes_what_was_never_scanned(void **state)
{
	static const char *const texts[] = { "\\", "\\u", "\\u12", "\\ud83d\\u", "\\ud83d\\ude0",
		"\\q", "x\\ud83d" };
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct slice text = slice_str(texts[i]);
		uint8_t *exact = malloc(text.n);
		uint8_t *out = malloc(text.n);
		assert_non_null(exact);
		assert_non_null(out);
		memcpy(exact, text.p, text.n);
		assert_in_range(json_unescape(slice_of(exact, text.n), out), 1, text.n);
		(void)json_name_eq(slice_of(exact, text.n), SLICE("x"));
		free(exact);
		free(out);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(accepts),
		cmocka_unit_test(refuses_saying_what_and_where),
		cmocka_unit_test(finds_special_bytes_at_every_place),
		cmocka_unit_test(refuses_a_nul_outside_a_string),
		cmocka_unit_test(bounds_the_depth),
		cmocka_unit_test(remembers_each_level),
		cmocka_unit_test(reports_the_top_level_members),
		cmocka_unit_test(reports_nothing_below_and_no_array),
		cmocka_unit_test(stops_when_told),
		cmocka_unit_test(finds_line_and_column),
		cmocka_unit_test(compares_names_without_escapes),
		cmocka_unit_test(unescapes),
		cmocka_unit_test(unescapes_what_was_never_scanned),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
