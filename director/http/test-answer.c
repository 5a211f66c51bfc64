/* Routing, request ids, answers and problems: what needs no connection. */
/* cmocka.h needs what stands before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "common/base/log.h"
#include "director/http/problem.h"
#include "director/http/request_id.h"
#include "director/http/response.h"
#include "director/http/router.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>

/* Routes */

static void nothing(void *owner, struct http_request *r, struct slice body)
{
}

static const struct http_handler handler = { .on_body = nothing };

static const struct http_route routes[] = {
	{ HTTP_M_GET, "/", &handler, NULL },
	{ HTTP_M_GET, "/livez", &handler, NULL },
	{ HTTP_M_GET, "/api/plugins", &handler, NULL },
	{ HTTP_M_POST, "/api/plugins/refresh", &handler, NULL },
	{ HTTP_M_GET, "/api/plugins/{id}", &handler, NULL },
	{ HTTP_M_PUT, "/api/plugins/{id}/settings", &handler, NULL },
	{ HTTP_M_DELETE, "/api/plugins/{id}/settings", &handler, NULL },
	{ HTTP_M_POST, "/api/execute/{plugin}", &handler, NULL },
	{ HTTP_M_GET, "/a/{x}/c/{y}", &handler, NULL },
	{ HTTP_M_GET, "/a/b/{z}/e", &handler, NULL },
	{ HTTP_M_GET, "/.well-known/x", &handler, NULL },
};

enum { N_ROUTES = sizeof(routes) / sizeof(routes[0]) };

