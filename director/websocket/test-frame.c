/* The frames of RFC 6455 and everything that is none: each case whole, byte by byte, and cut in two at
 * every place. What was read must not depend on how it arrived. */
/* cmocka.h needs what stands before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "common/base/buffer.h"
#include "director/websocket/frame.h"

#include <stdio.h>
#include <stdlib.h>

enum { FRAME_MAX = 70000, MESSAGE_MAX = 100000, FRAMES = 6 };

/* How a frame is written when it is not the usual way. */
enum form { PLAIN, UNMASKED, LONG_16, LONG_64, TOP_BIT, HEAD_ONLY };

struct one {
	uint8_t first;
	const char *payload; /* NULL: `n` bytes 'x' */
	size_t n;
	enum form form;
};

#define TEXT_OF(first, text)                             \
	{                                                \
		(first), (text), sizeof(text) - 1, PLAIN \
	}
#define SIZED(first, n, form)              \
	{                                  \
		(first), NULL, (n), (form) \
	}

static const struct {
	const char *what;
	struct one frames[FRAMES];
	const char *read; /* what comes out: see tell() */
} cases[] = {
	{ "a text", { TEXT_OF(0x81, "hello") }, "text 5 hello;" },
	{ "a binary message", { TEXT_OF(0x82, "\xff\xfe") }, "binary 2 \xff\xfe;" },
	{ "nothing", { TEXT_OF(0x81, "") }, "text 0 ;" },
	{ "two messages", { TEXT_OF(0x81, "a"), TEXT_OF(0x82, "b") }, "text 1 a;binary 1 b;" },
	{ "fragments", { TEXT_OF(0x01, "he"), TEXT_OF(0x00, "ll"), TEXT_OF(0x80, "o") },
		"text 5 hello;" },
	{ "empty fragments",
		{ TEXT_OF(0x01, ""), TEXT_OF(0x00, ""), TEXT_OF(0x00, "x"), TEXT_OF(0x80, "") },
		"text 1 x;" },
	{ "a ping between fragments",
		{ TEXT_OF(0x01, "he"), TEXT_OF(0x89, "now"), TEXT_OF(0x80, "llo") },
		"ping now;text 5 hello;" },
	{ "a close between fragments", { TEXT_OF(0x01, "he"), TEXT_OF(0x88, "\x03\xe8") },
		"close 1000 ;" },
	{ "a pong nobody asked for", { TEXT_OF(0x8A, "x") }, "pong x;" },
	{ "an empty ping", { TEXT_OF(0x89, "") }, "ping ;" },
	{ "a ping of 125", { SIZED(0x89, 125, PLAIN) }, "ping 125;" },
	{ "a ping of 126", { SIZED(0x89, 126, PLAIN) },
		"failed 1002 a control frame of more than 125 bytes;" },
	{ "a ping with a long length", { SIZED(0x89, 3, LONG_16) },
		"failed 1002 a control frame of more than 125 bytes;" },
	{ "125 bytes", { SIZED(0x82, 125, PLAIN) }, "binary 125;" },
	{ "126 bytes", { SIZED(0x82, 126, PLAIN) }, "binary 126;" },
	{ "65535 bytes", { SIZED(0x82, 65535, PLAIN) }, "binary 65535;" },
	{ "65536 bytes", { SIZED(0x82, 65536, PLAIN) }, "binary 65536;" },
	{ "125 in 16 bits", { SIZED(0x82, 125, LONG_16) }, "failed 1002 a malformed length;" },
	{ "65535 in 64 bits", { SIZED(0x82, 65535, LONG_64) }, "failed 1002 a malformed length;" },
	{ "a length of 2^63", { SIZED(0x82, 0, TOP_BIT) }, "failed 1002 a malformed length;" },
	{ "a frame of the limit", { SIZED(0x82, FRAME_MAX, PLAIN) }, "binary 70000;" },
	{ "a frame over the limit", { SIZED(0x82, FRAME_MAX + 1, HEAD_ONLY) },
		"failed 1009 a frame of more than 70000 bytes "
		"(MOZAIKS_MAX_WEBSOCKET_FRAME_BYTES);" },
	{ "a message of the limit",
		{ SIZED(0x02, FRAME_MAX, PLAIN), SIZED(0x80, MESSAGE_MAX - FRAME_MAX, PLAIN) },
		"binary 100000;" },
	{ "two messages of the limit",
		{ SIZED(0x02, FRAME_MAX, PLAIN), SIZED(0x80, MESSAGE_MAX - FRAME_MAX, PLAIN),
			SIZED(0x82, FRAME_MAX, PLAIN) },
		"binary 100000;binary 70000;" },
	{ "a message over the limit",
		{ SIZED(0x02, FRAME_MAX, PLAIN),
			SIZED(0x80, MESSAGE_MAX - FRAME_MAX + 1, HEAD_ONLY) },
		"failed 1009 a message of more than 100000 bytes "
		"(MOZAIKS_MAX_WEBSOCKET_MESSAGE_BYTES);" },
	{ "no mask", { { 0x81, "hello", 5, UNMASKED } }, "failed 1002 a frame without a mask;" },
	{ "no mask on a ping", { { 0x89, "", 0, UNMASKED } },
		"failed 1002 a frame without a mask;" },
	{ "RSV1", { TEXT_OF(0xC1, "x") }, "failed 1002 a reserved bit is set;" },
	{ "RSV2", { TEXT_OF(0xA1, "x") }, "failed 1002 a reserved bit is set;" },
	{ "RSV3 on a ping", { TEXT_OF(0x99, "x") }, "failed 1002 a reserved bit is set;" },
	{ "RSV in a continuation", { TEXT_OF(0x01, "x"), TEXT_OF(0xC0, "x") },
		"failed 1002 a reserved bit is set;" },
	{ "opcode 3", { TEXT_OF(0x83, "x") }, "failed 1002 a reserved opcode;" },
	{ "opcode 7", { TEXT_OF(0x87, "x") }, "failed 1002 a reserved opcode;" },
	{ "opcode 11", { TEXT_OF(0x8B, "x") }, "failed 1002 a reserved opcode;" },
	{ "opcode 15", { TEXT_OF(0x8F, "x") }, "failed 1002 a reserved opcode;" },
	{ "a fragmented ping", { TEXT_OF(0x09, "x") }, "failed 1002 a fragmented control frame;" },
	{ "a fragmented close", { TEXT_OF(0x08, "") }, "failed 1002 a fragmented control frame;" },
	{ "a continuation of nothing", { TEXT_OF(0x80, "x") },
		"failed 1002 a continuation without a message;" },
	{ "a continuation after the end", { TEXT_OF(0x81, "a"), TEXT_OF(0x80, "x") },
		"text 1 a;failed 1002 a continuation without a message;" },
	{ "a message in another", { TEXT_OF(0x01, "a"), TEXT_OF(0x81, "x") },
		"failed 1002 a message within another;" },
	{ "UTF-8", { TEXT_OF(0x81, "\xc2\xa2\xe2\x82\xac\xf0\x9f\x98\x80") },
		"text 9 \xc2\xa2\xe2\x82\xac\xf0\x9f\x98\x80;" },
	{ "the borders of UTF-8", { TEXT_OF(0x81, "\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf\x7f") },
		"text 11 \xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf\x7f;" },
	{ "UTF-8 over fragments",
		{ TEXT_OF(0x01, "\xf0\x9f"), TEXT_OF(0x00, "\x98"), TEXT_OF(0x80, "\x80") },
		"text 4 \xf0\x9f\x98\x80;" },
	{ "no UTF-8", { TEXT_OF(0x81, "ok\xff") }, "failed 1007 a text that is not UTF-8;" },
	{ "no UTF-8, before the end",
		{ TEXT_OF(0x01, "\xce\xba\xe1\xbd\xb9\xcf\x83\xf4\x90"), TEXT_OF(0x80, "x") },
		"failed 1007 a text that is not UTF-8;" },
	{ "half a character", { TEXT_OF(0x81, "\xe2\x82") },
		"failed 1007 a text that is not UTF-8;" },
	{ "half a character before an empty end", { TEXT_OF(0x01, "\xe2\x82"), TEXT_OF(0x80, "") },
		"failed 1007 a text that is not UTF-8;" },
	{ "a surrogate", { TEXT_OF(0x81, "\xed\xa0\x80") },
		"failed 1007 a text that is not UTF-8;" },
	{ "an overlong slash", { TEXT_OF(0x81, "\xc0\xaf") },
		"failed 1007 a text that is not UTF-8;" },
	{ "an overlong of three", { TEXT_OF(0x81, "\xe0\x80\xaf") },
		"failed 1007 a text that is not UTF-8;" },
	{ "an overlong of four", { TEXT_OF(0x81, "\xf0\x80\x80\xaf") },
		"failed 1007 a text that is not UTF-8;" },
	{ "over U+10FFFF", { TEXT_OF(0x81, "\xf4\x90\x80\x80") },
		"failed 1007 a text that is not UTF-8;" },
	{ "F5", { TEXT_OF(0x81, "\xf5\x80\x80\x80") }, "failed 1007 a text that is not UTF-8;" },
	{ "a close", { TEXT_OF(0x88, "") }, "close 1005 ;" },
	{ "a close with a code", { TEXT_OF(0x88, "\x03\xe8") }, "close 1000 ;" },
	{ "a close with a reason", { TEXT_OF(0x88, "\x0f\xa0why") }, "close 4000 why;" },
	{ "half a code", { TEXT_OF(0x88, "\x03") }, "failed 1002 half a close code;" },
	{ "code 999", { TEXT_OF(0x88, "\x03\xe7") },
		"failed 1002 a close code that cannot be sent;" },
	{ "code 1005", { TEXT_OF(0x88, "\x03\xed") },
		"failed 1002 a close code that cannot be sent;" },
	{ "code 1006", { TEXT_OF(0x88, "\x03\xee") },
		"failed 1002 a close code that cannot be sent;" },
	{ "a close reason that is no UTF-8", { TEXT_OF(0x88, "\x03\xe8\xff") },
		"failed 1007 a close reason that is not UTF-8;" },
};

