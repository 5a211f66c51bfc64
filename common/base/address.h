/* IP addresses and networks, as text and as numbers. A v4 address is kept as ::ffff:a.b.c.d, so that
 * all are compared alike. No I/O. */
#pragma once

#include "common/base/slice.h"

struct sockaddr;

struct address {
	uint8_t bytes[16];
};

/* All addresses that begin with the same bits. */
struct network {
	struct address address;
	unsigned bits; /* of 128; a v4 prefix has 96 more than it says */
};

enum { ADDRESS_TEXT_SIZE = 46 };

/** Reads "192.0.2.1" or "2001:db8::1", nothing round it. */
bool address_parse(struct slice s, struct address *ret);

/** Writes it, ended with NUL; @return its length. */
size_t address_format(const struct address *a, char to[static ADDRESS_TEXT_SIZE]);

/** Of an AF_INET or AF_INET6 socket; false for others. */
bool address_of_socket(const struct sockaddr *socket, struct address *ret);

bool address_is_v4(const struct address *a);
bool address_is_loopback(const struct address *a);

/** What limits take for one client: a v4 address, or the /64 that a v6 host has for itself. */
struct address address_client(const struct address *a);

/** Reads "192.0.2.0/24", "2001:db8::/32" or a single address. Bits behind the prefix must be 0. */
bool network_parse(struct slice s, struct network *ret);

bool network_contains(const struct network *n, const struct address *a);
