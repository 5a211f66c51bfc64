/*
 * System call filters from tables: a policy is rows and a default; its columns (bits) are variants of
 * it, and each is compiled into a program of its own. Foreign architectures and x32 numbers kill the
 * process, whatever the rows say.
 *
 * libseccomp 2.5 drops rules silently when conditions of one call overlap, so the rows of a call must
 * be disjoint unless their answers are equal. Each policy has a test that interprets the compiled
 * program against its rows for every number (test-golden.h).
 *
 * filter_rows.h has short words for the tables themselves.
 */
#pragma once

#include <linux/filter.h>
#include <stddef.h>
#include <stdint.h>

enum filter_compare {
	COMPARE_NONE,
	COMPARE_EQ,
	COMPARE_NE,
	COMPARE_MASKED, /* (argument & mask) == value */
};

struct filter_condition {
	enum filter_compare compare;
	unsigned argument;
	uint64_t value;
	uint64_t mask;
};

enum { FILTER_CONDITIONS = 3 };

struct filter_row {
	const char *name;
	unsigned columns;
	uint32_t action; /* SECCOMP_RET_ALLOW, _KILL_PROCESS, or _ERRNO | errno */
	/* All must hold. Empty: the row holds for every call of that name. */
	struct filter_condition when[FILTER_CONDITIONS];
};

struct filter_policy {
	const struct filter_row *rows;
	size_t n;
	uint32_t default_action; /* where no row holds */
};

struct filter_program {
	unsigned short n;
	struct sock_filter *instructions;
};

/**
 * Compiles the rows that have the column.
 * @param column one bit.
 * @return 0 or a negative errno. Free with filter_program_free().
 */
int filter_build(
	const struct filter_policy *policy, unsigned column, struct filter_program *ret_program);
void filter_program_free(struct filter_program *program);

/** Loads it for all threads (TSYNC), for good. Needs no_new_privs. @return 0 or a negative errno. */
int filter_load(const struct filter_program *program);
