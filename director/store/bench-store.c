/*
 * Throughput of the embedded store, through store.h: inserts with 64 in flight (group commit) against
 * one commit per insert (SQLite alone, the same tables and pragmas), finds by owner and by _id.
 * Rounds alternate; the medians are printed.
 *
 * bench-store DIRECTORY [SECONDS PER ROUND] [ROUNDS] [--json]     --json: every round's
 */
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/base/map.h"
#include "common/base/test-folder.h"
#include "director/store/query/document.h"
#include "director/store/store.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

enum { USERS = 1000, PER_USER = 50, DOCUMENT_PAD = 220, ROUNDS_MAX = 32 };

static uv_loop_t loop;
static struct store *store;
static uint64_t round_ns;

/* One kind of load on the store. */
struct load {
	const char *name;
	void (*submit)(struct load *l);
	unsigned in_flight;
	unsigned running;
	uint64_t done;
	uint64_t until_ns;
	uint64_t serial;
};

static void on_done(void *owner, const struct store_result *result)
{
	struct load *l = (struct load *)owner;
	invariant(result->error == STORE_OK);
	l->done++;
	l->running--;
	if (clock_ns() < l->until_ns) {
		l->submit(l);
	}
}

static struct store_scope user_scope(uint64_t n, char name[static 16])
{
	(void)snprintf(name, 16, "user%llu", (unsigned long long)n % USERS);
	return (struct store_scope){ STORE_SCOPE_USER, SLICE("app"), SLICE("bench"),
		slice_str(name) };
}

static void submit(struct load *l, const struct store_scope *s, const struct store_command *c)
{
	l->running++;
	invariant(store_submit(store, s, c, on_done, l) == 0);
}

static void write_document(struct document_writer *w, uint64_t serial)
{
	char pad[DOCUMENT_PAD];
	memset(pad, 'x', sizeof(pad));
	writer_init(w, 4096);
	size_t start = writer_open(w);
	writer_int64(w, SLICE("n"), (int64_t)serial);
	writer_bool(w, SLICE("done"), (serial & 1) != 0);
	writer_string(w, SLICE("text"), slice_of(pad, sizeof(pad)));
	writer_close(w, start);
}

static void submit_insert(struct load *l)
{
	char name[16];
	struct document_writer w;
	struct store_scope s = user_scope(l->serial, name);
	write_document(&w, l->serial++);
	struct store_command c = {
		.op = STORE_INSERT, .collection = SLICE("written"), .documents = buffer_slice(&w.b)
	};
	submit(l, &s, &c);
	writer_deinit(&w);
}

static void submit_find_owner(struct load *l)
{
	char name[16];
	struct store_scope s = user_scope(l->serial++ * 7, name);
	struct store_command c = { .op = STORE_FIND, .collection = SLICE("read"), .limit = 50 };
	submit(l, &s, &c);
}

static void submit_find_id(struct load *l)
{
	char name[16];
	struct document_writer w;
	uint64_t n = l->serial++ * 7919 % (USERS * PER_USER);
	struct store_scope s = user_scope(n, name);
	writer_init(&w, 64);
	size_t start = writer_open(&w);
	writer_int64(&w, SLICE("_id"), (int64_t)n);
	writer_close(&w, start);
	struct store_command c = { .op = STORE_FIND,
		.collection = SLICE("read"),
		.filter = buffer_slice(&w.b),
		.limit = 1 };
	submit(l, &s, &c);
	writer_deinit(&w);
}

/* Operations a second. */
static double run_load(struct load *l)
{
	uint64_t start = clock_ns();
	l->done = 0;
	l->until_ns = start + round_ns;
	for (unsigned i = 0; i < l->in_flight; i++) {
		l->submit(l);
	}
	while (l->running > 0) {
		(void)uv_run(&loop, UV_RUN_ONCE);
	}
	return (double)l->done * 1e9 / (double)(clock_ns() - start);
}

static struct load fill = { .in_flight = 64 };

static void submit_fill(struct load *l)
{
	char name[16];
	struct document_writer w;
	if (l->serial == (uint64_t)USERS * PER_USER) {
		return;
	}
	uint64_t n = l->serial++;
	struct store_scope s = user_scope(n, name);
	char pad[DOCUMENT_PAD];
	memset(pad, 'x', sizeof(pad));
	writer_init(&w, 4096);
	size_t start = writer_open(&w);
	writer_int64(&w, SLICE("_id"), (int64_t)n);
	writer_string(&w, SLICE("text"), slice_of(pad, sizeof(pad)));
	writer_close(&w, start);
	struct store_command c = {
		.op = STORE_INSERT, .collection = SLICE("read"), .documents = buffer_slice(&w.b)
	};
	submit(l, &s, &c);
	writer_deinit(&w);
}

/* --- SQLite alone, one commit for each insert --- */

static sqlite3 *plain;

