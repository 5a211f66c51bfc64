/*
 * The Python runtime: CPython embedded in zygote and workers.
 *
 *   zygote  python_prepare()  starts the interpreter, imports what plugins use, freezes it for the
 *                             garbage collector, so that workers share its pages
 *   worker  enter()           makes the interpreter know that it was forked; the asyncio loop
 *           run()             HELLO, then the loop, for ever; the rest is in python_state.h and in
 *                             pluginhost/python/mozaiks/
 *
 * The interpreter reads no environment, no configuration and no .pth files, writes no bytecode and
 * installs no signal handlers.
 */
#include "pluginhost/runtime/python.h"

#include "pluginhost/runtime/python_module.h"
#include "pluginhost/runtime/python_state.h"
#include "pluginhost/runtime/runtime.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

/* Debian's places; the plugin's own site/ goes before the last one (mozaiks/_loader.py). */
static const wchar_t *const standard_paths[] = {
	L"/usr/lib/python3.11",
	L"/usr/lib/python3.11/lib-dynload",
	L"/usr/lib/python3/dist-packages",
};
_Static_assert(PY_MAJOR_VERSION == 3 && PY_MINOR_VERSION == 11,
	"_asyncio and these paths are looked at for CPython 3.11");

static PyStatus set_paths(PyConfig *config, const char *python_dir)
{
	wchar_t *dir = Py_DecodeLocale(python_dir, NULL);
	if (dir == NULL) {
		return PyStatus_NoMemory();
	}
	PyStatus status = PyWideStringList_Append(&config->module_search_paths, dir);
	PyMem_RawFree(dir);
	for (size_t i = 0; i < sizeof(standard_paths) / sizeof(standard_paths[0]); i++) {
		if (!PyStatus_Exception(status)) {
			status = PyWideStringList_Append(
				&config->module_search_paths, standard_paths[i]);
		}
	}
	config->module_search_paths_set = 1;
	return status;
}

/* What the interpreter would otherwise look for on PATH. */
static PyStatus set_places(PyConfig *config)
{
	const struct {
		wchar_t **member;
		const wchar_t *value;
	} places[] = {
		{ &config->program_name, L"/usr/bin/python3" },
		{ &config->executable, L"/usr/bin/python3" },
		{ &config->base_executable, L"/usr/bin/python3" },
		{ &config->prefix, L"/usr" },
		{ &config->base_prefix, L"/usr" },
		{ &config->exec_prefix, L"/usr" },
		{ &config->base_exec_prefix, L"/usr" },
		{ &config->stdlib_dir, L"/usr/lib/python3.11" },
	};
	PyStatus status = PyStatus_Ok();
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		if (!PyStatus_Exception(status)) {
			status = PyConfig_SetString(config, places[i].member, places[i].value);
		}
	}
	return status;
}

static PyStatus start_interpreter(const char *python_dir)
{
	PyPreConfig pre;
	PyPreConfig_InitIsolatedConfig(&pre);
	pre.utf8_mode = 1;
	PyStatus status = Py_PreInitialize(&pre);
	if (PyStatus_Exception(status)) {
		return status;
	}
	PyConfig config;
	PyConfig_InitIsolatedConfig(&config);
	config.write_bytecode = 0;
	config.install_signal_handlers = 0;
	config.site_import = 0;
	config.pathconfig_warnings = 0;
	config.parse_argv = 0;
	status = set_paths(&config, python_dir);
	if (!PyStatus_Exception(status)) {
		status = set_places(&config);
	}
	if (!PyStatus_Exception(status)) {
		status = Py_InitializeFromConfig(&config);
	}
	PyConfig_Clear(&config);
	return status;
}

/* Calls a function of mozaiks._worker. @return a new reference, or NULL after printing why. */
static PyObject *call_worker(const char *function, const char *format, const char *a, const char *b)
{
	PyObject *module = PyImport_ImportModule("mozaiks._worker");
	PyObject *r = module == NULL ? NULL
		: format == NULL     ? PyObject_CallMethod(module, function, NULL)
				     : PyObject_CallMethod(module, function, format, a, b);
	Py_XDECREF(module);
	if (r == NULL) {
		PyErr_Print();
	}
	return r;
}

int python_prepare(const char *python_dir)
{
	/* Each arena reserves 64 MiB of address space, which is limited; under the interpreter's lock
	 * threads hardly compete for them. */
	(void)mallopt(M_ARENA_MAX, 2);
	if (PyImport_AppendInittab("_mozaiks", python_module_init) < 0) {
		return -ENOMEM;
	}
	PyStatus status = start_interpreter(python_dir);
	if (PyStatus_Exception(status)) {
		(void)fprintf(stderr, "python runtime: %s: %s\n",
			status.func == NULL ? "start" : status.func,
			status.err_msg == NULL ? "exit" : status.err_msg);
		return -EINVAL;
	}
	PyObject *r = call_worker("prepare", NULL, NULL, NULL);
	Py_XDECREF(r);
	return r == NULL ? -EINVAL : 0;
}

static int prepare(void)
{
	return python_prepare(RUNTIME_PYTHON_DIR);
}

static int enter(const struct worker_context *ctx)
{
	/* Writing to a pipe that pluginhost has closed is an error, not the end. */
	(void)signal(SIGPIPE, SIG_IGN);
	PyOS_AfterFork_Child();
	PyObject *r = call_worker("enter", NULL, NULL, NULL);
	Py_XDECREF(r);
	return r == NULL ? -EINVAL : 0;
}

static int say_hello(struct python_state *s, const struct worker_context *ctx)
{
	struct msg_hello hello = { .version = PROTOCOL_VERSION, .report = ctx->report };
	int e = channel_open(&s->channel, ctx->channel_fd);
	if (e < 0) {
		return e;
	}
	s->open = true;
	return channel_end(&s->channel,
		msg_hello_append(channel_begin(&s->channel), &(struct frame){ 0 }, &hello));
}

static _Noreturn void run(const struct worker_context *ctx)
{
	struct python_state *s = python_state_get();
	if (s == NULL) {
		PyErr_Print();
		python_end(WORKER_EXIT_RUNTIME, "no module _mozaiks");
	}
	s->worker = ctx;
	if (say_hello(s, ctx) < 0) {
		python_end(WORKER_EXIT_RUNTIME, "the channel could not be opened");
	}
	PyObject *r = call_worker("run", "ss", ctx->plugin, ctx->plugin_dir);
	Py_XDECREF(r);
	python_end(WORKER_EXIT_RUNTIME, "the loop has ended");
}

const struct runtime runtime_python = {
	.name = "python",
	.prepare = prepare,
	.enter = enter,
	.run = run,
};
