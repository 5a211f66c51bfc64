/*
 * What the store adds to libmongoc's own time for the same operation on the same server: inserts of one
 * document and finds of one by its _id, one in flight and 64. Both send the same: the same document, the
 * same filter and limit, as durable. libmongoc alone has as many threads and connections as the store has at
 * work for one plugin.
 * A server's pace changes from second to second: in a round the two take turns in short slices, and the
 * time of each is added up. The medians of the rounds are printed.
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
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

enum {
	DOCUMENT_PAD = 220,
	ROUNDS_MAX = 32,
	KNOWN = 1000,
	IN_FLIGHT = 64,
	THREADS = 6, /* as many as the store has at work for one plugin (mongodb.c, SHARE) */
	WARM_NS = 200000000,
	SLICES = 10, /* of a round, for each of a pair */
	OPERATION_MS = 30000,
};

/* One command at a time. Inserts are of a user of its own: one user's changes wait for each other. */
struct flight {
	struct store_scope scope;
	char user[16];
	void (*again)(struct flight *f);
	bool done;
};

/* libmongoc alone: a connection, and the thread that uses it. */
struct lone {
	pthread_t thread;
	mongoc_client_t *client;
	mongoc_collection_t *grows; /* is inserted into */
	mongoc_collection_t *stays; /* has the KNOWN documents that are found */
	void (*run)(struct lone *l, int64_t n);
	uint64_t operations;
};

static uv_loop_t loop;
static struct store *store;
static struct lone lones[THREADS];
static struct flight flights[IN_FLIGHT];
static atomic_int_least64_t serial; /* of the next document */
static uint32_t begun;              /* begins the ids of this run */
static uint64_t round_ns;
static uint64_t round_end;
static uint64_t operations;

/* ObjectIds, as documents have that are given none. */
static void write_id(struct document_writer *w, int64_t n)
{
	uint8_t id[OID_BYTES];
	for (size_t i = 0; i < sizeof(id); i++) {
		uint64_t part =
			i < 4 ? (uint64_t)begun >> (8 * (3 - i)) : (uint64_t)n >> (8 * (11 - i));
		id[i] = (uint8_t)part;
	}
	writer_oid(w, SLICE("_id"), id);
}

/* {_id: n, user_id: …, text: …}; without the user for the store, which adds it. */
static void write_document(struct document_writer *w, int64_t n, struct slice user)
{
	char pad[DOCUMENT_PAD];
	memset(pad, 'x', sizeof(pad));
	writer_init(w, 4096);
	size_t start = writer_open(w);
	write_id(w, n);
	if (user.n > 0) {
		writer_string(w, SLICE("user_id"), user);
	}
	writer_string(w, SLICE("text"), slice_of(pad, sizeof(pad)));
	writer_close(w, start);
}

static void write_filter(struct document_writer *w, int64_t n, struct slice user)
{
	writer_init(w, 4096);
	size_t start = writer_open(w);
	if (user.n > 0) {
		writer_string(w, SLICE("user_id"), user);
	}
	write_id(w, n);
	writer_close(w, start);
}

/* --- through the store --- */

static void on_done(void *owner, const struct store_result *result)
{
	struct flight *f = (struct flight *)owner;
	if (result->error != STORE_OK || result->n != 1) {
		(void)fprintf(stderr, "%s: %s (%llu)\n", store_error_code(result->error),
			result->message, (unsigned long long)result->n);
		exit(1);
	}
	operations++;
	f->done = clock_ns() >= round_end;
	if (!f->done) {
		f->again(f);
	}
}

static void insert_into(struct flight *f, struct slice collection)
{
	struct document_writer w;
	write_document(&w, atomic_fetch_add(&serial, 1), SLICE_NULL);
	struct store_command c = { .op = STORE_INSERT,
		.collection = collection,
		.documents = buffer_slice(&w.b),
		.ordered = true };
	invariant(store_submit(store, &f->scope, &c, on_done, f) == 0);
	writer_deinit(&w);
}

static void store_insert(struct flight *f)
{
	insert_into(f, SLICE("grows"));
}

/* What is found later. */
static void store_prepare(struct flight *f)
{
	insert_into(f, SLICE("stays"));
}

