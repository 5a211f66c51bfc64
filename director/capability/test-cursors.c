/* Cursors: batches by count and size, one owner, bounded. */
/* cmocka.h needs what stands before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "common/proto/frame.h"
#include "director/capability/cursors.h"

#include <stdlib.h>

enum { PER_REQUEST = 8, PER_WORKER = 128, IDLE_MS = 60000 };

static struct cursors *new_cursors(size_t bytes)
{
	struct cursors_limits limits = {
		.bytes = bytes,
		.per_request = PER_REQUEST,
		.per_worker = PER_WORKER,
		.idle_ms = IDLE_MS,
	};
	return cursors_new(&limits);
}

/* `n` empty documents padded to `size` bytes in a row. */
static uint8_t *row(size_t n, size_t size)
{
	uint8_t *p = calloc(n, size);
	for (size_t i = 0; i < n; i++) {
		put_u32(p + i * size, (uint32_t)size);
	}
	return p;
}

static void batches_keep_both_limits(void **state)
{
	uint8_t *p = row(1200, 10);
	struct slice rest = slice_of(p, 12000);
	assert_int_equal(cursors_batch(&rest, 1000000).n, 5000);
	assert_int_equal(cursors_batch(&rest, 105).n, 100);
	assert_int_equal(cursors_batch(&rest, 1).n, 10);
	assert_int_equal(rest.n, 12000 - 5110);
	free(p);
}

static void a_cursor_is_its_calls_own(void **state)
{
	uint8_t *p = row(600, 10);
	struct cursors *cs = new_cursors(10000);
	struct slice batch;
	bool more;
	uint32_t id = 0;
	assert_int_equal(cursors_open(cs, 7, p, slice_of(p, 6000), 0, &id), 0);
	assert_true(id > 0);
	assert_false(cursors_next(cs, 8, id, 100000, 1, &batch, &more));
	assert_false(cursors_next(cs, 7, id + 1, 100000, 1, &batch, &more));
	assert_true(cursors_next(cs, 7, id, 100000, 1, &batch, &more));
	assert_int_equal(batch.n, 5000);
	assert_true(more);
	assert_true(cursors_next(cs, 7, id, 100000, 1, &batch, &more));
	assert_int_equal(batch.n, 1000);
	assert_false(more);
	assert_false(cursors_next(cs, 7, id, 100000, 1, &batch, &more));
	cursors_free(cs);
}

/* A cursor on one small document. */
static int open_small(struct cursors *cs, uint64_t call, uint64_t now_ms)
{
	uint32_t id = 0;
	uint8_t *p = row(1, 10);
	int r = cursors_open(cs, call, p, slice_of(p, 10), now_ms, &id);
	if (r != 0) {
		free(p);
	}
	assert_true((r == 0) == (id > 0));
	return r;
}

static void cursors_are_bounded_and_expire(void **state)
{
	struct cursors *cs = new_cursors(10000);
	for (int i = 0; i < PER_REQUEST; i++) {
		assert_int_equal(open_small(cs, 1, 0), 0);
	}
	assert_int_equal(open_small(cs, 1, 0), CURSORS_E_REQUEST_COUNT);
	assert_true(cursors_close(cs, 1, 1));
	assert_false(cursors_close(cs, 1, 1));
	assert_int_equal(open_small(cs, 1, 0), 0);
	for (uint64_t call = 2; call < 2 + PER_WORKER - PER_REQUEST; call++) {
		assert_int_equal(open_small(cs, call, 0), 0);
	}
	assert_int_equal(open_small(cs, 9999, IDLE_MS), CURSORS_E_WORKER_COUNT);
	assert_int_equal(open_small(cs, 9999, IDLE_MS + 1), 0);
	cursors_free(cs);
}

/* What is kept is bounded in bytes: the whole result counts until the cursor is gone. */
static void bytes_are_bounded(void **state)
{
	struct cursors *cs = new_cursors(10000);
	struct slice batch;
	uint32_t id = 0;
	uint32_t none = 0;
	bool more;
	uint8_t *p = row(900, 10);
	uint8_t *q = row(200, 10);
	assert_int_equal(cursors_open(cs, 1, p, slice_of(p + 1000, 8000), 0, &id), 0);
	assert_int_equal(cursors_open(cs, 1, q, slice_of(q, 2000), 0, &none), CURSORS_E_BYTES);
	assert_int_equal(none, 0);
	assert_true(cursors_next(cs, 1, id, 100000, 0, &batch, &more));
	assert_true(more);
	assert_int_equal(cursors_open(cs, 2, q, slice_of(q, 2000), 0, &none), CURSORS_E_BYTES);
	assert_true(cursors_next(cs, 1, id, 100000, 0, &batch, &more));
	assert_false(more);
	assert_int_equal(batch.n, 3000);
	assert_int_equal(cursors_open(cs, 2, q, slice_of(q, 2000), 0, &none), 0);
	cursors_free(cs);
}

static void cursors_end_with_their_call(void **state)
{
	struct cursors *cs = new_cursors(30);
	assert_int_equal(open_small(cs, 1, 0), 0);
	assert_int_equal(open_small(cs, 2, 0), 0);
	assert_int_equal(open_small(cs, 1, 0), 0);
	assert_int_equal(open_small(cs, 3, 0), CURSORS_E_BYTES);
	cursors_end_work(cs, 1);
	assert_false(cursors_close(cs, 1, 1));
	assert_false(cursors_close(cs, 1, 3));
	assert_int_equal(open_small(cs, 3, 0), 0);
	assert_true(cursors_close(cs, 2, 2));
	cursors_free(cs);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(batches_keep_both_limits),
		cmocka_unit_test(a_cursor_is_its_calls_own),
		cmocka_unit_test(cursors_are_bounded_and_expire),
		cmocka_unit_test(bytes_are_bounded),
		cmocka_unit_test(cursors_end_with_their_call),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
