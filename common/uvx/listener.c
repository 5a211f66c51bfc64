#include "common/uvx/listener.h"

#include "common/base/error.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* Connections that the kernel holds while the loop is busy. */
enum { BACKLOG = 1024 };

/* Connections that one socket may hand out in one turn of the loop. */
enum { OFFER_BUDGET = 64 };

static int fail_fd(int fd)
{
	int r = -errno;
	(void)close(fd);
	return r;
}

int uvx_listen_tcp(const char *host, int port)
{
	char service[16];
	if (port < 0 || port > 65535) {
		return -EINVAL;
	}
	(void)snprintf(service, sizeof(service), "%d", port);
	struct addrinfo hints = { .ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_PASSIVE | AI_NUMERICSERV };
	struct addrinfo *found;
	int r = getaddrinfo(host, service, &hints, &found);
	if (r != 0) {
		return r == EAI_SYSTEM ? -errno : r == EAI_MEMORY ? -ENOMEM : -EINVAL;
	}
	int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		r = -errno;
		freeaddrinfo(found);
		return r;
	}
	int on = 1;
	bool ok = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
		bind(fd, found->ai_addr, found->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0;
	r = ok ? fd : fail_fd(fd);
	freeaddrinfo(found);
	return r;
}

/* True when the file is a socket that refuses connections: what a killed process left behind. */
static bool is_stale(const struct sockaddr_un *address)
{
	struct stat st;
	if (lstat(address->sun_path, &st) != 0 || !S_ISSOCK(st.st_mode)) {
		return false;
	}
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		return false;
	}
	bool refused = connect(fd, (const struct sockaddr *)address, sizeof(*address)) != 0 &&
		errno == ECONNREFUSED;
	(void)close(fd);
	return refused;
}

int uvx_listen_unix(const char *path, int mode)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t n = strlen(path);
	if (n == 0 || n >= sizeof(address.sun_path)) {
		return n == 0 ? -EINVAL : -ENAMETOOLONG;
	}
	memcpy(address.sun_path, path, n + 1);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		return -errno;
	}
	/* Linux gives the file the mode of the socket, so that it is never wider than asked. */
	if (fchmod(fd, (mode_t)mode) != 0) {
		return fail_fd(fd);
	}
	const struct sockaddr *any = (const struct sockaddr *)&address;
	bool bound = bind(fd, any, sizeof(address)) == 0;
	if (!bound && errno == EADDRINUSE) {
		if (is_stale(&address)) {
			(void)unlink(path);
		}
		bound = bind(fd, any, sizeof(address)) == 0;
	}
	/* The umask has narrowed it. */
	bool ok = bound && chmod(path, (mode_t)mode) == 0 && listen(fd, BACKLOG) == 0;
	return ok ? fd : fail_fd(fd);
}

int uvx_listen_port(int fd)
{
	struct sockaddr_storage address;
	socklen_t n = sizeof(address);
	if (getsockname(fd, (struct sockaddr *)&address, &n) != 0) {
		return -errno;
	}
	if (address.ss_family == AF_INET) {
		return ntohs(((const struct sockaddr_in *)&address)->sin_port);
	}
	if (address.ss_family == AF_INET6) {
		return ntohs(((const struct sockaddr_in6 *)&address)->sin6_port);
	}
	return -EINVAL;
}

static void on_closed(uv_handle_t *handle)
{
	struct uvx_listener *l = handle->data;
	(void)close(l->fd);
	free(l->path);
	l->path = NULL;
	if (l->closed != NULL) {
		l->closed(l->closed_arg);
	}
}

static bool is_closing(const struct uvx_listener *l)
{
	return uv_is_closing((const uv_handle_t *)&l->poll);
}

