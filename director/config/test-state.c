/*
 * The state and run directories: what they become, what is refused, the lock, and giving up root.
 * Started as root it plays all parts, each in a child; as an ordinary user those of root are
 * skipped.
 */
#include "common/base/identity.h"
#include "common/base/test-folder.h"
#include "director/config/file.h"
#include "director/config/jwt_secret.h"
#include "director/config/privileges.h"
#include "director/config/state_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { ORDINARY_UID = 12345, OTHER_UID = 12346 };

static char folder[TEST_FOLDER_BYTES];
static char why[STATE_WHY_SIZE];

static int make_folder(void **state)
{
	return test_folder_make(folder, "test-state") < 0 ? -1 : chmod(folder, 0777);
}

static int remove_folder(void **state)
{
	return chdir("/") < 0 ? -1 : test_folder_remove(folder);
}

static const char *path_of(const char *name)
{
	static char paths[4][256];
	static unsigned next;
	char *path = paths[next++ % 4];
	(void)snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
	return path;
}

static struct stat stat_of(const char *name)
{
	struct stat st = { 0 };
	assert_int_equal(lstat(path_of(name), &st), 0);
	return st;
}

static void make_file(const char *name, mode_t mode)
{
	int fd = open(path_of(name), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	assert_true(fd >= 0);
	assert_int_equal(fchmod(fd, mode), 0);
	assert_int_equal(close(fd), 0);
}

static void make_dir(const char *name, mode_t mode)
{
	assert_int_equal(mkdir(path_of(name), 0700), 0);
	assert_int_equal(chmod(path_of(name), mode), 0);
}

static int open_with_run(struct state_dir *s, const char *path, const char *run_path)
{
	struct state_dir_config config;
	state_dir_config_init(&config);
	config.state_path = path;
	config.run_path = run_path;
	config.longest_pluginhost = strlen("default");
	why[0] = '\0';
	return state_dir_open(s, &config, why);
}

static int open_state(struct state_dir *s, const char *path)
{
	return open_with_run(s, path, NULL);
}

static void assert_says(const char *text)
{
	if (strstr(why, text) == NULL) {
		fail_msg("\"%s\" does not say \"%s\"", why, text);
	}
}

/* Runs a part in a child, as root or as the ordinary user. A failed assertion there is an exit
 * status here. */
static void play(void (*part)(void), bool as_root)
{
	if (as_root != (geteuid() == 0) && geteuid() != 0) {
		skip();
	}
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (!as_root && geteuid() == 0 &&
			(setgroups(0, NULL) < 0 ||
				setresgid(ORDINARY_UID, ORDINARY_UID, ORDINARY_UID) < 0 ||
				setresuid(ORDINARY_UID, ORDINARY_UID, ORDINARY_UID) < 0)) {
			_exit(3);
		}
		part();
		_exit(0);
	}
	int status = -1;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* cmocka's assertions jump to the parent's stack, which a child must not return from. */
#define CHECK(condition)                                                                  \
	do {                                                                              \
		if (!(condition)) {                                                       \
			fprintf(stderr, "line %d: %s (%s)\n", __LINE__, #condition, why); \
			_exit(1);                                                         \
		}                                                                         \
	} while (0)

static bool status_has(const char *line)
{
	char text[4096];
	FILE *f = fopen("/proc/self/status", "re");
	size_t n = f == NULL ? 0 : fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	if (f != NULL) {
		(void)fclose(f);
	}
	return strstr(text, line) != NULL;
}

static void directories_are_made(void **state)
{
	static const char *const names[] = { "deep/er/s", "deep/er/s/run", "deep/er/s/run/control",
		"deep/er/s/run/workers" };
	struct state_dir s = STATE_DIR_NULL;
	struct state_dir_config config;
	mode_t old = umask(0);
	assert_int_equal(open_state(&s, path_of("deep/er/s")), 0);
	(void)umask(old);
	assert_string_equal(s.path, path_of("deep/er/s"));
	assert_string_equal(s.run_path, path_of("deep/er/s/run"));
	assert_false(s.chosen);
	state_dir_config_init(&config);
	for (size_t i = 0; i < COUNT(names); i++) {
		struct stat st = stat_of(names[i]);
		assert_int_equal(st.st_mode & 07777, 0751);
		assert_int_equal(st.st_uid, config.uid);
		assert_int_equal(st.st_gid, config.gid);
	}
	assert_int_equal(stat_of("deep/er").st_mode & 07777, 0755);
	struct stat lock = stat_of("deep/er/s/director.lock");
	assert_int_equal(lock.st_mode & 07777, 0600);
	assert_int_equal(lock.st_uid, config.uid);
	assert_int_equal(fcntl(s.fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(fcntl(s.lock_fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	state_dir_close(&s);
	/* And opened again as they are. */
	assert_int_equal(open_state(&s, path_of("deep/er/s")), 0);
	state_dir_close(&s);
	state_dir_close(&s);
}

static void one_director_at_a_time(void **state)
{
	char pid[32];
	struct state_dir first = STATE_DIR_NULL;
	struct state_dir second = STATE_DIR_NULL;
	assert_int_equal(open_state(&first, path_of("s")), 0);
	/* Also within one process: the lock belongs to the open file, not to the process. */
	assert_int_equal(open_state(&second, path_of("s")), -EBUSY);
	(void)snprintf(pid, sizeof(pid), "(pid %d)", getpid());
	assert_says(pid);
	assert_says(path_of("s"));
	assert_says("MOZAIKS_STATE_PATH");
	assert_null(second.path);
	/* The refused one has not touched the file, and its closing has not freed the lock. */
	assert_int_equal(open_state(&second, path_of("s")), -EBUSY);
	assert_says(pid);
	state_dir_close(&first);
	assert_int_equal(open_state(&second, path_of("s")), 0);
	state_dir_close(&second);
}

static void relative_paths_are_taken_from_here(void **state)
{
	struct state_dir s = STATE_DIR_NULL;
	assert_int_equal(chdir(folder), 0);
	assert_int_equal(open_with_run(&s, "./a", "b/run"), 0);
	assert_string_equal(s.path, path_of("a"));
	assert_string_equal(s.run_path, path_of("b/run"));
	state_dir_close(&s);
	assert_int_equal(open_state(&s, NULL), 0);
	assert_true(s.chosen);
	assert_string_equal(s.path, path_of("var"));
	state_dir_close(&s);
	assert_int_equal(chdir("/"), 0);
}

static void wrong_things_in_its_place(void **state)
{
	struct state_dir s = STATE_DIR_NULL;
	make_file("file", 0600);
	assert_int_equal(open_state(&s, path_of("file")), -ENOTDIR);
	assert_says("MOZAIKS_STATE_PATH: ");
	assert_int_equal(open_state(&s, path_of("file/below")), -ENOTDIR);
	make_dir("real", 0711);
	assert_int_equal(symlink(path_of("real"), path_of("link")), 0);
	int through_link = geteuid() == 0 ? -ENOTDIR : 0;
	assert_int_equal(open_state(&s, path_of("link")), through_link);
	assert_true(through_link == 0 || strstr(why, "symbolic link") != NULL);
	state_dir_close(&s);
	/* Above the last name links are the administrator's business. */
	assert_int_equal(open_state(&s, path_of("link/s")), 0);
	state_dir_close(&s);
	assert_int_equal(open_with_run(&s, path_of("t"), path_of("file")), -ENOTDIR);
	assert_says("MOZAIKS_RUN_PATH: ");
	assert_int_equal(open_with_run(&s, path_of("t"), path_of("link")), through_link);
	state_dir_close(&s);
}

static void rights_of_others_are_taken_away(void **state)
{
	static const mode_t cases[][2] = { { 0777, 0751 }, { 0755, 0751 }, { 0700, 0700 },
		{ 0770, 0750 }, { 0500, 0700 }, { 02755, 0751 } };
	struct state_dir_config config;
	state_dir_config_init(&config);
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct state_dir s = STATE_DIR_NULL;
		make_dir("s", cases[i][0]);
		assert_int_equal(chown(path_of("s"), config.uid, config.gid), 0);
		assert_int_equal(chmod(path_of("s"), cases[i][0]), 0);
		assert_int_equal(open_state(&s, path_of("s")), 0);
		assert_int_equal(stat_of("s").st_mode & 07777, cases[i][1]);
		state_dir_close(&s);
		assert_int_equal(remove_folder(NULL), 0);
		assert_int_equal(make_folder(NULL), 0);
	}
}

static void socket_paths_must_fit(void **state)
{
	char run[128];
	struct state_dir s = STATE_DIR_NULL;
	/* "/workers/" + 10 digits + "/channel.sock" leave 75 of 107 */
	for (size_t n = 75; n <= 76; n++) {
		memset(run, 'r', sizeof(run));
		memcpy(run, path_of(""), strlen(path_of("")));
		run[n] = '\0';
		assert_int_equal(open_with_run(&s, path_of("s"), run), n == 75 ? 0 : -ENAMETOOLONG);
		if (n == 75) {
			state_dir_close(&s);
		}
	}
	assert_says("MOZAIKS_RUN_PATH: ");
	assert_says("longer than 75 bytes");
	assert_false(file_exists(run));
}

static void part_foreign(void)
{
	struct state_dir s = STATE_DIR_NULL;
	CHECK(open_state(&s, path_of("foreign")) == -EPERM);
	CHECK(strstr(why, "belongs to uid ") != NULL && strstr(why, path_of("foreign")) != NULL);
	CHECK(open_state(&s, path_of("closed/s")) == -EACCES);
	CHECK(strstr(why, "MOZAIKS_STATE_PATH") != NULL);
	/* Its own is fine, whatever it has been reached by. */
	CHECK(open_state(&s, path_of("own")) == 0);
	CHECK(stat_of("own/run/workers").st_uid == geteuid());
}

static void an_ordinary_user_has_its_own(void **state)
{
	if (geteuid() == 0) {
		make_dir("foreign", 0777);
		make_dir("closed", 0700);
		assert_int_equal(chown(path_of("foreign"), OTHER_UID, OTHER_UID), 0);
		play(part_foreign, false);
	} else {
		skip();
	}
}

static void part_take_over(void)
{
	static const char *const given[] = { "s/jwt_secret", "s/mozaiks.db", "s/director.lock",
		"s/plugin_registry.json" };
	struct state_dir s = STATE_DIR_NULL;
	make_dir("s", 0755);
	make_dir("s/plugins", 0755);
	make_file("s/jwt_secret", 0600);
	make_file("s/mozaiks.db", 0600);
	make_file("s/plugin_registry.json", 0644);
	make_file("s/.gitignore", 0644);
	CHECK(chown(path_of("s"), ORDINARY_UID, ORDINARY_UID) == 0);
	CHECK(chown(path_of("s/jwt_secret"), ORDINARY_UID, ORDINARY_UID) == 0);
	CHECK(open_state(&s, path_of("s")) == 0);
	CHECK(stat_of("s").st_uid == UID_DIRECTOR && (stat_of("s").st_mode & 07777) == 0751);
	for (size_t i = 0; i < COUNT(given); i++) {
		CHECK(stat_of(given[i]).st_uid == UID_DIRECTOR);
		CHECK(stat_of(given[i]).st_gid == GID_CHANNEL);
	}
	CHECK((stat_of("s/jwt_secret").st_mode & 07777) == 0600);
	/* What is not the director's stays whose it was. */
	CHECK(stat_of("s/plugins").st_uid == 0 && stat_of("s/.gitignore").st_uid == 0);
}

static void root_takes_over_a_state_directory(void **state)
{
	play(part_take_over, true);
}

static void part_refuse(void)
{
	struct state_dir s = STATE_DIR_NULL;
	/* Like /etc given by mistake. */
	make_dir("etc", 0755);
	make_file("etc/passwd", 0644);
	CHECK(open_state(&s, path_of("etc")) == -EPERM);
	CHECK(strstr(why, "has files of others in it") != NULL);
	CHECK(stat_of("etc").st_uid == 0 && (stat_of("etc").st_mode & 07777) == 0755);
	/* Like /tmp. */
	make_dir("tmp", 01777);
	CHECK(open_state(&s, path_of("tmp")) == -EPERM);
	CHECK(strstr(why, "can be written by others") != NULL);
	CHECK(stat_of("tmp").st_uid == 0 && (stat_of("tmp").st_mode & 07777) == 01777);
}

static void root_takes_nothing_else(void **state)
{
	play(part_refuse, true);
}

static void part_links(void)
{
	struct state_dir s = STATE_DIR_NULL;
	make_file("target", 0600);
	make_dir("s", 0700);
	CHECK(chown(path_of("s"), UID_DIRECTOR, GID_CHANNEL) == 0);
	CHECK(link(path_of("target"), path_of("s/mozaiks.db")) == 0);
	CHECK(open_state(&s, path_of("s")) == -EPERM);
	CHECK(strstr(why, "/mozaiks.db cannot be given to uid") != NULL);
	CHECK(stat_of("target").st_uid == 0);
	CHECK(unlink(path_of("s/mozaiks.db")) == 0);
	CHECK(symlink(path_of("target"), path_of("s/jwt_secret")) == 0);
	CHECK(open_state(&s, path_of("s")) == -EPERM);
	CHECK(stat_of("target").st_uid == 0);
	CHECK(unlink(path_of("s/jwt_secret")) == 0);
	CHECK(symlink(path_of("target"), path_of("s/run")) == 0);
	CHECK(open_state(&s, path_of("s")) == -ENOTDIR);
	CHECK(stat_of("target").st_uid == 0);
	CHECK(unlink(path_of("s/run")) == 0);
	/* The lock file too is not opened through a link. */
	CHECK(unlink(path_of("s/director.lock")) == 0);
	CHECK(symlink(path_of("target"), path_of("s/director.lock")) == 0);
	CHECK(open_state(&s, path_of("s")) == -ELOOP);
	CHECK(stat_of("target").st_size == 0);
}

static void links_give_nothing_away(void **state)
{
	play(part_links, true);
}

static void part_unreachable(void)
{
	struct state_dir s = STATE_DIR_NULL;
	make_dir("home", 0700);
	make_dir("home/checkout", 0755);
	CHECK(!state_dir_reachable(path_of("home/checkout/var"), UID_DIRECTOR, GID_CHANNEL));
	CHECK(state_dir_reachable(path_of("other/var"), UID_DIRECTOR, GID_CHANNEL));
	CHECK(state_dir_reachable(path_of("home/checkout/var"), 0, 0));
	CHECK(open_state(&s, path_of("home/checkout/var")) == -EACCES);
	CHECK(strstr(why, "MOZAIKS_STATE_PATH: ") != NULL);
	CHECK(strstr(why, "cannot be reached by uid 400000") != NULL);
	CHECK(open_with_run(&s, path_of("s"), path_of("home/run")) == -EACCES);
	CHECK(strstr(why, "MOZAIKS_RUN_PATH: ") != NULL);
	CHECK(chmod(path_of("home"), 0711) == 0);
	CHECK(open_state(&s, path_of("home/checkout/var")) == 0);
	state_dir_close(&s);
	/* The group's right counts for the group. */
	CHECK(chmod(path_of("home"), 0710) == 0);
	CHECK(!state_dir_reachable(path_of("home/x"), UID_DIRECTOR, GID_CHANNEL));
	CHECK(chown(path_of("home"), 0, GID_CHANNEL) == 0);
	CHECK(state_dir_reachable(path_of("home/x"), UID_DIRECTOR, GID_CHANNEL));
	CHECK(chmod(path_of("home"), 0701) == 0);
	CHECK(!state_dir_reachable(path_of("home/x"), UID_DIRECTOR, GID_CHANNEL));
}

static void an_explicit_path_must_be_reachable(void **state)
{
	play(part_unreachable, true);
}

/* In a mount namespace with another /var/lib, so that the machine's stays as it is. */
static void part_fall_back(void)
{
	struct state_dir s = STATE_DIR_NULL;
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_PRIVATE | MS_REC, NULL) < 0 ||
		mount("none", "/var/lib", "tmpfs", 0, "mode=0755") < 0) {
		_exit(77);
	}
	make_dir("home", 0700);
	make_dir("home/checkout", 0755);
	CHECK(chdir(path_of("home/checkout")) == 0);
	CHECK(open_state(&s, NULL) == 0);
	CHECK(s.chosen && strcmp(s.path, "/var/lib/mozaiks-dev") == 0);
	CHECK(strcmp(s.run_path, "/var/lib/mozaiks-dev/run") == 0);
	CHECK(access("var", F_OK) < 0);
}

static void the_default_moves_where_it_is_reachable(void **state)
{
	if (geteuid() != 0) {
		skip();
	}
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		part_fall_back();
		_exit(0);
	}
	int status = -1;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
		skip();
	}
	assert_int_equal(status, 0);
}

/* The whole order of a start as root: open, drop, and all that comes later still works. */
static void part_start(void)
{
	char *secret = NULL;
	struct state_dir s = STATE_DIR_NULL;
	CHECK(open_state(&s, path_of("s")) == 0);
	CHECK(privileges_drop() == 0);
	CHECK(getuid() == UID_DIRECTOR && geteuid() == UID_DIRECTOR && getgid() == GID_CHANNEL);
	CHECK(getgroups(0, NULL) == 0);
	CHECK(setresuid(0, 0, 0) < 0 && setresgid(0, 0, 0) < 0 && seteuid(0) < 0);
	CHECK(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0);
	CHECK(status_has("NoNewPrivs:\t1"));
	CHECK(status_has("CapEff:\t0000000000000000") && status_has("CapBnd:\t0000000000000000"));
	CHECK(open("/etc/shadow", O_RDONLY | O_CLOEXEC) < 0);
	CHECK(jwt_secret_keep(s.fd, s.path, &secret, why) == 0);
	CHECK(strlen(secret) == 43);
	free(secret);
	CHECK(mkdir(path_of("s/run/workers/1"), 0750) == 0);
	CHECK(stat_of("s/run/workers/1").st_gid == GID_CHANNEL);
	/* The lock is still ours. */
	struct state_dir t = STATE_DIR_NULL;
	CHECK(open_state(&t, path_of("s")) == -EBUSY);
	state_dir_close(&s);
	/* A restart as the same user, without root. */
	CHECK(open_state(&t, path_of("s")) == 0);
	state_dir_close(&t);
}

static void root_is_given_up_and_the_rest_works(void **state)
{
	play(part_start, true);
}

static void part_ordinary_start(void)
{
	struct state_dir s = STATE_DIR_NULL;
	uid_t uid = getuid();
	/* The change of uid that made this user has reset it. */
	CHECK(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0);
	CHECK(open_state(&s, path_of("s")) == 0);
	CHECK(privileges_drop() == 0);
	CHECK(getuid() == uid && prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0);
	CHECK(status_has("NoNewPrivs:\t1") && status_has("CapPrm:\t0000000000000000"));
	state_dir_close(&s);
}

static void an_ordinary_user_gives_up_the_rest(void **state)
{
	play(part_ordinary_start, false);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(directories_are_made),
		TEST(one_director_at_a_time),
		TEST(relative_paths_are_taken_from_here),
		TEST(wrong_things_in_its_place),
		TEST(rights_of_others_are_taken_away),
		TEST(socket_paths_must_fit),
		TEST(an_ordinary_user_has_its_own),
		TEST(root_takes_over_a_state_directory),
		TEST(root_takes_nothing_else),
		TEST(links_give_nothing_away),
		TEST(an_explicit_path_must_be_reachable),
		TEST(the_default_moves_where_it_is_reachable),
		TEST(root_is_given_up_and_the_rest_works),
		TEST(an_ordinary_user_gives_up_the_rest),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
