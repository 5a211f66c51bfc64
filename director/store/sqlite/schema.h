/*
 * The database file itself: who may use it, whether it is ours, of which version, whether it is
 * sound, and its tables.
 *
 * One director per file: a lock on `<file>.lock` (an open file description lock; a lock on the file
 * itself would be lost whenever SQLite closes one of its descriptors). The lock file also says
 * whether the last director stopped in order: it holds "open" and its pid from start to clean stop, and
 * "restoring" while mozaiksctl puts another file in the database's place.
 */
#pragma once

#include "director/store/sqlite/connection.h"

enum { SCHEMA_VERSION = 7 };

struct schema_lock {
	int fd; /* -1: none */
};

#define SCHEMA_LOCK_NULL ((struct schema_lock){ .fd = -1 })

/* How the last user left the file. */
enum schema_mark { SCHEMA_CLEAN, SCHEMA_IN_USE, SCHEMA_RESTORING };

/**
 * Takes the lock.
 * @return 0; -EBUSY and `why` when another process has it; another negative errno and `why`.
 */
int schema_lock(struct schema_lock *lock,
	const char *path,
	enum schema_mark *ret_mark,
	char why[static 256]);

/** Notes what is being done with the file. @return 0 or a negative errno. */
int schema_lock_mark(struct schema_lock *lock, enum schema_mark mark);
void schema_unlock(struct schema_lock *lock);

/**
 * Opens the file for writing, creates it (mode 0600) and its tables when they are missing, and makes
 * sure that it is usable: ours, not newer than SCHEMA_VERSION, in WAL mode, and after an unclean stop
 * sound. A file that is refused is not touched.
 * @return 0; -EINVAL, -EIO, … and `why`.
 */
int schema_open(struct connection *c, const char *path, bool unclean, char why[static 256]);

/**
 * Makes sure that an open file is a database of ours of a version that is known.
 * @param sound look at every page, too.
 * @return 0; a negative errno and `why`.
 */
int schema_check(struct connection *c, const char *path, bool sound, char why[static 256]);

/** The text for the last failure of a connection. @return -EIO, or -ENOSPC. */
int schema_refused(const struct connection *c, const char *path, char why[static 256]);
