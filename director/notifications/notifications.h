/*
 * Notifications, in core's collection `notifications`:
 * {_id: uuid, id, user_id, type, title, message, metadata, channels, plugin, read, created_at}.
 * An answer that says "created" means that it is stored. The user's connected clients are told at once:
 * {"type": "notification", "subtype": "new", "data": …}. Loop thread.
 */
#pragma once

#include "common/base/slice.h"
#include "director/store/store.h"

struct director;

struct notification {
	struct slice user, type, title, message; /* UTF-8 */
	struct slice metadata;                   /* a JSON object, or empty */
	struct slice channels;                   /* a JSON array, or empty */
	struct slice plugin;
};

enum { NOTIFICATION_ID_SIZE = 37 };

/**
 * Stores one. `done` is called later with the store's result.
 * @param ret_id the id, for the caller's answer.
 * @return 0; -EBADMSG for metadata that the store cannot hold; -ENOMEM.
 */
int notifications_create(struct director *d,
	const struct notification *n,
	char ret_id[static NOTIFICATION_ID_SIZE],
	store_done_fn done,
	void *owner);
