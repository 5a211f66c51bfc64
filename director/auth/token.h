/*
 * The compact form of a signed token (RFC 7515, 7.1), taken apart strictly: header.payload.signature,
 * each base64url without padding, blanks, line ends or stray bits in the last digit. The header is a
 * JSON object with alg and at most typ and kid, each a string and each once: no crit, jku, jwk, x5u.
 *
 * No signature is checked here and the payload is not looked at. The bytes are hostile; no memory
 * is allocated.
 */
#pragma once

#include "common/base/slice.h"

enum {
	TOKEN_BYTES_MAX = 8192,
	/* The header, decoded. */
	TOKEN_HEADER_MAX = 1024,
};

struct token {
	struct slice signed_part; /* header.payload, as it stands in the token */
	struct slice alg;         /* unescaped */
	struct slice kid;         /* empty without one */
	struct slice payload;     /* decoded */
	struct slice signature;   /* decoded, not empty */
	/* The decoded parts and the unescaped names; slices above point into it. */
	uint8_t bytes[TOKEN_BYTES_MAX];
};

enum token_result {
	TOKEN_OK = 0,
	TOKEN_E_LENGTH, /* empty, or longer than TOKEN_BYTES_MAX or TOKEN_HEADER_MAX */
	TOKEN_E_PARTS,  /* not three parts, or an empty one */
	TOKEN_E_BASE64,
	TOKEN_E_JSON,   /* the header is not one strict JSON object */
	TOKEN_E_HEADER, /* another parameter, a duplicate, a wrong type, no alg */
};

/**
 * @param compact the token; it must outlive `ret`, whose signed part lies in it.
 * @param ret for the caller's stack; not to be copied.
 * @return TOKEN_*; `ret` means something only with TOKEN_OK.
 */
enum token_result token_parse(struct slice compact, struct token *ret);

/** Decodes base64url to the letter into `out`. @return false when it is not, or too long. */
bool base64url_decode(struct slice text, uint8_t *out, size_t capacity, size_t *ret_n);
