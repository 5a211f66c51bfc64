#include "director/websocket/frame.h"

#include "common/base/error.h"

#include <stdarg.h>
#include <stdio.h>

enum {
	FIN = 0x80,
	RESERVED = 0x70,
	OPCODE = 0x0F,
	MASKED = 0x80,
	LENGTH = 0x7F,
	LENGTH_16 = 126,
	LENGTH_64 = 127,
	WORD = 8,
};

void ws_reader_init(struct ws_reader *r, const struct ws_limits *limits)
{
	*r = (struct ws_reader){ .limits = *limits };
}

static bool is_control(uint8_t opcode)
{
	return (opcode & 0x08) != 0;
}

static enum ws_verdict __attribute__((format(printf, 4, 5)))
fail(struct ws_reader *r, struct ws_item *ret, uint16_t code, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int n = vsnprintf(r->why, sizeof(r->why), format, args);
	va_end(args);
	size_t most = sizeof(r->why) - 1;
	r->failed = true;
	*ret = (struct ws_item){
		.code = code,
		.data = slice_of(r->why,
			n < 0                      ? 0
				: (size_t)n < most ? (size_t)n
						   : most),
	};
	return WS_FAILED;
}

/* Bytes of the head, as far as its second byte tells; 2 before that. */
static size_t head_length(const struct ws_reader *r)
{
	if (r->head_n < 2) {
		return 2;
	}
	uint8_t n = r->head[1] & LENGTH;
	return 2 + (n == LENGTH_64 ? 8U : n == LENGTH_16 ? 2U : 0U) + sizeof(r->mask);
}

static const char *wrong_first(const struct ws_reader *r, uint8_t c)
{
	uint8_t opcode = c & OPCODE;
	if ((c & RESERVED) != 0) {
		return "a reserved bit is set";
	}
	if ((opcode > WS_BINARY && opcode < WS_CLOSE) || opcode > WS_PONG) {
		return "a reserved opcode";
	}
	if (is_control(opcode)) {
		return (c & FIN) == 0 ? "a fragmented control frame" : NULL;
	}
	if (opcode == WS_CONTINUATION && r->message == 0) {
		return "a continuation without a message";
	}
	if (opcode != WS_CONTINUATION && r->message != 0) {
		return "a message within another";
	}
	return NULL;
}

static const char *wrong_second(const struct ws_reader *r, uint8_t c)
{
	if ((c & MASKED) == 0) {
		return "a frame without a mask";
	}
	if (is_control(r->head[0] & OPCODE) && (c & LENGTH) > WS_CONTROL_MAX) {
		return "a control frame of more than 125 bytes";
	}
	return NULL;
}

static uint64_t big_endian(const uint8_t *p, size_t n)
{
	uint64_t v = 0;
	for (size_t i = 0; i < n; i++) {
		v = v << 8 | p[i];
	}
	return v;
}

/* The length of a complete head. @return false for one that has a shorter form, or 64 bits. */
static bool read_length(struct ws_reader *r)
{
	uint8_t n = r->head[1] & LENGTH;
	r->frame_n = n;
	if (n == LENGTH_16) {
		r->frame_n = big_endian(r->head + 2, 2);
		return r->frame_n >= LENGTH_16;
	}
	if (n == LENGTH_64) {
		r->frame_n = big_endian(r->head + 2, 8);
		return r->frame_n > UINT16_MAX && r->frame_n <= INT64_MAX;
	}
	return true;
}

static const char *setting_of(const struct ws_reader *r, const char *usual)
{
	return r->limits.setting == NULL ? usual : r->limits.setting;
}

