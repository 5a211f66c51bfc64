/* Between zygote.c's process side and worker.c: what a new worker is launched with. */
#pragma once

#include "pluginhost/runtime/runtime.h"
#include "pluginhost/sandbox/seccomp.h"
#include "pluginhost/zygote_wire.h"

struct worker_launch {
	struct wire_config config;
	unsigned slot;
	int birth_fd;
	int program_fd; /* native workers are exec'ed from it */
	const struct runtime *runtime;
	struct filter_program filters[FILTERS]; /* those of the flavour's profiles */
	struct wire_start start;                /* comes over the birth socket */
};

/**
 * From the fork to the plugin's first line. Called in a process that has just been forked as PID 1 of
 * a PID namespace of its own.
 */
_Noreturn void worker_launch(struct worker_launch *l);

/** The same from the exec on, in the fresh program of a native worker. */
_Noreturn void worker_resume(const struct runtime *runtime);

/** The process of a zygote after its exec; never returns except with its exit status. */
int zygote_run(const struct runtime *const runtimes[static 2]);

/* Arguments of the program that ask for a role. */
#define ROLE_ZYGOTE "--role=zygote"
#define ROLE_WORKER "--role=worker"

/* Descriptors of a zygote and of a worker while it is being born. */
enum {
	ZYGOTE_FD_CONTROL = 3,
	ZYGOTE_FD_PROGRAM = 4,
	ZYGOTE_FDS = 5,
	BIRTH_FD = 4,
	BIRTH_FDS = 5,
	RESUME_FD_DATA = 5,
	RESUME_FD_PROGRAM = 6,
	RESUME_FDS = 7,
};
