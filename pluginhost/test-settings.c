/*
 * The settings: defaults, pairs that belong together, and the manual page that shows them. Run with
 * --write it puts the table into the page.
 */
#include "pluginhost/settings.h"
#include "pluginhost/test-tree.h"

#define PAGE "mozaiks-pluginhost.8"

static int load(const char *name, const char *value, struct settings *s, char said[static 512])
{
	size_t n;
	const struct setting *rows = settings_rows(&n);
	struct buffer b;
	buffer_init(&b, 500);
	for (size_t i = 0; i < n; i++) {
		(void)unsetenv(rows[i].name);
	}
	if (name != NULL) {
		(void)setenv(name, value, 1);
	}
	int r = settings_load(s, &b);
	text_of(buffer_slice(&b), said, 512);
	buffer_deinit(&b);
	return r;
}

static void the_defaults(void **state)
{
	struct settings s;
	char said[512];
	assert_int_equal(load(NULL, NULL, &s, said), 0);
	assert_string_equal(s.plugins_path, "plugins");
	assert_false(s.plugins_path_given);
	assert_null(s.state_path);
	assert_null(s.run_path);
	assert_string_equal(s.name, "default");
	assert_int_equal(s.log_level, LOG_INFO);
	assert_true(s.watch);
	assert_int_equal(s.refresh_seconds, 300);
	assert_int_equal(s.snapshot.walk.entries, 2000);
	assert_int_equal(s.snapshot.walk.depth, 16);
	assert_int_equal(s.snapshot.bytes, 64 << 20);
	assert_int_equal(s.snapshot.settle_ms, 200);
	assert_int_equal(s.memory_bytes, 256 << 20);
	assert_int_equal(s.memory_max, 1 << 30);
	assert_int_equal(s.log_rate, 64 << 10);
	assert_int_equal(s.log_burst, 256 << 10);
	assert_int_equal(s.log_line, 8 << 10);
}

static void watching(void **state)
{
	struct settings s;
	char said[512];
	assert_int_equal(load("ENV", "production", &s, said), 0);
	assert_false(s.watch);
	(void)setenv("MOZAIKS_AUTO_REFRESH_PLUGINS", "1", 1);
	struct buffer b;
	buffer_init(&b, 500);
	assert_int_equal(settings_load(&s, &b), 0);
	assert_true(s.watch);
	buffer_deinit(&b);
}

static void pairs_keep_their_order(void **state)
{
	struct settings s;
	char said[512];
	assert_int_equal(load("MOZAIKS_SANDBOX_MEMORY", "2G", &s, said), SETTINGS_E_INVALID);
	assert_string_equal(said,
		"MOZAIKS_SANDBOX_MEMORY=2147483648: must not be greater than "
		"MOZAIKS_SANDBOX_MEMORY_MAX, which is 1073741824");
	assert_int_equal(load("MOZAIKS_SANDBOX_CPU_MAX", "50", &s, said), SETTINGS_E_INVALID);
	assert_int_equal(load("MOZAIKS_SANDBOX_PIDS", "300", &s, said), SETTINGS_E_INVALID);
	assert_int_equal(load("MOZAIKS_SANDBOX_PIDS", "256", &s, said), 0);
}

static void every_setting_has_a_help(void **state)
{
	size_t n;
	const struct setting *rows = settings_rows(&n);
	struct buffer b;
	buffer_init(&b, 65536);
	for (size_t i = 0; i < n; i++) {
		assert_non_null(rows[i].help);
	}
	assert_int_equal(settings_describe(SETTINGS_HELP, &b), 0);
	struct slice rest = buffer_slice(&b);
	while (rest.n > 0) {
		const uint8_t *end = memchr(rest.p, '\n', rest.n);
		assert_non_null(end);
		assert_true(end - rest.p <= 90);
		rest = slice_skip(rest, (size_t)(end - rest.p) + 1);
	}
	buffer_deinit(&b);
}

/* The page with the table in its place. */
static void make_page(struct slice page, struct buffer *out)
{
	const uint8_t *begin = memmem(page.p, page.n, ".\\\" begin settings\n", 19);
	const uint8_t *end = memmem(page.p, page.n, ".\\\" end settings\n", 17);
	assert_true(begin != NULL && end != NULL && begin < end);
	assert_int_equal(buffer_append(out, slice_of(page.p, (size_t)(begin + 19 - page.p))), 0);
	assert_int_equal(settings_describe(SETTINGS_MAN, out), 0);
	assert_int_equal(buffer_append(out, slice_skip(page, (size_t)(end - page.p))), 0);
}

static void with_page(void (*act)(struct slice page, struct slice wanted))
{
	char *text;
	size_t n;
	struct buffer wanted;
	buffer_init(&wanted, 1 << 20);
	int dir = open(SOURCE_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(beneath_read(dir, PAGE, 1 << 20, &text, &n), 0);
	(void)close(dir);
	make_page(slice_of(text, n), &wanted);
	act(slice_of(text, n), buffer_slice(&wanted));
	free(text);
	buffer_deinit(&wanted);
}

static void compare_page(struct slice page, struct slice wanted)
{
	if (!slice_eq(page, wanted)) {
		fail_msg("%s", PAGE " is not up to date: run this test with --write");
	}
}

static void write_page(struct slice page, struct slice wanted)
{
	FILE *f = fopen(SOURCE_DIR "/" PAGE, "we");
	assert_non_null(f);
	assert_int_equal(fwrite(wanted.p, 1, wanted.n, f), wanted.n);
	assert_int_equal(fclose(f), 0);
}

static void the_manual_is_up_to_date(void **state)
{
	with_page(compare_page);
}

static void the_manual_is_written(void **state)
{
	with_page(write_page);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_defaults),
		cmocka_unit_test(watching),
		cmocka_unit_test(pairs_keep_their_order),
		cmocka_unit_test(every_setting_has_a_help),
		cmocka_unit_test(the_manual_is_up_to_date),
	};
	const struct CMUnitTest writing[] = { cmocka_unit_test(the_manual_is_written) };
	return argc > 1 ? cmocka_run_group_tests(writing, NULL, NULL)
			: cmocka_run_group_tests(tests, NULL, NULL);
}
