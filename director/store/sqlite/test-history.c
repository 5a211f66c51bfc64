#include "director/store/sqlite/test-history.h"

/* cmocka.h needs what stands before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "director/store/query/document.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	IN_FLIGHT = 48,
	TRIPLE = 3,
	LIST_LENGTH = 500,
	BULK = 3000,
	BULK_EVERY = 40,
	BULK_FROM = 20,
	COLLECTIONS = 3,
};

enum kind { INSERT_ONE, INSERT_THREE, PUSH, INSERT_BULK, CHANGE_BULK };

static enum kind kind_of(uint32_t seq)
{
	if (seq == 0) {
		return INSERT_BULK;
	}
	return seq % BULK_EVERY == BULK_FROM ? CHANGE_BULK : (enum kind)(seq % 3);
}

static const struct store_scope scope = { STORE_SCOPE_USER, SLICE("app"), SLICE("p"),
	SLICE("alice") };

static void configure(struct store_config *config, uv_loop_t *loop, const char *dir)
{
	store_config_init(config);
	config->loop = loop;
	config->state_dir = dir;
	config->result_bytes = (size_t)512 << 20;
	config->operation_ms = 60000;
}

int load_open(uv_loop_t *loop, const char *dir, struct store **ret)
{
	char why[256] = "";
	struct store_config config;
	configure(&config, loop, dir);
	int r = store_open(ret, &config, why);
	if (r < 0) {
		(void)fprintf(stderr, "store_open: %d %s\n", r, why);
	}
	return r;
}

/* --- writing --- */

struct write {
	struct load *load;
	uint32_t seq;
};

static void submit_next(struct load *l);

static void on_written(void *owner, const struct store_result *result)
{
	struct write *w = owner;
	struct load *l = w->load;
	if (result->error != STORE_OK) {
		(void)fprintf(stderr, "write %u: %s\n", w->seq, result->message);
		_exit(3);
	}
	l->report(l->arg, w->seq, true);
	l->waiting--;
	free(w);
	submit_next(l);
}

/* {_id: …, seq: …, pad: …} */
static void put_document(struct document_writer *w, uint32_t seq, int part)
{
	char pad[200];
	memset(pad, 'x', sizeof(pad));
	size_t start = writer_open(w);
	writer_int64(w, SLICE("_id"), (int64_t)seq * TRIPLE + part);
	writer_int64(w, SLICE("seq"), seq);
	writer_string(w, SLICE("pad"), slice_of(pad, seq % sizeof(pad)));
	writer_close(w, start);
}

/* {_id: i, n: 0} */
static void put_bulk(struct document_writer *w, int64_t i)
{
	size_t start = writer_open(w);
	writer_int64(w, SLICE("_id"), i);
	writer_int64(w, SLICE("n"), 0);
	writer_close(w, start);
}

/* {name: {field: n}} */
static void put_operator(
	struct document_writer *w, struct slice name, struct slice field, int64_t n)
{
	size_t start = writer_open(w);
	size_t inner = writer_open_in(w, BT_OBJECT, name);
	writer_int64(w, field, n);
	writer_close(w, inner);
	writer_close(w, start);
}

/* {$push: {v: seq}}, onto the document of a span of numbers. */
static void put_push(struct document_writer *filter, struct document_writer *update, uint32_t seq)
{
	size_t start = writer_open(filter);
	writer_int64(filter, SLICE("_id"), seq / LIST_LENGTH);
	writer_close(filter, start);
	put_operator(update, SLICE("$push"), SLICE("v"), seq);
}

static struct store_command command_of(
	uint32_t seq, struct document_writer *a, struct document_writer *b)
{
	struct store_command command = {
		.op = STORE_INSERT, .collection = SLICE("log"), .ordered = true
	};
	switch (kind_of(seq)) {
	case INSERT_ONE:
		put_document(a, seq, 0);
		break;
	case INSERT_THREE:
		for (int i = 0; i < TRIPLE; i++) {
			put_document(a, seq, i);
		}
		break;
	case PUSH:
		put_push(a, b, seq);
		command.op = STORE_UPDATE;
		command.collection = SLICE("lists");
		command.upsert = true;
		break;
	case INSERT_BULK:
		for (int i = 0; i < BULK; i++) {
			put_bulk(a, i);
		}
		command.collection = SLICE("bulk");
		break;
	case CHANGE_BULK:
		put_operator(a, SLICE("n"), SLICE("$gte"), 0);
		put_operator(b, SLICE("$inc"), SLICE("n"), 1);
		command.op = STORE_UPDATE;
		command.collection = SLICE("bulk");
		command.multi = true;
		break;
	}
	if (command.op == STORE_INSERT) {
		command.documents = buffer_slice(&a->b);
	} else {
		command.filter = buffer_slice(&a->b);
		command.update = buffer_slice(&b->b);
	}
	return command;
}

