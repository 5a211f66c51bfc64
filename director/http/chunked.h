/*
 * The chunked transfer coding (RFC 9112, section 7.1), strictly: CR LF everywhere, no blanks round
 * sizes and extensions, extensions and trailers are checked and thrown away. Bytes in, bytes out; no
 * I/O, no allocation, the result does not depend on how the bytes arrive.
 */
#pragma once

#include "common/base/slice.h"
#include "director/http/guard.h"

/* Bytes beside the data: sizes, extensions, line ends, trailers. */
enum { CHUNKED_FRAMING_MAX = 64 * 1024 };

enum chunked_verdict {
	CHUNKED_MORE,    /* everything is used up */
	CHUNKED_DATA,    /* a piece of the body; call again */
	CHUNKED_END,     /* the body is complete; what is left is not part of it */
	CHUNKED_REFUSED, /* refusal is set; the connection must end */
};

struct chunked {
	int state;
	unsigned digits; /* of this chunk's size, without leading zeros */
	bool sized;      /* at least one digit was there */
	uint64_t left;   /* of this chunk's data; its size while that is read */
	uint64_t total;  /* of the body, the current chunk included */
	uint64_t limit;
	size_t framing;
	struct http_refusal refusal;
};

/** Why a longer body than `limit` bytes is refused. */
struct http_refusal http_body_too_large(uint64_t limit);

/** @param limit longest body in bytes: beyond it 413. */
void chunked_init(struct chunked *d, uint64_t limit);

/**
 * Takes bytes from the front of `in`.
 * @param ret_data with CHUNKED_DATA: a part of the former `in`.
 */
enum chunked_verdict chunked_next(struct chunked *d, struct slice *in, struct slice *ret_data);
