/* JSON -> BSON -> JSON -> BSON: the BSON is valid and the second round changes nothing, with and
 * without extended JSON. */
#include "common/base/error.h"
#include "common/json/bson_check.h"
#include "common/json/bson_json.h"

#include <errno.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BIG = 256 << 20 };

static void check(struct slice bson)
{
	static const struct bson_limits limits = {
		.bytes = BIG, .depth = JSON_DEPTH_MAX, .keys = UINT32_MAX
	};
	struct slice document;
	invariant(bson_check(&bson, &limits, &document, NULL) == 0 && bson.n == 0);
}

static void round_trip(struct slice text, int flags)
{
	struct buffer bson;
	struct buffer json;
	struct buffer bson_again;
	struct buffer json_again;
	struct json_failure failure = { .what = NULL };
	buffer_init(&bson, BIG);
	buffer_init(&json, BIG);
	buffer_init(&bson_again, BIG);
	buffer_init(&json_again, BIG);
	int r = json_to_bson_bytes(text, flags, &bson, &failure);
	if (r == 0) {
		check(buffer_slice(&bson));
		invariant(bson_to_json(buffer_slice(&bson), flags, &json) == 0);
		r = json_to_bson_bytes(buffer_slice(&json), flags, &bson_again, &failure);
		/* {"$numberLong": …} is a level more than the number that it was. */
		bool deeper = r == -EBADMSG && flags == JSON_BSON_EXTENDED &&
			strcmp(failure.what, "more than 64 levels of nesting") == 0;
		invariant(r == 0 || deeper);
		if (r == 0) {
			invariant(slice_eq(buffer_slice(&bson), buffer_slice(&bson_again)));
			invariant(bson_to_json(buffer_slice(&bson_again), flags, &json_again) == 0);
			invariant(slice_eq(buffer_slice(&json), buffer_slice(&json_again)));
		}
	} else {
		invariant(r == -EBADMSG && failure.what != NULL && failure.offset <= text.n);
		invariant(bson.n == 0);
	}
	buffer_deinit(&bson);
	buffer_deinit(&json);
	buffer_deinit(&bson_again);
	buffer_deinit(&json_again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	round_trip(slice_of(data, size), JSON_BSON_PLAIN);
	round_trip(slice_of(data, size), JSON_BSON_EXTENDED);
	return 0;
}
