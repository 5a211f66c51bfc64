/* The table of plugins with a real loop, real directories and inotify. */
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/map.h"
#include "common/json/tree.h"
#include "pluginhost/plugins.h"
#include "pluginhost/test-tree.h"

struct fixture {
	struct tree source;
	struct tree state;
	int store_fd;
	uv_loop_t loop;
	struct settings settings;
	struct plugin_path path;
	struct plugins *p;
	unsigned changes;
	char used[VERSION_SIZE];
	json_t *report;
	bool closed;
};

static void on_changed(void *context)
{
	((struct fixture *)context)->changes++;
}

static bool in_use(void *context, const char *id, const char *version)
{
	return strcmp(((struct fixture *)context)->used, version) == 0;
}

static void open_table(struct fixture *f)
{
	const struct plugins_config c = { .loop = &f->loop,
		.settings = &f->settings,
		.paths = &f->path,
		.n_paths = 1,
		.store_fd = f->store_fd,
		.changed = on_changed,
		.in_use = in_use,
		.context = f };
	assert_int_equal(plugins_new(&f->p, &c), 0);
}

static void on_closed(void *arg)
{
	*(bool *)arg = true;
}

static void close_table(struct fixture *f)
{
	f->closed = false;
	plugins_close(f->p, on_closed, &f->closed);
	(void)uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_true(f->closed);
}

static void init(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	tree_init(&f->source);
	tree_init(&f->state);
	tree_dir(&f->state, "plugins");
	f->store_fd = beneath_open(f->state.fd, "plugins", O_RDONLY | O_DIRECTORY);
	assert_int_equal(uv_loop_init(&f->loop), 0);
	f->settings = (struct settings){ .watch = true,
		.refresh_seconds = 300,
		.plugins_max = 10,
		.settle_ms = 20,
		.snapshot = { .walk = { 100, 8 }, .bytes = 1000000, .settle_ms = 20 } };
	f->path = (struct plugin_path){ f->source.path, f->source.fd };
	open_table(f);
}

static void deinit(struct fixture *f)
{
	close_table(f);
	json_decref(f->report);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	(void)close(f->store_fd);
	tree_deinit(&f->source);
	tree_deinit(&f->state);
}

static int take_entry(void *context, struct slice entry)
{
	struct fixture *f = context;
	json_t *object = json_loadb((const char *)entry.p, entry.n, 0, NULL);
	assert_non_null(object);
	assert_int_equal(json_array_append_new(f->report, object), 0);
	return 0;
}

static void take_report(struct fixture *f)
{
	struct buffer b;
	buffer_init(&b, 100000);
	json_decref(f->report);
	f->report = json_array();
	assert_int_equal(plugins_report(f->p, &b, take_entry, f), 0);
	buffer_deinit(&b);
}

/* The entry of a plugin in the latest report. */
static json_t *entry_of(struct fixture *f, const char *id)
{
	size_t i;
	json_t *entry;
	take_report(f);
	json_array_foreach(f->report, i, entry)
	{
		if (strcmp(json_string_value(json_object_get(entry, "id")), id) == 0) {
			return entry;
		}
	}
	return NULL;
}

static const char *text(json_t *entry, const char *name)
{
	const char *value = json_string_value(json_object_get(entry, name));
	return value == NULL ? "" : value;
}

/* Turns the loop until `n` changes were told, at most five seconds. */
static void until_changes(struct fixture *f, unsigned n)
{
	uint64_t end = clock_ms() + 5000;
	while (f->changes < n && clock_ms() < end) {
		(void)uv_run(&f->loop, UV_RUN_NOWAIT);
		sleep_ms(1);
	}
	assert_int_equal(f->changes, n);
}

static void until_gone(struct fixture *f, const char *id)
{
	uint64_t end = clock_ms() + 5000;
	while (entry_of(f, id) != NULL && clock_ms() < end) {
		(void)uv_run(&f->loop, UV_RUN_NOWAIT);
		sleep_ms(1);
	}
	assert_null(entry_of(f, id));
}

