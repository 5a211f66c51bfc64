/* What a plugin declares of its collections: never a crash, and the normal form reads as itself. */
#include "common/base/error.h"
#include "common/json/collections.h"

#include <errno.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BIG = 64 * 1024 };

static void reads_as_itself(json_t *collections)
{
	struct json_why why;
	json_t *again = NULL;
	json_t *owner = json_pack("{s:O}", "collections", collections);
	invariant(owner != NULL && collections_read(owner, "", &again, &why) == 0);
	invariant(json_equal(collections, again));
	json_decref(owner);
	json_decref(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *tree = NULL;
	json_t *collections = NULL;
	struct json_why why = { "" };
	if (size > BIG || json_tree_parse(slice_of(data, size), &tree, NULL) != 0) {
		return 0;
	}
	int r = collections_read(tree, "", &collections, &why);
	invariant(r == 0 || (r == -EBADMSG && why.text[0] != '\0'));
	if (r == 0 && json_array_size(collections) <= COLLECTIONS_MAX) {
		reads_as_itself(collections);
	}
	json_decref(tree);
	json_decref(collections);
	return 0;
}
