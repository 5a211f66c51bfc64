/*
 * The embedded store through store.h on a real file: what is answered is durable, what fails is said,
 * and nobody sees another's documents. fdatasync() and pwrite64() are ours in this program, so that
 * they can be counted, held up and made to fail.
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
#include "common/base/test-folder.h"
#include "director/store/query/notation.h"
#include "director/store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <uv.h>

/* --- the disk --- */

static struct {
	atomic_uint syncs;
	atomic_int sync_fails_in; /* the nth from now fails with EIO; 0: none */
	atomic_bool full;         /* writes fail with ENOSPC */
	pthread_mutex_t gate;     /* held: a sync waits */
} disk = { .gate = PTHREAD_MUTEX_INITIALIZER };

__attribute__((visibility("default"))) int fdatasync(int fd)
{
	(void)pthread_mutex_lock(&disk.gate);
	(void)pthread_mutex_unlock(&disk.gate);
	int left = atomic_load(&disk.sync_fails_in);
	if (left > 0) {
		atomic_store(&disk.sync_fails_in, left - 1);
		if (left == 1) {
			errno = EIO;
			return -1;
		}
	}
	atomic_fetch_add(&disk.syncs, 1);
	return (int)syscall(SYS_fdatasync, fd);
}

__attribute__((visibility("default"))) ssize_t pwrite64(int fd, const void *p, size_t n, off64_t at)
{
	if (atomic_load(&disk.full)) {
		errno = ENOSPC;
		return -1;
	}
	return syscall(SYS_pwrite64, fd, p, n, at);
}

/* --- a store on a file of its own --- */

struct fixture {
	uv_loop_t loop;
	struct store *store;
	char dir[TEST_FOLDER_BYTES];
	char why[256];
	unsigned failed;
	bool closed;
	struct store_config config;
};

static struct fixture fx;

static void on_failed(void *arg)
{
	((struct fixture *)arg)->failed++;
}

static int try_open(void)
{
	fx.store = NULL;
	return store_open(&fx.store, &fx.config, fx.why);
}

static void open_store(void)
{
	int r = try_open();
	if (r != 0) {
		fail_msg("store_open: %d %s", r, fx.why);
	}
	assert_string_equal(store_driver_name(fx.store), "sqlite");
	assert_true(store_ready(fx.store));
}

static void on_closed(void *arg)
{
	((struct fixture *)arg)->closed = true;
}

static void close_store(void)
{
	fx.closed = false;
	store_close(fx.store, on_closed, &fx);
	store_close(fx.store, on_closed, &fx);
	assert_false(store_ready(fx.store));
	while (!fx.closed) {
		(void)uv_run(&fx.loop, UV_RUN_ONCE);
	}
	store_free(fx.store);
	fx.store = NULL;
}

static int setup(void **state)
{
	fx = (struct fixture){ 0 };
	atomic_store(&disk.full, false);
	atomic_store(&disk.sync_fails_in, 0);
	if (test_folder_make(fx.dir, "test-sqlite") != 0 || uv_loop_init(&fx.loop) != 0) {
		return -1;
	}
	store_config_init(&fx.config);
	fx.config.loop = &fx.loop;
	fx.config.state_dir = fx.dir;
	fx.config.failed = on_failed;
	fx.config.failed_arg = &fx;
	return 0;
}

static int teardown(void **state)
{
	if (fx.store != NULL) {
		close_store();
	}
	(void)uv_run(&fx.loop, UV_RUN_DEFAULT);
	if (uv_loop_close(&fx.loop) != 0) {
		return -1;
	}
	return test_folder_remove(fx.dir);
}

/* One of the database's files: the database itself is "". */
static void file_path(char path[static 128], const char *suffix)
{
	(void)snprintf(path, 128, "%s/mozaiks.db%s", fx.dir, suffix);
}

static void db_path(char path[static 128])
{
	file_path(path, "");
}

/* --- commands --- */

static struct store_scope user_scope(const char *app, const char *plugin, const char *user)
{
	return (struct store_scope){ user == NULL ? STORE_SCOPE_SHARED : STORE_SCOPE_USER,
		slice_str(app), slice_str(plugin), slice_str(user) };
}

/* An answer, copied. */
struct reply {
	unsigned *left;
	enum store_error error;
	char message[STORE_MESSAGE_MAX];
	uint64_t n;
	uint64_t modified;
	size_t n_write_errors;
	struct slice documents; /* stolen */
	unsigned syncs;         /* when it came */
	unsigned order;         /* which answer it was */
};

static unsigned answers;

static void on_reply(void *owner, const struct store_result *result)
{
	struct reply *reply = owner;
	size_t n = 0;
	reply->error = result->error;
	(void)snprintf(reply->message, sizeof(reply->message), "%s", result->message);
	reply->n = result->n;
	reply->modified = result->modified;
	reply->n_write_errors = result->n_write_errors;
	uint8_t *p = store_result_steal_documents(result, &n);
	reply->documents = slice_of(p, n);
	assert_int_equal(result->documents.n, 0);
	reply->syncs = atomic_load(&disk.syncs);
	reply->order = answers++;
	if (reply->left != NULL) {
		(*reply->left)--;
	}
}

static void reply_free(struct reply *reply)
{
	free((void *)reply->documents.p);
	reply->documents = SLICE_NULL;
}

static void submit(const struct store_scope *scope,
	enum store_op op,
	const char *collection,
	const char *a,
	const char *b,
	struct reply *reply,
	unsigned *left)
{
	struct slice first = a == NULL ? SLICE_NULL : notation_parse(a);
	struct slice second = b == NULL ? SLICE_NULL : notation_parse(b);
	struct store_command c = {
		.op = op,
		.collection = slice_str(collection),
		.filter = op == STORE_INSERT ? SLICE_NULL : first,
		.documents = op == STORE_INSERT ? first : SLICE_NULL,
		.update = second,
		.field = op == STORE_DISTINCT ? SLICE("_id") : SLICE_NULL,
		.multi = true,
	};
	*reply = (struct reply){ .left = left };
	assert_int_equal(store_submit(fx.store, scope, &c, on_reply, reply), 0);
	free((void *)first.p);
	free((void *)second.p);
}

static void wait_for(const unsigned *left)
{
	while (*left > 0) {
		(void)uv_run(&fx.loop, UV_RUN_ONCE);
	}
}

/* One command, waited for. */
static struct reply run(const struct store_scope *scope,
	enum store_op op,
	const char *collection,
	const char *a,
	const char *b)
{
	struct reply reply;
	unsigned left = 1;
	submit(scope, op, collection, a, b, &reply, &left);
	wait_for(&left);
	return reply;
}

static void expect(const struct store_scope *scope,
	enum store_op op,
	const char *collection,
	const char *a,
	const char *b,
	const char *documents)
{
	struct reply reply = run(scope, op, collection, a, b);
	if (reply.error != STORE_OK) {
		fail_msg("%s: %d %s", a, reply.error, reply.message);
	}
	struct buffer text;
	buffer_init(&text, 1 << 20);
	struct slice row = reply.documents;
	struct slice d;
	while (document_take(&row, &d)) {
		char *s = notation_print(d);
		(void)buffer_printf(&text, "%s%s", text.n > 0 ? " " : "", s);
		free(s);
	}
	(void)buffer_append_byte(&text, 0);
	assert_string_equal((char *)text.p, documents);
	buffer_deinit(&text);
	reply_free(&reply);
}

static void expect_error(const struct store_scope *scope,
	enum store_op op,
	const char *a,
	const char *b,
	enum store_error e,
	const char *text)
{
	struct reply reply = run(scope, op, "c", a, b);
	if (reply.error != e || strstr(reply.message, text) == NULL) {
		fail_msg("expected %d \"%s\", got %d \"%s\"", e, text, reply.error, reply.message);
	}
	reply_free(&reply);
}

/* --- tests --- */

/* clang-format off */
static void documents_survive_a_restart(void **state)
{
	const struct store_scope alice = user_scope("app", "p", "alice");
	open_store();
	expect(&alice, STORE_INSERT, "c", "{_id: 1, a: 'x'}", NULL, "{ids: [1]}");
	expect(&alice, STORE_INSERT, "c", "{_id: 2, a: 'y'}", NULL, "{ids: [2]}");
	expect(&alice, STORE_UPDATE, "c", "{_id: 2}", "{$set: {a: 'z'}}", "");
	close_store();
	open_store();
	expect(&alice, STORE_FIND, "c", "{}", NULL, "{_id: 1, a: 'x', user_id: 'alice'} {_id: 2, a: 'z', user_id: 'alice'}");
	expect(&alice, STORE_FIND, "c", "{_id: 1.0}", NULL, "{_id: 1, a: 'x', user_id: 'alice'}");
	expect(&alice, STORE_FIND, "c", "{_id: {$in: [2, 7, 1L]}}", NULL,
		"{_id: 1, a: 'x', user_id: 'alice'} {_id: 2, a: 'z', user_id: 'alice'}");
	expect(&alice, STORE_DELETE, "c", "{_id: 1}", NULL, "");
	expect(&alice, STORE_DISTINCT, "c", "{}", NULL, "{values: [2]}");
	expect(&alice, STORE_FIND, "other", "{}", NULL, "");
	close_store();
	/* Left in order: the log is gone, the lock file is empty, only its owner may read it. */
	char path[128];
	struct stat st;
	db_path(path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	file_path(path, "-wal");
	assert_int_equal(stat(path, &st), -1);
	file_path(path, ".lock");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 0);
}

