#include "pluginhost/sandbox/uid_block.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIRST_NAME "default"

/* FNV-1a: the same on every machine and in every run. */
static uint32_t hash(const char *name)
{
	uint32_t h = 2166136261U;
	for (const char *p = name; *p != '\0'; p++) {
		h = (h ^ (uint8_t)*p) * 16777619U;
	}
	return h;
}

static unsigned block_of(const char *name, unsigned n)
{
	return n == 1 || strcmp(name, FIRST_NAME) == 0 ? 0 : 1 + hash(name) % (n - 1);
}

static int open_lock(const char *path)
{
	struct stat st;
	int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid())) {
		(void)close(fd);
		fd = -1;
	}
	return fd;
}

/* @return 0, -EBUSY, or another negative errno: this file cannot be locked. */
static int lock_byte(int fd, unsigned byte)
{
	struct flock lock = {
		.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)byte, .l_len = 1
	};
	if (fcntl(fd, F_OFD_SETLK, &lock) == 0) {
		return 0;
	}
	return errno == EAGAIN || errno == EACCES ? -EBUSY : -errno;
}

int uid_block_claim(
	const char *lock_path, const char *name, unsigned n, struct uid_block *ret_block)
{
	unsigned first = block_of(name, n);
	struct uid_block found = { .index = first, .lock = open_lock(lock_path) };
	int e = found.lock < 0 ? 0 : -EBUSY;
	for (unsigned i = 0; e == -EBUSY && i < n; i++) {
		found.index = (first + i) % n;
		e = lock_byte(found.lock, found.index);
	}
	if (e < 0) {
		uid_block_release(&found);
	}
	if (e == -EBUSY) {
		return e;
	}
	*ret_block = e == 0 ? found : (struct uid_block){ .index = first, .lock = -1 };
	return 0;
}

void uid_block_release(struct uid_block *b)
{
	if (b->lock >= 0) {
		(void)close(b->lock);
		b->lock = -1;
	}
}
