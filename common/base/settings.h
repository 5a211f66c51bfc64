/*
 * Settings from the environment, as a declarative table: name, kind, default, rule, and where the
 * value goes. One reader for both programs, so that a bad value always stops the start with a
 * message that names the setting, its value and the rule.
 *
 * An empty value counts as unset. Texts point into the environment or at the default: a program
 * that scrubs its environment copies them first. Call before threads exist.
 */
#pragma once

#include "common/base/buffer.h"
#include "common/base/slice.h"

enum setting_kind {
	/* const char *: valid UTF-8 without control bytes, min to max bytes. */
	SETTING_TEXT,
	/* const char *: like TEXT, but a message never shows it. */
	SETTING_SECRET,
	/* const char *: [A-Za-z0-9._-], min to max bytes. */
	SETTING_NAME,
	/* const char *: a file system path of up to PATH_MAX - 1 bytes. */
	SETTING_PATH,
	/* uint64_t: a whole number in [min, max]. */
	SETTING_NUMBER,
	/* uint64_t: bytes in [min, max]; K, M and G mean KiB, MiB and GiB. */
	SETTING_BYTES,
	/* bool: 1/0, true/false, yes/no, on/off. */
	SETTING_SWITCH,
	/* int: the index of the value in `choices`. */
	SETTING_CHOICE,
	/* uint64_t: milliseconds in [min, max], written as seconds: "30", "0.5". */
	SETTING_SECONDS,
};

struct setting {
	const char *name;
	enum setting_kind kind;
	/* offsetof() the value in the target struct. */
	size_t offset;
	/* Used when the variable is unset; it obeys the same rule. NULL leaves the target as it is
	 * (a zeroed struct: NULL, 0, false). */
	const char *fallback;
	uint64_t min;
	uint64_t max;
	/* NULL-terminated, for SETTING_CHOICE. */
	const char *const *choices;
	/* Another name, read when the variable itself is unset; may be NULL. */
	const char *alias;
	/* A sentence or two for --help and the manual; may be NULL. */
	const char *help;
};

enum settings_result {
	_SETTINGS_OK,
	/* A value breaks its rule; the message says which. */
	SETTINGS_E_INVALID,
};

/**
 * Reads every row into `target`. Stops at the first bad value.
 * @param message gets the text of SETTINGS_E_INVALID, for the operator.
 * @return 0, SETTINGS_E_INVALID, -ENOMEM, -ENOBUFS (message buffer too small).
 */
int settings_read(const struct setting *table, size_t n, void *target, struct buffer *message);

/**
 * Stores one value by its row's rule; settings_read() is this for each row.
 * @param name what the message calls it: the row's name, its alias, or where it came from.
 * @return as settings_read().
 */
int setting_apply(const struct setting *row,
	const char *name,
	const char *value,
	void *target,
	struct buffer *message);

/** Appends the row's rule, e.g. "must be a whole number from 1 to 65535". @return as buffer_append().
 */
int setting_append_rule(struct buffer *b, const struct setting *row);

/** Was the variable given (and not empty)? A default path may be missing, a given one may not. */
bool setting_is_set(const char *name);
