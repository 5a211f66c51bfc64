/* What a plugin's directory may hold, and in which order it is walked. */
#include "pluginhost/test-tree.h"
#include "pluginhost/walk.h"

#include <errno.h>

static const struct walk_limits roomy = { .entries = 100, .depth = 8 };

/* Walks to the end; the paths, one per line, go to `out`. */
static int walk_all(struct tree *t, const struct walk_limits *limits, char out[static 4096])
{
	struct walk *w;
	struct walk_entry entry;
	out[0] = '\0';
	int fd = openat(t->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(walk_new(&w, fd, limits, NULL), 0);
	int r;
	while ((r = walk_next(w, &entry)) == WALK_ENTRY) {
		size_t n = strlen(out);
		(void)snprintf(out + n, 4096 - n, "%s\n", entry.path);
	}
	if (r == WALK_E_REFUSED) {
		text_of(walk_why(w), out, 4096);
	}
	assert_null(walk_free(w));
	return r;
}

static void walks_in_order_and_skips(void **state)
{
	struct tree t;
	char out[4096];
	tree_init(&t);
	tree_dir(&t, "b");
	tree_dir(&t, "b/c");
	tree_dir(&t, "b/c/__pycache__");
	tree_dir(&t, "node_modules");
	tree_dir(&t, ".git");
	tree_dir(&t, "empty");
	tree_file(&t, "b/c/x.py", "1");
	tree_file(&t, "b/c/__pycache__/x.pyc", "1");
	tree_file(&t, "b/y.py", "1");
	tree_file(&t, ".git/config", "1");
	tree_file(&t, ".env", "1");
	tree_file(&t, "a.py", "1");
	tree_file(&t, "b.py", "1");
	assert_int_equal(walk_all(&t, &roomy, out), WALK_END);
	assert_string_equal(out, "a.py\nb\nb/c\nb/c/x.py\nb/y.py\nb.py\nempty\n");
	tree_deinit(&t);
}

static void refuses_links_and_specials(void **state)
{
	struct tree t;
	char out[4096];
	tree_init(&t);
	tree_file(&t, "a.py", "1");
	assert_int_equal(symlinkat("/etc/passwd", t.fd, "passwd"), 0);
	assert_int_equal(walk_all(&t, &roomy, out), WALK_E_REFUSED);
	assert_string_equal(out, "\"passwd\": is a symbolic link; links are not followed");
	assert_int_equal(unlinkat(t.fd, "passwd", 0), 0);
	/* A link to a harmless neighbour is a link all the same. */
	assert_int_equal(symlinkat("a.py", t.fd, "b.py"), 0);
	assert_int_equal(walk_all(&t, &roomy, out), WALK_E_REFUSED);
	assert_int_equal(unlinkat(t.fd, "b.py", 0), 0);
	assert_int_equal(mkfifoat(t.fd, "pipe", 0644), 0);
	assert_int_equal(walk_all(&t, &roomy, out), WALK_E_REFUSED);
	assert_string_equal(out, "\"pipe\": is neither a regular file nor a directory");
	assert_int_equal(unlinkat(t.fd, "pipe", 0), 0);
	assert_int_equal(walk_all(&t, &roomy, out), WALK_END);
	tree_deinit(&t);
}

static void refuses_bad_names(void **state)
{
	static const char *const names[] = { "a\nb", "a\x1b[31m", "a\x7f", "a\xff" };
	static const char *const shown[] = { "\"a\\nb\"", "\"a\\u001b[31m\"", "\"a\\u007f\"",
		"\"a\\ufffd\"" };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct tree t;
		char out[4096];
		char want[128];
		tree_init(&t);
		tree_file(&t, names[i], "1");
		assert_int_equal(walk_all(&t, &roomy, out), WALK_E_REFUSED);
		(void)snprintf(want, sizeof(want), "%s: a name with control bytes or invalid UTF-8",
			shown[i]);
		assert_string_equal(out, want);
		tree_deinit(&t);
	}
}

static void keeps_its_limits(void **state)
{
	struct tree t;
	char out[4096];
	tree_init(&t);
	for (int i = 0; i < 10; i++) {
		char name[16];
		(void)snprintf(name, sizeof(name), "%d.py", i);
		tree_file(&t, name, "1");
	}
	const struct walk_limits ten = { .entries = 10, .depth = 2 };
	assert_int_equal(walk_all(&t, &ten, out), WALK_END);
	tree_file(&t, "one-more.py", "1");
	assert_int_equal(walk_all(&t, &ten, out), WALK_E_REFUSED);
	assert_string_equal(out, "more than 10 files and directories (MOZAIKS_SNAPSHOT_FILES)");
	tree_deinit(&t);

	tree_init(&t);
	tree_dir(&t, "1");
	tree_dir(&t, "1/2");
	assert_int_equal(walk_all(&t, &ten, out), WALK_END);
	tree_dir(&t, "1/2/3");
	assert_int_equal(walk_all(&t, &ten, out), WALK_E_REFUSED);
	assert_string_equal(out, "\"1/2/3\": more than 2 levels (MOZAIKS_SNAPSHOT_DEPTH)");
	tree_deinit(&t);
}

