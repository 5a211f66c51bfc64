#include "common/base/log_tail.h"

void log_tail_init(struct log_tail *t, size_t max)
{
	buffer_init(&t->text, max);
}

void log_tail_deinit(struct log_tail *t)
{
	buffer_deinit(&t->text);
}

/* The first line of the text, with its end. */
static size_t first_line(struct slice text)
{
	const uint8_t *end = text.n == 0 ? NULL : memchr(text.p, '\n', text.n);
	return end == NULL ? text.n : (size_t)(end - text.p) + 1;
}

/* Cut between characters, not in one. */
static struct slice cut(struct slice line, size_t max)
{
	size_t n = line.n;
	if (n > max) {
		n = max;
		while (n > 0 && (line.p[n] & 0xc0) == 0x80) {
			n--;
		}
	}
	return slice_of(line.p, n);
}

void log_tail_add(struct log_tail *t, struct slice line)
{
	size_t limit = t->text.limit;
	if (limit == 0) {
		return;
	}
	line = cut(line, limit - 1 < LOG_TAIL_LINE_MAX ? limit - 1 : LOG_TAIL_LINE_MAX);
	size_t drop = 0;
	while (t->text.n - drop + line.n + 1 > limit) {
		drop += first_line(slice_skip(buffer_slice(&t->text), drop));
	}
	buffer_consume(&t->text, drop);
	size_t start = t->text.n;
	if (buffer_append(&t->text, line) < 0 || buffer_append_byte(&t->text, '\n') < 0) {
		t->text.n = start;
		return;
	}
	for (size_t i = start; i < t->text.n - 1; i++) {
		bool ends = t->text.p[i] == '\n' || t->text.p[i] == '\r';
		t->text.p[i] = ends ? ' ' : t->text.p[i];
	}
}

int log_tail_append_json(const struct log_tail *t, struct buffer *out)
{
	int r = buffer_append_byte(out, '[');
	struct slice rest = buffer_slice(&t->text);
	for (bool first = true; rest.n > 0 && r == 0; first = false) {
		size_t n = first_line(rest);
		r = first ? 0 : buffer_append_byte(out, ',');
		r = r < 0 ? r : buffer_append_json(out, slice_of(rest.p, n - 1));
		rest = slice_skip(rest, n);
	}
	return r < 0 ? r : buffer_append_byte(out, ']');
}
