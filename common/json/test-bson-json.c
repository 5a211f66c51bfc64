/* JSON -> BSON -> JSON: values, refusals, extended JSON, and every allocation failing in turn. */
/* cmocka.h needs what stands before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "common/base/map.h"
#include "common/json/bson_check.h"
#include "common/json/bson_json.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { BIG = 64 << 20 };

/* Allocations left before one fails; negative: none fails. The linker sends the calls here
 * (-Wl,--wrap). */
static int allocations_left = -1;

void *__real_malloc(size_t n);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_realloc(void *p, size_t n);

static bool fails(void)
{
	if (allocations_left < 0) {
		return false;
	}
	return allocations_left == 0 || allocations_left-- == 0;
}

void *__wrap_malloc(size_t n)
{
	return fails() ? NULL : __real_malloc(n);
}

void *__wrap_realloc(void *p, size_t n)
{
	return fails() ? NULL : __real_realloc(p, n);
}

/* Converts and shows what bson_check() thinks of it too. */
static void convert(const char *json, int flags, bson_t *ret)
{
	struct json_failure failure = { .what = "" };
	static const struct bson_limits limits = { .bytes = BIG, .depth = 64, .keys = BIG };
	struct bson_failure bad = { .what = "" };
	struct slice document;
	bson_init(ret);
	int r = json_to_bson(slice_str(json), flags, ret, &failure);
	assert_string_equal(failure.what, "");
	assert_int_equal(r, 0);
	struct slice bytes = slice_of(bson_get_data(ret), ret->len);
	r = bson_check(&bytes, &limits, &document, &bad);
	assert_string_equal(bad.what, "");
	assert_int_equal(r, 0);
}

static void expect_json(const bson_t *b, int flags, const char *expected)
{
	struct buffer out;
	buffer_init(&out, BIG);
	assert_int_equal(bson_to_json(slice_of(bson_get_data(b), b->len), flags, &out), 0);
	assert_int_equal(buffer_append_byte(&out, 0), 0);
	assert_string_equal((const char *)out.p, expected);
	buffer_deinit(&out);
}

static void expect_round(const char *json, int flags, const char *expected)
{
	bson_t b;
	convert(json, flags, &b);
	expect_json(&b, flags, expected);
	bson_destroy(&b);
}

static void makes_the_bson_that_libbson_makes(void **state)
{
	bson_t ours;
	bson_t theirs = BSON_INITIALIZER;
	bson_t child;
	bson_t array;
	convert(" { \"s\" : \"a\\u0000\\n\\u20ac\" , \"i\":2147483647,\"j\":2147483648,\"k\":-2147483648,"
		"\"l\":-2147483649,\"d\":1.5,\"e\":1e2,\"t\":true,\"f\":false,\"n\":null,"
		"\"o\":{\"\":{}},\"a\":[1,[],\"x\",{\"b\":2}],\"\\u0061b\":0} ",
		JSON_BSON_PLAIN, &ours);
	bson_append_utf8(&theirs, "s", 1, "a\0\n\xe2\x82\xac", 6);
	BSON_APPEND_INT32(&theirs, "i", INT32_MAX);
	BSON_APPEND_INT64(&theirs, "j", 2147483648);
	BSON_APPEND_INT32(&theirs, "k", INT32_MIN);
	BSON_APPEND_INT64(&theirs, "l", -2147483649);
	BSON_APPEND_DOUBLE(&theirs, "d", 1.5);
	BSON_APPEND_DOUBLE(&theirs, "e", 100);
	BSON_APPEND_BOOL(&theirs, "t", true);
	BSON_APPEND_BOOL(&theirs, "f", false);
	BSON_APPEND_NULL(&theirs, "n");
	BSON_APPEND_DOCUMENT_BEGIN(&theirs, "o", &child);
	BSON_APPEND_DOCUMENT_BEGIN(&child, "", &array);
	bson_append_document_end(&child, &array);
	bson_append_document_end(&theirs, &child);
	BSON_APPEND_ARRAY_BEGIN(&theirs, "a", &array);
	BSON_APPEND_INT32(&array, "0", 1);
	BSON_APPEND_ARRAY_BEGIN(&array, "1", &child);
	bson_append_array_end(&array, &child);
	BSON_APPEND_UTF8(&array, "2", "x");
	BSON_APPEND_DOCUMENT_BEGIN(&array, "3", &child);
	BSON_APPEND_INT32(&child, "b", 2);
	bson_append_document_end(&array, &child);
	bson_append_array_end(&theirs, &array);
	BSON_APPEND_INT32(&theirs, "ab", 0);
	assert_int_equal(ours.len, theirs.len);
	assert_memory_equal(bson_get_data(&ours), bson_get_data(&theirs), ours.len);
	bson_destroy(&ours);
	bson_destroy(&theirs);
}

