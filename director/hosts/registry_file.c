#include "director/hosts/registry_file.h"

#include "common/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MAX = 8 * 1024 * 1024, FILE_MODE = 0644, PATH_BYTES = 4096 };

struct registry_file {
	uv_loop_t *loop;
	uv_work_t work;
	char path[PATH_BYTES];
	struct buffer writing; /* with the thread */
	struct buffer next;    /* waits for it */
	struct buffer written; /* what the file holds */
	bool busy, pending, closing;
	int result;
};

int registry_file_new(struct registry_file **ret, uv_loop_t *loop, const char *path)
{
	struct registry_file *f = calloc(1, sizeof(*f));
	if (f == NULL) {
		return -ENOMEM;
	}
	f->loop = loop;
	f->work.data = f;
	(void)snprintf(f->path, sizeof(f->path), "%s", path);
	buffer_init(&f->writing, FILE_MAX);
	buffer_init(&f->next, FILE_MAX);
	buffer_init(&f->written, FILE_MAX);
	*ret = f;
	return 0;
}

void registry_file_free(struct registry_file *f)
{
	if (f == NULL) {
		return;
	}
	f->closing = true;
	if (!f->busy) {
		buffer_deinit(&f->writing);
		buffer_deinit(&f->next);
		buffer_deinit(&f->written);
		free(f);
	}
}

/* What the file holds is what was read, until a write changes it: an operator may have edited it. */
static void note_content(struct registry_file *f, struct slice content)
{
	buffer_clear(&f->written);
	if (buffer_append(&f->written, content) < 0) {
		buffer_clear(&f->written);
	}
}

static int64_t changed_ms(int fd)
{
	struct stat s;
	return fstat(fd, &s) < 0 ? 0
				 : (int64_t)s.st_mtim.tv_sec * 1000 + s.st_mtim.tv_nsec / 1000000;
}

int registry_file_read(struct registry_file *f, struct buffer *out, int64_t *ret_changed_ms)
{
	int fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	*ret_changed_ms = 0;
	if (fd < 0) {
		note_content(f, SLICE_NULL);
		return errno == ENOENT ? 0 : -errno;
	}
	*ret_changed_ms = changed_ms(fd);
	int r = 0;
	ssize_t n = 1;
	while (r == 0 && n > 0) {
		r = buffer_reserve(out, 65536);
		n = r < 0 ? 0 : read(fd, out->p + out->n, out->cap - out->n);
		r = n < 0 ? -errno : r;
		out->n += n > 0 ? (size_t)n : 0;
	}
	(void)close(fd);
	if (!f->busy) {
		note_content(f, r < 0 ? SLICE_NULL : buffer_slice(out));
	}
	return r;
}

static int write_all(int fd, struct slice text)
{
	while (text.n > 0) {
		ssize_t n = write(fd, text.p, text.n);
		if (n < 0 && errno != EINTR) {
			return -errno;
		}
		text = slice_skip(text, n > 0 ? (size_t)n : 0);
	}
	return fsync(fd) < 0 ? -errno : 0;
}

static int replace(const char *path, struct slice text)
{
	char temporary[PATH_BYTES + 8];
	(void)snprintf(temporary, sizeof(temporary), "%s.new", path);
	int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
	if (fd < 0) {
		return -errno;
	}
	int r = write_all(fd, text);
	(void)close(fd);
	if (r == 0 && rename(temporary, path) < 0) {
		r = -errno;
	}
	if (r < 0) {
		(void)unlink(temporary);
	}
	return r;
}

static void on_work(uv_work_t *work)
{
	struct registry_file *f = work->data;
	f->result = replace(f->path, buffer_slice(&f->writing));
}

static void start(struct registry_file *f);

static void on_written(uv_work_t *work, int status)
{
	struct registry_file *f = work->data;
	f->busy = false;
	if (f->result < 0) {
		log_event(LOG_WARNING, "registry.write_failed", "cannot write %s: %s", f->path,
			strerror(-f->result));
		buffer_clear(&f->written);
	}
	if (f->closing) {
		registry_file_free(f);
	} else if (f->pending) {
		start(f);
	}
}

static void start(struct registry_file *f)
{
	struct buffer taken = f->writing;
	f->pending = false;
	f->writing = f->next;
	f->next = taken;
	buffer_clear(&f->next);
	note_content(f, buffer_slice(&f->writing));
	f->busy = uv_queue_work(f->loop, &f->work, on_work, on_written) == 0;
}

void registry_file_write(struct registry_file *f, struct buffer *text)
{
	if (slice_eq(buffer_slice(text), buffer_slice(&f->written)) && text->n > 0) {
		buffer_deinit(text);
		return;
	}
	buffer_deinit(&f->next);
	f->next = *text;
	buffer_init(text, text->limit);
	f->pending = true;
	if (!f->busy) {
		start(f);
	}
}
