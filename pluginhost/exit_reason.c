#include "pluginhost/exit_reason.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

/* What may be missing to the limit when the last page did not fit: the kernel charges in batches, and
 * a huge page is 2 MiB. */
enum { OOM_SLACK_BYTES = 4 * 1024 * 1024 };

static bool is_known(const char *text)
{
	return text != NULL && text[0] != '\0';
}

/* The kernel ends who is largest when the group above is full; one that had room left did not fill its
 * own. Where the kernel does not tell the peak, the usual case is assumed. */
static bool filled_its_own(const struct exit_reason *e)
{
	return e->memory_peak == 0 || e->memory_peak + OOM_SLACK_BYTES >= e->memory_limit;
}

static int describe(const struct exit_reason *e, char *out, size_t size)
{
	const char *name = e->signal > 0 ? sigabbrev_np(e->signal) : NULL;
	switch (e->reason) {
	case WORKER_ENDED_EXIT:
		return snprintf(out, size, "exited with status %d", e->status);
	case WORKER_ENDED_SIGNAL:
		if (e->signal == SIGSYS && is_known(e->syscall)) {
			return snprintf(out, size,
				"made the system call %s, which is not allowed (SIGSYS)",
				e->syscall);
		}
		if (e->signal == SIGSYS) {
			return snprintf(
				out, size, "made a system call that is not allowed (SIGSYS)");
		}
		return snprintf(out, size, "died of signal %d (SIG%s)", e->signal,
			name == NULL ? "?" : name);
	case WORKER_ENDED_OOM:
		if (!filled_its_own(e)) {
			return snprintf(out, size,
				"was ended at %llu of its %llu MiB: all workers together used more "
				"than %u %% of the machine's memory "
				"(MOZAIKS_SANDBOX_ALL_MEMORY_PERCENT), or the machine had none left",
				(unsigned long long)(e->memory_peak >> 20),
				(unsigned long long)(e->memory_limit >> 20), e->all_memory_percent);
		}
		return snprintf(out, size,
			"used more memory than its %llu MiB (limits.memory, MOZAIKS_SANDBOX_MEMORY)",
			(unsigned long long)(e->memory_limit >> 20));
	case WORKER_ENDED_SANDBOX:
		return snprintf(out, size, "its sandbox could not be built");
	case WORKER_ENDED_START:
		return snprintf(out, size, "could not be started");
	case WORKER_ENDED_KILLED:
		return snprintf(out, size, "was stopped");
	case WORKER_ENDED_ZYGOTE:
		return snprintf(out, size, "the zygote ended");
	}
	return 0;
}

void exit_reason_text(const struct exit_reason *e, char out[static EXIT_REASON_TEXT_MAX])
{
	out[0] = '\0';
	int n = describe(e, out, EXIT_REASON_TEXT_MAX);
	if (n > 0 && is_known(e->message)) {
		(void)snprintf(out + n, EXIT_REASON_TEXT_MAX - (size_t)n, ": %s", e->message);
	}
}

int exit_reason_append(struct buffer *b, const struct exit_reason *e)
{
	char text[EXIT_REASON_TEXT_MAX];
	exit_reason_text(e, text);
	int r = buffer_printf(b, "{\"reason\":\"%s\",\"signal\":%d,\"status\":%d,\"message\":",
		worker_end_name(e->reason), e->signal, e->status);
	r = r < 0 ? r : buffer_append_json(b, slice_str(text));
	r = r < 0 ? r : buffer_append(b, SLICE(",\"syscall\":"));
	if (r == 0) {
		r = is_known(e->syscall) ? buffer_append_json(b, slice_str(e->syscall))
					 : buffer_append(b, SLICE("null"));
	}
	r = r < 0
		? r
		: buffer_printf(b, ",\"usage\":{\"memory_peak\":%llu,\"cpu_ms\":%llu},\"output\":",
			  (unsigned long long)e->memory_peak,
			  (unsigned long long)(e->cpu_us / 1000));
	r = r < 0                   ? r
		: e->output == NULL ? buffer_append(b, SLICE("[]"))
				    : log_tail_append_json(e->output, b);
	return r < 0 ? r : buffer_append_byte(b, '}');
}
