/*
 * How a runtime (Python, native) plugs into the zygote and the worker.
 *
 *   zygote, once:     prepare()   after the zygote's own sandbox, before it forks anything
 *   worker, in order: ... namespaces, mounts, uid, capabilities, Landlock, rlimits ...
 *                     enter()     still without seccomp: what the filter would forbid later
 *                                 (Python: PyOS_AfterFork_Child(), the asyncio loop)
 *                     ... DUMPABLE=0, seccomp, self-check ...
 *                     run()       HELLO, CONFIGURE, then the plugin's code; never returns
 *
 * The plugin's code never runs before run(). A native worker is a fresh exec of the same program, so
 * its prepare() runs in the worker as well as in its zygote.
 */
#pragma once

#include "pluginhost/worker.h"

/* Where things are, in the zygote and in every worker alike. */
#define RUNTIME_PYTHON_DIR  "/mozaiks/python"
#define RUNTIME_PLUGINS_DIR "/plugins"

struct runtime {
	const char *name; /* "python", "native": goes into logs and the report */
	/* May be NULL. Single-threaded when it returns. @return 0 or a negative errno, having written
	 * what is wrong to stderr. */
	int (*prepare)(void);
	/* May be NULL. Opens at most descriptors that the plugin may keep (epoll, its wake-up pair).
	 * @return 0 or a negative errno, having written what is wrong to stderr. */
	int (*enter)(const struct worker_context *ctx);
	/* Ends the process with _exit(). */
	void (*run)(const struct worker_context *ctx);
};

extern const struct runtime runtime_python; /* runtime/python.c */
extern const struct runtime runtime_native; /* runtime/native.c */
