/* Snapshots: named by content, whole or absent, bounded, and deaf to edits meanwhile. */
#include "pluginhost/snapshot.h"
#include "pluginhost/test-tree.h"

#include <dirent.h>
#include <errno.h>

struct fixture {
	struct tree source;
	struct tree store;
	struct snapshot_limits limits;
	uint8_t fingerprint[FINGERPRINT_SIZE];
	char version[VERSION_SIZE];
	char why[WALK_WHY_MAX + 1];
};

static void init(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	tree_init(&f->source);
	tree_init(&f->store);
	f->limits = (struct snapshot_limits){ .walk = { .entries = 100, .depth = 4 },
		.bytes = 1000 * 1000 };
	tree_dir(&f->source, "hello");
	tree_file(&f->source, "hello/logic.py", "def execute(data):\n    return {}\n");
	tree_dir(&f->source, "hello/lib");
	tree_file(&f->source, "hello/lib/x.py", "X = 1\n");
}

static void deinit(struct fixture *f)
{
	tree_deinit(&f->source);
	tree_deinit(&f->store);
}

static struct snapshot_config config_of(struct fixture *f)
{
	struct snapshot_config c = { .store_fd = f->store.fd,
		.id = "hello",
		.source_fd = f->source.fd,
		.source = "hello",
		.limits = &f->limits };
	memcpy(c.fingerprint, f->fingerprint, sizeof(c.fingerprint));
	return c;
}

/* Runs to the end; 0 ms makes each step the smallest one. */
static int finish(struct fixture *f, struct snapshot *s)
{
	int r;
	while ((r = snapshot_step(s, 0)) == SNAPSHOT_MORE) {
	}
	(void)snprintf(f->version, sizeof(f->version), "%s", snapshot_version(s));
	memcpy(f->fingerprint, snapshot_fingerprint(s), sizeof(f->fingerprint));
	text_of(snapshot_why(s), f->why, sizeof(f->why));
	assert_null(snapshot_free(s));
	return r;
}

static int take(struct fixture *f)
{
	struct snapshot_config c = config_of(f);
	struct snapshot *s;
	assert_int_equal(snapshot_new(&s, &c), 0);
	return finish(f, s);
}

static int count_entries(struct tree *t, const char *path)
{
	int fd = openat(t->fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		return -1;
	}
	DIR *dir = fdopendir(fd);
	int n = 0;
	while (readdir(dir) != NULL) {
		n++;
	}
	(void)closedir(dir);
	return n - 2;
}

static void stored(struct fixture *f, const char *path, char out[static 256])
{
	(void)snprintf(out, 256, "hello/%s/%s", f->version, path);
}

