#include "director/ctl/table.h"

#include "director/ctl/ctl.h"
#include "director/ctl/output.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

enum { TEXT_MAX = 64 * 1024 * 1024, CELL_MAX = 512 };

struct span {
	size_t start, n;
};

void table_init(struct table *t, const char *const *head, size_t columns)
{
	*t = (struct table){ .columns = columns };
	buffer_init(&t->text, TEXT_MAX);
	buffer_init(&t->spans, TEXT_MAX);
	for (size_t i = 0; i < columns; i++) {
		table_add(t, slice_str(head[i]));
	}
}

void table_deinit(struct table *t)
{
	buffer_deinit(&t->text);
	buffer_deinit(&t->spans);
}

void table_add(struct table *t, struct slice cell)
{
	struct span s = { t->text.n, cell.n };
	int r = t->error;
	r = r < 0 ? r : buffer_append(&t->text, cell);
	r = r < 0 ? r : buffer_append(&t->spans, slice_of(&s, sizeof(s)));
	t->error = r;
}

void table_addf(struct table *t, const char *format, ...)
{
	char text[CELL_MAX];
	va_list args;
	va_start(args, format);
	int n = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	size_t size = n < 0 ? 0 : (size_t)n;
	table_add(t, slice_of(text, size < sizeof(text) ? size : sizeof(text) - 1));
}

int table_print(const struct table *t)
{
	size_t n = t->spans.n / sizeof(struct span);
	struct slice *cells = t->error < 0 ? NULL : calloc(n, sizeof(*cells));
	if (cells == NULL) {
		output_error("no memory for the table");
		return CTL_FAILURE;
	}
	for (size_t i = 0; i < n; i++) {
		struct span s;
		memcpy(&s, t->spans.p + i * sizeof(s), sizeof(s));
		cells[i] = slice_of(t->text.p + s.start, s.n);
	}
	int status = output_table(cells, n / t->columns, t->columns);
	free(cells);
	return status;
}
