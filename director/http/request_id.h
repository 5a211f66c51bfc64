/* Request ids: UUIDv7 (RFC 9562), with random bits drawn a few kilobytes at a time. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { REQUEST_ID_LENGTH = 36, REQUEST_ID_POOL = 4080 };

struct request_ids {
	uint8_t pool[REQUEST_ID_POOL];
	size_t left; /* unused bytes at the end of the pool */
};

/** Random bytes from the same pool. @param n at most 64. */
void request_ids_random(struct request_ids *ids, uint8_t *ret, size_t n);

/** @param unix_ms milliseconds since 1970. @param ret not NUL-terminated. */
void request_id_make(struct request_ids *ids, int64_t unix_ms, char ret[static REQUEST_ID_LENGTH]);
