#include "common/base/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

enum { V4_BITS = 96 };

static const uint8_t v4_prefix[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

bool address_parse(struct slice s, struct address *ret)
{
	char text[ADDRESS_TEXT_SIZE];
	if (s.n == 0 || s.n >= sizeof(text) || memchr(s.p, '\0', s.n) != NULL) {
		return false;
	}
	memcpy(text, s.p, s.n);
	text[s.n] = '\0';
	struct address a;
	memcpy(a.bytes, v4_prefix, sizeof(v4_prefix));
	if (inet_pton(AF_INET, text, a.bytes + sizeof(v4_prefix)) != 1 &&
		inet_pton(AF_INET6, text, a.bytes) != 1) {
		return false;
	}
	*ret = a;
	return true;
}

bool address_is_v4(const struct address *a)
{
	return memcmp(a->bytes, v4_prefix, sizeof(v4_prefix)) == 0;
}

size_t address_format(const struct address *a, char to[static ADDRESS_TEXT_SIZE])
{
	bool v4 = address_is_v4(a);
	/* Fails for no address. */
	(void)inet_ntop(v4 ? AF_INET : AF_INET6, a->bytes + (v4 ? sizeof(v4_prefix) : 0), to,
		ADDRESS_TEXT_SIZE);
	return slice_str(to).n;
}

bool address_of_socket(const struct sockaddr *socket, struct address *ret)
{
	if (socket->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const void *)socket;
		memcpy(ret->bytes, v4_prefix, sizeof(v4_prefix));
		memcpy(ret->bytes + sizeof(v4_prefix), &in->sin_addr, 4);
		return true;
	}
	if (socket->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const void *)socket;
		memcpy(ret->bytes, &in6->sin6_addr, 16);
		return true;
	}
	return false;
}

bool address_is_loopback(const struct address *a)
{
	static const struct address loopback = { { [15] = 1 } };
	return address_is_v4(a) ? a->bytes[12] == 127 : memcmp(a, &loopback, sizeof(*a)) == 0;
}

struct address address_client(const struct address *a)
{
	struct address client = *a;
	if (!address_is_v4(a)) {
		memset(client.bytes + 8, 0, 8);
	}
	return client;
}

/* The bits that count are equal. */
static bool starts_alike(const struct address *a, const struct address *b, unsigned bits)
{
	unsigned whole = bits / 8;
	uint8_t mask = (uint8_t)(0xff00U >> (bits % 8));
	return memcmp(a->bytes, b->bytes, whole) == 0 &&
		(bits % 8 == 0 || ((a->bytes[whole] ^ b->bytes[whole]) & mask) == 0);
}

bool network_parse(struct slice s, struct network *ret)
{
	struct network n = { .bits = 128 };
	uint64_t bits;
	const uint8_t *slash = s.n == 0 ? NULL : memchr(s.p, '/', s.n);
	size_t before = slash == NULL ? s.n : (size_t)(slash - s.p);
	if (!address_parse(slice_of(s.p, before), &n.address)) {
		return false;
	}
	if (slash != NULL) {
		bool v4 = address_is_v4(&n.address);
		if (!slice_to_u64(slice_skip(s, before + 1), v4 ? 32 : 128, &bits)) {
			return false;
		}
		n.bits = (unsigned)bits + (v4 ? V4_BITS : 0);
	}
	for (unsigned i = n.bits; i < 128; i++) {
		if ((n.address.bytes[i / 8] & (0x80U >> (i % 8))) != 0) {
			return false;
		}
	}
	*ret = n;
	return true;
}

bool network_contains(const struct network *n, const struct address *a)
{
	return starts_alike(&n->address, a, n->bits);
}
