/*
 * What the director says in START and LIMITS, checked: JSON into structs, and the socket of a worker
 * into a connected descriptor. Pure but for spec_connect(). Any thread.
 */
#pragma once

#include "common/json/tree.h"
#include "pluginhost/discover.h"
#include "pluginhost/settings.h"
#include "pluginhost/snapshot.h"
#include "pluginhost/worker.h"

enum { SPEC_SOCKET_SIZE = 4096 };

struct start_spec {
	char plugin[PLUGIN_ID_SIZE];
	char version[VERSION_SIZE];
	char socket[SPEC_SOCKET_SIZE];
	struct worker_limits limits;
};

/**
 * {"plugin":"…","version":"…","socket":"/…/workers/<id>/channel.sock",
 *  "limits":{"memory":bytes|null,"pids":n|null,"cpu":percent|null,…}}
 * Limits that nobody asked for are the settings'; more than the settings' maximum is cut to it.
 * @return true, or false with `why`.
 */
bool spec_parse(struct slice json,
	const struct settings *settings,
	struct start_spec *ret,
	struct json_why *why);

/** The limits alone, for LIMITS: what is not named stays 0, which means unchanged. */
bool spec_parse_limits(struct slice json,
	const struct settings *settings,
	struct worker_limits *ret,
	struct json_why *why);

/**
 * Connects the worker's channel. The path must be <run>/workers/<name>/channel.sock of our own run
 * directory, however it is spelled, and no link is followed below it.
 * @return a non-blocking connected socket, or a negative errno (-EXDEV: it lies elsewhere).
 */
int spec_connect(const char *run_path, const char *socket);
