/* Frames of a client: read whole and in pieces, with the same outcome; no message longer than its limit,
 * and no text that is not UTF-8. The first byte says how the rest is cut. */
#include "common/base/buffer.h"
#include "common/base/error.h"
#include "director/websocket/frame.h"
#include "director/websocket/handshake.h"

#include <stdlib.h>

enum { FRAME_LIMIT = 300, MESSAGE_LIMIT = 500 };

/* What was read, in a form that does not depend on the cuts. */
struct outcome {
	struct buffer told;
	unsigned failed;
};

static void note(struct outcome *o, uint8_t kind, uint16_t code, struct slice data)
{
	uint8_t head[5] = { kind, (uint8_t)(code >> 8), (uint8_t)code, (uint8_t)(data.n >> 8),
		(uint8_t)data.n };
	invariant(buffer_append(&o->told, slice_of(head, sizeof(head))) == 0 &&
		buffer_append(&o->told, data) == 0);
}

static bool take(
	struct outcome *o, struct buffer *message, enum ws_verdict v, const struct ws_item *item)
{
	switch (v) {
	case WS_GOT_NOTHING:
		return true;
	case WS_GOT_DATA:
		invariant(buffer_append(message, item->data) == 0);
		if (item->last) {
			invariant(item->binary || slice_is_utf8(buffer_slice(message)));
			note(o, item->binary ? 'b' : 't', 0, buffer_slice(message));
			buffer_clear(message);
		}
		return true;
	case WS_GOT_PING:
	case WS_GOT_PONG:
		invariant(item->data.n <= WS_CONTROL_MAX);
		note(o, v == WS_GOT_PING ? 'i' : 'o', 0, item->data);
		return true;
	case WS_GOT_CLOSE:
		invariant(item->code == WS_NO_CODE || ws_code_is_valid(item->code));
		invariant(slice_is_utf8(item->data));
		note(o, 'c', item->code, item->data);
		return false;
	case WS_FAILED:
		invariant(item->code == WS_PROTOCOL_ERROR || item->code == WS_INVALID_DATA ||
			item->code == WS_TOO_BIG);
		o->failed = item->code;
		return false;
	}
	return false;
}

static void read_all(struct slice bytes, size_t step, struct outcome *o)
{
	const struct ws_limits limits = { FRAME_LIMIT, MESSAGE_LIMIT };
	struct ws_reader r;
	struct buffer message;
	bool more = true;
	ws_reader_init(&r, &limits);
	/* Over its limit nothing is given out, so this never refuses. */
	buffer_init(&message, MESSAGE_LIMIT);
	while (bytes.n > 0 && more) {
		size_t n = step < bytes.n ? step : bytes.n;
		uint8_t *piece = malloc(n);
		invariant(piece != NULL);
		memcpy(piece, bytes.p, n);
		bytes = slice_skip(bytes, n);
		struct ws_bytes in = { piece, n };
		struct ws_item item;
		enum ws_verdict v;
		do {
			size_t before = in.n;
			v = ws_read(&r, &in, &item);
			invariant(in.n <= before && (v != WS_GOT_NOTHING || in.n == 0));
			more = take(o, &message, v, &item);
		} while (more && v != WS_GOT_NOTHING);
		free(piece);
	}
	buffer_deinit(&message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2) {
		return 0;
	}
	struct slice bytes = slice_of(data + 1, size - 1);
	struct outcome whole = { 0 };
	struct outcome pieces = { 0 };
	buffer_init(&whole.told, (size_t)1 << 24);
	buffer_init(&pieces.told, (size_t)1 << 24);
	read_all(bytes, SIZE_MAX, &whole);
	read_all(bytes, (size_t)(data[0] % 7) + 1, &pieces);
	invariant(slice_eq(buffer_slice(&whole.told), buffer_slice(&pieces.told)));
	invariant(whole.failed == pieces.failed);
	buffer_deinit(&whole.told);
	buffer_deinit(&pieces.told);

	struct handshake_protocols p = { 0 };
	handshake_protocols_add(&p, bytes);
	invariant((p.tokens == 0) == (p.token.p == NULL));
	(void)handshake_list_has(bytes, SLICE("upgrade"));
	(void)handshake_query(bytes, SLICE("a"));
	return 0;
}