static void appends_to_what_is_there(void **state)
{
	bson_t b = BSON_INITIALIZER;
	BSON_APPEND_INT32(&b, "first", 1);
	assert_int_equal(json_to_bson(SLICE("{\"second\":2}"), 0, &b, NULL), 0);
	expect_json(&b, 0, "{\"first\":1,\"second\":2}");
	assert_int_equal(json_to_bson(SLICE("{}"), 0, &b, NULL), 0);
	assert_int_equal(json_to_bson(SLICE("{\"third\":3,\"third\":3}"), 0, &b, NULL), -EBADMSG);
	assert_int_equal(json_to_bson(SLICE("{\"third\":3"), 0, &b, NULL), -EBADMSG);
	expect_json(&b, 0, "{\"first\":1,\"second\":2}");
	bson_destroy(&b);

	struct buffer out;
	buffer_init(&out, 100);
	assert_int_equal(buffer_append(&out, SLICE("before")), 0);
	assert_int_equal(json_to_bson_bytes(SLICE("{\"a\":1}"), 0, &out, NULL), 0);
	assert_true(slice_eq(buffer_slice(&out),
		SLICE("before\x0c\0\0\0\x10"
		      "a\0\1\0\0\0\0")));
	assert_int_equal(json_to_bson_bytes(SLICE("{\"a\":1e999}"), 0, &out, NULL), -EBADMSG);
	assert_int_equal(out.n, 18);
	buffer_deinit(&out);
}

