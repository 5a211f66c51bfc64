/* Who is believed, and what. */
/* cmocka.h needs what stands before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "common/base/buffer.h"
#include "director/http/proxies.h"

#include <string.h>

/* Ours are 10.0.0.0/8 and 2001:db8:aaaa::/48; 10.0.0.1 calls. */
static void resolve(enum proxies_header header, const char *fields, struct forwarded *ret)
{
	static struct buffer b;
	static struct http_head head;
	struct proxies proxies = { .header = header };
	struct slice bad;
	struct address peer;
	struct guard guard;
	struct http_refusal refusal;
	assert_true(proxies_add(&proxies, SLICE("10.0.0.0/8, 2001:db8:aaaa::/48"), &bad));
	assert_true(address_parse(SLICE("10.0.0.1"), &peer));
	buffer_deinit(&b);
	buffer_init(&b, 100000);
	assert_int_equal(buffer_printf(&b, "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n", fields), 0);
	guard_init(&guard);
	assert_int_equal(guard_scan(&guard, buffer_slice(&b), b.n), GUARD_OK);
	assert_true(head_parse(&head, &guard, buffer_slice(&b), &refusal));
	proxies_resolve(&proxies, &peer, &head, ret);
}

struct row {
	const char *fields;
	const char *client;
	bool https;
	const char *host;
};

static void check(enum proxies_header header, const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct forwarded f;
		char client[ADDRESS_TEXT_SIZE];
		resolve(header, rows[i].fields, &f);
		(void)address_format(&f.client, client);
		if (strcmp(client, rows[i].client) != 0 || f.https != rows[i].https ||
			!slice_eq(f.host, slice_str(rows[i].host))) {
			fail_msg("%s: %s, https %d, host \"%.*s\"", rows[i].fields, client, f.https,
				(int)f.host.n, (const char *)f.host.p);
		}
	}
}

static void test_x_forwarded(void **state)
{
	static const struct row rows[] = {
		{ "", "10.0.0.1", false, "" },
		{ "X-Forwarded-For: 192.0.2.1\r\n", "192.0.2.1", false, "" },
		/* The last that is not ours, whatever stands before it. */
		{ "X-Forwarded-For: 192.0.2.66, 192.0.2.1\r\n", "192.0.2.1", false, "" },
		{ "X-Forwarded-For: 192.0.2.66,192.0.2.1 , 10.0.0.2\r\n", "192.0.2.1", false, "" },
		{ "X-Forwarded-For: 192.0.2.1, 2001:db8:aaaa::7, 10.3.0.2\r\n", "192.0.2.1", false,
			"" },
		{ "X-Forwarded-For: 10.0.0.9, 10.0.0.8\r\n", "10.0.0.9", false, "" },
		/* Several fields are one list. */
		{ "X-Forwarded-For: 192.0.2.66\r\nX-A: b\r\nx-forwarded-for: 192.0.2.1\r\n",
			"192.0.2.1", false, "" },
		{ "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-For: 10.0.0.2\r\n", "192.0.2.1", false,
			"" },
		{ "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-For:\r\n", "10.0.0.1", false, "" },
		/* Ports. */
		{ "X-Forwarded-For: 192.0.2.1:1234\r\n", "192.0.2.1", false, "" },
		{ "X-Forwarded-For: [2001:db8::1]:1234\r\n", "2001:db8::1", false, "" },
		{ "X-Forwarded-For: [2001:db8::1]\r\n", "2001:db8::1", false, "" },
		{ "X-Forwarded-For: 2001:db8::1\r\n", "2001:db8::1", false, "" },
		/* Where it breaks off the proxy before it is the client. */
		{ "X-Forwarded-For: unknown\r\n", "10.0.0.1", false, "" },
		{ "X-Forwarded-For: 192.0.2.1, unknown, 10.0.0.2\r\n", "10.0.0.2", false, "" },
		{ "X-Forwarded-For: 192.0.2.1,, 10.0.0.2\r\n", "10.0.0.2", false, "" },
		{ "X-Forwarded-For: 192.0.2.1, 10.0.0.2,\r\n", "10.0.0.1", false, "" },
		{ "X-Forwarded-For: [2001:db8::1]x\r\n", "10.0.0.1", false, "" },
		{ "X-Forwarded-For: [2001:db8::1\r\n", "10.0.0.1", false, "" },
		{ "X-Forwarded-For: []\r\n", "10.0.0.1", false, "" },
		/* A quote of the client's does not hide what the proxy has appended. */
		{ "X-Forwarded-For: \", 192.0.2.2\r\n", "192.0.2.2", false, "" },
		{ "X-Forwarded-For: \"192.0.2.1, 192.0.2.2, 10.0.0.2\r\n", "192.0.2.2", false, "" },
		/* The last word has whoever speaks to us. */
		{ "X-Forwarded-Proto: https\r\nX-Forwarded-Host: example.org\r\n", "10.0.0.1", true,
			"example.org" },
		{ "X-Forwarded-Proto: http, HTTPS\r\n", "10.0.0.1", true, "" },
		{ "X-Forwarded-Proto: https, http\r\n", "10.0.0.1", false, "" },
		{ "X-Forwarded-Host: evil.example, example.org:8443\r\n", "10.0.0.1", false,
			"example.org:8443" },
		/* The other header is whatever the client sent. */
		{ "Forwarded: for=192.0.2.66;proto=https;host=evil.example\r\n", "10.0.0.1", false,
			"" },
	};
	check(PROXIES_X_FORWARDED, rows, sizeof(rows) / sizeof(rows[0]));
}

