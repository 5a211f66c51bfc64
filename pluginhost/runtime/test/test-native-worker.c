/*
 * A native worker without its sandbox, for the thread sanitizer, whose own thread keeps a process from
 * making a user namespace. Called like test-python-worker:
 *
 *   test-native-worker UNUSED PLUGIN DIRECTORY
 */
#include "pluginhost/runtime/runtime.h"
#include "pluginhost/sandbox/seccomp.h"

#include <linux/seccomp.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	/* The seal is not what is tested here. */
	static struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	static const struct filter_program program = { 1, &allow };
	if (argc != 4 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
		runtime_native.prepare() < 0) {
		return 2;
	}
	const struct worker_context ctx = { .worker_id = 1,
		.plugin = argv[2],
		.plugin_dir = argv[3],
		.version = "version_1",
		.channel_fd = WORKER_FD_CHANNEL,
		.limits = { .threads = 8 },
		.report = SLICE("{\"profile\":\"native\",\"seccomp\":\"native-load\"}"),
		.final_filter = &program };
	runtime_native.run(&ctx);
	return 1;
}