/* Offers connections until one is left waiting, or none is there. */
static void offer(struct uvx_listener *l)
{
	for (int i = 0; i < OFFER_BUDGET && !is_closing(l); i++) {
		l->held = true;
		l->empty = false;
		l->waiting(l);
		if (l->held || l->empty) {
			break;
		}
	}
	if (l->held && !is_closing(l)) {
		(void)uv_poll_stop(&l->poll);
	}
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
	offer(poll->data);
}

static int socket_option(int fd, int option)
{
	int value;
	socklen_t n = sizeof(value);
	return getsockopt(fd, SOL_SOCKET, option, &value, &n) == 0 ? value : -errno;
}

int uvx_listener_init(struct uvx_listener *l,
	uv_loop_t *loop,
	int fd,
	const char *path,
	void (*waiting)(struct uvx_listener *l),
	void *owner)
{
	*l = (struct uvx_listener){ .waiting = waiting, .owner = owner };
	int domain = socket_option(fd, SO_DOMAIN);
	if (domain < 0) {
		return domain;
	}
	if (domain != AF_INET && domain != AF_INET6 && domain != AF_UNIX) {
		return -EPROTONOSUPPORT;
	}
	if (socket_option(fd, SO_TYPE) != SOCK_STREAM || socket_option(fd, SO_ACCEPTCONN) != 1) {
		return -EINVAL;
	}
	if (path != NULL) {
		l->path = strdup(path);
		if (l->path == NULL) {
			return -ENOMEM;
		}
	}
	l->fd = fd;
	l->tcp = domain != AF_UNIX;
	/* A socket that listens already, and that this loop has not seen. */
	int r = uv_poll_init(loop, &l->poll, fd);
	invariant(r == 0);
	l->poll.data = l;
	r = uv_poll_start(&l->poll, UV_READABLE, on_ready);
	invariant(r == 0);
	return 0;
}

/* What a connection that is gone again leaves behind; accept(2) has the list. */
static bool is_gone(int error)
{
	return error == ECONNABORTED || error == EINTR || error == EPROTO || error == EPERM ||
		error == ENETDOWN || error == ENETUNREACH || error == EHOSTDOWN ||
		error == EHOSTUNREACH || error == ENONET || error == ENOPROTOOPT ||
		error == EOPNOTSUPP;
}

static int accept_fd(struct uvx_listener *l)
{
	int fd;
	do {
		socklen_t n = sizeof(l->peer);
		l->peer.ss_family = AF_UNSPEC;
		fd = accept4(l->fd, (struct sockaddr *)&l->peer, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
	} while (fd < 0 && is_gone(errno));
	return fd < 0 ? -errno : fd;
}

int uvx_listener_accept(
	struct uvx_listener *l, struct uvx_stream *s, const struct uvx_stream_ops *ops, void *owner)
{
	int fd = accept_fd(l);
	if (fd < 0 && fd != -EAGAIN) {
		return fd;
	}
	l->held = false;
	l->empty = fd < 0;
	if (!uv_is_active((const uv_handle_t *)&l->poll)) {
		/* Who takes it later hears of the next one again. */
		(void)uv_poll_start(&l->poll, UV_READABLE, on_ready);
	}
	if (fd < 0) {
		return fd;
	}
	if (l->tcp) {
		uvx_stream_init_tcp(s, l->poll.loop, ops, owner);
	} else {
		uvx_stream_init_unix(s, l->poll.loop, ops, owner);
	}
	int r = uvx_stream_open(s, fd);
	/* A fresh, connected socket. */
	invariant(r == 0);
	if (l->tcp) {
		/* Without it an answer may wait for the acknowledgement of the one before. */
		(void)uv_tcp_nodelay(&s->u.tcp, 1);
	}
	return 0;
}

void uvx_listener_close(struct uvx_listener *l, uvx_closed_fn closed, void *arg)
{
	if (is_closing(l)) {
		return;
	}
	if (l->path != NULL) {
		(void)unlink(l->path);
	}
	l->closed = closed;
	l->closed_arg = arg;
	uv_close((uv_handle_t *)&l->poll, on_closed);
}
