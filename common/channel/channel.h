/*
 * A channel: a listening unix socket and the one peer that is connected to it, speaking nng's pair0
 * wire format (common/proto/pair0.h). The director has one for each worker and one for each
 * pluginhost. Messages are batches of frames (common/proto/frame.h): everything queued during one
 * turn of the loop leaves in one message.
 *
 * Any program that links nng can be the peer, and the tests use it as one. This end does not: the
 * library completes each message on threads of its own, which cost a third of the director's time
 * for a request (director/README.md has the figures).
 *
 * Loop thread only.
 */
#pragma once

#include "common/base/buffer.h"
#include "common/proto/frame.h"

#include <uv.h>

/* What all channels of a loop share: the flush before and after each poll. */
struct channel_hub;

enum { CHANNEL_QUEUE_MIN = 2 * 1024 * 1024, CHANNEL_QUEUE_DEFAULT = 8 * 1024 * 1024 };

/** @param queue_bytes that may wait to be sent in each channel, at least CHANNEL_QUEUE_MIN: the largest
 *   message fits then. @return 0 or -ENOMEM. */
int channel_hub_new(struct channel_hub **ret, uv_loop_t *loop, size_t queue_bytes);

/** Call when no channel is left. `done` runs when the memory is gone. */
void channel_hub_close(struct channel_hub *hub, void (*done)(void *arg), void *arg);

struct channel;

/* Why a peer is no more. */
enum channel_end {
	CHANNEL_PEER_GONE,   /* it closed, or the connection broke */
	CHANNEL_BAD_MESSAGE, /* it sent what is no message, or one over MESSAGE_MAX */
};

struct channel_events {
	/* The peer connected and speaks pair0. */
	void (*on_open)(void *owner);
	/* One whole message. It is valid during the call; channel_close() may be called in it. */
	void (*on_message)(void *owner, struct slice message);
	/* The peer is gone, or was cut off. What waited for it is dropped. The listener stays: a new
	 * peer may come, unless the owner closes the channel. */
	void (*on_close)(void *owner, enum channel_end why);
};

/**
 * Listens. The socket file gets mode 0660; the caller has made its directory.
 * @param path at most 107 bytes, what a unix socket address can hold.
 * @return 0; -ENAMETOOLONG; -EADDRINUSE; -ENOMEM; another negative errno of bind().
 */
int channel_listen(struct channel **ret,
	struct channel_hub *hub,
	const char *path,
	const struct channel_events *events,
	void *owner);

/**
 * The buffer that the next frame of about `size` bytes (header included) is appended to; a new
 * message begins when it would not fit beside the frames before it. Call channel_end() after the
 * append, whether or not it succeeded.
 * @return NULL without a peer, when as much as may waits already (the peer does not read),
 * or without memory.
 */
struct buffer *channel_begin(struct channel *c, size_t size);
void channel_end(struct channel *c);

/** Reads nothing for `ms` milliseconds from now: the peer waits in its own sending. What was received
 * already waits here. For a peer that sends too much; its end is not seen meanwhile. */
void channel_pause(struct channel *c, uint64_t ms);

/** Bytes that wait to be sent. */
size_t channel_queued(const struct channel *c);

/** True between on_open and on_close. */
bool channel_is_open(const struct channel *c);

/** Cuts the peer off, removes the socket file, frees the channel later. No callback follows. NULL
 * is allowed. */
void channel_close(struct channel *c);
