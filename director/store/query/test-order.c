/* The order of values, keys that carry it, and sorting by fields. */
/* cmocka.h needs what stands before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "director/store/query/compare.h"
#include "director/store/query/key.h"
#include "director/store/query/notation.h"
#include "director/store/query/number.h"
#include "director/store/query/sort.h"

#include <stdio.h>
#include <stdlib.h>

/* In ascending order; what stands in one row is equal. */
static const char *const ladder[] = {
	"[MinKey]",
	"[null]",
	"[NaN, DEC(NaN)]",
	"[-Infinity, DEC(-Infinity)]",
	"[DEC(-9.999999999999999999999999999999999e6144)]",
	"[-1.7976931348623157e308]",
	"[DEC(-1e20), -1.0e20]",
	"[-9223372036854775808L, -9223372036854775808.0, DEC(-9223372036854775808)]",
	"[-9223372036854775807L]",
	"[-9007199254740993L]",
	"[-9007199254740992L, -9007199254740992.0]",
	"[-100, -100.0, -100L, DEC(-1e2)]",
	"[-99.5]",
	"[-2, -2.0]",
	"[-1.5, DEC(-1.50)]",
	"[-1, -1.0, DEC(-1)]",
	"[-0.1]",
	"[DEC(-0.1)]",
	"[-4.9406564584124654e-324]",
	"[DEC(-1e-6176)]",
	"[0, 0L, 0.0, -0.0, DEC(0), DEC(-0e10)]",
	"[DEC(1e-6176)]",
	"[4.9406564584124654e-324]",
	"[DEC(0.1)]",
	"[0.1]",
	"[0.25, DEC(0.25)]",
	"[1, 1.0, 1L, DEC(1), DEC(1.000), DEC(10e-1)]",
	"[1.0000000000000002]",
	"[1.5, DEC(15e-1)]",
	"[2, 2L]",
	"[9, 9.0]",
	"[10, DEC(1e1)]",
	"[11]",
	"[99]",
	"[100, DEC(1e2)]",
	"[101]",
	"[9007199254740992L, 9007199254740992.0]",
	"[9007199254740993L, DEC(9007199254740993)]",
	"[9007199254740994L, 9007199254740994.0]",
	"[9223372036854775807L, DEC(9223372036854775807)]",
	"[9223372036854775808.0, DEC(9223372036854775808)]",
	"[DEC(9223372036854775809)]",
	"[DEC(1234567890123456789012345678901234e-1)]",
	"[1.0e300]",
	"[DEC(1e400)]",
	"[Infinity, DEC(Infinity)]",
	"['']",
	"['\\x00']",
	"['\\x00\\x00']",
	"['\\x00a']",
	"['\\x01']",
	"['a']",
	"['a\\x00']",
	"['a\\x00b']",
	"['ab']",
	"['b']",
	"['\\xc3\\xa4']",
	"[{}]",
	"[{a: null}]",
	"[{a: 1}, {a: 1.0}]",
	"[{a: 1, b: 1}]",
	"[{a: 2}]",
	"[{b: 0}]",
	"[{a: 'x'}]",
	"[{a: {}}]",
	"[{a: {b: 1}}]",
	"[{a: []}]",
	"[[]]",
	"[[null]]",
	"[[1], [1L]]",
	"[[1, 1]]",
	"[[1, 2]]",
	"[[2]]",
	"[['a']]",
	"[[{a: 1}]]",
	"[[[1]]]",
	"[BIN(0,)]",
	"[BIN(0,01)]",
	"[BIN(0,02)]",
	"[BIN(5,00)]",
	"[BIN(0,0000)]",
	"[OID(000000000000000000000001)]",
	"[OID(010000000000000000000000)]",
	"[false]",
	"[true]",
	"[DATE(-1)]",
	"[DATE(0)]",
	"[DATE(1000)]",
	"[TS(0)]",
	"[TS(5)]",
	"[/a/]",
	"[/a/i]",
	"[/b/]",
	"[MaxKey]",
};

enum { RUNGS = sizeof(ladder) / sizeof(ladder[0]), PER_RUNG = 8 };

static struct value rungs[RUNGS][PER_RUNG];
static unsigned rung_sizes[RUNGS];
static struct slice rung_documents[RUNGS];

static int ladder_setup(void **state)
{
	for (size_t i = 0; i < RUNGS; i++) {
		char text[400];
		(void)snprintf(text, sizeof(text), "{v: %s}", ladder[i]);
		rung_documents[i] = notation_parse(text);
		struct value array = document_find(rung_documents[i], SLICE("v"));
		struct document_iter it = document_iter(array.data);
		struct element e;
		while (document_next(&it, &e)) {
			rungs[i][rung_sizes[i]++] = e.value;
		}
	}
	return 0;
}

