/* What a killed director leaves of its workers. */
/* cmocka.h needs what stands before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "common/base/log.h"
#include "common/base/test-folder.h"
#include "director/hosts/folders.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[TEST_FOLDER_BYTES];

static const char *path_of(const char *name)
{
	static char path[200];
	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

static void make(const char *name)
{
	assert_int_equal(mkdir(path_of(name), 0700), 0);
}

static void put(const char *name)
{
	int fd = open(path_of(name), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	(void)close(fd);
}

static int setup(void **state)
{
	log_init("test", LOG_ERROR);
	return test_folder_make(folder, "mozaiks-folders");
}

static int teardown(void **state)
{
	return test_folder_remove(folder);
}

static void leftovers_go(void **state)
{
	assert_int_equal(folders_clear(folder), 0);
	make("workers");
	make("workers/1");
	put("workers/1/channel.sock");
	make("workers/20");
	assert_int_equal(folders_clear(folder), 0);
	assert_int_equal(access(path_of("workers/1"), F_OK), -1);
	assert_int_equal(access(path_of("workers/20"), F_OK), -1);
	assert_int_equal(access(path_of("workers"), F_OK), 0);
}

/* What is in the way is not numbered over, and what is not ours stays. */
static void ids_go_on_behind_what_stays(void **state)
{
	make("workers");
	make("workers/7");
	put("workers/7/something");
	make("workers/3");
	make("workers/9x");
	make("workers/012");
	make("workers/99999999999999999999999");
	assert_int_equal(folders_clear(folder), 7);
	assert_int_equal(access(path_of("workers/3"), F_OK), -1);
	assert_int_equal(access(path_of("workers/7/something"), F_OK), 0);
	assert_int_equal(access(path_of("workers/9x"), F_OK), 0);
	assert_int_equal(access(path_of("workers/012"), F_OK), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(leftovers_go, setup, teardown),
		cmocka_unit_test_setup_teardown(ids_go_on_behind_what_stays, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
