/* The chunk decoder, as conversations: each is fed whole and in pieces of every size. */
/* cmocka.h needs what stands before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "director/http/chunked.h"

#include <stdio.h>
#include <stdlib.h>

enum { LIMIT = 1000, MORE = 0, OK = 200 };

struct result {
	int status;
	size_t used; /* bytes of the input that belong to the body */
	size_t n;
	uint8_t data[4096];
};

static void feed(struct result *r, struct slice in, size_t step, uint64_t limit)
{
	struct chunked d;
	size_t given = 0;
	chunked_init(&d, limit);
	*r = (struct result){ 0 };
	while (given < in.n) {
		size_t n = in.n - given > step ? step : in.n - given;
		struct slice piece = slice_of(in.p + given, n);
		struct slice data;
		given += n;
		for (enum chunked_verdict v = CHUNKED_DATA; v == CHUNKED_DATA;) {
			v = chunked_next(&d, &piece, &data);
			if (v == CHUNKED_DATA) {
				assert_true(r->n + data.n <= sizeof(r->data));
				memcpy(r->data + r->n, data.p, data.n);
				r->n += data.n;
			} else if (v == CHUNKED_END || v == CHUNKED_REFUSED) {
				r->status = v == CHUNKED_END ? OK : d.refusal.status;
				r->used = given - piece.n;
				/* The verdict stays. */
				assert_int_equal(chunked_next(&d, &piece, &data), v);
				return;
			}
		}
	}
}

static void check(struct result *whole, struct slice in, uint64_t limit)
{
	static struct result pieces;
	feed(whole, in, in.n, limit);
	for (size_t step = 1; step < 12; step++) {
		feed(&pieces, in, step, limit);
		assert_int_equal(pieces.status, whole->status);
		assert_int_equal(pieces.used, whole->used);
		assert_int_equal(pieces.n, whole->n);
		assert_memory_equal(pieces.data, whole->data, whole->n);
	}
}

static void bodies(void **state)
{
	static const struct {
		const char *in;
		int status;
		const char *data;
	} cases[] = {
		{ "0\r\n\r\n", OK, "" },
		{ "5\r\nhello\r\n0\r\n\r\n", OK, "hello" },
		{ "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", OK, "hello world" },
		{ "A\r\n0123456789\r\n00\r\n\r\n", OK, "0123456789" },
		{ "a\r\n0123456789\r\n000\r\n\r\n", OK, "0123456789" },
		{ "0000000000000000000005\r\nhello\r\n0\r\n\r\n", OK, "hello" },
		/* llhttp's refuses this legal one ... */
		{ "5;a=b;c\r\nhello\r\n0\r\n\r\n", OK, "hello" },
		{ "5;a=\"b;\\\"\\\\ \tc\";d\r\nhello\r\n0;x\r\n\r\n", OK, "hello" },
		{ "5\r\nhello\r\n0\r\nX: y\r\nZ:\r\n\r\n", OK, "hello" },
		/* ... and takes this one. */
		{ "0\r\n\n", 400, "" },
		{ "0\n\r\n", 400, "" },
		{ "0\r\n\r\r", 400, "" },
		{ "5\nhello\r\n0\r\n\r\n", 400, "" },
		{ "5\r\nhello\n0\r\n\r\n", 400, "hello" },
		{ "5\r\nhello0\r\n\r\n", 400, "hello" },
		{ "5\r\nhelloX\r\n0\r\n\r\n", 400, "hello" },
		{ "5\r\nhello\rX0\r\n\r\n", 400, "hello" },
		{ "5\r\nhelloX\n0\r\n\r\n", 400, "hello" },
		{ "5 \r\nhello\r\n0\r\n\r\n", 400, "" },
		{ " 5\r\nhello\r\n0\r\n\r\n", 400, "" },
		{ "5\t\r\nhello\r\n0\r\n\r\n", 400, "" },
		{ "+5\r\nhello\r\n0\r\n\r\n", 400, "" },
		{ "-1\r\n\r\n", 400, "" },
		{ "0x5\r\nhello\r\n0\r\n\r\n", 400, "" },
		{ "5_0\r\nhello\r\n0\r\n\r\n", 400, "" },
		{ "g\r\n", 400, "" },
		{ "\r\n", 400, "" },
		{ ";a\r\n", 400, "" },
		{ "5;\r\nhello\r\n", 400, "" },
		{ "5;;a\r\nhello\r\n", 400, "" },
		{ "5;a=\r\nhello\r\n", 400, "" },
		{ "5; a\r\nhello\r\n", 400, "" },
		{ "5;a =b\r\nhello\r\n", 400, "" },
		{ "5;a=\"b\r\nhello\r\n", 400, "" },
		{ "5;a=\"b\"c\r\nhello\r\n", 400, "" },
		{ "5;a=\"\\\r\"\r\nhello\r\n", 400, "" },
		{ "5\r;a\r\nhello\r\n", 400, "" },
		{ "0\r\n X: y\r\n\r\n", 400, "" },
		{ "0\r\nX y\r\n\r\n", 400, "" },
		{ "0\r\nX : y\r\n\r\n", 400, "" },
		{ "0\r\nX: y\n\r\n", 400, "" },
		{ "0\r\nX: y\rZa: b\r\n\r\n", 400, "" },
		/* Every chunk has a size of its own, the last one too. */
		{ "5\r\nhello\r\n\r\n\r\n", 400, "hello" },
		{ "5\r\nhello\r\n;a\r\n\r\n", 400, "hello" },
		{ "0\r\nX: y\x01\r\n\r\n", 400, "" },
		{ "0\r\n: y\r\n\r\n", 400, "" },
		/* Sizes. */
		{ "3e8", MORE, "" },
		{ "3e9\r\n", 413, "" },
		{ "3e9;x", 413, "" },
		{ "FFFFFFF\r\n", 413, "" },
		{ "FFFFFFFFFFFFFFF\r\n", 413, "" },
		{ "FFFFFFFFFFFFFFFF\r\n", 400, "" },
		{ "10000000000000005\r\nhello\r\n0\r\n\r\n", 400, "" },
		{ "5\r\nhello\r\n3e4\r\n", 413, "hello" },
		/* Not the end yet. */
		{ "", MORE, "" },
		{ "5", MORE, "" },
		{ "5\r\nhel", MORE, "hel" },
		{ "5\r\nhello\r\n", MORE, "hello" },
		{ "5\r\nhello\r\n0\r\n", MORE, "hello" },
		{ "5\r\nhello\r\n0\r\nX: y\r\n\r", MORE, "hello" },
	};
	static struct result r;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		check(&r, slice_str(cases[i].in), LIMIT);
		if (r.status != cases[i].status) {
			print_error("case %zu: %d instead of %d: %s\n", i, r.status,
				cases[i].status, cases[i].in);
		}
		assert_int_equal(r.status, cases[i].status);
		assert_true(slice_eq(slice_of(r.data, r.n), slice_str(cases[i].data)));
		if (r.status == OK) {
			assert_int_equal(r.used, strlen(cases[i].in));
		}
	}
}

