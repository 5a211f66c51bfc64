/*
 * A listening TCP or unix socket. `waiting` says that a connection may wait; as long as nobody
 * accepts it, no other one is told of: that is how a full server holds clients back. Loop thread
 * only.
 *
 * Not uv_listen(): without descriptors to spare it accepts and fails in a loop that never ends, once
 * the one that it keeps for that case cannot be opened again.
 */
#pragma once

#include "common/uvx/stream.h"

#include <sys/socket.h>
#include <uv.h>

struct uvx_listener {
	uv_poll_t poll;
	int fd;
	bool tcp;
	bool held;                    /* a connection waits that nobody has taken: not polled */
	bool empty;                   /* the last look found none */
	struct sockaddr_storage peer; /* of the connection that was accepted last */
	void (*waiting)(struct uvx_listener *l);
	void *owner;
	char *path; /* of a socket that is removed with the listener */
	uvx_closed_fn closed;
	void *closed_arg;
};

/*
 * Each of these makes a listening socket.
 * @return a descriptor, or a negative errno (-EADDRINUSE, -EADDRNOTAVAIL, -EACCES, -ENAMETOOLONG;
 * -EINVAL for a host that is no address or name).
 */
int uvx_listen_tcp(const char *host, int port);
/** A socket file that nobody listens on any more is replaced; one in use is -EADDRINUSE.
 * @param mode of the file, from its first moment. */
int uvx_listen_unix(const char *path, int mode);

/** The port of a TCP socket, or a negative errno. */
int uvx_listen_port(int fd);

/**
 * Watches a listening stream socket, which becomes the listener's.
 * @param path copied; the socket file to remove at the close, or NULL.
 * @return 0; a negative errno (-ENOTSOCK, -EINVAL when it does not listen, -EPROTONOSUPPORT when it
 * is neither IP nor unix, -ENOMEM), after which there is nothing to close and fd is the caller's.
 */
int uvx_listener_init(struct uvx_listener *l,
	uv_loop_t *loop,
	int fd,
	const char *path,
	void (*waiting)(struct uvx_listener *l),
	void *owner);

/**
 * Makes a stream of the waiting connection; on success it must be closed.
 * @return 0; -EAGAIN when none waits any more; -EMFILE, -ENFILE, -ENOBUFS or -ENOMEM when there is
 * nothing to take it with: it goes on waiting, and the caller tries again later.
 */
int uvx_listener_accept(struct uvx_listener *l,
	struct uvx_stream *s,
	const struct uvx_stream_ops *ops,
	void *owner);

void uvx_listener_close(struct uvx_listener *l, uvx_closed_fn closed, void *arg);
