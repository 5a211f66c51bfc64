/* UTF-8 that arrives in pieces: each byte is judged when it comes, so that a text is refused at its first
 * wrong byte, however it is cut. RFC 3629: no surrogates, no overlong forms. No I/O. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zero is the start of a text. */
struct utf8 {
	uint8_t left;      /* bytes of the sequence at hand that are still to come */
	uint8_t low, high; /* what the next of them may be */
};

/** @return false at the first byte that cannot stand there. */
bool utf8_feed(struct utf8 *u, const uint8_t *p, size_t n);

/** True when no sequence is unfinished. */
static inline bool utf8_is_whole(const struct utf8 *u)
{
	return u->left == 0;
}
