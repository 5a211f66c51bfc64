/*
 * W3C trace context, level 1 (https://www.w3.org/TR/trace-context/): which trace a request belongs to.
 * A well-formed traceparent is continued: same trace, same decision about sampling, a span of our own.
 * Otherwise a trace begins here, not sampled. Text in, text out; no I/O.
 */
#pragma once

#include "common/base/slice.h"

enum {
	TRACE_LENGTH = 55, /* 00-trace-span-flags */
	TRACE_ID_AT = 3,
	TRACE_ID_LENGTH = 32,
	TRACE_RANDOM = 24, /* bytes for a trace and a span */
};

/**
 * @param parent the traceparent header; empty: none.
 * @param random nobody else has these bytes.
 * @param ret a traceparent for what is called from here; not NUL-terminated.
 * @return true when it continues the parent's trace.
 */
bool trace_make(struct slice parent,
	const uint8_t random[static TRACE_RANDOM],
	char ret[static TRACE_LENGTH]);
