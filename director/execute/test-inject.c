/* Injection: what a client sends under a reserved name never reaches the plugin's top level. */
/* cmocka.h needs what stands before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "common/base/map.h"
#include "common/json/tree.h"
#include "director/execute/inject.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRUSTED "\"user_id\":\"alice\",\"app_id\":\"app\""

static struct injector *injector;

static int run(const char *body, struct buffer *out, char why[static 256])
{
	int r = inject_check(injector, slice_str(body), why);
	if (r == INJECT_OK) {
		assert_int_equal(inject_write(injector, SLICE(TRUSTED), out), 0);
		assert_true(out->n <= inject_size(injector, SLICE(TRUSTED)));
	}
	return r;
}

static void expect(const char *body, const char *result)
{
	struct buffer out;
	char why[256] = "";
	buffer_init(&out, 10000);
	int r = run(body, &out, why);
	if (r != INJECT_OK || !slice_eq(buffer_slice(&out), slice_str(result))) {
		fail_msg("%s -> %d %.*s (%s), wanted %s", body, r, (int)out.n, (char *)out.p, why,
			result);
	}
	buffer_deinit(&out);
}

static void trusted_members_come_last(void **state)
{
	expect("{}", "{" TRUSTED "}");
	expect(" { } ", "{" TRUSTED "}");
	expect("{\"a\":1}", "{\"a\":1," TRUSTED "}");
	expect("\n{ \"a\" : [1, 2] , \"b\":{} }\n", "{\"a\" : [1, 2] , \"b\":{}," TRUSTED "}");
}

static void reserved_names_are_removed(void **state)
{
	expect("{\"user_id\":\"mallory\"}", "{" TRUSTED "}");
	expect("{\"user_id\":1,\"a\":1}", "{\"a\":1," TRUSTED "}");
	expect("{\"a\":1,\"user_id\":1}", "{\"a\":1," TRUSTED "}");
	expect("{\"a\":1,\"user_id\":{\"x\":[1]},\"b\":2}", "{\"a\":1,\"b\":2," TRUSTED "}");
	expect("{\"\\u0075ser_id\":1,\"a\":1}", "{\"a\":1," TRUSTED "}");
	expect("{\"\\u0075\\u0073\\u0065\\u0072_\\u0069d\":1}", "{" TRUSTED "}");
	expect("{\"_context\":{},\"app_id\":1,\"user_jwt\":1,\"_entitlements\":1}",
		"{" TRUSTED "}");
	expect("{\"\\u005fcontext\":{\"roles\":[\"admin\"]}}", "{" TRUSTED "}");
	expect("{\"user_id\":1,\"user_id\":2,\"user\\u005fid\":3,\"z\":0}",
		"{\"z\":0," TRUSTED "}");
}

static void nested_and_similar_names_pass(void **state)
{
	expect("{\"a\":{\"user_id\":\"x\"}}", "{\"a\":{\"user_id\":\"x\"}," TRUSTED "}");
	expect("{\"a\":[{\"_context\":1}]}", "{\"a\":[{\"_context\":1}]," TRUSTED "}");
	expect("{\"User_id\":1,\"user_id \":2,\"user_i\":3}",
		"{\"User_id\":1,\"user_id \":2,\"user_i\":3," TRUSTED "}");
	expect("{\"x\":\"\\\"user_id\\\":1\"}", "{\"x\":\"\\\"user_id\\\":1\"," TRUSTED "}");
	expect("{\"a\":{\"b\":1,\"b\":2}}", "{\"a\":{\"b\":1,\"b\":2}," TRUSTED "}");
}

static void refuse(const char *body, int result, const char *in_message)
{
	struct buffer out;
	char why[256] = "";
	buffer_init(&out, 10000);
	int r = run(body, &out, why);
	if (r != result || strstr(why, in_message) == NULL) {
		fail_msg("%s -> %d (%s), wanted %d (…%s…)", body, r, why, result, in_message);
	}
	buffer_deinit(&out);
}

static void bad_bodies_are_refused_with_place(void **state)
{
	refuse("", INJECT_MALFORMED, "line 1, column 1");
	refuse("{\"a\":1,}", INJECT_MALFORMED, "byte 7");
	refuse("{\n\"a\":01}", INJECT_MALFORMED, "line 2");
	refuse("{\"a\":\"\x01\"}", INJECT_MALFORMED, "control character");
	refuse("{\"a\":\"\xff\"}", INJECT_MALFORMED, "UTF-8");
	refuse("{\"a\":1} x", INJECT_MALFORMED, "byte 8");
	refuse("[1]", INJECT_NOT_OBJECT, "must be a JSON object");
	refuse("null", INJECT_NOT_OBJECT, "must be a JSON object");
	refuse("\"user_id\"", INJECT_NOT_OBJECT, "must be a JSON object");
	refuse("{\"a\":1,\"a\":2}", INJECT_DUPLICATE, "\"a\" stands twice");
	refuse("{\"a\":1,\"\\u0061\":2}", INJECT_DUPLICATE, "stands twice");
	refuse("{\"\\u0061\":1,\"a\":2}", INJECT_DUPLICATE, "stands twice");
}

static void depth_is_bounded(void **state)
{
	char body[400];
	for (int depth = 64; depth <= 65; depth++) {
		size_t n = 0;
		/* The object is the first level. */
		n += (size_t)snprintf(body, sizeof(body), "{\"a\":");
		for (int i = 1; i < depth; i++) {
			body[n++] = '[';
		}
		for (int i = 1; i < depth; i++) {
			body[n++] = ']';
		}
		body[n++] = '}';
		body[n] = '\0';
		if (depth == 64) {
			struct buffer out;
			char why[256];
			buffer_init(&out, 1000);
			assert_int_equal(run(body, &out, why), INJECT_OK);
			buffer_deinit(&out);
		} else {
			refuse(body, INJECT_MALFORMED, "64");
		}
	}
}