/* Two apps, two plugins, two users, and documents of nobody: eight collections of one name. */
static void nobody_sees_anothers_documents(void **state)
{
	static const char *const apps[] = { "app1", "app2" };
	static const char *const plugins[] = { "p", "q", "" };
	static const char *const users[] = { "alice", "bob" };
	open_store();
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 12; i++) {
			const struct store_scope s = user_scope(apps[i % 2], plugins[i / 2 % 3], users[i / 6]);
			char text[100];
			char expected[200];
			if (round == 0) {
				(void)snprintf(text, sizeof(text), "{_id: %d, k: 1}", i);
				(void)snprintf(expected, sizeof(expected), "{ids: [%d]}", i);
				expect(&s, STORE_INSERT, "c", text, NULL, expected);
				continue;
			}
			(void)snprintf(expected, sizeof(expected), "{_id: %d, k: 1, user_id: '%s'}", i, users[i / 6]);
			expect(&s, STORE_FIND, "c", "{}", NULL, expected);
			expect(&s, STORE_FIND, "c", "{$or: [{k: 1}, {}]}", NULL, expected);
			for (int other = 0; other < 12; other++) {
				(void)snprintf(text, sizeof(text), "{_id: %d}", other);
				expect(&s, STORE_FIND, "c", text, NULL, other == i ? expected : "");
				if (other != i) {
					struct reply r = run(&s, STORE_DELETE, "c", text, NULL);
					assert_int_equal(r.n, 0);
					r = run(&s, STORE_UPDATE, "c", text, "{$set: {k: 9}}");
					assert_int_equal(r.n, 0);
				}
			}
			const struct store_scope nobody = { STORE_SCOPE_APP, s.app, s.plugin, SLICE_NULL };
			expect(&nobody, STORE_FIND, "c", "{}", NULL, "");
		}
	}
}

/* App scope and declared collections: the column of owners narrows, the filter decides. */
static void owners_of_any_shape(void **state)
{
	const struct store_scope shared = user_scope("app", "p", NULL);
	const struct store_scope alice = user_scope("app", "p", "alice");
	const struct store_scope nobody = { STORE_SCOPE_APP, SLICE("app"), SLICE("p"), SLICE_NULL };
	open_store();
	expect(&shared, STORE_INSERT, "c", "{_id: 1}", NULL, "{ids: [1]}");
	expect(&shared, STORE_INSERT, "c", "{_id: 2, user_id: null}", NULL, "{ids: [2]}");
	expect(&shared, STORE_INSERT, "c", "{_id: 3, user_id: 5}", NULL, "{ids: [3]}");
	expect(&shared, STORE_INSERT, "c", "{_id: 4, user_id: ['alice', 'bob']}", NULL, "{ids: [4]}");
	expect(&shared, STORE_INSERT, "c", "{_id: 5, user_id: 'alice'}", NULL, "{ids: [5]}");
	expect(&shared, STORE_INSERT, "c", "{_id: 6, user_id: 'alice\\x00'}", NULL, "{ids: [6]}");
	expect(&shared, STORE_INSERT, "c", "{_id: 7, user_id: ''}", NULL, "{ids: [7]}");
	expect(&nobody, STORE_DISTINCT, "c", "{}", NULL, "{values: [1]}");
	expect(&alice, STORE_DISTINCT, "c", "{}", NULL, "{values: [5]}");
	expect(&alice, STORE_FIND, "c", "{_id: 4}", NULL, "");
	expect(&shared, STORE_DISTINCT, "c", "{user_id: 'alice'}", NULL, "{values: [4, 5]}");
	expect(&shared, STORE_DISTINCT, "c", "{user_id: ''}", NULL, "{values: [7]}");
	expect(&shared, STORE_DISTINCT, "c", "{user_id: 'alice\\x00'}", NULL, "{values: [6]}");
	expect(&shared, STORE_DISTINCT, "c", "{user_id: null}", NULL, "{values: [1, 2]}");
	/* Without a sort, a declared collection comes owner by owner. */
	expect(&shared, STORE_DISTINCT, "c", "{user_id: {$gt: 'a'}}", NULL, "{values: [4, 6, 5]}");
	/* An owner that changes moves with it. */
	expect(&shared, STORE_UPDATE, "c", "{_id: 5}", "{$set: {user_id: 'bob'}}", "");
	expect(&alice, STORE_DISTINCT, "c", "{}", NULL, "{values: []}");
	expect(&shared, STORE_DISTINCT, "c", "{user_id: 'bob'}", NULL, "{values: [4, 5]}");
	struct reply r = run(&alice, STORE_COUNT, "c", NULL, NULL);
	assert_int_equal(r.n, 0);
	r = run(&shared, STORE_COUNT, "c", NULL, NULL);
	assert_int_equal(r.n, 7);
	r = run(&nobody, STORE_COUNT, "c", NULL, NULL);
	assert_int_equal(r.n, 1);
}
/* clang-format on */

/* A thousand commands at once: each answered once, and the sum is right. */
static void a_thousand_at_once(void **state)
{
	static struct reply replies[1000];
	const struct store_scope alice = user_scope("app", "p", "alice");
	unsigned left = 1000;
	open_store();
	expect(&alice, STORE_INSERT, "n", "{_id: 'sum', n: 0}", NULL, "{ids: ['sum']}");
	unsigned before = atomic_load(&disk.syncs);
	for (unsigned i = 0; i < 1000; i++) {
		char text[60];
		(void)snprintf(text, sizeof(text), "{_id: %u}", i);
		if (i % 3 == 0) {
			submit(&alice, STORE_INSERT, "c", text, NULL, &replies[i], &left);
		} else if (i % 3 == 1) {
			submit(&alice, STORE_UPDATE, "n", "{_id: 'sum'}", "{$inc: {n: 1}}",
				&replies[i], &left);
		} else {
			submit(&alice, STORE_FIND, "n", "{}", NULL, &replies[i], &left);
		}
	}
	wait_for(&left);
	for (unsigned i = 0; i < 1000; i++) {
		assert_int_equal(replies[i].error, STORE_OK);
		assert_int_equal(replies[i].n, 1);
		reply_free(&replies[i]);
	}
	/* Group commit: far fewer syncs than writes, not none. */
	unsigned syncs = atomic_load(&disk.syncs) - before;
	assert_in_range(syncs, 1, 300);
	expect(&alice, STORE_FIND, "n", "{}", NULL, "{_id: 'sum', n: 333, user_id: 'alice'}");
	struct reply r = run(&alice, STORE_COUNT, "c", NULL, NULL);
	assert_int_equal(r.n, 334);
}

static void what_was_answered_is_seen(void **state)
{
	const struct store_scope alice = user_scope("app", "p", "alice");
	open_store();
	for (int i = 0; i < 200; i++) {
		char text[60];
		(void)snprintf(text, sizeof(text), "{_id: %d}", i);
		struct reply inserted = run(&alice, STORE_INSERT, "c", text, NULL);
		assert_int_equal(inserted.error, STORE_OK);
		reply_free(&inserted);
		struct reply r = run(&alice, STORE_COUNT, "c", "{_id: {$exists: true}}", NULL);
		assert_int_equal(r.n, i + 1);
	}
}

