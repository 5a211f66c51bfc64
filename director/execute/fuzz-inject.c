/* Injection against a second parser: what is written parses, its trusted members are ours and last,
 * and nothing else of the client's is lost or changed. */
#include "common/base/error.h"
#include "common/base/map.h"
#include "common/json/tree.h"
#include "director/execute/inject.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const reserved[] = { "user_id", "app_id", "_context", "user_jwt",
	"_entitlements" };

static void compare(json_t *before, json_t *after)
{
	const char *name;
	json_t *value;
	for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++) {
		(void)json_object_del(before, reserved[i]);
	}
	invariant(json_string_value(json_object_get(after, "user_id"))[0] == 'T');
	(void)json_object_del(after, "user_id");
	json_object_foreach(before, name, value)
	{
		invariant(json_equal(value, json_object_get(after, name)) != 0);
	}
	invariant(json_object_size(before) == json_object_size(after));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct injector *in;
	char why[256];
	if (in == NULL && (map_init() < 0 || injector_new(&in) < 0)) {
		abort();
	}
	struct slice body = slice_of(data, size);
	int r = inject_check(in, body, why);
	if (r != INJECT_OK) {
		return 0;
	}
	struct buffer out;
	buffer_init(&out, size + 1000);
	invariant(inject_write(in, SLICE("\"user_id\":\"T\""), &out) == 0);
	invariant(out.p[out.n - 1] == '}' && out.n > 14);
	/* jansson refuses some numbers and NUL characters that JSON allows: nothing to compare. */
	json_t *after = json_loadb((const char *)out.p, out.n, 0, NULL);
	json_t *before = json_loadb((const char *)data, size, 0, NULL);
	if (before != NULL && after != NULL) {
		compare(before, after);
	}
	json_decref(before);
	json_decref(after);
	buffer_deinit(&out);
	return 0;
}