static void submit_next(struct load *l)
{
	struct document_writer a;
	struct document_writer b;
	if (l->next >= l->end) {
		return;
	}
	struct write *w = malloc(sizeof(*w));
	if (w == NULL) {
		abort();
	}
	*w = (struct write){ l, l->next++ };
	writer_init(&a, 1 << 20);
	writer_init(&b, 1 << 16);
	struct store_command command = command_of(w->seq, &a, &b);
	l->report(l->arg, w->seq, false);
	l->waiting++;
	if (store_submit(l->store, &scope, &command, on_written, w) != 0) {
		_exit(4);
	}
	writer_deinit(&a);
	writer_deinit(&b);
}

void load_start(struct load *l)
{
	for (int i = 0; i < IN_FLIGHT; i++) {
		submit_next(l);
	}
}

/* --- the history --- */

void history_init(struct history *h)
{
	*h = (struct history){
		.invoked = calloc(HISTORY_WRITES_MAX, 1),
		.acknowledged = calloc(HISTORY_WRITES_MAX, 1),
		.found = calloc(HISTORY_WRITES_MAX, 1),
	};
	if (h->invoked == NULL || h->acknowledged == NULL || h->found == NULL) {
		abort();
	}
}

void history_deinit(struct history *h)
{
	free(h->invoked);
	free(h->acknowledged);
	free(h->found);
}

void history_clear(struct history *h)
{
	memset(h->invoked, 0, HISTORY_WRITES_MAX);
	memset(h->acknowledged, 0, HISTORY_WRITES_MAX);
	h->next = 0;
}

void history_note(struct history *h, uint32_t seq, bool acknowledged)
{
	assert_in_range(seq, 0, HISTORY_WRITES_MAX - 1);
	bool *noted = acknowledged ? &h->acknowledged[seq] : &h->invoked[seq];
	assert_false(*noted);
	*noted = true;
	if (acknowledged) {
		h->acknowledgements++;
	} else {
		h->next = seq + 1;
	}
}

/* --- the verdict --- */

struct reading {
	unsigned left;
	struct slice documents[COLLECTIONS];
	unsigned n;
};

static void on_found(void *owner, const struct store_result *result)
{
	struct reading *r = owner;
	size_t n = 0;
	assert_int_equal(result->error, STORE_OK);
	uint8_t *p = store_result_steal_documents(result, &n);
	r->documents[r->n++] = slice_of(p, n);
}

static void on_closed(void *arg)
{
	*(bool *)arg = true;
}

/* Everything that is stored. */
static struct reading read_all(const char *dir)
{
	static const char *const names[COLLECTIONS] = { "log", "lists", "bulk" };
	uv_loop_t loop;
	struct store *store = NULL;
	char why[256] = "";
	struct store_config config;
	struct reading r = { 0 };
	bool closed = false;
	assert_int_equal(uv_loop_init(&loop), 0);
	configure(&config, &loop, dir);
	int opened = store_open(&store, &config, why);
	if (opened != 0) {
		fail_msg("store_open after the fault: %d %s", opened, why);
	}
	for (unsigned i = 0; i < COLLECTIONS; i++) {
		struct store_command c = { .op = STORE_FIND, .collection = slice_str(names[i]) };
		assert_int_equal(store_submit(store, &scope, &c, on_found, &r), 0);
		while (r.n == i) {
			(void)uv_run(&loop, UV_RUN_ONCE);
		}
	}
	store_close(store, on_closed, &closed);
	while (!closed) {
		(void)uv_run(&loop, UV_RUN_ONCE);
	}
	store_free(store);
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
	return r;
}