static int ladder_teardown(void **state)
{
	for (size_t i = 0; i < RUNGS; i++) {
		free((void *)rung_documents[i].p);
	}
	return 0;
}

static int sign(int c)
{
	return (c > 0) - (c < 0);
}

static int key_compare(struct value a, struct value b)
{
	struct buffer x;
	struct buffer y;
	buffer_init(&x, 4096);
	buffer_init(&y, 4096);
	assert_int_equal(key_append(&x, a), 0);
	assert_int_equal(key_append(&y, b), 0);
	size_t n = x.n < y.n ? x.n : y.n;
	int c = memcmp(x.p, y.p, n);
	/* No key begins with another. */
	assert_true(c != 0 || x.n == y.n);
	buffer_deinit(&x);
	buffer_deinit(&y);
	return c;
}

/* Every pair, both ways: n² comparisons of the order and of the keys. */
static void every_pair_is_in_order(void **state)
{
	for (size_t i = 0; i < RUNGS; i++) {
		for (size_t j = 0; j < RUNGS; j++) {
			int expected = (i > j) - (i < j);
			for (unsigned x = 0; x < rung_sizes[i]; x++) {
				for (unsigned y = 0; y < rung_sizes[j]; y++) {
					int c = value_compare(rungs[i][x], rungs[j][y]);
					int k = key_compare(rungs[i][x], rungs[j][y]);
					if (sign(c) != expected || sign(k) != expected) {
						fail_msg("%s[%u] and %s[%u]: order %d, keys %d",
							ladder[i], x, ladder[j], y, c, k);
					}
				}
			}
		}
	}
}

static uint64_t random_state = 88172645463325252ULL;

