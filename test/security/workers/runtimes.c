#include "test/security/workers/runtimes.h"

#include "pluginhost/runtime/python_api.h"
#include "test/security/attacks/plugin.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EXIT_CHANNEL_CLOSED = 7 };

/* ---- Native: the shared object, loaded as a plugin is, then the second filter ---- */

static _Noreturn void run_native(const struct worker_context *ctx)
{
	char path[128];
	(void)snprintf(path, sizeof(path), "%s/attacks.so", ctx->plugin_dir);
	void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	/* POSIX makes the conversion work that ISO C has no words for. */
	attack_run_fn attack_in = NULL;
	if (object != NULL) {
		*(void **)&attack_in = dlsym(object, "attack_run");
	}
	if (attack_in == NULL) {
		(void)fprintf(stderr, "%s\n", dlerror());
		_exit(WORKER_EXIT_RUNTIME);
	}
	worker_seal(ctx);

	struct attack_order order;
	struct attack_outcome outcome;
	while (recv(WORKER_FD_CHANNEL, &order, sizeof(order), MSG_WAITALL) == sizeof(order)) {
		if (attack_in(&order, &outcome) != 0) {
			_exit(WORKER_EXIT_RUNTIME);
		}
		if (send(WORKER_FD_CHANNEL, &outcome, sizeof(outcome), MSG_NOSIGNAL) !=
			sizeof(outcome)) {
			break;
		}
	}
	_exit(EXIT_CHANNEL_CLOSED);
}

static const struct runtime native = { .name = "attacks", .run = run_native };

/* ---- Python: the interpreter as it is for plugins, but with a plugin that serves the channel ---- */

static int prepare_python(void)
{
	int e = runtime_python.prepare();
	if (e == 0 &&
		PyRun_SimpleString("import ctypes, mmap, resource, runpy, subprocess\n") != 0) {
		return -EINVAL;
	}
	return e;
}

static int enter_python(const struct worker_context *ctx)
{
	return runtime_python.enter(ctx);
}

static _Noreturn void run_python(const struct worker_context *ctx)
{
	(void)PyRun_SimpleString("runpy.run_path('/plugins/attacker/logic.py')\n");
	_exit(WORKER_EXIT_RUNTIME);
}

static const struct runtime python = {
	.name = "attacks",
	.prepare = prepare_python,
	.enter = enter_python,
	.run = run_python,
};

const struct runtime *const attack_runtimes[2] = {
	[WORKER_PYTHON] = &python,
	[WORKER_NATIVE] = &native,
};
