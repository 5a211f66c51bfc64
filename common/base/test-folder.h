/* A folder of a test's own below /tmp. For tests and benchmarks alone. */
#pragma once

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

enum { TEST_FOLDER_BYTES = 64, TEST_FOLDER_DESCRIPTORS = 16 };

/** Makes /tmp/NAME-…; @return 0, or -1 as cmocka's fixtures have it. */
static inline int test_folder_make(char path[static TEST_FOLDER_BYTES], const char *name)
{
	int n = snprintf(path, TEST_FOLDER_BYTES, "/tmp/%s-XXXXXX", name);
	return n < 0 || n >= TEST_FOLDER_BYTES || mkdtemp(path) == NULL ? -1 : 0;
}

static inline int test_folder_remove_one(
	const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

/** Removes it with all that is in it; follows no links. @return 0 or -1. */
static inline int test_folder_remove(const char *path)
{
	return nftw(path, test_folder_remove_one, TEST_FOLDER_DESCRIPTORS, FTW_DEPTH | FTW_PHYS);
}
