/*
 * Frames: what travels between director, pluginhost and workers. A message (one pair0 message, see
 * pair0.h) holds one or more frames back to back.
 *
 *   offset 0   u32  payload size in bytes
 *          4   u8   type, enum message_type
 *          5   u8   flags, 0 unless the type's table row allows some
 *          6   u16  capability code, 0 unless the type is CALL or REPLY
 *          8   u64  call id
 *         16        payload
 *
 * All integers little-endian. No I/O here. The bytes are hostile: decoding is bounded and exact.
 */
#pragma once

#include "common/base/buffer.h"
#include "common/base/slice.h"

enum {
	FRAME_HEADER_SIZE = 16,
	/* Payload of one frame. */
	FRAME_PAYLOAD_MAX = 1024 * 1024,
	/* A message of several frames stays below this; a message of one frame may be larger. */
	MESSAGE_BATCH_MAX = 256 * 1024,
	MESSAGE_MAX = FRAME_HEADER_SIZE + FRAME_PAYLOAD_MAX,
	PROTOCOL_VERSION = 3,
};

struct frame {
	uint8_t type;
	uint8_t flags;
	uint16_t capability;
	uint64_t call_id;
	struct slice payload;
};

/** Writes the header of a frame with `payload_size` bytes of payload. */
void frame_encode_header(
	uint8_t out[static FRAME_HEADER_SIZE], const struct frame *f, size_t payload_size);

enum frame_result {
	FRAME_OK,
	/* `message` is empty: no more frames. */
	FRAME_END,
	/* Header or payload cut short, or a size over FRAME_PAYLOAD_MAX. */
	FRAME_MALFORMED,
};

/** Takes the next frame off `message`. The payload points into it. */
enum frame_result frame_decode(struct slice *message, struct frame *ret_frame);

/** Appends a whole frame. @return 0, -ENOBUFS, -ENOMEM. */
int frame_append(struct buffer *b, const struct frame *f);

/* Little-endian integers. */
static inline void put_u16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
}

static inline void put_u32(uint8_t *p, uint32_t v)
{
	put_u16(p, (uint16_t)v);
	put_u16(p + 2, (uint16_t)(v >> 16));
}

static inline void put_u64(uint8_t *p, uint64_t v)
{
	put_u32(p, (uint32_t)v);
	put_u32(p + 4, (uint32_t)(v >> 32));
}

static inline uint16_t get_u16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t get_u32(const uint8_t *p)
{
	return get_u16(p) | (uint32_t)get_u16(p + 2) << 16;
}

static inline uint64_t get_u64(const uint8_t *p)
{
	return get_u32(p) | (uint64_t)get_u32(p + 4) << 32;
}