/* As long as the sync has not returned, no write is answered; then the answers come after it. */
static void answers_follow_the_sync(void **state)
{
	static struct reply replies[50];
	const struct store_scope alice = user_scope("app", "p", "alice");
	unsigned left = 50;
	open_store();
	expect(&alice, STORE_INSERT, "c", "{_id: 'first'}", NULL, "{ids: ['first']}");
	(void)pthread_mutex_lock(&disk.gate);
	unsigned before = atomic_load(&disk.syncs);
	for (int i = 0; i < 50; i++) {
		char text[60];
		(void)snprintf(text, sizeof(text), "{_id: %d}", i);
		submit(&alice, STORE_INSERT, "c", text, NULL, &replies[i], &left);
	}
	for (int i = 0; i < 30; i++) {
		(void)usleep(5000);
		(void)uv_run(&fx.loop, UV_RUN_NOWAIT);
		assert_int_equal(left, 50);
	}
	/* Readers do not wait for the writer, and see nothing that is not durable. */
	struct reply r = run(&alice, STORE_COUNT, "c", "{}", NULL);
	assert_int_equal(r.n, 1);
	(void)pthread_mutex_unlock(&disk.gate);
	wait_for(&left);
	for (int i = 0; i < 50; i++) {
		assert_int_equal(replies[i].error, STORE_OK);
		assert_true(replies[i].syncs > before);
		reply_free(&replies[i]);
	}
	/* One batch was at the disk, the others gathered behind it. */
	assert_in_range(atomic_load(&disk.syncs) - before, 1, 25);
}

/* A failed sync: the batch is unknown, no write follows, reads go on, the restart knows. */
static void a_failed_sync_ends_writing(void **state)
{
	static struct reply replies[200];
	const struct store_scope alice = user_scope("app", "p", "alice");
	bool found[200] = { false };
	open_store();
	atomic_store(&disk.sync_fails_in, 3);
	unsigned ok = 0;
	unsigned unknown = 0;
	for (unsigned i = 0; i < 200; i += 20) {
		unsigned left = 20;
		for (unsigned j = i; j < i + 20; j++) {
			char text[60];
			(void)snprintf(text, sizeof(text), "{_id: %u}", j);
			submit(&alice, STORE_INSERT, "c", text, NULL, &replies[j], &left);
		}
		wait_for(&left);
	}
	for (unsigned i = 0; i < 200; i++) {
		ok += replies[i].error == STORE_OK ? 1 : 0;
		unknown += replies[i].error == STORE_E_UNKNOWN ? 1 : 0;
		assert_true(replies[i].error == STORE_OK || replies[i].error == STORE_E_UNKNOWN ||
			replies[i].error == STORE_E_UNAVAILABLE);
	}
	assert_true(ok > 0);
	assert_true(unknown > 0);
	assert_true(ok + unknown < 200);
	assert_int_equal(fx.failed, 1);
	assert_false(store_ready(fx.store));
	unsigned syncs = atomic_load(&disk.syncs);
	expect_error(&alice, STORE_INSERT, "{_id: 1000}", NULL, STORE_E_UNAVAILABLE, "closed");
	close_store();
	/* Not even the close synced again. */
	assert_int_equal(atomic_load(&disk.syncs), syncs);
	open_store();
	struct reply r = run(&alice, STORE_FIND, "c", "{}", NULL);
	struct slice row = r.documents;
	struct slice d;
	while (document_take(&row, &d)) {
		int32_t id = value_int32(document_find(d, SLICE("_id")));
		assert_in_range(id, 0, 199);
		assert_false(found[id]);
		found[id] = true;
	}
	reply_free(&r);
	for (unsigned i = 0; i < 200; i++) {
		if (replies[i].error == STORE_OK) {
			assert_true(found[i]);
		}
		if (replies[i].error == STORE_E_UNAVAILABLE) {
			assert_false(found[i]);
		}
		reply_free(&replies[i]);
	}
}

/* A full disk: writes say so and did nothing, reads go on, and it recovers by itself. */
static void a_full_disk_passes(void **state)
{
	const struct store_scope alice = user_scope("app", "p", "alice");
	open_store();
	expect(&alice, STORE_INSERT, "c", "{_id: 1}", NULL, "{ids: [1]}");
	atomic_store(&disk.full, true);
	for (int i = 0; i < 5; i++) {
		expect_error(&alice, STORE_INSERT, "{_id: 2}", NULL, STORE_E_FULL, "full");
		expect_error(
			&alice, STORE_UPDATE, "{_id: 1}", "{$set: {a: 1}}", STORE_E_FULL, "full");
		expect(&alice, STORE_FIND, "c", "{}", NULL, "{_id: 1, user_id: 'alice'}");
	}
	assert_true(store_ready(fx.store));
	atomic_store(&disk.full, false);
	expect(&alice, STORE_INSERT, "c", "{_id: 3}", NULL, "{ids: [3]}");
	expect(&alice, STORE_DISTINCT, "c", "{}", NULL, "{values: [1, 3]}");
	assert_int_equal(fx.failed, 0);
	close_store();
	open_store();
	expect(&alice, STORE_DISTINCT, "c", "{}", NULL, "{values: [1, 3]}");
}

/* What one task of a batch does wrong is taken back; its neighbours' changes stay. */
static void tasks_of_a_batch_fail_alone(void **state)
{
	static struct reply replies[30];
	const struct store_scope alice = user_scope("app", "p", "alice");
	unsigned left = 30;
	open_store();
	expect(&alice, STORE_INSERT, "c", "{_id: 'a', n: 1}", NULL, "{ids: ['a']}");
	expect(&alice, STORE_INSERT, "c", "{_id: 'b', n: 'x'}", NULL, "{ids: ['b']}");
	(void)pthread_mutex_lock(&disk.gate);
	for (unsigned i = 0; i < 30; i++) {
		char text[60];
		(void)snprintf(text, sizeof(text), "{_id: %u}", i);
		if (i % 3 == 0) {
			submit(&alice, STORE_INSERT, "c", text, NULL, &replies[i], &left);
		} else if (i % 3 == 1) {
			/* Changes 'a', then meets 'b'. */
			submit(&alice, STORE_UPDATE, "c", "{n: {$exists: true}}", "{$inc: {n: 1}}",
				&replies[i], &left);
		} else {
			submit(&alice, STORE_INSERT, "new", "{_id: 'a'}", NULL, &replies[i], &left);
		}
	}
	(void)pthread_mutex_unlock(&disk.gate);
	wait_for(&left);
	for (unsigned i = 0; i < 30; i++) {
		enum store_error expected = i % 3 == 0 || i == 2 ? STORE_OK
			: i % 3 == 1                             ? STORE_E_INVALID
								 : STORE_E_DUPLICATE;
		assert_int_equal(replies[i].error, expected);
		reply_free(&replies[i]);
	}
	expect(&alice, STORE_FIND, "c", "{n: {$exists: true}}", NULL,
		"{_id: 'a', n: 1, user_id: 'alice'} {_id: 'b', n: 'x', user_id: 'alice'}");
	struct reply r = run(&alice, STORE_COUNT, "c", NULL, NULL);
	assert_int_equal(r.n, 12);
}

/* A plugin with a long queue does not keep another one waiting for all of it. */
static void plugins_take_turns(void **state)
{
	static struct reply replies[1001];
	const struct store_scope greedy = user_scope("app", "greedy", "alice");
	const struct store_scope modest = user_scope("app", "modest", "alice");
	unsigned left = 1001;
	open_store();
	expect(&modest, STORE_INSERT, "c", "{_id: 'warm'}", NULL, "{ids: ['warm']}");
	answers = 0;
	(void)pthread_mutex_lock(&disk.gate);
	for (unsigned i = 0; i < 1000; i++) {
		submit(&greedy, STORE_INSERT, "c", "{a: 1}", NULL, &replies[i], &left);
	}
	submit(&modest, STORE_INSERT, "c", "{_id: 'me'}", NULL, &replies[1000], &left);
	(void)pthread_mutex_unlock(&disk.gate);
	wait_for(&left);
	/* Behind at most the batch that was at the disk and its own. */
	assert_in_range(replies[1000].order, 0, 220);
	for (unsigned i = 0; i < 1001; i++) {
		assert_int_equal(replies[i].error, STORE_OK);
		if (i > 0 && i < 1000) {
			assert_true(replies[i].order > replies[i - 1].order);
		}
		reply_free(&replies[i]);
	}
}

/* --- quotas --- */

static int count_row(void *arg, int n, char **values, char **names)
{
	*(int *)arg = (int)strtol(values[0], NULL, 10);
	return 0;
}

static int ask_number(const char *sql)
{
	sqlite3 *db = NULL;
	char path[128];
	int n = -1;
	db_path(path);
	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, count_row, &n, NULL), SQLITE_OK);
	(void)sqlite3_close(db);
	return n;
}

