/* What a policy grants and denies, and what is refused in one. */
/* cmocka.h needs what stands before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "common/base/map.h"
#include "common/base/test-folder.h"
#include "director/config/file.h"
#include "director/hosts/grants.h"
#include "director/hosts/plugin.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static char why[GRANTS_WHY_SIZE];

static void take(struct grants *g, const char *text)
{
	if (grants_parse(g, slice_str(text), why) != 0) {
		fail_msg("%s: %s", text, why);
	}
}

static void expect_json(const struct plugin_manifest *m, bool granted, const char *expected)
{
	struct buffer b;
	buffer_init(&b, 1000);
	assert_int_equal(grants_append_json(m, granted, &b), 0);
	assert_int_equal(buffer_append_byte(&b, 0), 0);
	assert_string_equal((const char *)b.p, expected);
	buffer_deinit(&b);
}

/* A plugin that asks for the database and for what only operators grant. */
static struct plugin_manifest applied(const struct grants *g, const char *plugin)
{
	struct plugin_manifest m = { 0 };
	m.asked[CAP_DATABASE_FIND] = true;
	m.asked[CAP_DATABASE_INSERT] = true;
	m.asked[CAP_DATABASE_COUNT] = true;
	m.asked[CAP_DATABASE_CROSS_USER] = true;
	grants_apply(g, plugin, &m);
	return m;
}

/* A permission that several capabilities need is named once, wherever they stand in the table. */
static void each_permission_is_named_once(void **state)
{
	struct plugin_manifest m = { 0 };
	for (size_t code = 0; code < sizeof(m.granted) / sizeof(m.granted[0]); code++) {
		m.granted[code] = m.asked[code] = true;
	}
	struct buffer b;
	buffer_init(&b, 4096);
	assert_int_equal(grants_append_json(&m, true, &b), 0);
	assert_int_equal(buffer_append_byte(&b, 0), 0);
	const char *found = strstr((const char *)b.p, "\"database.read\"");
	assert_non_null(found);
	assert_null(strstr(found + 1, "\"database.read\""));
	found = strstr((const char *)b.p, "\"database.write\"");
	assert_non_null(found);
	assert_null(strstr(found + 1, "\"database.write\""));
	buffer_deinit(&b);
}

static void without_a_policy_what_is_asked_for(void **state)
{
	struct grants g = { 0 };
	struct plugin_manifest m = applied(&g, "notes");
	assert_true(m.granted[CAP_DATABASE_FIND] && m.granted[CAP_DATABASE_INSERT]);
	assert_false(m.granted[CAP_WEBSOCKET_SEND] || m.granted[CAP_DATABASE_CROSS_USER]);
	assert_int_equal(grants_alias(&g, "notes", SLICE("items")).n, 0);
	expect_json(&m, true, "[\"database.read\",\"database.write\"]");
	expect_json(&m, false, "[\"database.cross_user\"]");
}

static void an_entry_has_the_last_word(void **state)
{
	struct grants g = { 0 };
	take(&g,
		"{\"plugins\": {"
		"\"*\": {\"deny\": [\"database.write\"], \"grant\": [\"websocket.send\"]},"
		"\"notes\": {\"grant\": [\"database.write\", \"database.cross_user\"],"
		" \"deny\": [\"websocket.send\"]}}}");
	struct plugin_manifest notes = applied(&g, "notes");
	assert_true(notes.granted[CAP_DATABASE_INSERT]);
	assert_true(notes.granted[CAP_DATABASE_CROSS_USER]);
	assert_false(notes.granted[CAP_WEBSOCKET_SEND]);
	struct plugin_manifest other = applied(&g, "other");
	assert_true(other.granted[CAP_DATABASE_FIND]);
	assert_false(other.granted[CAP_DATABASE_INSERT]);
	assert_true(other.granted[CAP_WEBSOCKET_SEND]);
	assert_false(other.granted[CAP_DATABASE_CROSS_USER]);
	/* Of both in one entry, no. */
	take(&g,
		"{\"plugins\": {\"notes\": {\"deny\": [\"database.cross_user\"],"
		" \"grant\": [\"database.cross_user\"]}}}");
	notes = applied(&g, "notes");
	assert_false(notes.granted[CAP_DATABASE_CROSS_USER]);
	/* A later policy replaces it; nothing of it stays. */
	take(&g, "{\"plugins\": {}}");
	notes = applied(&g, "notes");
	assert_false(notes.granted[CAP_DATABASE_CROSS_USER]);
	grants_deinit(&g);
}

static void collections_have_other_names(void **state)
{
	struct grants g = { 0 };
	take(&g,
		"{\"plugins\": {\"notes\": {\"collections\": {\"items\": \"legacy_items\","
		" \"old\": \"app/before/items\"}}}}");
	assert_true(slice_eq(grants_alias(&g, "notes", SLICE("items")), SLICE("legacy_items")));
	assert_true(slice_eq(grants_alias(&g, "notes", SLICE("old")), SLICE("app/before/items")));
	assert_int_equal(grants_alias(&g, "notes", SLICE("item")).n, 0);
	assert_int_equal(grants_alias(&g, "notes", slice_of("items\0x", 7)).n, 12);
	assert_int_equal(grants_alias(&g, "other", SLICE("items")).n, 0);
	grants_deinit(&g);
}

