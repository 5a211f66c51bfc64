/*
 * Wires the parts of pluginhost: what the director orders goes to the supervisor, what plugins and
 * workers do goes to the director. Thread: the loop's.
 */
#pragma once

#include "common/uvx/close.h"
#include "pluginhost/discover.h"
#include "pluginhost/settings.h"
#include "pluginhost/state.h"
#include "pluginhost/supervisor.h"

#include <uv.h>

struct host;

struct host_config {
	uv_loop_t *loop;
	/* All borrowed for the life of the host. */
	const struct settings *settings;
	const struct state *state;
	const struct plugin_path *paths;
	size_t n_paths;
	/* NULL: no plugin may be started, and why. */
	struct sandbox_host *sandbox;
	const char *sandbox_failure;
	struct denied *denied;
	int program_fd;
	int python_fd;
	/* The plugins are known and the zygote serves; once. */
	void (*ready)(void *context);
	void *context;
};

/** @return 0 or a negative errno. */
int host_new(struct host **ret, const struct host_config *config);

/** Look at the plugin paths again. */
void host_refresh(struct host *h);

/** Stops all workers, closes the channel, frees. `closed` comes later from the loop. */
void host_close(struct host *h, uvx_closed_fn closed, void *arg);