static void copies_content_and_modes(void **state)
{
	struct fixture f;
	init(&f);
	assert_int_equal(fchmodat(f.source.fd, "hello/lib/x.py", 0700, 0), 0);
	tree_dir(&f.source, "hello/__pycache__");
	tree_file(&f.source, "hello/.secret", "no");
	mode_t old = umask(077);
	assert_int_equal(take(&f), SNAPSHOT_DONE);
	(void)umask(old);
	assert_true(snapshot_is_version(slice_str(f.version)));
	char path[256];
	struct stat st;
	stored(&f, "lib/x.py", path);
	assert_int_equal(fstatat(f.store.fd, path, &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	stored(&f, "logic.py", path);
	assert_int_equal(fstatat(f.store.fd, path, &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	char *text;
	size_t n;
	assert_int_equal(beneath_read(f.store.fd, path, 1000, &text, &n), 0);
	assert_string_equal(text, "def execute(data):\n    return {}\n");
	free(text);
	stored(&f, "lib", path);
	assert_int_equal(fstatat(f.store.fd, path, &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	stored(&f, "", path);
	assert_int_equal(count_entries(&f.store, path), 2);
	assert_int_equal(fstatat(f.store.fd, path, &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	/* Nothing but the version remains. */
	assert_int_equal(count_entries(&f.store, "."), 1);
	int fd = snapshot_open(f.store.fd, "hello", f.version);
	assert_true(fd >= 0);
	(void)close(fd);
	deinit(&f);
}

/*
 * The documented hash, computed with sha256sum of "d 755 3:lib\nf 644 8:lib/x.py HASH\n
 * f 644 8:logic.py HASH\n", where HASH is that of the file.
 */
static void version_is_the_documented_hash(void **state)
{
	struct fixture f;
	init(&f);
	assert_int_equal(take(&f), SNAPSHOT_DONE);
	assert_string_equal(f.version,
		"6f0030daebd105657e18e26c3c4af68b"
		"7a5d38ae0307ae54c55359266c9a7170");
	deinit(&f);
}

static void same_content_is_the_same_version(void **state)
{
	struct fixture f;
	init(&f);
	assert_int_equal(take(&f), SNAPSHOT_DONE);
	char first[VERSION_SIZE];
	memcpy(first, f.version, sizeof(first));
	/* Nothing touched: told by the fingerprint alone. */
	assert_int_equal(take(&f), SNAPSHOT_SAME);
	/* Written again with the same content: another fingerprint, the same version. */
	tree_file(&f.source, "hello/logic.py", "def execute(data):\n    return {}\n");
	assert_int_equal(take(&f), SNAPSHOT_DONE);
	assert_string_equal(f.version, first);
	assert_int_equal(count_entries(&f.store, "hello"), 1);
	/* A different mode, name or content is a different version. */
	assert_int_equal(fchmodat(f.source.fd, "hello/logic.py", 0755, 0), 0);
	assert_int_equal(take(&f), SNAPSHOT_DONE);
	assert_string_not_equal(f.version, first);
	assert_int_equal(fchmodat(f.source.fd, "hello/logic.py", 0644, 0), 0);
	assert_int_equal(renameat(f.source.fd, "hello/lib/x.py", f.source.fd, "hello/lib/y.py"), 0);
	assert_int_equal(take(&f), SNAPSHOT_DONE);
	assert_string_not_equal(f.version, first);
	assert_int_equal(count_entries(&f.store, "hello"), 3);
	deinit(&f);
}

static void refusals_leave_nothing(void **state)
{
	struct fixture f;
	init(&f);
	assert_int_equal(symlinkat("/etc/passwd", f.source.fd, "hello/lib/link"), 0);
	assert_int_equal(take(&f), SNAPSHOT_E_REFUSED);
	assert_string_equal(f.why, "\"lib/link\": is a symbolic link; links are not followed");
	assert_int_equal(count_entries(&f.store, "."), 0);
	assert_int_equal(unlinkat(f.source.fd, "hello/lib/link", 0), 0);
	/* Many bytes that take no room, and many that do. */
	int fd = openat(f.source.fd, "hello/big", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_int_equal(ftruncate(fd, 10LL << 30), 0);
	assert_int_equal(take(&f), SNAPSHOT_E_REFUSED);
	assert_string_equal(f.why, "more than 1000000 bytes (MOZAIKS_SNAPSHOT_BYTES)");
	assert_int_equal(ftruncate(fd, 1000000), 0);
	assert_int_equal(take(&f), SNAPSHOT_E_REFUSED);
	assert_int_equal(ftruncate(fd, 900000), 0);
	assert_int_equal(take(&f), SNAPSHOT_DONE);
	(void)close(fd);
	deinit(&f);
}

static void unreadable_files_are_named(void **state)
{
	struct fixture f;
	as_nobody();
	init(&f);
	assert_int_equal(fchmodat(f.source.fd, "hello/lib/x.py", 0, 0), 0);
	assert_int_equal(take(&f), SNAPSHOT_E_REFUSED);
	assert_non_null(strstr(f.why, "\"lib/x.py\": cannot be read by pluginhost (uid "));
	assert_int_equal(fchmodat(f.source.fd, "hello", 0, 0), 0);
	assert_int_equal(take(&f), SNAPSHOT_E_REFUSED);
	assert_non_null(strstr(f.why, "the directory cannot be read by pluginhost (uid "));
	assert_int_equal(fchmodat(f.source.fd, "hello", 0700, 0), 0);
	deinit(&f);
	as_before();
}

/* Steps until the pass that copies has begun. */
static struct snapshot *until_copying(struct fixture *f)
{
	struct snapshot_config c = config_of(f);
	struct snapshot *s;
	assert_int_equal(snapshot_new(&s, &c), 0);
	while (count_entries(&f->store, ".") == 0) {
		assert_int_equal(snapshot_step(s, 0), SNAPSHOT_MORE);
	}
	return s;
}

static void an_edit_meanwhile_is_no_version(void **state)
{
	struct fixture f;
	init(&f);
	struct snapshot *s = until_copying(&f);
	tree_file(&f.source, "hello/lib/x.py", "X = 2\n");
	assert_int_equal(finish(&f, s), SNAPSHOT_E_CHANGED);
	assert_int_equal(count_entries(&f.store, "."), 0);

	s = until_copying(&f);
	assert_int_equal(renameat(f.source.fd, "hello/logic.py", f.source.fd, "hello/zogic.py"), 0);
	assert_int_equal(finish(&f, s), SNAPSHOT_E_CHANGED);
	assert_int_equal(renameat(f.source.fd, "hello/zogic.py", f.source.fd, "hello/logic.py"), 0);

	/* A file grows over the limit between the passes. */
	s = until_copying(&f);
	int fd = openat(f.source.fd, "hello/logic.py", O_WRONLY | O_CLOEXEC);
	assert_int_equal(ftruncate(fd, 10LL << 30), 0);
	(void)close(fd);
	assert_int_equal(finish(&f, s), SNAPSHOT_E_REFUSED);
	tree_file(&f.source, "hello/logic.py", "def execute(data):\n    return {}\n");

	/* The whole directory is moved away and a link put in its place. */
	s = until_copying(&f);
	assert_int_equal(renameat(f.source.fd, "hello", f.source.fd, "old"), 0);
	assert_int_equal(symlinkat("old", f.source.fd, "hello"), 0);
	/* The link in its place is not followed. */
	assert_int_equal(finish(&f, s), SNAPSHOT_E_CHANGED);
	deinit(&f);
}

static void waits_until_it_is_settled(void **state)
{
	struct fixture f;
	init(&f);
	f.limits.settle_ms = 300;
	tree_file(&f.source, "hello/logic.py", "def execute(data):\n    return 1\n");
	assert_int_equal(take(&f), SNAPSHOT_E_CHANGED);
	sleep_ms(350);
	assert_int_equal(take(&f), SNAPSHOT_DONE);
	deinit(&f);
}

static void single_file_becomes_logic(void **state)
{
	struct fixture f;
	init(&f);
	tree_file(&f.source, "solo.py", "def execute(data):\n    return {}\n");
	struct snapshot_config c = config_of(&f);
	c.source = "solo.py";
	c.single_as = "logic.py";
	struct snapshot *s;
	assert_int_equal(snapshot_new(&s, &c), 0);
	assert_int_equal(finish(&f, s), SNAPSHOT_DONE);
	char path[256];
	stored(&f, "logic.py", path);
	assert_true(tree_has(&f.store, path));
	stored(&f, "", path);
	assert_int_equal(count_entries(&f.store, path), 1);
	deinit(&f);
}

static void leftovers_are_cleaned(void **state)
{
	struct fixture f;
	init(&f);
	struct snapshot *s = until_copying(&f);
	/* What a crash leaves: steal the temporary directory from the one that would remove it. */
	assert_int_equal(count_entries(&f.store, "."), 1);
	tree_dir(&f.store, ".tmp-crashed");
	tree_dir(&f.store, ".tmp-crashed/d");
	tree_file(&f.store, ".tmp-crashed/d/x", "1");
	(void)snapshot_free(s);
	assert_int_equal(count_entries(&f.store, "."), 1);
	assert_int_equal(take(&f), SNAPSHOT_DONE);
	assert_int_equal(snapshot_store_clean(f.store.fd), 0);
	assert_false(tree_has(&f.store, ".tmp-crashed"));
	assert_true(tree_has(&f.store, "hello"));
	deinit(&f);
}

static bool keep_one(void *context, const char *version)
{
	return strcmp(version, context) == 0;
}

static bool keep_none(void *context, const char *version)
{
	return false;
}

static void prunes_what_is_not_kept(void **state)
{
	struct fixture f;
	init(&f);
	assert_int_equal(take(&f), SNAPSHOT_DONE);
	tree_file(&f.source, "hello/logic.py", "2");
	assert_int_equal(take(&f), SNAPSHOT_DONE);
	tree_file(&f.source, "hello/logic.py", "3");
	assert_int_equal(take(&f), SNAPSHOT_DONE);
	assert_int_equal(count_entries(&f.store, "hello"), 3);
	assert_int_equal(snapshot_store_prune(f.store.fd, "hello", keep_one, f.version), 0);
	assert_int_equal(count_entries(&f.store, "hello"), 1);
	int fd = snapshot_open(f.store.fd, "hello", f.version);
	assert_true(fd >= 0);
	(void)close(fd);
	assert_int_equal(snapshot_store_prune(f.store.fd, "hello", keep_none, NULL), 0);
	assert_false(tree_has(&f.store, "hello"));
	assert_int_equal(snapshot_store_prune(f.store.fd, "never", keep_none, NULL), 0);
	deinit(&f);
}

static void opening_stays_beneath(void **state)
{
	struct tree t;
	tree_init(&t);
	tree_dir(&t, "in");
	tree_file(&t, "in/x", "1");
	assert_int_equal(symlinkat("in", t.fd, "link"), 0);
	int in = beneath_open(t.fd, "in", O_RDONLY | O_DIRECTORY);
	assert_true(in >= 0);
	/* The kernel's way, and ours where it is denied: the same answers. */
	int (*const ways[])(int, const char *, int) = { beneath_open, beneath_open_by_steps };
	for (int i = 0; i < 2; i++) {
		assert_int_equal(ways[i](in, "../in/x", O_RDONLY), -EXDEV);
		assert_int_equal(ways[i](in, "..", O_PATH), -EXDEV);
		assert_int_equal(ways[i](t.fd, "in/../../x", O_RDONLY), -EXDEV);
		assert_int_equal(ways[i](in, "/etc/passwd", O_RDONLY), -EXDEV);
		assert_int_equal(ways[i](t.fd, "link/x", O_RDONLY), -ELOOP);
		assert_int_equal(ways[i](t.fd, "link", O_RDONLY), -ELOOP);
		assert_int_equal(ways[i](t.fd, "link", O_PATH), -ELOOP);
		assert_int_equal(ways[i](t.fd, "link", O_PATH | O_DIRECTORY), -ELOOP);
		assert_int_equal(ways[i](t.fd, "in/x/y", O_RDONLY), -ENOTDIR);
		assert_int_equal(ways[i](t.fd, "in/x", O_RDONLY | O_DIRECTORY), -ENOTDIR);
		assert_int_equal(ways[i](t.fd, "absent", O_RDONLY), -ENOENT);
		assert_int_equal(ways[i](t.fd, "absent/x", O_RDONLY), -ENOENT);
		assert_int_equal(ways[i](t.fd, "", O_RDONLY), -ENOENT);
		int fd = ways[i](t.fd, "./in//x", O_RDONLY);
		assert_true(fd >= 0);
		assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
		(void)close(fd);
	}
	char *text;
	size_t n;
	assert_int_equal(beneath_read(t.fd, "in/x", 0, &text, &n), -EFBIG);
	assert_int_equal(beneath_read(t.fd, "in", 100, &text, &n), -EINVAL);
	assert_int_equal(beneath_read(t.fd, "in/x", 1, &text, &n), 0);
	assert_int_equal(n, 1);
	free(text);
	(void)close(in);
	tree_deinit(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(copies_content_and_modes),
		cmocka_unit_test(version_is_the_documented_hash),
		cmocka_unit_test(same_content_is_the_same_version),
		cmocka_unit_test(refusals_leave_nothing),
		cmocka_unit_test(unreadable_files_are_named),
		cmocka_unit_test(an_edit_meanwhile_is_no_version),
		cmocka_unit_test(waits_until_it_is_settled),
		cmocka_unit_test(single_file_becomes_logic),
		cmocka_unit_test(leftovers_are_cleaned),
		cmocka_unit_test(prunes_what_is_not_kept),
		cmocka_unit_test(opening_stays_beneath),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
