/*
 * A Python worker without its sandbox, for the tests in this folder:
 *
 *   test-python-worker PYTHON_DIR PLUGIN PLUGIN_DIR
 *
 * Prepares like the zygote, forks like it, and runs the plugin on the socket it has inherited as
 * fd 3. The exit status is the worker's.
 */
#include "pluginhost/runtime/python.h"
#include "pluginhost/runtime/runtime.h"

#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static _Noreturn void work(char **argv)
{
	const struct worker_context ctx = {
		.worker_id = 1,
		.plugin = argv[2],
		.plugin_dir = argv[3],
		.version = "test",
		.channel_fd = WORKER_FD_CHANNEL,
		.report = SLICE("{\"tier\":0}"),
	};
	(void)prctl(PR_SET_PDEATHSIG, 9);
	if (runtime_python.enter(&ctx) < 0) {
		_exit(WORKER_EXIT_RUNTIME);
	}
	runtime_python.run(&ctx);
	_exit(WORKER_EXIT_RUNTIME);
}

int main(int argc, char **argv)
{
	if (argc != 4) {
		(void)fprintf(stderr, "usage: %s PYTHON_DIR PLUGIN PLUGIN_DIR\n", argv[0]);
		return 2;
	}
	if (python_prepare(argv[1]) < 0) {
		return 1;
	}
	pid_t pid = fork();
	if (pid == 0) {
		work(argv);
	}
	(void)close(WORKER_FD_CHANNEL);
	int status;
	if (pid < 0 || waitpid(pid, &status, 0) != pid) {
		return 1;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
