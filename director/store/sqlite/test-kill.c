/*
 * kill -9 under writes, at random moments, with a history checker. This program is its own child: the
 * child writes through the store, as fast as it can, and reports each command before it submits it
 * and when it is answered; the parent kills it and reads everything back.
 *
 * Verdict: every acknowledged write is there, once; of the others each is there once or not at all;
 * none is there by half; the order of submission holds; nothing is there that nobody wrote.
 *
 * KILL_POINTS: how often (20).
 */
/* cmocka.h needs what stands before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/map.h"
#include "director/store/query/document.h"
#include "director/store/store.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

enum {
	IN_FLIGHT = 48,
	TRIPLE = 3,
	WRITES_MAX = 1 << 20,
	LIST_LENGTH = 500,
	POINTS_PER_DATABASE = 25
};

/* What one command does, by its number: an insert, an insert of three, a push onto a list. */
enum kind { INSERT_ONE, INSERT_THREE, PUSH };

static enum kind kind_of(uint32_t seq)
{
	return (enum kind)(seq % 3);
}

/* One line of the history, child to parent. */
struct report {
	uint32_t seq;
	uint32_t answered; /* 0: about to be submitted; 1: acknowledged; 2: refused */
};

static const struct store_scope scope = { STORE_SCOPE_USER, SLICE("app"), SLICE("p"),
	SLICE("alice") };

static int open_store(uv_loop_t *loop, const char *dir, struct store **ret)
{
	char why[256] = "";
	struct store_config config;
	store_config_init(&config);
	config.loop = loop;
	config.state_dir = dir;
	int r = store_open(ret, &config, why);
	if (r < 0) {
		(void)fprintf(stderr, "store_open: %d %s\n", r, why);
	}
	return r;
}

/* --- the child --- */

struct child {
	uv_loop_t loop;
	struct store *store;
	int pipe;
	uint32_t next;
};

struct write {
	struct child *child;
	uint32_t seq;
};

static void submit_next(struct child *c);

static void report(struct child *c, uint32_t seq, uint32_t answered)
{
	struct report r = { seq, answered };
	if (write(c->pipe, &r, sizeof(r)) != sizeof(r)) {
		_exit(3);
	}
}

static void on_written(void *owner, const struct store_result *result)
{
	struct write *w = owner;
	struct child *c = w->child;
	report(c, w->seq, result->error == STORE_OK ? 1 : 2);
	free(w);
	submit_next(c);
}

/* {_id: seq, part: i, pad: …} */
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

/* {$push: {v: seq}}, onto the document of a span of numbers. */
static void put_push(struct document_writer *filter, struct document_writer *update, uint32_t seq)
{
	size_t start = writer_open(filter);
	writer_int64(filter, SLICE("_id"), seq / LIST_LENGTH);
	writer_close(filter, start);
	start = writer_open(update);
	size_t push = writer_open_in(update, BT_OBJECT, SLICE("$push"));
	writer_int64(update, SLICE("v"), seq);
	writer_close(update, push);
	writer_close(update, start);
}

static void submit_next(struct child *c)
{
	uint32_t seq = c->next++;
	struct write *w = malloc(sizeof(*w));
	struct document_writer a;
	struct document_writer b;
	writer_init(&a, 1 << 16);
	writer_init(&b, 1 << 16);
	*w = (struct write){ c, seq };
	struct store_command command = {
		.op = STORE_INSERT, .collection = SLICE("log"), .ordered = true
	};
	switch (kind_of(seq)) {
	case INSERT_ONE:
		put_document(&a, seq, 0);
		break;
	case INSERT_THREE:
		for (int i = 0; i < TRIPLE; i++) {
			put_document(&a, seq, i);
		}
		break;
	case PUSH:
		put_push(&a, &b, seq);
		command.op = STORE_UPDATE;
		command.collection = SLICE("lists");
		command.filter = buffer_slice(&a.b);
		command.update = buffer_slice(&b.b);
		command.upsert = true;
		break;
	}
	if (command.op == STORE_INSERT) {
		command.documents = buffer_slice(&a.b);
	}
	report(c, seq, 0);
	if (store_submit(c->store, &scope, &command, on_written, w) != 0) {
		_exit(4);
	}
	writer_deinit(&a);
	writer_deinit(&b);
}

static int child_main(const char *dir, const char *first)
{
	struct child c = { .pipe = STDOUT_FILENO, .next = (uint32_t)strtoul(first, NULL, 10) };
	log_init("child", LOG_ERROR);
	if (map_init() < 0 || uv_loop_init(&c.loop) < 0 || open_store(&c.loop, dir, &c.store) < 0) {
		return 2;
	}
	for (int i = 0; i < IN_FLIGHT; i++) {
		submit_next(&c);
	}
	(void)uv_run(&c.loop, UV_RUN_DEFAULT);
	return 5; /* it is killed before */
}