static void what_cannot_be_meant_is_refused(void **state)
{
	static const struct {
		const char *text;
		const char *message;
	} rows[] = {
		{ "", "plugin_policy.json" },
		{ "[]", "object" },
		{ "{}", "plugins: is missing" },
		{ "{\"plugins\": []}", "plugins: must be an object" },
		{ "{\"plugins\": {\"a\": 1}}", "plugins.a: must be an object" },
		{ "{\"plugins\": {\"a\": {\"grants\": []}}}", "plugins.a.grants: only grant" },
		{ "{\"plugins\": {\"a\": {\"grant\": \"x\"}}}", "plugins.a.grant" },
		{ "{\"plugins\": {\"a\": {\"grant\": [\"database.admin\"]}}}",
			"there is no permission \"database.admin\"" },
		{ "{\"plugins\": {\"a\": {\"deny\": [\"\"]}}}", "plugins.a.deny" },
		{ "{\"plugins\": {\"a\": {\"collections\": []}}}", "plugins.a.collections" },
		{ "{\"plugins\": {\"a\": {\"collections\": {\"x\": \"\"}}}}", "a.collections.x" },
		{ "{\"plugins\": {\"a\": {\"collections\": {\"x\": 1}}}}", "a.collections.x" },
		{ "{\"plugins\": {\"a\": {\"collections\": {\"x\": \"a//b\"}}}}", "collections.x" },
		{ "{\"plugins\": {\"a\": {\"collections\": {\"x\": \"/b\"}}}}", "collections.x" },
		{ "{\"plugins\": {\"a\": {\"collections\": {\"x\": \"$cmd\"}}}}", "collections.x" },
		{ "{\"plugins\": {\"a\": {\"collections\": {\"x\": \"system.users\"}}}}",
			"collections.x" },
		{ "{\"plugins\": {\"a\": {\"collections\": {\"x/y\": \"b\"}}}}",
			"collections.x/y" },
	};
	struct grants g = { 0 };
	take(&g, "{\"plugins\": {\"notes\": {\"grant\": [\"database.cross_user\"]}}}");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		why[0] = 0;
		assert_true(grants_parse(&g, slice_str(rows[i].text), why) < 0);
		if (strstr(why, rows[i].message) == NULL) {
			fail_msg("%s: %s", rows[i].text, why);
		}
	}
	/* What was there stays. */
	assert_true(applied(&g, "notes").granted[CAP_DATABASE_CROSS_USER]);
	grants_deinit(&g);
}

static void a_file_that_is_not_there(void **state)
{
	struct grants g = { 0 };
	assert_int_equal(grants_read(&g, why), 0);
	(void)snprintf(g.path, sizeof(g.path), "/nowhere/plugin_policy.json");
	take(&g, "{\"plugins\": {\"notes\": {\"grant\": [\"database.cross_user\"]}}}");
	assert_int_equal(grants_read(&g, why), 0);
	assert_false(applied(&g, "notes").granted[CAP_DATABASE_CROSS_USER]);
	(void)snprintf(g.path, sizeof(g.path), "/dev");
	assert_true(grants_read(&g, why) < 0);
	assert_non_null(strstr(why, "directory"));
	/* Only one that is not there is none: what cannot be looked at leaves what was there. */
	take(&g, "{\"plugins\": {\"*\": {\"deny\": [\"database.write\"]}}}");
	(void)snprintf(g.path, sizeof(g.path), "/dev/null/plugin_policy.json");
	assert_int_equal(grants_read(&g, why), -ENOTDIR);
	assert_non_null(strstr(why, "plugin_policy.json"));
	assert_non_null(g.tree);
	grants_deinit(&g);
}

/* --- grants_set() --- */

static char folder[TEST_FOLDER_BYTES];

static int make_folder(void **state)
{
	return test_folder_make(folder, "test-grants");
}

static int remove_folder(void **state)
{
	return test_folder_remove(folder);
}

static struct grants in_folder(const char *text)
{
	struct grants g = { 0 };
	(void)snprintf(g.path, sizeof(g.path), "%s/plugin_policy.json", folder);
	if (text != NULL) {
		int dir = open(folder, O_RDONLY | O_DIRECTORY);
		assert_int_equal(file_replace(dir, "plugin_policy.json", 0640, slice_str(text)), 0);
		assert_int_equal(close(dir), 0);
	}
	return g;
}

static void set(struct grants *g, const char *permission, bool granted)
{
	struct plugin_manifest m = { 0 };
	m.asked[CAP_DATABASE_FIND] = m.asked[CAP_DATABASE_COUNT] = true;
	if (grants_set(g, "notes", &m, slice_str(permission), granted, why) != 0) {
		fail_msg("%s: %s", permission, why);
	}
}

