#include "pluginhost/beneath.h"

#include <dirent.h>
#include <errno.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { OPEN_TRIES = 8, REMOVE_LEVELS_MAX = 64 };

/* The next component of a path; false when it would leave the directory. */
static bool take_component(const char **path, char name[static NAME_MAX + 1])
{
	size_t n = strcspn(*path, "/");
	if (n == 0 || n > NAME_MAX) {
		return false;
	}
	memcpy(name, *path, n);
	name[n] = '\0';
	*path += n;
	*path += strspn(*path, "/");
	return strcmp(name, "..") != 0;
}

static bool is_link(int at, const char *name)
{
	struct stat st;
	return fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode);
}

static int open_component(int at, const char *name, int flags)
{
	struct stat st;
	int fd = openat(at, name, flags | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		/* A link is no directory; say what it is, as openat2() does. */
		return errno == ENOTDIR && is_link(at, name) ? -ELOOP : -errno;
	}
	/* O_PATH opens a link itself. */
	if (fstat(fd, &st) == 0 && S_ISLNK(st.st_mode)) {
		(void)close(fd);
		return -ELOOP;
	}
	return fd;
}

/*
 * The same by single steps, each of which follows no link and goes down. Needed under systemd's
 * RestrictSUIDSGID=, which denies openat2() (ENOSYS), as its filter cannot look into the arguments.
 */
int beneath_open_by_steps(int dir_fd, const char *path, int flags)
{
	char name[NAME_MAX + 1];
	int at = dir_fd;
	int fd = -EXDEV;
	if (path[0] == '\0') {
		return -ENOENT;
	}
	while (take_component(&path, name)) {
		bool last = path[0] == '\0';
		fd = open_component(at, name, last ? flags : O_PATH | O_DIRECTORY);
		if (at != dir_fd) {
			(void)close(at);
		}
		if (fd < 0 || last) {
			return fd;
		}
		at = fd;
		fd = -EXDEV;
	}
	if (at != dir_fd) {
		(void)close(at);
	}
	return fd;
}

int beneath_open(int dir_fd, const char *path, int flags)
{
	bool by_path = (flags & O_PATH) != 0;
	struct open_how how = {
		.flags = (unsigned)(flags | O_CLOEXEC | (by_path ? 0 : O_NONBLOCK | O_NOCTTY)),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	/* EAGAIN: something on the way was renamed meanwhile, so that the kernel cannot tell. */
	for (int i = 0; i < OPEN_TRIES; i++) {
		long fd = syscall(SYS_openat2, dir_fd, path, &how, sizeof(how));
		if (fd >= 0) {
			return (int)fd;
		}
		if (errno == ENOSYS) {
			return beneath_open_by_steps(dir_fd, path, (int)how.flags);
		}
		if (errno != EAGAIN && errno != EINTR) {
			return -errno;
		}
	}
	return -EAGAIN;
}

struct level {
	DIR *dir;
	char name[NAME_MAX + 1];
};

struct remover {
	struct level levels[REMOVE_LEVELS_MAX];
	int depth;
};

static int push_dir(struct remover *r, int parent_fd, const char *name)
{
	if (r->depth == REMOVE_LEVELS_MAX) {
		return -ELOOP;
	}
	int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		return -errno;
	}
	struct level *level = &r->levels[r->depth];
	level->dir = fdopendir(fd);
	if (level->dir == NULL) {
		int e = -errno;
		(void)close(fd);
		return e;
	}
	size_t n = strnlen(name, NAME_MAX);
	memcpy(level->name, name, n);
	level->name[n] = '\0';
	r->depth++;
	return 0;
}

/* Unlinks a file, or opens a directory to be emptied first. */
static int remove_entry(struct remover *r, int parent_fd, const char *name)
{
	if (unlinkat(parent_fd, name, 0) == 0 || errno == ENOENT) {
		return 0;
	}
	return errno == EISDIR || errno == EPERM ? push_dir(r, parent_fd, name) : -errno;
}