/* --- the parent --- */

struct history {
	bool *invoked;
	bool *acknowledged;
	uint8_t *found; /* documents, or places in a list */
	uint32_t next;
	unsigned acknowledgements;
};

static struct history history;
static uint64_t random_state = 0x9e3779b97f4a7c15;

static uint32_t random_below(uint32_t n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)(random_state >> 11) % n;
}

static void note(const struct report *r)
{
	assert_in_range(r->seq, 0, WRITES_MAX - 1);
	assert_int_not_equal(r->answered, 2);
	if (r->answered == 0) {
		assert_false(history.invoked[r->seq]);
		history.invoked[r->seq] = true;
		history.next = r->seq + 1;
	} else {
		assert_false(history.acknowledged[r->seq]);
		history.acknowledged[r->seq] = true;
		history.acknowledgements++;
	}
}

/* Reads reports until the pipe ends; kills the child when its time has come. */
static void watch(pid_t pid, int fd, bool from_first_answer, uint32_t lifetime_ms)
{
	struct report reports[512];
	uint64_t deadline = from_first_answer ? UINT64_MAX : clock_ms() + lifetime_ms;
	unsigned before = history.acknowledgements;
	bool killed = false;
	for (;;) {
		if (!killed && clock_ms() >= deadline) {
			assert_int_equal(kill(pid, SIGKILL), 0);
			killed = true;
		}
		struct pollfd p = { .fd = fd, .events = POLLIN };
		(void)poll(&p, 1, 1);
		if (p.revents == 0) {
			continue;
		}
		ssize_t n = read(fd, reports, sizeof(reports));
		if (n <= 0) {
			break;
		}
		/* A pipe keeps short writes whole, and the child writes no others. */
		assert_int_equal(n % (ssize_t)sizeof(reports[0]), 0);
		for (size_t i = 0; i < (size_t)n / sizeof(reports[0]); i++) {
			note(&reports[i]);
		}
		if (deadline == UINT64_MAX && history.acknowledgements > before) {
			deadline = clock_ms() + lifetime_ms;
		}
	}
	assert_true(killed);
}

static void run_child(const char *dir, bool from_first_answer, uint32_t lifetime_ms)
{
	int fds[2];
	char first[16];
	int status = 0;
	(void)snprintf(first, sizeof(first), "%u", history.next);
	assert_int_equal(pipe(fds), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)dup2(fds[1], STDOUT_FILENO);
		(void)close(fds[0]);
		(void)close(fds[1]);
		(void)execl("/proc/self/exe", "test-kill", "child", dir, first, NULL);
		_exit(6);
	}
	(void)close(fds[1]);
	watch(pid, fds[0], from_first_answer, lifetime_ms);
	(void)close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

struct reading {
	unsigned left;
	struct slice log;
	struct slice lists;
	enum store_error error;
};

static void on_log(void *owner, const struct store_result *result)
{
	struct reading *r = owner;
	size_t n = 0;
	uint8_t *p = store_result_steal_documents(result, &n);
	r->log = slice_of(p, n);
	r->error = result->error != STORE_OK ? result->error : r->error;
	r->left--;
}

static void on_lists(void *owner, const struct store_result *result)
{
	struct reading *r = owner;
	size_t n = 0;
	uint8_t *p = store_result_steal_documents(result, &n);
	r->lists = slice_of(p, n);
	r->error = result->error != STORE_OK ? result->error : r->error;
	r->left--;
}

static void on_closed(void *arg)
{
	*(bool *)arg = true;
}

/* Everything that is stored. */
static struct reading read_all(const char *dir)
{
	uv_loop_t loop;
	struct store *store = NULL;
	char why[256] = "";
	struct store_config config;
	struct reading r = { .left = 2 };
	struct store_command log = { .op = STORE_FIND, .collection = SLICE("log") };
	struct store_command lists = { .op = STORE_FIND, .collection = SLICE("lists") };
	bool closed = false;
	assert_int_equal(uv_loop_init(&loop), 0);
	store_config_init(&config);
	config.loop = &loop;
	config.state_dir = dir;
	config.result_bytes = (size_t)512 << 20;
	config.operation_ms = 60000;
	int opened = store_open(&store, &config, why);
	if (opened != 0) {
		fail_msg("store_open after a kill: %d %s", opened, why);
	}
	assert_int_equal(store_submit(store, &scope, &log, on_log, &r), 0);
	assert_int_equal(store_submit(store, &scope, &lists, on_lists, &r), 0);
	while (r.left > 0) {
		(void)uv_run(&loop, UV_RUN_ONCE);
	}
	store_close(store, on_closed, &closed);
	while (!closed) {
		(void)uv_run(&loop, UV_RUN_ONCE);
	}
	store_free(store);
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
	assert_int_equal(r.error, STORE_OK);
	return r;
}

