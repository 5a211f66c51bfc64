/*
 * The bytes of an answer. No I/O. Whatever a handler or a plugin puts into a header, no CR, LF, NUL
 * or other control byte and no second framing header can leave: such headers are dropped and logged.
 */
#pragma once

#include "common/base/buffer.h"
#include "director/http/http.h"

/* The Date header, formatted once a second. */
struct response_clock {
	int64_t second; /* of `line`, since 1970 */
	int64_t ms;     /* the time of the last response_clock_update() */
	char line[37];  /* "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n" without NUL */
};

/** Reads the (coarse) real-time clock. */
void response_clock_update(struct response_clock *c);

enum { HTTP_TIMINGS_MAX = 4 };

/* What a step took. */
struct http_timing {
	const char *name;
	uint64_t us;
};

/* What the server knows about an answer. */
struct response_frame {
	const struct response_clock *clock;
	struct slice request_id;
	unsigned hsts_s; /* 0: no Strict-Transport-Security */
	const struct http_timing *timings;
	unsigned n_timings;
	uint64_t total_us;              /* 0: no Server-Timing */
	const struct http_quota *quota; /* NULL: no RateLimit */
	bool close;                     /* say that the connection ends */
	bool keep_alive;                /* say that it stays: HTTP/1.0 must be told */
	bool varies;                    /* other origins get other headers */
	struct slice origin; /* whose pages may read the answer; empty: none but our own */
	bool pieces;         /* the length is not known … */
	bool chunked;        /* … and the body's coding says where it ends */
};

/**
 * Appends status line and headers.
 * @return 0 or -ENOMEM, in which case nothing was appended.
 */
int response_append_head(struct buffer *out,
	const struct http_response *response,
	const struct response_frame *frame);

/** True for a status whose answer has no body (1xx, 204, 304). */
bool response_is_bodiless(int status);

/** The reason phrase of RFC 9110; never NULL. */
const char *response_reason(int status);