/* One step at the deepest open directory: removes an entry of it, or it itself when it is empty. */
static int remove_step(struct remover *r, int root_fd)
{
	struct level *level = &r->levels[r->depth - 1];
	errno = 0;
	const struct dirent *entry = readdir(level->dir);
	if (entry != NULL) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
			return 0;
		}
		return remove_entry(r, dirfd(level->dir), entry->d_name);
	}
	int e = errno;
	(void)closedir(level->dir);
	r->depth--;
	if (e != 0) {
		return -e;
	}
	int parent_fd = r->depth == 0 ? root_fd : dirfd(r->levels[r->depth - 1].dir);
	return unlinkat(parent_fd, level->name, AT_REMOVEDIR) < 0 && errno != ENOENT ? -errno : 0;
}

int beneath_remove(int dir_fd, const char *name)
{
	struct remover *r = calloc(1, sizeof(*r));
	if (r == NULL) {
		return -ENOMEM;
	}
	int e = remove_entry(r, dir_fd, name);
	while (e == 0 && r->depth > 0) {
		e = remove_step(r, dir_fd);
	}
	while (r->depth > 0) {
		(void)closedir(r->levels[--r->depth].dir);
	}
	free(r);
	return e == -ENOENT ? 0 : e;
}

static int read_all(int fd, char *p, size_t n, size_t *ret_n)
{
	size_t got = 0;
	while (got < n) {
		ssize_t k = read(fd, p + got, n - got);
		if (k < 0 && errno == EINTR) {
			continue;
		}
		if (k < 0) {
			return -errno;
		}
		if (k == 0) {
			break;
		}
		got += (size_t)k;
	}
	*ret_n = got;
	return 0;
}

int beneath_read(int dir_fd, const char *path, size_t max, char **ret, size_t *ret_n)
{
	int fd = beneath_open(dir_fd, path, O_RDONLY);
	if (fd < 0) {
		return fd;
	}
	struct stat st;
	char *text = NULL;
	size_t n = 0;
	int e = fstat(fd, &st) < 0 ? -errno : 0;
	if (e == 0 && !S_ISREG(st.st_mode)) {
		e = -EINVAL;
	}
	if (e == 0 && (uint64_t)st.st_size > max) {
		e = -EFBIG;
	}
	if (e == 0) {
		text = malloc(max + 2);
		/* One byte over the limit shows a file that grew. */
		e = text == NULL ? -ENOMEM : read_all(fd, text, max + 1, &n);
	}
	(void)close(fd);
	if (e == 0 && n > max) {
		e = -EFBIG;
	}
	if (e < 0) {
		free(text);
		return e;
	}
	text[n] = '\0';
	*ret = text;
	*ret_n = n;
	return 0;
}

void file_names_deinit(struct file_names *n)
{
	for (size_t i = 0; i < n->n; i++) {
		free(n->v[i]);
	}
	free(n->v);
	*n = (struct file_names){ 0 };
}

static int add_name(struct file_names *names, const char *name)
{
	/* Room doubles at each power of two. */
	if ((names->n & (names->n - 1)) == 0) {
		char **v = reallocarray(names->v, names->n == 0 ? 1 : 2 * names->n, sizeof(*v));
		if (v == NULL) {
			return -ENOMEM;
		}
		names->v = v;
	}
	char *copy = strdup(name);
	if (copy == NULL) {
		return -ENOMEM;
	}
	names->v[names->n++] = copy;
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int read_names(DIR *dir, uint64_t max, struct file_names *names)
{
	for (;;) {
		errno = 0;
		const struct dirent *entry = readdir(dir);
		if (entry == NULL) {
			return -errno;
		}
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
			continue;
		}
		int r = names->n == max ? -E2BIG : add_name(names, entry->d_name);
		if (r < 0) {
			return r;
		}
	}
}

int beneath_list(int dir_fd, uint64_t max, struct file_names *ret)
{
	int fd = fcntl(dir_fd, F_DUPFD_CLOEXEC, 0);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (dir == NULL) {
		int e = -errno;
		if (fd >= 0) {
			(void)close(fd);
		}
		return e;
	}
	rewinddir(dir);
	struct file_names names = { 0 };
	int r = read_names(dir, max, &names);
	(void)closedir(dir);
	if (r < 0) {
		file_names_deinit(&names);
		return r;
	}
	if (names.n > 1) {
		qsort(names.v, names.n, sizeof(names.v[0]), compare_names);
	}
	*ret = names;
	return 0;
}