/* What is counted is what is there, for everybody; and how many documents that are. */
static void expect_usage(int documents)
{
#define COUNTED "SELECT plugin, user, documents, bytes FROM usage"
#define THERE                                                                                 \
	"SELECT c.plugin, d.user, count(*), sum(length(d.doc)) FROM doc d JOIN collection c " \
	"USING (cid) WHERE c.plugin IS NOT NULL AND d.user <> '' GROUP BY 1, 2 UNION ALL "    \
	"SELECT c.plugin, '', count(*), sum(length(d.doc)) FROM doc d JOIN collection c "     \
	"USING (cid) WHERE c.plugin IS NOT NULL GROUP BY 1"
	assert_int_equal(
		ask_number("SELECT count(*) FROM (" COUNTED " EXCEPT SELECT * FROM (" THERE "))"),
		0);
	assert_int_equal(
		ask_number("SELECT count(*) FROM (SELECT * FROM (" THERE ") EXCEPT " COUNTED ")"),
		0);
	assert_int_equal(ask_number("SELECT ifnull(sum(documents), 0) FROM usage WHERE user = ''"),
		documents);
}

/* clang-format off */
static void quotas_of_plugins_and_users(void **state)
{
	const struct store_scope alice = user_scope("app", "p", "alice");
	const struct store_scope bob = user_scope("app", "p", "bob");
	const struct store_scope other = user_scope("app", "q", "alice");
	const struct store_scope nobody = { STORE_SCOPE_APP, SLICE("app"), SLICE("p"), SLICE_NULL };
	const struct store_scope core = user_scope("app", "", "alice");
	fx.config.user_documents = 3;
	fx.config.plugin_documents = 5;
	open_store();
	for (int i = 0; i < 3; i++) {
		struct reply r = run(&alice, STORE_INSERT, i == 0 ? "c" : "d", "{a: 1}", NULL);
		assert_int_equal(r.error, STORE_OK);
		reply_free(&r);
	}
	expect_error(&alice, STORE_INSERT, "{a: 1}", NULL, STORE_E_LIMIT,
		"this user would have 4 documents stored; the quota is 3 (MOZAIKS_QUOTA_USER_DOCUMENTS)");
	expect_usage(3);
	/* Others have their own, a plugin all of them together. */
	expect(&other, STORE_INSERT, "c", "{_id: 1}", NULL, "{ids: [1]}");
	expect(&bob, STORE_INSERT, "c", "{_id: 'bob'}", NULL, "{ids: ['bob']}");
	expect(&nobody, STORE_INSERT, "c", "{_id: 'nobody'}", NULL, "{ids: ['nobody']}");
	expect_error(&bob, STORE_INSERT, "{a: 1}", NULL, STORE_E_LIMIT, "this plugin would have 6 documents stored; the quota is 5 (MOZAIKS_QUOTA_PLUGIN_DOCUMENTS)");
	expect_error(&nobody, STORE_INSERT, "{a: 1}", NULL, STORE_E_LIMIT, "MOZAIKS_QUOTA_PLUGIN_DOCUMENTS");
	expect_usage(6);
	/* Core's are nobody's. */
	for (int i = 0; i < 10; i++) {
		struct reply r = run(&core, STORE_INSERT, "c", "{a: 1}", NULL);
		assert_int_equal(r.error, STORE_OK);
		reply_free(&r);
	}
	expect_usage(6);
	/* What is deleted is free again; what only changes is no more. */
	expect(&alice, STORE_UPDATE, "d", "{}", "{$set: {a: 2}}", "");
	expect(&alice, STORE_DELETE, "d", "{}", NULL, "");
	expect_usage(4);
	expect(&alice, STORE_INSERT, "c", "{_id: 'again'}", NULL, "{ids: ['again']}");
	expect_usage(5);
}

static void quotas_in_bytes(void **state)
{
	const struct store_scope alice = user_scope("app", "p", "alice");
	const struct store_scope shared = user_scope("app", "p", NULL);
	fx.config.user_bytes = 400;
	fx.config.plugin_bytes = 600;
	open_store();
	expect(&alice, STORE_INSERT, "c", "{_id: 1, s: 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'}", NULL, "{ids: [1]}");
	expect(&alice, STORE_INSERT, "c", "{_id: 2, s: 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'}", NULL, "{ids: [2]}");
	char update[600];
	(void)snprintf(update, sizeof(update), "{$set: {s: '%0300d'}}", 0);
	expect_error(&alice, STORE_UPDATE, "{_id: 1}", update, STORE_E_LIMIT, "bytes of documents stored; the quota is 400 (MOZAIKS_QUOTA_USER_BYTES)");
	expect_usage(2);
	/* Lowered below what is there: it may shrink and be deleted, not grow. */
	close_store();
	fx.config.user_bytes = 10;
	open_store();
	expect_error(&alice, STORE_UPDATE, "{_id: 1}", "{$set: {more: 1}}", STORE_E_LIMIT, "MOZAIKS_QUOTA_USER_BYTES");
	expect(&alice, STORE_UPDATE, "c", "{_id: 1}", "{$unset: {s: 1}}", "");
	expect(&alice, STORE_DELETE, "c", "{_id: 2}", NULL, "");
	expect_usage(1);
	/* A declared collection is its plugin's. */
	(void)snprintf(update, sizeof(update), "{_id: 9, user_id: 'alice', s: '%0500d'}", 0);
	expect(&shared, STORE_INSERT, "s", update, NULL, "{ids: [9]}");
	expect_error(&shared, STORE_UPDATE, "{_id: 9}", "{$set: {more: 1}}", STORE_OK, "");
	expect_usage(2);
	(void)snprintf(update, sizeof(update), "{_id: 8, s: '%0500d'}", 0);
	expect_error(&shared, STORE_INSERT, update, NULL, STORE_E_LIMIT, "this plugin would have");
	/* A document that changes its owner is the new one's. */
	expect(&shared, STORE_UPDATE, "s", "{_id: 9}", "{$set: {user_id: 'bob'}}", "");
	expect_usage(2);
}
/* clang-format on */

/* --- changes that are too long for one go --- */

/* One number that is asked of the file itself. */
static unsigned ask_file(const char *sql)
{
	sqlite3 *db = NULL;
	sqlite3_stmt *st = NULL;
	char path[128];
	db_path(path);
	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	unsigned n = (unsigned)sqlite3_column_int(st, 0);
	(void)sqlite3_finalize(st);
	(void)sqlite3_close(db);
	return n;
}

/* Rows that jobs keep. */
static unsigned count_kept(void)
{
	return ask_file("SELECT count(*) FROM undo");
}

enum { MANY = 20000, VERY_MANY = 100000, PER_INSERT = 2000 };

/* {_id: 0, n: 0} … , one of them not a number. */
static void insert_some(const struct store_scope *scope, int n, int odd)
{
	for (int i = 0; i < n;) {
		struct buffer row;
		buffer_init(&row, 1 << 20);
		for (int end = i + PER_INSERT; i < end; i++) {
			char text[60];
			(void)snprintf(text, sizeof(text),
				i == odd ? "{_id: %d, n: 'x'}" : "{_id: %d, n: 0}", i);
			struct slice d = notation_parse(text);
			(void)buffer_append(&row, d);
			free((void *)d.p);
		}
		struct reply reply = { 0 };
		unsigned left = 1;
		struct store_command c = { .op = STORE_INSERT,
			.collection = SLICE("c"),
			.documents = buffer_slice(&row) };
		reply.left = &left;
		assert_int_equal(store_submit(fx.store, scope, &c, on_reply, &reply), 0);
		wait_for(&left);
		assert_int_equal(reply.error, STORE_OK);
		assert_int_equal(reply.n, PER_INSERT);
		reply_free(&reply);
		buffer_deinit(&row);
	}
}

static void insert_many(const struct store_scope *scope, int odd)
{
	insert_some(scope, MANY, odd);
}

static uint64_t count_where(const struct store_scope *scope, const char *filter)
{
	struct reply r = run(scope, STORE_COUNT, "c", filter, NULL);
	assert_int_equal(r.error, STORE_OK);
	return r.n;
}

