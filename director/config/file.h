/* Small files, read bounded and replaced atomically. */
#pragma once

#include "common/base/buffer.h"

#include <sys/types.h>

/**
 * Appends the content of a regular file.
 * @param dir the directory that a relative `path` starts from, or AT_FDCWD.
 * @return 0, -ENOBUFS over the buffer's limit, -EISDIR or -EINVAL when it is no regular file,
 *   -ENOMEM, another negative errno.
 */
int file_read(int dir, const char *path, struct buffer *out);

/** Is there anything by this name? */
bool file_exists(const char *path);

/**
 * Writes `name` in `dir` so that after a crash there is the old content or the new one, whole: a
 * temporary file beside it (".name.new"), fsync, rename, fsync of the directory. The caller makes
 * sure that nobody else replaces it at the same time.
 * @return 0 when the new content is durable, or a negative errno: the old one is still there, but
 *   after a failure of the last fsync (-EIO) it is not known which one will be after a crash.
 */
int file_replace(int dir, const char *name, mode_t mode, struct slice content);
