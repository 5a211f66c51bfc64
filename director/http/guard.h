/*
 * The head guard: a strict scan of a request's head before llhttp sees it, because llhttp 8.1 lets
 * some smuggling through (folded lines, blanks before a colon, a bare CR). Bytes in, verdict out; no
 * I/O, no allocation. The verdict does not depend on how the bytes arrive.
 *
 * Accepted is exactly (RFC 9112, sections 2 to 5, without its leniencies but one): an optional empty
 * line; `METHOD SP target SP HTTP/1.0|1.1 CRLF`; at most HTTP_FIELDS_MAX lines `token ":" value
 * CRLF`; an empty line. The target is printable ASCII, a value has no control byte but HTAB.
 */
#pragma once

#include "common/base/slice.h"

enum { HTTP_FIELDS_MAX = 100 };

/* Why a request is refused; also used by the later checks. */
struct http_refusal {
	int status;
	const char *reason; /* a sentence for the client, static */
	/* When it is a limit that can be set: the sentence goes on with its value and this text, "bytes
	 * (NAME)". */
	uint64_t limit;
	const char *limit_is;
};

enum guard_verdict {
	GUARD_MORE,    /* the head is not complete */
	GUARD_OK,      /* head_start and head_end are set */
	GUARD_REFUSED, /* refusal is set; the connection must end */
};

struct guard {
	size_t line;     /* start of the line that is not complete yet */
	size_t searched; /* bytes already searched for its end */
	unsigned n_fields;
	bool in_fields;    /* the request line is done */
	size_t head_start; /* 2 after a leading empty line, else 0 */
	size_t head_end;
	/* Offsets, since the bytes may move between two calls. */
	size_t method;
	size_t method_n;
	size_t target;
	size_t target_n;
	bool http10;
	struct http_refusal refusal;
};

static inline void guard_init(struct guard *g)
{
	*g = (struct guard){ 0 };
}

/**
 * Goes on scanning.
 * @param in all bytes since the start of the request, those of earlier calls included.
 * @param limit longest head in bytes: beyond it 431, or 414 while in the request line.
 */
enum guard_verdict guard_scan(struct guard *g, struct slice in, size_t limit);

/** True for the bytes of a token (RFC 9110, section 5.6.2). */
bool http_is_token_byte(uint8_t c);

/** True for a value that is legal in a header: no control byte but HTAB. */
bool http_is_field_value(struct slice v);
