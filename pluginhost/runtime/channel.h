/*
 * The worker's side of its channel to the director: frames (common/proto/frame.h) in pair0 messages
 * over the connected socket that pluginhost handed over as fd 3.
 *
 * Model: two buffers and no hidden I/O. channel_read() and channel_flush() are the only functions
 * that touch the socket, and neither ever blocks; channel_wait() blocks and does both. Frames that
 * are appended between two flushes travel in one message (up to MESSAGE_BATCH_MAX).
 *
 * A side that waits to write keeps reading: channel_flush() returns CHANNEL_BLOCKED instead of
 * waiting, and channel_wait() reads while it waits for room.
 *
 * Not thread-safe: the owner serialises the calls.
 */
#pragma once

#include "common/base/buffer.h"
#include "common/proto/frame.h"
#include "common/proto/pair0.h"

enum {
	/* Bytes that may wait to be written. Over it appending fails with -ENOBUFS. */
	CHANNEL_OUT_MAX = 8 * 1024 * 1024,
	/* Bytes asked from the socket at once. */
	CHANNEL_READ_SIZE = 64 * 1024,
};

struct channel {
	int fd;
	struct pair0_reader in;
	struct slice message; /* what is left of the message in work */
	struct buffer out;    /* pair0 messages; bytes before `sent` are with the kernel */
	size_t sent;
	size_t batch; /* offset in `out` of the open message's header, or SIZE_MAX */
	size_t mark;  /* where the frame begun by channel_begin() starts */
};

enum channel_result {
	CHANNEL_OK = 0,      /* done: bytes were read; everything is written; a frame was taken */
	CHANNEL_BLOCKED = 1, /* the socket has no bytes, or no room for all of ours */
	CHANNEL_NONE = 2,    /* no whole frame is buffered */
	CHANNEL_CLOSED = 3,  /* the director closed the channel */
	CHANNEL_BAD = 4,     /* the director broke the protocol */
};

/** Takes over a connected stream socket, makes it non-blocking and queues the handshake. */
int channel_open(struct channel *c, int fd);

/** Frees the buffers and closes the socket. */
void channel_close(struct channel *c);

/**
 * Reads once what the socket has. Only when channel_next() said CHANNEL_NONE: taking more bytes
 * invalidates the payloads of frames taken before.
 * @return CHANNEL_OK, CHANNEL_BLOCKED, CHANNEL_CLOSED, or a negative errno.
 */
int channel_read(struct channel *c);

/**
 * Takes the next buffered frame, checked against the message table (sender: director).
 * @param ret_frame its payload is valid until the next channel_read() or channel_wait().
 * @return CHANNEL_OK, CHANNEL_NONE or CHANNEL_BAD.
 */
int channel_next(struct channel *c, struct frame *ret_frame);

/**
 * Appending: `e = channel_end(c, msg_result_append(channel_begin(c), &head, &result))`.
 * channel_end() takes the frame back when `e` is negative and returns `e`.
 */
struct buffer *channel_begin(struct channel *c);
int channel_end(struct channel *c, int e);

/** Appends a frame whose payload is one slice. @return 0, -ENOBUFS, -ENOMEM. */
int channel_append(struct channel *c, const struct frame *f);

/** Bytes that are still to be written. */
size_t channel_pending(const struct channel *c);

/**
 * Writes as much as the socket takes.
 * @return CHANNEL_OK when everything is out, CHANNEL_BLOCKED (wait for POLLOUT), CHANNEL_CLOSED,
 *   or a negative errno.
 */
int channel_flush(struct channel *c);

/**
 * Flushes, then waits until there are bytes to read (and reads them) or the time is over; goes on
 * writing meanwhile. The rule of channel_read() applies.
 * @param timeout_ms milliseconds, -1 for ever.
 * @return CHANNEL_OK (bytes were read), CHANNEL_BLOCKED (time is over), CHANNEL_CLOSED, or a
 *   negative errno.
 */
int channel_wait(struct channel *c, int timeout_ms);
