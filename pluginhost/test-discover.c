/* What is found in plugin paths, of which kind, and what is left out with a word. */
#include "pluginhost/discover.h"
#include "pluginhost/test-tree.h"

#include <errno.h>

struct fixture {
	struct tree trees[2];
	struct plugin_path paths[2];
	struct discovery d;
};

static void init(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	for (int i = 0; i < 2; i++) {
		tree_init(&f->trees[i]);
		f->paths[i] = (struct plugin_path){ f->trees[i].path, f->trees[i].fd };
	}
}

static void deinit(struct fixture *f)
{
	discovery_deinit(&f->d);
	for (int i = 0; i < 2; i++) {
		tree_deinit(&f->trees[i]);
	}
}

static void scan(struct fixture *f)
{
	const struct discover_config c = { f->paths, 2, 100 };
	discovery_deinit(&f->d);
	assert_int_equal(discover_scan(&c, &f->d), 0);
}

static void plugin(struct fixture *f, const char *dir, const char *file, const char *text)
{
	char path[256];
	tree_dir(&f->trees[0], dir);
	(void)snprintf(path, sizeof(path), "%s/%s", dir, file);
	tree_file(&f->trees[0], path, text);
}

static const struct found *get(struct fixture *f, const char *id)
{
	for (size_t i = 0; i < f->d.n; i++) {
		if (strcmp(f->d.found[i].id, id) == 0) {
			return &f->d.found[i];
		}
	}
	return NULL;
}

static bool complains(struct fixture *f, const char *text)
{
	char all[4096];
	text_of(buffer_slice(&f->d.complaints), all, sizeof(all));
	return strstr(all, text) != NULL;
}

static void kinds_are_told_by_files(void **state)
{
	struct fixture f;
	init(&f);
	struct tree *t = &f.trees[0];
	plugin(&f, "root_logic", "logic.py", "");
	tree_dir(t, "backend_logic");
	plugin(&f, "backend_logic/backend", "logic.py", "");
	plugin(&f, "native", "logic.so", "");
	plugin(&f, "both", "logic.py", "");
	tree_file(t, "both/logic.so", "");
	plugin(&f, "nexus_one", "plugin.py", "");
	tree_file(t, "nexus_one/manifest.json", "{}");
	plugin(&f, "half_nexus", "plugin.py", "");
	plugin(&f, "provider", "__init__.py", "import x\n\ndef register():\n    return 1\n");
	plugin(&f, "reexport", "__init__.py", "from .provider import register\n");
	plugin(&f, "unready", "manifest.json", "{}");
	plugin(&f, "notes", "README.md", "");
	tree_file(t, "solo.py", "async def execute(data):\n    return 1\n");
	tree_file(t, "slack.py", "class P:\n    pass\n\ndef register():\n    return P()\n");
	tree_file(t, "mixed.py", "def register():\n    pass\n\ndef execute(data):\n    pass\n");
	tree_file(t, "README.md", "");
	scan(&f);

	static const struct {
		const char *id;
		enum plugin_kind kind;
		const char *entry;
		const char *error;
	} want[] = {
		{ "root_logic", PLUGIN_MOZAIKS, "logic.py", NULL },
		{ "backend_logic", PLUGIN_MOZAIKS, "backend/logic.py", NULL },
		{ "native", PLUGIN_NATIVE, "logic.so", NULL },
		{ "both", PLUGIN_MOZAIKS, "logic.py", NULL },
		{ "nexus_one", PLUGIN_NEXUS, "plugin.py", "not supported by this version" },
		{ "half_nexus", PLUGIN_NEXUS, "plugin.py", "needs a manifest.json" },
		{ "provider", PLUGIN_DOTMAC, "__init__.py", "not supported by this version" },
		{ "reexport", PLUGIN_DOTMAC, "__init__.py", "not supported by this version" },
		{ "unready", PLUGIN_UNKNOWN, "", "no logic.py" },
		{ "solo", PLUGIN_MOZAIKS, "logic.py", NULL },
		{ "slack", PLUGIN_DOTMAC, "logic.py", "not supported by this version" },
		{ "mixed", PLUGIN_MOZAIKS, "logic.py", NULL },
	};
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		const struct found *p = get(&f, want[i].id);
		assert_non_null(p);
		assert_int_equal(p->kind, want[i].kind);
		assert_string_equal(p->entry, want[i].entry);
		if (want[i].error == NULL) {
			assert_null(p->error);
		} else {
			assert_non_null(strstr(p->error, want[i].error));
		}
	}
	assert_int_equal(f.d.n, sizeof(want) / sizeof(want[0]));
	assert_true(get(&f, "both")->has_native);
	assert_true(get(&f, "solo")->single_file);
	assert_string_equal(get(&f, "solo")->source, "solo.py");
	assert_int_equal(f.d.complaints.n, 0);
	deinit(&f);
}