static void writes_numbers_that_read_back(void **state)
{
	static const struct {
		const char *in;
		const char *out;
	} cases[] = {
		{ "0", "0" },
		{ "-0", "0" },
		{ "9223372036854775807", "9223372036854775807" },
		{ "-9223372036854775808", "-9223372036854775808" },
		{ "9223372036854775808", "9.223372036854776e+18" },
		{ "99999999999999999999999", "1e+23" },
		{ "-0.0", "-0.0" },
		{ "1.0", "1.0" },
		{ "1e0", "1.0" },
		{ "100e-2", "1.0" },
		{ "0.1", "0.1" },
		{ "0.30000000000000004", "0.30000000000000004" },
		{ "3.14159", "3.14159" },
		{ "123456789012345680.0", "1.2345678901234568e+17" },
		{ "5e-324", "4.94065645841247e-324" },
		{ "1e-400", "0.0" },
		{ "1.7976931348623157e308", "1.7976931348623157e+308" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char in[128];
		char out[128];
		(void)snprintf(in, sizeof(in), "{\"n\":%s}", cases[i].in);
		(void)snprintf(out, sizeof(out), "{\"n\":%s}", cases[i].out);
		expect_round(in, JSON_BSON_PLAIN, out);
		expect_round(out, JSON_BSON_PLAIN, out);
	}
}

static void does_not_depend_on_the_locale(void **state)
{
	static const char *const with_comma[] = { "de_DE.UTF-8", "fr_FR.UTF-8", "da_DK.UTF-8" };
	bool found = false;
	for (size_t i = 0; i < sizeof(with_comma) / sizeof(with_comma[0]) && !found; i++) {
		found = setlocale(LC_ALL, with_comma[i]) != NULL;
	}
	if (!found) {
		print_message("no locale with a decimal comma is installed\n");
		skip();
	}
	expect_round("{\"n\":-1.5,\"m\":2.5e-10}", 0, "{\"n\":-1.5,\"m\":2.5e-10}");
	(void)setlocale(LC_ALL, "C");
}

static void refuses_saying_what_and_where(void **state)
{
	static const struct {
		const char *json;
		size_t offset;
		const char *what;
	} cases[] = {
		{ "[1]", 0, "a value that is not an object" },
		{ "7", 0, "a value that is not an object" },
		{ "", 0, "an empty text" },
		{ "{} {}", 3, "text after the end of the value" },
		{ "{\"a\":NaN}", 5, "something that is not a JSON value" },
		{ "{\"a\":-01}", 6, "a number with a leading zero" },
		{ "{\"a\":1,\"b\":{\"c\":1},\"a\":2}", 19,
			"a name that occurs twice in one object" },
		{ "{\"a\":1,\"\\u0061\":2}", 7, "a name that occurs twice in one object" },
		{ "{\"x\":[{\"a\":1, \"a\":2}]}", 14, "a name that occurs twice in one object" },
		{ "{\"a\\u0000b\":1}", 1, "a name with a NUL character in it" },
		{ "{\"a\":1e309}", 5, "a number too large for a double" },
		{ "{\"a\":[-1e309]}", 6, "a number too large for a double" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct json_failure failure = { .what = "" };
		bson_t b = BSON_INITIALIZER;
		assert_int_equal(
			json_to_bson(slice_str(cases[i].json), JSON_BSON_EXTENDED, &b, &failure),
			-EBADMSG);
		assert_string_equal(failure.what, cases[i].what);
		assert_int_equal(failure.offset, cases[i].offset);
		bson_destroy(&b);
	}
}

static void bounds_the_length_of_a_number(void **state)
{
	char json[1200];
	struct json_failure failure;
	bson_t b = BSON_INITIALIZER;
	memcpy(json, "{\"n\":0.", 7);
	memset(json + 7, '1', 1022);
	json[7 + 1022] = '}';
	assert_int_equal(json_to_bson(slice_of(json, 1030), 0, &b, &failure), 0);
	json[7 + 1022] = '1';
	json[7 + 1023] = '}';
	assert_int_equal(json_to_bson(slice_of(json, 1031), 0, &b, &failure), -EBADMSG);
	assert_string_equal(failure.what, "a number longer than 1024 bytes");
	assert_int_equal(failure.offset, 5);
	bson_destroy(&b);
}

/* {"k0":0,"k1":0,…} */
static void write_members(struct buffer *json, unsigned n)
{
	buffer_clear(json);
	assert_int_equal(buffer_append_byte(json, '{'), 0);
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(buffer_printf(json, "%s\"k%u\":0", i > 0 ? "," : "", i), 0);
	}
	assert_int_equal(buffer_append_byte(json, '}'), 0);
}

static void bounds_the_members_of_an_object(void **state)
{
	struct buffer json;
	struct buffer bson;
	struct json_failure failure;
	buffer_init(&json, BIG);
	buffer_init(&bson, BIG);
	write_members(&json, JSON_MEMBERS_MAX);
	assert_int_equal(json_to_bson_bytes(buffer_slice(&json), 0, &bson, &failure), 0);
	write_members(&json, JSON_MEMBERS_MAX + 1);
	assert_int_equal(json_to_bson_bytes(buffer_slice(&json), 0, &bson, &failure), -EBADMSG);
	assert_string_equal(failure.what, "more than 10000 members in one object");
	buffer_deinit(&json);
	buffer_deinit(&bson);
}

static void leaves_extended_json_as_data_without_the_flag(void **state)
{
	static const char *const same[] = {
		"{\"a\":{\"$oid\":\"66b0a2f4c3d2e10000000001\"}}",
		"{\"$date\":\"yesterday\"}",
		"{\"a\":{\"$numberLong\":\"1\"}}",
		"{\"a\":{\"$binary\":{\"base64\":\"AA==\",\"subType\":\"00\"}}}",
		"{\"a\":{\"$code\":\"x\"},\"b\":{\"$regex\":\"^a\",\"$options\":\"i\"}}",
		"{\"$type\":\"string\"}",
	};
	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		expect_round(same[i], JSON_BSON_PLAIN, same[i]);
	}
}

/* What is not exactly one of the five forms is data with the flag too. */
static void leaves_the_rest_as_data_with_the_flag(void **state)
{
	static const char *const same[] = {
		"{\"a\":{\"$code\":\"x\"}}",
		"{\"a\":{\"$regex\":\"^a\",\"$options\":\"i\"}}",
		"{\"a\":{\"$regularExpression\":{\"pattern\":\"a\",\"options\":\"\"}}}",
		"{\"a\":{\"$dbPointer\":{\"$ref\":\"x\",\"$id\":1}}}",
		"{\"a\":{\"$symbol\":\"x\"},\"b\":{\"$minKey\":1},\"c\":{\"$undefined\":true}}",
		"{\"a\":{\"$timestamp\":{\"t\":1,\"i\":2}}}",
		"{\"a\":{\"$numberInt\":\"1\"},\"b\":{\"$numberDouble\":\"NaN\"}}",
		"{\"a\":{\"$type\":\"string\"}}",
		"{\"a\":{\"$oid\":5}}",
		"{\"a\":{\"$oid\":null}}",
		"{\"a\":{\"$oid\":[\"66b0a2f4c3d2e10000000001\"]}}",
		"{\"a\":{\"$oid\":\"66b0a2f4c3d2e10000000001\",\"b\":1}}",
		"{\"a\":{\"b\":1,\"$oid\":\"66b0a2f4c3d2e10000000001\"}}",
		"{\"a\":{\"$oid\":{\"$other\":\"x\"}}}",
		"{\"a\":{\"$date\":1.5}}",
		"{\"a\":{\"$date\":true}}",
		"{\"a\":{\"$date\":[1]}}",
		"{\"a\":{\"$date\":{}}}",
		"{\"a\":{\"$date\":{\"$numberLong\":1}}}",
		"{\"a\":{\"$date\":{\"$numberInt\":\"1\"}}}",
		"{\"a\":{\"$date\":\"now\",\"b\":1}}",
		"{\"a\":{\"$binary\":\"AA==\",\"$type\":\"00\"}}",
		"{\"a\":{\"$binary\":{\"base64\":\"AA==\"}}}",
		"{\"a\":{\"$binary\":{\"base64\":\"AA==\",\"subType\":0}}}",
		"{\"a\":{\"$binary\":{\"base64\":\"AA==\",\"subType\":\"00\",\"x\":\"\"}}}",
		"{\"a\":{\"$binary\":{\"base64\":\"AA==\",\"type\":\"00\"}}}",
		/* The document itself is always a document. */
		"{\"$oid\":\"66b0a2f4c3d2e10000000001\"}",
	};
	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		expect_round(same[i], JSON_BSON_EXTENDED, same[i]);
	}
}

