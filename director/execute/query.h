/* The query of a URL as members of a JSON object. Pure; the bytes are hostile. */
#pragma once

#include "common/base/buffer.h"

/**
 * Appends `"name":"value",` for each pair of a query like a=1&b=two+words, decoded, in its order.
 * @return 0, -EINVAL (a bad escape, no UTF-8, a NUL), -ENOBUFS, -ENOMEM; `out` then has a part of it.
 */
int query_append_json(struct buffer *out, struct slice query);

/** The same without the pairs of two names, as they stand there: those are not for plugins. */
int query_append_json_but(
	struct buffer *out, struct slice query, const char *not_this, const char *nor_this);
