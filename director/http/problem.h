/*
 * Error bodies: application/problem+json (RFC 9457) with our `code` and `request_id`. `detail` is
 * also what clients of the reference read. No I/O.
 */
#pragma once

#include "common/base/buffer.h"

struct problem {
	int status;
	struct slice code;       /* a stable slug; empty: the status's own */
	struct slice detail;     /* a sentence */
	struct slice instance;   /* the path of the request; empty: left out */
	struct slice request_id; /* empty: left out */
	struct slice trace_id;   /* empty: left out */
	struct slice extra;      /* more members as JSON text without braces; empty: none */
};

/** @return 0, -ENOBUFS, -ENOMEM. */
int problem_append(struct buffer *out, const struct problem *p);

/** When to come back, in seconds; 0: not said. Who is told that it is too much or not now (429, 503) is
 * always told. */
unsigned problem_retry_after_s(int status, unsigned given_s);

/** The slug for a status when nothing better is known, e.g. "not_found". */
const char *problem_code(int status);