/* How many rows a job has changed so far, and how many there are of the modest plugin: one state. */
static void ask_progress(sqlite3 *db, unsigned *ret_changed, unsigned *ret_modest)
{
	sqlite3_stmt *st = NULL;
	assert_int_equal(
		sqlite3_prepare_v2(db,
			"SELECT (SELECT count(*) FROM undo), (SELECT count(*) FROM doc "
			"WHERE cid = (SELECT cid FROM collection WHERE name = 'app/modest/c'))",
			-1, &st, NULL),
		SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	*ret_changed = (unsigned)sqlite3_column_int(st, 0);
	*ret_modest = (unsigned)sqlite3_column_int(st, 1);
	(void)sqlite3_finalize(st);
}

/*
 * 100,000 documents of one plugin change, while another inserts one document after the other. The turns
 * alternate: again and again an insert is answered before the update has got much further, however much
 * of it is still to be done. (Not always: this thread may have to wait for a processor meanwhile.)
 */
static void turns_alternate_in_a_very_long_update(void **state)
{
	const struct store_scope greedy = user_scope("app", "greedy", "alice");
	const struct store_scope modest = user_scope("app", "modest", "alice");
	struct reply update;
	unsigned update_left = 1;
	unsigned between = 0;
	unsigned soon = 0;
	unsigned last = 0;
	char path[128];
	sqlite3 *db = NULL;
	fx.config.operation_ms = 300000;
	open_store();
	insert_some(&greedy, VERY_MANY, -1);
	db_path(path);
	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	submit(&greedy, STORE_UPDATE, "c", "{n: {$gte: 0}}", "{$inc: {n: 1}}", &update,
		&update_left);
	for (unsigned i = 0; *update.left > 0; i++) {
		char text[60];
		unsigned changed = 0;
		unsigned stored = 0;
		(void)snprintf(text, sizeof(text), "{_id: %u}", i);
		struct reply r = run(&modest, STORE_INSERT, "c", text, NULL);
		assert_int_equal(r.error, STORE_OK);
		reply_free(&r);
		ask_progress(db, &changed, &stored);
		/* Answered is stored, however far the update is. */
		assert_int_equal(stored, i + 1);
		if (update_left > 0 && changed > last) {
			between++;
			soon += changed - last < VERY_MANY / 20 ? 1 : 0;
			last = changed;
		}
	}
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	assert_int_equal(update.error, STORE_OK);
	assert_int_equal(update.modified, VERY_MANY);
	assert_in_range(between, 10, VERY_MANY);
	assert_in_range(soon, between / 2, between);
	reply_free(&update);
}

/* One plugin's update of everything, others' inserts: they are answered, which means committed, while
 * the update is at work, and the update's own plugin keeps its order. */
static void a_huge_update_lets_others_write(void **state)
{
	const struct store_scope greedy = user_scope("app", "greedy", "alice");
	const struct store_scope modest = user_scope("app", "modest", "alice");
	struct reply update;
	struct reply next;
	unsigned update_left = 1;
	unsigned next_left = 1;
	unsigned between = 0;
	fx.config.operation_ms = 60000;
	open_store();
	insert_many(&greedy, -1);
	submit(&greedy, STORE_UPDATE, "c", "{n: {$gte: 0}}", "{$inc: {n: 1}}", &update,
		&update_left);
	submit(&greedy, STORE_DELETE, "c", "{_id: 5}", NULL, &next, &next_left);
	for (int i = 0; *update.left > 0; i++) {
		char text[60];
		(void)snprintf(text, sizeof(text), "{_id: %d}", i);
		struct reply r = run(&modest, STORE_INSERT, "c", text, NULL);
		assert_int_equal(r.error, STORE_OK);
		reply_free(&r);
		uint64_t done = count_where(&greedy, "{n: 1}");
		between += update_left > 0 && done > 0 && done < MANY ? 1 : 0;
	}
	assert_in_range(between, 3, MANY);
	wait_for(&next_left);
	assert_int_equal(update.error, STORE_OK);
	assert_int_equal(update.n, MANY);
	assert_int_equal(update.modified, MANY);
	assert_true(next.order > update.order);
	assert_int_equal(next.n, 1);
	assert_int_equal(count_where(&greedy, "{n: 1}"), MANY - 1);
	assert_int_equal(count_where(&greedy, "{}"), MANY - 1);
	/* What it kept to be able to take it back is swept without anybody's help. */
	unsigned kept = 1;
	for (int i = 0; i < 1000 && kept > 0; i++) {
		(void)usleep(10000);
		kept = count_kept();
	}
	assert_int_equal(kept, 0);
}

/* It fails at one of the last documents: all is as it was, order included. */
static void a_huge_change_that_fails_is_taken_back(void **state)
{
	const struct store_scope alice = user_scope("app", "p", "alice");
	fx.config.operation_ms = 60000;
	open_store();
	insert_many(&alice, MANY - 10);
	expect_error(&alice, STORE_UPDATE, "{n: {$exists: true}}", "{$inc: {n: 1}}",
		STORE_E_INVALID, "n");
	assert_int_equal(count_where(&alice, "{n: 0}"), MANY - 1);
	expect_usage(MANY);
	/* The same without room on the disk, from some point on. */
	static struct reply r;
	unsigned left = 1;
	submit(&alice, STORE_DELETE, "c", "{n: {$exists: true}}", NULL, &r, &left);
	while (left > 0 && count_where(&alice, "{}") > MANY / 2) {
	}
	atomic_store(&disk.full, true);
	for (int i = 0; i < 20; i++) {
		(void)usleep(5000);
		(void)uv_run(&fx.loop, UV_RUN_NOWAIT);
		assert_int_equal(
			left, 1); /* nobody is told that nothing was done before it is true */
	}
	atomic_store(&disk.full, false);
	wait_for(&left);
	assert_int_equal(r.error, STORE_E_FULL);
	reply_free(&r);
	assert_int_equal(count_where(&alice, "{}"), MANY);
	expect_usage(MANY);
	struct reply all = run(&alice, STORE_FIND, "c", "{}", NULL);
	struct slice row = all.documents;
	struct slice d;
	for (int i = 0; document_take(&row, &d); i++) {
		assert_int_equal(value_int32(document_find(d, SLICE("_id"))), i);
	}
	reply_free(&all);
}

/* A quota that is reached in the middle of a long insert: nothing of it stays. */
static void a_huge_insert_over_the_quota(void **state)
{
	const struct store_scope alice = user_scope("app", "p", "alice");
	struct buffer row;
	struct reply r;
	unsigned left = 1;
	fx.config.operation_ms = 60000;
	fx.config.user_documents = MANY / 2;
	open_store();
	expect(&alice, STORE_INSERT, "c", "{_id: 'first'}", NULL, "{ids: ['first']}");
	buffer_init(&row, 4 << 20);
	for (int i = 0; i < MANY; i++) {
		char text[60];
		(void)snprintf(text, sizeof(text), "{_id: %d}", i);
		struct slice d = notation_parse(text);
		(void)buffer_append(&row, d);
		free((void *)d.p);
	}
	struct store_command c = {
		.op = STORE_INSERT, .collection = SLICE("c"), .documents = buffer_slice(&row)
	};
	r = (struct reply){ .left = &left };
	assert_int_equal(store_submit(fx.store, &alice, &c, on_reply, &r), 0);
	wait_for(&left);
	assert_int_equal(r.error, STORE_E_LIMIT);
	assert_non_null(strstr(r.message, "MOZAIKS_QUOTA_USER_DOCUMENTS"));
	assert_int_equal(r.n, 0);
	assert_int_equal(count_where(&alice, "{}"), 1);
	expect_usage(1);
	reply_free(&r);
	buffer_deinit(&row);
}

/* A long insert comes in pieces, with the answer of one in one go. */
static void a_huge_insert_lets_others_write(void **state)
{
	const struct store_scope greedy = user_scope("app", "greedy", "alice");
	const struct store_scope modest = user_scope("app", "modest", "alice");
	struct buffer row;
	struct reply insert;
	unsigned insert_left = 1;
	unsigned between = 0;
	fx.config.operation_ms = 60000;
	fx.config.queue_bytes = (size_t)256 << 20;
	open_store();
	expect(&greedy, STORE_INSERT, "c", "{_id: 19000}", NULL, "{ids: [19000]}");
	buffer_init(&row, 4 << 20);
	for (int i = 0; i < MANY; i++) {
		char text[60];
		(void)snprintf(text, sizeof(text), "{_id: %d}", i);
		struct slice d = notation_parse(text);
		(void)buffer_append(&row, d);
		free((void *)d.p);
	}
	struct store_command c = {
		.op = STORE_INSERT, .collection = SLICE("c"), .documents = buffer_slice(&row)
	};
	insert = (struct reply){ .left = &insert_left };
	assert_int_equal(store_submit(fx.store, &greedy, &c, on_reply, &insert), 0);
	for (int i = 0; *insert.left > 0; i++) {
		char text[60];
		(void)snprintf(text, sizeof(text), "{_id: %d}", i);
		struct reply r = run(&modest, STORE_INSERT, "c", text, NULL);
		assert_int_equal(r.error, STORE_OK);
		reply_free(&r);
		uint64_t done = count_where(&greedy, "{}");
		between += insert_left > 0 && done > 1 && done < MANY ? 1 : 0;
	}
	assert_in_range(between, 3, MANY);
	assert_int_equal(insert.error, STORE_E_DUPLICATE);
	assert_int_equal(insert.n, MANY - 1);
	assert_int_equal(insert.n_write_errors, 1);
	assert_int_equal(count_where(&greedy, "{}"), MANY);
	reply_free(&insert);
	buffer_deinit(&row);
}

static void queues_are_bounded(void **state)
{
	static struct reply replies[10];
	const struct store_scope alice = user_scope("app", "p", "alice");
	unsigned left = 10;
	fx.config.queue = 4;
	open_store();
	(void)pthread_mutex_lock(&disk.gate);
	for (unsigned i = 0; i < 10; i++) {
		submit(&alice, STORE_INSERT, "c", "{a: 1}", NULL, &replies[i], &left);
	}
	assert_int_equal(left, 10); /* a refusal is answered later, too */
	(void)pthread_mutex_unlock(&disk.gate);
	wait_for(&left);
	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(replies[i].error, i < 4 ? STORE_OK : STORE_E_UNAVAILABLE);
		reply_free(&replies[i]);
	}
	assert_non_null(strstr(replies[9].message, "MOZAIKS_STORE_QUEUE"));
	/* Room again. */
	expect(&alice, STORE_INSERT, "c", "{_id: 1}", NULL, "{ids: [1]}");
}

