/*
 * Who a request really comes from when it comes through a proxy of ours. Only the proxies that the
 * operator has named are believed, and only in the one header that the operator says they set: what
 * a client sends in the other one, a proxy passes on as it is. Text in, structure out; no I/O.
 *
 * Each proxy appends the address that it was called from. So the list is read from its end: the last
 * address that is not one of ours is the client, and what stands before it may say what it likes.
 */
#pragma once

#include "common/base/address.h"
#include "director/http/head.h"

enum {
	PROXIES_MAX = 64,
	/* Proxies in a row, at most; more addresses are not looked at. */
	PROXIES_HOPS_MAX = 32,
};

enum proxies_header {
	PROXIES_X_FORWARDED, /* X-Forwarded-For, -Proto, -Host */
	PROXIES_FORWARDED,   /* Forwarded (RFC 7239) */
};

struct proxies {
	struct network networks[PROXIES_MAX];
	size_t n;
	enum proxies_header header;
};

/** Adds the networks of a comma-separated list. @return false with *ret_bad set to the entry that is
 * none, or that is one too many. */
bool proxies_add(struct proxies *p, struct slice list, struct slice *ret_bad);

bool proxies_trust(const struct proxies *p, const struct address *a);

/* What the proxies say of a request. */
struct forwarded {
	struct address client;
	bool https;        /* the client's connection to the first of our proxies was */
	struct slice host; /* that it asked for; empty: not said */
};

/**
 * @param peer a trusted proxy: whoever made the connection.
 * Where the chain breaks off (an address that is none, a hidden one), the client is the last proxy
 * that is known.
 */
void proxies_resolve(const struct proxies *p,
	const struct address *peer,
	const struct http_head *head,
	struct forwarded *ret);
