#include "director/ctl/output.h"

#include "director/ctl/ctl.h"

#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

enum { OUTPUT_MAX = 64 * 1024 * 1024, CELL_GAP = 2, MESSAGE_MAX_BYTES = 4096 };

/* The code point of a well-formed sequence of `n` bytes. */
static uint32_t code_point(const uint8_t *p, size_t n)
{
	static const uint8_t masks[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
	uint32_t c = p[0] & masks[n];
	for (size_t i = 1; i < n; i++) {
		c = c << 6 | (p[i] & 0x3fU);
	}
	return c;
}

/* C0, DEL, C1; marks, embeddings, overrides and isolates of direction (Unicode 15, 23.2 and UAX 9);
 * line and paragraph separator. */
static bool is_harmful(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x061c ||
		(c >= 0x200e && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
		(c >= 0x2066 && c <= 0x2069);
}

int output_escape(struct buffer *b, struct slice s, bool lines)
{
	int r = 0;
	while (s.n > 0 && r == 0) {
		size_t n = utf8_sequence(s.p, s.n);
		uint32_t c = n == 0 ? 0xfffd : code_point(s.p, n);
		bool kept = n > 0 && (!is_harmful(c) || (lines && (c == '\n' || c == '\t')));
		r = kept ? buffer_append(b, slice_of(s.p, n)) : buffer_printf(b, "\\u%04x", c);
		s = slice_skip(s, n == 0 ? 1 : n);
	}
	return r;
}

static int print(FILE *file, struct slice s)
{
	bool good = fwrite(s.p, 1, s.n, file) == s.n && fflush(file) == 0;
	return good ? CTL_OK : CTL_FAILURE;
}

static int print_out(struct slice s)
{
	if (print(stdout, s) != CTL_OK) {
		output_error("the output cannot be written");
		return CTL_FAILURE;
	}
	return CTL_OK;
}

__attribute__((format(printf, 2, 0))) static void print_message(
	const char *head, const char *format, va_list args)
{
	char text[MESSAGE_MAX_BYTES];
	struct buffer b;
	int n = vsnprintf(text, sizeof(text), format, args);
	size_t length = n < 0 ? 0 : (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1;
	buffer_init(&b, OUTPUT_MAX);
	int r = buffer_append(&b, slice_str(head));
	r = r < 0 ? r : output_escape(&b, slice_of(text, length), true);
	r = r < 0 ? r : buffer_append_byte(&b, '\n');
	if (r == 0) {
		(void)print(stderr, buffer_slice(&b));
	}
	buffer_deinit(&b);
}

void output_error(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	print_message("mozaiksctl: ", format, args);
	va_end(args);
}

void output_hint(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	print_message("  ", format, args);
	va_end(args);
}

int output_document(struct slice s)
{
	struct buffer b;
	buffer_init(&b, OUTPUT_MAX);
	int r = isatty(STDOUT_FILENO) != 0 ? output_escape(&b, s, true) : buffer_append(&b, s);
	if (r == 0 && (s.n == 0 || s.p[s.n - 1] != '\n')) {
		r = buffer_append_byte(&b, '\n');
	}
	if (r < 0) {
		output_error("no memory for the output");
	}
	int status = r < 0 ? CTL_FAILURE : print_out(buffer_slice(&b));
	buffer_deinit(&b);
	return status;
}

static size_t width(struct slice s)
{
	size_t n = 0;
	for (size_t i = 0; i < s.n; i++) {
		n += (s.p[i] & 0xc0) != 0x80;
	}
	return n;
}

static int append_padding(struct buffer *b, size_t n)
{
	int r = 0;
	for (size_t i = 0; i < n && r == 0; i++) {
		r = buffer_append_byte(b, ' ');
	}
	return r;
}

static int append_row(
	struct buffer *b, const struct buffer *cells, size_t columns, const size_t *widths)
{
	int r = 0;
	/* No blanks at the end of a line whose last cells are empty. */
	size_t used = columns;
	while (used > 0 && cells[used - 1].n == 0) {
		used--;
	}
	for (size_t c = 0; c < used && r == 0; c++) {
		r = buffer_append(b, buffer_slice(&cells[c]));
		if (r == 0 && c + 1 < used) {
			r = append_padding(
				b, widths[c] - width(buffer_slice(&cells[c])) + (size_t)CELL_GAP);
		}
	}
	return r < 0 ? r : buffer_append_byte(b, '\n');
}

static int format_table(struct buffer *out, const struct buffer *cells, size_t rows, size_t columns)
{
	size_t *widths = calloc(columns, sizeof(*widths));
	if (widths == NULL) {
		return -1;
	}
	for (size_t i = 0; i < rows * columns; i++) {
		size_t w = width(buffer_slice(&cells[i]));
		widths[i % columns] = w > widths[i % columns] ? w : widths[i % columns];
	}
	int r = 0;
	for (size_t i = 0; i < rows && r == 0; i++) {
		r = append_row(out, cells + i * columns, columns, widths);
	}
	free(widths);
	return r;
}

int output_table(const struct slice *cells, size_t rows, size_t columns)
{
	struct buffer out;
	struct buffer *escaped = calloc(rows * columns, sizeof(*escaped));
	int r = escaped == NULL ? -1 : 0;
	buffer_init(&out, OUTPUT_MAX);
	for (size_t i = 0; escaped != NULL && i < rows * columns; i++) {
		buffer_init(&escaped[i], OUTPUT_MAX);
		r = r < 0 ? r : output_escape(&escaped[i], cells[i], false);
	}
	r = r < 0 ? r : format_table(&out, escaped, rows, columns);
	if (r < 0) {
		output_error("no memory for the output");
	}
	int status = r < 0 ? CTL_FAILURE : print_out(buffer_slice(&out));
	for (size_t i = 0; escaped != NULL && i < rows * columns; i++) {
		buffer_deinit(&escaped[i]);
	}
	free(escaped);
	buffer_deinit(&out);
	return status;
}
