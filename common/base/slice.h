/* A view of bytes that somebody else owns. Every untrusted byte travels as a slice, never as a
 * NUL-terminated string. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
	const uint8_t *p;
	size_t n;
};

#define SLICE_NULL ((struct slice){ 0 })
/** A slice of a string literal. */
#define SLICE(literal) ((struct slice){ (const uint8_t *)("" literal), sizeof(literal) - 1 })

static inline struct slice slice_of(const void *p, size_t n)
{
	return (struct slice){ (const uint8_t *)p, n };
}

/** A slice of a trusted NUL-terminated string; NULL gives the empty slice. */
static inline struct slice slice_str(const char *s)
{
	return s == NULL ? SLICE_NULL : slice_of(s, strlen(s));
}

static inline bool slice_eq(struct slice a, struct slice b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool slice_starts(struct slice s, struct slice prefix)
{
	return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

/** The rest of `s` after its first `n` bytes; `n` must not exceed it. */
static inline struct slice slice_skip(struct slice s, size_t n)
{
	return (struct slice){ s.p + n, s.n - n };
}

/** True when both hold the same bytes, ASCII letters compared without case. */
bool slice_eq_nocase(struct slice a, struct slice b);

/** Constant-time equality, for secrets. The lengths are not secret. */
bool slice_eq_secret(struct slice a, struct slice b);

/** A NUL-terminated copy on the heap, or NULL without memory or when `s` holds a NUL byte. */
char *slice_dup(struct slice s);

/** True when every byte is one of [A-Za-z0-9._-] and the length lies in [1, max]. */
bool slice_is_name(struct slice s, size_t max);

/** A decimal number without sign, blanks or needless zeros in [0, max]; false otherwise. */
bool slice_to_u64(struct slice s, uint64_t max, uint64_t *ret_value);

/** Length of the strictly valid UTF-8 sequence at `p` (at most `n` >= 1 bytes), 0 if there is none. */
size_t utf8_sequence(const uint8_t *p, size_t n);

/** Strictly valid UTF-8 (RFC 3629: no surrogates, no overlong forms). */
bool slice_is_utf8(struct slice s);
