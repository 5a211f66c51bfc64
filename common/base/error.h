/*
 * Two classes of error, never mixed:
 *  - a negative errno is unexpected (out of memory, a failed system call): pass it up unchanged;
 *  - a positive value of an enum beside the function is one of its documented outcomes: the caller
 *    handles it and does not pass it up.
 * 0 is success. Outputs (`ret_*`) are untouched on failure.
 */
#pragma once

#include <stdlib.h>

/** Aborts, in every build: an invariant of our own is broken. Never for input. */
#define invariant(cond)                                              \
	do {                                                         \
		if (__builtin_expect(!(cond), 0)) {                  \
			invariant_failed(#cond, __FILE__, __LINE__); \
		}                                                    \
	} while (0)

_Noreturn void invariant_failed(const char *cond, const char *file, int line);