/* The file as a JSON text without spaces. */
static void expect_file(const struct grants *g, const char *expected)
{
	json_t *tree = json_load_file(g->path, 0, NULL);
	char *text = json_dumps(tree, JSON_COMPACT | JSON_PRESERVE_ORDER);
	assert_non_null(text);
	assert_string_equal(text, expected);
	free(text);
	json_decref(tree);
}

/* No further than it takes: neither what is asked for nor what "*" grants is said again. */
static void a_grant_is_written(void **state)
{
	struct grants g = in_folder(NULL);
	set(&g, "database.cross_user", true);
	expect_file(&g, "{\"plugins\":{\"notes\":{\"grant\":[\"database.cross_user\"]}}}");
	assert_true(applied(&g, "notes").granted[CAP_DATABASE_CROSS_USER]);
	assert_false(applied(&g, "other").granted[CAP_DATABASE_CROSS_USER]);
	set(&g, "database.cross_user", true);
	expect_file(&g, "{\"plugins\":{\"notes\":{\"grant\":[\"database.cross_user\"]}}}");
	set(&g, "database.cross_user", false);
	expect_file(&g, "{\"plugins\":{}}");
	/* It asks for some of what needs this; all of it is meant. */
	set(&g, "database.read", true);
	expect_file(&g, "{\"plugins\":{\"notes\":{\"grant\":[\"database.read\"]}}}");
	set(&g, "database.read", false);
	expect_file(&g, "{\"plugins\":{\"notes\":{\"deny\":[\"database.read\"]}}}");
	assert_false(applied(&g, "notes").granted[CAP_DATABASE_FIND]);
	grants_deinit(&g);
}

/* What else is in the file stays, also what an operator has written since it was read. */
static void other_entries_stay(void **state)
{
	struct grants g = in_folder("{\"plugins\": {\"*\": {\"grant\": [\"users.any\"]}}}");
	assert_int_equal(grants_read(&g, why), 0);
	(void)in_folder(
		"{\"plugins\": {\"*\": {\"grant\": [\"users.any\"]}, \"notes\": {\"collections\": "
		"{\"a\": \"b/c\"}, \"deny\": [\"websocket.send\"]}}}");
	set(&g, "users.any", true);
	set(&g, "users.any", false);
	expect_file(&g,
		"{\"plugins\":{\"*\":{\"grant\":[\"users.any\"]},\"notes\":{\"collections\":"
		"{\"a\":\"b/c\"},\"deny\":[\"websocket.send\",\"users.any\"]}}}");
	set(&g, "users.any", true);
	set(&g, "websocket.send", true);
	struct stat st;
	assert_int_equal(stat(g.path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
	expect_file(&g,
		"{\"plugins\":{\"*\":{\"grant\":[\"users.any\"]},\"notes\":{\"collections\":"
		"{\"a\":\"b/c\"},\"grant\":[\"websocket.send\"]}}}");
	grants_deinit(&g);
}

static void what_cannot_be_granted_changes_nothing(void **state)
{
	static const char wrong[] = "{\"plugins\": {\"notes\": {\"grants\": []}}}";
	struct plugin_manifest m = { 0 };
	struct grants g = in_folder(wrong);
	assert_int_equal(grants_set(&g, "notes", &m, SLICE("database.all"), true, why), -EINVAL);
	assert_non_null(
		strstr(why, "there is no permission \"database.all\"; there are database.read "));
	assert_non_null(strstr(why, " database.cross_user users.any"));
	/* A file that is wrong is the operator's to mend. */
	assert_int_equal(grants_set(&g, "notes", &m, SLICE("users.any"), true, why), -EBADMSG);
	assert_non_null(strstr(why, "plugins.notes.grants"));
	(void)snprintf(g.path, sizeof(g.path), "%s/nowhere/plugin_policy.json", folder);
	assert_int_equal(grants_set(&g, "notes", &m, SLICE("users.any"), true, why), -ENOENT);
	assert_non_null(strstr(why, "cannot write "));
	assert_false(applied(&g, "notes").granted[CAP_USERS_ANY]);
	g.path[0] = '\0';
	assert_int_equal(grants_set(&g, "notes", &m, SLICE("users.any"), true, why), -EINVAL);
	assert_non_null(strstr(why, "MOZAIKS_CONFIGS_PATH"));
	grants_deinit(&g);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_permission_is_named_once),
		cmocka_unit_test(without_a_policy_what_is_asked_for),
		cmocka_unit_test(an_entry_has_the_last_word),
		cmocka_unit_test(collections_have_other_names),
		cmocka_unit_test(what_cannot_be_meant_is_refused),
		cmocka_unit_test(a_file_that_is_not_there),
		cmocka_unit_test_setup_teardown(a_grant_is_written, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(other_entries_stay, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(
			what_cannot_be_granted_changes_nothing, make_folder, remove_folder),
	};
	return map_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
