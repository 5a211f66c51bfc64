/* C: the network. */
#include "test/security/attacks/attack.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { SOME_PORT = 80 };

#define SOCKET(name, family, type) ATTEMPT(name, socket((family), (type), 0))

SOCKET(inet_raw, AF_INET, SOCK_RAW)
SOCKET(netlink, AF_NETLINK, SOCK_RAW)
SOCKET(alg, AF_ALG, SOCK_SEQPACKET)
SOCKET(vsock, AF_VSOCK, SOCK_STREAM)
SOCKET(packet, AF_PACKET, SOCK_RAW)
SOCKET(xdp, AF_XDP, SOCK_RAW)
SOCKET(can, AF_CAN, SOCK_RAW)
SOCKET(key, AF_KEY, SOCK_RAW)
SOCKET(tipc, AF_TIPC, SOCK_STREAM)

static long reach_inet(int type)
{
	const struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_port = htons(SOME_PORT),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, type, 0);
	return fd < 0 ? -1 : connect(fd, (const struct sockaddr *)&address, sizeof(address));
}

static long reach_inet6(void)
{
	const struct sockaddr_in6 address = { .sin6_family = AF_INET6,
		.sin6_port = htons(SOME_PORT),
		.sin6_addr = IN6ADDR_LOOPBACK_INIT };
	int fd = socket(AF_INET6, SOCK_STREAM, 0);
	return fd < 0 ? -1 : connect(fd, (const struct sockaddr *)&address, sizeof(address));
}

/* An abstract name starts with a NUL. Somebody listens there, outside. */
static long reach_unix(int type, const char *name, size_t n)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type, 0);
	memcpy(address.sun_path, name, n);
	return fd < 0 ? -1
		      : connect(fd, (const struct sockaddr *)&address,
				(socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
}

#define REACH_UNIX(name, type, path) ATTEMPT(name, reach_unix((type), path, sizeof(path) - 1))

ATTEMPT(inet_stream, reach_inet(SOCK_STREAM))
ATTEMPT(inet_datagram, reach_inet(SOCK_DGRAM))
ATTEMPT(inet6_stream, reach_inet6())
REACH_UNIX(unix_stream, SOCK_STREAM, "/run/systemd/private")
REACH_UNIX(unix_datagram, SOCK_DGRAM, "/run/systemd/journal/dev-log")
REACH_UNIX(unix_abstract, SOCK_STREAM, ATTACK_ABSTRACT_NAME)

static long pair(int family, int type)
{
	int fds[2];
	return socketpair(family, type, 0, fds);
}

ATTEMPT(pair_stream, pair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC))
ATTEMPT(pair_datagram, pair(AF_UNIX, SOCK_DGRAM))
ATTEMPT(pair_packet, pair(AF_UNIX, SOCK_SEQPACKET))
ATTEMPT(pair_inet, pair(AF_INET, SOCK_STREAM))
ATTEMPT(do_connect, connect(3, NULL, 0))
ATTEMPT(do_bind, bind(3, NULL, 0))
ATTEMPT(do_listen, listen(3, 1))
ATTEMPT(do_accept, accept4(3, NULL, NULL, 0))
ATTEMPT(do_sendmsg, sendmsg(3, NULL, 0))
ATTEMPT(do_recvmsg, recvmsg(3, NULL, 0))
ATTEMPT(do_setsockopt, setsockopt(3, SOL_SOCKET, SO_PASSCRED, NULL, 0))
ATTEMPT(send_to, sendto(3, "x", 1, 0, (const struct sockaddr *)(const void *)"12345678", 8))
ATTEMPT(send_oob, send(3, "x", 1, MSG_OOB))

static long receive_oob(void)
{
	char c;
	return recv(3, &c, 1, MSG_OOB);
}

/* clang-format off */
const struct attack attacks_on_network[] = {
	{ "C1", "socket INET STREAM",          inet_stream,         IN_BOTH, FAILS(EACCES) },
	{ "C1", "socket INET DGRAM",           inet_datagram,       IN_BOTH, FAILS(EACCES) },
	{ "C1", "socket INET RAW",             inet_raw,            IN_BOTH, FAILS(EACCES) },
	{ "C1", "socket INET6 STREAM",         inet6_stream,        IN_BOTH, FAILS(EACCES) },
	{ "C2", "socket UNIX STREAM",          unix_stream,         IN_BOTH, FAILS(EACCES) },
	{ "C2", "socket UNIX DGRAM",           unix_datagram,       IN_BOTH, FAILS(EACCES) },
	{ "C2", "abstract socket",             unix_abstract,       IN_BOTH, FAILS(EACCES) },
	{ "C3", "socket NETLINK",              netlink,             IN_BOTH, FAILS(EACCES) },
	{ "C3", "socket ALG",                  alg,                 IN_BOTH, FAILS(EACCES) },
	{ "C3", "socket VSOCK",                vsock,               IN_BOTH, FAILS(EACCES) },
	{ "C3", "socket PACKET",               packet,              IN_BOTH, FAILS(EACCES) },
	{ "C3", "socket XDP",                  xdp,                 IN_BOTH, FAILS(EACCES) },
	{ "C3", "socket CAN",                  can,                 IN_BOTH, FAILS(EACCES) },
	{ "C3", "socket KEY",                  key,                 IN_BOTH, FAILS(EACCES) },
	{ "C3", "socket TIPC",                 tipc,                IN_BOTH, FAILS(EACCES) },
	{ "-", "socketpair UNIX STREAM",      pair_stream,         IN_BOTH, GIVES(0) },
	{ "C4", "socketpair UNIX DGRAM",       pair_datagram,       IN_BOTH, FAILS(ENOSYS) },
	{ "C4", "socketpair UNIX SEQPACKET",   pair_packet,         IN_BOTH, FAILS(ENOSYS) },
	{ "C4", "socketpair INET",             pair_inet,           IN_BOTH, FAILS(EACCES) },
	{ "C1", "connect",                     do_connect,          IN_BOTH, FAILS(EACCES) },
	{ "C1", "bind",                        do_bind,             IN_BOTH, FAILS(EACCES) },
	{ "C1", "listen",                      do_listen,           IN_BOTH, FAILS(EACCES) },
	{ "C1", "accept4",                     do_accept,           IN_BOTH, FAILS(EACCES) },
	{ "C6", "sendmsg",                     do_sendmsg,          IN_BOTH, FAILS(EACCES) },
	{ "C6", "recvmsg",                     do_recvmsg,          IN_BOTH, FAILS(EACCES) },
	{ "C6", "setsockopt",                  do_setsockopt,       IN_BOTH, FAILS(EACCES) },
	{ "C1", "sendto an address",           send_to,             IN_BOTH, FAILS(EACCES) },
	{ "C5", "send MSG_OOB",                send_oob,            IN_BOTH, FAILS(ENOSYS) },
	{ "C5", "recv MSG_OOB",                receive_oob,         IN_BOTH, FAILS(EACCES) },
};
/* clang-format on */

const size_t n_attacks_on_network = sizeof(attacks_on_network) / sizeof(attacks_on_network[0]);
