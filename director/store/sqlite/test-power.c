/*
 * Power cuts. Whatever SQLite does to its files goes through a layer of this program that keeps a log:
 * writes with their bytes, truncations, syncs, removals, and in between when a command was submitted and
 * when it was answered. For each point in that log the files are then made as a disk may hold them when
 * the power goes there: all that was synced, and of the rest nothing, all, or any part of it, sector by
 * sector. The store has to open them, and the history has to be right (test-history.h).
 *
 * KILL_POINTS: how many points (20).
 */
/* cmocka.h needs what stands before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "common/base/log.h"
#include "common/base/map.h"
#include "common/base/test-folder.h"
#include "director/store/sqlite/test-history.h"

#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	SECTOR = 512,
	WRITES_PER_LIFE = 1500,
	LIVES = 3,
	EVENTS_MAX = 1 << 20,
};

/* --- the log --- */

enum file { DATABASE, LOG_FILE, FILES };

enum event_kind { WRITE, TRUNCATE, SYNC, REMOVE, INVOKED, ACKNOWLEDGED };

struct event {
	enum event_kind kind;
	enum file file;
	uint32_t seq; /* INVOKED, ACKNOWLEDGED */
	size_t at;    /* TRUNCATE: the new size */
	size_t n;
	uint8_t *bytes;
};

static struct event events[EVENTS_MAX];
static size_t n_events;
static bool recording;
static pthread_mutex_t events_lock = PTHREAD_MUTEX_INITIALIZER;

static void record(struct event e, const void *bytes)
{
	(void)pthread_mutex_lock(&events_lock);
	if (recording) {
		if (n_events == EVENTS_MAX) {
			abort();
		}
		if (e.n > 0) {
			e.bytes = malloc(e.n);
			if (e.bytes == NULL) {
				abort();
			}
			memcpy(e.bytes, bytes, e.n);
		}
		events[n_events++] = e;
	}
	(void)pthread_mutex_unlock(&events_lock);
}

/* --- the layer --- */

struct recorded {
	sqlite3_file base;
	enum file file;
	sqlite3_file *real; /* behind this struct */
};

static sqlite3_vfs *real_vfs;

static struct recorded *of(sqlite3_file *f)
{
	return (struct recorded *)(void *)f;
}

static int layer_close(sqlite3_file *f)
{
	return of(f)->real->pMethods->xClose(of(f)->real);
}

static int layer_read(sqlite3_file *f, void *p, int n, sqlite3_int64 at)
{
	return of(f)->real->pMethods->xRead(of(f)->real, p, n, at);
}

static int layer_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at)
{
	record(
		(struct event){
			.kind = WRITE, .file = of(f)->file, .at = (size_t)at, .n = (size_t)n },
		p);
	return of(f)->real->pMethods->xWrite(of(f)->real, p, n, at);
}

static int layer_truncate(sqlite3_file *f, sqlite3_int64 size)
{
	record((struct event){ .kind = TRUNCATE, .file = of(f)->file, .at = (size_t)size }, NULL);
	return of(f)->real->pMethods->xTruncate(of(f)->real, size);
}

static int layer_sync(sqlite3_file *f, int flags)
{
	/* No disk has to wait here: the images are made from the log. Noted when it is done. */
	record((struct event){ .kind = SYNC, .file = of(f)->file }, NULL);
	return SQLITE_OK;
}

static int layer_size(sqlite3_file *f, sqlite3_int64 *size)
{
	return of(f)->real->pMethods->xFileSize(of(f)->real, size);
}

static int layer_lock(sqlite3_file *f, int level)
{
	return of(f)->real->pMethods->xLock(of(f)->real, level);
}

static int layer_unlock(sqlite3_file *f, int level)
{
	return of(f)->real->pMethods->xUnlock(of(f)->real, level);
}

static int layer_reserved(sqlite3_file *f, int *out)
{
	return of(f)->real->pMethods->xCheckReservedLock(of(f)->real, out);
}

static int layer_control(sqlite3_file *f, int op, void *arg)
{
	return of(f)->real->pMethods->xFileControl(of(f)->real, op, arg);
}

static int layer_sector(sqlite3_file *f)
{
	return of(f)->real->pMethods->xSectorSize(of(f)->real);
}

static int layer_device(sqlite3_file *f)
{
	return of(f)->real->pMethods->xDeviceCharacteristics(of(f)->real);
}

static int layer_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **out)
{
	return of(f)->real->pMethods->xShmMap(of(f)->real, page, size, extend, out);
}

static int layer_shm_lock(sqlite3_file *f, int at, int n, int flags)
{
	return of(f)->real->pMethods->xShmLock(of(f)->real, at, n, flags);
}

static void layer_shm_barrier(sqlite3_file *f)
{
	of(f)->real->pMethods->xShmBarrier(of(f)->real);
}

static int layer_shm_unmap(sqlite3_file *f, int remove)
{
	return of(f)->real->pMethods->xShmUnmap(of(f)->real, remove);
}

