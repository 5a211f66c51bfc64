/*
 * The wire format of nng's pair0 protocol over a unix socket (SP over IPC), which all of the
 * runtime speaks without linking nng. After connecting each side sends PAIR0_HANDSHAKE; a message
 * is then 01, an 8-byte big-endian length and the bytes.
 *
 * Source: nanomsg RFC "sp-ipc-mapping-01" and nng 1.5 src/sp/transport/ipc. No I/O here.
 */
#pragma once

#include "common/base/buffer.h"
#include "common/base/slice.h"

enum { PAIR0_HANDSHAKE_SIZE = 8, PAIR0_HEADER_SIZE = 9 };

/** 00 'S' 'P' 00, the protocol number 0x10, 0, 0 0. */
extern const uint8_t pair0_handshake[PAIR0_HANDSHAKE_SIZE];

/** Writes the header of a message of `size` bytes. */
void pair0_encode_header(uint8_t out[static PAIR0_HEADER_SIZE], uint64_t size);

struct pair0_reader {
	struct buffer in;
	size_t taken;
	bool shook_hands;
	size_t max_message;
};

/** @param max_message longer messages are a protocol error; no memory is taken for them. */
void pair0_reader_init(struct pair0_reader *r, size_t max_message);
void pair0_reader_deinit(struct pair0_reader *r);

/**
 * Room for the next read() from the socket: at least `want` bytes, and enough for the rest of the
 * message that has begun.
 * @return 0, -ENOMEM, -ENOBUFS.
 */
int pair0_reader_space(struct pair0_reader *r, size_t want, uint8_t **ret_p, size_t *ret_n);

/** Gives the memory of a long message back when nothing of another one has come. */
void pair0_reader_trim(struct pair0_reader *r);

/** Tells how many bytes of that room were read. */
void pair0_reader_fill(struct pair0_reader *r, size_t n);

enum pair0_result { PAIR0_MESSAGE, PAIR0_MORE, PAIR0_BAD };

/** Takes the peer's handshake, which comes once and before all messages; pair0_reader_next() does it
 * too. @return PAIR0_MESSAGE when it was taken, now or before. */
enum pair0_result pair0_reader_greet(struct pair0_reader *r);

/** Takes the next whole message; it is valid until pair0_reader_space(). */
enum pair0_result pair0_reader_next(struct pair0_reader *r, struct slice *ret_message);