static void a_queue_is_bounded_in_bytes(void **state)
{
	const struct store_scope alice = user_scope("app", "p", "alice");
	fx.config.queue_bytes = 600;
	open_store();
	expect_error(&alice, STORE_INSERT, "{_id: 1, a: 'xxxxxxxxxxxxxxxxxxxx'}", NULL,
		STORE_E_UNAVAILABLE, "MOZAIKS_STORE_QUEUE_BYTES");
}

static void collections_are_bounded(void **state)
{
	const struct store_scope p = user_scope("app", "p", "alice");
	const struct store_scope q = user_scope("app", "q", "alice");
	fx.config.collections = 3;
	open_store();
	for (int i = 0; i < 5; i++) {
		char name[20];
		(void)snprintf(name, sizeof(name), "c%d", i);
		struct reply r = run(&p, STORE_INSERT, name, "{_id: 1}", NULL);
		assert_int_equal(r.error, i < 3 ? STORE_OK : STORE_E_LIMIT);
		reply_free(&r);
	}
	/* Those that are there go on, and so do other plugins. */
	expect(&p, STORE_INSERT, "c0", "{_id: 2}", NULL, "{ids: [2]}");
	expect(&q, STORE_INSERT, "c9", "{_id: 2}", NULL, "{ids: [2]}");
}

static void what_is_queued_is_finished_before_the_close(void **state)
{
	static struct reply replies[300];
	const struct store_scope alice = user_scope("app", "p", "alice");
	unsigned left = 300;
	open_store();
	for (unsigned i = 0; i < 300; i++) {
		submit(&alice, i % 2 ? STORE_INSERT : STORE_FIND, "c", i % 2 ? "{a: 1}" : "{}",
			NULL, &replies[i], &left);
	}
	fx.closed = false;
	store_close(fx.store, on_closed, &fx);
	struct reply late;
	unsigned late_left = 1;
	submit(&alice, STORE_FIND, "c", "{}", NULL, &late, &late_left);
	while (!fx.closed) {
		(void)uv_run(&fx.loop, UV_RUN_ONCE);
	}
	assert_int_equal(left, 0);
	assert_int_equal(late_left, 0);
	assert_int_equal(late.error, STORE_E_UNAVAILABLE);
	for (unsigned i = 0; i < 300; i++) {
		assert_int_equal(replies[i].error, STORE_OK);
		reply_free(&replies[i]);
	}
	struct store_command c = { .op = STORE_FIND, .collection = SLICE("c") };
	assert_int_equal(store_submit(fx.store, &alice, &c, on_reply, &late), -ECANCELED);
	store_free(fx.store);
	fx.store = NULL;
	open_store();
	struct reply r = run(&alice, STORE_COUNT, "c", NULL, NULL);
	assert_int_equal(r.n, 150);
}

/* --- files that are refused --- */

static void expect_refused(int error, const char *text)
{
	int r = try_open();
	if (r != error || strstr(fx.why, text) == NULL) {
		fail_msg("expected %d \"%s\", got %d \"%s\"", error, text, r, fx.why);
	}
	assert_null(fx.store);
}

static void one_director_per_file(void **state)
{
	struct store *first;
	char holder[60];
	open_store();
	first = fx.store;
	(void)snprintf(holder, sizeof(holder), "is in use by another director (pid %d)", getpid());
	expect_refused(-EBUSY, holder);
	fx.store = first;
	close_store();
	open_store();
}

