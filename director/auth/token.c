#include "director/auth/token.h"

#include "common/json/scan.h"

enum { HEADER = 0, PAYLOAD = 1, SIGNATURE = 2, PARTS = 3 };

/* Decoded parts take three quarters of the token, the unescaped names at most the header again. */
_Static_assert(TOKEN_BYTES_MAX / 4 * 3 + TOKEN_HEADER_MAX <= TOKEN_BYTES_MAX, "the bytes fit");

/* @return 0 to 63, or 64 for what is no digit. */
static unsigned digit_of(uint8_t c)
{
	if (c >= 'A' && c <= 'Z') {
		return (unsigned)c - 'A';
	}
	if (c >= 'a' && c <= 'z') {
		return (unsigned)c - 'a' + 26U;
	}
	if (c >= '0' && c <= '9') {
		return (unsigned)c - '0' + 52U;
	}
	return c == '-' ? 62 : c == '_' ? 63 : 64;
}

/* Not libsodium's: 1.0.18 takes some bytes above 127 for digits. */
bool base64url_decode(struct slice text, uint8_t *out, size_t capacity, size_t *ret_n)
{
	unsigned bits = 0;
	unsigned n_bits = 0;
	size_t n = text.n / 4 * 3 + (text.n % 4 > 0 ? text.n % 4 - 1 : 0);
	if (text.n % 4 == 1 || n > capacity) {
		return false;
	}
	for (size_t i = 0; i < text.n; i++) {
		unsigned digit = digit_of(text.p[i]);
		if (digit == 64) {
			return false;
		}
		bits = (bits << 6 | digit) & 0xffff;
		n_bits += 6;
		if (n_bits >= 8) {
			n_bits -= 8;
			*out = (uint8_t)(bits >> n_bits);
			out++;
		}
	}
	*ret_n = n;
	/* Bits after the last byte: another text would mean the same. */
	return (bits & ((1U << n_bits) - 1)) == 0;
}

static bool split(struct slice compact, struct slice parts[static PARTS])
{
	struct slice rest = compact;
	for (size_t i = 0; i < PARTS - 1; i++) {
		const uint8_t *dot = memchr(rest.p, '.', rest.n);
		if (dot == NULL) {
			return false;
		}
		parts[i] = slice_of(rest.p, (size_t)(dot - rest.p));
		rest = slice_skip(rest, parts[i].n + 1);
		if (parts[i].n == 0 || rest.n == 0) {
			return false;
		}
	}
	parts[SIGNATURE] = rest;
	return memchr(rest.p, '.', rest.n) == NULL;
}

/* The header while it is scanned. */
struct header {
	struct token *token;
	size_t used; /* of token->bytes */
	struct slice typ;
	unsigned seen;
	bool refused;
};

static bool take_parameter(void *arg, const struct json_member *member)
{
	struct header *h = arg;
	const struct {
		struct slice name;
		struct slice *value;
	} allowed[] = {
		{ SLICE("alg"), &h->token->alg },
		{ SLICE("typ"), &h->typ },
		{ SLICE("kid"), &h->token->kid },
	};
	h->refused = true;
	for (unsigned i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++) {
		if (!json_name_eq(member->name, allowed[i].name)) {
			continue;
		}
		if ((h->seen & 1U << i) != 0 || member->value.n < 2 || member->value.p[0] != '"') {
			return false;
		}
		struct slice escaped = slice_of(member->value.p + 1, member->value.n - 2);
		uint8_t *out = h->token->bytes + h->used;
		*allowed[i].value = slice_of(out, json_unescape(escaped, out));
		h->used += allowed[i].value->n;
		h->seen |= 1U << i;
		h->refused = false;
	}
	return !h->refused;
}

/* RFC 8725, 3.11: a token made for something else says so. */
static bool type_fits(struct slice typ)
{
	return slice_eq_nocase(typ, SLICE("JWT")) || slice_eq_nocase(typ, SLICE("at+jwt")) ||
		slice_eq_nocase(typ, SLICE("application/at+jwt"));
}

static enum token_result read_header(struct slice json, size_t used, struct token *t)
{
	struct header h = { .token = t, .used = used };
	enum json_kind kind;
	int r = json_scan(json, take_parameter, &h, &kind, NULL);
	if (h.refused) {
		return TOKEN_E_HEADER;
	}
	if (r < 0 || kind != JSON_IS_OBJECT) {
		return TOKEN_E_JSON;
	}
	bool has_alg = (h.seen & 1U) != 0;
	bool has_typ = (h.seen & 2U) != 0;
	bool has_kid = (h.seen & 4U) != 0;
	if (!has_alg || (has_typ && !type_fits(h.typ)) || (has_kid && t->kid.n == 0)) {
		return TOKEN_E_HEADER;
	}
	return TOKEN_OK;
}

enum token_result token_parse(struct slice compact, struct token *ret)
{
	struct slice parts[PARTS];
	struct slice decoded[PARTS];
	size_t used = 0;
	if (compact.n == 0 || compact.n > TOKEN_BYTES_MAX) {
		return TOKEN_E_LENGTH;
	}
	if (!split(compact, parts)) {
		return TOKEN_E_PARTS;
	}
	for (size_t i = 0; i < PARTS; i++) {
		size_t n;
		if (!base64url_decode(parts[i], ret->bytes + used, sizeof(ret->bytes) - used, &n)) {
			return TOKEN_E_BASE64;
		}
		decoded[i] = slice_of(ret->bytes + used, n);
		used += n;
	}
	if (decoded[HEADER].n > TOKEN_HEADER_MAX) {
		return TOKEN_E_LENGTH;
	}
	ret->signed_part = slice_of(compact.p, compact.n - parts[SIGNATURE].n - 1);
	ret->alg = SLICE_NULL;
	ret->kid = SLICE_NULL;
	ret->payload = decoded[PAYLOAD];
	ret->signature = decoded[SIGNATURE];
	return read_header(decoded[HEADER], used, ret);
}
