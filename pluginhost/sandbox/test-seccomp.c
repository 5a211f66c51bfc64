/*
 * The filters of workers: the golden test of each column, and the promises that matter most.
 */
#include "common/confine/test-golden.h"
#include "pluginhost/sandbox/seccomp.h"

#include <errno.h>
#include <sys/syscall.h>

static void compile(enum filter_id filter, struct filter_program *p)
{
	assert_int_equal(filter_compile(filter, p), 0);
}

static int set_up(void **state)
{
	golden_begin(&worker_policy);
	return 0;
}

static void every_number_and_argument(void **state)
{
	for (enum filter_id f = 0; f < FILTERS; f++) {
		golden_check(1U << f);
	}
}

/* The table itself, against the promises that matter most: written down a second time. */
static void promises(void **state)
{
	static const struct golden_case cases[] = {
		{ SYS_execve, { 0 }, SECCOMP_RET_ERRNO | EACCES },
		{ SYS_execveat, { 0 }, SECCOMP_RET_ERRNO | EACCES },
		{ SYS_fork, { 0 }, SECCOMP_RET_ERRNO | EPERM },
		{ SYS_clone, { 17 }, SECCOMP_RET_ERRNO | EPERM },
		{ SYS_clone, { 0x10000000 | 17 }, SECCOMP_RET_KILL_PROCESS },
		{ SYS_clone, { 0x3d0f00 }, SECCOMP_RET_ALLOW },
		{ SYS_clone, { 0x3d0f00 | 0x00020000 }, SECCOMP_RET_KILL_PROCESS },
		{ SYS_clone3, { 0 }, SECCOMP_RET_ERRNO | ENOSYS },
		{ SYS_socket, { 2, 1 }, SECCOMP_RET_ERRNO | EACCES },
		{ SYS_connect, { 3 }, SECCOMP_RET_ERRNO | EACCES },
		{ SYS_sendmsg, { 3 }, SECCOMP_RET_ERRNO | EACCES },
		{ SYS_ptrace, { 0 }, SECCOMP_RET_KILL_PROCESS },
		{ SYS_unshare, { 0 }, SECCOMP_RET_KILL_PROCESS },
		{ SYS_mount, { 0 }, SECCOMP_RET_KILL_PROCESS },
		{ SYS_bpf, { 0 }, SECCOMP_RET_KILL_PROCESS },
		{ SYS_io_uring_setup, { 0 }, SECCOMP_RET_ERRNO | ENOSYS },
		{ SYS_memfd_create, { 0 }, SECCOMP_RET_ERRNO | ENOSYS },
		{ SYS_ioctl, { 0, 0x5412 }, SECCOMP_RET_KILL_PROCESS },
		{ SYS_ioctl, { 0, 0x100005412 }, SECCOMP_RET_KILL_PROCESS },
		{ SYS_ioctl, { 0, 0x541c }, SECCOMP_RET_KILL_PROCESS },
		{ SYS_fcntl, { 0, 6 }, SECCOMP_RET_ERRNO | ENOSYS },
		{ SYS_flock, { 0, 2 }, SECCOMP_RET_ERRNO | ENOSYS },
		{ SYS_kill, { 1, 9 }, SECCOMP_RET_ALLOW },
		{ SYS_kill, { UINT64_MAX, 9 }, SECCOMP_RET_ERRNO | EPERM },
		{ SYS_kill, { 0, 9 }, SECCOMP_RET_ERRNO | EPERM },
		{ SYS_mmap, { 0, 4096, 7, 0x22 }, SECCOMP_RET_ERRNO | EACCES },
		{ SYS_mmap, { 0, 4096, 5, 0x22 }, SECCOMP_RET_ERRNO | EACCES },
		{ SYS_mprotect, { 0, 4096, 5 }, SECCOMP_RET_ERRNO | EACCES },
		{ SYS_prctl, { 22 }, SECCOMP_RET_ERRNO | ENOSYS },
		{ SYS_prctl, { 4, 1 }, SECCOMP_RET_ERRNO | ENOSYS },
		{ SYS_prlimit64, { 0, 7, 1 }, SECCOMP_RET_ERRNO | EPERM },
		{ SYS_chmod, { 0, 04755 }, SECCOMP_RET_ERRNO | EPERM },
		{ 999, { 0 }, SECCOMP_RET_ERRNO | ENOSYS },
	};
	for (enum filter_id f = 0; f < FILTERS; f++) {
		struct filter_program p;
		compile(f, &p);
		for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			uint32_t is = golden_answer(&p, &cases[i]);
			/* The last filter has no files at all. */
			bool no_files = f == FILTER_NATIVE_NOFS && cases[i].nr == SYS_chmod;
			if (is != (no_files ? worker_policy.default_action : cases[i].action)) {
				fail_msg("filter %s, case %zu: %#x", filter_name(f), i, is);
			}
		}
		filter_program_free(&p);
	}
}

/* Executable file mappings and the second stage: only where loading needs them. */
static void stages(void **state)
{
	const struct seccomp_data map = {
		.nr = SYS_mmap, .arch = AUDIT_ARCH_X86_64, .args = { 0, 4096, 5, 2, 3, 0 }
	};
	const struct seccomp_data stage = {
		.nr = SYS_seccomp, .arch = AUDIT_ARCH_X86_64, .args = { 1, 1 }
	};
	const struct seccomp_data open_file = { .nr = SYS_openat, .arch = AUDIT_ARCH_X86_64 };
	static const struct {
		enum filter_id filter;
		uint32_t map;
		uint32_t stage;
		uint32_t open_file;
	} table[] = {
		{ FILTER_PYTHON, SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO | ENOSYS, SECCOMP_RET_ALLOW },
		{ FILTER_NATIVE_LOAD, SECCOMP_RET_ALLOW, SECCOMP_RET_ALLOW, SECCOMP_RET_ALLOW },
		{ FILTER_NATIVE, SECCOMP_RET_ERRNO | EACCES, SECCOMP_RET_ERRNO | ENOSYS,
			SECCOMP_RET_ALLOW },
		{ FILTER_NATIVE_NOFS, SECCOMP_RET_ERRNO | EACCES, SECCOMP_RET_ERRNO | ENOSYS,
			SECCOMP_RET_ERRNO | ENOSYS },
	};
	for (size_t i = 0; i < FILTERS; i++) {
		struct filter_program p;
		compile(table[i].filter, &p);
		assert_int_equal(interpret(&p, &map), table[i].map);
		assert_int_equal(interpret(&p, &stage), table[i].stage);
		assert_int_equal(interpret(&p, &open_file), table[i].open_file);
		filter_program_free(&p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_number_and_argument),
		cmocka_unit_test(promises),
		cmocka_unit_test(stages),
	};
	return cmocka_run_group_tests(tests, set_up, NULL);
}
