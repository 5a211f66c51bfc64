#include "pluginhost/sandbox/limits.h"

#include <errno.h>
#include <sys/resource.h>

/* The stack of the first thread, in bytes; also what a thread gets that asks for nothing. */
enum { STACK_BYTES = 8 * 1024 * 1024, PENDING_SIGNALS = 64 };

static int lower(__rlimit_resource_t which, rlim_t value)
{
	struct rlimit now;
	if (getrlimit(which, &now) < 0) {
		return -errno;
	}
	if (now.rlim_max != RLIM_INFINITY && now.rlim_max < value) {
		value = now.rlim_max;
	}
	struct rlimit wanted = { value, value };
	return setrlimit(which, &wanted) < 0 ? -errno : 0;
}

int limits_enter_worker(const struct worker_limits *limits, bool own_uid, const char **ret_name)
{
	const struct {
		__rlimit_resource_t which;
		const char *name;
		rlim_t value;
		bool apply;
	} table[] = {
#ifdef MOZAIKS_SANITIZED
		/* Shadow memory is terabytes of addresses. */
		{ RLIMIT_AS, "RLIMIT_AS", limits->address_space_bytes, false },
#else
		{ RLIMIT_AS, "RLIMIT_AS", limits->address_space_bytes, true },
#endif
		{ RLIMIT_NOFILE, "RLIMIT_NOFILE", limits->open_files, true },
		{ RLIMIT_NPROC, "RLIMIT_NPROC", limits->threads, own_uid },
		{ RLIMIT_FSIZE, "RLIMIT_FSIZE", limits->file_size_bytes, true },
		{ RLIMIT_STACK, "RLIMIT_STACK", STACK_BYTES, true },
		{ RLIMIT_SIGPENDING, "RLIMIT_SIGPENDING", PENDING_SIGNALS, true },
		{ RLIMIT_CORE, "RLIMIT_CORE", 0, true },
		{ RLIMIT_MEMLOCK, "RLIMIT_MEMLOCK", 0, true },
		{ RLIMIT_MSGQUEUE, "RLIMIT_MSGQUEUE", 0, true },
		{ RLIMIT_NICE, "RLIMIT_NICE", 0, true },
		{ RLIMIT_RTPRIO, "RLIMIT_RTPRIO", 0, true },
	};
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		int e = table[i].apply ? lower(table[i].which, table[i].value) : 0;
		if (e < 0) {
			*ret_name = table[i].name;
			return e;
		}
	}
	return 0;
}