/* Writes one frame, as a client does. */
static void put(struct buffer *b, const struct one *f, unsigned seed)
{
	uint8_t head[14] = { f->first };
	size_t n = 2;
	bool masked = f->form != UNMASKED;
	size_t more = f->form == LONG_16                   ? 2
		: f->form == LONG_64 || f->form == TOP_BIT ? 8
		: f->n < 126                               ? 0
		: f->n < 65536                             ? 2
							   : 8;
	head[1] = (masked ? 0x80 : 0) | (more == 0 ? (uint8_t)f->n : more == 2 ? 126 : 127);
	for (size_t i = 0; i < more; i++) {
		head[n++] = (uint8_t)((uint64_t)f->n >> (8 * (more - 1 - i)));
	}
	if (f->form == TOP_BIT) {
		head[2] = 0x80;
	}
	uint8_t mask[4] = { (uint8_t)(seed * 7), 0xAA, 0, (uint8_t)seed };
	if (masked) {
		memcpy(head + n, mask, 4);
		n += 4;
	}
	assert_int_equal(buffer_append(b, slice_of(head, n)), 0);
	for (size_t i = 0; i < f->n && f->form != HEAD_ONLY; i++) {
		uint8_t c = f->payload == NULL ? 'x' : (uint8_t)f->payload[i];
		assert_int_equal(buffer_append_byte(b, masked ? c ^ mask[i % 4] : c), 0);
	}
}