static const sqlite3_io_methods layer_methods = {
	2, /* with shared memory, without mapped files */
	layer_close,
	layer_read,
	layer_write,
	layer_truncate,
	layer_sync,
	layer_size,
	layer_lock,
	layer_unlock,
	layer_reserved,
	layer_control,
	layer_sector,
	layer_device,
	layer_shm_map,
	layer_shm_lock,
	layer_shm_barrier,
	layer_shm_unmap,
	NULL,
	NULL,
};

static bool is_log(const char *name)
{
	size_t n = name == NULL ? 0 : strlen(name);
	return n > 4 && strcmp(name + n - 4, "-wal") == 0;
}

static int layer_open(
	sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *f, int flags, int *out_flags)
{
	struct recorded *r = of(f);
	*r = (struct recorded){ .file = is_log(name) ? LOG_FILE : DATABASE,
		.real = (sqlite3_file *)(void *)(r + 1) };
	bool ours = (flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL)) != 0;
	int rc = ours ? real_vfs->xOpen(real_vfs, name, r->real, flags, out_flags)
		      : real_vfs->xOpen(real_vfs, name, f, flags, out_flags);
	if (ours && rc == SQLITE_OK) {
		r->base.pMethods = &layer_methods;
	}
	return rc;
}

static int layer_delete(sqlite3_vfs *vfs, const char *name, int sync)
{
	if (is_log(name)) {
		record((struct event){ .kind = REMOVE, .file = LOG_FILE }, NULL);
	}
	return real_vfs->xDelete(real_vfs, name, sync);
}

static void register_layer(void)
{
	static sqlite3_vfs layer;
	real_vfs = sqlite3_vfs_find(NULL);
	layer = *real_vfs;
	layer.zName = "recorded";
	layer.szOsFile = (int)sizeof(struct recorded) + real_vfs->szOsFile;
	layer.xOpen = layer_open;
	layer.xDelete = layer_delete;
	assert_int_equal(sqlite3_vfs_register(&layer, 1), SQLITE_OK);
}

/* --- the load --- */

static void report(void *arg, uint32_t seq, bool acknowledged)
{
	record((struct event){ .kind = acknowledged ? ACKNOWLEDGED : INVOKED, .seq = seq }, NULL);
}

static void on_closed(void *arg)
{
	*(bool *)arg = true;
}

/* Writes from an empty folder on, with clean stops in between. */
static void run_load(const char *dir)
{
	struct load load = { .report = report };
	recording = true;
	for (int life = 0; life < LIVES; life++) {
		uv_loop_t loop;
		bool closed = false;
		assert_int_equal(uv_loop_init(&loop), 0);
		assert_int_equal(load_open(&loop, dir, &load.store), 0);
		load.end += WRITES_PER_LIFE;
		load_start(&load);
		while (load.waiting > 0) {
			(void)uv_run(&loop, UV_RUN_ONCE);
		}
		store_close(load.store, on_closed, &closed);
		while (!closed) {
			(void)uv_run(&loop, UV_RUN_ONCE);
		}
		store_free(load.store);
		(void)uv_run(&loop, UV_RUN_DEFAULT);
		assert_int_equal(uv_loop_close(&loop), 0);
	}
	recording = false;
}

/* --- what a disk holds --- */

struct content {
	uint8_t *p;
	size_t n;
	bool exists;
	size_t cap;
};

/* One file: what is safe, and the log's span that may hold more of it. */
struct image {
	struct content safe;
	struct content removed; /* before it was removed, which may not have reached the disk */
	size_t unsynced;        /* its events from here on */
};

/* How much of what was not synced has reached the disk. */
enum luck { NOTHING, EVERYTHING, ANYTHING };

static uint64_t random_state = 0x2545f4914f6cdd1d;

static uint32_t random_below(uint32_t n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)(random_state >> 11) % n;
}

static void resize(struct content *c, size_t n)
{
	if (n > c->cap) {
		c->cap = n * 2;
		c->p = realloc(c->p, c->cap);
		if (c->p == NULL) {
			abort();
		}
	}
	if (n > c->n) {
		memset(c->p + c->n, 0, n - c->n);
	}
	c->n = n;
}

static void put(struct content *c, size_t at, const uint8_t *p, size_t n)
{
	if (at + n > c->n) {
		resize(c, at + n);
	}
	memcpy(c->p + at, p, n);
}

/* Any sectors of a write. */
static void put_torn(struct content *c, const struct event *e)
{
	for (size_t done = 0; done < e->n;) {
		size_t n = SECTOR - (e->at + done) % SECTOR;
		n = n > e->n - done ? e->n - done : n;
		if (random_below(2) == 0) {
			put(c, e->at + done, e->bytes + done, n);
		}
		done += n;
	}
}

static void apply(struct content *c, const struct event *e, bool torn)
{
	c->exists = true;
	if (e->kind == TRUNCATE) {
		resize(c, e->at < c->n ? e->at : c->n);
	} else if (torn) {
		put_torn(c, e);
	} else {
		put(c, e->at, e->bytes, e->n);
	}
}

static bool changes_file(const struct event *e, enum file file)
{
	return e->file == file && (e->kind == WRITE || e->kind == TRUNCATE);
}

