/*
 * Why a worker ended, as sentences: each limit with its value and its setting.
 */
#include "pluginhost/exit_reason.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

#define MIB (UINT64_C(1) << 20)

static void sentences(void **state)
{
	static const struct {
		struct exit_reason reason;
		const char *text;
	} table[] = {
		{ { .reason = WORKER_ENDED_EXIT, .status = 3 }, "exited with status 3" },
		{ { .reason = WORKER_ENDED_SIGNAL, .signal = SIGSEGV },
			"died of signal 11 (SIGSEGV)" },
		{ { .reason = WORKER_ENDED_SIGNAL, .signal = SIGSYS },
			"made a system call that is not allowed (SIGSYS)" },
		{ { .reason = WORKER_ENDED_SIGNAL, .signal = SIGSYS, .syscall = "mount" },
			"made the system call mount, which is not allowed (SIGSYS)" },
		{ { .reason = WORKER_ENDED_OOM, .memory_limit = 64 * MIB, .memory_peak = 64 * MIB },
			"used more memory than its 64 MiB (limits.memory, "
			"MOZAIKS_SANDBOX_MEMORY)" },
		/* The kernel does not tell the peak. */
		{ { .reason = WORKER_ENDED_OOM, .memory_limit = 64 * MIB },
			"used more memory than its 64 MiB (limits.memory, "
			"MOZAIKS_SANDBOX_MEMORY)" },
		{ { .reason = WORKER_ENDED_OOM,
			  .memory_limit = 64 * MIB,
			  .memory_peak = 40 * MIB,
			  .all_memory_percent = 70 },
			"was ended at 40 of its 64 MiB: all workers together used more than 70 % "
			"of the machine's memory (MOZAIKS_SANDBOX_ALL_MEMORY_PERCENT), or the "
			"machine had none left" },
		{ { .reason = WORKER_ENDED_SANDBOX, .message = "cgroup: No" },
			"its sandbox could not be built: cgroup: No" },
		{ { .reason = WORKER_ENDED_START, .message = "why" }, "could not be started: why" },
		{ { .reason = WORKER_ENDED_KILLED, .message = "" }, "was stopped" },
		{ { .reason = WORKER_ENDED_ZYGOTE }, "the zygote ended" },
	};
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		char text[EXIT_REASON_TEXT_MAX];
		exit_reason_text(&table[i].reason, text);
		assert_string_equal(text, table[i].text);
	}
}

static void as_json(void **state)
{
	const struct exit_reason reason = { .reason = WORKER_ENDED_ZYGOTE,
		.signal = SIGKILL,
		.message = "a \"quoted\" word",
		.memory_peak = 5,
		.cpu_us = 2500 };
	struct buffer b;
	buffer_init(&b, EXIT_REASON_JSON_MAX);
	assert_int_equal(exit_reason_append(&b, &reason), 0);
	assert_int_equal(buffer_append_byte(&b, 0), 0);
	assert_string_equal((const char *)b.p,
		"{\"reason\":\"zygote\",\"signal\":9,\"status\":0,"
		"\"message\":\"the zygote ended: a \\\"quoted\\\" word\",\"syscall\":null,"
		"\"usage\":{\"memory_peak\":5,\"cpu_ms\":2},\"output\":[]}");
	buffer_deinit(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sentences),
		cmocka_unit_test(as_json),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
