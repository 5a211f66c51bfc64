#include "director/http/chunked.h"

/* A size has at most 15 significant hex digits, so that no sum overflows. */
enum { SIZE_DIGITS_MAX = 15 };

enum state {
	SIZE,
	EXT_NAME_FIRST, /* after ';' */
	EXT_NAME,
	EXT_VALUE_FIRST, /* after '=' */
	EXT_VALUE,
	EXT_QUOTED,
	EXT_ESCAPED, /* after a backslash in quotes */
	EXT_NEXT,    /* after the closing quote */
	SIZE_LF,
	DATA,
	DATA_CR,
	DATA_LF,
	TRAILER, /* the start of a line after the last chunk */
	TRAILER_NAME,
	TRAILER_VALUE,
	TRAILER_LF,
	END_LF,
	END,
	REFUSED,
};

struct http_refusal http_body_too_large(uint64_t limit)
{
	return (struct http_refusal){
		.status = 413,
		.reason = "the body has more than",
		.limit = limit,
		.limit_is = "bytes (MAX_REQUEST_BODY_BYTES)",
	};
}

void chunked_init(struct chunked *d, uint64_t limit)
{
	*d = (struct chunked){ .state = SIZE, .limit = limit };
}

static int refuse(struct chunked *d, int status, const char *reason)
{
	d->refusal = (struct http_refusal){ .status = status, .reason = reason };
	return REFUSED;
}

static int malformed(struct chunked *d)
{
	return refuse(d, 400, "malformed chunk in the body");
}

static int hex_value(uint8_t c)
{
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	c = (uint8_t)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_text(uint8_t c)
{
	return c == '\t' || (c >= ' ' && c != 0x7f);
}

/* What may follow a size or an extension. */
static int after_size(struct chunked *d, uint8_t c)
{
	return c == ';' ? EXT_NAME_FIRST : c == '\r' ? SIZE_LF : malformed(d);
}

static int size_byte(struct chunked *d, uint8_t c)
{
	int digit = hex_value(c);
	if (digit >= 0) {
		d->sized = true;
		d->digits += d->digits > 0 || digit > 0 ? 1 : 0;
		d->left = d->left * 16 + (unsigned)digit;
		return d->digits <= SIZE_DIGITS_MAX ? SIZE : malformed(d);
	}
	if (!d->sized) {
		return malformed(d);
	}
	if (d->left > d->limit - d->total) {
		d->refusal = http_body_too_large(d->limit);
		return REFUSED;
	}
	return after_size(d, c);
}

/* The size line is complete. */
static int begin_chunk(struct chunked *d, uint8_t c)
{
	if (c != '\n') {
		return malformed(d);
	}
	d->total += d->left;
	d->sized = false;
	d->digits = 0;
	return d->left > 0 ? DATA : TRAILER;
}

/* The state after one byte of framing. */
static int framing_byte(struct chunked *d, uint8_t c)
{
	bool token = http_is_token_byte(c);
	switch ((enum state)d->state) {
	case SIZE:
		return size_byte(d, c);
	case EXT_NAME_FIRST:
		return token ? EXT_NAME : malformed(d);
	case EXT_NAME:
		return token ? EXT_NAME : c == '=' ? EXT_VALUE_FIRST : after_size(d, c);
	case EXT_VALUE_FIRST:
		return token ? EXT_VALUE : c == '"' ? EXT_QUOTED : malformed(d);
	case EXT_VALUE:
		return token ? EXT_VALUE : after_size(d, c);
	case EXT_QUOTED:
		return c == '"'      ? EXT_NEXT
			: c == '\\'  ? EXT_ESCAPED
			: is_text(c) ? EXT_QUOTED
				     : malformed(d);
	case EXT_ESCAPED:
		return is_text(c) ? EXT_QUOTED : malformed(d);
	case EXT_NEXT:
		return after_size(d, c);
	case SIZE_LF:
		return begin_chunk(d, c);
	case DATA_CR:
		return c == '\r' ? DATA_LF : malformed(d);
	case DATA_LF:
		return c == '\n' ? SIZE : malformed(d);
	case TRAILER:
		return token ? TRAILER_NAME : c == '\r' ? END_LF : malformed(d);
	case TRAILER_NAME:
		return token ? TRAILER_NAME : c == ':' ? TRAILER_VALUE : malformed(d);
	case TRAILER_VALUE:
		return c == '\r' ? TRAILER_LF : is_text(c) ? TRAILER_VALUE : malformed(d);
	case TRAILER_LF:
		return c == '\n' ? TRAILER : malformed(d);
	case END_LF:
		return c == '\n' ? END : malformed(d);
	case DATA:
	case END:
	case REFUSED:
		break;
	}
	return malformed(d);
}

enum chunked_verdict chunked_next(struct chunked *d, struct slice *in, struct slice *ret_data)
{
	for (;;) {
		if (d->state == END) {
			return CHUNKED_END;
		}
		if (d->state == REFUSED) {
			return CHUNKED_REFUSED;
		}
		if (in->n == 0) {
			return CHUNKED_MORE;
		}
		if (d->state == DATA) {
			size_t n = d->left < in->n ? (size_t)d->left : in->n;
			*ret_data = slice_of(in->p, n);
			*in = slice_skip(*in, n);
			d->left -= n;
			d->state = d->left > 0 ? DATA : DATA_CR;
			return CHUNKED_DATA;
		}
		d->state = ++d->framing > CHUNKED_FRAMING_MAX
			? refuse(d, 400, "more than 64 KiB of chunk sizes, extensions and trailers")
			: framing_byte(d, in->p[0]);
		*in = slice_skip(*in, 1);
	}
}
