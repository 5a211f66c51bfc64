#include "common/base/settings.h"

#include "common/base/error.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

bool setting_is_set(const char *name)
{
	const char *value = getenv(name);
	return value != NULL && value[0] != '\0';
}

static bool is_plain_text(struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < 0x20 || s.p[i] == 0x7f) {
			return false;
		}
	}
	return slice_is_utf8(s);
}

static bool parse_bytes(struct slice s, uint64_t max, uint64_t *ret)
{
	static const char units[] = "KMG";
	uint64_t factor = 1;
	if (s.n > 1) {
		const char *unit = memchr(units, s.p[s.n - 1], sizeof(units) - 1);
		if (unit != NULL) {
			factor = UINT64_C(1024) << (10 * (unit - units));
			s.n--;
		}
	}
	uint64_t n;
	if (!slice_to_u64(s, max / factor, &n)) {
		return false;
	}
	*ret = n * factor;
	return true;
}

/* Up to three decimals; "1." and ".5" are no numbers. */
static bool parse_seconds(struct slice s, uint64_t max_ms, uint64_t *ret_ms)
{
	const uint8_t *point = s.n == 0 ? NULL : memchr(s.p, '.', s.n);
	struct slice whole = slice_of(s.p, point == NULL ? s.n : (size_t)(point - s.p));
	uint64_t ms = 0;
	if (!slice_to_u64(whole, max_ms / 1000, &ms)) {
		return false;
	}
	ms *= 1000;
	if (point != NULL) {
		struct slice decimals = slice_skip(s, whole.n + 1);
		if (decimals.n == 0 || decimals.n > 3) {
			return false;
		}
		uint64_t unit = 100;
		for (size_t i = 0; i < decimals.n; i++, unit /= 10) {
			if (decimals.p[i] < '0' || decimals.p[i] > '9') {
				return false;
			}
			ms += unit * (uint64_t)(decimals.p[i] - '0');
		}
	}
	*ret_ms = ms;
	return ms <= max_ms;
}

static bool parse_switch(struct slice s, bool *ret)
{
	static const char *const words[] = { "0", "1", "false", "true", "no", "yes", "off", "on" };
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (slice_eq_nocase(s, slice_str(words[i]))) {
			*ret = (i & 1) != 0;
			return true;
		}
	}
	return false;
}

static bool parse_choice(struct slice s, const char *const *choices, int *ret)
{
	for (int i = 0; choices[i] != NULL; i++) {
		if (slice_eq_nocase(s, slice_str(choices[i]))) {
			*ret = i;
			return true;
		}
	}
	return false;
}

static bool text_fits(const struct setting *row, struct slice s)
{
	switch (row->kind) {
	case SETTING_NAME:
		return s.n >= row->min && slice_is_name(s, (size_t)row->max);
	case SETTING_PATH:
		return s.n >= 1 && s.n < PATH_MAX;
	case SETTING_TEXT:
	case SETTING_SECRET:
		return s.n >= row->min && s.n <= row->max && is_plain_text(s);
	case SETTING_NUMBER:
	case SETTING_BYTES:
	case SETTING_SWITCH:
	case SETTING_CHOICE:
	case SETTING_SECONDS:
		break;
	}
	return false;
}

static bool parse_number(const struct setting *row, struct slice s, uint64_t *ret)
{
	bool good = row->kind == SETTING_NUMBER ? slice_to_u64(s, row->max, ret)
		: row->kind == SETTING_BYTES    ? parse_bytes(s, row->max, ret)
						: parse_seconds(s, row->max, ret);
	return good && *ret >= row->min;
}

