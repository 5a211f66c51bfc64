#include "director/execute/memory.h"

#include "common/base/slice.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_BYTES = 4096, LINE_BYTES = 4096, STATM_BYTES = 128 };

/* Above it a number of bytes is how the kernel writes "no limit" in version 1. */
static const uint64_t no_limit = UINT64_C(1) << 60;

static uint64_t read_bytes(
	const char *mount, const char *controller, const char *group, const char *file)
{
	char path[PATH_BYTES];
	char text[32] = "";
	int n = snprintf(path, sizeof(path), "%s%s%s/%s", mount, controller, group, file);
	FILE *f = n < 0 || (size_t)n >= sizeof(path) ? NULL : fopen(path, "re");
	if (f == NULL) {
		return 0;
	}
	bool got = fgets(text, sizeof(text), f) != NULL;
	(void)fclose(f);
	/* "max" is no number. */
	char *end = text;
	uint64_t bytes = got ? strtoull(text, &end, 10) : 0;
	return end == text || bytes >= no_limit ? 0 : bytes;
}

/* A line is "4:memory:/group", or "0::/group" in version 2. */
static uint64_t limit_of_line(const char *mount, char *line)
{
	line[strcspn(line, "\n")] = '\0';
	char *controllers = strchr(line, ':');
	char *group = controllers == NULL ? NULL : strchr(controllers + 1, ':');
	if (group == NULL) {
		return 0;
	}
	*group = '\0';
	controllers++;
	group++;
	if (controllers[0] == '\0') {
		uint64_t high = read_bytes(mount, "", group, "memory.high");
		return high > 0 ? high : read_bytes(mount, "", group, "memory.max");
	}
	return slice_eq(slice_str(controllers), SLICE("memory"))
		? read_bytes(mount, "/memory", group, "memory.limit_in_bytes")
		: 0;
}

uint64_t memory_cgroup_limit(const char *groups_path, const char *mount_path)
{
	char line[LINE_BYTES];
	uint64_t limit = 0;
	FILE *f = fopen(groups_path, "re");
	if (f == NULL) {
		return 0;
	}
	while (limit == 0 && fgets(line, sizeof(line), f) != NULL) {
		limit = limit_of_line(mount_path, line);
	}
	(void)fclose(f);
	return limit;
}

int memory_watch_open(struct memory_watch *m, uint64_t high)
{
	*m = (struct memory_watch)MEMORY_WATCH_NULL;
	m->high = high > 0 ? high : memory_cgroup_limit("/proc/self/cgroup", "/sys/fs/cgroup");
	if (m->high == 0) {
		return 0;
	}
	m->statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	return m->statm < 0 ? -errno : 0;
}

void memory_watch_close(struct memory_watch *m)
{
	if (m->statm >= 0) {
		(void)close(m->statm);
		m->statm = -1;
	}
}

/* proc(5): size, resident and shared, in pages. */
static uint64_t read_private(int statm)
{
	char text[STATM_BYTES];
	uint64_t resident = 0;
	uint64_t shared = 0;
	ssize_t n = pread(statm, text, sizeof(text) - 1, 0);
	if (n <= 0) {
		return 0;
	}
	text[n] = '\0';
	if (sscanf(text, "%*u %" SCNu64 " %" SCNu64, &resident, &shared) != 2 ||
		shared > resident) {
		return 0;
	}
	return (resident - shared) * (uint64_t)sysconf(_SC_PAGESIZE);
}

bool memory_is_short(struct memory_watch *m, uint64_t now_ms)
{
	if (m->high == 0) {
		return false;
	}
	if (!m->is_read || now_ms - m->read_ms >= MEMORY_CHECK_MS) {
		m->used = read_private(m->statm);
		m->read_ms = now_ms;
		m->is_read = true;
	}
	return m->used > m->high / 100 * MEMORY_SHORT_PERCENT;
}
