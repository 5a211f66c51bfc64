/* The store's place: made, locked, taken over with care. */
#include "common/base/identity.h"
#include "pluginhost/state.h"
#include "pluginhost/test-tree.h"

#include <errno.h>
#include <sys/wait.h>

#define V "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

struct fixture {
	struct tree t;
	char path[128];
	struct state_config c;
	struct state s;
	struct buffer why;
	char said[1024];
};

static void init(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	tree_init(&f->t);
	assert_int_equal(fchmod(f->t.fd, 0755), 0);
	(void)snprintf(f->path, sizeof(f->path), "%s/deep/state", f->t.path);
	f->c = (struct state_config){ .state_path = f->path, .uid = geteuid(), .gid = getegid() };
	buffer_init(&f->why, 1000);
}

static void deinit(struct fixture *f)
{
	buffer_deinit(&f->why);
	tree_deinit(&f->t);
}

static int open_it(struct fixture *f)
{
	int r = state_open(&f->s, &f->c, &f->why);
	text_of(buffer_slice(&f->why), f->said, sizeof(f->said));
	return r;
}

static void makes_what_is_missing(void **state)
{
	struct fixture f;
	struct stat st;
	init(&f);
	assert_int_equal(open_it(&f), 0);
	assert_int_equal(stat(f.s.store_path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_non_null(strstr(f.s.store_path, "/deep/state/plugins"));
	assert_non_null(strstr(f.s.run_path, "/deep/state/run"));
	assert_false(f.s.chosen);
	assert_int_equal(state_check(&f.s, &f.why), 0);
	state_close(&f.s);
	/* A second life finds it as it was. */
	f.c.run_path = "some/run";
	assert_int_equal(open_it(&f), 0);
	assert_int_equal(f.s.run_path[0], '/');
	assert_non_null(strstr(f.s.run_path, "/some/run"));
	state_close(&f.s);
	deinit(&f);
}

static void one_at_a_time(void **state)
{
	struct fixture f;
	init(&f);
	assert_int_equal(open_it(&f), 0);
	/* flock() belongs to the open file: a second open is like a second process. */
	struct state first = f.s;
	assert_int_equal(open_it(&f), -EBUSY);
	char want[64];
	(void)snprintf(want, sizeof(want), "another pluginhost (pid %d) uses it", (int)getpid());
	assert_non_null(strstr(f.said, want));
	state_close(&first);
	assert_int_equal(open_it(&f), 0);
	state_close(&f.s);
	deinit(&f);
}

static void bad_places_are_named(void **state)
{
	struct fixture f;
	init(&f);
	tree_file(&f.t, "deep", "");
	assert_int_equal(open_it(&f), -ENOTDIR);
	assert_non_null(strstr(f.said, "MOZAIKS_STATE_PATH: \""));
	assert_non_null(strstr(f.said, "/deep/state\": cannot be made: Not a directory"));
	assert_int_equal(unlinkat(f.t.fd, "deep", 0), 0);

	/* The store may not be a place where plugins are written. */
	tree_dir(&f.t, "deep");
	tree_dir(&f.t, "deep/state");
	tree_dir(&f.t, "deep/state/plugins");
	char name[] = "p";
	struct plugin_path path = { name, -1 };
	path.fd = beneath_open(f.t.fd, "deep/state/plugins", O_RDONLY | O_DIRECTORY);
	f.c.paths = &path;
	f.c.n_paths = 1;
	assert_int_equal(open_it(&f), -EINVAL);
	assert_non_null(strstr(f.said, "is one of MOZAIKS_PLUGINS_PATH"));
	(void)close(path.fd);
	f.c.n_paths = 0;

	/* Nor a link. */
	assert_int_equal(unlinkat(f.t.fd, "deep/state/plugins", AT_REMOVEDIR), 0);
	assert_int_equal(symlinkat("/tmp", f.t.fd, "deep/state/plugins"), 0);
	assert_true(open_it(&f) < 0);
	deinit(&f);
}

static void root_takes_over(void **state)
{
	if (!identity_is_root()) {
		print_message("not run: root: only root takes a store over\n");
		skip();
	}
	struct fixture f;
	struct stat st;
	init(&f);
	assert_int_equal(open_it(&f), 0);
	state_close(&f.s);
	tree_dir(&f.t, "deep/state/plugins/hello");
	tree_dir(&f.t, "deep/state/plugins/hello/" V);
	tree_file(&f.t, "deep/state/plugins/hello/" V "/logic.py", "");
	tree_file(&f.t, "deep/state/plugins/hello/.good", V);
	tree_dir(&f.t, "deep/state/plugins/.tmp-1");
	f.c.uid = UID_PLUGINHOST;
	f.c.gid = (gid_t)UID_PLUGINHOST;
	assert_int_equal(open_it(&f), 0);
	assert_int_equal(stat(f.s.store_path, &st), 0);
	assert_int_equal(st.st_uid, UID_PLUGINHOST);
	assert_false(tree_has(&f.t, "deep/state/plugins/hello"));
	assert_false(tree_has(&f.t, "deep/state/plugins/.tmp-1"));
	state_close(&f.s);

	/* What is no snapshot is nobody's to remove. */
	tree_dir(&f.t, "deep/state/plugins/mine");
	tree_file(&f.t, "deep/state/plugins/mine/logic.py", "precious");
	f.c.uid = UID_PLUGINHOST + 7;
	assert_int_equal(open_it(&f), -ENOTEMPTY);
	assert_non_null(strstr(f.said, "holds mine, which is no snapshot"));
	assert_true(tree_has(&f.t, "deep/state/plugins/mine/logic.py"));
	deinit(&f);
}

static void a_private_parent_is_refused(void **state)
{
	if (!identity_is_root()) {
		print_message("not run: root: only root gives itself up\n");
		skip();
	}
	struct fixture f;
	init(&f);
	f.c.uid = UID_PLUGINHOST;
	f.c.gid = (gid_t)UID_PLUGINHOST;
	tree_dir(&f.t, "deep");
	assert_int_equal(fchmodat(f.t.fd, "deep", 0700, 0), 0);
	assert_int_equal(open_it(&f), -EACCES);
	assert_non_null(strstr(f.said, "cannot be reached by uid 400001"));
	assert_int_equal(geteuid(), 0);
	assert_int_equal(getegid(), 0);
	deinit(&f);
}

static void others_stores_are_refused(void **state)
{
	struct fixture f;
	init(&f);
	assert_int_equal(open_it(&f), 0);
	state_close(&f.s);
	/* As if we were somebody else. */
	as_nobody();
	if (geteuid() == f.c.uid) {
		f.c.uid += 1;
	} else {
		f.c.uid = geteuid();
	}
	assert_int_equal(open_it(&f), -EACCES);
	assert_non_null(strstr(f.said, "belongs to uid "));
	as_before();
	deinit(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(makes_what_is_missing),
		cmocka_unit_test(one_at_a_time),
		cmocka_unit_test(bad_places_are_named),
		cmocka_unit_test(root_takes_over),
		cmocka_unit_test(a_private_parent_is_refused),
		cmocka_unit_test(others_stores_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