/* As deep as a path can be: no recursion, no overflow, an answer. */
static void survives_a_very_deep_tree(void **state)
{
	struct tree t;
	char out[4096];
	tree_init(&t);
	int fd = dup(t.fd);
	for (int i = 0; i < 60; i++) {
		assert_int_equal(mkdirat(fd, "d", 0755), 0);
		int next = openat(fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		(void)close(fd);
		fd = next;
	}
	(void)close(fd);
	assert_int_equal(walk_all(&t, &roomy, out), WALK_E_REFUSED);
	const struct walk_limits deepest = { .entries = 100, .depth = WALK_DEPTH_MAX };
	assert_int_equal(walk_all(&t, &deepest, out), WALK_END);
	tree_deinit(&t);
}

static void refuses_hard_links_of_others(void **state)
{
	struct tree t;
	char out[4096];
	tree_init(&t);
	tree_file(&t, "a.py", "1");
	assert_int_equal(linkat(t.fd, "a.py", t.fd, "b.py", 0), 0);
	/* One's own are fine: package managers make them. */
	assert_int_equal(walk_all(&t, &roomy, out), WALK_END);
	if (geteuid() == 0) {
		assert_int_equal(fchownat(t.fd, "a.py", 12345, 12345, 0), 0);
		assert_int_equal(walk_all(&t, &roomy, out), WALK_E_REFUSED);
		assert_string_equal(out, "\"a.py\": is a hard link to a file of another owner");
	}
	tree_deinit(&t);
}

static void notices_a_change(void **state)
{
	struct tree t;
	struct walk *w;
	struct walk_entry entry;
	tree_init(&t);
	tree_dir(&t, "a");
	tree_file(&t, "b.py", "1");
	int fd = openat(t.fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(walk_new(&w, fd, &roomy, NULL), 0);
	assert_int_equal(walk_next(w, &entry), WALK_ENTRY);
	assert_string_equal(entry.path, "a");
	/* The directory becomes a link between the look and the step into it: not followed. */
	assert_int_equal(unlinkat(t.fd, "a", AT_REMOVEDIR), 0);
	assert_int_equal(symlinkat("/etc", t.fd, "a"), 0);
	int r = walk_next(w, &entry);
	assert_true(r == WALK_E_REFUSED || r == WALK_E_CHANGED);
	(void)walk_free(w);

	fd = openat(t.fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(unlinkat(t.fd, "a", 0), 0);
	tree_file(&t, "a.py", "1");
	assert_int_equal(walk_new(&w, fd, &roomy, NULL), 0);
	assert_int_equal(walk_next(w, &entry), WALK_ENTRY);
	assert_int_equal(unlinkat(t.fd, "b.py", 0), 0);
	assert_int_equal(walk_next(w, &entry), WALK_E_CHANGED);
	(void)walk_free(w);
	tree_deinit(&t);
}

static void walks_one_file(void **state)
{
	struct tree t;
	struct walk *w;
	struct walk_entry entry;
	tree_init(&t);
	tree_file(&t, "hello.py", "1");
	tree_file(&t, "other.py", "1");
	int fd = openat(t.fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(walk_new_file(&w, fd, "hello.py", "logic.py"), 0);
	assert_int_equal(walk_next(w, &entry), WALK_ENTRY);
	assert_string_equal(entry.path, "logic.py");
	assert_string_equal(entry.name, "hello.py");
	assert_int_equal(walk_next(w, &entry), WALK_END);
	(void)walk_free(w);
	tree_deinit(&t);
}

static void count_directory(void *context, int dir_fd)
{
	struct stat st;
	assert_int_equal(fstat(dir_fd, &st), 0);
	assert_true(S_ISDIR(st.st_mode));
	(*(int *)context)++;
}

static void tells_of_each_directory(void **state)
{
	struct tree t;
	struct walk *w;
	struct walk_entry entry;
	tree_init(&t);
	tree_dir(&t, "a");
	tree_dir(&t, "a/b");
	tree_dir(&t, ".hidden");
	int count = 0;
	const struct walk_hooks hooks = { .on_directory = count_directory, .context = &count };
	int fd = openat(t.fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(walk_new(&w, fd, &roomy, &hooks), 0);
	while (walk_next(w, &entry) == WALK_ENTRY) {
	}
	assert_int_equal(count, 3);
	(void)walk_free(w);
	tree_deinit(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(walks_in_order_and_skips),
		cmocka_unit_test(refuses_links_and_specials),
		cmocka_unit_test(refuses_bad_names),
		cmocka_unit_test(keeps_its_limits),
		cmocka_unit_test(survives_a_very_deep_tree),
		cmocka_unit_test(refuses_hard_links_of_others),
		cmocka_unit_test(notices_a_change),
		cmocka_unit_test(walks_one_file),
		cmocka_unit_test(tells_of_each_directory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
