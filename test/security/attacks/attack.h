/*
 * Attacks of a plugin on everything around it, one row each: the row of the threat table that it
 * belongs to (A files and secrets, B processes, memory, CPU, C network), a name, the deed, and the
 * answer the sandbox must give. The mechanism is part of the answer: an attack that is stopped by
 * another layer than expected means that one failed open.
 *
 * The rows are compiled twice: into the shared object that plays the plugin (plugin.c), and into the
 * program that starts workers and judges them (test-workers.c). Both go by the row's number.
 */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum attack_answer {
	ANSWER_ERRNO,  /* fails with `value`, or with `other` when that is set */
	ANSWER_SIGNAL, /* kills the worker with `value` */
	ANSWER_RESULT, /* returns `value` */
	ANSWER_RANGE,  /* returns something from `value` to `other` */
	ANSWER_RAISES, /* Python: raises the exception `text` */
};

/* Where an attack makes sense. */
enum {
	IN_PYTHON = 1,
	IN_NATIVE = 2,
	IN_BOTH = 3,
	OWN_UID = 4,      /* the worker has a uid that nobody else has */
	CGROUP = 8,       /* there is a memory cgroup */
	ONE_THREAD = 16,  /* counts what a second thread changes */
	UNSANITIZED = 32, /* the address sanitizer answers in its place */
};

struct attack {
	const char *id; /* "-": no attack but what a plugin may do, so that not everything fails */
	const char *name;
	/* @return -1 with errno, or a value. NULL: `python` is the deed. */
	long (*run)(void);
	unsigned where;
	enum attack_answer answer;
	long value;
	long other;
	const char *text;
	/* An expression of Python (plugin.py), for what only Python can try. */
	const char *python;
};

/* The end of each row. */
#define FAILS(e)     ANSWER_ERRNO, (e), 0
#define EITHER(e, f) ANSWER_ERRNO, (e), (f)
#define KILLED       ANSWER_SIGNAL, SIGSYS, 0
#define DIES(s)      ANSWER_SIGNAL, (s), 0
#define GIVES(n)     ANSWER_RESULT, (n), 0
#define WITHIN(a, b) ANSWER_RANGE, (a), (b)
#define RAISES(name) ANSWER_RAISES, 0, 0, (name)

/* A deed that is one expression. */
#define ATTEMPT(name, ...)                  \
	static long name(void)              \
	{                                   \
		return (long)(__VA_ARGS__); \
	}

#define OWN_PLUGIN      "/plugins/attacker"
#define OTHER_PLUGIN    "/plugins/other"
#define READ_ONLY(path) open((path), O_RDONLY | O_CLOEXEC)

/* Where somebody listens outside, to be reached or not. */
#define ATTACK_ABSTRACT_NAME "\0mozaiks-attack"

/** All rows in their order. @return NULL behind the last. */
const struct attack *attack_at(unsigned i);

extern const struct attack attacks_on_files[];
extern const size_t n_attacks_on_files;
extern const struct attack attacks_on_processes[];
extern const size_t n_attacks_on_processes;
extern const struct attack attacks_on_kernel[];
extern const size_t n_attacks_on_kernel;
extern const struct attack attacks_on_network[];
extern const size_t n_attacks_on_network;
extern const struct attack attacks_in_python[];
extern const size_t n_attacks_in_python;

/* ---- Between the judge and the worker ---- */

/* What must not be found anywhere in a worker's memory: each byte xor 0x5a. */
enum { ATTACK_CANARY_SIZE = 32, ATTACK_TEXT_MAX = 40, ATTACK_PYTHON_MAX = 200 };
extern uint8_t attack_canary[ATTACK_CANARY_SIZE];

/* Fixed, so that Python reads it by its offsets. */
struct attack_order {
	uint32_t number;
	uint32_t in_thread;
	uint8_t canary[ATTACK_CANARY_SIZE];
	char python[ATTACK_PYTHON_MAX];
};

struct attack_outcome {
	int64_t result;
	int32_t error;
	char text[ATTACK_TEXT_MAX]; /* the exception that came */
	char unused[4];
};

_Static_assert(sizeof(struct attack_order) == 240 && sizeof(struct attack_outcome) == 56,
	"plugin.py knows these sizes");

/** A file for reading and writing in /tmp. @return its descriptor, or -1. */
int attack_tmp_file(const char *path);

/** The end of a child that should never have come to be. @return `pid`, in the parent. */
long attack_no_child(long pid);
