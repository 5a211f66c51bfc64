/*
 * The golden test of a filter policy, for the unit tests: compiled programs are interpreted and
 * compared with the rows, for every number of three architectures and for every argument on which a
 * row depends. libseccomp drops rules without a word (filter.h), so the table alone proves nothing.
 *
 * golden_begin() names the policy; golden_check() compares one column of it.
 */
#pragma once

#include "common/confine/filter.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
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

static inline uint32_t interpret(const struct filter_program *p, const struct seccomp_data *data)
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

static const struct filter_policy *golden_policy;
static int numbers[1024]; /* of the rows' calls */

static inline void golden_begin(const struct filter_policy *p)
{
	assert_true(p->n <= sizeof(numbers) / sizeof(numbers[0]));
	golden_policy = p;
	for (size_t i = 0; i < p->n; i++) {
		numbers[i] = seccomp_syscall_resolve_name(p->rows[i].name);
	}
}

static uint32_t expected(unsigned column, int nr, const uint64_t args[6])
{
	const struct filter_row *found = NULL;
	for (size_t i = 0; i < golden_policy->n; i++) {
		const struct filter_row *row = &golden_policy->rows[i];
		if (numbers[i] != nr || (row->columns & column) == 0 || !row_holds(row, args)) {
			continue;
		}
		if (found != NULL && found->action != row->action) {
			fail_msg("%s: two rows of column %#x disagree", row->name, column);
		}
		found = row;
	}
	return found == NULL ? golden_policy->default_action : found->action;
}

/* ---- Comparing ---- */

static unsigned long compared;

static void compare(unsigned column, const struct filter_program *p, int nr, const uint64_t args[6])
{
	struct seccomp_data data = { .nr = nr, .arch = AUDIT_ARCH_X86_64 };
	for (int i = 0; i < 6; i++) {
		data.args[i] = args[i];
	}
	uint32_t is = interpret(p, &data);
	uint32_t should = expected(column, nr, args);
	compared++;
	if (is != should) {
		fail_msg("column %#x, call %d (%#lx %#lx %#lx %#lx): %#x instead of %#x", column,
			nr, (unsigned long)args[0], (unsigned long)args[1], (unsigned long)args[2],
			(unsigned long)args[3], is, should);
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
	for (size_t i = 0; i < golden_policy->n; i++) {
		for (size_t j = 0; numbers[i] == nr && j < FILTER_CONDITIONS; j++) {
			const struct filter_condition *c = &golden_policy->rows[i].when[j];
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

static void compare_all_arguments(unsigned column, const struct filter_program *p, int nr)
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
				compare(column, p, nr, args);
			}
		}
	}
}

static void golden_build(unsigned column, struct filter_program *ret_program)
{
	assert_int_equal(filter_build(golden_policy, column, ret_program), 0);
	assert_true(ret_program->n > 100);
}

/* Another architecture, or the x32 numbers of this one: always killed. */
static void check_foreign(const struct filter_program *p, int nr)
{
	struct seccomp_data i386 = { .nr = nr, .arch = AUDIT_ARCH_I386 };
	struct seccomp_data x32 = { .nr = X32_BIT + nr, .arch = AUDIT_ARCH_X86_64 };
	struct seccomp_data arm = { .nr = nr, .arch = AUDIT_ARCH_AARCH64 };
	assert_int_equal(interpret(p, &i386), SECCOMP_RET_KILL_PROCESS);
	assert_int_equal(interpret(p, &x32), SECCOMP_RET_KILL_PROCESS);
	assert_int_equal(interpret(p, &arm), SECCOMP_RET_KILL_PROCESS);
}

static inline void golden_check(unsigned column)
{
	struct filter_program p;
	golden_build(column, &p);
	for (int nr = 0; nr < NUMBERS; nr++) {
		compare_all_arguments(column, &p, nr);
		check_foreign(&p, nr);
	}
	filter_program_free(&p);
	assert_true(compared > 25000);
}

/* One promise, written down a second time. */
struct golden_case {
	long nr;
	uint64_t args[6];
	uint32_t action;
};

static inline uint32_t golden_answer(const struct filter_program *p, const struct golden_case *c)
{
	struct seccomp_data data = { .nr = (int)c->nr, .arch = AUDIT_ARCH_X86_64 };
	memcpy(data.args, c->args, sizeof(data.args));
	return interpret(p, &data);
}
