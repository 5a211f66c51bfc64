/* Frames as the director reads them from a worker: decoding is bounded, ends exactly, and what
 * decodes encodes to the same bytes. */
#include "common/base/error.h"
#include "common/proto/messages.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(NAME, lower)                                                  \
	case MSG_##NAME: {                                                  \
		struct msg_##lower m;                                       \
		if (msg_##lower##_decode(f.payload, &m)) {                  \
			invariant(msg_##lower##_append(&out, &f, &m) == 0); \
		}                                                           \
		break;                                                      \
	}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_of(data, size);
	struct frame f;
	while (frame_decode(&in, &f) == FRAME_OK) {
		if (message_violation(&f, FROM_DIRECTOR | FROM_WORKER | FROM_PLUGINHOST) != NULL) {
			continue;
		}
		struct buffer out;
		buffer_init(&out, MESSAGE_MAX);
		switch (f.type) {
			MESSAGE_FUNCTIONS(CHECK)
		default:
			invariant(f.payload.n == 0);
		}
		if (out.n > 0) {
			struct slice again = buffer_slice(&out);
			struct frame g;
			invariant(frame_decode(&again, &g) == FRAME_OK && again.n == 0);
			invariant(g.type == f.type && g.call_id == f.call_id);
			invariant(slice_eq(g.payload, f.payload));
		}
		buffer_deinit(&out);
	}
	return 0;
}