/* Of what the first user has inserted. */
static void store_find(struct flight *f)
{
	struct document_writer w;
	write_filter(&w, atomic_fetch_add(&serial, 1) % KNOWN, SLICE_NULL);
	struct store_command c = { .op = STORE_FIND,
		.collection = SLICE("stays"),
		.filter = buffer_slice(&w.b),
		.limit = 1 };
	invariant(store_submit(store, &flights[0].scope, &c, on_done, f) == 0);
	writer_deinit(&w);
}

static void store_round(void (*run)(struct flight *f), unsigned in_flight)
{
	for (unsigned i = 0; i < in_flight; i++) {
		flights[i].again = run;
		flights[i].done = false;
		run(&flights[i]);
	}
	for (unsigned i = 0; i < in_flight; i++) {
		while (!flights[i].done) {
			(void)uv_run(&loop, UV_RUN_ONCE);
		}
	}
}

/* --- libmongoc alone --- */

static void bson_of(struct document_writer *w, bson_t *ret)
{
	invariant(bson_init_static(ret, w->b.p, w->b.n));
}

static void alone_insert(struct lone *l, int64_t n)
{
	struct document_writer w;
	bson_t document;
	bson_error_t error;
	write_document(&w, n, flights[0].scope.user);
	bson_of(&w, &document);
	invariant(mongoc_collection_insert_one(l->grows, &document, NULL, NULL, &error));
	writer_deinit(&w);
}

static void alone_find(struct lone *l, int64_t n)
{
	struct document_writer w;
	bson_t filter;
	bson_t options;
	const bson_t *found = NULL;
	write_filter(&w, n % KNOWN, flights[0].scope.user);
	bson_of(&w, &filter);
	bson_init(&options);
	BSON_APPEND_INT64(&options, "limit", 1);
	BSON_APPEND_INT64(&options, "batchSize", 2);
	BSON_APPEND_INT64(&options, "maxTimeMS", OPERATION_MS);
	mongoc_cursor_t *cursor =
		mongoc_collection_find_with_opts(l->stays, &filter, &options, NULL);
	invariant(mongoc_cursor_next(cursor, &found));
	/* To its end, as the store reads it. */
	invariant(!mongoc_cursor_next(cursor, &found));
	mongoc_cursor_destroy(cursor);
	bson_destroy(&options);
	writer_deinit(&w);
}

static void *lone_work(void *arg)
{
	struct lone *l = (struct lone *)arg;
	for (l->operations = 0; clock_ns() < round_end; l->operations++) {
		l->run(l, atomic_fetch_add(&serial, 1));
	}
	return NULL;
}

static void alone_round(void (*run)(struct lone *l, int64_t n), unsigned threads)
{
	for (unsigned i = 0; i < threads; i++) {
		lones[i].run = run;
		invariant(pthread_create(&lones[i].thread, NULL, lone_work, &lones[i]) == 0);
	}
	for (unsigned i = 0; i < threads; i++) {
		invariant(pthread_join(lones[i].thread, NULL) == 0);
		operations += lones[i].operations;
	}
}

/* --- rounds --- */

static const struct {
	const char *name;
	void (*through)(struct flight *f);
	void (*alone)(struct lone *l, int64_t n);
	unsigned in_flight;
} loads[] = {
	{ "insert, store", store_insert, NULL, 1 },
	{ "insert, libmongoc", NULL, alone_insert, 1 },
	{ "find, store", store_find, NULL, 1 },
	{ "find, libmongoc", NULL, alone_find, 1 },
	{ "insert 64, store", store_insert, NULL, IN_FLIGHT },
	{ "insert 64, libmongoc", NULL, alone_insert, THREADS },
	{ "find 64, store", store_find, NULL, IN_FLIGHT },
	{ "find 64, libmongoc", NULL, alone_find, THREADS },
};

enum { LOADS = sizeof(loads) / sizeof(loads[0]) };

/* @return the nanoseconds that it took; `operations` is how many there were. */
static uint64_t run_slice(unsigned load, uint64_t ns)
{
	uint64_t start = clock_ns();
	round_end = start + ns;
	operations = 0;
	if (loads[load].through != NULL) {
		store_round(loads[load].through, loads[load].in_flight);
	} else {
		alone_round(loads[load].alone, loads[load].in_flight);
	}
	return clock_ns() - start;
}

