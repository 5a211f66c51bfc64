#include "director/config/descriptors.h"

#include <sys/resource.h>

enum { KEPT_MIN = 128, CONNECTIONS_MIN = 16 };

uint64_t descriptors_for_connections(uint64_t wanted)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_max == RLIM_INFINITY) {
		return wanted;
	}
	limit.rlim_cur = limit.rlim_max;
	/* Raising it to the hard limit is anybody's right. */
	(void)setrlimit(RLIMIT_NOFILE, &limit);
	uint64_t kept = limit.rlim_max / 4 > KEPT_MIN ? limit.rlim_max / 4 : KEPT_MIN;
	uint64_t most =
		limit.rlim_max > kept + CONNECTIONS_MIN ? limit.rlim_max - kept : CONNECTIONS_MIN;
	return wanted < most ? wanted : most;
}