static void what_follows_is_left_alone(void **state)
{
	static struct result r;
	check(&r, SLICE("3\r\nabc\r\n0\r\nT: v\r\n\r\nGET / HTTP/1.1\r\n"), LIMIT);
	assert_int_equal(r.status, OK);
	assert_int_equal(r.used, 19);
}

static void a_body_may_have_its_limit_exactly(void **state)
{
	static struct result r;
	static char in[2048];
	int n = snprintf(in, sizeof(in), "1f4\r\n%0500d\r\n1f4\r\n%0500d\r\n0\r\n\r\n", 0, 0);
	check(&r, slice_of(in, n), 1000);
	assert_int_equal(r.status, OK);
	assert_int_equal(r.n, 1000);
	check(&r, slice_of(in, n), 999);
	assert_int_equal(r.status, 413);
	assert_int_equal(r.n, 500);
}

/* Framing has a budget of its own: tiny chunks and endless extensions are refused. */
static void framing_has_a_budget(void **state)
{
	struct chunked d;
	struct slice data;
	chunked_init(&d, 1000000000);
	size_t chunks = 0;
	for (;; chunks++) {
		struct slice in = SLICE("1\r\nx\r\n");
		enum chunked_verdict v;
		while ((v = chunked_next(&d, &in, &data)) == CHUNKED_DATA) {
		}
		if (v != CHUNKED_MORE) {
			assert_int_equal(v, CHUNKED_REFUSED);
			break;
		}
	}
	assert_int_equal(d.refusal.status, 400);
	assert_int_equal(chunks, CHUNKED_FRAMING_MAX / 5);

	chunked_init(&d, 1000);
	struct slice in = SLICE("5;a=\"");
	assert_int_equal(chunked_next(&d, &in, &data), CHUNKED_MORE);
	size_t n = 5;
	enum chunked_verdict v = CHUNKED_MORE;
	for (; v == CHUNKED_MORE; n++) {
		struct slice one = SLICE("y");
		v = chunked_next(&d, &one, &data);
	}
	assert_int_equal(v, CHUNKED_REFUSED);
	assert_int_equal(n, CHUNKED_FRAMING_MAX + 1);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(bodies),
		cmocka_unit_test(what_follows_is_left_alone),
		cmocka_unit_test(a_body_may_have_its_limit_exactly),
		cmocka_unit_test(framing_has_a_budget),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