static void count_log(struct history *h, struct slice row)
{
	struct slice d;
	while (document_take(&row, &d)) {
		int64_t seq = value_int64(document_find(d, SLICE("seq")));
		int64_t id = value_int64(document_find(d, SLICE("_id")));
		assert_true(seq >= 0 && seq < h->next);
		assert_true(id / TRIPLE == seq);
		assert_true(kind_of((uint32_t)seq) == INSERT_ONE ||
			kind_of((uint32_t)seq) == INSERT_THREE);
		assert_true(h->invoked[seq]);
		assert_int_equal(value_string(document_find(d, SLICE("pad"))).n, seq % 200);
		h->found[seq]++;
	}
}

static void count_lists(struct history *h, struct slice row)
{
	struct slice d;
	while (document_take(&row, &d)) {
		int64_t id = value_int64(document_find(d, SLICE("_id")));
		struct document_iter it = document_iter(document_find(d, SLICE("v")).data);
		struct element e;
		int64_t before = -1;
		while (document_next(&it, &e)) {
			int64_t seq = value_int64(e.value);
			assert_true(seq >= 0 && seq < h->next);
			assert_int_equal(seq / LIST_LENGTH, id);
			assert_true(h->invoked[seq]);
			assert_true(seq > before); /* the order of submission */
			before = seq;
			h->found[seq]++;
		}
	}
}

/* All of the documents of write 0 or none, and each as often changed as the others. */
static void count_bulk(struct history *h, struct slice row)
{
	struct slice d;
	unsigned n = 0;
	h->changes_found = -1;
	while (document_take(&row, &d)) {
		int64_t changes = value_int64(document_find(d, SLICE("n")));
		if (n > 0 && changes != h->changes_found) {
			fail_msg("a change of all documents is there by half: %lld and %lld",
				(long long)h->changes_found, (long long)changes);
		}
		h->changes_found = changes;
		n++;
	}
	if (n != 0 && n != BULK) {
		fail_msg("write 0 is there by half: %u documents", n);
	}
	h->found[0] = n > 0 ? 1 : 0;
}

/* What quotas are judged by is what is there. */
static void check_usage(const char *dir)
{
	sqlite3 *db = NULL;
	sqlite3_stmt *st = NULL;
	char path[128];
	(void)snprintf(path, sizeof(path), "%s/mozaiks.db", dir);
	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	assert_int_equal(
		sqlite3_prepare_v2(db,
			"SELECT (SELECT count(*) FROM doc) - ifnull(sum(documents), 0),"
			" (SELECT ifnull(sum(length(doc)), 0) FROM doc) - ifnull(sum(bytes), 0)"
			" FROM usage WHERE user = ''",
			-1, &st, NULL),
		SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	assert_int_equal(sqlite3_column_int64(st, 0), 0);
	assert_int_equal(sqlite3_column_int64(st, 1), 0);
	(void)sqlite3_finalize(st);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void check_changes(const struct history *h)
{
	int64_t invoked = 0;
	int64_t acknowledged = 0;
	for (uint32_t seq = BULK_FROM; seq < h->next; seq += BULK_EVERY) {
		invoked += h->invoked[seq] ? 1 : 0;
		acknowledged += h->acknowledged[seq] ? 1 : 0;
	}
	if (h->found[0] != 0) {
		assert_true(h->changes_found >= acknowledged);
		assert_true(h->changes_found <= invoked);
	}
}

void history_check(struct history *h, const char *dir, uint32_t first)
{
	struct reading r = read_all(dir);
	memset(h->found, 0, HISTORY_WRITES_MAX);
	count_log(h, r.documents[0]);
	count_lists(h, r.documents[1]);
	count_bulk(h, r.documents[2]);
	for (unsigned i = 0; i < COLLECTIONS; i++) {
		free((void *)(uintptr_t)r.documents[i].p);
	}
	check_changes(h);
	check_usage(dir);
	bool missing = false;
	for (uint32_t seq = 0; seq < h->next; seq++) {
		if (kind_of(seq) == CHANGE_BULK) {
			continue;
		}
		unsigned whole = kind_of(seq) == INSERT_THREE ? TRIPLE : 1;
		unsigned found = h->found[seq];
		if (found != 0 && found != whole) {
			fail_msg("write %u is there %u of %u times", seq, found, whole);
		}
		if (h->acknowledged[seq] && found == 0) {
			fail_msg("write %u was acknowledged and is lost", seq);
		}
		/* One plugin's writes are done in their order: after a lost one all are lost. */
		if (seq >= first) {
			assert_false(missing && found > 0);
			missing = missing || found == 0;
		}
	}
}
