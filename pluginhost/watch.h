/*
 * Notices that something in the plugin paths changed (inotify). Says only that, not what: the next
 * look finds out. The set of watched directories follows the looks: between watch_begin() and
 * watch_end() every directory that is read is named, those that were not named any more are let go.
 *
 * A directory is watched before its names are read, so nothing that happens after the read is
 * missed. Names that no snapshot holds (dot files, __pycache__, node_modules) do not count.
 * Thread: the loop's.
 */
#pragma once

#include <stdbool.h>

struct watch;

/** @return 0 or a negative errno (-EMFILE: too many inotify instances). */
int watch_new(struct watch **ret);

/** NULL is fine. @return NULL. */
struct watch *watch_free(struct watch *w);

/** Readable when watch_drain() has something to do. */
int watch_fd(const struct watch *w);

void watch_begin(struct watch *w);

/** A hook for walks: `watch` is the struct watch. */
void watch_directory(void *watch, int dir_fd);

/** @return 0, or the negative errno of the first directory that could not be watched (-ENOSPC: the
 * system's limit of watches). */
int watch_end(struct watch *w);

/** Takes all events. @return true when something changed that matters. */
bool watch_drain(struct watch *w);
