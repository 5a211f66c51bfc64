/* Each kind of setting: what it takes, what it refuses, and what the refusal says. */
#include "common/base/settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

struct target {
	const char *name;
	const char *text;
	const char *path;
	uint64_t port;
	uint64_t bytes;
	bool on;
	int level;
	uint64_t wait_ms;
};

static const char *const levels[] = { "error", "info", NULL };

static const struct setting table[] = {
	{ "T_NAME", SETTING_NAME, offsetof(struct target, name), "dev", .min = 1, .max = 8 },
	{ "T_TEXT", SETTING_SECRET, offsetof(struct target, text), NULL, .min = 4, .max = 16 },
	{ "T_PATH", SETTING_PATH, offsetof(struct target, path), "plugins" },
	{ "T_PORT", SETTING_NUMBER, offsetof(struct target, port), "8080", .min = 1, .max = 65535 },
	{ "T_BYTES", SETTING_BYTES, offsetof(struct target, bytes), "64M", .min = 1,
		.max = 1 << 30 },
	{ "T_ON", SETTING_SWITCH, offsetof(struct target, on), NULL },
	{ "T_LEVEL", SETTING_CHOICE, offsetof(struct target, level), "info", .choices = levels },
	{ "T_WAIT", SETTING_SECONDS, offsetof(struct target, wait_ms), "30", .min = 100,
		.max = 3600000, .alias = "T_OLD_WAIT" },
};

static int read_with(
	const char *name, const char *value, struct target *target, char message[static 512])
{
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		unsetenv(table[i].name);
	}
	unsetenv("T_OLD_WAIT");
	if (name != NULL) {
		setenv(name, value, 1);
	}
	struct buffer b;
	buffer_init(&b, 511);
	*target = (struct target){ 0 };
	int r = settings_read(table, sizeof(table) / sizeof(table[0]), target, &b);
	memcpy(message, b.p == NULL ? (const uint8_t *)"" : b.p, b.n);
	message[b.n] = '\0';
	buffer_deinit(&b);
	return r;
}

static void defaults_apply(void **state)
{
	struct target t;
	char message[512];
	assert_int_equal(read_with(NULL, NULL, &t, message), 0);
	assert_string_equal(t.name, "dev");
	assert_null(t.text);
	assert_string_equal(t.path, "plugins");
	assert_int_equal(t.port, 8080);
	assert_int_equal(t.bytes, 64 << 20);
	assert_false(t.on);
	assert_int_equal(t.level, 1);
	assert_int_equal(t.wait_ms, 30000);
	/* Empty is unset. */
	assert_int_equal(read_with("T_PORT", "", &t, message), 0);
	assert_int_equal(t.port, 8080);
}

static void good_values_are_taken(void **state)
{
	struct target t;
	char message[512];
	assert_int_equal(read_with("T_PORT", "65535", &t, message), 0);
	assert_int_equal(t.port, 65535);
	assert_int_equal(read_with("T_BYTES", "1G", &t, message), 0);
	assert_int_equal(t.bytes, 1 << 30);
	assert_int_equal(read_with("T_BYTES", "12", &t, message), 0);
	assert_int_equal(t.bytes, 12);
	assert_int_equal(read_with("T_ON", "Yes", &t, message), 0);
	assert_true(t.on);
	assert_int_equal(read_with("T_LEVEL", "ERROR", &t, message), 0);
	assert_int_equal(t.level, 0);
	assert_int_equal(read_with("T_TEXT", "abcd", &t, message), 0);
	assert_string_equal(t.text, "abcd");
}

static void seconds_and_aliases(void **state)
{
	static const struct {
		const char *value;
		uint64_t ms;
	} good[] = { { "1", 1000 }, { "0.1", 100 }, { "0.25", 250 }, { "1.005", 1005 },
		{ "3600", 3600000 }, { "3600.0", 3600000 } };
	static const char *const bad[] = { "0", "0.099", "3600.001", "3601", "1.", ".5", "1.0000",
		"1,5", "1s", "-1", "1.-5", "1e3", " 1", "18446744073709551" };
	struct target t;
	char message[512];
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(read_with("T_WAIT", good[i].value, &t, message), 0);
		assert_int_equal(t.wait_ms, good[i].ms);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(read_with("T_WAIT", bad[i], &t, message), SETTINGS_E_INVALID);
		assert_non_null(strstr(message,
			": must be a number of seconds from 0.1 to 3600, up to 3 decimals"));
	}
	assert_int_equal(read_with("T_OLD_WAIT", "2", &t, message), 0);
	assert_int_equal(t.wait_ms, 2000);
	/* The message names what was really set. */
	assert_int_equal(read_with("T_OLD_WAIT", "x", &t, message), SETTINGS_E_INVALID);
	assert_memory_equal(message, "T_OLD_WAIT=\"x\": ", 16);
	/* The name itself wins. */
	struct buffer b;
	buffer_init(&b, 511);
	setenv("T_OLD_WAIT", "2", 1);
	setenv("T_WAIT", "3", 1);
	assert_int_equal(settings_read(table, sizeof(table) / sizeof(table[0]), &t, &b), 0);
	assert_int_equal(t.wait_ms, 3000);
	buffer_deinit(&b);
}

static void bad_values_name_setting_value_and_rule(void **state)
{
	static const struct {
		const char *name, *value, *message;
	} cases[] = {
		{ "T_PORT", "0", "T_PORT=\"0\": must be a whole number from 1 to 65535" },
		{ "T_PORT", "65536", "T_PORT=\"65536\": must be a whole number from 1 to 65535" },
		{ "T_PORT", "80 ", "T_PORT=\"80 \": must be a whole number from 1 to 65535" },
		{ "T_BYTES", "2G",
			"T_BYTES=\"2G\": must be a number of bytes from 1 to 1073741824 "
			"(K, M and G mean KiB, MiB and GiB)" },
		{ "T_BYTES", "17179869185G",
			"T_BYTES=\"17179869185G\": must be a number of bytes from 1 to 1073741824 "
			"(K, M and G mean KiB, MiB and GiB)" },
		{ "T_ON", "maybe", "T_ON=\"maybe\": must be 1 or 0 (true/false, yes/no, on/off)" },
		{ "T_LEVEL", "loud", "T_LEVEL=\"loud\": must be one of error, info" },
		{ "T_NAME", "a/b",
			"T_NAME=\"a/b\": must be 1 to 8 of the characters A-Z a-z 0-9 . _ -" },
		{ "T_NAME", "123456789",
			"T_NAME=\"123456789\": must be 1 to 8 of the characters A-Z a-z 0-9 . _ -" },
		{ "T_TEXT", "abc",
			"T_TEXT=(not shown): must be UTF-8 text of 4 to 16 bytes without control bytes" },
		{ "T_TEXT", "abc\x1b[",
			"T_TEXT=(not shown): must be UTF-8 text of 4 to 16 bytes without control bytes" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct target t;
		char message[512];
		assert_int_equal(
			read_with(cases[i].name, cases[i].value, &t, message), SETTINGS_E_INVALID);
		assert_string_equal(message, cases[i].message);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_apply),
		cmocka_unit_test(good_values_are_taken),
		cmocka_unit_test(seconds_and_aliases),
		cmocka_unit_test(bad_values_name_setting_value_and_rule),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