/* Both of a pair, which leads in turn. @param ret operations a second of each. */
static void run_pair(unsigned pair, double ret[static 2])
{
	uint64_t done[2] = { 0 };
	uint64_t spent[2] = { 0 };
	for (unsigned i = 0; i < 2 * SLICES; i++) {
		unsigned which = (i + i / 2) % 2;
		spent[which] += run_slice(2 * pair + which, round_ns / SLICES);
		done[which] += operations;
	}
	for (unsigned which = 0; which < 2; which++) {
		ret[which] = (double)done[which] * 1e9 / (double)spent[which];
	}
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

/* The same collections, with the store's index, as durable as the store's. */
static void open_alone(mongoc_client_pool_t *pool)
{
	mongoc_write_concern_t *concern = mongoc_write_concern_new();
	mongoc_write_concern_set_wmajority(concern, -1);
	mongoc_write_concern_set_journal(concern, true);
	for (unsigned i = 0; i < THREADS; i++) {
		lones[i].client = mongoc_client_pool_pop(pool);
		lones[i].grows = mongoc_client_get_collection(
			lones[i].client, "mozaiks", "bench/bench/grows");
		lones[i].stays = mongoc_client_get_collection(
			lones[i].client, "mozaiks", "bench/bench/stays");
		mongoc_collection_set_write_concern(lones[i].grows, concern);
	}
	mongoc_write_concern_destroy(concern);
}

static void close_alone(mongoc_client_pool_t *pool)
{
	for (unsigned i = 0; i < THREADS; i++) {
		mongoc_collection_destroy(lones[i].grows);
		mongoc_collection_destroy(lones[i].stays);
		mongoc_client_pool_push(pool, lones[i].client);
	}
	mongoc_client_pool_destroy(pool);
}

static void name_flights(void)
{
	for (unsigned i = 0; i < IN_FLIGHT; i++) {
		struct flight *f = &flights[i];
		(void)snprintf(f->user, sizeof(f->user), "user-%u", i);
		f->scope = (struct store_scope){ STORE_SCOPE_USER, SLICE("bench"), SLICE("bench"),
			slice_str(f->user) };
	}
}

static int open_store(const char *uri)
{
	char why[256] = "";
	struct store_config config;
	store_config_init(&config);
	config.loop = &loop;
	config.uri = uri;
	config.operation_ms = OPERATION_MS;
	if (store_open(&store, &config, why) != 0) {
		(void)fprintf(stderr, "%s\n", why);
		return -1;
	}
	return 0;
}

static void on_closed(void *arg)
{
	*(bool *)arg = true;
}

int main(int argc, char **argv)
{
	static double results[LOADS][ROUNDS_MAX];
	bool closed = false;
	if (argc < 2) {
		(void)fprintf(stderr, "usage: bench-mongodb URI [SECONDS] [ROUNDS] [--json]\n");
		return 2;
	}
	double seconds = argc > 2 ? strtod(argv[2], NULL) : 1.0;
	unsigned rounds = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 5;
	rounds = rounds > ROUNDS_MAX ? ROUNDS_MAX : rounds;
	invariant(map_init() == 0 && uv_loop_init(&loop) == 0);
	log_init("bench", LOG_WARNING);
	begun = (uint32_t)clock_unix_ms();
	name_flights();
	if (open_store(argv[1]) != 0) {
		return 1;
	}
	mongoc_uri_t *uri = mongoc_uri_new(argv[1]);
	mongoc_client_pool_t *pool = mongoc_client_pool_new(uri);
	open_alone(pool);
	/* What is found; and every connection is warm before the first round. */
	while (atomic_load(&serial) < KNOWN) {
		round_end = 0;
		store_round(store_prepare, 1);
	}
	for (unsigned i = 0; i < LOADS; i++) {
		(void)run_slice(i, WARM_NS);
	}
	round_ns = (uint64_t)(seconds * 1e9);
	for (unsigned r = 0; r < rounds; r++) {
		for (unsigned pair = 0; pair < LOADS / 2; pair++) {
			double rates[2];
			run_pair(pair, rates);
			results[2 * pair][r] = rates[0];
			results[2 * pair + 1][r] = rates[1];
		}
	}
	for (unsigned i = 0; i < LOADS; i++) {
		print_round(i, results[i], rounds, argc > 4 && strcmp(argv[4], "--json") == 0);
	}
	close_alone(pool);
	mongoc_uri_destroy(uri);
	store_close(store, on_closed, &closed);
	while (!closed) {
		(void)uv_run(&loop, UV_RUN_ONCE);
	}
	store_free(store);
	return 0;
}
