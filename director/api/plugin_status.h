/*
 * What an operator may know of a plugin, as JSON: its state and error, its workers with their
 * sandboxes, how often what happened, and why its workers ended. README.md has the members. Nothing
 * here is for users: ends name users and log lines. Loop thread.
 */
#pragma once

#include "common/base/buffer.h"

struct director;
struct plugin;

enum plugin_status_view {
	PLUGIN_STATUS_SHORT, /* of the ends only the last one that was a failure */
	PLUGIN_STATUS_FULL,  /* all that are kept */
};

/** Appends one plugin's object. @return 0, -ENOBUFS, -ENOMEM. */
int plugin_status_append(const struct plugin *p, enum plugin_status_view view, struct buffer *b);

/** Appends {"plugins":[…],"pluginhosts":[…]}. @return 0, -ENOBUFS, -ENOMEM. */
int plugin_status_append_all(const struct director *d, struct buffer *b);