static void expect_type(const char *json, bson_type_t type, const char *plain, const char *extended)
{
	bson_t b;
	bson_iter_t iter;
	convert(json, JSON_BSON_EXTENDED, &b);
	assert_true(bson_iter_init_find(&iter, &b, "v"));
	assert_int_equal(bson_iter_type(&iter), type);
	expect_json(&b, JSON_BSON_PLAIN, plain);
	expect_json(&b, JSON_BSON_EXTENDED, extended);
	bson_destroy(&b);
}

static void reads_the_five_forms(void **state)
{
	expect_type("{\"v\": { \"$oid\" : \"66B0a2f4c3d2e10000000001\" } }", BSON_TYPE_OID,
		"{\"v\":\"66b0a2f4c3d2e10000000001\"}",
		"{\"v\":{\"$oid\":\"66b0a2f4c3d2e10000000001\"}}");
	expect_type("{\"v\":{\"\\u0024oid\":\"66b0a2f4c3d2e1000000000\\u0031\"}}", BSON_TYPE_OID,
		"{\"v\":\"66b0a2f4c3d2e10000000001\"}",
		"{\"v\":{\"$oid\":\"66b0a2f4c3d2e10000000001\"}}");
	expect_type("{\"v\":{\"$numberLong\":\"5\"}}", BSON_TYPE_INT64, "{\"v\":5}",
		"{\"v\":{\"$numberLong\":\"5\"}}");
	expect_type("{\"v\":{\"$numberLong\":\"-9223372036854775808\"}}", BSON_TYPE_INT64,
		"{\"v\":-9223372036854775808}",
		"{\"v\":{\"$numberLong\":\"-9223372036854775808\"}}");
	expect_type("{\"v\":{\"$numberDecimal\":\"1.50\"}}", BSON_TYPE_DECIMAL128,
		"{\"v\":\"1.50\"}", "{\"v\":{\"$numberDecimal\":\"1.50\"}}");
	expect_type("{\"v\":{\"$numberDecimal\":\"-Infinity\"}}", BSON_TYPE_DECIMAL128,
		"{\"v\":\"-Infinity\"}", "{\"v\":{\"$numberDecimal\":\"-Infinity\"}}");
	expect_type("{\"v\":{\"$binary\":{\"base64\":\"AP\\/+\",\"subType\":\"4\"}}}",
		BSON_TYPE_BINARY, "{\"v\":\"AP/+\"}",
		"{\"v\":{\"$binary\":{\"base64\":\"AP/+\",\"subType\":\"04\"}}}");
	expect_type("{\"v\":{\"$binary\":{\"subType\":\"02\",\"base64\":\"eA==\"}}}",
		BSON_TYPE_BINARY, "{\"v\":\"eA==\"}",
		"{\"v\":{\"$binary\":{\"base64\":\"eA==\",\"subType\":\"02\"}}}");
	expect_type("{\"v\":{\"$binary\":{\"base64\":\"\",\"subType\":\"fF\"}}}", BSON_TYPE_BINARY,
		"{\"v\":\"\"}", "{\"v\":{\"$binary\":{\"base64\":\"\",\"subType\":\"ff\"}}}");
}

