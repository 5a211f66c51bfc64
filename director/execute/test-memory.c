/* The director's own memory: what its limit is, and when it is short. */
/* cmocka.h needs what stands before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "common/base/test-folder.h"
#include "director/execute/memory.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[TEST_FOLDER_BYTES];

static int setup(void **state)
{
	return test_folder_make(folder, "mozaiks-memory");
}

static int teardown(void **state)
{
	return test_folder_remove(folder);
}

static const char *path_of(const char *name)
{
	static char path[2][200];
	static unsigned turn;
	char *p = path[turn++ % 2];
	(void)snprintf(p, sizeof(path[0]), "%s/%s", folder, name);
	return p;
}

static void put(const char *name, const char *text)
{
	FILE *f = fopen(path_of(name), "w");
	assert_non_null(f);
	(void)fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static void the_limit_is_the_cgroup_s(void **state)
{
	assert_int_equal(mkdir(path_of("unit"), 0700), 0);
	assert_int_equal(mkdir(path_of("memory"), 0700), 0);
	assert_int_equal(mkdir(path_of("memory/unit"), 0700), 0);
	put("v2", "0::/unit\n");
	put("v1", "9:cpu:/other\n4:memory:/unit\n0::/absent\n");
	put("neither", "9:cpu:/unit\nno line\n:\n");
	assert_int_equal(memory_cgroup_limit(path_of("v2"), folder), 0);
	put("unit/memory.max", "2000000\n");
	assert_int_equal(memory_cgroup_limit(path_of("v2"), folder), 2000000);
	put("unit/memory.high", "max\n");
	assert_int_equal(memory_cgroup_limit(path_of("v2"), folder), 2000000);
	put("unit/memory.high", "1000000\n");
	assert_int_equal(memory_cgroup_limit(path_of("v2"), folder), 1000000);
	put("memory/unit/memory.limit_in_bytes", "9223372036854771712\n");
	assert_int_equal(memory_cgroup_limit(path_of("v1"), folder), 0);
	put("memory/unit/memory.limit_in_bytes", "3000000\n");
	assert_int_equal(memory_cgroup_limit(path_of("v1"), folder), 3000000);
	assert_int_equal(memory_cgroup_limit(path_of("neither"), folder), 0);
	assert_int_equal(memory_cgroup_limit(path_of("absent"), folder), 0);
}

static void four_fifths_in_use_are_short(void **state)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	struct memory_watch m = { .high = 100 * page };
	put("statm", "5000 100 20 1 0 1 0\n");
	m.statm = open(path_of("statm"), O_RDONLY | O_CLOEXEC);
	assert_true(m.statm >= 0);
	assert_false(memory_is_short(&m, 1));
	assert_int_equal(m.used, 80 * page);
	/* A reading holds for a while. */
	put("statm", "5000 101 20 1 0 1 0\n");
	assert_false(memory_is_short(&m, 1 + MEMORY_CHECK_MS - 1));
	assert_true(memory_is_short(&m, 1 + MEMORY_CHECK_MS));
	put("statm", "what is this\n");
	assert_false(memory_is_short(&m, 1 + 2 * MEMORY_CHECK_MS));
	memory_watch_close(&m);
	assert_int_equal(m.statm, -1);
}

static void our_own_is_read(void **state)
{
	struct memory_watch m;
	assert_int_equal(memory_watch_open(&m, 1), 0);
	assert_true(memory_is_short(&m, 0));
	assert_true(m.used > 0);
	memory_watch_close(&m);
	assert_int_equal(memory_watch_open(&m, UINT64_C(1) << 50), 0);
	assert_false(memory_is_short(&m, 0));
	memory_watch_close(&m);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_limit_is_the_cgroup_s, setup, teardown),
		cmocka_unit_test_setup_teardown(four_fifths_in_use_are_short, setup, teardown),
		cmocka_unit_test(our_own_is_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
