/* manifest.json: whatever an author writes, the answer is a manifest or a sentence. */
#include "pluginhost/manifest.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct manifest m;
	struct json_why why = { "" };
	int r = manifest_parse(slice_of(data, size), "plugin", &m, &why);
	if (r == MANIFEST_E_BROKEN &&
		(why.text[0] == '\0' || !slice_is_utf8(slice_str(why.text)))) {
		abort();
	}
	if (r == 0) {
		/* What we say to the director must be JSON, and small enough for a frame. */
		json_t *tree = json_loadb((const char *)m.json.p, m.json.n, 0, NULL);
		if (!json_is_object(tree)) {
			abort();
		}
		json_decref(tree);
		manifest_deinit(&m);
	}
	return 0;
}