static void reads_dates(void **state)
{
	static const struct {
		const char *in;
		const char *out; /* the text, or NULL: milliseconds */
		int64_t ms;
	} cases[] = {
		{ "\"1970-01-01T00:00:00Z\"", "1970-01-01T00:00:00.000Z", 0 },
		{ "\"2026-11-21T12:00:00.000Z\"", "2026-11-21T12:00:00.000Z", 1795262400000 },
		{ "\"2026-11-21T12:00:00.1Z\"", "2026-11-21T12:00:00.100Z", 1795262400100 },
		{ "\"2026-11-21T12:00:00.123456789Z\"", "2026-11-21T12:00:00.123Z", 1795262400123 },
		{ "\"2026-11-21T13:30:00+01:30\"", "2026-11-21T12:00:00.000Z", 1795262400000 },
		{ "\"2026-11-21T07:00:00-05:00\"", "2026-11-21T12:00:00.000Z", 1795262400000 },
		{ "\"2024-02-29T23:59:59.999Z\"", "2024-02-29T23:59:59.999Z", 1709251199999 },
		{ "\"0000-01-01T00:00:00Z\"", "0000-01-01T00:00:00.000Z", -62167219200000 },
		{ "\"9999-12-31T23:59:59.999Z\"", "9999-12-31T23:59:59.999Z", 253402300799999 },
		{ "{\"$numberLong\":\"-1\"}", "1969-12-31T23:59:59.999Z", -1 },
		{ "-1001", "1969-12-31T23:59:58.999Z", -1001 },
		{ "253402300800000", NULL, 253402300800000 },
		{ "{\"$numberLong\":\"9223372036854775807\"}", NULL, INT64_MAX },
		{ "{\"$numberLong\":\"-9223372036854775808\"}", NULL, INT64_MIN },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bson_t b;
		bson_iter_t iter;
		char json[128];
		char expected[128];
		(void)snprintf(json, sizeof(json), "{\"v\":{\"$date\":%s}}", cases[i].in);
		convert(json, JSON_BSON_EXTENDED, &b);
		assert_true(bson_iter_init_find(&iter, &b, "v"));
		assert_int_equal(bson_iter_type(&iter), BSON_TYPE_DATE_TIME);
		assert_true(bson_iter_date_time(&iter) == cases[i].ms);
		if (cases[i].out != NULL) {
			(void)snprintf(expected, sizeof(expected), "{\"v\":{\"$date\":\"%s\"}}",
				cases[i].out);
		} else {
			(void)snprintf(expected, sizeof(expected),
				"{\"v\":{\"$date\":{\"$numberLong\":\"%lld\"}}}",
				(long long)cases[i].ms);
		}
		expect_json(&b, JSON_BSON_EXTENDED, expected);
		bson_destroy(&b);
	}
}

static void writes_far_dates_with_a_sign(void **state)
{
	bson_t b = BSON_INITIALIZER;
	BSON_APPEND_DATE_TIME(&b, "a", 253402300800000);
	BSON_APPEND_DATE_TIME(&b, "b", -62167219200001);
	BSON_APPEND_DATE_TIME(&b, "c", INT64_MAX);
	BSON_APPEND_DATE_TIME(&b, "d", INT64_MIN);
	expect_json(&b, JSON_BSON_PLAIN,
		"{\"a\":\"+010000-01-01T00:00:00.000Z\",\"b\":\"-000001-12-31T23:59:59.999Z\","
		"\"c\":\"+292278994-08-17T07:12:55.807Z\",\"d\":\"-292275055-05-16T16:47:04.192Z\"}");
	bson_destroy(&b);
}

