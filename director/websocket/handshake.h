/*
 * The parts of the opening handshake (RFC 6455, section 4.2) that are functions of text. No I/O.
 *
 * A browser cannot set headers, so a token may also stand among the offered subprotocols:
 *   mozaiks, TOKEN                     TOKEN: three base64url parts
 *   bearer, TOKEN
 *   access_token.TOKEN
 *   base64url.bearer.authorization.mozaiks.BASE64URL(TOKEN), mozaiks
 */
#pragma once

#include "common/base/slice.h"

enum {
	WS_ACCEPT_SIZE = 29, /* with its NUL */
	WS_TOKEN_MAX = 8192,
};

/** True for the base64 of 16 bytes. */
bool handshake_key_is_good(struct slice key);

/** Sec-WebSocket-Accept for a good key. @return 0 or -ENOMEM. */
int handshake_accept(struct slice key, char ret[static WS_ACCEPT_SIZE]);

/** True when one of the comma-separated words is `word`, in any case. */
bool handshake_list_has(struct slice list, struct slice word);

/* What the offered subprotocols say. Start with zero. */
struct handshake_protocols {
	struct slice token; /* empty: none */
	struct slice echo;  /* the one to answer with; empty: none */
	unsigned tokens;    /* more than one is an attempt to confuse somebody */
	unsigned rank;      /* of `echo`; the best wins */
	uint8_t decoded[WS_TOKEN_MAX];
};

/** Takes one Sec-WebSocket-Protocol header. @param list stays while `p` is used. */
void handshake_protocols_add(struct handshake_protocols *p, struct slice list);

/** The value of a query's first parameter of that name, as it stands there; p is NULL without one. */
struct slice handshake_query(struct slice query, struct slice name);
