/*
 * Structured log records on stderr: one line each. JSON when stderr is not a terminal, readable
 * text when it is; a `<N>` syslog prefix when systemd reads it (JOURNAL_STREAM).
 *
 * A function either logs or returns the error, never both. Every record of level warning or worse
 * has a stable id (lower case, dotted). Text from outside is quoted, escaped and cut at
 * LOG_VALUE_MAX bytes. Any thread.
 */
#pragma once

#include "common/base/slice.h"

enum { LOG_VALUE_MAX = 8192, LOG_FIELDS_MAX = 16 };

enum log_level { LOG_ERROR = 3, LOG_WARNING = 4, LOG_INFO = 6, LOG_DEBUG = 7 };

struct log_field {
	const char *name;
	struct slice value;
};

/** Names the program in each record and picks the format. Not thread-safe; call it first. */
void log_init(const char *program, enum log_level max_level);

enum log_level log_max_level(void);

/** Reads "error", "warning", "info" or "debug". */
bool log_level_parse(struct slice s, enum log_level *ret_level);

/** One record. `id` is the stable event id. */
void log_event(enum log_level level, const char *id, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/** The same with named fields, whose values may be hostile bytes. */
void log_fields(enum log_level level,
	const char *id,
	const struct log_field *fields,
	size_t n_fields,
	const char *format,
	...) __attribute__((format(printf, 5, 6)));