static void refuses_forms_that_cannot_be_read(void **state)
{
	static const char oid[] = "an $oid that is not 24 hexadecimal digits";
	static const char date[] = "a $date that is neither ISO 8601 with a zone nor milliseconds";
	static const char number[] = "a $numberLong that is not a 64-bit integer";
	static const char decimal[] = "a $numberDecimal that is not a decimal number";
	static const char base64[] = "a $binary whose base64 cannot be read";
	static const char subtype[] =
		"a $binary whose subType is not one or two hexadecimal digits";
	static const struct {
		const char *value;
		const char *what;
	} cases[] = {
		{ "{\"$oid\":\"\"}", oid },
		{ "{\"$oid\":\"66b0a2f4c3d2e1000000000\"}", oid },
		{ "{\"$oid\":\"66b0a2f4c3d2e1000000000g\"}", oid },
		{ "{\"$oid\":\"66b0a2f4c3d2e100000000011\"}", oid },
		{ "{\"$date\":\"\"}", date },
		{ "{\"$date\":\"yesterday\"}", date },
		{ "{\"$date\":\"2026-11-21\"}", date },
		{ "{\"$date\":\"2026-11-21T12:00:00\"}", date },
		{ "{\"$date\":\"2026-11-21 12:00:00Z\"}", date },
		{ "{\"$date\":\"2026-02-29T12:00:00Z\"}", date },
		{ "{\"$date\":\"2026-00-01T12:00:00Z\"}", date },
		{ "{\"$date\":\"2026-13-01T12:00:00Z\"}", date },
		{ "{\"$date\":\"2026-01-00T12:00:00Z\"}", date },
		{ "{\"$date\":\"2026-01-01T24:00:00Z\"}", date },
		{ "{\"$date\":\"2026-01-01T12:60:00Z\"}", date },
		{ "{\"$date\":\"2026-01-01T12:00:60Z\"}", date },
		{ "{\"$date\":\"2026-01-01T12:00:00.Z\"}", date },
		{ "{\"$date\":\"2026-01-01T12:00:00.1234567890Z\"}", date },
		{ "{\"$date\":\"2026-01-01T12:00:00+24:00\"}", date },
		{ "{\"$date\":\"2026-01-01T12:00:00Zx\"}", date },
		{ "{\"$date\":{\"$numberLong\":\"1.5\"}}", date },
		{ "{\"$numberLong\":\"\"}", number },
		{ "{\"$numberLong\":\"-\"}", number },
		{ "{\"$numberLong\":\"01\"}", number },
		{ "{\"$numberLong\":\"+1\"}", number },
		{ "{\"$numberLong\":\" 1\"}", number },
		{ "{\"$numberLong\":\"9223372036854775808\"}", number },
		{ "{\"$numberLong\":\"-9223372036854775809\"}", number },
		{ "{\"$numberLong\":\"1e3\"}", number },
		{ "{\"$numberDecimal\":\"\"}", decimal },
		{ "{\"$numberDecimal\":\"one\"}", decimal },
		{ "{\"$numberDecimal\":\"1\\u00002\"}", decimal },
		{ "{\"$numberDecimal\":\"1e9999\"}", decimal },
		{ "{\"$binary\":{\"base64\":\"A\",\"subType\":\"00\"}}", base64 },
		{ "{\"$binary\":{\"base64\":\"AA\",\"subType\":\"00\"}}", base64 },
		{ "{\"$binary\":{\"base64\":\"AB==\",\"subType\":\"00\"}}", base64 },
		{ "{\"$binary\":{\"base64\":\"AA==AA==\",\"subType\":\"00\"}}", base64 },
		{ "{\"$binary\":{\"base64\":\"A A=\",\"subType\":\"00\"}}", base64 },
		{ "{\"$binary\":{\"base64\":\"AA_-\",\"subType\":\"00\"}}", base64 },
		{ "{\"$binary\":{\"base64\":\"AA==\",\"subType\":\"\"}}", subtype },
		{ "{\"$binary\":{\"base64\":\"AA==\",\"subType\":\"000\"}}", subtype },
		{ "{\"$binary\":{\"base64\":\"AA==\",\"subType\":\"0x\"}}", subtype },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char json[128];
		struct json_failure failure = { .what = "" };
		bson_t b = BSON_INITIALIZER;
		(void)snprintf(json, sizeof(json), "{\"v\":%s}", cases[i].value);
		assert_int_equal(
			json_to_bson(slice_str(json), JSON_BSON_EXTENDED, &b, &failure), -EBADMSG);
		assert_string_equal(failure.what, cases[i].what);
		assert_int_equal(failure.offset, 5);
		bson_destroy(&b);
	}
	char json[400];
	struct json_failure failure;
	bson_t b = BSON_INITIALIZER;
	(void)snprintf(json, sizeof(json), "{\"v\":{\"$oid\":\"%0257d\"}}", 1);
	assert_int_equal(json_to_bson(slice_str(json), JSON_BSON_EXTENDED, &b, &failure), -EBADMSG);
	assert_string_equal(failure.what, "extended JSON with a text longer than 256 bytes");
	bson_destroy(&b);
}