/* A data frame begins: its message may become too long. @return WS_GOT_NOTHING, or WS_FAILED. */
static enum ws_verdict begin_data(struct ws_reader *r, struct ws_item *ret)
{
	if (r->opcode != WS_CONTINUATION) {
		r->message = r->opcode;
		r->message_n = 0;
		r->fragments = 0;
		r->text = (struct utf8){ 0 };
	}
	if (r->frame_n > r->limits.frame_bytes) {
		return fail(r, ret, WS_TOO_BIG, "a frame of more than %zu bytes (%s)",
			r->limits.frame_bytes, setting_of(r, "MOZAIKS_MAX_WEBSOCKET_FRAME_BYTES"));
	}
	/* Neither is more than the limit, so their sum is no more than twice that. */
	r->message_n += r->frame_n;
	if (r->message_n > r->limits.message_bytes) {
		return fail(r, ret, WS_TOO_BIG, "a message of more than %zu bytes (%s)",
			r->limits.message_bytes,
			setting_of(r, "MOZAIKS_MAX_WEBSOCKET_MESSAGE_BYTES"));
	}
	if (++r->fragments > WS_FRAGMENTS_MAX) {
		return fail(
			r, ret, WS_TOO_BIG, "a message of more than %d frames", WS_FRAGMENTS_MAX);
	}
	return WS_GOT_NOTHING;
}

static enum ws_verdict begin_frame(struct ws_reader *r, struct ws_item *ret)
{
	if (!read_length(r)) {
		return fail(r, ret, WS_PROTOCOL_ERROR, "a malformed length");
	}
	memcpy(r->mask, r->head + r->head_n - sizeof(r->mask), sizeof(r->mask));
	r->opcode = r->head[0] & OPCODE;
	r->fin = (r->head[0] & FIN) != 0;
	r->frame_at = 0;
	r->head_n = 0;
	r->in_frame = true;
	return is_control(r->opcode) ? WS_GOT_NOTHING : begin_data(r, ret);
}

/* Reads bytes of the head, judging each. @return WS_GOT_NOTHING with in_frame when it is complete. */
static enum ws_verdict read_head(struct ws_reader *r, struct ws_bytes *in, struct ws_item *ret)
{
	while (in->n > 0) {
		uint8_t c = *in->p;
		in->p++;
		in->n--;
		r->head[r->head_n++] = c;
		const char *wrong = r->head_n == 1 ? wrong_first(r, c)
			: r->head_n == 2           ? wrong_second(r, c)
						   : NULL;
		if (wrong != NULL) {
			return fail(r, ret, WS_PROTOCOL_ERROR, "%s", wrong);
		}
		if (r->head_n == head_length(r)) {
			return begin_frame(r, ret);
		}
	}
	return WS_GOT_NOTHING;
}

/* The mask's bytes from where the frame is. */
static void unmask(const struct ws_reader *r, uint8_t *p, size_t n)
{
	uint8_t key[WORD];
	for (size_t i = 0; i < WORD; i++) {
		key[i] = r->mask[(r->frame_at + i) % sizeof(r->mask)];
	}
	uint64_t key_word;
	memcpy(&key_word, key, WORD);
	size_t i = 0;
	for (; n - i >= WORD; i += WORD) {
		uint64_t word;
		memcpy(&word, p + i, WORD);
		word ^= key_word;
		memcpy(p + i, &word, WORD);
	}
	for (; i < n; i++) {
		p[i] ^= key[i % WORD];
	}
}

bool ws_code_is_valid(uint16_t code)
{
	return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
		(code >= 3000 && code <= 4999);
}

static enum ws_verdict end_close(struct ws_reader *r, struct slice payload, struct ws_item *ret)
{
	ret->code = WS_NO_CODE;
	if (payload.n == 0) {
		return WS_GOT_CLOSE;
	}
	if (payload.n == 1) {
		return fail(r, ret, WS_PROTOCOL_ERROR, "half a close code");
	}
	uint16_t code = (uint16_t)(payload.p[0] << 8 | payload.p[1]);
	if (!ws_code_is_valid(code)) {
		return fail(r, ret, WS_PROTOCOL_ERROR, "a close code that cannot be sent");
	}
	ret->code = code;
	ret->data = slice_skip(payload, 2);
	if (!slice_is_utf8(ret->data)) {
		return fail(r, ret, WS_INVALID_DATA, "a close reason that is not UTF-8");
	}
	return WS_GOT_CLOSE;
}

