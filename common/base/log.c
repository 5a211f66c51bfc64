#include "common/base/log.h"

#include "common/base/buffer.h"
#include "common/base/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum format { FORMAT_JSON, FORMAT_TEXT, FORMAT_JOURNAL };

static struct {
	const char *program;
	enum log_level max_level;
	enum format format;
} state = { .program = "mozaiks", .max_level = LOG_INFO, .format = FORMAT_JSON };

static const char *level_name(enum log_level level)
{
	switch (level) {
	case LOG_ERROR:
		return "error";
	case LOG_WARNING:
		return "warning";
	case LOG_INFO:
		return "info";
	case LOG_DEBUG:
		return "debug";
	}
	return "info";
}

void log_init(const char *program, enum log_level max_level)
{
	state.program = program;
	state.max_level = max_level;
	state.format = isatty(STDERR_FILENO) != 0  ? FORMAT_TEXT
		: getenv("JOURNAL_STREAM") != NULL ? FORMAT_JOURNAL
						   : FORMAT_JSON;
}

enum log_level log_max_level(void)
{
	return state.max_level;
}

bool log_level_parse(struct slice s, enum log_level *ret_level)
{
	static const enum log_level levels[] = { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };
	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		if (slice_eq(s, slice_str(level_name(levels[i])))) {
			*ret_level = levels[i];
			return true;
		}
	}
	return false;
}

static struct slice cut(struct slice s)
{
	return slice_of(s.p, s.n > LOG_VALUE_MAX ? LOG_VALUE_MAX : s.n);
}

static void write_json(struct buffer *b,
	enum log_level level,
	const char *id,
	const struct log_field *fields,
	size_t n_fields,
	struct slice message)
{
	char now[CLOCK_TEXT_SIZE];
	clock_text(clock_unix_ms(), now);
	(void)buffer_printf(b, "{\"time\":\"%s\",\"level\":\"%s\",\"program\":\"%s\",\"id\":\"%s\"",
		now, level_name(level), state.program, id);
	for (size_t i = 0; i < n_fields; i++) {
		(void)buffer_printf(b, ",\"%s\":", fields[i].name);
		(void)buffer_append_json(b, cut(fields[i].value));
	}
	(void)buffer_append(b, SLICE(",\"message\":"));
	(void)buffer_append_json(b, cut(message));
	(void)buffer_append_byte(b, '}');
}

static void write_text(struct buffer *b,
	enum log_level level,
	const char *id,
	const struct log_field *fields,
	size_t n_fields,
	struct slice message)
{
	(void)buffer_printf(b, "%-7s %s: ", level_name(level), id);
	/* Quoted only where it must be: the escaped form is longer than the text and two quotes. */
	size_t start = b->n;
	(void)buffer_append_json(b, cut(message));
	if (b->n - start == message.n + 2) {
		memmove(b->p + start, b->p + start + 1, message.n);
		b->n -= 2;
	}
	for (size_t i = 0; i < n_fields; i++) {
		(void)buffer_printf(b, " %s=", fields[i].name);
		(void)buffer_append_json(b, cut(fields[i].value));
	}
}

__attribute__((format(printf, 5, 0))) static void write_record(enum log_level level,
	const char *id,
	const struct log_field *fields,
	size_t n_fields,
	const char *format,
	va_list args)
{
	char message[1024];
	int n = vsnprintf(message, sizeof(message), format, args);
	size_t length = n < 0 ? 0 : (size_t)n >= sizeof(message) ? sizeof(message) - 1 : (size_t)n;
	struct buffer b;
	buffer_init(&b, (LOG_FIELDS_MAX + 1) * (size_t)LOG_VALUE_MAX * 6);
	if (state.format == FORMAT_JOURNAL) {
		(void)buffer_printf(&b, "<%d>", (int)level);
	}
	if (state.format == FORMAT_TEXT) {
		write_text(&b, level, id, fields, n_fields, slice_of(message, length));
	} else {
		write_json(&b, level, id, fields, n_fields, slice_of(message, length));
	}
	(void)buffer_append_byte(&b, '\n');
	/* One write per record, so that records of several processes do not mix. A full or closed
	 * pipe loses the record: logging must not stop the service. */
	ssize_t written = write(STDERR_FILENO, b.p, b.n);
	(void)written;
	buffer_deinit(&b);
}

void log_event(enum log_level level, const char *id, const char *format, ...)
{
	if (level > state.max_level) {
		return;
	}
	va_list args;
	va_start(args, format);
	write_record(level, id, NULL, 0, format, args);
	va_end(args);
}

void log_fields(enum log_level level,
	const char *id,
	const struct log_field *fields,
	size_t n_fields,
	const char *format,
	...)
{
	if (level > state.max_level) {
		return;
	}
	va_list args;
	va_start(args, format);
	write_record(level, id, fields, n_fields > LOG_FIELDS_MAX ? LOG_FIELDS_MAX : n_fields,
		format, args);
	va_end(args);
}
