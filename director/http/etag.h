/* Entity tags (RFC 9110, section 8.8): who has an answer already need not get it again. No I/O. */
#pragma once

#include "common/base/slice.h"

enum { ETAG_LENGTH = 34 };

/** A strong tag, with its quotes: equal bytes have equal tags, others differ. Not NUL-terminated. */
void etag_make(struct slice body, char ret[static ETAG_LENGTH]);

/** True when the list of an If-None-Match names the tag, or is "*". A malformed list names nothing
 * from there on. */
bool etag_matches(struct slice list, struct slice tag);
