/*
 * What the store adds to libmongoc's own time for the same operation on the same server, one in flight:
 * inserts of one document and finds of one by its _id. Rounds alternate; the medians are printed.
 *
 * bench-mongodb URI [SECONDS PER ROUND] [ROUNDS] [--json]     --json: every round's
 */
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/base/map.h"
#include "director/store/query/document.h"
#include "director/store/store.h"

#include <mongoc/mongoc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

enum { DOCUMENT_PAD = 220, ROUNDS_MAX = 32, KNOWN = 1000 };

static uv_loop_t loop;
static struct store *store;
static mongoc_collection_t *alone;
static int64_t serial; /* of the next inserted document */
static uint64_t round_ns;

static const struct store_scope scope = { STORE_SCOPE_USER, SLICE("bench"), SLICE("bench"),
	SLICE("alice") };

/* {_id: n, user_id: "alice", text: …}; without the user for the store, which adds it. */
static void write_document(struct document_writer *w, int64_t n, bool with_user)
{
	char pad[DOCUMENT_PAD];
	memset(pad, 'x', sizeof(pad));
	writer_init(w, 4096);
	size_t start = writer_open(w);
	writer_int64(w, SLICE("_id"), n);
	if (with_user) {
		writer_string(w, SLICE("user_id"), scope.user);
	}
	writer_string(w, SLICE("text"), slice_of(pad, sizeof(pad)));
	writer_close(w, start);
}

static void write_filter(struct document_writer *w, int64_t n, bool with_user)
{
	writer_init(w, 4096);
	size_t start = writer_open(w);
	writer_int64(w, SLICE("_id"), n);
	if (with_user) {
		writer_string(w, SLICE("user_id"), scope.user);
	}
	writer_close(w, start);
}

/* --- through the store --- */

static void on_done(void *owner, const struct store_result *result)
{
	invariant(result->error == STORE_OK && result->n == 1);
	*(bool *)owner = true;
}

static void run_command(const struct store_command *c)
{
	bool done = false;
	invariant(store_submit(store, &scope, c, on_done, &done) == 0);
	while (!done) {
		(void)uv_run(&loop, UV_RUN_ONCE);
	}
}

static void store_insert(int64_t n)
{
	struct document_writer w;
	write_document(&w, n, false);
	struct store_command c = {
		.op = STORE_INSERT, .collection = SLICE("through"), .documents = buffer_slice(&w.b)
	};
	run_command(&c);
	writer_deinit(&w);
}

static void store_find(int64_t n)
{
	struct document_writer w;
	write_filter(&w, n % KNOWN, false);
	struct store_command c = { .op = STORE_FIND,
		.collection = SLICE("through"),
		.filter = buffer_slice(&w.b),
		.limit = 1 };
	run_command(&c);
	writer_deinit(&w);
}

/* --- libmongoc alone --- */

static void bson_of(struct document_writer *w, bson_t *ret)
{
	invariant(bson_init_static(ret, w->b.p, w->b.n));
}

static void alone_insert(int64_t n)
{
	struct document_writer w;
	bson_t document;
	bson_error_t error;
	write_document(&w, n, true);
	bson_of(&w, &document);
	invariant(mongoc_collection_insert_one(alone, &document, NULL, NULL, &error));
	writer_deinit(&w);
}

static void alone_find(int64_t n)
{
	struct document_writer w;
	bson_t filter;
	bson_t options;
	const bson_t *found = NULL;
	write_filter(&w, n % KNOWN, true);
	bson_of(&w, &filter);
	bson_init(&options);
	invariant(BSON_APPEND_INT64(&options, "limit", 1));
	mongoc_cursor_t *cursor = mongoc_collection_find_with_opts(alone, &filter, &options, NULL);
	invariant(mongoc_cursor_next(cursor, &found));
	mongoc_cursor_destroy(cursor);
	bson_destroy(&options);
	writer_deinit(&w);
}