static void open_plain(const char *dir)
{
	char path[5000];
	(void)snprintf(path, sizeof(path), "%s/plain.db", dir);
	invariant(sqlite3_open(path, &plain) == SQLITE_OK);
	invariant(
		sqlite3_exec(plain,
			"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
			"CREATE TABLE doc (rid INTEGER PRIMARY KEY, cid INTEGER NOT NULL, user TEXT,"
			" id BLOB NOT NULL, doc BLOB NOT NULL) STRICT;"
			"CREATE UNIQUE INDEX doc_id ON doc (cid, id);"
			"CREATE INDEX doc_user ON doc (cid, user);",
			NULL, NULL, NULL) == SQLITE_OK);
}

static double run_plain(void)
{
	static uint64_t serial;
	sqlite3_stmt *st = NULL;
	uint64_t start = clock_ns();
	uint64_t done = 0;
	invariant(sqlite3_prepare_v2(plain,
			  "INSERT INTO doc (cid, user, id, doc) VALUES (1, ?1, ?2, ?3)", -1, &st,
			  NULL) == SQLITE_OK);
	while (clock_ns() < start + round_ns) {
		char name[16];
		struct document_writer w;
		(void)user_scope(serial, name);
		write_document(&w, serial++);
		(void)sqlite3_bind_text(st, 1, name, -1, SQLITE_STATIC);
		(void)sqlite3_bind_blob(st, 2, &serial, sizeof(serial), SQLITE_STATIC);
		(void)sqlite3_bind_blob(st, 3, w.b.p, (int)w.b.n, SQLITE_STATIC);
		invariant(sqlite3_step(st) == SQLITE_DONE);
		(void)sqlite3_reset(st);
		writer_deinit(&w);
		done++;
	}
	(void)sqlite3_finalize(st);
	return (double)done * 1e9 / (double)(clock_ns() - start);
}

/* --- rounds --- */

static int order(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;
	return (int)(x > y) - (int)(x < y);
}

static double median(double *values, unsigned n)
{
	qsort(values, n, sizeof(*values), order);
	return values[n / 2];
}

static void print_rounds(const char *name, const double *values, unsigned n, bool last)
{
	(void)printf("\"%s\":[", name);
	for (unsigned i = 0; i < n; i++) {
		(void)printf("%s%.1f", i == 0 ? "" : ",", values[i]);
	}
	(void)printf("]%s", last ? "}\n" : ",");
}

static void on_closed(void *arg)
{
	*(bool *)arg = true;
}

int main(int argc, char **argv)
{
	static struct load loads[] = {
		{ .name = "insert, 64 in flight", .submit = submit_insert, .in_flight = 64 },
		{ .name = "insert, 1 in flight", .submit = submit_insert, .in_flight = 1 },
		{ .name = "find by owner, 50 of 50, 64 in flight",
			.submit = submit_find_owner,
			.in_flight = 64 },
		{ .name = "find by owner, 50 of 50, 1 in flight",
			.submit = submit_find_owner,
			.in_flight = 1 },
		{ .name = "find by _id, 64 in flight", .submit = submit_find_id, .in_flight = 64 },
	};
	enum { LOADS = sizeof(loads) / sizeof(loads[0]) };
	static double results[LOADS + 1][ROUNDS_MAX];
	char dir[4096];
	char why[256] = "";
	bool closed = false;
	struct store_config config;
	if (argc < 2) {
		(void)fprintf(stderr, "usage: bench-store DIRECTORY [SECONDS] [ROUNDS]\n");
		return 2;
	}
	double seconds = argc > 2 ? strtod(argv[2], NULL) : 1.0;
	unsigned rounds = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 5;
	rounds = rounds > ROUNDS_MAX ? ROUNDS_MAX : rounds;
	round_ns = (uint64_t)(seconds * 1e9);
	(void)snprintf(dir, sizeof(dir), "%s/bench-store-XXXXXX", argv[1]);
	invariant(mkdtemp(dir) != NULL && map_init() == 0 && uv_loop_init(&loop) == 0);
	log_init("bench", LOG_WARNING);
	store_config_init(&config);
	config.loop = &loop;
	config.state_dir = dir;
	config.plugin_documents = 0;
	config.plugin_bytes = 0;
	if (store_open(&store, &config, why) != 0) {
		(void)fprintf(stderr, "%s\n", why);
		return 1;
	}
	open_plain(dir);
	fill.submit = submit_fill;
	fill.until_ns = UINT64_MAX;
	(void)run_load(&fill);
	for (unsigned r = 0; r < rounds; r++) {
		for (unsigned i = 0; i < LOADS; i++) {
			results[i][r] = run_load(&loads[i]);
		}
		results[LOADS][r] = run_plain();
	}
	static const char alone[] = "SQLite alone, one commit each";
	bool json = argc > 4 && strcmp(argv[4], "--json") == 0;
	(void)printf("%s", json ? "{" : "");
	for (unsigned i = 0; i <= LOADS; i++) {
		const char *name = i < LOADS ? loads[i].name : alone;
		if (json) {
			print_rounds(name, results[i], rounds, i == LOADS);
		} else {
			(void)printf("%-40s %10.0f/s\n", name, median(results[i], rounds));
		}
	}
	store_close(store, on_closed, &closed);
	while (!closed) {
		(void)uv_run(&loop, UV_RUN_ONCE);
	}
	store_free(store);
	(void)sqlite3_close(plain);
	return test_folder_remove(dir);
}
