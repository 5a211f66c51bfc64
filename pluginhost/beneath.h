/*
 * Opening what others control: below a directory that is already open, never through a link, never
 * out of it. Every path that comes from a plugin directory goes through here.
 *
 * Thread: any. No state.
 */
#pragma once

#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>

/* The names in a directory, ordered by their bytes. */
struct file_names {
	char **v;
	size_t n;
};

/**
 * Opens `path` below `dir_fd`: openat2() with BENEATH, NO_SYMLINKS and NO_MAGICLINKS, close-on-exec.
 * A device or FIFO does not block and no terminal becomes ours.
 * @param flags O_RDONLY, O_DIRECTORY, O_PATH …; not O_CREAT.
 * @return a descriptor that the caller closes; -ELOOP for a link on the way, or another -errno.
 */
int beneath_open(int dir_fd, const char *path, int flags);

/** What beneath_open() does where openat2() is denied (ENOSYS): here for its test. */
int beneath_open_by_steps(int dir_fd, const char *path, int flags);

/**
 * Removes a file or a whole tree without following links. Bounded: trees deeper than 64 levels are
 * refused. For trees of our own making.
 * @return 0 (also when there is nothing), -ELOOP when it is too deep, or another -errno.
 */
int beneath_remove(int dir_fd, const char *name);

/**
 * Reads a small regular file whole, with a NUL byte behind it.
 * @param max -EFBIG when the file is longer.
 * @return 0, -EINVAL when it is no regular file, or another -errno. The caller frees *ret.
 */
int beneath_read(int dir_fd, const char *path, size_t max, char **ret, size_t *ret_n);

/**
 * The names in a directory but for "." and "..".
 * @param dir_fd stays the caller's; its read position moves.
 * @param max -E2BIG when there are more.
 * @return 0, -E2BIG, or another -errno. *ret is freed with file_names_deinit().
 */
int beneath_list(int dir_fd, uint64_t max, struct file_names *ret);

void file_names_deinit(struct file_names *n);
