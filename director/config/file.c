#include "director/config/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIECE = 4096 };

static int read_all(int fd, struct buffer *out)
{
	for (;;) {
		uint8_t piece[PIECE];
		ssize_t n = read(fd, piece, sizeof(piece));
		if (n < 0 && errno == EINTR) {
			continue;
		}
		int r = n < 0 ? -errno : buffer_append(out, slice_of(piece, (size_t)n));
		explicit_bzero(piece, sizeof(piece));
		if (r < 0 || n == 0) {
			return r;
		}
	}
}

int file_read(int dir, const char *path, struct buffer *out)
{
	struct stat st;
	/* Non-blocking, so that a FIFO in its place cannot stop the start. */
	int fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0) {
		return -errno;
	}
	int r = fstat(fd, &st) < 0 ? -errno : 0;
	if (r == 0 && !S_ISREG(st.st_mode)) {
		r = S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	}
	r = r < 0 ? r : read_all(fd, out);
	(void)close(fd);
	return r;
}

bool file_exists(const char *path)
{
	return faccessat(AT_FDCWD, path, F_OK, AT_EACCESS) == 0;
}

static int write_all(int fd, struct slice s)
{
	while (s.n > 0) {
		ssize_t n = write(fd, s.p, s.n);
		if (n < 0 && errno != EINTR) {
			return -errno;
		}
		s = n < 0 ? s : slice_skip(s, (size_t)n);
	}
	return 0;
}

static int write_new(int dir, const char *name, mode_t mode, struct slice content)
{
	/* What a crash left behind. */
	if (unlinkat(dir, name, 0) < 0 && errno != ENOENT) {
		return -errno;
	}
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	if (fd < 0) {
		return -errno;
	}
	/* The umask must not decide. */
	int r = fchmod(fd, mode) < 0 ? -errno : write_all(fd, content);
	r = r == 0 && fsync(fd) < 0 ? -errno : r;
	if (close(fd) < 0 && r == 0) {
		r = -errno;
	}
	return r;
}

int file_replace(int dir, const char *name, mode_t mode, struct slice content)
{
	char temporary[NAME_MAX + 1];
	int n = snprintf(temporary, sizeof(temporary), ".%s.new", name);
	if (n < 0 || (size_t)n >= sizeof(temporary)) {
		return -ENAMETOOLONG;
	}
	int r = write_new(dir, temporary, mode, content);
	if (r == 0 && renameat(dir, temporary, dir, name) < 0) {
		r = -errno;
	}
	if (r < 0) {
		(void)unlinkat(dir, temporary, 0);
		return r;
	}
	return fsync(dir) < 0 ? -errno : 0;
}
