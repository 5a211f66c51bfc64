/*
 * The settings as the documents show them. `settings-docs FORM FILE` fails when the part of FILE
 * between the lines that contain "begin settings" and "end settings" is not what the table says;
 * with `--write` before FORM it puts it there. FORM is markdown or man.
 */
#include "common/base/error.h"
#include "director/config/file.h"
#include "director/config/settings.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

enum { DOCUMENT_MAX = 1 << 20 };

/* The text between the two marker lines. */
static bool find_part(struct slice text, struct slice *ret_part)
{
	const uint8_t *begin = memmem(text.p, text.n, "begin settings", 14);
	const uint8_t *end = memmem(text.p, text.n, "end settings", 12);
	if (begin == NULL || end == NULL || end < begin) {
		return false;
	}
	const uint8_t *start = memchr(begin, '\n', (size_t)(end - begin));
	const uint8_t *stop = memrchr(begin, '\n', (size_t)(end - begin));
	if (start == NULL || stop == NULL) {
		return false;
	}
	*ret_part = slice_of(start + 1, (size_t)(stop - start));
	return true;
}

static int replace_part(const char *path, struct slice text, struct slice part, struct slice wanted)
{
	struct buffer b;
	size_t before = (size_t)(part.p - text.p);
	buffer_init(&b, DOCUMENT_MAX);
	int r = buffer_append(&b, slice_of(text.p, before));
	r = r < 0 ? r : buffer_append(&b, wanted);
	r = r < 0 ? r : buffer_append(&b, slice_skip(text, before + part.n));
	FILE *file = r < 0 ? NULL : fopen(path, "we");
	bool written = file != NULL && fwrite(b.p, 1, b.n, file) == b.n;
	if (file != NULL && fclose(file) != 0) {
		written = false;
	}
	buffer_deinit(&b);
	return written ? 0 : 1;
}

int main(int argc, char **argv)
{
	bool write = argc == 4 && strcmp(argv[1], "--write") == 0;
	if (argc != 3 && !write) {
		fprintf(stderr, "usage: settings-docs [--write] markdown|man FILE\n");
		return 2;
	}
	const char *path = argv[argc - 1];
	bool man = strcmp(argv[argc - 2], "man") == 0;
	struct buffer text;
	struct buffer wanted;
	struct slice part = SLICE_NULL;
	buffer_init(&text, DOCUMENT_MAX);
	buffer_init(&wanted, DOCUMENT_MAX);
	int status = 1;
	if (file_read(AT_FDCWD, path, &text) < 0 || !find_part(buffer_slice(&text), &part) ||
		settings_describe(man ? SETTINGS_MAN : SETTINGS_MARKDOWN, &wanted) < 0) {
		fprintf(stderr,
			"%s: cannot be read, or has no \"begin settings\" and \"end settings\"\n",
			path);
	} else if (slice_eq(part, buffer_slice(&wanted))) {
		status = 0;
	} else if (write) {
		status = replace_part(path, buffer_slice(&text), part, buffer_slice(&wanted));
	} else {
		fprintf(stderr,
			"%s: the settings differ from the table: settings-docs --write %s %s\n",
			path, argv[1], path);
	}
	buffer_deinit(&text);
	buffer_deinit(&wanted);
	return status;
}