static void turn_for(struct fixture *f, uint64_t ms)
{
	uint64_t end = clock_ms() + ms;
	while (clock_ms() < end) {
		(void)uv_run(&f->loop, UV_RUN_NOWAIT);
		sleep_ms(1);
	}
}

static void reports_what_is_there(void **state)
{
	struct fixture f;
	init(&f);
	tree_dir(&f.source, "hello");
	tree_file(&f.source, "hello/logic.py", "def execute(data):\n    return {}\n");
	tree_file(&f.source, "hello/manifest.json", "{\"title\":\"Hi\",\"workers\":2}");
	tree_dir(&f.source, "broken");
	tree_file(&f.source, "broken/logic.py", "");
	tree_file(&f.source, "broken/manifest.json", "{\"workers\":0}");
	tree_dir(&f.source, "linked");
	tree_file(&f.source, "linked/logic.py", "");
	assert_int_equal(symlinkat("/etc/passwd", f.source.fd, "linked/x"), 0);
	tree_dir(&f.source, "later");
	tree_file(&f.source, "later/plugin.py", "");
	tree_file(&f.source, "later/manifest.json", "{}");
	plugins_refresh(f.p, false);
	until_changes(&f, 1);
	assert_true(plugins_are_known(f.p));

	json_t *e = entry_of(&f, "hello");
	assert_string_equal(text(e, "state"), "ready");
	assert_string_equal(text(e, "kind"), "mozaiks");
	assert_string_equal(text(e, "entry"), "logic.py");
	assert_true(json_is_null(json_object_get(e, "error")));
	assert_true(snapshot_is_version(slice_str(text(e, "version"))));
	assert_true(json_is_null(json_object_get(e, "last_good")));
	assert_string_equal(text(json_object_get(e, "manifest"), "display_name"), "Hi");
	assert_non_null(strstr(text(e, "source"), "/hello"));
	assert_int_equal(plugins_kind_of(f.p, "hello", text(e, "version")), PLUGIN_MOZAIKS);

	e = entry_of(&f, "broken");
	assert_string_equal(text(e, "state"), "broken");
	assert_string_equal(
		text(e, "error"), "manifest.json: workers: must be an integer from 1 to 64");
	assert_true(json_is_null(json_object_get(e, "version")));
	assert_true(json_is_null(json_object_get(e, "manifest")));

	e = entry_of(&f, "linked");
	assert_string_equal(text(e, "state"), "broken");
	assert_string_equal(text(e, "error"), "\"x\": is a symbolic link; links are not followed");

	e = entry_of(&f, "later");
	assert_string_equal(text(e, "state"), "broken");
	assert_string_equal(text(e, "kind"), "nexus");
	assert_non_null(strstr(text(e, "error"), "not supported by this version"));
	deinit(&f);
}

