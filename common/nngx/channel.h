/*
 * A channel: one nng pair0 listener on a unix socket and the one peer that is connected to it. The
 * director has one for each worker and one for each pluginhost. Messages are batches of frames
 * (common/proto/frame.h): everything queued during one turn of the loop leaves in one message.
 *
 * nng runs threads of its own. None of them touches anything here but an event word behind a lock,
 * followed by uv_async_send(); all callbacks run on the loop thread. The process must never fork.
 *
 * Loop thread only.
 */
#pragma once

#include "common/base/buffer.h"
#include "common/proto/frame.h"

#include <uv.h>

/* What all channels of a loop share: the flush before and after each poll. */
struct channel_hub;

/** @return 0, -ENOMEM or libuv's error. */
int channel_hub_new(struct channel_hub **ret, uv_loop_t *loop);

/** Call when no channel is left. `done` runs when the memory is gone. */
void channel_hub_close(struct channel_hub *hub, void (*done)(void *arg), void *arg);

struct channel;

struct channel_events {
	/* The peer connected. */
	void (*on_open)(void *owner);
	/* One whole message. It is valid during the call; channel_close() may be called in it. */
	void (*on_message)(void *owner, struct slice message);
	/* The peer is gone (or sent something that nng refuses). The listener stays: a new peer
	 * may come, unless the owner closes the channel. */
	void (*on_close)(void *owner);
};

/**
 * Listens. The socket file gets mode 0660; the caller has made its directory.
 * @param path at most 100 bytes, what a unix socket address can hold.
 * @return 0; -ENAMETOOLONG; -EADDRINUSE; -ENOMEM; -EIO for another failure of nng.
 */
int channel_listen(struct channel **ret,
	struct channel_hub *hub,
	const char *path,
	const struct channel_events *events,
	void *owner);

/**
 * The buffer that the next frame of about `size` bytes (header included) is appended to; the frames
 * before it are sealed into a message of their own when it would not fit beside them. Call
 * channel_end() after the append, whether or not it succeeded.
 * @return NULL when more than CHANNEL_QUEUE_MAX bytes wait already: the peer does not read.
 */
struct buffer *channel_begin(struct channel *c, size_t size);
void channel_end(struct channel *c);

enum { CHANNEL_QUEUE_MAX = 8 * 1024 * 1024 };

/** Bytes that wait to be sent. */
size_t channel_queued(const struct channel *c);

/** True between on_open and on_close. */
bool channel_is_open(const struct channel *c);

/** Cuts the peer off, removes the socket file, frees the channel later. No callback follows. NULL
 * is allowed. */
void channel_close(struct channel *c);