static void say(struct buffer *out, const char *what, struct slice data)
{
	if (data.n > 100) {
		assert_int_equal(buffer_printf(out, "%s %zu;", what, data.n), 0);
	} else {
		assert_int_equal(buffer_printf(out, "%s ", what), 0);
		assert_int_equal(buffer_append(out, data), 0);
		assert_int_equal(buffer_append_byte(out, ';'), 0);
	}
}

/* What was read, as text; messages when they are complete. @return false after an end. */
static bool tell(
	enum ws_verdict v, const struct ws_item *item, struct buffer *message, struct buffer *out)
{
	char what[64];
	switch (v) {
	case WS_GOT_NOTHING:
		return true;
	case WS_GOT_DATA:
		assert_int_equal(buffer_append(message, item->data), 0);
		if (item->last) {
			const char *kind = item->binary ? "binary" : "text";
			(void)snprintf(what, sizeof(what), message->n > 100 ? "%s" : "%s %zu", kind,
				message->n);
			say(out, what, buffer_slice(message));
			buffer_clear(message);
		}
		return true;
	case WS_GOT_PING:
		say(out, "ping", item->data);
		return true;
	case WS_GOT_PONG:
		say(out, "pong", item->data);
		return true;
	case WS_GOT_CLOSE:
		(void)snprintf(what, sizeof(what), "close %u", item->code);
		say(out, what, item->data);
		return false;
	case WS_FAILED:
		(void)snprintf(what, sizeof(what), "failed %u", item->code);
		say(out, what, item->data);
		return false;
	}
	return false;
}