static void writes_the_other_types(void **state)
{
	bson_t b = BSON_INITIALIZER;
	BSON_APPEND_REGEX(&b, "r", "^a\"", "i");
	BSON_APPEND_TIMESTAMP(&b, "t", 1, 2);
	BSON_APPEND_MINKEY(&b, "min");
	BSON_APPEND_MAXKEY(&b, "max");
	expect_json(&b, JSON_BSON_PLAIN,
		"{\"r\":\"^a\\\"\",\"t\":\"1970-01-01T00:00:01.000Z\",\"min\":\"MinKey\","
		"\"max\":\"MaxKey\"}");
	expect_json(&b, JSON_BSON_EXTENDED,
		"{\"r\":{\"$regularExpression\":{\"pattern\":\"^a\\\"\",\"options\":\"i\"}},"
		"\"t\":{\"$timestamp\":{\"t\":1,\"i\":2}},\"min\":{\"$minKey\":1},"
		"\"max\":{\"$maxKey\":1}}");
	bson_reinit(&b);
	bson_t scope = BSON_INITIALIZER;
	bson_oid_t oid;
	bson_oid_init_from_string(&oid, "66b0a2f4c3d2e10000000001");
	BSON_APPEND_UNDEFINED(&b, "u");
	BSON_APPEND_CODE(&b, "c", "f()");
	BSON_APPEND_CODE_WITH_SCOPE(&b, "w", "g()", &scope);
	BSON_APPEND_SYMBOL(&b, "s", "sym");
	BSON_APPEND_DBPOINTER(&b, "p", "coll", &oid);
	for (int flags = JSON_BSON_PLAIN; flags <= JSON_BSON_EXTENDED; flags++) {
		expect_json(&b, flags,
			"{\"u\":null,\"c\":\"f()\",\"w\":\"g()\",\"s\":\"sym\","
			"\"p\":\"66b0a2f4c3d2e10000000001\"}");
	}
	bson_destroy(&b);
}

static void refuses_what_json_cannot_say(void **state)
{
	static const double bad[] = { NAN, INFINITY, -INFINITY };
	struct buffer out;
	buffer_init(&out, 1000);
	assert_int_equal(buffer_append(&out, SLICE("before")), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		bson_t b = BSON_INITIALIZER;
		BSON_APPEND_INT32(&b, "a", 1);
		BSON_APPEND_DOUBLE(&b, "d", bad[i]);
		struct slice bytes = slice_of(bson_get_data(&b), b.len);
		assert_int_equal(bson_to_json(bytes, 0, &out), -EDOM);
		assert_true(slice_eq(buffer_slice(&out), SLICE("before")));
		bson_destroy(&b);
	}
	buffer_deinit(&out);
}

static void refuses_what_is_no_bson(void **state)
{
	static const struct slice bad[] = {
		{ NULL, 0 },
		{ (const uint8_t *)"\5\0\0\0", 4 },
		{ (const uint8_t *)"\6\0\0\0\0", 5 },
		{ (const uint8_t *)"\5\0\0\0\1", 5 },
		{ (const uint8_t *)"\x0a\0\0\0\x02"
				   "a\0\1\0\0",
			10 },
		{ (const uint8_t *)"\x0e\0\0\0\x02"
				   "a\0\2\0\0\0bc\0",
			14 },
		{ (const uint8_t *)"\x08\0\0\0\x55"
				   "a\0\0",
			8 },
	};
	struct buffer out;
	buffer_init(&out, 1000);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(bson_to_json(bad[i], 0, &out), -EBADMSG);
		assert_int_equal(out.n, 0);
	}
	buffer_deinit(&out);
}

/* 101 documents in each other, unchecked: an error, not a stack overflow. */
static void refuses_bson_that_is_too_deep(void **state)
{
	for (size_t depth = BSON_DEPTH_MAX; depth <= BSON_DEPTH_MAX + 1; depth++) {
		uint8_t p[8 * (BSON_DEPTH_MAX + 1)] = { 0 };
		struct buffer out;
		buffer_init(&out, 10000);
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
		assert_int_equal(bson_to_json(slice_of(p, depth * 8 - 3), 0, &out),
			depth == BSON_DEPTH_MAX ? 0 : -EBADMSG);
		buffer_deinit(&out);
	}
}

/* Everything at once: enough names to hash, enough levels, an escaped base64. */
static void write_long_text(struct buffer *json)
{
	buffer_init(json, BIG);
	assert_int_equal(buffer_printf(json,
				 "{\"bin\":{\"$binary\":{\"base64\":\"%s\",\"subType\":\"00\"}},"
				 "\"deep\":[[[[{\"x\":1.5}]]]],\"many\":{",
				 "AP\\/+"),
		0);
	for (unsigned i = 0; i < 200; i++) {
		assert_int_equal(
			buffer_printf(json, "%s\"name%u\":\"text\"", i > 0 ? "," : "", i), 0);
	}
	assert_int_equal(buffer_append(json, SLICE("}}")), 0);
}

