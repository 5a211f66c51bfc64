/* The table in words, and names that are almost right. */
#include "director/config/settings.h"

enum { NAME_BYTES_MAX = 64, HELP_COLUMN = 76 };

/* Appends words, wrapped, each line after `indent`. */
static int append_wrapped(struct buffer *out, const char *indent, struct slice text)
{
	size_t column = 0;
	int r = 0;
	while (text.n > 0 && r == 0) {
		const uint8_t *blank = memchr(text.p, ' ', text.n);
		size_t n = blank == NULL ? text.n : (size_t)(blank - text.p);
		bool wrap = column == 0 || column + 1 + n > HELP_COLUMN;
		r = column > 0 && wrap ? buffer_append_byte(out, '\n') : 0;
		r = r < 0 ? r : buffer_append(out, wrap ? slice_str(indent) : SLICE(" "));
		r = r < 0 ? r : buffer_append(out, slice_of(text.p, n));
		column = wrap ? n : column + 1 + n;
		text = slice_skip(text, blank == NULL ? n : n + 1);
	}
	return r < 0 ? r : buffer_append_byte(out, '\n');
}

/* "Value: " and the rule without its "must be ", and the other ways to give the value. */
static int render_rule(const struct setting *row, struct buffer *out)
{
	struct slice must = SLICE("must be ");
	int r = buffer_append(out, SLICE("Value: "));
	size_t start = out->n;
	r = r < 0 ? r : setting_append_rule(out, row);
	if (r < 0) {
		return r;
	}
	if (slice_starts(slice_skip(buffer_slice(out), start), must)) {
		memmove(out->p + start, out->p + start + must.n, out->n - start - must.n);
		out->n -= must.n;
	}
	if (row->kind == SETTING_SECRET) {
		r = buffer_printf(out, ". Also from the file named by %s_FILE", row->name);
	}
	if (r == 0 && row->alias != NULL) {
		r = buffer_printf(out, ". Also: %s", row->alias);
	}
	return r < 0 ? r : buffer_append_byte(out, '.');
}

static int describe_row(
	enum settings_form form, const struct setting *row, struct slice rule, struct buffer *out)
{
	const char *fallback = row->fallback == NULL ? "unset" : row->fallback;
	int r = 0;
	switch (form) {
	case SETTINGS_HELP:
		r = buffer_printf(out, "  %s (%s)\n", row->name, fallback);
		r = r < 0 ? r : append_wrapped(out, "      ", slice_str(row->help));
		return r < 0 ? r : append_wrapped(out, "      ", rule);
	case SETTINGS_MARKDOWN:
		r = buffer_printf(out, "| `%s` | `%s` | %s ", row->name, fallback, row->help);
		r = r < 0 ? r : buffer_append(out, rule);
		return r < 0 ? r : buffer_append(out, SLICE(" |\n"));
	case SETTINGS_MAN:
		r = buffer_printf(
			out, ".TP\n.BR %s \" (%s)\"\n%s\n", row->name, fallback, row->help);
		r = r < 0 ? r : buffer_append(out, rule);
		return r < 0 ? r : buffer_append_byte(out, '\n');
	}
	return 0;
}

int settings_describe(enum settings_form form, struct buffer *out)
{
	size_t n;
	const struct setting *rows = settings_rows(&n);
	int r = form != SETTINGS_MARKDOWN
		? 0
		: buffer_append(out, SLICE("| setting | default | meaning |\n|---|---|---|\n"));
	for (size_t i = 0; i < n && r == 0; i++) {
		struct buffer rule;
		buffer_init(&rule, 512);
		r = render_rule(&rows[i], &rule);
		r = r < 0 ? r : describe_row(form, &rows[i], buffer_slice(&rule), out);
		buffer_deinit(&rule);
	}
	return r;
}

/* Levenshtein: how many characters to insert, drop or replace. */
static size_t distance(struct slice a, struct slice b)
{
	size_t row[NAME_BYTES_MAX + 1];
	for (size_t j = 0; j <= b.n; j++) {
		row[j] = j;
	}
	for (size_t i = 1; i <= a.n; i++) {
		size_t diagonal = row[0];
		row[0] = i;
		for (size_t j = 1; j <= b.n; j++) {
			size_t replaced = diagonal + (a.p[i - 1] == b.p[j - 1] ? 0 : 1);
			size_t moved = 1 + (row[j] < row[j - 1] ? row[j] : row[j - 1]);
			diagonal = row[j];
			row[j] = replaced < moved ? replaced : moved;
		}
	}
	return row[b.n];
}

static struct slice without_prefix(struct slice name)
{
	struct slice prefix = SLICE("MOZAIKS_");
	return slice_starts(name, prefix) ? slice_skip(name, prefix.n) : name;
}

const char *settings_similar_name(struct slice name)
{
	size_t n;
	const struct setting *rows = settings_rows(&n);
	struct slice core = without_prefix(name);
	size_t best = core.n / 3 + 1;
	const char *found = NULL;
	for (size_t i = 0; i < n && core.n <= NAME_BYTES_MAX; i++) {
		struct slice other = without_prefix(slice_str(rows[i].name));
		/* The beginning of a name counts as one mistake. */
		size_t d = other.n > NAME_BYTES_MAX               ? best
			: core.n > 5 && slice_starts(other, core) ? 1
								  : distance(core, other);
		if (d < best) {
			best = d;
			found = rows[i].name;
		}
	}
	return found;
}
