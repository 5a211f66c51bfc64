/*
 * Zygotes and workers, as the director orders them: START, KILL and LIMITS in, EXITED out, once per
 * START, whatever happens.
 *
 * A generation is one zygote with its workers. Per flavour there is at most one current generation;
 * when it dies its workers are reported and the next one is started, after a back-off of 100 ms that
 * doubles up to 5 s and begins anew after a long life. STARTs meanwhile wait for it while the back-off
 * is short. The Python one is started with the program, the
 * native one with the first native plugin.
 *
 * When the director goes away nobody is left to report to: all workers are killed and forgotten; ids
 * that the next director uses never meet theirs, since zygotes get numbers of our own.
 *
 * Thread: the loop's.
 */
#pragma once

#include "common/uvx/close.h"
#include "pluginhost/discover.h"
#include "pluginhost/sandbox/denied.h"
#include "pluginhost/settings.h"
#include "pluginhost/zygote.h"

#include <uv.h>

enum {
	GENERATION_BACKOFF_MIN_MS = 100,
	GENERATION_BACKOFF_MAX_MS = 5000,
	/* Starts wait for the next zygote when it is tried that soon; else they fail. */
	GENERATION_HOLD_MS = 400,
	/* A zygote that lived this long was a good one. */
	GENERATION_GOOD_MS = 10000,
	/* The kernel writes its record a little after the death: so often it is looked for. */
	DENIED_TRIES = 10,
	DENIED_TRY_MS = 10,
	/* How long stopping waits for zygotes before it waits no more. */
	SUPERVISOR_STOP_MS = 5000,
};

struct supervisor;

struct supervisor_config {
	uv_loop_t *loop;
	/* All borrowed for the life of the supervisor. */
	const struct settings *settings;
	/* NULL: the machine has no sandbox, no plugin may be started, and why. */
	struct sandbox_host *host;
	const char *host_failure;
	/* The kernel's log, for the names of denied system calls. */
	struct denied *denied;
	int program_fd;
	int python_fd;
	const char *snapshots_path;
	const char *run_path;

	/* Which kind of plugin a version is; PLUGIN_UNKNOWN: there is none. */
	enum plugin_kind (*kind_of)(void *context, const char *plugin, const char *version);
	/* A worker is gone; `reason` is the JSON of EXITED. */
	void (*exited)(void *context, uint64_t worker_id, struct slice reason);
	/* A worker of this version has served for settings->good_ms. */
	void (*good)(void *context, const char *plugin, const char *version);
	/* What supervisor_sandbox_failure() says is another thing now. */
	void (*sandbox_changed)(void *context);
	/* No worker runs this plugin's version any more. */
	void (*released)(void *context, const char *plugin);
	void *context;
};

/** @return 0 or a negative errno. */
int supervisor_new(struct supervisor **ret, const struct supervisor_config *config);

/** Starts the first zygote. @return 0 or a negative errno: then no plugin can ever be started. */
int supervisor_start(struct supervisor *s);

/** Why no plugin may be started: there is no sandbox, or it does not hold. NULL: they may. Valid until
 * the next event. */
const char *supervisor_sandbox_failure(const struct supervisor *s);

/** Does the Python zygote serve? */
bool supervisor_is_ready(const struct supervisor *s);

void supervisor_start_worker(struct supervisor *s, uint64_t worker_id, struct slice spec);
void supervisor_kill_worker(struct supervisor *s, uint64_t worker_id);
/** The director says that it is ready. */
void supervisor_worker_serves(struct supervisor *s, uint64_t worker_id);
void supervisor_limit_worker(struct supervisor *s, uint64_t worker_id, struct slice limits);

/** The director is gone: kills all workers and reports none. */
void supervisor_drop_workers(struct supervisor *s);

bool supervisor_uses(const struct supervisor *s, const char *plugin, const char *version);

/** Kills everything, waits for it, frees. `closed` comes later from the loop. */
void supervisor_close(struct supervisor *s, uvx_closed_fn closed, void *arg);
