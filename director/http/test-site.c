/* cmocka.h needs what stands before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "director/http/site.h"

static void hosts_match_exactly(void **state)
{
	struct http_site s = { 0 };
	struct slice bad;
	assert_true(site_serves(&s, SLICE("anything")));
	assert_true(site_add_hosts(
		&s, SLICE("example.org, *.apps.example.org,,127.0.0.1,[::1]"), &bad));
	assert_int_equal(s.hosts.n, 4);
	static const char *const served[] = { "example.org", "EXAMPLE.org:8080",
		"a.apps.example.org", "a.b.apps.example.org:1", "127.0.0.1:80", "[::1]",
		"[::1]:8080" };
	for (size_t i = 0; i < sizeof(served) / sizeof(served[0]); i++) {
		assert_true(site_serves(&s, slice_str(served[i])));
	}
	static const char *const others[] = { "", "evilexample.org", "example.org.evil",
		"a.example.org", "apps.example.org", ".apps.example.org", ".apps.example.org.",
		"evilapps.example.org", "127.0.0.2", "[::2]", "::1" };
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		assert_false(site_serves(&s, slice_str(others[i])));
	}
	assert_true(site_add_hosts(&s, SLICE("*"), &bad));
	assert_true(site_serves(&s, SLICE("evil")));
}

static void origins_match_exactly(void **state)
{
	struct http_site s = { 0 };
	struct slice bad;
	assert_false(site_trusts(&s, SLICE("https://example.org")));
	assert_true(
		site_add_origins(&s, SLICE(" https://example.org ,http://localhost:5173"), &bad));
	assert_true(site_trusts(&s, SLICE("https://example.org")));
	assert_true(site_trusts(&s, SLICE("http://localhost:5173")));
	static const char *const others[] = { "", "null", "http://example.org",
		"https://example.org:443", "https://evilexample.org", "https://example.org.evil",
		"https://example.org/", "HTTPS://example.org", "http://localhost", "*" };
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		assert_false(site_trusts(&s, slice_str(others[i])));
	}
}

static void bad_entries_are_named(void **state)
{
	static const char *const origins[] = { "*", "null", "example.org", "https://", "ftp://x",
		"https://example.org/path", "https://Example.org", "https://a b",
		"https://*.example.org" };
	for (size_t i = 0; i < sizeof(origins) / sizeof(origins[0]); i++) {
		struct http_site s = { 0 };
		struct slice bad = SLICE_NULL;
		assert_false(site_add_origins(&s, slice_str(origins[i]), &bad));
		assert_true(slice_eq(bad, slice_str(origins[i])));
	}
	static const char *const hosts[] = { "https://x", "a b", "x:80", "*.", "*x", "x/y", "x*" };
	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
		struct http_site s = { 0 };
		struct slice bad = SLICE_NULL;
		assert_false(site_add_hosts(&s, slice_str(hosts[i]), &bad));
		assert_true(slice_eq(bad, slice_str(hosts[i])));
	}
	struct http_site s = { 0 };
	struct slice bad = SLICE_NULL;
	for (int i = 0; i < SITE_ENTRIES_MAX; i++) {
		assert_true(site_add_hosts(&s, SLICE("x"), &bad));
	}
	assert_false(site_add_hosts(&s, SLICE("y"), &bad));
	assert_true(slice_eq(bad, SLICE("y")));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(hosts_match_exactly),
		cmocka_unit_test(origins_match_exactly),
		cmocka_unit_test(bad_entries_are_named),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
