#include "pluginhost/sandbox/descriptors.h"

#include "common/base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int descriptors_arrange(const int *fds, unsigned n)
{
	int high[DESCRIPTORS_MAX];
	invariant(n <= DESCRIPTORS_MAX);
	/* First out of each other's way, then down into place. */
	for (unsigned i = 0; i < n; i++) {
		high[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 2 * DESCRIPTORS_MAX);
		if (high[i] < 0) {
			return -errno;
		}
	}
	for (unsigned i = 0; i < n; i++) {
		if (dup2(high[i], (int)i) < 0) {
			return -errno;
		}
	}
	return close_range(n, ~0U, 0) < 0 ? -errno : 0;
}
