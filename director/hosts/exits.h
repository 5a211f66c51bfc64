/*
 * Why workers of a plugin ended: a bounded history for the operator, and counts that are never
 * forgotten while the director runs.
 *
 * Whoever ends a worker says why. Where the channel simply closed only pluginhost knows: the entry
 * begins as EXITED_UNKNOWN and gets its reason from EXITED, which comes a moment later. What the
 * director decided itself (deadline, protocol) stays; EXITED adds what the process had used.
 *
 * Pure. Loop thread.
 */
#pragma once

#include "common/base/slice.h"

/*
 * EXITS(X): X(symbol, name in API and command line, what it counts as, a text where there is none)
 *   CRASH   the worker's own end       KILL    the director had it killed
 *   FAILED  it never became ready      NORMAL  as the director wanted it; no fault of the plugin
 * UNKNOWN is one of which EXITED has not come.
 */
/* clang-format off */
#define EXITS(X) \
	X(UNKNOWN,       "unknown",            CRASH,  "its channel closed") \
	X(STATUS,        "exit",               CRASH,  "it exited") \
	X(SIGNAL,        "signal",             CRASH,  "it died of a signal") \
	X(SYSCALL,       "denied_syscall",     CRASH,  "it made a system call that is not allowed") \
	X(MEMORY,        "out_of_memory",      CRASH,  "it used more memory than it may") \
	X(DEADLINE,      "deadline",           KILL,   "a call did not end when it was cancelled") \
	X(HUNG,          "hung",               KILL,   "its loop does not turn") \
	X(PROTOCOL,      "protocol_violation", KILL,   "it broke the protocol") \
	X(START_TIMEOUT, "start_timeout",      FAILED, "it was not ready in time") \
	X(LOAD,          "init_failed",        FAILED, "the plugin could not be loaded") \
	X(SANDBOX,       "sandbox_failed",     FAILED, "its sandbox could not be built") \
	X(START,         "start_failed",       FAILED, "it could not be started") \
	X(REPLACED,      "replaced",           NORMAL, "another worker took over") \
	X(RECYCLED,      "recycled",           NORMAL, "the plugin asks for new workers from time to time") \
	X(IDLE,          "idle",               NORMAL, "nobody had called it for a while") \
	X(STOPPED,       "stopped",            NORMAL, "the plugin was stopped") \
	X(ZYGOTE_GONE,   "zygote_gone",        NORMAL, "the process it was forked from is gone") \
	X(HOST_GONE,     "pluginhost_gone",    NORMAL, "its pluginhost is gone")
/* clang-format on */

enum worker_exit {
#define EXITS_SYMBOL(symbol, name, class, text) EXITED_##symbol,
	EXITS(EXITS_SYMBOL)
#undef EXITS_SYMBOL
		EXITS_N,
};

enum exit_class { EXIT_IS_CRASH, EXIT_IS_KILL, EXIT_IS_FAILED, EXIT_IS_NORMAL };

enum {
	EXIT_TEXT_MAX = 512,
	EXIT_SYSCALL_MAX = 32,
	EXIT_VERSION_MAX = 64,
	/* Calls in flight that an entry names; of more only their number is kept. */
	EXIT_CALLS_MAX = 8,
	/* JSON texts of an entry: its calls, its log. */
	EXIT_JSON_MAX = 128 * 1024,
};

/** "signal", "deadline" and so on. */
const char *exit_name(enum worker_exit why);
enum exit_class exit_class(enum worker_exit why);
/** A sentence, for want of a better one. */
const char *exit_text(enum worker_exit why);

struct exit_entry {
	uint64_t worker;
	int64_t at_ms;     /* since 1970 */
	uint64_t ready_ms; /* how long it was ready; 0: it never was */
	enum worker_exit why;
	int signal, status;
	bool reported; /* EXITED came: signal, status and use are known */
	uint64_t memory_peak, cpu_ms;
	unsigned calls; /* in flight when it ended */
	char version[EXIT_VERSION_MAX + 1];
	char syscall[EXIT_SYSCALL_MAX + 1];
	char text[EXIT_TEXT_MAX];
	/* JSON arrays on the heap, NULL for none. */
	char *calls_json;  /* [{"request_id","user","kind","ms"}] of EXIT_CALLS_MAX calls */
	char *log_json;    /* ["…"]: the last records of its log */
	char *output_json; /* ["…"]: the last lines of its stdout and stderr */
};

struct exits {
	struct exit_entry *entries; /* oldest first */
	unsigned n, kept;
	uint64_t counts[EXITS_N];
	uint64_t memory_peak; /* of any worker that has ended */
};

/** @param kept how many entries are kept: MOZAIKS_EXITS_KEPT. */
void exits_init(struct exits *x, unsigned kept);
void exits_deinit(struct exits *x);

/** Counts an end and adds it to the history; the oldest normal end gives way first. Takes the JSON
 * texts of `e` over, also when there is no memory for the entry. */
void exits_add(struct exits *x, const struct exit_entry *e);

/* What EXITED says (common/proto/messages.h). */
struct exit_report {
	enum worker_exit why;
	int signal, status;
	uint64_t memory_peak, cpu_ms;
	char syscall[EXIT_SYSCALL_MAX + 1];
	char text[EXIT_TEXT_MAX];
	char *output_json; /* heap; exit_report_deinit() */
};

/** Reads EXITED's JSON, leniently: what is missing or strange stays empty. */
void exit_report_read(struct exit_report *ret, struct slice json);
void exit_report_deinit(struct exit_report *report);

/**
 * EXITED for a worker that has ended already. Its `output_json` is taken over when it is kept.
 * @return the entry, or NULL when none is kept for this worker.
 */
const struct exit_entry *exits_complete(
	struct exits *x, uint64_t worker, struct exit_report *report);

/** The last entry that is no normal end, or NULL. */
const struct exit_entry *exits_last_failure(const struct exits *x);

/** How many ends were of a class. */
uint64_t exits_count(const struct exits *x, enum exit_class class);