/* The file's events of the span, as far as luck has it. */
static void apply_span(struct content *c, enum file file, size_t from, size_t to, enum luck luck)
{
	for (size_t i = from; i < to; i++) {
		uint32_t chance = luck == ANYTHING ? random_below(4) : 0;
		if (changes_file(&events[i], file) && chance < 3) {
			apply(c, &events[i], chance == 2);
		}
	}
}

static void on_event(struct image *image, enum file file, size_t i)
{
	const struct event *e = &events[i];
	if (e->file != file) {
		return;
	}
	if (e->kind == SYNC) {
		apply_span(&image->safe, file, image->unsynced, i, EVERYTHING);
		image->unsynced = i;
		image->safe.exists = true;
		free(image->removed.p);
		image->removed = (struct content){ 0 };
	} else if (e->kind == REMOVE) {
		apply_span(&image->safe, file, image->unsynced, i, EVERYTHING);
		image->unsynced = i;
		free(image->removed.p);
		image->removed = image->safe;
		image->safe = (struct content){ 0 };
	}
}

static void write_file(const char *dir, const char *name, const struct content *c)
{
	char path[128];
	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	for (size_t done = 0; done < c->n;) {
		ssize_t n = write(fd, c->p + done, c->n - done);
		assert_true(n > 0);
		done += (size_t)n;
	}
	assert_int_equal(close(fd), 0);
}

/* The disk after a cut before event `cut`. */
static void write_images(const char *dir, size_t cut, enum luck luck)
{
	static const char *const names[FILES] = { "mozaiks.db", "mozaiks.db-wal" };
	for (enum file file = DATABASE; file < FILES; file++) {
		struct image image = { 0 };
		for (size_t i = 0; i < cut; i++) {
			on_event(&image, file, i);
		}
		struct content *c = &image.safe;
		bool returns = image.removed.exists &&
			(luck == NOTHING || (luck == ANYTHING && random_below(2) == 0));
		if (returns) {
			c = &image.removed;
		} else if (luck != NOTHING) {
			apply_span(c, file, image.unsynced, cut, luck);
		}
		if (c->exists) {
			write_file(dir, names[file], c);
		}
		free(image.safe.p);
		free(image.removed.p);
	}
	/* Held by the director that the power was cut for. */
	write_file(dir, "mozaiks.db.lock",
		&(struct content){ (uint8_t[]){ 'o', 'p', 'e', 'n', ' ', '1', '\n' }, 7, true });
}

/* --- the test --- */

static struct history history;

static void cut_at(size_t cut, enum luck luck)
{
	char dir[TEST_FOLDER_BYTES];
	assert_int_equal(test_folder_make(dir, "test-power"), 0);
	history_clear(&history);
	for (size_t i = 0; i < cut; i++) {
		if (events[i].kind == INVOKED || events[i].kind == ACKNOWLEDGED) {
			history_note(&history, events[i].seq, events[i].kind == ACKNOWLEDGED);
		}
	}
	write_images(dir, cut, luck);
	history_check(&history, dir, 0);
	assert_int_equal(test_folder_remove(dir), 0);
}

/* Anywhere, or where it hurts: just before or after a sync. */
static size_t choose_cut(unsigned i)
{
	size_t at = 1 + random_below((uint32_t)n_events);
	if (i % 2 == 0) {
		while (at < n_events && events[at].kind != SYNC) {
			at++;
		}
		at += at < n_events ? i / 2 % 2 : 0;
	}
	return at;
}

static void a_power_cut_loses_nothing_acknowledged(void **state)
{
	const char *wanted = getenv("KILL_POINTS");
	unsigned points = wanted == NULL ? 20 : (unsigned)strtoul(wanted, NULL, 10);
	char dir[TEST_FOLDER_BYTES];
	unsigned kinds[ACKNOWLEDGED + 1] = { 0 };
	unsigned checkpoints = 0;
	assert_int_equal(test_folder_make(dir, "test-power"), 0);
	register_layer();
	run_load(dir);
	assert_int_equal(test_folder_remove(dir), 0);
	for (size_t i = 0; i < n_events; i++) {
		kinds[events[i].kind]++;
		checkpoints += events[i].kind == SYNC && events[i].file == DATABASE ? 1 : 0;
	}
	/* The log has everything in it that can go wrong. */
	assert_int_equal(kinds[ACKNOWLEDGED], LIVES * WRITES_PER_LIFE);
	assert_true(kinds[SYNC] > 100 && kinds[WRITE] > 1000 && kinds[REMOVE] > 0);
	assert_true(checkpoints > LIVES);
	for (unsigned i = 0; i < points; i++) {
		cut_at(choose_cut(i), (enum luck)(i % 3));
	}
	cut_at(n_events, NOTHING);
	assert_true(history.changes_found > 0);
	(void)printf("%u cuts in %zu events\n", points + 1, n_events);
}

int main(void)
{
	static const struct CMUnitTest tests[] = { cmocka_unit_test(
		a_power_cut_loses_nothing_acknowledged) };
	log_init("test", LOG_ERROR);
	history_init(&history);
	int r = map_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
	history_deinit(&history);
	for (size_t i = 0; i < n_events; i++) {
		free(events[i].bytes);
	}
	return r;
}
