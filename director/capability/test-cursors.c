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
	struct cursors *cs = cursors_new();
	struct slice batch;
	bool more;
	int64_t id = cursors_open(cs, 7, slice_of(p, 6000), 0);
	free(p);
	assert_true(id > 0);
	assert_false(cursors_next(cs, 8, (uint32_t)id, 100000, 1, &batch, &more));
	assert_false(cursors_next(cs, 7, (uint32_t)id + 1, 100000, 1, &batch, &more));
	assert_true(cursors_next(cs, 7, (uint32_t)id, 100000, 1, &batch, &more));
	assert_int_equal(batch.n, 5000);
	assert_true(more);
	assert_true(cursors_next(cs, 7, (uint32_t)id, 100000, 1, &batch, &more));
	assert_int_equal(batch.n, 1000);
	assert_false(more);
	assert_false(cursors_next(cs, 7, (uint32_t)id, 100000, 1, &batch, &more));
	cursors_free(cs);
}

static void cursors_are_bounded_and_expire(void **state)
{
	uint8_t *p = row(1, 10);
	struct cursors *cs = cursors_new();
	for (int i = 0; i < CURSORS_PER_CALL; i++) {
		assert_true(cursors_open(cs, 1, slice_of(p, 10), 0) > 0);
	}
	assert_int_equal(cursors_open(cs, 1, slice_of(p, 10), 0), 0);
	assert_true(cursors_close(cs, 1, 1));
	assert_false(cursors_close(cs, 1, 1));
	assert_true(cursors_open(cs, 1, slice_of(p, 10), 0) > 0);
	for (uint64_t call = 2; call < 2 + CURSORS_PER_WORKER - CURSORS_PER_CALL; call++) {
		assert_true(cursors_open(cs, call, slice_of(p, 10), 0) > 0);
	}
	assert_int_equal(cursors_open(cs, 9999, slice_of(p, 10), CURSOR_IDLE_MS), 0);
	assert_true(cursors_open(cs, 9999, slice_of(p, 10), CURSOR_IDLE_MS + 1) > 0);
	cursors_free(cs);
	free(p);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(batches_keep_both_limits),
		cmocka_unit_test(a_cursor_is_its_calls_own),
		cmocka_unit_test(cursors_are_bounded_and_expire),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
