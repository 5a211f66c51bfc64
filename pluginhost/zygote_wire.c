#include "pluginhost/zygote_wire.h"

#include "common/base/error.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

enum { WIRE_FDS_MAX = START_FDS };

union control {
	struct cmsghdr head;
	uint8_t room[CMSG_SPACE(WIRE_FDS_MAX * sizeof(int))];
};

int wire_send(int fd, const void *message, size_t size, const int *fds, unsigned n_fds)
{
	union control control = { 0 };
	struct iovec part = { (void *)(uintptr_t)message, size };
	struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1 };
	invariant(n_fds <= WIRE_FDS_MAX);
	if (n_fds > 0) {
		m.msg_control = control.room;
		m.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
	}
	ssize_t n;
	do {
		n = sendmsg(fd, &m, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : (size_t)n == size ? 0 : -EMSGSIZE;
}

static void take_fds(struct msghdr *m, int *fds, unsigned max_fds, unsigned *ret_n_fds)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
			continue;
		}
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (*ret_n_fds < max_fds) {
				fds[(*ret_n_fds)++] = fd;
			} else {
				(void)close(fd);
			}
		}
	}
}

int wire_receive(
	int fd, void *message, size_t size, int *fds, unsigned max_fds, unsigned *ret_n_fds)
{
	union control control;
	unsigned none;
	unsigned *n_fds = ret_n_fds != NULL ? ret_n_fds : &none;
	struct iovec part = { message, size };
	struct msghdr m = { .msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.room,
		.msg_controllen = sizeof(control.room) };
	ssize_t n;
	do {
		n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	*n_fds = 0;
	if (n < 0) {
		return -errno;
	}
	take_fds(&m, fds, max_fds, n_fds);
	if (n == 0) {
		return 0;
	}
	if ((size_t)n != size || (m.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
		for (unsigned i = 0; i < *n_fds; i++) {
			(void)close(fds[i]);
		}
		*n_fds = 0;
		return -EBADMSG;
	}
	return 1;
}
