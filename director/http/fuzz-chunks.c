/*
 * Chunked bodies. Data, verdict and end do not depend on how the bytes arrive; the limits hold; what
 * was decoded, encoded as one chunk, decodes to the same.
 */
#include "common/base/buffer.h"
#include "common/base/error.h"
#include "director/http/chunked.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LIMIT = 4096 };

struct result {
	enum chunked_verdict verdict;
	int status;
	size_t used;
	struct buffer data;
};

static void decode(struct result *r, struct slice in, size_t step)
{
	struct chunked d;
	chunked_init(&d, LIMIT);
	*r = (struct result){ .verdict = CHUNKED_MORE };
	buffer_init(&r->data, LIMIT);
	while (r->verdict == CHUNKED_MORE && r->used < in.n) {
		size_t n = in.n - r->used > step ? step : in.n - r->used;
		struct slice piece = slice_of(in.p + r->used, n);
		struct slice data;
		while ((r->verdict = chunked_next(&d, &piece, &data)) == CHUNKED_DATA) {
			invariant(data.n > 0 && data.p >= in.p && data.p + data.n <= in.p + in.n);
			/* Fails when more than the limit comes out. */
			invariant(buffer_append(&r->data, data) == 0);
		}
		invariant(r->verdict != CHUNKED_MORE || piece.n == 0);
		r->used += n - piece.n;
	}
	invariant(d.framing <= CHUNKED_FRAMING_MAX + 1);
	r->status = r->verdict == CHUNKED_REFUSED ? d.refusal.status : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct result whole;
	struct result pieces;
	struct slice in = slice_of(data, size);
	decode(&whole, in, size + 1);
	for (size_t step = 1; step <= 5; step += 2) {
		decode(&pieces, in, step);
		invariant(pieces.verdict == whole.verdict && pieces.status == whole.status);
		invariant(pieces.used == whole.used);
		invariant(slice_eq(buffer_slice(&pieces.data), buffer_slice(&whole.data)));
		buffer_deinit(&pieces.data);
	}
	if (whole.verdict == CHUNKED_END && whole.data.n > 0) {
		struct buffer again;
		buffer_init(&again, SIZE_MAX / 4);
		int r = buffer_printf(&again, "%zx\r\n", whole.data.n);
		r |= buffer_append(&again, buffer_slice(&whole.data));
		r |= buffer_append(&again, SLICE("\r\n0\r\n\r\n"));
		invariant(r == 0);
		decode(&pieces, buffer_slice(&again), again.n);
		invariant(pieces.verdict == CHUNKED_END && pieces.used == again.n);
		invariant(slice_eq(buffer_slice(&pieces.data), buffer_slice(&whole.data)));
		buffer_deinit(&pieces.data);
		buffer_deinit(&again);
	}
	buffer_deinit(&whole.data);
	return 0;
}
