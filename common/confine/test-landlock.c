/* Landlock alone, as every older kernel would have it, in children that restrict themselves. */
#include "common/base/test-folder.h"
#include "common/confine/landlock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

static char folder[TEST_FOLDER_BYTES];

static int make_folder(void **state)
{
	return test_folder_make(folder, "mozaiks-landlock");
}

static int remove_folder(void **state)
{
	return test_folder_remove(folder);
}

static const char *path_of(const char *format, ...) __attribute__((format(printf, 1, 2)));

static const char *path_of(const char *format, ...)
{
	static char path[8][256];
	static unsigned next;
	char *p = path[next++ % 8];
	int n = snprintf(p, sizeof(path[0]), "%s/", folder);
	va_list args;
	va_start(args, format);
	(void)vsnprintf(p + n, sizeof(path[0]) - (size_t)n, format, args);
	va_end(args);
	return p;
}

static void write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(close(fd), 0);
}

static int in_restricted_child(int abi, enum landlock_network network, int (*body)(void))
{
	const struct landlock_rule rules[] = {
		{ path_of("read"), LANDLOCK_READ, false },
		{ path_of("all"), LANDLOCK_ALL, false },
		/* Rights of directories are left out where the path is a file. */
		{ path_of("one"), LANDLOCK_READ, false },
		{ path_of("missing"), LANDLOCK_READ, true },
		{ path_of("sockets"), LANDLOCK_SOCKETS, false },
	};
	pid_t child = fork();
	if (child == 0) {
		const char *path;
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
			landlock_restrict(abi, rules, 5, network, &path) < 0) {
			_exit(100);
		}
		_exit(body());
	}
	int status = 0;
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 200;
}

static bool opens(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);
	return fd >= 0 || errno != EACCES;
}

static bool can_listen(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	return bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0;
}

static int try_files(void)
{
	const bool wanted[] = {
		opens(path_of("read/f"), O_RDONLY),
		opens(path_of("read"), O_RDONLY | O_DIRECTORY),
		!opens(path_of("read/f"), O_WRONLY),
		!opens(path_of("read/new"), O_WRONLY | O_CREAT),
		opens(path_of("all/new"), O_WRONLY | O_CREAT),
		opens(path_of("one"), O_RDONLY),
		!opens(path_of("one"), O_WRONLY),
		!opens("/etc/passwd", O_RDONLY),
		!opens("/", O_RDONLY | O_DIRECTORY),
		!opens("/dev/null", O_WRONLY),
		symlink("x", path_of("all/link")) < 0 && errno == EACCES,
		mkfifo(path_of("all/fifo"), 0600) < 0 && errno == EACCES,
		!can_listen(path_of("all/socket")),
		can_listen(path_of("sockets/socket")),
		unlink(path_of("sockets/socket")) == 0,
		execl("/bin/true", "true", NULL) < 0 && errno == EACCES,
	};
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		if (!wanted[i]) {
			return (int)i + 1;
		}
	}
	return 0;
}

/* Bits: binding was forbidden, connecting was. */
static int forbidden_network(void)
{
	const struct sockaddr_in discard = { .sin_family = AF_INET,
		.sin_port = htons(9),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const struct sockaddr_in any = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int found = bind(fd, (const struct sockaddr *)&any, sizeof(any)) < 0 && errno == EACCES;
	found |= connect(fd, (const struct sockaddr *)&discard, sizeof(discard)) < 0 &&
			errno == EACCES
		? 2
		: 0;
	return found;
}

static int try_network(void)
{
	return forbidden_network() == 3 ? 0 : 1;
}

static int try_connecting(void)
{
	return forbidden_network() == 1 ? 0 : 1;
}

static int try_signal(void)
{
	return kill(getppid(), 0) < 0 && errno == EPERM ? 0 : 1;
}

static void landlock_holds(void **state)
{
	int abi = landlock_abi();
	if (abi < 1) {
		print_message("not run: kernel: no Landlock (%d)\n", abi);
		skip();
	}
	assert_int_equal(mkdir(path_of("read"), 0755), 0);
	assert_int_equal(mkdir(path_of("all"), 0755), 0);
	assert_int_equal(mkdir(path_of("sockets"), 0755), 0);
	write_text(path_of("read/f"), "x");
	write_text(path_of("one"), "x");
	/* As every older kernel would have it, and as a newer one than the table knows. */
	for (int i = 1; i <= abi; i++) {
		assert_int_equal(in_restricted_child(i, LANDLOCK_NO_NETWORK, try_files), 0);
		(void)unlink(path_of("all/new"));
	}
	assert_int_equal(
		in_restricted_child(abi + 90, LANDLOCK_NO_NETWORK, try_files), abi >= 6 ? 0 : 100);
	if (abi >= 4) {
		assert_int_equal(in_restricted_child(abi, LANDLOCK_NO_NETWORK, try_network), 0);
		assert_int_equal(in_restricted_child(abi, LANDLOCK_CONNECTS, try_connecting), 0);
	}
	if (abi >= 6) {
		assert_int_equal(in_restricted_child(abi, LANDLOCK_NO_NETWORK, try_signal), 0);
	}
}

static void landlock_names_the_missing_path(void **state)
{
	int abi = landlock_abi();
	if (abi < 1) {
		skip();
	}
	const struct landlock_rule rule = { "/nonexistent", LANDLOCK_READ, false };
	const char *path = NULL;
	assert_int_equal(landlock_restrict(abi, &rule, 1, LANDLOCK_NO_NETWORK, &path), -ENOENT);
	assert_string_equal(path, "/nonexistent");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(landlock_holds, make_folder, remove_folder),
		cmocka_unit_test(landlock_names_the_missing_path),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
