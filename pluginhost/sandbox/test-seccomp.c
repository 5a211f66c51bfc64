/*
 * The golden test of the filters: the compiled programs are interpreted and compared with the table,
 * for every number of three architectures and for every argument on which a row depends. libseccomp
 * drops rules without a word (seccomp.h), so the table alone proves nothing.
 */
#include "pluginhost/sandbox/seccomp.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

enum { NUMBERS = 1024, STEPS_MAX = 4096, X32_BIT = 0x40000000 };

/* ---- An interpreter for the part of classic BPF that seccomp allows ---- */

static uint32_t load_word(const struct seccomp_data *data, uint32_t offset)
{
	uint32_t word;
	assert_true(offset % 4 == 0 && offset + 4 <= sizeof(*data));
	memcpy(&word, (const uint8_t *)data + offset, sizeof(word));
	return word;
}

static uint32_t interpret(const struct filter_program *p, const struct seccomp_data *data)
{
	uint32_t a = 0;
	size_t pc = 0;
	for (int step = 0; step < STEPS_MAX; step++) {
		assert_true(pc < p->n);
		const struct sock_filter *i = &p->instructions[pc++];
		bool taken;
		switch (i->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			a = load_word(data, i->k);
			continue;
		case BPF_ALU | BPF_AND | BPF_K:
			a &= i->k;
			continue;
		case BPF_RET | BPF_K:
			return i->k;
		case BPF_JMP | BPF_JA:
			pc += i->k;
			continue;
		case BPF_JMP | BPF_JEQ | BPF_K:
			taken = a == i->k;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			taken = a >= i->k;
			break;
		case BPF_JMP | BPF_JGT | BPF_K:
			taken = a > i->k;
			break;
		case BPF_JMP | BPF_JSET | BPF_K:
			taken = (a & i->k) != 0;
			break;
		default:
			fail_msg("instruction %#x is not known", i->code);
			return 0;
		}
		pc += taken ? i->jt : i->jf;
	}
	fail_msg("the program does not end");
	return 0;
}

/* ---- The table, read directly ---- */

static bool holds(const struct filter_condition *c, const uint64_t args[6])
{
	switch (c->compare) {
	case COMPARE_NONE:
		return true;
	case COMPARE_EQ:
		return args[c->argument] == c->value;
	case COMPARE_NE:
		return args[c->argument] != c->value;
	case COMPARE_MASKED:
		return (args[c->argument] & c->mask) == c->value;
	}
	return false;
}

static bool row_holds(const struct filter_row *row, const uint64_t args[6])
{
	for (size_t i = 0; i < FILTER_CONDITIONS; i++) {
		if (!holds(&row->when[i], args)) {
			return false;
		}
	}
	return true;
}

struct resolved {
	const struct filter_row *row;
	int nr;
};

static struct resolved rows[1024];

static uint32_t expected(enum filter_id filter, int nr, const uint64_t args[6])
{
	const struct filter_row *found = NULL;
	for (size_t i = 0; i < filter_table_size; i++) {
		const struct filter_row *row = rows[i].row;
		if (rows[i].nr != nr || (row->filters & 1U << filter) == 0 ||
			!row_holds(row, args)) {
			continue;
		}
		if (found != NULL && found->action != row->action) {
			fail_msg("%s: two rows of %s disagree", row->name, filter_name(filter));
		}
		found = row;
	}
	return found == NULL ? filter_default_action : found->action;
}

/* ---- Comparing ---- */

static unsigned long compared;

static void compare(
	enum filter_id filter, const struct filter_program *p, int nr, const uint64_t args[6])
{
	struct seccomp_data data = { .nr = nr, .arch = AUDIT_ARCH_X86_64 };
	for (int i = 0; i < 6; i++) {
		data.args[i] = args[i];
	}
	uint32_t is = interpret(p, &data);
	uint32_t should = expected(filter, nr, args);
	compared++;
	if (is != should) {
		fail_msg("filter %s, call %d (%#lx %#lx %#lx %#lx): %#x instead of %#x",
			filter_name(filter), nr, (unsigned long)args[0], (unsigned long)args[1],
			(unsigned long)args[2], (unsigned long)args[3], is, should);
	}
}

/* Values of one argument that matter: what the rows of the call compare with, its neighbours, and
 * the same with garbage in the upper half. */