static void many_names_are_linear_and_found(void **state)
{
	struct buffer body;
	char why[256];
	buffer_init(&body, 10000000);
	(void)buffer_append_byte(&body, '{');
	for (int i = 0; i < 100000; i++) {
		(void)buffer_printf(&body, "\"k%d\":0,", i);
	}
	size_t end = body.n;
	(void)buffer_append(&body, SLICE("\"last\":0}"));
	assert_int_equal(inject_check(injector, buffer_slice(&body), why), INJECT_OK);
	body.n = end;
	(void)buffer_append(&body, SLICE("\"k77777\":0}"));
	assert_int_equal(inject_check(injector, buffer_slice(&body), why), INJECT_DUPLICATE);
	buffer_deinit(&body);
	/* And a small one after it is judged by itself. */
	expect("{\"k1\":1}", "{\"k1\":1," TRUSTED "}");
}

static void reserved_members_are_bounded(void **state)
{
	struct buffer body;
	char why[256];
	for (int count = INJECT_REMOVED_MAX; count <= INJECT_REMOVED_MAX + 1; count++) {
		buffer_init(&body, 10000);
		(void)buffer_append_byte(&body, '{');
		for (int i = 0; i < count; i++) {
			(void)buffer_printf(
				&body, "\"a%d\":0,\"user_id\":0%s", i, i + 1 < count ? "," : "}");
		}
		assert_int_equal(inject_check(injector, buffer_slice(&body), why),
			count == INJECT_REMOVED_MAX ? INJECT_OK : INJECT_TOO_MANY);
		buffer_deinit(&body);
	}
	assert_non_null(strstr(why, "64"));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(trusted_members_come_last),
		cmocka_unit_test(reserved_names_are_removed),
		cmocka_unit_test(nested_and_similar_names_pass),
		cmocka_unit_test(bad_bodies_are_refused_with_place),
		cmocka_unit_test(depth_is_bounded),
		cmocka_unit_test(many_names_are_linear_and_found),
		cmocka_unit_test(reserved_members_are_bounded),
	};
	if (map_init() < 0 || injector_new(&injector) < 0) {
		return 1;
	}
	int r = cmocka_run_group_tests(tests, NULL, NULL);
	injector_free(injector);
	return r;
}