static enum ws_verdict end_control(struct ws_reader *r, struct ws_item *ret)
{
	struct slice payload = slice_of(r->control, (size_t)r->frame_n);
	*ret = (struct ws_item){ .data = payload };
	if (r->opcode == WS_CLOSE) {
		ret->data = SLICE_NULL;
		return end_close(r, payload, ret);
	}
	return r->opcode == WS_PING ? WS_GOT_PING : WS_GOT_PONG;
}

static enum ws_verdict give_data(struct ws_reader *r, struct slice piece, struct ws_item *ret)
{
	*ret = (struct ws_item){
		.data = piece,
		.binary = r->message == WS_BINARY,
		.last = !r->in_frame && r->fin,
	};
	if (r->message == WS_TEXT &&
		(!utf8_feed(&r->text, piece.p, piece.n) ||
			(ret->last && !utf8_is_whole(&r->text)))) {
		return fail(r, ret, WS_INVALID_DATA, "a text that is not UTF-8");
	}
	if (ret->last) {
		r->message = 0;
	}
	return WS_GOT_DATA;
}

/* Reads of the payload what is there. @return WS_GOT_NOTHING: it goes on. */
static enum ws_verdict read_payload(struct ws_reader *r, struct ws_bytes *in, struct ws_item *ret)
{
	uint64_t left = r->frame_n - r->frame_at;
	size_t n = left < in->n ? (size_t)left : in->n;
	uint8_t *p = in->p;
	if (n > 0) {
		unmask(r, p, n);
		in->p += n;
		in->n -= n;
	}
	r->in_frame = n < left;
	if (is_control(r->opcode)) {
		if (n > 0) {
			memcpy(r->control + r->frame_at, p, n);
		}
		r->frame_at += n;
		return r->in_frame ? WS_GOT_NOTHING : end_control(r, ret);
	}
	r->frame_at += n;
	/* An empty piece means something only where it ends a message. */
	return n == 0 && (r->in_frame || !r->fin) ? WS_GOT_NOTHING
						  : give_data(r, slice_of(p, n), ret);
}

enum ws_verdict ws_read(struct ws_reader *r, struct ws_bytes *in, struct ws_item *ret)
{
	*ret = (struct ws_item){ 0 };
	invariant(!r->failed);
	for (;;) {
		enum ws_verdict v = WS_GOT_NOTHING;
		if (!r->in_frame) {
			v = read_head(r, in, ret);
		}
		if (v == WS_GOT_NOTHING && r->in_frame) {
			v = read_payload(r, in, ret);
		}
		/* A frame without bytes ends without any more of them. */
		if (v != WS_GOT_NOTHING || in->n == 0) {
			return v;
		}
	}
}

size_t ws_head(uint8_t out[static WS_SENT_HEAD_MAX], enum ws_opcode opcode, uint64_t n)
{
	size_t more = n < LENGTH_16 ? 0 : n <= UINT16_MAX ? 2 : 8;
	out[0] = (uint8_t)(FIN | opcode);
	out[1] = (uint8_t)(more == 0 ? n : more == 2 ? LENGTH_16 : LENGTH_64);
	for (size_t i = 0; i < more; i++) {
		out[2 + i] = (uint8_t)(n >> (8 * (more - 1 - i)));
	}
	return 2 + more;
}

size_t ws_close_payload(uint8_t out[static WS_CONTROL_MAX], uint16_t code, struct slice reason)
{
	if (code == WS_NO_CODE) {
		return 0;
	}
	size_t n = 0;
	while (n < reason.n) {
		size_t step = utf8_sequence(reason.p + n, reason.n - n);
		if (step == 0 || n + step > WS_REASON_MAX) {
			break;
		}
		n += step;
	}
	out[0] = (uint8_t)(code >> 8);
	out[1] = (uint8_t)code;
	if (n > 0) {
		memcpy(out + 2, reason.p, n);
	}
	return n + 2;
}