static void test_forwarded(void **state)
{
	static const struct row rows[] = {
		{ "", "10.0.0.1", false, "" },
		{ "Forwarded: for=192.0.2.1\r\n", "192.0.2.1", false, "" },
		{ "Forwarded: For=\"[2001:db8::1]:4711\" ; Proto=https;HOST=\"example.org\"\r\n",
			"2001:db8::1", true, "example.org" },
		{ "Forwarded: for=192.0.2.66;proto=https, for=192.0.2.1;by=10.0.0.1;proto=http\r\n",
			"192.0.2.1", false, "" },
		{ "Forwarded: for=192.0.2.1;proto=https;host=a.example, for=10.0.0.2;proto=http\r\n",
			"192.0.2.1", true, "a.example" },
		{ "Forwarded: for=192.0.2.66\r\nForwarded: for=192.0.2.1\r\n", "192.0.2.1", false,
			"" },
		{ "Forwarded: for=_hidden, for=10.0.0.2\r\n", "10.0.0.2", false, "" },
		{ "Forwarded: for=unknown\r\n", "10.0.0.1", false, "" },
		{ "Forwarded: by=10.0.0.2\r\n", "10.0.0.1", false, "" },
		{ "Forwarded: for=\"192.0.2.1, for=192.0.2.2\r\n", "192.0.2.2", false, "" },
		{ "Forwarded: x=\"\\, for=192.0.2.2, for=\"10.0.0.2:80\"\r\n", "192.0.2.2", false,
			"" },
		{ "Forwarded: for=192.0.2.1;x=\"\r\n", "10.0.0.1", false, "" },
		{ "Forwarded: for=\"a,b\", for=192.0.2.1\r\n", "192.0.2.1", false, "" },
		{ "Forwarded: for=\"a\\\", b\", for=192.0.2.1\r\n", "192.0.2.1", false, "" },
		{ "X-Forwarded-For: 192.0.2.66\r\nX-Forwarded-Proto: https\r\n", "10.0.0.1", false,
			"" },
	};
	check(PROXIES_FORWARDED, rows, sizeof(rows) / sizeof(rows[0]));
}

/* A list without an end is read for a while. */
static void test_hops_are_bounded(void **state)
{
	struct buffer b;
	struct forwarded f;
	char client[ADDRESS_TEXT_SIZE];
	buffer_init(&b, 100000);
	assert_int_equal(buffer_append(&b, SLICE("X-Forwarded-For: 192.0.2.1")), 0);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(buffer_printf(&b, ", 10.0.1.%d", i), 0);
	}
	assert_int_equal(buffer_append(&b, slice_of("\r\n", 3)), 0);
	resolve(PROXIES_X_FORWARDED, (const char *)b.p, &f);
	(void)address_format(&f.client, client);
	assert_string_equal(client, "10.0.1.68");
	buffer_deinit(&b);
}

static void test_lists(void **state)
{
	static const char *const bad[] = { "10.0.0.0/8,*", "example.org", "10.0.0.1/8",
		"10.0.0.0/8;" };
	struct slice entry;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct proxies p = { 0 };
		assert_false(proxies_add(&p, slice_str(bad[i]), &entry));
	}
	struct proxies p = { 0 };
	struct address a;
	assert_true(proxies_add(&p, SLICE(" 127.0.0.1 ,, ::1,"), &entry));
	assert_int_equal(p.n, 2);
	assert_true(address_parse(SLICE("::1"), &a) && proxies_trust(&p, &a));
	assert_true(address_parse(SLICE("::2"), &a) && !proxies_trust(&p, &a));
	while (p.n < PROXIES_MAX) {
		assert_true(proxies_add(&p, SLICE("10.0.0.0/8"), &entry));
	}
	assert_false(proxies_add(&p, SLICE("10.0.0.0/8"), &entry));
	assert_int_equal(p.n, PROXIES_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_x_forwarded),
		cmocka_unit_test(test_forwarded),
		cmocka_unit_test(test_hops_are_bounded),
		cmocka_unit_test(test_lists),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