static void count_log(struct slice row)
{
	struct slice d;
	while (document_take(&row, &d)) {
		int64_t seq = value_int64(document_find(d, SLICE("seq")));
		int64_t id = value_int64(document_find(d, SLICE("_id")));
		assert_in_range(seq, 0, history.next - 1);
		assert_true(id / TRIPLE == seq);
		assert_int_not_equal(kind_of((uint32_t)seq), PUSH);
		assert_true(history.invoked[seq]);
		assert_int_equal(value_string(document_find(d, SLICE("pad"))).n, seq % 200);
		history.found[seq]++;
	}
}

static void count_lists(struct slice row)
{
	struct slice d;
	while (document_take(&row, &d)) {
		int64_t id = value_int64(document_find(d, SLICE("_id")));
		struct document_iter it = document_iter(document_find(d, SLICE("v")).data);
		struct element e;
		int64_t before = -1;
		while (document_next(&it, &e)) {
			int64_t seq = value_int64(e.value);
			assert_in_range(seq, 0, history.next - 1);
			assert_int_equal(seq / LIST_LENGTH, id);
			assert_true(history.invoked[seq]);
			assert_true(seq > before); /* the order of submission */
			before = seq;
			history.found[seq]++;
		}
	}
}

/* The verdict. `first` is where this life of the child began. */
static void check(const char *dir, uint32_t first)
{
	struct reading r = read_all(dir);
	memset(history.found, 0, WRITES_MAX);
	count_log(r.log);
	count_lists(r.lists);
	free((void *)(uintptr_t)r.log.p);
	free((void *)(uintptr_t)r.lists.p);
	bool missing = false;
	for (uint32_t seq = 0; seq < history.next; seq++) {
		unsigned whole = kind_of(seq) == INSERT_THREE ? TRIPLE : 1;
		unsigned found = history.found[seq];
		if (found != 0 && found != whole) {
			fail_msg("write %u is there %u of %u times", seq, found, whole);
		}
		if (history.acknowledged[seq] && found == 0) {
			fail_msg("write %u was acknowledged and is lost", seq);
		}
		/* One plugin's writes are done in their order: after a lost one all are lost. */
		if (seq >= first) {
			assert_false(missing && found > 0);
			missing = missing || found == 0;
		}
	}
}

/* Kills on one database, which lives through all of them. */
static void kill_often(unsigned points)
{
	char dir[] = "/tmp/test-kill-XXXXXX";
	char command[64];
	history.next = 0;
	memset(history.invoked, 0, WRITES_MAX);
	memset(history.acknowledged, 0, WRITES_MAX);
	assert_non_null(mkdtemp(dir));
	for (unsigned i = 0; i < points && history.next < WRITES_MAX / 2; i++) {
		uint32_t first = history.next;
		/* Most are killed at work, some while they start and recover. */
		bool at_work = i % 4 != 3;
		run_child(dir, at_work, at_work ? 1 + random_below(80) : random_below(30));
		check(dir, first);
	}
	(void)snprintf(command, sizeof(command), "rm -r %s", dir);
	assert_int_equal(system(command), 0);
}

static void nothing_acknowledged_is_lost(void **state)
{
	const char *wanted = getenv("KILL_POINTS");
	unsigned points = wanted == NULL ? 20 : (unsigned)strtoul(wanted, NULL, 10);
	for (unsigned done = 0; done < points; done += POINTS_PER_DATABASE) {
		unsigned left = points - done;
		kill_often(left < POINTS_PER_DATABASE ? left : POINTS_PER_DATABASE);
	}
	(void)printf("%u kills, %u writes acknowledged\n", points, history.acknowledgements);
	assert_true(history.acknowledgements > points);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = { cmocka_unit_test(nothing_acknowledged_is_lost) };
	if (argc == 4 && strcmp(argv[1], "child") == 0) {
		return child_main(argv[2], argv[3]);
	}
	log_init("test", LOG_ERROR);
	history.invoked = calloc(WRITES_MAX, 1);
	history.acknowledged = calloc(WRITES_MAX, 1);
	history.found = calloc(WRITES_MAX, 1);
	int r = map_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
	free(history.invoked);
	free(history.acknowledged);
	free(history.found);
	return r;
}