static void execute_sql(const char *sql)
{
	sqlite3 *db = NULL;
	char path[128];
	db_path(path);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void newer_files_are_refused(void **state)
{
	char path[128];
	struct stat before;
	struct stat after;
	open_store();
	close_store();
	execute_sql("UPDATE meta SET value = '99' WHERE key = 'schema'");
	db_path(path);
	assert_int_equal(stat(path, &before), 0);
	expect_refused(-EINVAL, "has schema version 99, this program knows up to 7");
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
	execute_sql("UPDATE meta SET value = '7' WHERE key = 'schema'");
	open_store();
}

/* A file of an older version becomes one of this, with what is in it. */
static void older_files_are_taken_over(void **state)
{
	const struct store_scope alice = user_scope("app", "p", "alice");
	open_store();
	expect(&alice, STORE_INSERT, "c", "{_id: 1}", NULL, "{ids: [1]}");
	close_store();
	execute_sql(
		"DROP TABLE undo; DROP TABLE undo_job; DROP TABLE idx; DROP TABLE key; DROP INDEX doc_order;"
		"DROP TRIGGER doc_added; DROP TRIGGER doc_gone; DROP TRIGGER doc_changed;"
		"DROP TABLE usage; DROP TABLE plugin; ALTER TABLE collection DROP COLUMN plugin;"
		"UPDATE meta SET value = '1' WHERE key = 'schema'");
	open_store();
	expect(&alice, STORE_FIND, "c", "{}", NULL, "{_id: 1, user_id: 'alice'}");
	assert_int_equal(count_kept(), 0);
	expect_usage(1);
	expect(&alice, STORE_INSERT, "d", "{_id: 2}", NULL, "{ids: [2]}");
	expect_usage(2);
}

static void make_index(const struct store_scope *scope, const char *spec)
{
	struct store_command c = { .op = STORE_INDEX_CREATE, .collection = SLICE("c") };
	struct reply reply = { 0 };
	unsigned left = 1;
	c.index = notation_parse(spec);
	reply.left = &left;
	assert_int_equal(store_submit(fx.store, scope, &c, on_reply, &reply), 0);
	wait_for(&left);
	if (reply.error != STORE_OK) {
		fail_msg("%s: %s", spec, reply.message);
	}
	reply_free(&reply);
	free((void *)(uintptr_t)c.index.p);
}

/* An index of version 4: nobody knows whether arrays are in it. */
static void older_indexes_are_not_trusted(void **state)
{
	const struct store_scope alice = user_scope("app", "p", "alice");
	open_store();
	make_index(&alice, "{key: {a: 1}, name: 'a'}");
	expect(&alice, STORE_INSERT, "c", "{_id: 1, a: [0, 10]}", NULL, "{ids: [1]}");
	close_store();
	assert_int_equal(ask_file("SELECT loose FROM idx"), 1);
	execute_sql("DROP TRIGGER key_added; DROP TRIGGER key_gone; DROP INDEX idx_dropped;"
		    "DROP INDEX doc_order; ALTER TABLE idx DROP COLUMN directed;"
		    "ALTER TABLE idx DROP COLUMN dropped; ALTER TABLE idx DROP COLUMN loose;"
		    "UPDATE meta SET value = '4' WHERE key = 'schema'");
	open_store();
	expect(&alice, STORE_FIND, "c", "{a: {$gt: 3, $lt: 5}}", NULL,
		"{_id: 1, a: [0, 10], user_id: 'alice'}");
	close_store();
	assert_int_equal(ask_file("SELECT loose FROM idx"), 1);
	open_store();
}

/* Keys of the first index, made by every kind of change, are those that a new index on the same fields
 * makes of what is stored. */
static void keys_follow_the_documents(void **state)
{
	const struct store_scope alice = user_scope("app", "p", "alice");
	static const char same[] =
		"SELECT (SELECT count(*) FROM key WHERE iid = 1) = (SELECT count(*) FROM key WHERE iid = 2) "
		"AND NOT EXISTS (SELECT k, rid FROM key WHERE iid = 1 EXCEPT SELECT k, rid FROM key "
		"WHERE iid = 2) AND (SELECT count(*) FROM key WHERE iid = 1) > 0";
	open_store();
	make_index(&alice, "{key: {a: 1, b: 1}, name: 'first'}");
	for (int i = 0; i < 50; i++) {
		char text[200];
		(void)snprintf(text, sizeof(text),
			i % 3 == 0 ? "{_id: %d, a: [1, 2, 2], b: 'x'}" : "{_id: %d, a: 'y'}", i);
		struct reply r = run(&alice, STORE_INSERT, "c", text, NULL);
		assert_int_equal(r.error, STORE_OK);
		reply_free(&r);
	}
	struct reply r = run(&alice, STORE_UPDATE, "c", "{_id: 3}", "{$push: {a: 'z'}}");
	reply_free(&r);
	r = run(&alice, STORE_UPDATE, "c", "{a: 'y'}", "{$set: {b: 5}}");
	reply_free(&r);
	expect_error(&alice, STORE_UPDATE, "{a: 'y'}", "{$inc: {a: 1}}", STORE_E_INVALID, "a");
	r = run(&alice, STORE_DELETE, "c", "{_id: 6}", NULL);
	reply_free(&r);
	r = run(&alice, STORE_UPDATE, "c", "{_id: 9}", "{$set: {a: [[1], {c: 1}], b: null}}");
	reply_free(&r);
	make_index(&alice, "{key: {a: 1, b: 1}, name: 'second'}");
	close_store();
	assert_int_equal(ask_file(same), 1);
	open_store();
	expect(&alice, STORE_FIND, "c", "{b: 'x', a: 'z'}", NULL,
		"{_id: 3, a: [1, 2, 2, 'z'], b: 'x', user_id: 'alice'}");
	assert_int_equal(count_where(&alice, "{a: 2}"), 15);
}

/* Bytes of documents and of their keys, for everybody, as they are counted and as they are. */
static void expect_charged(void)
{
	static const char counted[] = "SELECT plugin, user, documents, bytes FROM usage";
	static const char there[] =
		"SELECT c.plugin, o.user, count(*), sum(length(d.doc) + (SELECT "
		"ifnull(sum(length(k) + 16), 0) FROM key WHERE key.rid = d.rid)) FROM doc d "
		"JOIN collection c USING (cid) JOIN (SELECT rid, user FROM doc UNION ALL SELECT rid, '' "
		"FROM doc) o USING (rid) WHERE c.plugin IS NOT NULL AND o.user IS NOT NULL GROUP BY 1, 2";
	char sql[1500];
	(void)snprintf(sql, sizeof(sql),
		"SELECT count(*) FROM (SELECT * FROM (%s EXCEPT SELECT * FROM (%s)) UNION ALL "
		"SELECT * FROM (SELECT * FROM (%s) EXCEPT %s))",
		counted, there, there, counted);
	assert_int_equal(ask_file(sql), 0);
}

/* clang-format off */
/* What an index keeps of a document counts as the document does. */
static void keys_are_charged(void **state)
{
	const struct store_scope alice = user_scope("app", "p", "alice");
	const struct store_scope bob = user_scope("app", "p", "bob");
	const struct store_scope shared = user_scope("app", "p", NULL);
	fx.config.user_bytes = 20000;
	open_store();
	expect(&alice, STORE_INSERT, "c", "{_id: 1, a: ['x', 'y', 3], b: 1}", NULL, "{ids: [1]}");
	make_index(&alice, "{key: {a: 1}, name: 'a'}");
	make_index(&shared, "{key: {b: 1, a: 1}, name: 'ba'}");
	expect_charged();
	expect(&bob, STORE_INSERT, "c", "{_id: 2, a: [1, 2], b: [1, 2]}", NULL, "{ids: [2]}");
	expect(&shared, STORE_INSERT, "c", "{_id: 3, a: 1}", NULL, "{ids: [3]}");
	expect(&alice, STORE_UPDATE, "c", "{_id: 1}", "{$push: {a: 'z'}}", "");
	expect_charged();
	expect(&shared, STORE_UPDATE, "c", "{_id: 1}", "{$set: {user_id: 'bob', a: [1]}}", "");
	expect_charged();
	expect(&bob, STORE_DELETE, "c", "{_id: 2}", NULL, "");
	expect_charged();
	/* Few bytes of a document, many of its keys. */
	char text[8000];
	size_t n = (size_t)snprintf(text, sizeof(text), "{_id: 4, b: '%0800d', a: [0", 0);
	for (int i = 1; i < 30; i++) {
		n += (size_t)snprintf(text + n, sizeof(text) - n, ", %d", i);
	}
	(void)snprintf(text + n, sizeof(text) - n, "]}");
	expect_error(&alice, STORE_INSERT, text, NULL, STORE_E_LIMIT, "bytes of documents stored; the quota is 20000 (MOZAIKS_QUOTA_USER_BYTES)");
	expect_charged();
}
/* clang-format on */

static void drop_index(const struct store_scope *scope, const char *name)
{
	struct store_command c = { .op = STORE_INDEX_DROP, .collection = SLICE("c") };
	struct reply reply = { 0 };
	unsigned left = 1;
	c.field = slice_str(name);
	reply.left = &left;
	assert_int_equal(store_submit(fx.store, scope, &c, on_reply, &reply), 0);
	wait_for(&left);
	assert_int_equal(reply.error, STORE_OK);
	reply_free(&reply);
}

/* A dropped index is gone at once; its keys go later, some with each transaction, across a restart too. */
static void a_dropped_index_is_removed_in_pieces(void **state)
{
	const struct store_scope alice = user_scope("app", "p", "alice");
	open_store();
	make_index(&alice, "{key: {a: 1}, name: 'a'}");
	for (int i = 0; i < 3; i++) {
		char text[8000];
		size_t n = (size_t)snprintf(text, sizeof(text), "{_id: %d, a: [0", i);
		for (int j = 1; j < 900; j++) {
			n += (size_t)snprintf(text + n, sizeof(text) - n, ", %d", j);
		}
		(void)snprintf(text + n, sizeof(text) - n, "]}");
		struct reply r = run(&alice, STORE_INSERT, "c", text, NULL);
		assert_int_equal(r.error, STORE_OK);
		reply_free(&r);
	}
	assert_int_equal(ask_file("SELECT count(*) FROM key"), 2700);
	drop_index(&alice, "a");
	close_store();
	/* What one transaction and the moments until the close have swept. */
	unsigned left = ask_file("SELECT count(*) FROM key");
	assert_in_range(left, 0, 2500);
	execute_sql("UPDATE idx SET dropped = 1");
	open_store();
	/* The name is free, and what changes meanwhile takes its old keys along. */
	make_index(&alice, "{key: {b: 1}, name: 'a'}");
	expect(&alice, STORE_DELETE, "c", "{_id: 1}", NULL, "");
	expect(&alice, STORE_UPDATE, "c", "{_id: 2}", "{$set: {a: 1}}", "");
	for (int i = 0; ask_file("SELECT count(*) FROM idx") != 1; i++) {
		assert_in_range(i, 0, 4000);
		(void)usleep(5000);
	}
	assert_int_equal(ask_file("SELECT count(*) FROM key"), 2);
	expect_charged();
	assert_int_equal(count_where(&alice, "{b: null}"), 2);
}

/* What is over goes when the store is at rest, and only that. */
static void documents_expire(void **state)
{
	const struct store_scope alice = user_scope("app", "p", "alice");
	const struct store_scope bob = user_scope("app", "p", "bob");
	char later[100];
	open_store();
	make_index(&alice, "{key: {at: 1}, name: 'at', expireAfterSeconds: 60}");
	(void)snprintf(later, sizeof(later), "{_id: 1, at: DATE(%lld)}",
		(long long)clock_unix_ms() + 1000000);
	struct reply r = run(&alice, STORE_INSERT, "c", later, NULL);
	reply_free(&r);
	for (int i = 0; i < 250; i++) {
		char text[100];
		(void)snprintf(text, sizeof(text), "{_id: %d, at: DATE(%d)}", 10 + i, i - 100);
		r = run(i % 2 == 0 ? &alice : &bob, STORE_INSERT, "c", text, NULL);
		assert_int_equal(r.error, STORE_OK);
		reply_free(&r);
	}
	r = run(&alice, STORE_INSERT, "c", "{_id: 2, at: 'never'}", NULL);
	reply_free(&r);
	r = run(&alice, STORE_INSERT, "c", "{_id: 3, at: [DATE(0), 5]}", NULL);
	reply_free(&r);
	r = run(&alice, STORE_INSERT, "c", "{_id: 4}", NULL);
	reply_free(&r);
	close_store();
	/* The first look is at the start. */
	open_store();
	for (int i = 0; i < 1000 && count_where(&alice, "{}") + count_where(&bob, "{}") > 3; i++) {
		(void)usleep(10000);
	}
	assert_int_equal(count_where(&alice, "{}"), 3);
	assert_int_equal(count_where(&alice, "{_id: {$in: [1, 2, 4]}}"), 3);
	assert_int_equal(count_where(&bob, "{}"), 0);
	assert_int_equal(
		ask_file("SELECT count(*) FROM key WHERE rid NOT IN (SELECT rid FROM doc)"), 0);
}

/* A long change that fails is taken back with the keys of what it changed, unique ones too. */
static void keys_are_taken_back(void **state)
{
	const struct store_scope alice = user_scope("app", "p", "alice");
	fx.config.operation_ms = 60000;
	open_store();
	make_index(&alice, "{key: {n: 1, _id: 1}, name: 'u', unique: true}");
	insert_many(&alice, MANY - 10);
	unsigned before = ask_file("SELECT count(*) FROM key");
	expect_error(&alice, STORE_UPDATE, "{n: {$exists: true}}", "{$inc: {n: 1}}",
		STORE_E_INVALID, "n");
	assert_int_equal(count_where(&alice, "{n: 0}"), MANY - 1);
	assert_int_equal(count_where(&alice, "{n: 1}"), 0);
	assert_int_equal(ask_file("SELECT count(*) FROM key"), before);
}

static void other_files_are_refused(void **state)
{
	char path[128];
	execute_sql("CREATE TABLE x (y)");
	expect_refused(-EINVAL, "is a database of another program");
	db_path(path);
	int fd = open(path, O_WRONLY | O_TRUNC);
	assert_true(fd >= 0);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(write(fd, "this is no database at all, but text\n", 37), 37);
	}
	assert_int_equal(close(fd), 0);
	expect_refused(-EIO, "is no database");
	fx.config.state_dir = "/nonexistent/folder";
	expect_refused(-ENOENT, "No such file");
}