static void changes_are_seen(void **state)
{
	struct fixture f;
	char v1[VERSION_SIZE];
	init(&f);
	plugins_refresh(f.p, false);
	until_changes(&f, 1);
	assert_int_equal(json_array_size(f.report), 0);

	/* A plugin appears, file by file. */
	tree_dir(&f.source, "hello");
	turn_for(&f, 30);
	tree_file(&f.source, "hello/logic.py", "1");
	tree_dir(&f.source, "hello/lib");
	turn_for(&f, 5);
	tree_file(&f.source, "hello/lib/x.py", "1");
	until_changes(&f, 2);
	(void)snprintf(v1, sizeof(v1), "%s", text(entry_of(&f, "hello"), "version"));
	(void)snprintf(f.used, sizeof(f.used), "%s", v1);

	/* An edit deep inside is a new version; the one in use stays. */
	tree_file(&f.source, "hello/lib/x.py", "2");
	until_changes(&f, 3);
	assert_string_not_equal(text(entry_of(&f, "hello"), "version"), v1);
	assert_int_equal(plugins_kind_of(f.p, "hello", v1), PLUGIN_MOZAIKS);

	/* Its worker ended: it may go. */
	f.used[0] = '\0';
	plugins_prune(f.p, "hello");
	assert_int_equal(plugins_kind_of(f.p, "hello", v1), PLUGIN_UNKNOWN);

	/* Asked for, the same list is told again. */
	plugins_refresh(f.p, true);
	plugins_refresh(f.p, true);
	until_changes(&f, 5);
	f.changes = 3;

	/* What is no part of it changes nothing. */
	tree_dir(&f.source, "hello/__pycache__");
	tree_file(&f.source, "hello/__pycache__/x.pyc", "1");
	tree_file(&f.source, "hello/.x.py.swp", "1");
	turn_for(&f, 150);
	assert_int_equal(f.changes, 3);

	/* A bad edit: broken, with the version before it. */
	(void)snprintf(v1, sizeof(v1), "%s", text(entry_of(&f, "hello"), "version"));
	tree_file(&f.source, "hello/manifest.json", "{");
	until_changes(&f, 4);
	assert_string_equal(text(entry_of(&f, "hello"), "state"), "broken");
	assert_string_equal(text(entry_of(&f, "hello"), "version"), v1);
	assert_int_equal(plugins_kind_of(f.p, "hello", v1), PLUGIN_MOZAIKS);

	/* Put right, it is the same version as before. */
	assert_int_equal(unlinkat(f.source.fd, "hello/manifest.json", 0), 0);
	until_changes(&f, 5);
	assert_string_equal(text(entry_of(&f, "hello"), "state"), "ready");
	assert_string_equal(text(entry_of(&f, "hello"), "version"), v1);

	/* Renamed: one comes, one goes. */
	assert_int_equal(renameat(f.source.fd, "hello", f.source.fd, "bye"), 0);
	until_gone(&f, "hello");
	assert_non_null(entry_of(&f, "bye"));
	/* The end of that look. */
	turn_for(&f, 50);
	assert_false(tree_has(&f.state, "plugins/hello"));
	deinit(&f);
}

/* Replacing a directory by another leaves a moment without one. */
static void a_gap_is_no_removal(void **state)
{
	struct fixture f;
	init(&f);
	f.settings.settle_ms = 300;
	tree_dir(&f.source, "hello");
	tree_file(&f.source, "hello/logic.py", "1");
	plugins_refresh(f.p, false);
	until_changes(&f, 1);

	assert_int_equal(renameat(f.source.fd, "hello", f.source.fd, "_away"), 0);
	plugins_refresh(f.p, false);
	turn_for(&f, 50);
	plugins_refresh(f.p, false);
	turn_for(&f, 50);
	assert_string_equal(text(entry_of(&f, "hello"), "state"), "ready");
	assert_int_equal(renameat(f.source.fd, "_away", f.source.fd, "hello"), 0);
	turn_for(&f, 700);
	assert_string_equal(text(entry_of(&f, "hello"), "state"), "ready");
	assert_int_equal(f.changes, 1);

	/* The time counts from the last look that found it. */
	assert_int_equal(renameat(f.source.fd, "hello", f.source.fd, "_away"), 0);
	plugins_refresh(f.p, false);
	turn_for(&f, 100);
	assert_non_null(entry_of(&f, "hello"));
	until_gone(&f, "hello");
	until_changes(&f, 2);
	deinit(&f);
}

