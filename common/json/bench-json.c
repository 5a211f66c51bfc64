/* Megabytes a second: the scanner, and jansson's parser for comparison, over an ordinary request of
 * 1 KiB and one of 64 KiB, compact, indented, and with text that is not ASCII. */
#include "common/base/buffer.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/json/tree.h"

#include <stdio.h>
#include <stdlib.h>

enum { BYTES_PER_RUN = 16 << 20, TEXT_MAX = 1 << 20, RUNS = 9 };

static void must(bool ok)
{
	invariant(ok);
}

static void add(struct buffer *b, struct slice s)
{
	must(buffer_append(b, s) == 0);
}

static void add_task(struct buffer *b, unsigned i, struct slice title, bool indented)
{
	const char *gap = indented ? "\n      " : "";
	must(buffer_printf(b, "%s{%s\"id\":\"66b0a2f4c3d2e1%010x\",%s\"title\":\"",
		     i > 0 ? "," : "", gap, i * 2654435761U, gap) == 0);
	add(b, title);
	must(buffer_printf(b,
		     "\",%s\"done\":%s,%s\"priority\":%u,%s\"estimate\":%u.%u,"
		     "%s\"tags\":[\"work\",\"q%u\"],%s\"due\":null}",
		     gap, i % 3 == 0 ? "true" : "false", gap, i % 5, gap, i % 40, i % 10, gap,
		     i % 4, gap) == 0);
}

static void make(struct buffer *b, size_t size, struct slice title, bool indented)
{
	buffer_clear(b);
	add(b,
		SLICE("{\"action\":\"update\",\"note\":\"A line with \\\"quotes\\\" and\\nbreaks\","
		      "\"page\":1,\"tasks\":["));
	for (unsigned i = 0; b->n + 100 < size; i++) {
		add_task(b, i, title, indented);
	}
	add(b, SLICE("]}"));
}

static bool count(void *arg, const struct json_member *member)
{
	*(size_t *)arg += member->name.n;
	return true;
}

static void scan(struct slice text)
{
	size_t names = 0;
	must(json_scan(text, count, &names, NULL, NULL) == 0 && names > 0);
}

static void parse(struct slice text)
{
	json_t *tree = json_loadb((const char *)text.p, text.n, 0, NULL);
	must(tree != NULL);
	json_decref(tree);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;
	return (x > y) - (x < y);
}

/* The median of some runs. */
static double measure(void (*work)(struct slice), struct slice text)
{
	double rates[RUNS];
	size_t rounds = BYTES_PER_RUN / text.n;
	for (size_t run = 0; run < RUNS; run++) {
		uint64_t start = clock_ns();
		for (size_t i = 0; i < rounds; i++) {
			work(text);
		}
		rates[run] = (double)(rounds * text.n) * 1000 / (double)(clock_ns() - start);
	}
	qsort(rates, RUNS, sizeof(rates[0]), by_value);
	return rates[RUNS / 2];
}

int main(void)
{
	static const struct {
		const char *name;
		size_t size;
		struct slice title;
		bool indented;
	} cases[] = {
		{ "1 KiB", 1024, { (const uint8_t *)"Call the printer about the invoice", 34 },
			false },
		{ "64 KiB", 65536, { (const uint8_t *)"Call the printer about the invoice", 34 },
			false },
		{ "64 KiB indented", 65536,
			{ (const uint8_t *)"Call the printer about the invoice", 34 }, true },
		{ "64 KiB with UTF-8", 65536,
			{ (const uint8_t *)"\xd0\x9f\xd0\xbe\xd0\xb7\xd0\xb2\xd0\xbe\xd0\xbd\xd0\xb8"
					   "\xe6\x89\x93\xe7\x94\xb5\xe8\xaf\x9d\xe7\xbb\x99",
				26 },
			false },
	};
	struct buffer text;
	buffer_init(&text, TEXT_MAX);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		make(&text, cases[i].size, cases[i].title, cases[i].indented);
		double ours = measure(scan, buffer_slice(&text));
		double theirs = measure(parse, buffer_slice(&text));
		printf("%-18s %6zu bytes  scan %5.0f MB/s  jansson %4.0f MB/s  ratio %.1f\n",
			cases[i].name, text.n, ours, theirs, ours / theirs);
	}
	buffer_deinit(&text);
	return 0;
}