static void categories_are_looked_into_once(void **state)
{
	struct fixture f;
	init(&f);
	tree_dir(&f.trees[0], "tools");
	plugin(&f, "tools/one", "logic.py", "");
	tree_dir(&f.trees[0], "tools/deeper");
	plugin(&f, "tools/deeper/two", "logic.py", "");
	tree_file(&f.trees[0], "tools/helper.py", "");
	scan(&f);
	assert_int_equal(f.d.n, 1);
	assert_string_equal(f.d.found[0].id, "one");
	assert_string_equal(f.d.found[0].source, "tools/one");
	deinit(&f);
}

static void names_are_checked(void **state)
{
	struct fixture f;
	init(&f);
	char longest[PLUGIN_ID_SIZE];
	char longer[PLUGIN_ID_SIZE + 1];
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	memset(longer, 'b', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	plugin(&f, longest, "logic.py", "");
	plugin(&f, longer, "logic.py", "");
	plugin(&f, "_private", "logic.py", "");
	plugin(&f, ".hidden", "logic.py", "");
	plugin(&f, "with space", "logic.py", "");
	plugin(&f, "dotted.name", "logic.py", "");
	plugin(&f, "uml\xc3\xa4ut", "logic.py", "");
	plugin(&f, "Core", "logic.py", "");
	plugin(&f, "ADMIN", "logic.py", "");
	plugin(&f, "ok-1_A", "logic.py", "");
	tree_file(&f.trees[0], "conftest.py", "");
	tree_file(&f.trees[0], "my plugin.py", "");
	scan(&f);
	assert_int_equal(f.d.n, 2);
	assert_non_null(get(&f, longest));
	assert_non_null(get(&f, "ok-1_A"));
	assert_true(complains(&f, "\"with space\": not a plugin id"));
	assert_true(complains(&f, "\"dotted.name\": not a plugin id"));
	assert_true(complains(&f, "\"Core\": the name is reserved"));
	assert_true(complains(&f, "\"ADMIN\": the name is reserved"));
	assert_true(complains(&f, "\"conftest.py\": the name is reserved"));
	assert_true(complains(&f, "\"my plugin.py\": not a plugin id"));
	assert_false(complains(&f, "_private"));
	assert_false(complains(&f, ".hidden"));
	deinit(&f);
}

static void the_first_of_two_wins(void **state)
{
	struct fixture f;
	init(&f);
	plugin(&f, "same", "logic.py", "");
	tree_dir(&f.trees[1], "same");
	tree_file(&f.trees[1], "same/logic.so", "");
	tree_file(&f.trees[0], "same.py", "");
	scan(&f);
	assert_int_equal(f.d.n, 1);
	assert_int_equal(f.d.found[0].kind, PLUGIN_MOZAIKS);
	assert_int_equal(f.d.found[0].path, 0);
	assert_false(f.d.found[0].single_file);
	assert_true(complains(&f, "\"same.py\": the id is taken by same in "));
	assert_true(complains(&f, "\"same\": the id is taken by same in "));
	deinit(&f);
}

static void links_are_shown_not_followed(void **state)
{
	struct fixture f;
	init(&f);
	plugin(&f, "real", "logic.py", "");
	assert_int_equal(symlinkat("real", f.trees[0].fd, "linked"), 0);
	assert_int_equal(symlinkat("/etc/passwd", f.trees[0].fd, "file.py"), 0);
	assert_int_equal(symlinkat("/etc/passwd", f.trees[0].fd, "README.md"), 0);
	scan(&f);
	assert_int_equal(f.d.n, 3);
	assert_non_null(strstr(get(&f, "linked")->error, "symbolic link"));
	assert_non_null(strstr(get(&f, "file")->error, "symbolic link"));
	assert_null(get(&f, "real")->error);
	deinit(&f);
}

static void the_number_is_limited(void **state)
{
	struct fixture f;
	init(&f);
	for (int i = 0; i < 5; i++) {
		char name[16];
		(void)snprintf(name, sizeof(name), "p%d.py", i);
		tree_file(&f.trees[0], name, "");
	}
	const struct discover_config c = { f.paths, 2, 4 };
	assert_int_equal(discover_scan(&c, &f.d), 0);
	assert_int_equal(f.d.n, 4);
	assert_true(complains(&f, "\"p4.py\": more than 4 plugins (MOZAIKS_PLUGINS_MAX)"));
	deinit(&f);
}

static void a_locked_directory_is_shown(void **state)
{
	struct fixture f;
	as_nobody();
	init(&f);
	plugin(&f, "locked", "logic.py", "");
	assert_int_equal(fchmodat(f.trees[0].fd, "locked", 0, 0), 0);
	scan(&f);
	assert_int_equal(f.d.n, 1);
	assert_non_null(strstr(f.d.found[0].error, "cannot be read"));
	assert_int_equal(fchmodat(f.trees[0].fd, "locked", 0700, 0), 0);
	/* A path that only others may read. */
	struct buffer why;
	char said[512];
	buffer_init(&why, 1000);
	assert_int_equal(fchmod(f.trees[0].fd, 0), 0);
	assert_int_equal(discover_check(f.paths, 2, &why), -EACCES);
	text_of(buffer_slice(&why), said, sizeof(said));
	assert_non_null(strstr(said, "needs read and search permission"));
	assert_int_equal(fchmod(f.trees[0].fd, 0700), 0);
	buffer_deinit(&why);
	deinit(&f);
	as_before();
}

static void paths_are_opened(void **state)
{
	struct tree a;
	struct tree b;
	struct plugin_path paths[4];
	struct buffer why;
	char text[256];
	char said[512];
	tree_init(&a);
	tree_init(&b);
	buffer_init(&why, 1000);
	(void)snprintf(text, sizeof(text), ":%s::%s:%s/:", a.path, b.path, a.path);
	assert_int_equal(discover_open(text, true, paths, 4, &why), 2);
	assert_string_equal(paths[0].path, a.path);
	assert_string_equal(paths[1].path, b.path);
	assert_int_equal(discover_check(paths, 2, &why), 0);
	discover_close(paths, 2);

	(void)snprintf(text, sizeof(text), "%s:/nowhere/at/all", a.path);
	assert_int_equal(discover_open(text, true, paths, 4, &why), -ENOENT);
	text_of(buffer_slice(&why), said, sizeof(said));
	assert_string_equal(
		said, "MOZAIKS_PLUGINS_PATH: \"/nowhere/at/all\": No such file or directory");
	/* The default may be missing. */
	assert_int_equal(discover_open("/nowhere/at/all", false, paths, 4, &why), 0);

	tree_file(&a, "file", "");
	(void)snprintf(text, sizeof(text), "%s/file", a.path);
	assert_int_equal(discover_open(text, true, paths, 4, &why), -ENOTDIR);
	buffer_clear(&why);
	(void)snprintf(text, sizeof(text), "%s:%s", a.path, b.path);
	assert_int_equal(discover_open(text, true, paths, 1, &why), -E2BIG);
	buffer_deinit(&why);
	tree_deinit(&a);
	tree_deinit(&b);
}

static void the_state_directory_is_left_out(void **state)
{
	struct fixture f;
	struct stat st;
	init(&f);
	tree_dir(&f.trees[0], "var");
	plugin(&f, "var/inner", "logic.py", "");
	scan(&f);
	assert_int_equal(f.d.n, 1);
	assert_int_equal(fstatat(f.trees[0].fd, "var", &st, 0), 0);
	const struct discover_config c = { f.paths, 2, 100, st.st_dev, st.st_ino };
	discovery_deinit(&f.d);
	assert_int_equal(discover_scan(&c, &f.d), 0);
	assert_int_equal(f.d.n, 0);
	deinit(&f);
}

static void count(void *context, int dir_fd)
{
	(*(int *)context)++;
}

static void tells_what_to_watch(void **state)
{
	struct fixture f;
	init(&f);
	plugin(&f, "one", "logic.py", "");
	tree_dir(&f.trees[0], "tools");
	plugin(&f, "tools/two", "logic.py", "");
	int n = 0;
	const struct walk_hooks hooks = { count, &n };
	const struct discover_config c = { f.paths, 2, 100, .hooks = &hooks };
	assert_int_equal(discover_scan(&c, &f.d), 0);
	/* Two paths, the category, two plugins. */
	assert_int_equal(n, 5);
	deinit(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kinds_are_told_by_files),
		cmocka_unit_test(categories_are_looked_into_once),
		cmocka_unit_test(names_are_checked),
		cmocka_unit_test(the_first_of_two_wins),
		cmocka_unit_test(links_are_shown_not_followed),
		cmocka_unit_test(the_number_is_limited),
		cmocka_unit_test(a_locked_directory_is_shown),
		cmocka_unit_test(paths_are_opened),
		cmocka_unit_test(the_state_directory_is_left_out),
		cmocka_unit_test(tells_what_to_watch),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
