#include "common/proto/frame.h"

void frame_encode_header(
	uint8_t out[static FRAME_HEADER_SIZE], const struct frame *f, size_t payload_size)
{
	put_u32(out, (uint32_t)payload_size);
	out[4] = f->type;
	out[5] = f->flags;
	put_u16(out + 6, f->capability);
	put_u64(out + 8, f->call_id);
}

enum frame_result frame_decode(struct slice *message, struct frame *ret_frame)
{
	if (message->n == 0) {
		return FRAME_END;
	}
	if (message->n < FRAME_HEADER_SIZE) {
		return FRAME_MALFORMED;
	}
	const uint8_t *p = message->p;
	size_t size = get_u32(p);
	if (size > FRAME_PAYLOAD_MAX || size > message->n - FRAME_HEADER_SIZE) {
		return FRAME_MALFORMED;
	}
	*ret_frame = (struct frame){
		.type = p[4],
		.flags = p[5],
		.capability = get_u16(p + 6),
		.call_id = get_u64(p + 8),
		.payload = slice_of(p + FRAME_HEADER_SIZE, size),
	};
	*message = slice_skip(*message, FRAME_HEADER_SIZE + size);
	return FRAME_OK;
}

int frame_append(struct buffer *b, const struct frame *f)
{
	int r = buffer_reserve(b, FRAME_HEADER_SIZE + f->payload.n);
	if (r < 0) {
		return r;
	}
	frame_encode_header(b->p + b->n, f, f->payload.n);
	b->n += FRAME_HEADER_SIZE;
	return buffer_append(b, f->payload);
}
