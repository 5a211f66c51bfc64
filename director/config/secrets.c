#include "director/config/secrets.h"

#include "common/base/error.h"
#include "director/config/file.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>

enum { NAME_MAX_BYTES = 128 };

/* SECURITY: getenv() points into the area that the kernel shows as /proc/PID/environ and that an
 * exec would hand on; unsetenv() alone only drops the pointer. */
static void wipe_variable(const char *name)
{
	char *value = name == NULL ? NULL : getenv(name);
	if (value != NULL) {
		explicit_bzero(value, strlen(value));
		(void)unsetenv(name);
	}
}

static void wipe_text(char *text)
{
	if (text != NULL) {
		explicit_bzero(text, strlen(text));
		free(text);
	}
}

static void set_text(const struct setting *row, void *target, const char *text)
{
	memcpy((uint8_t *)target + row->offset, &text, sizeof(text));
}

static int refuse(struct buffer *message, const char *name, const char *path, const char *what)
{
	int r = buffer_printf(message, "%s", name);
	if (path != NULL) {
		r = r < 0 ? r : buffer_append_byte(message, '=');
		r = r < 0 ? r : buffer_append_json(message, slice_str(path));
	}
	r = r < 0 ? r : buffer_printf(message, ": %s", what);
	return r < 0 ? r : SETTINGS_E_INVALID;
}

/* Stores a copy of `value` when it obeys the row's rule. */
static int store_copy(const struct setting *row,
	const char *name,
	struct slice value,
	void *target,
	struct buffer *message)
{
	char *copy = slice_dup(value);
	if (copy == NULL) {
		return memchr(value.p, 0, value.n) == NULL
			? -ENOMEM
			: refuse(message, name, NULL, "must not contain a NUL byte");
	}
	int r = setting_apply(row, name, copy, target, message);
	if (r != 0) {
		wipe_text(copy);
		set_text(row, target, NULL);
	}
	return r;
}

static int take_file(const struct setting *row,
	const char *name,
	const char *path,
	void *target,
	struct buffer *message)
{
	struct buffer text;
	buffer_init(&text, row->max + 2);
	int r = file_read(AT_FDCWD, path, &text);
	if (r == -ENOBUFS) {
		r = refuse(message, name, path, "the file is longer than the secret may be");
	} else if (r < 0 && r != -ENOMEM) {
		char what[160];
		(void)snprintf(
			what, sizeof(what), "the file cannot be read: %s", strerrordesc_np(-r));
		r = refuse(message, name, path, what);
	} else if (r == 0) {
		if (text.n > 0 && text.p[text.n - 1] == '\n') {
			text.n--;
		}
		if (text.n > 0 && text.p[text.n - 1] == '\r') {
			text.n--;
		}
		r = store_copy(row, name, buffer_slice(&text), target, message);
	}
	if (text.p != NULL) {
		explicit_bzero(text.p, text.cap);
	}
	buffer_deinit(&text);
	return r;
}

/* @return the credential's path, or NULL when systemd gave none of this name. */
static const char *credential_path(const struct setting *row, char path[static PATH_MAX])
{
	const char *folder = getenv("CREDENTIALS_DIRECTORY");
	char name[NAME_MAX_BYTES];
	size_t n = strlen(row->name);
	invariant(n < sizeof(name));
	for (size_t i = 0; i <= n; i++) {
		name[i] = (char)tolower((unsigned char)row->name[i]);
	}
	if (folder == NULL || folder[0] != '/' ||
		snprintf(path, PATH_MAX, "%s/%s", folder, name) >= PATH_MAX) {
		return NULL;
	}
	return file_exists(path) ? path : NULL;
}

int secret_take(const struct setting *row, void *target, struct buffer *message)
{
	char file_name[NAME_MAX_BYTES];
	char path[PATH_MAX];
	(void)snprintf(file_name, sizeof(file_name), "%s_FILE", row->name);
	bool aliased =
		!setting_is_set(row->name) && row->alias != NULL && setting_is_set(row->alias);
	const char *name = aliased ? row->alias : row->name;
	const char *value = setting_is_set(name) ? getenv(name) : NULL;
	const char *file = setting_is_set(file_name) ? getenv(file_name) : NULL;
	set_text(row, target, NULL);
	int r = 0;
	if (value != NULL && file != NULL) {
		r = refuse(message, file_name, file,
			"the secret is also in the environment; give one of the two");
	} else if (value != NULL) {
		r = store_copy(row, name, slice_str(value), target, message);
	} else if (file != NULL) {
		r = take_file(row, file_name, file, target, message);
	} else {
		const char *credential = credential_path(row, path);
		r = credential == NULL ? 0 : take_file(row, row->name, credential, target, message);
	}
	wipe_variable(row->name);
	wipe_variable(row->alias);
	return r;
}

void secret_wipe(const struct setting *row, void *target)
{
	char *text;
	memcpy(&text, (uint8_t *)target + row->offset, sizeof(text));
	wipe_text(text);
	set_text(row, target, NULL);
}
