#include "director/websocket/handshake.h"

#include <errno.h>
#include <openssl/evp.h>
#include <sodium.h>

enum { KEY_BYTES = 16, SHA1_BYTES = 20 };

static const struct slice guid = SLICE("258EAFA5-E914-47DA-95CA-C5AB0DC85B11");

enum { KEY_TEXT = 24, GUID_TEXT = 36 };

static int decode(struct slice text, uint8_t *out, size_t room, size_t *ret_n, int variant)
{
	const char *end = NULL;
	if (sodium_base642bin(
		    out, room, (const char *)text.p, text.n, NULL, ret_n, &end, variant) != 0) {
		return -EBADMSG;
	}
	return end == (const char *)text.p + text.n ? 0 : -EBADMSG;
}

bool handshake_key_is_good(struct slice key)
{
	uint8_t bytes[KEY_BYTES];
	size_t n = 0;
	return key.n == KEY_TEXT &&
		decode(key, bytes, sizeof(bytes), &n, sodium_base64_VARIANT_ORIGINAL) == 0 &&
		n == KEY_BYTES;
}

int handshake_accept(struct slice key, char ret[static WS_ACCEPT_SIZE])
{
	uint8_t text[KEY_TEXT + GUID_TEXT];
	uint8_t digest[SHA1_BYTES];
	memcpy(text, key.p, KEY_TEXT);
	memcpy(text + KEY_TEXT, guid.p, GUID_TEXT);
	if (EVP_Digest(text, sizeof(text), digest, NULL, EVP_sha1(), NULL) != 1) {
		return -ENOMEM;
	}
	(void)sodium_bin2base64(
		ret, WS_ACCEPT_SIZE, digest, sizeof(digest), sodium_base64_VARIANT_ORIGINAL);
	return 0;
}

/* The next of the comma-separated words, without blanks round it; p is NULL at the end. */
static struct slice next_word(struct slice *list)
{
	if (list->p == NULL) {
		return SLICE_NULL;
	}
	const uint8_t *comma = list->n == 0 ? NULL : memchr(list->p, ',', list->n);
	size_t n = comma == NULL ? list->n : (size_t)(comma - list->p);
	struct slice word = slice_of(list->p, n);
	*list = comma == NULL ? SLICE_NULL : slice_skip(*list, n + 1);
	while (word.n > 0 && (word.p[0] == ' ' || word.p[0] == '\t')) {
		word = slice_skip(word, 1);
	}
	while (word.n > 0 && (word.p[word.n - 1] == ' ' || word.p[word.n - 1] == '\t')) {
		word.n--;
	}
	return word;
}

bool handshake_list_has(struct slice list, struct slice word)
{
	while (list.p != NULL) {
		if (slice_eq_nocase(next_word(&list), word)) {
			return true;
		}
	}
	return false;
}

static bool is_base64url(uint8_t c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
		c == '-' || c == '_';
}

/* Three parts of base64url. */
static bool is_token(struct slice s)
{
	unsigned dots = 0;
	size_t part = 0;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '.') {
			if (part == 0) {
				return false;
			}
			dots++;
			part = 0;
		} else if (is_base64url(s.p[i])) {
			part++;
		} else {
			return false;
		}
	}
	return dots == 2 && part > 0 && s.n <= WS_TOKEN_MAX;
}

/* The token that a word carries; p is NULL when it is none of the forms. */
static struct slice token_of(struct handshake_protocols *p, struct slice word)
{
	struct slice named = SLICE("access_token.");
	struct slice encoded = SLICE("base64url.bearer.authorization.mozaiks.");
	if (is_token(word)) {
		return word;
	}
	if (slice_starts(word, named)) {
		return slice_skip(word, named.n);
	}
	if (slice_starts(word, encoded)) {
		size_t n = 0;
		/* What cannot be decoded is a token that is no good. */
		if (decode(slice_skip(word, encoded.n), p->decoded, sizeof(p->decoded), &n,
			    sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0) {
			n = 0;
		}
		return slice_of(p->decoded, n);
	}
	return SLICE_NULL;
}

void handshake_protocols_add(struct handshake_protocols *p, struct slice list)
{
	enum { RANK_TOKEN = 1, RANK_BEARER, RANK_OURS };
	while (list.p != NULL) {
		struct slice word = next_word(&list);
		struct slice token = token_of(p, word);
		unsigned rank = 0;
		if (token.p != NULL) {
			p->token = token;
			p->tokens++;
			/* A browser that gets none of what it offered gives up: in need the token's own
			 * word goes back to whom it came from. */
			rank = RANK_TOKEN;
		} else if (slice_eq(word, SLICE("mozaiks"))) {
			rank = RANK_OURS;
		} else if (slice_eq(word, SLICE("bearer"))) {
			rank = RANK_BEARER;
		}
		if (rank > p->rank) {
			p->rank = rank;
			p->echo = word;
		}
	}
}

struct slice handshake_query(struct slice query, struct slice name)
{
	while (query.n > 0) {
		const uint8_t *mark = memchr(query.p, '&', query.n);
		size_t n = mark == NULL ? query.n : (size_t)(mark - query.p);
		struct slice pair = slice_of(query.p, n);
		if (pair.n > name.n && slice_starts(pair, name) && pair.p[name.n] == '=') {
			return slice_skip(pair, name.n + 1);
		}
		query = slice_skip(query, mark == NULL ? n : n + 1);
	}
	return SLICE_NULL;
}
