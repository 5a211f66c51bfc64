/*
 * A directory of its own for a test, and short ways to put things into it. Everything is relative to
 * tree.fd. Only tests include this.
 */
#pragma once

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

#include "common/base/slice.h"
#include "pluginhost/beneath.h"

/* Rights are checked against root too: as nobody, until as_before(). */
static inline void as_nobody(void)
{
	if (getuid() == 0) {
		assert_int_equal(seteuid(65534), 0);
	}
}

static inline void as_before(void)
{
	assert_int_equal(seteuid(getuid()), 0);
}

struct tree {
	char path[64];
	int fd;
};

static inline void tree_init(struct tree *t)
{
	(void)snprintf(t->path, sizeof(t->path), "/tmp/mozaiks-test-XXXXXX");
	assert_non_null(mkdtemp(t->path));
	t->fd = open(t->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(t->fd >= 0);
}

static inline void tree_deinit(struct tree *t)
{
	(void)close(t->fd);
	int root = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(beneath_remove(root, t->path + strlen("/tmp/")), 0);
	(void)close(root);
}

static inline void tree_dir(struct tree *t, const char *path)
{
	assert_int_equal(mkdirat(t->fd, path, 0755), 0);
}

static inline void tree_file_n(struct tree *t, const char *path, const void *p, size_t n)
{
	int fd = openat(t->fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, p, n), (ssize_t)n);
	(void)close(fd);
}

static inline void tree_file(struct tree *t, const char *path, const char *text)
{
	tree_file_n(t, path, text, strlen(text));
}

static inline bool tree_has(struct tree *t, const char *path)
{
	struct stat st;
	return fstatat(t->fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* As a string; cut when it does not fit. */
static inline void text_of(struct slice s, char *out, size_t size)
{
	size_t n = s.n < size - 1 ? s.n : size - 1;
	memcpy(out, s.p == NULL ? (const uint8_t *)"" : s.p, n);
	out[n] = '\0';
}

static inline void sleep_ms(long ms)
{
	const struct timespec pause = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
	(void)nanosleep(&pause, NULL);
}