static size_t interesting(int nr, unsigned argument, uint64_t out[], size_t max)
{
	static const uint64_t always[] = { 0, 1, UINT32_MAX, UINT64_MAX, 1ULL << 32 };
	size_t n = 0;
	for (size_t i = 0; i < sizeof(always) / sizeof(always[0]); i++) {
		out[n++] = always[i];
	}
	for (size_t i = 0; i < filter_table_size; i++) {
		for (size_t j = 0; rows[i].nr == nr && j < FILTER_CONDITIONS; j++) {
			const struct filter_condition *c = &rows[i].row->when[j];
			if (c->compare == COMPARE_NONE || c->argument != argument) {
				continue;
			}
			const uint64_t values[] = { c->value, c->value ^ 1, c->value | 1ULL << 40,
				c->value | ~c->mask, c->value ^ c->mask, c->value + 1 };
			for (size_t k = 0; k < sizeof(values) / sizeof(values[0]); k++) {
				assert_true(n < max);
				out[n++] = values[k];
			}
		}
	}
	return n;
}

enum { INTERESTING_MAX = 128 };

static uint64_t values[6][INTERESTING_MAX];

static void compare_all_arguments(enum filter_id filter, const struct filter_program *p, int nr)
{
	size_t n[6];
	for (unsigned a = 0; a < 6; a++) {
		n[a] = interesting(nr, a, values[a], INTERESTING_MAX);
	}
	/* Every pair of arguments, the others 0: no row has three conditions, and those with two
	 * meet in one of the pairs. */
	for (unsigned a = 0; a < 6; a++) {
		for (unsigned b = a + 1; b < 6; b++) {
			for (size_t i = 0; i < n[a] * n[b]; i++) {
				uint64_t args[6] = { 0 };
				args[a] = values[a][i / n[b]];
				args[b] = values[b][i % n[b]];
				compare(filter, p, nr, args);
			}
		}
	}
}

static void compile(enum filter_id filter, struct filter_program *p)
{
	assert_int_equal(filter_compile(filter, p), 0);
	assert_true(p->n > 100);
}

static int set_up(void **state)
{
	assert_true(filter_table_size <= sizeof(rows) / sizeof(rows[0]));
	for (size_t i = 0; i < filter_table_size; i++) {
		rows[i].row = &filter_table[i];
		rows[i].nr = seccomp_syscall_resolve_name(filter_table[i].name);
	}
	return 0;
}

static void every_number_and_argument(void **state)
{
	for (enum filter_id f = 0; f < FILTERS; f++) {
		struct filter_program p;
		compile(f, &p);
		for (int nr = 0; nr < NUMBERS; nr++) {
			compare_all_arguments(f, &p, nr);
		}
		filter_program_free(&p);
	}
	assert_true(compared > 100000);
}

/* Another architecture, or the x32 numbers of this one: always killed. */
static void foreign_architectures(void **state)
{
	for (enum filter_id f = 0; f < FILTERS; f++) {
		struct filter_program p;
		compile(f, &p);
		for (int nr = 0; nr < NUMBERS; nr++) {
			struct seccomp_data i386 = { .nr = nr, .arch = AUDIT_ARCH_I386 };
			struct seccomp_data x32 = { .nr = X32_BIT + nr, .arch = AUDIT_ARCH_X86_64 };
			struct seccomp_data arm = { .nr = nr, .arch = AUDIT_ARCH_AARCH64 };
			assert_int_equal(interpret(&p, &i386), SECCOMP_RET_KILL_PROCESS);
			assert_int_equal(interpret(&p, &x32), SECCOMP_RET_KILL_PROCESS);
			assert_int_equal(interpret(&p, &arm), SECCOMP_RET_KILL_PROCESS);
		}
		filter_program_free(&p);
	}
}

/* The table itself, against the promises that matter most: written down a second time. */
static void promises(void **state)
{
	static const struct {
		long nr;
		uint64_t args[6];
		uint32_t action;
	} cases[] = {
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
			struct seccomp_data data = { .nr = (int)cases[i].nr,
				.arch = AUDIT_ARCH_X86_64 };
			for (int a = 0; a < 6; a++) {
				data.args[a] = cases[i].args[a];
			}
			uint32_t is = interpret(&p, &data);
			/* The last filter has no files at all. */
			bool no_files = f == FILTER_NATIVE_NOFS && cases[i].nr == SYS_chmod;
			if (is != (no_files ? filter_default_action : cases[i].action)) {
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
		cmocka_unit_test(foreign_architectures),
		cmocka_unit_test(promises),
		cmocka_unit_test(stages),
	};
	return cmocka_run_group_tests(tests, set_up, NULL);
}
