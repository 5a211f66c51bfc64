#include "pluginhost/watch.h"

#include "common/base/map.h"
#include "pluginhost/walk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

struct watched {
	int wd;
	unsigned generation;
	UT_hash_handle hh;
};

struct watch {
	int fd;
	unsigned generation;
	struct watched *by_wd;
	int error;
};

static const uint32_t mask = IN_CREATE | IN_DELETE | IN_MODIFY | IN_CLOSE_WRITE | IN_MOVED_FROM |
	IN_MOVED_TO | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;

int watch_new(struct watch **ret)
{
	struct watch *w = calloc(1, sizeof(*w));
	if (w == NULL) {
		return -ENOMEM;
	}
	w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (w->fd < 0) {
		int e = -errno;
		free(w);
		return e;
	}
	*ret = w;
	return 0;
}

static void forget(struct watch *w, struct watched *entry)
{
	HASH_DEL(w->by_wd, entry);
	free(entry);
}

struct watch *watch_free(struct watch *w)
{
	if (w != NULL) {
		struct watched *entry;
		struct watched *next;
		HASH_ITER (hh, w->by_wd, entry, next) {
			forget(w, entry);
		}
		(void)close(w->fd);
		free(w);
	}
	return NULL;
}

int watch_fd(const struct watch *w)
{
	return w->fd;
}

void watch_begin(struct watch *w)
{
	w->generation++;
	w->error = 0;
}

static void keep_first(struct watch *w, int error)
{
	if (w->error == 0) {
		w->error = error;
	}
}

void watch_directory(void *watch, int dir_fd)
{
	struct watch *w = watch;
	char path[32];
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", dir_fd);
	/* The same directory gives the same number again. */
	int wd = inotify_add_watch(w->fd, path, mask);
	if (wd < 0) {
		keep_first(w, -errno);
		return;
	}
	struct watched *entry;
	HASH_FIND_INT(w->by_wd, &wd, entry);
	if (entry == NULL) {
		entry = calloc(1, sizeof(*entry));
		if (entry != NULL) {
			entry->wd = wd;
			HASH_ADD_INT(w->by_wd, wd, entry);
		}
		if (entry == NULL || entry->hh.tbl == NULL) {
			free(entry);
			(void)inotify_rm_watch(w->fd, wd);
			keep_first(w, -ENOMEM);
			return;
		}
	}
	entry->generation = w->generation;
}

int watch_end(struct watch *w)
{
	struct watched *entry;
	struct watched *next;
	HASH_ITER (hh, w->by_wd, entry, next) {
		if (entry->generation != w->generation) {
			(void)inotify_rm_watch(w->fd, entry->wd);
			forget(w, entry);
		}
	}
	return w->error;
}

static bool matters(struct watch *w, const struct inotify_event *event)
{
	if ((event->mask & IN_IGNORED) != 0) {
		struct watched *entry;
		HASH_FIND_INT(w->by_wd, &event->wd, entry);
		if (entry != NULL) {
			forget(w, entry);
		}
		return false;
	}
	return event->len == 0 || !walk_skips(event->name);
}

bool watch_drain(struct watch *w)
{
	_Alignas(struct inotify_event) char buffer[16 * 1024];
	bool changed = false;
	for (;;) {
		ssize_t n = read(w->fd, buffer, sizeof(buffer));
		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n <= 0) {
			return changed;
		}
		for (ssize_t at = 0; at < n;) {
			/* The buffer is aligned and the kernel pads each record to this alignment. */
			const struct inotify_event *event = (const void *)(buffer + at);
			changed = matters(w, event) || changed;
			at += (ssize_t)(sizeof(*event) + event->len);
		}
	}
}
