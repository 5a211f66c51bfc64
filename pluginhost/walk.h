/*
 * Walks a plugin's directory: bounded, in a fixed order, one entry per call, no recursion, no link
 * followed. What a plugin may consist of is decided here, for snapshots and change detection alike:
 *
 *  - regular files and directories; anything else refuses the whole tree, with the path in the text;
 *  - names starting with a dot, __pycache__ and node_modules are skipped;
 *  - names are valid UTF-8 without control bytes;
 *  - a file with several hard links must belong to the owner of the tree, so that nobody smuggles
 *    in another user's file that only we can read;
 *  - at most `entries` files and directories, at most `depth` levels.
 *
 * The order is that of the names' bytes, directories before their content. The tree is hostile and
 * may change at any time. One thread per walk.
 */
#pragma once

#include "common/base/buffer.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

enum { WALK_DEPTH_MAX = 64, WALK_WHY_MAX = 1024 };

struct walk_limits {
	/* Files and directories, MOZAIKS_SNAPSHOT_FILES. */
	uint64_t entries;
	/* Levels of directories, MOZAIKS_SNAPSHOT_DEPTH; up to WALK_DEPTH_MAX. */
	uint64_t depth;
};

struct walk_entry {
	/* Relative to the root of the walk; valid until the next call. */
	const char *path;
	/* The last component, and the directory it is in: open it there. */
	const char *name;
	int dir_fd;
	struct stat st;
};

/** Names that are no part of a plugin: dot files, __pycache__, node_modules. */
bool walk_skips(const char *name);

struct walk;

struct walk_hooks {
	/* Before the names of a directory (the root included) are read; to watch it, for example. */
	void (*on_directory)(void *context, int dir_fd);
	void *context;
};

/**
 * Begins at a directory.
 * @param root_fd an open directory; the walk owns it, also on failure.
 * @param hooks may be NULL.
 * @return 0, -ENOMEM or another -errno; *ret is freed with walk_free().
 */
int walk_new(struct walk **ret,
	int root_fd,
	const struct walk_limits *limits,
	const struct walk_hooks *hooks);

/**
 * A walk that finds one file only, by the same rules.
 * @param dir_fd an open directory; the walk owns it, also on failure.
 * @param name the file in it; `as` is the path under which it is reported. Both are copied.
 */
int walk_new_file(struct walk **ret, int dir_fd, const char *name, const char *as);

/** NULL is fine. @return NULL. */
struct walk *walk_free(struct walk *w);

enum walk_result {
	WALK_ENTRY,
	WALK_END,
	/* The tree may not be a plugin; walk_why() has the sentence. */
	WALK_E_REFUSED,
	/* Something vanished or was replaced between two looks at it: try again later. */
	WALK_E_CHANGED,
};

/** The next entry, or a negative errno. */
int walk_next(struct walk *w, struct walk_entry *ret);

/** Why the tree was refused: plain text, at most WALK_WHY_MAX bytes. */
struct slice walk_why(const struct walk *w);

/**
 * Turns the outcome of opening or reading an entry into one of the walk's: refused when we may not
 * read it or it became a link, changed when it went away.
 */
int walk_explain_error(struct walk *w, const char *path, int error);