/* Reads `bytes` with a cut at `first`, then in steps. */
static void read_in_pieces(struct slice bytes, size_t first, size_t step, struct buffer *out)
{
	const struct ws_limits limits = { FRAME_MAX, MESSAGE_MAX };
	struct ws_reader r;
	struct buffer message;
	ws_reader_init(&r, &limits);
	buffer_init(&message, MESSAGE_MAX);
	bool more = true;
	while (bytes.n > 0 && more) {
		size_t n = first > 0 && first < bytes.n ? first : step < bytes.n ? step : bytes.n;
		first = 0;
		/* A block of its own: a read behind it would be seen. */
		uint8_t *piece = malloc(n);
		memcpy(piece, bytes.p, n);
		bytes = slice_skip(bytes, n);
		struct ws_bytes in = { piece, n };
		struct ws_item item;
		enum ws_verdict v;
		do {
			v = ws_read(&r, &in, &item);
			more = tell(v, &item, &message, out);
		} while (more && v != WS_GOT_NOTHING);
		free(piece);
	}
	buffer_deinit(&message);
}

static void expect(const char *what, const char *how, const struct buffer *out, const char *wanted)
{
	struct slice want = slice_str(wanted);
	if (!slice_eq(buffer_slice(out), want)) {
		fail_msg("%s, %s: '%.*s' instead of '%s'", what, how, (int)out->n, (char *)out->p,
			wanted);
	}
}

static void every_case_at_every_split(void **state)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buffer in;
		struct buffer out;
		buffer_init(&in, 1U << 20);
		buffer_init(&out, 1U << 20);
		for (size_t k = 0; k < FRAMES; k++) {
			/* A first byte of 0 alone is a continuation. */
			const struct one *f = &cases[i].frames[k];
			if (f->first != 0 || f->payload != NULL || f->n > 0) {
				put(&in, f, (unsigned)(i + k));
			}
		}
		const char *whole = cases[i].read;
		read_in_pieces(buffer_slice(&in), 0, SIZE_MAX, &out);
		expect(cases[i].what, "whole", &out, whole);
		buffer_clear(&out);
		read_in_pieces(buffer_slice(&in), 0, 1, &out);
		expect(cases[i].what, "byte by byte", &out, whole);
		/* All cuts of a short one; those of the heads of a long one. */
		for (size_t cut = 1; cut < in.n; cut++) {
			if (cut > 300 && cut + 300 < in.n) {
				cut = in.n - 300;
			}
			buffer_clear(&out);
			read_in_pieces(buffer_slice(&in), cut, SIZE_MAX, &out);
			expect(cases[i].what, "cut in two", &out, whole);
		}
		buffer_deinit(&in);
		buffer_deinit(&out);
	}
}