static uint64_t random_u64(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static struct value random_double(struct document_writer *w)
{
	uint64_t bits = random_u64();
	double d = 0;
	/* Half of them near integers, where the types meet. */
	if (bits & 1) {
		memcpy(&d, &bits, sizeof(d));
	} else {
		d = (double)(int64_t)(random_u64() >> (random_u64() % 60));
	}
	writer_double(w, SLICE("d"), d);
	return VALUE_MISSING;
}

/* Random numbers of all types: comparison is antisymmetric and agrees with the keys. */
static void random_numbers_agree_with_their_keys(void **state)
{
	for (int round = 0; round < 20000; round++) {
		struct document_writer w;
		struct value v[2];
		struct element e;
		writer_init(&w, 200);
		size_t root = writer_open(&w);
		for (int i = 0; i < 2; i++) {
			if (random_u64() % 3 == 0) {
				writer_int64(&w, SLICE("i"),
					(int64_t)(random_u64() >> (random_u64() % 63)));
			} else if (random_u64() % 3 == 0) {
				uint8_t bytes[17] = { 0 };
				uint64_t low = random_u64() >> (random_u64() % 63);
				uint64_t high =
					(6150 + random_u64() % 40) << 49 | (random_u64() & 1) << 63;
				memcpy(bytes, &low, 8);
				memcpy(bytes + 8, &high, 8);
				writer_value(&w, SLICE("x"),
					(struct value){ BT_DECIMAL, slice_of(bytes, 16) });
			} else {
				(void)random_double(&w);
			}
		}
		writer_close(&w, root);
		struct document_iter it = document_iter(buffer_slice(&w.b));
		for (int i = 0; i < 2; i++) {
			assert_true(document_next(&it, &e));
			v[i] = e.value;
		}
		int c = sign(value_compare(v[0], v[1]));
		assert_int_equal(c, -sign(value_compare(v[1], v[0])));
		assert_int_equal(c, sign(key_compare(v[0], v[1])));
		writer_deinit(&w);
	}
}

static void whole_numbers_are_recognised(void **state)
{
	static const struct {
		const char *value;
		bool whole;
		int64_t expected;
	} cases[] = {
		{ "5", true, 5 },
		{ "-5L", true, -5 },
		{ "5.0", true, 5 },
		{ "5.5", false, 0 },
		{ "NaN", false, 0 },
		{ "9223372036854775808.0", false, 0 },
		{ "-9223372036854775808.0", true, INT64_MIN },
		{ "DEC(5.00)", true, 5 },
		{ "DEC(5.01)", false, 0 },
		{ "DEC(5e3)", true, 5000 },
		{ "DEC(1e19)", false, 0 },
		{ "DEC(-9223372036854775808)", true, INT64_MIN },
		{ "DEC(1e-6000)", false, 0 },
		{ "DEC(0e6000)", true, 0 },
		{ "DEC(Infinity)", false, 0 },
		{ "'5'", false, 0 },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[100];
		int64_t n = 0;
		(void)snprintf(text, sizeof(text), "{v: %s}", cases[i].value);
		struct slice d = notation_parse(text);
		bool whole = value_whole(document_find(d, SLICE("v")), &n);
		if (whole != cases[i].whole || n != cases[i].expected) {
			fail_msg("%s: %d %lld", cases[i].value, whole, (long long)n);
		}
		free((void *)d.p);
	}
}

/* The documents of each row are in the wanted order. */
static const struct {
	const char *spec;
	const char *documents[6];
} sorted[] = {
	{ "{a: 1}", { "{b: 1}", "{a: 1}", "{a: 1.5}", "{a: 2}", "{a: 'x'}" } },
	{ "{a: -1}", { "{a: 'x'}", "{a: 2}", "{a: 1}", "{a: null}" } },
	{ "{a: 1, b: -1}", { "{a: 1, b: 2}", "{a: 1, b: 1}", "{a: 2, b: 9}", "{a: 2, b: 3}" } },
	{ "{'a.b': 1}", { "{a: 5}", "{a: {b: 1}}", "{a: {b: 2}}" } },
	/* An array by its smallest element up, its largest down. */
	{ "{a: 1}", { "{a: [5, 1]}", "{a: [2, 3]}", "{a: 4}" } },
	{ "{a: -1}", { "{a: [5, 1]}", "{a: 4}", "{a: [2, 3]}" } },
	{ "{a: 1}", { "{a: []}", "{a: null}", "{a: [7]}" } },
	{ "{'a.b': 1}", { "{a: [{b: 9}, {b: 1}]}", "{a: [{b: 2}]}", "{a: {b: 3}}" } },
	{ "{'a.1': 1}", { "{a: [9]}", "{a: [9, 1]}", "{a: [1, 9]}" } },
	{ "{a: -1}", { "{a: 'b'}", "{a: 'ab'}", "{a: 'a'}", "{a: ''}" } },
	{ "{a: -1, b: 1}", { "{a: 'x', b: 1}", "{a: 'x', b: 2}", "{a: 'w', b: 0}" } },
};

static void sort_keys_follow_the_order(void **state)
{
	for (size_t i = 0; i < sizeof(sorted) / sizeof(sorted[0]); i++) {
		struct slice spec = notation_parse(sorted[i].spec);
		struct store_failure f;
		struct sort *s = NULL;
		struct buffer before;
		buffer_init(&before, 4096);
		assert_int_equal(sort_compile(&s, spec, &f), 0);
		for (size_t j = 0; j < 6 && sorted[i].documents[j] != NULL; j++) {
			struct slice d = notation_parse(sorted[i].documents[j]);
			struct budget budget = { 0 };
			struct buffer key;
			buffer_init(&key, 4096);
			assert_int_equal(sort_key(s, d, &budget, &key), 0);
			size_t n = key.n < before.n ? key.n : before.n;
			if (j > 0 && memcmp(before.p, key.p, n) >= 0) {
				fail_msg("%s: %s before %s", sorted[i].spec,
					sorted[i].documents[j - 1], sorted[i].documents[j]);
			}
			buffer_deinit(&before);
			before = key;
			free((void *)d.p);
		}
		buffer_deinit(&before);
		sort_free(s);
		free((void *)spec.p);
	}
}

static void bad_sorts_are_named(void **state)
{
	static const struct {
		const char *spec;
		const char *text;
	} bad[] = {
		{ "{a: 2}", "the sort by a needs 1 or -1" },
		{ "{a: 'x'}", "the sort by a needs 1 or -1" },
		{ "{a: {$meta: 'textScore'}}", "the sort by a" },
		{ "{$natural: 1}", "unsupported operator $natural" },
		{ "{'a..b': 1}", "empty part" },
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct slice spec = notation_parse(bad[i].spec);
		struct store_failure f = { 0 };
		struct sort *s = NULL;
		assert_true(sort_compile(&s, spec, &f) > 0);
		assert_non_null(strstr(f.message, bad[i].text));
		assert_null(s);
		free((void *)spec.p);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_pair_is_in_order),
		cmocka_unit_test(random_numbers_agree_with_their_keys),
		cmocka_unit_test(whole_numbers_are_recognised),
		cmocka_unit_test(sort_keys_follow_the_order),
		cmocka_unit_test(bad_sorts_are_named),
	};
	return cmocka_run_group_tests(tests, ladder_setup, ladder_teardown);
}