static void routes_are_found(void **state)
{
	static const struct {
		enum http_method method;
		const char *path;
		enum route_verdict verdict;
		const char *pattern;
		const char *params[2];
	} cases[] = {
		{ HTTP_M_GET, "/", ROUTE_FOUND, "/", { NULL } },
		{ HTTP_M_GET, "/livez", ROUTE_FOUND, "/livez", { NULL } },
		{ HTTP_M_HEAD, "/livez", ROUTE_FOUND, "/livez", { NULL } },
		{ HTTP_M_POST, "/livez", ROUTE_METHOD, NULL, { NULL } },
		{ HTTP_M_OTHER, "/livez", ROUTE_METHOD, NULL, { NULL } },
		{ HTTP_M_GET, "/livez/", ROUTE_UNKNOWN, NULL, { NULL } },
		{ HTTP_M_GET, "/livez.", ROUTE_UNKNOWN, NULL, { NULL } },
		{ HTTP_M_GET, "/livez;x", ROUTE_UNKNOWN, NULL, { NULL } },
		{ HTTP_M_GET, "/Livez", ROUTE_UNKNOWN, NULL, { NULL } },
		{ HTTP_M_GET, "//livez", ROUTE_UNKNOWN, NULL, { NULL } },
		{ HTTP_M_GET, "//", ROUTE_UNKNOWN, NULL, { NULL } },
		{ HTTP_M_GET, "/api", ROUTE_UNKNOWN, NULL, { NULL } },
		{ HTTP_M_GET, "/api/plugins/x", ROUTE_FOUND, "/api/plugins/{id}", { "x" } },
		/* The exact child first, and yet the other one when it leads on. */
		{ HTTP_M_POST, "/api/plugins/refresh", ROUTE_FOUND, "/api/plugins/refresh",
			{ NULL } },
		{ HTTP_M_GET, "/api/plugins/refresh", ROUTE_FOUND, "/api/plugins/{id}",
			{ "refresh" } },
		{ HTTP_M_PUT, "/api/plugins/refresh/settings", ROUTE_FOUND,
			"/api/plugins/{id}/settings", { "refresh" } },
		{ HTTP_M_GET, "/api/plugins/x/settings", ROUTE_METHOD, NULL, { NULL } },
		{ HTTP_M_POST, "/api/execute/my plugin", ROUTE_FOUND, "/api/execute/{plugin}",
			{ "my plugin" } },
		{ HTTP_M_POST, "/api/execute/", ROUTE_UNKNOWN, NULL, { NULL } },
		{ HTTP_M_POST, "/api/execute", ROUTE_UNKNOWN, NULL, { NULL } },
		{ HTTP_M_POST, "/api/execute/a/b", ROUTE_UNKNOWN, NULL, { NULL } },
		{ HTTP_M_GET, "/a/b/c/d", ROUTE_FOUND, "/a/{x}/c/{y}", { "b", "d" } },
		{ HTTP_M_GET, "/a/b/c/e", ROUTE_FOUND, "/a/b/{z}/e", { "c" } },
		{ HTTP_M_GET, "/a/b/c/", ROUTE_UNKNOWN, NULL, { NULL } },
		{ HTTP_M_GET, "/.well-known/x", ROUTE_FOUND, "/.well-known/x", { NULL } },
	};
	struct router *r = NULL;
	assert_int_equal(router_new(&r, routes, N_ROUTES), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct route_match m;
		enum route_verdict v =
			router_match(r, cases[i].method, slice_str(cases[i].path), &m);
		if (v != cases[i].verdict) {
			print_error("%s\n", cases[i].path);
		}
		assert_int_equal(v, cases[i].verdict);
		if (v == ROUTE_FOUND) {
			assert_string_equal(m.route->pattern, cases[i].pattern);
		}
		unsigned n = 0;
		for (; n < 2 && cases[i].params[n] != NULL; n++) {
			assert_true(slice_eq(m.params[n], slice_str(cases[i].params[n])));
		}
		assert_int_equal(m.n_params, n);
	}
	struct route_match m;
	char allow[64];
	assert_int_equal(router_match(r, HTTP_M_POST, SLICE("/livez"), &m), ROUTE_METHOD);
	router_allow(m.allowed, allow);
	assert_string_equal(allow, "GET, HEAD, OPTIONS");
	/* Every reading of the path counts: here two. */
	assert_int_equal(
		router_match(r, HTTP_M_PUT, SLICE("/api/plugins/refresh"), &m), ROUTE_METHOD);
	router_allow(m.allowed, allow);
	assert_string_equal(allow, "GET, HEAD, POST, OPTIONS");
	router_allow((1U << HTTP_M_OTHER) - 1, allow);
	assert_string_equal(allow, "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
	/* Ten thousand segments are no match and no recursion. */
	char *many = malloc(20001);
	assert_non_null(many);
	for (int i = 0; i < 20000; i += 2) {
		memcpy(many + i, "/a", 3);
	}
	assert_int_equal(router_match(r, HTTP_M_GET, slice_str(many), &m), ROUTE_UNKNOWN);
	free(many);
	assert_null(router_free(r));
}

static void bad_routes_are_refused(void **state)
{
	static const struct http_handler no_body = { 0 };
	static const struct http_route bad[][2] = {
		{ { HTTP_M_GET, "", &handler, NULL } },
		{ { HTTP_M_GET, "livez", &handler, NULL } },
		{ { HTTP_M_GET, "/a//b", &handler, NULL } },
		{ { HTTP_M_GET, "/a/", &handler, NULL } },
		{ { HTTP_M_GET, "/{}", &handler, NULL } },
		{ { HTTP_M_GET, "/a{b}", &handler, NULL } },
		{ { HTTP_M_GET, "/a b", &handler, NULL } },
		{ { HTTP_M_GET, "/a", &no_body, NULL } },
		{ { HTTP_M_GET, "/a", NULL, NULL } },
		{ { HTTP_M_OTHER, "/a", &handler, NULL } },
		{ { HTTP_M_GET, "/{a}/{b}/{c}/{d}/{e}", &handler, NULL } },
		{ { HTTP_M_GET, "/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17", &handler, NULL } },
		{ { HTTP_M_GET, "/a/{b}", &handler, NULL },
			{ HTTP_M_GET, "/a/{c}", &handler, NULL } },
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct router *r = NULL;
		size_t n = bad[i][1].pattern != NULL ? 2 : 1;
		assert_int_equal(router_new(&r, bad[i], n), -EINVAL);
		assert_null(r);
	}
}

static void paths_are_decoded_once(void **state)
{
	static const struct {
		const char *path;
		const char *decoded; /* NULL: refused */
	} cases[] = {
		{ "/", "/" },
		{ "/a/b", "/a/b" },
		{ "/a%20b", "/a b" },
		{ "/%61%2D%2e", "/a-." },
		{ "/%C3%A4", "/\xc3\xa4" },
		{ "/%2561", "/%61" },
		{ "/a;b=c@d:e!$&'()*+,~", "/a;b=c@d:e!$&'()*+,~" },
		{ "/...", "/..." },
		{ "/.a/..b/c..", "/.a/..b/c.." },
		{ "/a//b", "/a//b" },
		{ "/.", NULL },
		{ "/..", NULL },
		{ "/a/./b", NULL },
		{ "/a/../b", NULL },
		{ "/a/..", NULL },
		{ "/%2e%2e/a", NULL },
		{ "/.%2E/a", NULL },
		{ "/%2e", NULL },
		{ "/%00", NULL },
		{ "/a%0Ab", NULL },
		{ "/%7f", NULL },
		{ "/a%2fb", NULL },
		{ "/a%2Fb", NULL },
		{ "/a%5cb", NULL },
		{ "/..%5cb", NULL },
		{ "/a\\b", NULL },
		{ "/%", NULL },
		{ "/%2", NULL },
		{ "/%zz", NULL },
		{ "/%c0%af", NULL },
		{ "/%c0%ae%c0%ae/", NULL },
		{ "/%ed%a0%80", NULL },
		{ "/%ff", NULL },
		{ "/a|b", NULL },
		{ "/a\"b", NULL },
		{ "/{x}", NULL },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct slice path = slice_str(cases[i].path);
		struct slice got = SLICE("untouched");
		struct http_refusal refusal = { 0 };
		uint8_t *room = path_is_plain(path) ? NULL : malloc(path.n);
		bool ok = path_decode(path, room, &got, &refusal);
		if (ok != (cases[i].decoded != NULL)) {
			print_error("%s\n", cases[i].path);
		}
		assert_int_equal(ok, cases[i].decoded != NULL);
		assert_true(slice_eq(got, ok ? slice_str(cases[i].decoded) : SLICE("untouched")));
		assert_int_equal(refusal.status, ok ? 0 : 400);
		free(room);
	}
}

/* Request ids */

static void request_ids_are_uuids(void **state)
{
	static struct request_ids ids;
	char last[REQUEST_ID_LENGTH] = { 0 };
	for (int i = 0; i < 2000; i++) {
		char id[REQUEST_ID_LENGTH];
		request_id_make(&ids, INT64_C(0x0123456789ab), id);
		assert_memory_equal(id, "01234567-89ab-7", 15);
		assert_int_equal(id[18], '-');
		assert_non_null(memchr("89ab", id[19], 4));
		assert_int_equal(id[23], '-');
		assert_true(slice_is_name(slice_of(id, sizeof(id)), 128));
		assert_memory_not_equal(id, last, sizeof(id));
		memcpy(last, id, sizeof(id));
	}
}

/* Answers */

static struct slice answer(struct buffer *out, const struct http_response *r, bool close)
{
	static struct response_clock clock;
	struct response_frame frame = {
		.clock = &clock, .request_id = SLICE("id-1"), .close = close
	};
	buffer_clear(out);
	response_clock_update(&clock);
	assert_int_equal(response_append_head(out, r, &frame), 0);
	return buffer_slice(out);
}

static bool contains(struct slice s, const char *part)
{
	return memmem(s.p, s.n, part, strlen(part)) != NULL;
}

static void heads_are_well_formed(void **state)
{
	struct buffer out;
	buffer_init(&out, 100000);
	struct http_header extra = { SLICE("X-A"), SLICE("b\tc") };
	struct http_response r = { .status = 200,
		.headers = &extra,
		.n_headers = 1,
		.body = { SLICE("abc"), SLICE("de") } };
	struct slice s = answer(&out, &r, false);
	assert_true(slice_starts(s, SLICE("HTTP/1.1 200 OK\r\nDate: ")));
	assert_true(contains(s, " GMT\r\n"));
	assert_true(contains(s, "\r\nX-Mozaiks-Runtime-Version: " MOZAIKS_VERSION "\r\n"));
	assert_true(contains(s, "\r\nContent-Type: application/json\r\n"));
	assert_true(contains(s, "\r\nContent-Length: 5\r\n"));
	assert_true(contains(s, "\r\nX-Request-Id: id-1\r\n"));
	assert_true(contains(s, "\r\nX-A: b\tc\r\n"));
	assert_false(contains(s, "Connection"));
	assert_true(contains(s, "\r\nX-Content-Type-Options: nosniff\r\n"));
	assert_true(contains(s, "\r\nCache-Control: no-store\r\n"));
	assert_true(contains(s, "\r\nContent-Security-Policy: default-src 'none'; "));
	assert_false(contains(s, "Access-Control-"));
	assert_false(contains(s, "Vary"));
	assert_memory_equal(s.p + s.n - 4, "\r\n\r\n", 4);

	struct http_response none = { .status = 204 };
	s = answer(&out, &none, true);
	assert_true(slice_starts(s, SLICE("HTTP/1.1 204 No Content\r\n")));
	assert_true(contains(s, "\r\nConnection: close\r\n"));
	assert_false(contains(s, "Content-Type: "));
	assert_false(contains(s, "Content-Length: "));
	struct http_response odd = { .status = 599 };
	assert_true(slice_starts(answer(&out, &odd, true), SLICE("HTTP/1.1 599 Unknown\r\n")));
	buffer_deinit(&out);
}

/* No handler and no plugin can add a line to an answer or take over its framing. */
static void bad_headers_are_dropped(void **state)
{
	static const struct http_header bad[] = {
		{ SLICE("X-Bad"), SLICE("a\r\nX-Evil: 1") },
		{ SLICE("X-Bad"), SLICE("a\nX-Evil: 1") },
		{ SLICE("X-Bad"), SLICE("a\rX-Evil: 1") },
		{ SLICE("X-Bad"), SLICE("a\0b") },
		{ SLICE("X-Bad: a\r\nX-Evil"), SLICE("1") },
		{ SLICE("X Bad"), SLICE("1") },
		{ SLICE("X-Bad:"), SLICE("1") },
		{ SLICE(""), SLICE("X-Bad") },
		{ SLICE("Content-Length"), SLICE("99") },
		{ SLICE("content-type"), SLICE("X-Bad") },
		{ SLICE("Transfer-Encoding"), SLICE("chunked") },
		{ SLICE("CONNECTION"), SLICE("X-Bad") },
		{ SLICE("Date"), SLICE("X-Bad") },
		{ SLICE("X-Request-Id"), SLICE("X-Bad") },
		{ SLICE("Access-Control-Allow-Origin"), SLICE("X-Bad") },
		{ SLICE("access-control-allow-credentials"), SLICE("X-Bad") },
		{ SLICE("Vary"), SLICE("X-Bad") },
		{ SLICE("X-Good"), SLICE("kept") },
	};
	struct buffer out;
	buffer_init(&out, 100000);
	struct http_response r = { .status = 200,
		.content_type = SLICE("a\r\nX-Bad: b"),
		.headers = bad,
		.n_headers = sizeof(bad) / sizeof(bad[0]) };
	struct slice s = answer(&out, &r, false);
	assert_false(contains(s, "Bad"));
	assert_false(contains(s, "Evil"));
	assert_false(contains(s, "99"));
	assert_false(contains(s, "chunked"));
	assert_true(contains(s, "\r\nContent-Type: application/octet-stream\r\n"));
	assert_true(contains(s, "\r\nX-Good: kept\r\n"));
	assert_null(memchr(s.p, '\0', s.n));
	buffer_deinit(&out);
}

static void the_date_is_that_of_now(void **state)
{
	struct response_clock clock = { 0 };
	response_clock_update(&clock);
	struct tm parsed = { 0 };
	char line[38] = { 0 };
	memcpy(line, clock.line, sizeof(clock.line));
	const char *rest = strptime(line, "Date: %a, %d %b %Y %H:%M:%S GMT", &parsed);
	assert_non_null(rest);
	assert_string_equal(rest, "\r\n");
	assert_int_equal(timegm(&parsed), clock.second);
	assert_true(llabs((long long)clock.second - (long long)time(NULL)) <= 1);
}

/* Problems */

static void problems_are_json(void **state)
{
	struct buffer out;
	buffer_init(&out, 100000);
	struct problem p = { .status = 422,
		.code = SLICE("bad_thing"),
		.detail = SLICE("say \"no\"\n\xff"),
		.instance = SLICE("/a/b"),
		.request_id = SLICE("id-1"),
		.extra = SLICE("\"errors\":[1,2]") };
	assert_int_equal(problem_append(&out, &p), 0);
	json_error_t error;
	json_t *json = json_loadb((const char *)out.p, out.n, JSON_REJECT_DUPLICATES, &error);
	assert_non_null(json);
	assert_string_equal(json_string_value(json_object_get(json, "type")), "about:blank");
	assert_string_equal(
		json_string_value(json_object_get(json, "title")), "Unprocessable Content");
	assert_int_equal(json_integer_value(json_object_get(json, "status")), 422);
	assert_string_equal(
		json_string_value(json_object_get(json, "detail")), "say \"no\"\n\xef\xbf\xbd");
	assert_string_equal(json_string_value(json_object_get(json, "instance")), "/a/b");
	assert_string_equal(json_string_value(json_object_get(json, "code")), "bad_thing");
	assert_string_equal(json_string_value(json_object_get(json, "request_id")), "id-1");
	assert_int_equal(json_array_size(json_object_get(json, "errors")), 2);
	json_decref(json);

	buffer_clear(&out);
	struct problem least = { .status = 404 };
	assert_int_equal(problem_append(&out, &least), 0);
	json = json_loadb((const char *)out.p, out.n, 0, &error);
	assert_non_null(json);
	assert_int_equal(json_object_size(json), 4);
	assert_string_equal(json_string_value(json_object_get(json, "code")), "not_found");
	json_decref(json);
	buffer_deinit(&out);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(routes_are_found),
		cmocka_unit_test(bad_routes_are_refused),
		cmocka_unit_test(paths_are_decoded_once),
		cmocka_unit_test(request_ids_are_uuids),
		cmocka_unit_test(heads_are_well_formed),
		cmocka_unit_test(bad_headers_are_dropped),
		cmocka_unit_test(the_date_is_that_of_now),
		cmocka_unit_test(problems_are_json),
	};
	log_init("test-answer", LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
