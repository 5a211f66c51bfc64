/*
 * The frames of RFC 6455, as a server sees them. Bytes in, pieces of messages out; unmasked in place,
 * nothing kept but a frame's head and a control frame's 125 bytes. No I/O, no allocation.
 *
 * What is wrong is refused at the byte that shows it: reserved bits, unknown opcodes and broken
 * fragmentation at the first byte of a frame, a missing mask or a long control frame at the second, a
 * length over a limit before a byte of it is read, text at its first byte that is no UTF-8.
 */
#pragma once

#include "common/base/slice.h"
#include "director/websocket/utf8.h"

enum ws_opcode {
	WS_CONTINUATION = 0,
	WS_TEXT = 1,
	WS_BINARY = 2,
	WS_CLOSE = 8,
	WS_PING = 9,
	WS_PONG = 10,
};

/* Close codes: RFC 6455, section 7.4.1 and its registry; from 4000 on the application's own. */
enum ws_code {
	WS_NORMAL = 1000,
	WS_GOING_AWAY = 1001,
	WS_PROTOCOL_ERROR = 1002,
	WS_UNSUPPORTED = 1003,
	WS_NO_CODE = 1005,  /* a close frame without one; never sent */
	WS_ABNORMAL = 1006, /* no close frame at all; never sent */
	WS_INVALID_DATA = 1007,
	WS_POLICY = 1008,
	WS_TOO_BIG = 1009,
	WS_INTERNAL = 1011,
	WS_RESTART = 1012,
	WS_TRY_LATER = 1013,
};

enum {
	WS_HEAD_MAX = 14,
	WS_CONTROL_MAX = 125,
	WS_REASON_MAX = WS_CONTROL_MAX - 2,
	/* Frames of one message: empty ones are in no other limit. */
	WS_FRAGMENTS_MAX = 65536,
	/* The longest head that the server writes. */
	WS_SENT_HEAD_MAX = 10,
};

struct ws_limits {
	size_t frame_bytes;
	size_t message_bytes;
	const char *setting; /* that says both; NULL: each has its usual one */
};

struct ws_reader {
	struct ws_limits limits;
	uint8_t head[WS_HEAD_MAX];
	uint8_t head_n;
	bool in_frame; /* its head is read, not all of its payload */
	bool failed;
	bool fin;
	uint8_t opcode;  /* of the frame */
	uint8_t message; /* WS_TEXT or WS_BINARY while one is unfinished, else 0 */
	uint8_t mask[4];
	uint64_t frame_n;   /* length of the frame's payload */
	uint64_t frame_at;  /* what of it was read */
	uint64_t message_n; /* length of the message, the frame at hand included */
	unsigned fragments;
	struct utf8 text;
	uint8_t control[WS_CONTROL_MAX];
	char why[WS_REASON_MAX + 1];
};

/* Bytes of the peer, changed in place. */
struct ws_bytes {
	uint8_t *p;
	size_t n;
};

enum ws_verdict {
	WS_GOT_NOTHING, /* all bytes are used */
	WS_GOT_DATA,    /* a piece of a message, perhaps an empty one */
	WS_GOT_PING,
	WS_GOT_PONG,
	WS_GOT_CLOSE,
	WS_FAILED, /* nothing can be read any more: close with `code` and `data` as its reason */
};

struct ws_item {
	struct slice data; /* valid until the bytes, or the reader, change */
	bool binary;       /* WS_GOT_DATA */
	bool last;         /* WS_GOT_DATA: the message is complete */
	uint16_t code;     /* WS_GOT_CLOSE, WS_FAILED */
};

void ws_reader_init(struct ws_reader *r, const struct ws_limits *limits);

/** Reads up to the next thing to tell. @param in moves behind what was used. */
enum ws_verdict ws_read(struct ws_reader *r, struct ws_bytes *in, struct ws_item *ret);

/** Writes the head of an unmasked, whole frame. @return its length. */
size_t ws_head(uint8_t out[static WS_SENT_HEAD_MAX], enum ws_opcode opcode, uint64_t n);

/** A close frame's payload: at most WS_REASON_MAX bytes of the reason, cut before a character.
 * @return its length; 0 for WS_NO_CODE. */
size_t ws_close_payload(uint8_t out[static WS_CONTROL_MAX], uint16_t code, struct slice reason);

/** True for a code that a close frame may carry. */
bool ws_code_is_valid(uint16_t code);
