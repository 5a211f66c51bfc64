/* The table of settings in words. */
#include "pluginhost/settings.h"

enum { HELP_COLUMN = 76 };

/* Appends words, wrapped, each line after `indent`. */
static int append_wrapped(struct buffer *out, const char *indent, struct slice text)
{
	size_t column = 0;
	int r = 0;
	while (text.n > 0 && r == 0) {
		const uint8_t *blank = memchr(text.p, ' ', text.n);
		size_t n = blank == NULL ? text.n : (size_t)(blank - text.p);
		bool wrap = column + 1 + n > HELP_COLUMN;
		r = column == 0 ? buffer_append(out, slice_str(indent))
			: wrap  ? buffer_printf(out, "\n%s", indent)
				: buffer_append_byte(out, ' ');
		r = r < 0 ? r : buffer_append(out, slice_of(text.p, n));
		column = column == 0 || wrap ? n : column + 1 + n;
		text = slice_skip(text, blank == NULL ? n : n + 1);
	}
	return r < 0 ? r : buffer_append_byte(out, '\n');
}

/* "Value: " and the rule without its "must be ". */
static int append_value(struct buffer *out, const struct setting *row)
{
	struct buffer rule;
	buffer_init(&rule, 512);
	int r = setting_append_rule(&rule, row);
	struct slice text = buffer_slice(&rule);
	if (slice_starts(text, SLICE("must be "))) {
		text = slice_skip(text, sizeof("must be ") - 1);
	}
	r = r < 0 ? r : buffer_append(out, SLICE("Value: "));
	r = r < 0 ? r : buffer_append(out, text);
	r = r < 0 ? r : buffer_append_byte(out, '.');
	buffer_deinit(&rule);
	return r;
}

static int describe_row(
	enum settings_form form, const struct setting *row, struct slice value, struct buffer *out)
{
	const char *fallback = row->fallback == NULL ? "unset" : row->fallback;
	int r;
	if (form == SETTINGS_HELP) {
		r = buffer_printf(out, "  %s (%s)\n", row->name, fallback);
		r = r < 0 ? r : append_wrapped(out, "      ", slice_str(row->help));
		return r < 0 ? r : append_wrapped(out, "      ", value);
	}
	r = buffer_printf(out, ".TP\n.BR %s \" (%s)\"\n%s\n", row->name, fallback, row->help);
	r = r < 0 ? r : buffer_append(out, value);
	return r < 0 ? r : buffer_append_byte(out, '\n');
}

int settings_describe(enum settings_form form, struct buffer *out)
{
	size_t n;
	const struct setting *rows = settings_rows(&n);
	int r = 0;
	for (size_t i = 0; i < n && r == 0; i++) {
		struct buffer value;
		buffer_init(&value, 600);
		r = append_value(&value, &rows[i]);
		r = r < 0 ? r : describe_row(form, &rows[i], buffer_slice(&value), out);
		buffer_deinit(&value);
	}
	return r;
}
