#include "common/proto/pair0.h"

const uint8_t pair0_handshake[PAIR0_HANDSHAKE_SIZE] = { 0x00, 'S', 'P', 0x00, 0x00, 0x10, 0x00,
	0x00 };

/* What a reader keeps between messages: it lives as long as its peer, and most are short. */
enum { KEPT_BYTES = 256 * 1024 };

void pair0_encode_header(uint8_t out[static PAIR0_HEADER_SIZE], uint64_t size)
{
	out[0] = 1;
	for (int i = 0; i < 8; i++) {
		out[1 + i] = (uint8_t)(size >> (56 - 8 * i));
	}
}

void pair0_reader_init(struct pair0_reader *r, size_t max_message)
{
	*r = (struct pair0_reader){ .max_message = max_message };
	/* One message in full and the start of others behind it. */
	buffer_init(&r->in, 2 * (max_message + PAIR0_HEADER_SIZE) + 65536);
}

void pair0_reader_deinit(struct pair0_reader *r)
{
	buffer_deinit(&r->in);
}

/* Size of the message at the front, as far as its header is here. */
static bool peek_size(const struct pair0_reader *r, struct slice rest, uint64_t *ret_size)
{
	if (!r->shook_hands || rest.n < PAIR0_HEADER_SIZE) {
		return false;
	}
	uint64_t size = 0;
	for (int i = 0; i < 8; i++) {
		size = size << 8 | rest.p[1 + i];
	}
	*ret_size = size;
	return true;
}

int pair0_reader_space(struct pair0_reader *r, size_t want, uint8_t **ret_p, size_t *ret_n)
{
	buffer_consume(&r->in, r->taken);
	r->taken = 0;
	uint64_t size;
	if (peek_size(r, buffer_slice(&r->in), &size) && size <= r->max_message) {
		size_t whole = (size_t)size + PAIR0_HEADER_SIZE;
		if (whole > r->in.n && whole - r->in.n > want) {
			want = whole - r->in.n;
		}
	}
	int e = buffer_reserve(&r->in, want);
	if (e < 0) {
		return e;
	}
	*ret_p = r->in.p + r->in.n;
	*ret_n = r->in.cap - r->in.n;
	return 0;
}

void pair0_reader_trim(struct pair0_reader *r)
{
	if (r->taken == r->in.n && r->in.cap > KEPT_BYTES) {
		r->taken = 0;
		buffer_deinit(&r->in);
	}
}

void pair0_reader_fill(struct pair0_reader *r, size_t n)
{
	r->in.n += n;
}

enum pair0_result pair0_reader_greet(struct pair0_reader *r)
{
	if (r->shook_hands) {
		return PAIR0_MESSAGE;
	}
	if (r->in.n < PAIR0_HANDSHAKE_SIZE) {
		return PAIR0_MORE;
	}
	if (memcmp(r->in.p, pair0_handshake, PAIR0_HANDSHAKE_SIZE) != 0) {
		return PAIR0_BAD;
	}
	r->shook_hands = true;
	r->taken = PAIR0_HANDSHAKE_SIZE;
	return PAIR0_MESSAGE;
}

enum pair0_result pair0_reader_next(struct pair0_reader *r, struct slice *ret_message)
{
	enum pair0_result greeted = pair0_reader_greet(r);
	if (greeted != PAIR0_MESSAGE) {
		return greeted;
	}
	struct slice rest = slice_skip(buffer_slice(&r->in), r->taken);
	if (rest.n > 0 && rest.p[0] != 1) {
		return PAIR0_BAD;
	}
	uint64_t size;
	if (!peek_size(r, rest, &size)) {
		return PAIR0_MORE;
	}
	if (size > r->max_message) {
		return PAIR0_BAD;
	}
	if (rest.n - PAIR0_HEADER_SIZE < size) {
		return PAIR0_MORE;
	}
	*ret_message = slice_of(rest.p + PAIR0_HEADER_SIZE, (size_t)size);
	r->taken += PAIR0_HEADER_SIZE + (size_t)size;
	return PAIR0_MESSAGE;
}
