/*
 * Why a worker ended, in the words of EXITED (common/proto/messages.h) and in a sentence for people:
 *
 *   {"reason":"exit|signal|oom|sandbox|start|killed|zygote","signal":n,"status":n,"message":"…",
 *    "syscall":"…"|null,"usage":{"memory_peak":bytes,"cpu_ms":n},"output":["…"]}
 *
 * `syscall` is the one that was denied, with signal SIGSYS and where it is known (denied.h).
 *
 * Pure.
 */
#pragma once

#include "common/base/buffer.h"
#include "common/base/log_tail.h"
#include "pluginhost/zygote.h"

enum { EXIT_REASON_TEXT_MAX = 512, EXIT_REASON_JSON_MAX = 60000 };

struct exit_reason {
	enum worker_end reason;
	int signal;
	int status;
	/* What the zygote or pluginhost adds; "" for nothing. */
	const char *message;
	/* NULL or "": not known. */
	const char *syscall;
	uint64_t memory_limit;
	unsigned all_memory_percent; /* of all workers together */
	uint64_t memory_peak;
	uint64_t cpu_us;
	/* The last of its output; NULL for none. */
	const struct log_tail *output;
};

/** A sentence: what happened, with the limit and its setting where one was hit. */
void exit_reason_text(const struct exit_reason *e, char out[static EXIT_REASON_TEXT_MAX]);

/** Appends the JSON object. @return 0, -ENOBUFS, -ENOMEM. */
int exit_reason_append(struct buffer *b, const struct exit_reason *e);
