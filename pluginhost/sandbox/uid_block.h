/*
 * Which block of worker ids a pluginhost takes, so that no two of them give one uid to two workers:
 * their files would be each other's, and RLIMIT_NPROC would count both.
 *
 * The range that may be used is cut into equal blocks. A name has its block: "default" the first one,
 * every other name one of the rest. Of two whose names meet, and of two with one name (two checkouts on
 * one machine), the later one goes on to the next free block. What is taken is locked byte by byte in a
 * file; the kernel lets go of the locks of a dead process. Where no such file can be had (a service
 * that may write nowhere), the name alone decides.
 */
#pragma once

#include <stdbool.h>

struct uid_block {
	unsigned index;
	int lock; /* keeps the block; -1: nothing does */
};

/**
 * @param lock_path a file that is made when it is missing; a link, or one of somebody else, is not
 *   used.
 * @param n how many blocks there are, at least 1.
 * @return 0, or -EBUSY when others have all of them.
 */
int uid_block_claim(
	const char *lock_path, const char *name, unsigned n, struct uid_block *ret_block);

void uid_block_release(struct uid_block *b);