/* After a kill the file is checked; a page of zeros is found, and nothing is served from it. */
static void damaged_files_are_refused(void **state)
{
	const struct store_scope alice = user_scope("app", "p", "alice");
	char path[128];
	uint8_t zeros[4096] = { 0 };
	open_store();
	for (int i = 0; i < 300; i++) {
		char text[400];
		(void)snprintf(text, sizeof(text), "{_id: %d, pad: '%0300d'}", i, 0);
		struct reply r = run(&alice, STORE_INSERT, "c", text, NULL);
		assert_int_equal(r.error, STORE_OK);
		reply_free(&r);
	}
	close_store();
	db_path(path);
	int fd = open(path, O_RDWR);
	assert_int_equal(pwrite(fd, zeros, sizeof(zeros), 4096 * 9), sizeof(zeros));
	assert_int_equal(close(fd), 0);
	file_path(path, ".lock");
	fd = open(path, O_WRONLY | O_TRUNC);
	assert_int_equal(write(fd, "open\n", 5), 5);
	assert_int_equal(close(fd), 0);
	expect_refused(-EIO, "is damaged");
	assert_non_null(strstr(fx.why, ".recover"));
	/* It stays refused: refusing is no clean stop. */
	expect_refused(-EIO, "is damaged");
}

static void addresses_choose_the_driver(void **state)
{
	char uri[128];
	static const char *const unknown[] = { "postgres://user:secret@host/db",
		"sqlite:///relative.db", "sqlite:mozaiks.db", "/var/lib/x.db", "mysql",
		"sqlite://" };
	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
		fx.config.uri = unknown[i];
		expect_refused(-EINVAL, "DATABASE_URI");
		assert_null(strstr(fx.why, "secret"));
	}
	(void)snprintf(uri, sizeof(uri), "sqlite:///%s/mozaiks.db", fx.dir);
	fx.config.uri = uri;
	fx.config.state_dir = "/nonexistent";
	open_store();
}

/* --- the layout --- */

static int look_for_sorting(void *arg, int n, char **values, char **names)
{
	if (strstr(values[3], "TEMP B-TREE") != NULL || strstr(values[3], "SCAN") != NULL) {
		(*(unsigned *)arg)++;
	}
	return 0;
}

static int copy_text(void *arg, int n, char **values, char **names)
{
	(void)snprintf(arg, 100, "%s", values[0]);
	return 0;
}

static void every_plan_uses_an_index(void **state)
{
	static const char *const plans[] = {
		"SELECT rid, doc FROM doc WHERE cid = 1 AND id = x'00'",
		"SELECT rid, doc FROM doc INDEXED BY doc_user WHERE cid = 1 AND user = 'a' ORDER BY rid",
		"SELECT rid, doc FROM doc INDEXED BY doc_user WHERE cid = 1 AND user IS NULL ORDER BY rid",
		"SELECT rid, doc FROM doc INDEXED BY doc_user WHERE cid = 1 AND user IN ('a', '')",
		"SELECT rid, doc FROM doc INDEXED BY doc_user WHERE cid = 1",
		"SELECT rid, doc FROM doc INDEXED BY doc_order WHERE cid = 1 AND user = 'a'"
		" AND id >= x'00' AND id < x'ff' ORDER BY id DESC",
		"SELECT rid, doc FROM doc INDEXED BY doc_order WHERE cid = 1 AND user IS NULL"
		" AND id >= x'00' AND id < x'ff' ORDER BY id",
		"SELECT rid, doc FROM doc INDEXED BY doc_id WHERE cid = 1"
		" AND id >= x'00' AND id < x'ff' ORDER BY id DESC",
	};
	unsigned sorting = 0;
	sqlite3 *db = NULL;
	char path[128];
	char mode[100] = "";
	open_store();
	close_store();
	db_path(path);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	for (size_t i = 0; i < sizeof(plans) / sizeof(plans[0]); i++) {
		char sql[300];
		(void)snprintf(sql, sizeof(sql), "EXPLAIN QUERY PLAN %s", plans[i]);
		assert_int_equal(
			sqlite3_exec(db, sql, look_for_sorting, &sorting, NULL), SQLITE_OK);
	}
	assert_int_equal(sorting, 0);
	assert_int_equal(sqlite3_exec(db, "PRAGMA journal_mode", copy_text, mode, NULL), SQLITE_OK);
	assert_string_equal(mode, "wal");
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* The log is moved into the database as it grows, so that it stays small. */
static void the_log_stays_small(void **state)
{
	static struct reply replies[400];
	const struct store_scope alice = user_scope("app", "p", "alice");
	char path[128];
	struct stat st;
	open_store();
	for (int round = 0; round < 10; round++) {
		unsigned left = 400;
		for (int i = 0; i < 400; i++) {
			char text[4000];
			(void)snprintf(text, sizeof(text), "{pad: '%03800d'}", i);
			submit(&alice, STORE_INSERT, "c", text, NULL, &replies[i], &left);
		}
		wait_for(&left);
		for (int i = 0; i < 400; i++) {
			assert_int_equal(replies[i].error, STORE_OK);
			reply_free(&replies[i]);
		}
	}
	file_path(path, "-wal");
	assert_int_equal(stat(path, &st), 0);
	/* 4,000 documents of 4 KiB went through it. */
	assert_in_range(st.st_size, 1, 10 << 20);
}

int main(void)
{
	log_init("test", LOG_ERROR);
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	static const struct CMUnitTest tests[] = {
		TEST(documents_survive_a_restart),
		TEST(nobody_sees_anothers_documents),
		TEST(owners_of_any_shape),
		TEST(a_thousand_at_once),
		TEST(what_was_answered_is_seen),
		TEST(answers_follow_the_sync),
		TEST(a_failed_sync_ends_writing),
		TEST(a_full_disk_passes),
		TEST(tasks_of_a_batch_fail_alone),
		TEST(plugins_take_turns),
		TEST(quotas_of_plugins_and_users),
		TEST(quotas_in_bytes),
		TEST(a_huge_insert_over_the_quota),
		TEST(a_huge_update_lets_others_write),
		TEST(turns_alternate_in_a_very_long_update),
		TEST(a_huge_change_that_fails_is_taken_back),
		TEST(a_huge_insert_lets_others_write),
		TEST(queues_are_bounded),
		TEST(a_queue_is_bounded_in_bytes),
		TEST(collections_are_bounded),
		TEST(what_is_queued_is_finished_before_the_close),
		TEST(one_director_per_file),
		TEST(newer_files_are_refused),
		TEST(older_files_are_taken_over),
		TEST(older_indexes_are_not_trusted),
		TEST(keys_are_charged),
		TEST(a_dropped_index_is_removed_in_pieces),
		TEST(keys_follow_the_documents),
		TEST(documents_expire),
		TEST(keys_are_taken_back),
		TEST(other_files_are_refused),
		TEST(damaged_files_are_refused),
		TEST(addresses_choose_the_driver),
		TEST(every_plan_uses_an_index),
		TEST(the_log_stays_small),
	};
#undef TEST
	return map_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