/* --- rounds --- */

static const struct {
	const char *name;
	void (*run)(int64_t n);
} loads[] = {
	{ "insert, store", store_insert },
	{ "insert, libmongoc", alone_insert },
	{ "find, store", store_find },
	{ "find, libmongoc", alone_find },
};

enum { LOADS = sizeof(loads) / sizeof(loads[0]) };

/* Operations a second. */
static double run_round(unsigned load)
{
	uint64_t start = clock_ns();
	uint64_t done = 0;
	while (clock_ns() < start + round_ns) {
		loads[load].run(serial++);
		done++;
	}
	return (double)done * 1e9 / (double)(clock_ns() - start);
}

static int order(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;
	return (int)(x > y) - (int)(x < y);
}

static void print_round(unsigned load, double *values, unsigned n, bool json)
{
	if (!json) {
		qsort(values, n, sizeof(*values), order);
		(void)printf("%-20s %10.0f/s\n", loads[load].name, values[n / 2]);
		return;
	}
	(void)printf("%s\"%s\":[", load == 0 ? "{" : "", loads[load].name);
	for (unsigned i = 0; i < n; i++) {
		(void)printf("%s%.1f", i == 0 ? "" : ",", values[i]);
	}
	(void)printf("]%s", load + 1 == LOADS ? "}\n" : ",");
}

static mongoc_client_t *open_alone(const char *uri)
{
	mongoc_client_t *client = mongoc_client_new(uri);
	mongoc_write_concern_t *concern = mongoc_write_concern_new();
	invariant(client != NULL && concern != NULL);
	/* As durable as the store's. */
	mongoc_write_concern_set_wmajority(concern, -1);
	mongoc_write_concern_set_journal(concern, true);
	/* The same collection, with the store's index and as many documents. */
	alone = mongoc_client_get_collection(client, "mozaiks", "bench/bench/through");
	mongoc_collection_set_write_concern(alone, concern);
	mongoc_write_concern_destroy(concern);
	return client;
}

static void on_closed(void *arg)
{
	*(bool *)arg = true;
}

int main(int argc, char **argv)
{
	static double results[LOADS][ROUNDS_MAX];
	char why[256] = "";
	bool closed = false;
	struct store_config config;
	if (argc < 2) {
		(void)fprintf(stderr, "usage: bench-mongodb URI [SECONDS] [ROUNDS] [--json]\n");
		return 2;
	}
	double seconds = argc > 2 ? strtod(argv[2], NULL) : 1.0;
	unsigned rounds = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 5;
	rounds = rounds > ROUNDS_MAX ? ROUNDS_MAX : rounds;
	round_ns = (uint64_t)(seconds * 1e9);
	invariant(map_init() == 0 && uv_loop_init(&loop) == 0);
	log_init("bench", LOG_WARNING);
	store_config_init(&config);
	config.loop = &loop;
	config.uri = argv[1];
	config.operation_ms = 30000;
	if (store_open(&store, &config, why) != 0) {
		(void)fprintf(stderr, "%s\n", why);
		return 1;
	}
	mongoc_client_t *client = open_alone(argv[1]);
	for (serial = 0; serial < KNOWN; serial++) {
		store_insert(serial);
	}
	for (unsigned r = 0; r < rounds; r++) {
		for (unsigned i = 0; i < LOADS; i++) {
			/* Pairs alternate: each leads in turn. */
			unsigned load = r % 2 == 0 ? i : i ^ 1;
			results[load][r] = run_round(load);
		}
	}
	for (unsigned i = 0; i < LOADS; i++) {
		print_round(i, results[i], rounds, argc > 4 && strcmp(argv[4], "--json") == 0);
	}
	mongoc_collection_destroy(alone);
	mongoc_client_destroy(client);
	store_close(store, on_closed, &closed);
	while (!closed) {
		(void)uv_run(&loop, UV_RUN_ONCE);
	}
	store_free(store);
	return 0;
}
