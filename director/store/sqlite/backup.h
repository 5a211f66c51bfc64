/*
 * Copies of the database file: one that is made while a director writes to it, and one that is put in
 * its place while none does. For mozaiksctl: blocking, any one thread, no loop.
 *
 * A copy is one file, without a log beside it, mode 0600, synced, and looked through before it gets its
 * name; a name that is taken is taken over at once or not at all.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct backup_progress {
	/* Pages so far and in all. NULL: nobody wants to know. */
	void (*report)(void *arg, uint64_t done, uint64_t all);
	void *arg;
};

/**
 * Copies what is in `database` now; what is written meanwhile is not in it. Other programs may use the
 * database as usual.
 * @param replace an existing `target`.
 * @param why a text for the operator when it fails.
 * @return 0; -EEXIST; -EINVAL for a file that is no database of ours; another negative errno. `target`
 *   is what it was then.
 */
int backup_make(const char *database,
	const char *target,
	bool replace,
	const struct backup_progress *progress,
	char why[static 256]);

/**
 * Puts a copy of `source` in the place of `database`, after it has looked through all of it. What was
 * there is kept beside it. A run that is cut off leaves the old database or one that no director
 * starts with until it is run again.
 * @param ret_kept the name of the old database; empty when there was none.
 * @return 0; -EBUSY when a director uses the database; -EINVAL, -EIO for a source that is not ours, too
 *   new, or damaged; another negative errno.
 */
int backup_restore(const char *source,
	const char *database,
	const struct backup_progress *progress,
	char ret_kept[static 4096],
	char why[static 256]);
