/*
 * System call filters of workers: one table (seccomp_table.c), one compiled program per column, which
 * is 1 << enum filter_id.
 *
 * The default is ENOSYS, so that a library falls back when it probes for a call. What libraries do
 * try gets the errno they expect; what no honest plugin issues kills the process (SIGSYS), and so
 * do foreign architectures and x32 numbers.
 *
 * Programs are compiled once in the zygote and loaded in each worker with the system call itself.
 */
#pragma once

#include "common/confine/filter.h"
#include "pluginhost/sandbox/profile.h"

extern const struct filter_policy worker_policy;

/** The table's words: "python", "native-load", "native", "native-nofs". */
const char *filter_name(enum filter_id filter);

/** @return 0 or a negative errno. Free with filter_program_free(). */
int filter_compile(enum filter_id filter, struct filter_program *ret_program);
