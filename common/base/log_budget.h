/*
 * How much a plugin may log: a bucket of bytes that fills with time. What does not fit is dropped
 * and counted, and the count becomes a record of its own. Not thread-safe.
 */
#pragma once

#include "common/base/slice.h"

enum {
	/* What a record costs beside its text: time, plugin and the other fields. */
	LOG_RECORD_COST = 160,
	LOG_BUDGET_REPORT_MS = 1000,
};

struct log_budget {
	uint64_t rate;  /* bytes per second: MOZAIKS_PLUGIN_LOG_RATE */
	uint64_t burst; /* bytes: MOZAIKS_PLUGIN_LOG_BURST */
	uint64_t left;
	uint64_t filled_ms;
	/* Not reported yet. */
	uint64_t dropped_lines;
	uint64_t dropped_bytes;
	uint64_t reported_ms;
};

void log_budget_init(struct log_budget *b, uint64_t rate, uint64_t burst, uint64_t now_ms);

/** Takes the cost of a line. @return false when it must be dropped; then it is counted. */
bool log_budget_take(struct log_budget *b, size_t bytes, uint64_t now_ms);

/** Logs what was dropped since the last report, every LOG_BUDGET_REPORT_MS or `at_once`. */
void log_budget_report(struct log_budget *b, struct slice plugin, uint64_t now_ms, bool at_once);
