/*
 * A user's settings of a plugin, in core's collection `settings`: one document for each user,
 * `{_id: user, user_id, plugin_settings: {<plugin>: value}}`. Each save sets one plugin's value, so
 * that two at once lose nothing. Loop thread.
 */
#pragma once

#include "common/base/slice.h"
#include "director/store/store.h"

struct director;

/* `value` is JSON text ("{}" when nothing was saved), empty on an error. */
typedef void (*plugin_settings_fn)(
	void *owner, const struct store_result *result, struct slice value);

/** @return 0 or -ENOMEM; `done` is called later. */
int plugin_settings_get(struct director *d,
	struct slice user,
	struct slice plugin,
	plugin_settings_fn done,
	void *owner);

/**
 * @param value JSON text.
 * @return 0; -EBADMSG for a value that the store cannot hold; -ENOMEM.
 */
int plugin_settings_save(struct director *d,
	struct slice user,
	struct slice plugin,
	struct slice value,
	plugin_settings_fn done,
	void *owner);
