#include "director/websocket/utf8.h"

#include <string.h>

enum { WORD = 8, TAIL_LOW = 0x80, TAIL_HIGH = 0xBF };

#define HIGH_BITS UINT64_C(0x8080808080808080)

/* The first byte of a sequence of more than one. Its second byte has a range of its own where the full
 * one would allow overlong forms (E0, F0), surrogates (ED) or more than U+10FFFF (F4). */
static bool begin(struct utf8 *u, uint8_t c)
{
	if (c < 0xC2 || c > 0xF4) {
		return false;
	}
	u->left = c < 0xE0 ? 1 : c < 0xF0 ? 2 : 3;
	u->low = c == 0xE0 ? 0xA0 : c == 0xF0 ? 0x90 : TAIL_LOW;
	u->high = c == 0xED ? 0x9F : c == 0xF4 ? 0x8F : TAIL_HIGH;
	return true;
}

/* How many bytes at the front are ASCII, in steps of words. */
static size_t ascii_words(const uint8_t *p, size_t n)
{
	size_t i = 0;
	while (n - i >= WORD) {
		uint64_t word;
		memcpy(&word, p + i, WORD);
		if ((word & HIGH_BITS) != 0) {
			break;
		}
		i += WORD;
	}
	return i;
}

bool utf8_feed(struct utf8 *u, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (u->left > 0) {
			if (p[i] < u->low || p[i] > u->high) {
				return false;
			}
			u->left--;
			u->low = TAIL_LOW;
			u->high = TAIL_HIGH;
			continue;
		}
		i += ascii_words(p + i, n - i);
		if (i < n && p[i] >= 0x80 && !begin(u, p[i])) {
			return false;
		}
	}
	return true;
}
