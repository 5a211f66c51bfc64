/* The head guard and the head's rules, as conversations: bytes in, verdict out. */
/* cmocka.h needs what stands before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "director/http/head.h"

#include <stdio.h>
#include <stdlib.h>

enum { LIMIT = 16384, MORE = 0, OK = 200 };

struct verdict {
	int status; /* MORE, OK or an error's */
	size_t end;
	const char *reason;
};

/* Feeds `in` in steps of `step` bytes; stops at the first verdict that is not "more". */
static struct verdict judge(struct http_head *h, struct slice in, size_t step, size_t limit)
{
	struct guard g;
	guard_init(&g);
	for (size_t n = 0;;) {
		n = in.n - n > step ? n + step : in.n;
		enum guard_verdict v = guard_scan(&g, slice_of(in.p, n), limit);
		if (v == GUARD_REFUSED) {
			return (struct verdict){ g.refusal.status, 0, g.refusal.reason };
		}
		if (v == GUARD_OK) {
			struct http_refusal refusal = { 0 };
			bool ok = head_parse(h, &g, slice_of(in.p, n), &refusal);
			return (struct verdict){ ok ? OK : refusal.status, g.head_end,
				refusal.reason };
		}
		if (n == in.n) {
			return (struct verdict){ MORE, 0, NULL };
		}
	}
}

/* The verdict on bytes, which must not depend on how they arrive or on what follows them. */
static struct verdict judge_all_ways(struct http_head *h, struct slice in, size_t limit)
{
	struct verdict whole = judge(h, in, in.n > 0 ? in.n : 1, limit);
	struct http_head other;
	for (size_t step = 1; step <= 7; step += 2) {
		struct verdict pieces = judge(&other, in, step, limit);
		assert_int_equal(pieces.status, whole.status);
		assert_int_equal(pieces.end, whole.end);
	}
	if (whole.status != MORE) {
		static const char tail[] = "GET /other HTTP/1.1\r\n X\r\n\r\n";
		uint8_t *longer = malloc(in.n + sizeof(tail));
		assert_non_null(longer);
		memcpy(longer, in.p, in.n);
		memcpy(longer + in.n, tail, sizeof(tail));
		struct verdict more =
			judge(&other, slice_of(longer, in.n + sizeof(tail)), 100000, limit);
		assert_int_equal(more.status, whole.status);
		assert_int_equal(more.end, whole.end);
		free(longer);
	}
	return whole;
}

struct conversation {
	const char *head;
	size_t n; /* 0: up to the NUL */
	int status;
};

#define BYTES(literal) literal, sizeof(literal) - 1

static void check(const struct conversation *cases, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct http_head h;
		struct slice in = slice_of(
			cases[i].head, cases[i].n > 0 ? cases[i].n : strlen(cases[i].head));
		struct verdict v = judge_all_ways(&h, in, LIMIT);
		if (v.status != cases[i].status) {
			print_error("case %zu: %d (%s) instead of %d: %s\n", i, v.status,
				v.reason == NULL ? "" : v.reason, cases[i].status, cases[i].head);
		}
		assert_int_equal(v.status, cases[i].status);
	}
}

#define CHECK(cases) check(cases, sizeof(cases) / sizeof((cases)[0]))
#define H11          " HTTP/1.1\r\nHost: a\r\n"