static void survives_every_failing_allocation(void **state)
{
	struct buffer json;
	int failed = 0;
	int r = -ENOMEM;
	write_long_text(&json);
	for (int n = 0; r == -ENOMEM; n++) {
		struct buffer bson;
		struct buffer again;
		buffer_init(&bson, BIG);
		buffer_init(&again, BIG);
		allocations_left = n;
		r = json_to_bson_bytes(buffer_slice(&json), JSON_BSON_EXTENDED, &bson, NULL);
		assert_true(r == 0 || bson.n == 0);
		if (r == 0) {
			r = bson_to_json(buffer_slice(&bson), JSON_BSON_EXTENDED, &again);
			assert_true(r == 0 || again.n == 0);
		}
		allocations_left = -1;
		failed += r == -ENOMEM;
		buffer_deinit(&bson);
		buffer_deinit(&again);
	}
	assert_int_equal(r, 0);
	assert_in_range(failed, 10, 100);
	buffer_deinit(&json);
}

static void check_survives_every_failing_allocation(void **state)
{
	static const struct bson_limits limits = { .bytes = BIG, .depth = 64, .keys = BIG };
	struct buffer json;
	struct buffer bson;
	int failed = 0;
	int r = -ENOMEM;
	write_long_text(&json);
	buffer_init(&bson, BIG);
	assert_int_equal(json_to_bson_bytes(buffer_slice(&json), 0, &bson, NULL), 0);
	for (int n = 0; r == -ENOMEM; n++) {
		struct slice rest = buffer_slice(&bson);
		struct slice document;
		allocations_left = n;
		r = bson_check(&rest, &limits, &document, NULL);
		allocations_left = -1;
		failed += r == -ENOMEM;
	}
	assert_int_equal(r, 0);
	/* The list of names beyond the local ones twice, the table once. */
	assert_int_equal(failed, 3);
	buffer_deinit(&json);
	buffer_deinit(&bson);
}

/* Over every limit of the output: all or nothing. */
static void keeps_the_limit_of_its_output(void **state)
{
	struct buffer json;
	struct buffer bson;
	write_long_text(&json);
	buffer_init(&bson, BIG);
	assert_int_equal(
		json_to_bson_bytes(buffer_slice(&json), JSON_BSON_EXTENDED, &bson, NULL), 0);
	for (size_t limit = 0; limit <= bson.n; limit++) {
		struct buffer out;
		buffer_init(&out, limit);
		int r = json_to_bson_bytes(buffer_slice(&json), JSON_BSON_EXTENDED, &out, NULL);
		assert_int_equal(r, limit == bson.n ? 0 : -ENOBUFS);
		assert_int_equal(out.n, limit == bson.n ? bson.n : 0);
		buffer_deinit(&out);
	}
	struct buffer whole;
	buffer_init(&whole, BIG);
	assert_int_equal(bson_to_json(buffer_slice(&bson), JSON_BSON_EXTENDED, &whole), 0);
	for (size_t limit = 0; limit < whole.n; limit++) {
		struct buffer out;
		buffer_init(&out, limit);
		assert_int_equal(
			bson_to_json(buffer_slice(&bson), JSON_BSON_EXTENDED, &out), -ENOBUFS);
		assert_int_equal(out.n, 0);
		buffer_deinit(&out);
	}
	buffer_deinit(&whole);
	buffer_deinit(&bson);
	buffer_deinit(&json);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(makes_the_bson_that_libbson_makes),
		cmocka_unit_test(appends_to_what_is_there),
		cmocka_unit_test(writes_numbers_that_read_back),
		cmocka_unit_test(does_not_depend_on_the_locale),
		cmocka_unit_test(refuses_saying_what_and_where),
		cmocka_unit_test(bounds_the_length_of_a_number),
		cmocka_unit_test(bounds_the_members_of_an_object),
		cmocka_unit_test(leaves_extended_json_as_data_without_the_flag),
		cmocka_unit_test(leaves_the_rest_as_data_with_the_flag),
		cmocka_unit_test(reads_the_five_forms),
		cmocka_unit_test(reads_dates),
		cmocka_unit_test(writes_far_dates_with_a_sign),
		cmocka_unit_test(refuses_forms_that_cannot_be_read),
		cmocka_unit_test(writes_the_other_types),
		cmocka_unit_test(refuses_what_json_cannot_say),
		cmocka_unit_test(refuses_what_is_no_bson),
		cmocka_unit_test(refuses_bson_that_is_too_deep),
		cmocka_unit_test(survives_every_failing_allocation),
		cmocka_unit_test(check_survives_every_failing_allocation),
		cmocka_unit_test(keeps_the_limit_of_its_output),
	};
	return map_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
