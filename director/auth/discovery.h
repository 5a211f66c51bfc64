/*
 * What an issuer says of itself at <issuer>/.well-known/openid-configuration (OpenID Connect Discovery
 * 1.0, RFC 8414). The text is hostile.
 */
#pragma once

#include "common/json/tree.h"

enum { DISCOVERY_TEXT_MAX = 2048 };

struct discovery {
	char issuer[DISCOVERY_TEXT_MAX + 1];
	char jwks_uri[DISCOVERY_TEXT_MAX + 1];
};

/**
 * @param issuer what it must call itself, to the letter; empty: anything.
 * @param why the rule that it breaks.
 * @return 0, -EBADMSG, -ENOMEM.
 */
int discovery_parse(
	struct slice text, struct slice issuer, struct discovery *ret, struct json_why *why);

/** Where an issuer's document is. @return false when it does not fit. */
bool discovery_url(struct slice issuer, char out[static DISCOVERY_TEXT_MAX + 1]);
