/*
 * A connected TCP or unix stream socket, embedded in the object that it serves. Loop thread only.
 *
 * Reading: bytes go straight to where the owner says (`room`), so partial reads, "nothing yet" and
 * errors are settled here. Writing: what the kernel takes at once is gone when uvx_stream_send()
 * returns; the rest is copied and sent later, in order. Ending: `ended` comes at most once,
 * `closed` exactly once after uvx_stream_close() and as the last call of all.
 *
 * A callback may call any function of this file. After uvx_stream_close() only `closed` follows.
 * The program must ignore SIGPIPE.
 */
#pragma once

#include "common/base/buffer.h"
#include "common/uvx/close.h"

#include <stdbool.h>
#include <sys/types.h>
#include <uv.h>

struct uvx_stream;

/* Where bytes may be put. */
struct uvx_room {
	void *p;
	size_t n;
};

struct uvx_stream_ops {
	/* Where the next bytes go. Empty: reading stops until uvx_stream_read(). */
	struct uvx_room (*room)(struct uvx_stream *s);
	/* `n` bytes are in that room. 0: it was not needed after all. */
	void (*received)(struct uvx_stream *s, size_t n);
	/* The peer sends no more (0), or the connection is broken (a negative errno). */
	void (*ended)(struct uvx_stream *s, int error);
	/* What uvx_stream_send() left over is all sent, or failed. */
	void (*sent)(struct uvx_stream *s, int error);
};

struct uvx_stream {
	union {
		uv_handle_t handle;
		uv_stream_t stream;
		uv_tcp_t tcp;
		uv_pipe_t pipe;
	} u;
	const struct uvx_stream_ops *ops;
	void *owner;
	uv_write_t write;
	struct buffer flight;  /* handed to uv_write() */
	struct buffer waiting; /* for the next one */
	bool reading;
	uvx_closed_fn closed;
	void *closed_arg;
};

/* Makes the handle; the listener fills it in. Afterwards it must be closed. */
void uvx_stream_init_tcp(
	struct uvx_stream *s, uv_loop_t *loop, const struct uvx_stream_ops *ops, void *owner);
void uvx_stream_init_unix(
	struct uvx_stream *s, uv_loop_t *loop, const struct uvx_stream_ops *ops, void *owner);

/** Takes a connected socket over; on success it is closed with the stream. */
int uvx_stream_open(struct uvx_stream *s, int fd);

/** Starts or resumes reading. @return 0 or a negative errno. */
int uvx_stream_read(struct uvx_stream *s);
void uvx_stream_pause(struct uvx_stream *s);

/* What uvx_stream_send() may answer beside a negative errno. */
enum uvx_send { UVX_SENT = 0, UVX_QUEUED = 1 };

/**
 * Sends bytes, at once if the kernel takes them. The bytes are the caller's again on return.
 * @return UVX_SENT; UVX_QUEUED when a copy of the rest waits, and `sent` follows; a negative errno
 * when nothing more can be sent.
 */
int uvx_stream_send(struct uvx_stream *s, const uv_buf_t *bufs, unsigned n_bufs);

/** Bytes that the kernel has not taken yet. */
size_t uvx_stream_queued(const struct uvx_stream *s);

/** Bytes that the peer has not taken yet, as far as the kernel knows: for judging progress, since
 * the kernel takes more only when much of its own buffer is free. A system call. */
size_t uvx_stream_unsent(const struct uvx_stream *s);

/** Tells the peer that nothing more will come. Only when nothing is queued. */
void uvx_stream_finish(struct uvx_stream *s);

/** Who is at the other end of a unix socket. @return false for TCP or on failure. */
bool uvx_stream_peer(const struct uvx_stream *s, uid_t *ret_uid, pid_t *ret_pid);

enum { UVX_ADDRESS_SIZE = 46 };

/** The IP address at the other end, as text. @return false for a unix socket or on failure. */
bool uvx_stream_address(const struct uvx_stream *s, char out[static UVX_ADDRESS_SIZE]);

/** The close that follows is a reset, so that the peer does not take it for an end of what was sent. A
 * unix socket knows no such thing. */
void uvx_stream_break(struct uvx_stream *s);

void uvx_stream_close(struct uvx_stream *s, uvx_closed_fn closed, void *arg);