static void request_lines(void **state)
{
	static const struct conversation cases[] = {
		{ "GET /" H11 "\r\n", 0, OK },
		{ "\r\nGET /" H11 "\r\n", 0, OK },
		{ "\r\n\r\nGET /" H11 "\r\n", 0, 400 },
		{ "\nGET /" H11 "\r\n", 0, 400 },
		{ "", 0, MORE },
		{ "\r", 0, MORE },
		{ "\r\n", 0, MORE },
		{ "GET / HTTP/1.1\r\nHost: a\r\n", 0, MORE },
		{ "GET / HTTP/1.1\nHost: a\r\n\r\n", 0, 400 },
		{ "GET / HTTP/1.1\r\nHost: a\n\r\n", 0, 400 },
		{ "GET / HTTP/1.1\r\nHost: a\r\n\n", 0, 400 },
		{ "GET / HTTP/1.1\r\rHost: a\r\n\r\n", 0, 400 },
		{ "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 0, 400 },
		{ "GET /  HTTP/1.1\r\nHost: a\r\n\r\n", 0, 400 },
		{ "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 0, 400 },
		{ " GET / HTTP/1.1\r\nHost: a\r\n\r\n", 0, 400 },
		{ "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", 0, 400 },
		{ "GET /\tHTTP/1.1\r\nHost: a\r\n\r\n", 0, 400 },
		{ "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 0, 400 },
		{ "GET /\r\n\r\n", 0, 400 },
		{ "GET\r\n\r\n", 0, 400 },
		{ "/ HTTP/1.1\r\nHost: a\r\n\r\n", 0, 400 },
		{ "G@T / HTTP/1.1\r\nHost: a\r\n\r\n", 0, 400 },
		{ BYTES("GET /\0" H11 "\r\n"), 400 },
		{ "GET /\x7f" H11 "\r\n", 0, 400 },
		{ "GET /\xc3\xa4" H11 "\r\n", 0, 400 },
		{ "GET / HTTP/1.0\r\n\r\n", 0, OK },
		{ "GET / HTTP/2.0\r\n\r\n", 0, 505 },
		{ "GET / HTTP/1.2\r\nHost: a\r\n\r\n", 0, 505 },
		{ "PRI * HTTP/2.0\r\n\r\n", 0, 505 },
		{ "GET / HTTP/1\r\nHost: a\r\n\r\n", 0, 400 },
		{ "GET / HTTP/1.1.1\r\nHost: a\r\n\r\n", 0, 400 },
		{ "GET / HTTP/11\r\nHost: a\r\n\r\n", 0, 400 },
		{ "GET / http/1.1\r\nHost: a\r\n\r\n", 0, 400 },
		{ "GET / HTP/1.1\r\nHost: a\r\n\r\n", 0, 400 },
		{ "HEAD /" H11 "\r\n", 0, OK },
		{ "POST /" H11 "\r\n", 0, OK },
		{ "PUT /" H11 "\r\n", 0, OK },
		{ "PATCH /" H11 "\r\n", 0, OK },
		{ "DELETE /" H11 "\r\n", 0, OK },
		{ "OPTIONS /" H11 "\r\n", 0, OK },
		{ "OPTIONS *" H11 "\r\n", 0, OK },
		{ "TRACE /" H11 "\r\n", 0, OK },
		{ "get /" H11 "\r\n", 0, 501 },
		{ "CONNECT a:443" H11 "\r\n", 0, 501 },
		{ "PROPFIND /" H11 "\r\n", 0, 501 },
		{ "BREW /" H11 "\r\n", 0, 501 },
		{ "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA /" H11 "\r\n", 0, 400 },
		{ "\x16\x03\x01\x02\n", 0, 400 },
	};
	CHECK(cases);
}

static void targets(void **state)
{
	static const struct conversation cases[] = {
		{ "GET /a/b?c=d&e={|}" H11 "\r\n", 0, OK },
		{ "GET http://b:80/x?y" H11 "\r\n", 0, OK },
		{ "GET HTTPS://b" H11 "\r\n", 0, OK },
		{ "GET http://u@b/x" H11 "\r\n", 0, 400 },
		{ "GET http:///x" H11 "\r\n", 0, 400 },
		{ "GET ftp://b/x" H11 "\r\n", 0, 400 },
		{ "GET x" H11 "\r\n", 0, 400 },
		{ "GET *" H11 "\r\n", 0, 400 },
		{ "OPTIONS *x" H11 "\r\n", 0, 400 },
		{ "GET /a#b" H11 "\r\n", 0, 400 },
		{ "GET ?a" H11 "\r\n", 0, 400 },
	};
	CHECK(cases);
}

static void hosts(void **state)
{
	static const struct conversation cases[] = {
		{ "GET / HTTP/1.1\r\n\r\n", 0, 400 },
		{ "GET / HTTP/1.1\r\nHost:\r\n\r\n", 0, 400 },
		{ "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 0, 400 },
		{ "GET / HTTP/1.1\r\nHost: a\r\nhOST: b\r\n\r\n", 0, 400 },
		{ "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", 0, 400 },
		{ "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 0, 400 },
		{ "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 0, 400 },
		{ "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 0, 400 },
		{ "GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", 0, 400 },
		{ "GET / HTTP/1.1\r\nHost: a:\r\n\r\n", 0, 400 },
		{ "GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n", 0, 400 },
		{ "GET / HTTP/1.1\r\nHost: a:8x\r\n\r\n", 0, 400 },
		{ "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", 0, 400 },
		{ "GET / HTTP/1.1\r\nHost: []\r\n\r\n", 0, 400 },
		{ "GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", 0, OK },
		{ "GET / HTTP/1.1\r\nHost:\t a.b-c_d:65535 \t\r\n\r\n", 0, OK },
		{ "GET http://b/ HTTP/1.1\r\n\r\n", 0, 400 },
	};
	CHECK(cases);
}

/* The first three are the ones that llhttp 8.1 alone lets through. */
static void smuggling(void **state)
{
	static const struct conversation cases[] = {
		{ "POST /" H11 "Content-Length: 5\r\n 0\r\n\r\n", 0, 400 },
		{ "POST /" H11 "Content-Length : 5\r\n\r\n", 0, 400 },
		{ "POST /" H11 "X: a\rTransfer-Encoding: chunked\r\n\r\n", 0, 400 },
		{ "POST /" H11 " Content-Length: 5\r\n\r\n", 0, 400 },
		{ "POST /" H11 "\tContent-Length: 5\r\n\r\n", 0, 400 },
		{ "POST /" H11 "X: a\r\n\tb\r\n\r\n", 0, 400 },
		{ "POST /" H11 "Transfer-Encoding\t: chunked\r\n\r\n", 0, 400 },
		{ "POST /" H11 "Transfer-Encoding : chunked\r\n\r\n", 0, 400 },
		{ "POST /" H11 "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 0, 400 },
		{ "POST /" H11 "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", 0, 400 },
		{ "POST /" H11 "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", 0, 400 },
		{ "POST /" H11 "Content-Length: 5\r\nContent-length: 6\r\n\r\n", 0, 400 },
		{ "POST /" H11 "Content-Length: +5\r\n\r\n", 0, 400 },
		{ "POST /" H11 "Content-Length: -5\r\n\r\n", 0, 400 },
		{ "POST /" H11 "Content-Length: 5,5\r\n\r\n", 0, 400 },
		{ "POST /" H11 "Content-Length: 5 5\r\n\r\n", 0, 400 },
		{ "POST /" H11 "Content-Length: 0x5\r\n\r\n", 0, 400 },
		{ "POST /" H11 "Content-Length: 05\r\n\r\n", 0, 400 },
		{ "POST /" H11 "Content-Length: 5;\r\n\r\n", 0, 400 },
		{ "POST /" H11 "Content-Length:\r\n\r\n", 0, 400 },
		{ "POST /" H11 "Content-Length: 99999999999999999999\r\n\r\n", 0, 400 },
		{ "POST /" H11 "Content-Length: 18446744073709551615\r\n\r\n", 0, 400 },
		{ "POST /" H11 "Content-Length: 5 \r\n\r\n", 0, OK },
		{ "POST /" H11 "Transfer-Encoding: chunked\r\n\r\n", 0, OK },
		{ "POST /" H11 "Transfer-Encoding: Chunked\r\n\r\n", 0, OK },
		{ "POST /" H11 "Transfer-Encoding: xchunked\r\n\r\n", 0, 400 },
		{ "POST /" H11 "Transfer-Encoding: chunked, identity\r\n\r\n", 0, 400 },
		{ "POST /" H11 "Transfer-Encoding: gzip, chunked\r\n\r\n", 0, 400 },
		{ "POST /" H11 "Transfer-Encoding: chunked, chunked\r\n\r\n", 0, 400 },
		{ "POST /" H11 "Transfer-Encoding: identity\r\n\r\n", 0, 400 },
		{ "POST /" H11 "Transfer-Encoding: \"chunked\"\r\n\r\n", 0, 400 },
		{ "POST /" H11 "Transfer-Encoding: chunked;\r\n\r\n", 0, 400 },
		{ "POST /" H11 "Transfer-Encoding: \x0b"
		  "chunked\r\n\r\n",
			0, 400 },
		{ "POST /" H11 "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
			0, 400 },
		{ "POST /" H11 "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n",
			0, 400 },
		{ "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 0, 400 },
		{ BYTES("POST /" H11 "X: a\0b\r\n\r\n"), 400 },
		{ BYTES("POST /" H11 "X\0: a\r\n\r\n"), 400 },
		{ "POST /" H11 "X: a\x01\r\n\r\n", 0, 400 },
		{ "POST /" H11 "X: aaaaaaaaaaaaaaaa\x7f"
		  "aaaaaaa\r\n\r\n",
			0, 400 },
		{ "POST /" H11 "X: \t\taaaaaaaaaaaa\taaaa\xff\xfe\r\n\r\n", 0, OK },
		{ "POST /" H11 ": a\r\n\r\n", 0, 400 },
		{ "POST /" H11 "X\r\n\r\n", 0, 400 },
		{ "POST /" H11 "X y: a\r\n\r\n", 0, 400 },
		{ "POST /" H11 "X(y): a\r\n\r\n", 0, 400 },
		{ "POST /" H11 "X-HTTP-Method-Override: DELETE\r\n\r\n", 0, 400 },
		{ "POST /" H11 "x-http-method: DELETE\r\n\r\n", 0, 400 },
		{ "POST /" H11 "X-Method-Override: DELETE\r\n\r\n", 0, 400 },
		{ "POST /" H11 "Authorization: a\r\nAuthorization: b\r\n\r\n", 0, 400 },
		{ "POST /" H11 "Content-Type: a\r\nContent-Type: b\r\n\r\n", 0, 400 },
		{ "POST /" H11 "Expect: 100-continue\r\n\r\n", 0, OK },
		{ "POST /" H11 "Expect: 100-Continue\r\n\r\n", 0, OK },
		{ "POST /" H11 "Expect: 200-ok\r\n\r\n", 0, 417 },
		{ "POST /" H11 "Expect: 100-continue, x\r\n\r\n", 0, 417 },
	};
	CHECK(cases);
}

/* What the guard itself must stop: that llhttp would refuse it, too, is luck. */
static void the_guard_needs_no_help(void **state)
{
	static const struct conversation cases[] = {
		{ "GET / HTTP/1.1\r\nHost: a\r\nX: ab\n\r\n", 0, 400 },
		{ "GET / HTTP/1.1\r\nHost: a\r\nX y: b\r\n\r\n", 0, 400 },
		{ "GET / HTTP/1.1\r\nHost: a\r\n\tX: b\r\n\r\n", 0, 400 },
		{ "GET / HTTP/1.1\r\nHost: a\r\nX: b\x01\r\n\r\n", 0, 400 },
		{ "GET / HTTP/1.1\r\nHost: a\r\nX: b\rY: c\r\n\r\n", 0, 400 },
		{ BYTES("GET / HTTP/1.1\r\nHost: a\r\nX: b\0\r\n\r\n"), 400 },
		{ "GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n", 0, 400 },
		{ "GET /\x80 HTTP/1.1\r\nHost: a\r\n\r\n", 0, 400 },
		{ "GET  HTTP/1.1\r\nHost: a\r\n\r\n", 0, 400 },
		{ "GET / HTTP/1.1\r\nContent-Length: 5\r\n 0\r\n\r\n", 0, 400 },
		{ "GET / HTTP/1.1\r\nContent-Length : 5\r\n\r\n", 0, 400 },
		{ "GET / HTTP/1.1\r\nX: a\rTransfer-Encoding: chunked\r\n\r\n", 0, 400 },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct guard g;
		size_t n = cases[i].n > 0 ? cases[i].n : strlen(cases[i].head);
		guard_init(&g);
		assert_int_equal(guard_scan(&g, slice_of(cases[i].head, n), LIMIT), GUARD_REFUSED);
		assert_int_equal(g.refusal.status, cases[i].status);
	}
}

static void limits(void **state)
{
	struct http_head h;
	static char big[40000];
	/* A request line that never ends is 414, headers that never end are 431. */
	memset(big, 'a', sizeof(big));
	memcpy(big, "GET /", 5);
	assert_int_equal(judge_all_ways(&h, slice_of(big, LIMIT - 1), LIMIT).status, MORE);
	assert_int_equal(judge_all_ways(&h, slice_of(big, LIMIT), LIMIT).status, 414);
	assert_int_equal(judge_all_ways(&h, slice_of(big, sizeof(big)), LIMIT).status, 414);
	struct slice begin = SLICE("GET /" H11 "X: a");
	memcpy(big, begin.p, begin.n);
	assert_int_equal(judge_all_ways(&h, slice_of(big, LIMIT - 1), LIMIT).status, MORE);
	assert_int_equal(judge_all_ways(&h, slice_of(big, LIMIT), LIMIT).status, 431);
	/* Exactly at the limit it is served, one byte more it is not. */
	memcpy(big + LIMIT - 4, "\r\n\r\n", 4);
	assert_int_equal(judge_all_ways(&h, slice_of(big, LIMIT), LIMIT).status, OK);
	assert_int_equal(judge_all_ways(&h, slice_of(big, LIMIT), LIMIT - 1).status, 431);

	/* 100 headers, Host included. */
	for (int fields = 99; fields <= 100; fields++) {
		int n = snprintf(big, sizeof(big), "GET /" H11);
		for (int i = 0; i < fields; i++) {
			n += snprintf(big + n, sizeof(big) - n, "X-%d: %d\r\n", i, i);
		}
		n += snprintf(big + n, sizeof(big) - n, "\r\n");
		int wanted = fields == 99 ? OK : 431;
		assert_int_equal(judge_all_ways(&h, slice_of(big, n), LIMIT).status, wanted);
	}
}

static void parts_are_found(void **state)
{
	struct http_head h;
	struct slice in = SLICE("\r\nPOST /a/b%20c?d=e?f HTTP/1.1\r\nHost: example.org:80\r\n"
				"X-One:\r\nX-Two:  two words \t\r\nx-two: again\r\n"
				"Content-Length: 12\r\nExpect: 100-continue\r\n"
				"Content-Encoding: gzip\r\n\r\nhello");
	assert_int_equal(judge_all_ways(&h, in, LIMIT).status, OK);
	/* judge_all_ways() fills `h` from the whole bytes. */
	assert_int_equal(h.method, HTTP_M_POST);
	assert_true(slice_eq(h.path, SLICE("/a/b%20c")));
	assert_true(slice_eq(h.query, SLICE("d=e?f")));
	assert_true(slice_eq(h.host, SLICE("example.org:80")));
	assert_int_equal(h.length, 12);
	assert_false(h.chunked);
	assert_true(h.keep_alive);
	assert_true(h.expects_continue);
	assert_true(h.encoded);
	assert_int_equal(h.n_fields, 7);
	struct slice one = head_find(&h, SLICE("x-one"));
	assert_true(one.p != NULL && one.n == 0);
	assert_true(slice_eq(head_find(&h, SLICE("X-TWO")), SLICE("two words")));
	assert_null(head_find(&h, SLICE("X-Three")).p);

	struct slice absolute = SLICE("GET http://b.c:81?q HTTP/1.1\r\nHost: a\r\n\r\n");
	assert_int_equal(judge_all_ways(&h, absolute, LIMIT).status, OK);
	assert_true(slice_eq(h.path, SLICE("/")));
	assert_true(slice_eq(h.query, SLICE("q")));
	assert_true(slice_eq(h.host, SLICE("b.c:81")));

	struct slice trace = SLICE("TRACE /" H11 "\r\n");
	assert_int_equal(judge_all_ways(&h, trace, LIMIT).status, OK);
	assert_int_equal(h.method, HTTP_M_OTHER);
	struct slice star = SLICE("OPTIONS *" H11 "\r\n");
	assert_int_equal(judge_all_ways(&h, star, LIMIT).status, OK);
	assert_true(h.asterisk);
}

static void persistence(void **state)
{
	static const struct {
		const char *head;
		bool keep;
	} cases[] = {
		{ "GET /" H11 "\r\n", true },
		{ "GET /" H11 "Connection: close\r\n\r\n", false },
		{ "GET /" H11 "Connection: foo, Close\r\n\r\n", false },
		{ "GET /" H11 "Connection: keep-alive\r\n\r\n", true },
		{ "GET / HTTP/1.0\r\n\r\n", false },
		{ "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true },
		/* An upgrade that nobody asked us to serve is a plain request. */
		{ "GET /" H11 "Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n", true },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct http_head h;
		struct verdict v = judge_all_ways(&h, slice_str(cases[i].head), LIMIT);
		assert_int_equal(v.status, OK);
		assert_int_equal(h.keep_alive, cases[i].keep);
	}
	struct http_head h;
	struct slice old = SLICE("POST / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n");
	assert_int_equal(judge_all_ways(&h, old, LIMIT).status, OK);
	assert_false(h.expects_continue);
	assert_int_equal(h.host.n, 0);
}

/* The fast check of values looks at eight bytes at a time: every byte at every place. */
static void values_are_checked_byte_by_byte(void **state)
{
	for (int c = 0; c < 256; c++) {
		bool ok = c == '\t' || (c >= 0x20 && c != 0x7f);
		for (size_t at = 0; at < 19; at++) {
			uint8_t bytes[19];
			memset(bytes, 'v', sizeof(bytes));
			bytes[at] = (uint8_t)c;
			assert_int_equal(http_is_field_value(slice_of(bytes, sizeof(bytes))), ok);
			/* Also when a tab has ended the fast part. */
			bytes[0] = '\t';
			bool expected = at == 0 || ok;
			assert_int_equal(
				http_is_field_value(slice_of(bytes, sizeof(bytes))), expected);
		}
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(request_lines),
		cmocka_unit_test(targets),
		cmocka_unit_test(hosts),
		cmocka_unit_test(smuggling),
		cmocka_unit_test(the_guard_needs_no_help),
		cmocka_unit_test(limits),
		cmocka_unit_test(parts_are_found),
		cmocka_unit_test(persistence),
		cmocka_unit_test(values_are_checked_byte_by_byte),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
