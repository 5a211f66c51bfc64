/* The history of ends: what is kept, what is counted, what EXITED adds. */
/* cmocka.h needs what stands before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "director/hosts/exits.h"

#include <stdio.h>

static void add(struct exits *x, uint64_t worker, enum worker_exit why)
{
	struct exit_entry e = {
		.worker = worker, .why = why, .calls_json = slice_dup(SLICE("[]"))
	};
	(void)snprintf(e.text, sizeof(e.text), "text %d", (int)worker);
	exits_add(x, &e);
}

static void complete(struct exits *x, uint64_t worker, const char *json)
{
	struct exit_report report;
	exit_report_read(&report, slice_str(json));
	(void)exits_complete(x, worker, &report);
	exit_report_deinit(&report);
}

static void the_oldest_normal_end_gives_way(void **state)
{
	static const uint64_t left[] = { 2, 4, 5 };
	struct exits x;
	exits_init(&x, 3);
	add(&x, 1, EXITED_REPLACED);
	add(&x, 2, EXITED_SIGNAL);
	add(&x, 3, EXITED_STOPPED);
	add(&x, 4, EXITED_DEADLINE);
	add(&x, 5, EXITED_REPLACED);
	assert_int_equal(x.n, 3);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(x.entries[i].worker, left[i]);
	}
	assert_int_equal(exits_last_failure(&x)->worker, 4);
	/* With failures alone the oldest one goes. */
	add(&x, 6, EXITED_LOAD);
	add(&x, 7, EXITED_LOAD);
	assert_int_equal(x.entries[0].worker, 4);
	assert_int_equal(x.entries[2].worker, 7);
	/* What left the history is still counted. */
	assert_int_equal(exits_count(&x, EXIT_IS_CRASH), 1);
	assert_int_equal(exits_count(&x, EXIT_IS_KILL), 1);
	assert_int_equal(exits_count(&x, EXIT_IS_FAILED), 2);
	assert_int_equal(exits_count(&x, EXIT_IS_NORMAL), 3);
	exits_deinit(&x);
}

static void exited_gives_the_reason(void **state)
{
	static const struct {
		const char *json;
		enum worker_exit why;
		const char *text;
		const char *syscall;
	} cases[] = {
		{ "{\"reason\":\"exit\",\"status\":3,\"message\":\"exited with status 3\"}",
			EXITED_STATUS, "exited with status 3", "" },
		{ "{\"reason\":\"signal\",\"signal\":11,\"message\":\"died of signal 11\"}",
			EXITED_SIGNAL, "died of signal 11", "" },
		{ "{\"reason\":\"signal\",\"signal\":31,\"message\":\"m\",\"syscall\":null}",
			EXITED_SYSCALL, "m", "" },
		{ "{\"reason\":\"signal\",\"signal\":31,\"message\":\"m\",\"syscall\":\"mount\"}",
			EXITED_SYSCALL, "m", "mount" },
		{ "{\"reason\":\"oom\",\"signal\":9,\"message\":\"used more\"}", EXITED_MEMORY,
			"used more", "" },
		{ "{\"reason\":\"sandbox\",\"message\":\"its sandbox\"}", EXITED_SANDBOX,
			"its sandbox", "" },
		{ "{\"reason\":\"start\",\"message\":\"could not\"}", EXITED_START, "could not",
			"" },
		{ "{\"reason\":\"zygote\",\"signal\":9,\"message\":\"the zygote ended\"}",
			EXITED_ZYGOTE_GONE, "the zygote ended", "" },
		/* Its channel closed, and it had to be killed: it closed it itself. */
		{ "{\"reason\":\"killed\",\"message\":\"was stopped\"}", EXITED_PROTOCOL, "text 1",
			"" },
		/* Strange, but an end. */
		{ "{\"reason\":\"?\"}", EXITED_UNKNOWN, "?", "" },
		{ "[1]", EXITED_UNKNOWN, "the process ended", "" },
		{ "{", EXITED_UNKNOWN, "the process ended", "" },
		{ "{\"reason\":5,\"signal\":-1,\"status\":1e99,\"usage\":7}", EXITED_UNKNOWN,
			"the process ended", "" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct exits x;
		exits_init(&x, 2);
		add(&x, 1, EXITED_UNKNOWN);
		complete(&x, 1, cases[i].json);
		assert_int_equal(x.entries[0].why, cases[i].why);
		assert_string_equal(x.entries[0].text, cases[i].text);
		assert_string_equal(x.entries[0].syscall, cases[i].syscall);
		assert_int_equal(x.counts[cases[i].why], 1);
		uint64_t all = 0;
		for (int k = 0; k < EXITS_N; k++) {
			all += x.counts[k];
		}
		assert_int_equal(all, 1);
		exits_deinit(&x);
	}
}

static void what_the_director_decided_stays(void **state)
{
	struct exits x;
	exits_init(&x, 2);
	add(&x, 1, EXITED_DEADLINE);
	complete(&x, 1,
		"{\"reason\":\"killed\",\"signal\":9,\"message\":\"was stopped\",\"usage\":"
		"{\"memory_peak\":1048576,\"cpu_ms\":7},\"output\":[\"a\",5,\"b\\n\"]}");
	const struct exit_entry *e = &x.entries[0];
	assert_int_equal(e->why, EXITED_DEADLINE);
	assert_string_equal(e->text, "text 1");
	assert_int_equal(e->signal, 9);
	assert_int_equal(e->memory_peak, 1048576);
	assert_int_equal(e->cpu_ms, 7);
	assert_string_equal(e->output_json, "[\"a\",\"\",\"b\\n\"]");
	assert_int_equal(x.memory_peak, 1048576);
	/* Once; and of nobody else. */
	complete(&x, 1, "{\"reason\":\"oom\",\"usage\":{\"memory_peak\":9999999}}");
	complete(&x, 2, "{\"reason\":\"oom\",\"usage\":{\"memory_peak\":9999999}}");
	assert_int_equal(x.memory_peak, 1048576);
	assert_int_equal(x.n, 1);
	exits_deinit(&x);
}

static void every_kind_has_a_name(void **state)
{
	for (int i = 0; i < EXITS_N; i++) {
		const char *name = exit_name((enum worker_exit)i);
		assert_non_null(name);
		assert_true(slice_is_name(slice_str(name), 32));
		for (int k = 0; k < i; k++) {
			assert_string_not_equal(name, exit_name((enum worker_exit)k));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_oldest_normal_end_gives_way),
		cmocka_unit_test(exited_gives_the_reason),
		cmocka_unit_test(what_the_director_decided_stays),
		cmocka_unit_test(every_kind_has_a_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
