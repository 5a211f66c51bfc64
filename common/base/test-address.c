/* cmocka.h needs what stands before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "common/base/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

static struct address address(const char *text)
{
	struct address a;
	if (!address_parse(slice_str(text), &a)) {
		fail_msg("%s is no address", text);
	}
	return a;
}

static void texts(void **state)
{
	static const char *const good[][2] = {
		{ "192.0.2.1", "192.0.2.1" },
		{ "0.0.0.0", "0.0.0.0" },
		{ "::", "::" },
		{ "2001:DB8:0:0::1", "2001:db8::1" },
		{ "::ffff:192.0.2.1", "192.0.2.1" },
		{ "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255",
			"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff" },
	};
	static const char *const bad[] = { "", " ", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4",
		"1.2.3.4 ", " 1.2.3.4", "[::1]", "::1%lo", "1.2.3.4:80", "localhost",
		"::1::", "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.2555", "0x1.2.3.4" };
	struct address a;
	char text[ADDRESS_TEXT_SIZE];
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		a = address(good[i][0]);
		assert_int_equal(address_format(&a, text), strlen(good[i][1]));
		assert_string_equal(text, good[i][1]);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (address_parse(slice_str(bad[i]), &a)) {
			fail_msg("\"%s\" is taken", bad[i]);
		}
	}
	assert_false(address_parse(slice_of("1.2.3.4\0", 8), &a));
}

static void sockets(void **state)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0xc0000201) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
	struct sockaddr other = { .sa_family = AF_UNIX };
	struct address a;
	struct address b = address("192.0.2.1");
	assert_true(address_of_socket((const void *)&in, &a));
	assert_memory_equal(&a, &b, sizeof(a));
	assert_int_equal(inet_pton(AF_INET6, "::ffff:192.0.2.1", &in6.sin6_addr), 1);
	assert_true(address_of_socket((const void *)&in6, &a));
	assert_memory_equal(&a, &b, sizeof(a));
	assert_false(address_of_socket(&other, &a));
}

static void clients(void **state)
{
	struct address a = address("2001:db8:1:2:3:4:5:6");
	struct address same = address("2001:db8:1:2:ffff::1");
	struct address other = address("2001:db8:1:3:3:4:5:6");
	struct address v4 = address("192.0.2.1");
	struct address near = address("192.0.2.2");
	a = address_client(&a);
	same = address_client(&same);
	other = address_client(&other);
	assert_memory_equal(&a, &same, sizeof(a));
	assert_memory_not_equal(&a, &other, sizeof(a));
	struct address client = address_client(&v4);
	assert_memory_equal(&client, &v4, sizeof(v4));
	near = address_client(&near);
	assert_memory_not_equal(&client, &near, sizeof(v4));
}

static void loopback(void **state)
{
	static const char *const yes[] = { "127.0.0.1", "127.255.1.2", "::1", "::ffff:127.0.0.1" };
	static const char *const no[] = { "128.0.0.1", "126.255.255.255", "::", "::2", "1::1" };
	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
		struct address a = address(yes[i]);
		assert_true(address_is_loopback(&a));
	}
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
		struct address a = address(no[i]);
		assert_false(address_is_loopback(&a));
	}
}

static bool within(const char *network, const char *text)
{
	struct network n;
	struct address a = address(text);
	if (!network_parse(slice_str(network), &n)) {
		fail_msg("%s is no network", network);
	}
	return network_contains(&n, &a);
}

static void networks(void **state)
{
	static const char *const bad[] = { "", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/08",
		"10.0.0.1/8", "10.0.0.0/-1", "10.0.0.0/8/8", "2001:db8::/129", "2001:db8::1/64",
		"10/8", "*", "10.0.0.0/8 " };
	struct network n;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (network_parse(slice_str(bad[i]), &n)) {
			fail_msg("\"%s\" is taken", bad[i]);
		}
	}
	assert_true(within("10.0.0.0/8", "10.255.255.255"));
	assert_false(within("10.0.0.0/8", "11.0.0.0"));
	assert_false(within("10.0.0.0/8", "9.255.255.255"));
	assert_true(within("192.0.2.128/25", "192.0.2.128"));
	assert_false(within("192.0.2.128/25", "192.0.2.127"));
	assert_true(within("192.0.2.1", "192.0.2.1"));
	assert_false(within("192.0.2.1", "192.0.2.0"));
	assert_true(within("0.0.0.0/0", "255.1.2.3"));
	assert_false(within("0.0.0.0/0", "2001:db8::1"));
	assert_true(within("::/0", "2001:db8::1"));
	/* All of v6 holds v4 as it is mapped: what is said of everything is said of it. */
	assert_true(within("::/0", "192.0.2.1"));
	assert_true(within("2001:db8::/33", "2001:db8:7fff::1"));
	assert_false(within("2001:db8::/33", "2001:db8:8000::1"));
	assert_true(within("::ffff:10.0.0.0/8", "10.1.2.3"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts),
		cmocka_unit_test(sockets),
		cmocka_unit_test(clients),
		cmocka_unit_test(loopback),
		cmocka_unit_test(networks),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
