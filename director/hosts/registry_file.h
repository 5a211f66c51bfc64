/*
 * plugin_registry.json: what the reference's tools read, and where an operator may set "enabled".
 * Written atomically (temporary file, fsync, rename), on a thread, so that the loop never waits for
 * a disk; of several requests only the last is written.
 */
#pragma once

#include "common/base/buffer.h"

#include <uv.h>

struct registry_file;

/** @return 0 or -ENOMEM. */
int registry_file_new(struct registry_file **ret, uv_loop_t *loop, const char *path);

/** Frees it once a write that is under way has ended. NULL is allowed. */
void registry_file_free(struct registry_file *f);

/** Reads the file, and remembers what it holds. Blocking, bounded.
 * @param ret_changed_ms when it was changed last, since 1970; 0 for none.
 * @return 0 with an empty `out` when there is none. */
int registry_file_read(struct registry_file *f, struct buffer *out, int64_t *ret_changed_ms);

/** Writes the text unless the file holds just that already. The text is taken over. */
void registry_file_write(struct registry_file *f, struct buffer *text);
