#include "director/http/etag.h"

#include <sodium.h>

enum { HASH_BYTES = 16 };
_Static_assert(ETAG_LENGTH == 2 * HASH_BYTES + 2, "a hash in hex, in quotes");
_Static_assert((int)HASH_BYTES >= (int)crypto_generichash_BYTES_MIN, "long enough");

void etag_make(struct slice body, char ret[static ETAG_LENGTH])
{
	unsigned char hash[HASH_BYTES];
	char text[2 * HASH_BYTES + 1];
	(void)crypto_generichash(hash, sizeof(hash), body.p, body.n, NULL, 0);
	(void)sodium_bin2hex(text, sizeof(text), hash, sizeof(hash));
	ret[0] = '"';
	memcpy(ret + 1, text, sizeof(text) - 1);
	ret[ETAG_LENGTH - 1] = '"';
}

static struct slice skip_blanks(struct slice s)
{
	while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t' || s.p[0] == ',')) {
		s = slice_skip(s, 1);
	}
	return s;
}

bool etag_matches(struct slice list, struct slice tag)
{
	list = skip_blanks(list);
	if (slice_eq(list, SLICE("*"))) {
		return true;
	}
	while (list.n > 0) {
		/* Compared weakly: a proxy may have made it weak. */
		if (slice_starts(list, SLICE("W/"))) {
			list = slice_skip(list, 2);
		}
		const uint8_t *end =
			list.n < 2 || list.p[0] != '"' ? NULL : memchr(list.p + 1, '"', list.n - 1);
		if (end == NULL) {
			return false;
		}
		size_t n = (size_t)(end - list.p) + 1;
		if (slice_eq(slice_of(list.p, n), tag)) {
			return true;
		}
		list = skip_blanks(slice_skip(list, n));
	}
	return false;
}