static void the_good_version_outlives_us(void **state)
{
	struct fixture f;
	char good[VERSION_SIZE];
	init(&f);
	tree_dir(&f.source, "hello");
	tree_file(&f.source, "hello/logic.py", "1");
	plugins_refresh(f.p, false);
	until_changes(&f, 1);
	(void)snprintf(good, sizeof(good), "%s", text(entry_of(&f, "hello"), "version"));
	plugins_mark_good(f.p, "hello", good);
	assert_int_equal(f.changes, 2);
	plugins_mark_good(f.p, "hello", good);
	assert_int_equal(f.changes, 2);
	tree_file(&f.source, "hello/logic.py", "2");
	until_changes(&f, 3);
	assert_string_equal(text(entry_of(&f, "hello"), "last_good"), good);

	/* A new life in which the directory is broken: the good one is what can be started. */
	close_table(&f);
	assert_int_equal(symlinkat("x", f.source.fd, "hello/link"), 0);
	tree_dir(&f.state, "plugins/.tmp-left");
	f.changes = 0;
	open_table(&f);
	plugins_refresh(f.p, false);
	until_changes(&f, 1);
	assert_false(tree_has(&f.state, "plugins/.tmp-left"));
	json_t *e = entry_of(&f, "hello");
	assert_string_equal(text(e, "state"), "broken");
	assert_string_equal(text(e, "version"), good);
	assert_string_equal(text(e, "last_good"), good);
	assert_true(json_is_object(json_object_get(e, "manifest")));

	/* Gone for good. */
	assert_int_equal(unlinkat(f.source.fd, "hello/link", 0), 0);
	assert_int_equal(unlinkat(f.source.fd, "hello/logic.py", 0), 0);
	assert_int_equal(unlinkat(f.source.fd, "hello", AT_REMOVEDIR), 0);
	uint64_t end = clock_ms() + 5000;
	while (tree_has(&f.state, "plugins/hello") && clock_ms() < end) {
		turn_for(&f, 10);
	}
	assert_false(tree_has(&f.state, "plugins/hello"));
	deinit(&f);
}

static void native_or_python(void **state)
{
	struct fixture f;
	init(&f);
	tree_dir(&f.source, "both");
	tree_file(&f.source, "both/logic.py", "");
	tree_file(&f.source, "both/logic.so", "");
	tree_file(&f.source, "both/manifest.json", "{\"runtime\":\"native\"}");
	tree_dir(&f.source, "lies");
	tree_file(&f.source, "lies/logic.py", "");
	tree_file(&f.source, "lies/manifest.json", "{\"runtime\":\"native\"}");
	tree_file(&f.source, "solo.py", "def run(data):\n    return 1\n");
	plugins_refresh(f.p, false);
	until_changes(&f, 1);
	json_t *e = entry_of(&f, "both");
	assert_string_equal(text(e, "kind"), "native");
	assert_string_equal(text(e, "entry"), "logic.so");
	e = entry_of(&f, "lies");
	assert_string_equal(text(e, "state"), "broken");
	assert_non_null(strstr(text(e, "error"), "there is no logic.so"));
	e = entry_of(&f, "solo");
	assert_string_equal(text(e, "state"), "ready");
	assert_string_equal(text(e, "entry"), "logic.py");
	deinit(&f);
}

static void a_file_that_never_rests_is_broken(void **state)
{
	struct fixture f;
	init(&f);
	tree_dir(&f.source, "busy");
	tree_file(&f.source, "busy/logic.py", "");
	uint64_t end = clock_ms() + 5000;
	while (f.changes == 0 && clock_ms() < end) {
		tree_file(&f.source, "busy/log", "x");
		turn_for(&f, 2);
		plugins_refresh(f.p, false);
	}
	json_t *e = entry_of(&f, "busy");
	assert_string_equal(text(e, "state"), "broken");
	assert_non_null(strstr(text(e, "error"), "changes all the time"));
	until_changes(&f, 2);
	assert_string_equal(text(entry_of(&f, "busy"), "state"), "ready");
	deinit(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reports_what_is_there),
		cmocka_unit_test(changes_are_seen),
		cmocka_unit_test(a_gap_is_no_removal),
		cmocka_unit_test(the_good_version_outlives_us),
		cmocka_unit_test(native_or_python),
		cmocka_unit_test(a_file_that_never_rests_is_broken),
	};
	log_init("test", LOG_ERROR);
	if (map_init() < 0) {
		return 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
