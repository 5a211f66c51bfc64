/*
 * Attacks in C, for test-workers.c: each is one function that runs inside a worker and tries what
 * must not be possible, and the answer that the sandbox must give. The mechanism is part of the
 * answer: an attack that is stopped by another layer than expected means that one failed open.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum probe_answer {
	ANSWER_ERRNO,  /* fails with `value`, or with `other` when that is set */
	ANSWER_SIGNAL, /* kills the worker with `value` */
	ANSWER_RESULT, /* returns `value` */
	ANSWER_RANGE,  /* returns something from `value` to `other` */
};

/* Where a probe makes sense. The address sanitizer answers for some calls and signals itself. */
enum { IN_PYTHON = 1, IN_NATIVE = 2, IN_BOTH = 3, OWN_UID = 4, CGROUP = 8, UNSANITIZED = 16 };

struct probe {
	const char *name;
	long (*run)(void);
	unsigned where;
	enum probe_answer answer;
	long value;
	long other;
};

extern const struct probe probes[];
extern const size_t n_probes;

/* What must not be found anywhere in a worker's memory: each byte xor 0x5a, set before the run. */
enum { PROBE_CANARY_SIZE = 32 };
extern uint8_t probe_canary[PROBE_CANARY_SIZE];
