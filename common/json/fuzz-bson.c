/*
 * What bson_check() lets through is safe for libbson (which validates it, recursing), has no name
 * twice, and converts to valid JSON that converts back. What it refuses does no harm to
 * bson_to_json() either.
 */
#include "common/base/error.h"
#include "common/json/bson_check.h"
#include "common/json/bson_json.h"

#include <errno.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BIG = 64 << 20, COMPARED = 300 };

/* Bounded by the depth that was checked. Counts elements and looks for names that occur twice. */
static unsigned walk(bson_iter_t iter, bool array, unsigned depth)
{
	const char *names[COMPARED];
	unsigned n = 0;
	unsigned below = 0;
	invariant(depth <= JSON_DEPTH_MAX);
	while (bson_iter_next(&iter)) {
		bson_iter_t child;
		for (unsigned i = 0; i < n && i < COMPARED && !array; i++) {
			invariant(strcmp(names[i], bson_iter_key(&iter)) != 0);
		}
		if (n < COMPARED) {
			names[n] = bson_iter_key(&iter);
		}
		n++;
		bool document = BSON_ITER_HOLDS_DOCUMENT(&iter);
		if (document || BSON_ITER_HOLDS_ARRAY(&iter)) {
			invariant(bson_iter_recurse(&iter, &child));
			below += walk(child, !document, depth + 1);
		}
	}
	invariant(iter.err_off == 0);
	return n + below;
}

static void to_json(struct slice document, int flags, bool checked)
{
	struct json_failure failure;
	struct buffer json;
	struct buffer again;
	buffer_init(&json, BIG);
	buffer_init(&again, BIG);
	int r = bson_to_json(document, flags, &json);
	if (checked) {
		invariant(r == 0 || r == -EDOM);
	}
	if (r == 0) {
		/* The extended forms add levels. */
		int scanned = json_scan(buffer_slice(&json), NULL, NULL, NULL, &failure);
		invariant(scanned == 0 ||
			strcmp(failure.what, "more than 64 levels of nesting") == 0);
	}
	if (r == 0 && checked && flags == JSON_BSON_PLAIN) {
		invariant(json_to_bson_bytes(buffer_slice(&json), flags, &again, NULL) == 0);
	}
	buffer_deinit(&json);
	buffer_deinit(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct bson_limits limits = {
		.bytes = 1 << 20, .depth = JSON_DEPTH_MAX, .keys = JSON_MEMBERS_MAX
	};
	const bson_validate_flags_t flags =
		(bson_validate_flags_t)(BSON_VALIDATE_UTF8 | BSON_VALIDATE_UTF8_ALLOW_NULL);
	struct slice rest = slice_of(data, size);
	struct slice document;
	struct bson_failure failure = { .what = NULL };
	to_json(rest, JSON_BSON_PLAIN, false);
	to_json(rest, JSON_BSON_EXTENDED, false);
	while (rest.n > 0) {
		size_t before = rest.n;
		int r = bson_check(&rest, &limits, &document, &failure);
		if (r < 0) {
			invariant(
				r == -EBADMSG && failure.what != NULL && failure.offset <= before);
			break;
		}
		bson_t b;
		bson_iter_t iter;
		invariant(document.n + rest.n == before);
		invariant(bson_init_static(&b, document.p, document.n));
		invariant(bson_validate(&b, flags, NULL));
		invariant(bson_iter_init(&iter, &b));
		invariant(walk(iter, false, 1) <= limits.keys);
		to_json(document, JSON_BSON_PLAIN, true);
		to_json(document, JSON_BSON_EXTENDED, true);
	}
	return 0;
}
