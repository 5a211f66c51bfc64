/*
 * System call filters: one table (seccomp_table.c), one compiled program per column.
 *
 * The default is ENOSYS, so that a library falls back when it probes for a call. What libraries do
 * try gets the errno they expect; what no honest plugin issues kills the process (SIGSYS), and so
 * do foreign architectures and x32 numbers.
 *
 * libseccomp 2.5 drops rules silently when conditions of one call overlap, so the rows of a call are
 * disjoint, and test-seccomp.c interprets the compiled programs against the table for every number.
 *
 * Programs are compiled once in the zygote and loaded in each worker with the system call itself.
 */
#pragma once

#include "pluginhost/sandbox/profile.h"

#include <linux/filter.h>
#include <stdbool.h>
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
	unsigned filters; /* 1 << enum filter_id, or-ed */
	uint32_t action;  /* SECCOMP_RET_ALLOW, _KILL_PROCESS, or _ERRNO | errno */
	/* All must hold. Empty: the row holds for every call of that name. */
	struct filter_condition when[FILTER_CONDITIONS];
};

extern const struct filter_row filter_table[];
extern const size_t filter_table_size;

/* What holds where no row does. */
extern const uint32_t filter_default_action;

struct filter_program {
	unsigned short n;
	struct sock_filter *instructions;
};

/** The table's words: "python", "native-load", "native", "native-nofs". */
const char *filter_name(enum filter_id filter);

/** @return 0 or a negative errno. Free with filter_program_free(). */
int filter_compile(enum filter_id filter, struct filter_program *ret_program);
void filter_program_free(struct filter_program *program);

/** Loads it for all threads (TSYNC), for good. Needs no_new_privs. @return 0 or a negative errno. */
int filter_load(const struct filter_program *program);
