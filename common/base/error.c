#include "common/base/error.h"

#include <stdio.h>

void invariant_failed(const char *cond, const char *file, int line)
{
	(void)fprintf(stderr, "invariant failed: %s (%s:%d)\n", cond, file, line);
	abort();
}
