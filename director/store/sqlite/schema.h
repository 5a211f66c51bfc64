/*
 * The database file itself: who may use it, whether it is ours, of which version, whether it is
 * sound, and its tables.
 *
 * One director per file: a lock on `<file>.lock` (an open file description lock; a lock on the file
 * itself would be lost whenever SQLite closes one of its descriptors). The lock file also says
 * whether the last director stopped in order: it holds "open" from start to clean stop.
 */
#pragma once

#include "director/store/sqlite/connection.h"

enum { SCHEMA_VERSION = 2 };

struct schema_lock {
	int fd; /* -1: none */
};

#define SCHEMA_LOCK_NULL ((struct schema_lock){ .fd = -1 })

/**
 * Takes the lock.
 * @param ret_unclean the last user did not stop in order.
 * @return 0; -EBUSY and `why` when another director has it; another negative errno and `why`.
 */
int schema_lock(
	struct schema_lock *lock, const char *path, bool *ret_unclean, char why[static 256]);

/** Notes that the file is in use, or (clean) that it was left in order. @return 0 or a negative errno. */
int schema_lock_mark(struct schema_lock *lock, bool open);
void schema_unlock(struct schema_lock *lock);

/**
 * Opens the file for writing, creates it (mode 0600) and its tables when they are missing, and makes
 * sure that it is usable: ours, not newer than SCHEMA_VERSION, in WAL mode, and after an unclean stop
 * sound. A file that is refused is not touched.
 * @return 0; -EINVAL, -EIO, … and `why`.
 */
int schema_open(struct connection *c, const char *path, bool unclean, char why[static 256]);
