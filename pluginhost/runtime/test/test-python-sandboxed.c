/*
 * Like test-python-worker, but the real thing: a zygote, and a worker in its whole sandbox. An ordinary
 * user is enough; root becomes one. Runs native plugins too.
 *
 *   test-python-sandboxed PYTHON_DIR PLUGIN SNAPSHOTS/PLUGIN/VERSION
 *
 * The exit status is the worker's; 77 when there can be no sandbox here.
 */
#include "common/base/identity.h"
#include "common/base/map.h"
#include "pluginhost/runtime/runtime.h"
#include "pluginhost/zygote.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { SKIPPED = 77, PLAIN_UID = 65000 };

static const struct runtime *const runtimes[] = {
	[WORKER_PYTHON] = &runtime_python,
	[WORKER_NATIVE] = &runtime_native,
};

static void become_plain(void)
{
	if (identity_is_root() &&
		(setgroups(0, NULL) < 0 || setresgid(PLAIN_UID, PLAIN_UID, PLAIN_UID) < 0 ||
			setresuid(PLAIN_UID, PLAIN_UID, PLAIN_UID) < 0)) {
		perror("become an ordinary user");
		_exit(1);
	}
	/* Changing ids has cleared it, and with it the right to write our own uid_map. */
	(void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

/* SNAPSHOTS/PLUGIN/VERSION, taken apart in place. */
static bool split(char *path, const char **ret_snapshots, const char **ret_version)
{
	char *version = strrchr(path, '/');
	if (version == NULL) {
		return false;
	}
	*version = '\0';
	char *plugin = strrchr(path, '/');
	if (plugin == NULL) {
		return false;
	}
	*plugin = '\0';
	*ret_snapshots = path;
	*ret_version = version + 1;
	return true;
}

/* A native plugin is one with a logic.so. */
static enum worker_flavour flavour_of(
	const char *snapshots, const char *plugin, const char *version)
{
	char path[PATH_MAX];
	(void)snprintf(path, sizeof(path), "%s/%s/%s/logic.so", snapshots, plugin, version);
	return access(path, F_OK) == 0 ? WORKER_NATIVE : WORKER_PYTHON;
}

/* Until the worker has ended. */
static int serve(struct zygote *z)
{
	for (;;) {
		struct zygote_event e;
		struct pollfd p = { .fd = zygote_fd(z), .events = POLLIN };
		int r = zygote_next_event(z, &e);
		if (r < 0 || (r > 0 && e.type == ZYGOTE_ENDED)) {
			(void)fprintf(stderr, "the zygote has ended: %s\n", r > 0 ? e.message : "");
			return 1;
		}
		if (r > 0 && e.type == ZYGOTE_WORKER_EXITED) {
			(void)fprintf(stderr, "worker: %s, status %d, signal %d %s\n",
				worker_end_name(e.reason), e.status, e.signal, e.message);
			return e.signal != 0 ? 128 + e.signal : e.status;
		}
		if (r == 0) {
			(void)poll(&p, 1, -1);
		}
	}
}

int main(int argc, char **argv)
{
	int role = role_main(argc, argv, runtimes);
	if (role >= 0) {
		return role;
	}
	const char *snapshots;
	const char *version;
	if (argc != 4 || !split(argv[3], &snapshots, &version) || map_init() < 0) {
		return 2;
	}
	int program_fd = open("/proc/self/exe", O_PATH | O_CLOEXEC);
	int python_fd = open(argv[1], O_PATH | O_DIRECTORY | O_CLOEXEC);
	int channel = fcntl(WORKER_FD_CHANNEL, F_DUPFD_CLOEXEC, 10);
	become_plain();
	struct sandbox_host host;
	const struct sandbox_options options = {
		.uid = getuid(), .gid = getgid(), .name = "test-python"
	};
	const enum worker_flavour flavour = flavour_of(snapshots, argv[2], version);
	int e = sandbox_host_init(&host, &options);
	if (e < 0) {
		(void)printf("not run: %s (%s)\n", host.failure, strerror(-e));
		return SKIPPED;
	}
	const struct zygote_config config = { .host = &host,
		.flavour = flavour,
		.program_fd = program_fd,
		.python_fd = python_fd,
		.snapshots_path = snapshots,
		.log_fd = STDERR_FILENO };
	struct zygote *z;
	e = identity_drop_capabilities();
	e = e < 0 ? e : zygote_start(&config, &z);
	const struct worker_start start = { .worker_id = 1,
		.plugin = argv[2],
		.version = version,
		.profile = flavour == WORKER_NATIVE ? PROFILE_NATIVE : PROFILE_PYTHON,
		.channel_fd = channel,
		.stdout_fd = STDOUT_FILENO,
		.stderr_fd = STDERR_FILENO };
	e = e < 0 ? e : zygote_start_worker(z, &start);
	if (e < 0) {
		(void)fprintf(stderr, "start: %s\n", strerror(-e));
		return 1;
	}
	(void)close(channel);
	(void)close(WORKER_FD_CHANNEL);
	int status = serve(z);
	zygote_free(z);
	sandbox_host_deinit(&host);
	return status;
}
