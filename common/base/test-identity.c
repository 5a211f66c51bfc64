/* Privileges are gone and stay gone. Each test runs in a child of its own. */
#include "common/base/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

static bool status_has(const char *line)
{
	char text[4096];
	FILE *f = fopen("/proc/self/status", "re");
	if (f == NULL) {
		return false;
	}
	size_t n = fread(text, 1, sizeof(text) - 1, f);
	(void)fclose(f);
	text[n] = '\0';
	return strstr(text, line) != NULL;
}

static bool has_no_capabilities(void)
{
	return status_has("CapPrm:\t0000000000000000") && status_has("CapEff:\t0000000000000000") &&
		status_has("CapInh:\t0000000000000000") &&
		status_has("CapAmb:\t0000000000000000") && status_has("NoNewPrivs:\t1");
}

static int child_becomes(void)
{
	const gid_t groups[] = { GID_CHANNEL };
	if (identity_become(UID_PLUGINHOST, (gid_t)UID_PLUGINHOST, groups, 1) != 0) {
		return 2;
	}
	gid_t now[4];
	if (getgroups(4, now) != 1 || now[0] != GID_CHANNEL) {
		return 3;
	}
	if (!has_no_capabilities() || !status_has("CapBnd:\t0000000000000000") ||
		!status_has("Uid:\t400001\t400001\t400001\t400001") ||
		!status_has("Gid:\t400001\t400001\t400001\t400001")) {
		return 4;
	}
	if (open("/etc/shadow", O_RDONLY | O_CLOEXEC) >= 0 || setresuid(0, 0, 0) == 0) {
		return 5;
	}
	return 0;
}

static int child_drops(void)
{
	if (getuid() == 0 && setresuid(65534, 65534, 65534) < 0) {
		return 2;
	}
	return identity_drop_capabilities() == 0 && has_no_capabilities() ? 0 : 3;
}

static int child_is_refused(void)
{
	/* uid 0 of the machine is not an ordinary user; becoming one needs root. */
	if (getuid() == 0 && setresuid(65534, 65534, 65534) < 0) {
		return 2;
	}
	return identity_become(UID_DIRECTOR, GID_CHANNEL, NULL, 0) == -EPERM ? 0 : 3;
}

static int run(int (*body)(void))
{
	pid_t pid = fork();
	if (pid == 0) {
		_exit(body());
	}
	int status = -1;
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void root_is_given_up(void **state)
{
	if (!identity_is_root()) {
		skip();
	}
	assert_int_equal(run(child_becomes), 0);
}

static void capabilities_are_given_up(void **state)
{
	assert_int_equal(run(child_drops), 0);
}

static void becoming_needs_root(void **state)
{
	assert_int_equal(run(child_is_refused), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(root_is_given_up),
		cmocka_unit_test(capabilities_are_given_up),
		cmocka_unit_test(becoming_needs_root),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
