/* cmocka.h needs what stands before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "director/websocket/handshake.h"

#include <stdlib.h>

/* The example of RFC 6455, section 1.3. */
static void the_answer_is_the_standards(void **state)
{
	char accept[WS_ACCEPT_SIZE];
	assert_int_equal(handshake_accept(SLICE("dGhlIHNhbXBsZSBub25jZQ=="), accept), 0);
	assert_string_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

static void keys_are_sixteen_bytes(void **state)
{
	assert_true(handshake_key_is_good(SLICE("dGhlIHNhbXBsZSBub25jZQ==")));
	assert_false(handshake_key_is_good(SLICE("")));
	assert_false(handshake_key_is_good(SLICE("dGhlIHNhbXBsZSBub25j")));
	assert_false(handshake_key_is_good(SLICE("dGhlIHNhbXBsZSBub25jZWFh")));
	assert_false(handshake_key_is_good(SLICE("dGhlIHNhbXBsZSBub25jZQ=!")));
	assert_false(handshake_key_is_good(SLICE("dGhlIHNhbXBsZSBub25jZQ====")));
}

static void words_are_found_in_lists(void **state)
{
	assert_true(handshake_list_has(SLICE("keep-alive, Upgrade"), SLICE("upgrade")));
	assert_true(handshake_list_has(SLICE("\tUPGRADE ,"), SLICE("upgrade")));
	assert_false(handshake_list_has(SLICE("upgraded"), SLICE("upgrade")));
	assert_false(handshake_list_has(SLICE("up grade"), SLICE("upgrade")));
	assert_false(handshake_list_has(SLICE(""), SLICE("upgrade")));
	assert_false(handshake_list_has(SLICE_NULL, SLICE("upgrade")));
}

static const struct {
	const char *offered;
	const char *token, *echo;
	unsigned tokens;
} offers[] = {
	{ "", "", "", 0 },
	{ "mozaiks", "", "mozaiks", 0 },
	{ "graphql-ws", "", "", 0 },
	{ "mozaiks, aa.bb.cc", "aa.bb.cc", "mozaiks", 1 },
	{ "aa.bb.cc,mozaiks", "aa.bb.cc", "mozaiks", 1 },
	{ "bearer, aa.bb.cc", "aa.bb.cc", "bearer", 1 },
	{ "bearer, aa.bb.cc, mozaiks", "aa.bb.cc", "mozaiks", 1 },
	{ "aa.bb.cc", "aa.bb.cc", "aa.bb.cc", 1 },
	{ "access_token.aa.bb.cc", "aa.bb.cc", "access_token.aa.bb.cc", 1 },
	{ "base64url.bearer.authorization.mozaiks.YWEuYmIuY2M, mozaiks", "aa.bb.cc", "mozaiks", 1 },
	{ "base64url.bearer.authorization.mozaiks.!!, mozaiks", "", "mozaiks", 1 },
	{ "base64url.bearer.authorization.k8s.io.YWEuYmIuY2M, mozaiks", "", "mozaiks", 0 },
	{ "aa.bb.cc, dd.ee.ff", "dd.ee.ff", "aa.bb.cc", 2 },
	{ "aa.bb, aa..cc, aa.bb.cc.dd, aa.b$.cc, aa.bb., .bb.cc", "", "", 0 },
	/* What can be decoded up to there is none either. */
	{ "base64url.bearer.authorization.mozaiks.YWEuYmIuY2M!, mozaiks", "", "mozaiks", 1 },
};

static void tokens_are_found_among_protocols(void **state)
{
	for (size_t i = 0; i < sizeof(offers) / sizeof(offers[0]); i++) {
		struct handshake_protocols *p = calloc(1, sizeof(*p));
		handshake_protocols_add(p, slice_str(offers[i].offered));
		assert_int_equal(p->tokens, offers[i].tokens);
		assert_true(slice_eq(p->token, slice_str(offers[i].token)));
		assert_true(slice_eq(p->echo, slice_str(offers[i].echo)));
		free(p);
	}
}

static void an_encoded_token_has_a_limit(void **state)
{
	static const char prefix[] = "base64url.bearer.authorization.mozaiks.";
	size_t n = sizeof(prefix) - 1;
	char *text = malloc(n + 20000);
	struct handshake_protocols *p = calloc(1, sizeof(*p));
	memcpy(text, prefix, n);
	memset(text + n, 'A', 20000);
	handshake_protocols_add(p, slice_of(text, n + 20000));
	assert_int_equal(p->tokens, 1);
	assert_int_equal(p->token.n, 0);
	free(p);
	free(text);
}

static void a_token_has_a_limit(void **state)
{
	char text[WS_TOKEN_MAX + 1];
	memset(text, 'a', sizeof(text));
	text[1] = text[3] = '.';
	for (size_t n = WS_TOKEN_MAX; n <= sizeof(text); n++) {
		struct handshake_protocols *p = calloc(1, sizeof(*p));
		handshake_protocols_add(p, slice_of(text, n));
		assert_int_equal(p->tokens, n == WS_TOKEN_MAX ? 1 : 0);
		free(p);
	}
}

static void parameters_are_found_in_queries(void **state)
{
	struct slice q = SLICE("a=1&ticket=x_y&xticket=2&ticket=3&e=");
	assert_true(slice_eq(handshake_query(q, SLICE("ticket")), SLICE("x_y")));
	assert_true(slice_eq(handshake_query(q, SLICE("xticket")), SLICE("2")));
	assert_null(handshake_query(q, SLICE("tick")).p);
	assert_non_null(handshake_query(q, SLICE("e")).p);
	assert_int_equal(handshake_query(q, SLICE("e")).n, 0);
	assert_null(handshake_query(SLICE_NULL, SLICE("a")).p);
	assert_null(handshake_query(SLICE("a"), SLICE("a")).p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_answer_is_the_standards),
		cmocka_unit_test(keys_are_sixteen_bytes),
		cmocka_unit_test(words_are_found_in_lists),
		cmocka_unit_test(tokens_are_found_among_protocols),
		cmocka_unit_test(an_encoded_token_has_a_limit),
		cmocka_unit_test(a_token_has_a_limit),
		cmocka_unit_test(parameters_are_found_in_queries),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