/* Stores the value when it obeys the rule of its row. */
static bool store_value(const struct setting *row, const char *value, uint8_t *to)
{
	struct slice s = slice_str(value);
	uint64_t n = 0;
	bool on = false;
	int index = 0;
	switch (row->kind) {
	case SETTING_TEXT:
	case SETTING_SECRET:
	case SETTING_NAME:
	case SETTING_PATH:
		if (!text_fits(row, s)) {
			return false;
		}
		memcpy(to, &value, sizeof(value));
		return true;
	case SETTING_NUMBER:
	case SETTING_BYTES:
	case SETTING_SECONDS:
		if (!parse_number(row, s, &n)) {
			return false;
		}
		memcpy(to, &n, sizeof(n));
		return true;
	case SETTING_SWITCH:
		if (!parse_switch(s, &on)) {
			return false;
		}
		memcpy(to, &on, sizeof(on));
		return true;
	case SETTING_CHOICE:
		if (!parse_choice(s, row->choices, &index)) {
			return false;
		}
		memcpy(to, &index, sizeof(index));
		return true;
	}
	return false;
}

static int append_choices(struct buffer *b, const char *const *choices)
{
	int r = buffer_printf(b, "must be one of");
	for (int i = 0; r == 0 && choices[i] != NULL; i++) {
		r = buffer_printf(b, "%s %s", i == 0 ? "" : ",", choices[i]);
	}
	return r;
}

int setting_append_rule(struct buffer *b, const struct setting *row)
{
	unsigned long long min = row->min;
	unsigned long long max = row->max;
	switch (row->kind) {
	case SETTING_TEXT:
	case SETTING_SECRET:
		return buffer_printf(b,
			"must be UTF-8 text of %llu to %llu bytes without control bytes", min, max);
	case SETTING_NAME:
		return buffer_printf(
			b, "must be %llu to %llu of the characters A-Z a-z 0-9 . _ -", min, max);
	case SETTING_PATH:
		return buffer_printf(b, "must be a path of 1 to %d bytes", PATH_MAX - 1);
	case SETTING_NUMBER:
		return buffer_printf(b, "must be a whole number from %llu to %llu", min, max);
	case SETTING_BYTES:
		return buffer_printf(b,
			"must be a number of bytes from %llu to %llu (K, M and G mean KiB, MiB and GiB)",
			min, max);
	case SETTING_SWITCH:
		return buffer_printf(b, "must be 1 or 0 (true/false, yes/no, on/off)");
	case SETTING_CHOICE:
		return append_choices(b, row->choices);
	case SETTING_SECONDS:
		return buffer_printf(b,
			"must be a number of seconds from %g to %g, up to 3 decimals",
			(double)min / 1000, (double)max / 1000);
	}
	return 0;
}

static int explain(struct buffer *b, const struct setting *row, const char *name, const char *value)
{
	int r = buffer_printf(b, "%s=", name);
	if (r == 0) {
		r = row->kind == SETTING_SECRET ? buffer_printf(b, "(not shown)")
						: buffer_append_json(b, slice_str(value));
	}
	r = r < 0 ? r : buffer_printf(b, ": ");
	r = r < 0 ? r : setting_append_rule(b, row);
	return r < 0 ? r : SETTINGS_E_INVALID;
}

int setting_apply(const struct setting *row,
	const char *name,
	const char *value,
	void *target,
	struct buffer *message)
{
	if (store_value(row, value, (uint8_t *)target + row->offset)) {
		return 0;
	}
	/* A default that breaks its own rule is our mistake. */
	invariant(value != row->fallback);
	return explain(message, row, name, value);
}

int settings_read(const struct setting *table, size_t n, void *target, struct buffer *message)
{
	for (size_t i = 0; i < n; i++) {
		const struct setting *row = &table[i];
		bool aliased = !setting_is_set(row->name) && row->alias != NULL &&
			setting_is_set(row->alias);
		const char *name = aliased ? row->alias : row->name;
		const char *value = setting_is_set(name) ? getenv(name) : row->fallback;
		int r = value == NULL ? 0 : setting_apply(row, name, value, target, message);
		if (r != 0) {
			return r;
		}
	}
	return 0;
}
