/*
 * What a connection of the server sends and receives over: a plain stream, or TLS on one. The
 * functions are those of common/uvx/stream.h and promise the same; a connection does not see the
 * difference. Plain costs nothing: the stream calls the connection itself. Inside director/http only.
 */
#pragma once

#include "common/uvx/listener.h"
#include "common/uvx/stream.h"
#include "director/http/secure.h"

struct transport {
	struct uvx_stream stream; /* its owner is the connection */
	struct secure *secure;    /* NULL: plain */
	uvx_closed_fn closed;     /* of a secure one */
	void *closed_arg;
};

/**
 * Makes a transport of what waits at the listener.
 * @param ops get the stream, whose owner is `owner`.
 * @param hub NULL: plain.
 * @return as uvx_listener_accept(); on success it must be closed.
 */
int transport_accept(struct transport *t,
	struct uvx_listener *l,
	const struct uvx_stream_ops *ops,
	void *owner,
	struct secure_hub *hub);

/** True when it can carry something: plain, or the handshake is done. `received` is called with 0
 * bytes when that changes. */
bool transport_is_ready(const struct transport *t);

/** True when nobody on the way can read it. */
bool transport_is_secure(const struct transport *t);

/** Starts or resumes reading. @return 0 or a negative errno. */
int transport_read(struct transport *t);

/** Stops reading for a while. */
void transport_pause(struct transport *t);

/** Sends bytes, which are the caller's again on return. @return UVX_SENT, UVX_QUEUED (`sent`
 * follows) or a negative errno. */
int transport_send(struct transport *t, const uv_buf_t *bufs, unsigned n_bufs);

/** Bytes that the kernel has not taken yet. */
size_t transport_queued(const struct transport *t);

/** Bytes that the peer has not taken yet, as far as the kernel knows. A system call. */
size_t transport_unsent(const struct transport *t);

/** Tells the peer that nothing more will come. Only when nothing is queued. */
void transport_finish(struct transport *t);

/** Who is at the other end of a unix socket. @return false for TCP or on failure. */
bool transport_peer(const struct transport *t, uid_t *ret_uid, pid_t *ret_pid);

/** The IP address of the peer, as text. @return false for a unix socket or on failure. */
bool transport_address(const struct transport *t, char out[static UVX_ADDRESS_SIZE]);

/** The close that follows is no end of what was sent, and the peer is to see that. */
void transport_break(struct transport *t);

void transport_close(struct transport *t, uvx_closed_fn closed, void *arg);