/* Wrong UTF-8 is refused at its first wrong byte, not at the end of the message. */
static void wrong_text_fails_at_once(void **state)
{
	const struct ws_limits limits = { FRAME_MAX, MESSAGE_MAX };
	const struct one f = TEXT_OF(0x81, "abc\xff-and-more-of-it");
	struct ws_reader r;
	struct ws_item item;
	struct buffer in;
	buffer_init(&in, 1000);
	put(&in, &f, 1);
	ws_reader_init(&r, &limits);
	size_t wrong = 6 + 3;
	struct ws_bytes bytes = { in.p, wrong };
	assert_int_equal(ws_read(&r, &bytes, &item), WS_GOT_DATA);
	assert_int_equal(ws_read(&r, &bytes, &item), WS_GOT_NOTHING);
	bytes = (struct ws_bytes){ in.p + wrong, 1 };
	assert_int_equal(ws_read(&r, &bytes, &item), WS_FAILED);
	assert_int_equal(item.code, WS_INVALID_DATA);
	buffer_deinit(&in);
}

/* Empty frames are in no limit of bytes. */
static void endless_fragments_end(void **state)
{
	const struct ws_limits limits = { FRAME_MAX, MESSAGE_MAX };
	uint8_t frame[6] = { 0x01, 0x80 };
	struct ws_reader r;
	struct ws_item item;
	enum ws_verdict v = WS_GOT_NOTHING;
	unsigned n = 0;
	ws_reader_init(&r, &limits);
	/* One of the most there may be, before the one that has too many. */
	for (int i = 1; i <= WS_FRAGMENTS_MAX; i++) {
		uint8_t first = i == 1 ? 0x01 : i == WS_FRAGMENTS_MAX ? 0x80 : 0x00;
		uint8_t good[6] = { first, 0x80 };
		struct ws_bytes bytes = { good, sizeof(good) };
		v = ws_read(&r, &bytes, &item);
		assert_int_equal(v, i == WS_FRAGMENTS_MAX ? WS_GOT_DATA : WS_GOT_NOTHING);
	}
	v = WS_GOT_NOTHING;
	while (v == WS_GOT_NOTHING && n <= WS_FRAGMENTS_MAX) {
		struct ws_bytes bytes = { frame, sizeof(frame) };
		v = ws_read(&r, &bytes, &item);
		frame[0] = 0x00;
		n++;
	}
	assert_int_equal(v, WS_FAILED);
	assert_int_equal(n, WS_FRAGMENTS_MAX + 1);
	assert_int_equal(item.code, WS_TOO_BIG);
}

static void close_codes_are_those_of_the_registry(void **state)
{
	for (unsigned code = 0; code <= UINT16_MAX; code++) {
		bool good = (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
			(code >= 3000 && code <= 4999);
		assert_int_equal(ws_code_is_valid((uint16_t)code), good);
	}
}

static void heads_are_as_short_as_they_can_be(void **state)
{
	uint8_t head[WS_SENT_HEAD_MAX];
	assert_int_equal(ws_head(head, WS_TEXT, 125), 2);
	assert_memory_equal(head, "\x81\x7d", 2);
	assert_int_equal(ws_head(head, WS_BINARY, 126), 4);
	assert_memory_equal(head, "\x82\x7e\x00\x7e", 4);
	assert_int_equal(ws_head(head, WS_TEXT, 65535), 4);
	assert_int_equal(ws_head(head, WS_TEXT, 65536), 10);
	assert_memory_equal(head, "\x81\x7f\0\0\0\0\0\1\0\0", 10);
}

static void reasons_are_cut_between_characters(void **state)
{
	uint8_t out[WS_CONTROL_MAX];
	char reason[200];
	memset(reason, 'a', sizeof(reason));
	assert_int_equal(ws_close_payload(out, 1000, slice_of(reason, 123)), 125);
	assert_int_equal(ws_close_payload(out, 1000, slice_of(reason, 124)), 125);
	/* A character of three bytes does not fit the last two. */
	memcpy(reason + 121, "\xe2\x82\xac", 3);
	assert_int_equal(ws_close_payload(out, 1000, slice_of(reason, 130)), 123);
	assert_int_equal(ws_close_payload(out, WS_NO_CODE, SLICE("x")), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_case_at_every_split),
		cmocka_unit_test(wrong_text_fails_at_once),
		cmocka_unit_test(endless_fragments_end),
		cmocka_unit_test(close_codes_are_those_of_the_registry),
		cmocka_unit_test(heads_are_as_short_as_they_can_be),
		cmocka_unit_test(reasons_are_cut_between_characters),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
