/*
 * A version of a plugin is a snapshot of its directory under <state>/plugins/<id>/<sha256>/, named
 * by its content, never changed once it has its name. Workers see only that.
 *
 * The hash is SHA-256 over one line per entry in the order of the walk:
 *
 *   d 755 <bytes of path>:<path>\n
 *   f <644|755> <bytes of path>:<path> <sha256 of the content, hex>\n
 *
 * Making one takes up to three passes over the source, in small steps so that the loop keeps
 * turning: STAT (did anything change since last time? is it settled?), HASH (is this version here
 * already?), COPY into a temporary directory. A copy whose hash is not the one of the pass before it
 * was torn by an edit and is thrown away: what hashes the same twice in a row did not change in
 * between. Files are synced before the rename, so a name that exists is whole, also after a power
 * cut.
 *
 * A single file X.py becomes a tree with that file as logic.py. Thread: the loop's.
 */
#pragma once

#include "pluginhost/walk.h"

enum {
	/* 64 hexadecimal digits and NUL. */
	VERSION_SIZE = 65,
	FINGERPRINT_SIZE = 32,
};

struct snapshot_limits {
	struct walk_limits walk;
	/* Content of all files, MOZAIKS_SNAPSHOT_BYTES. */
	uint64_t bytes;
	/* A tree changed less than this many milliseconds ago is not settled. */
	uint64_t settle_ms;
};

struct snapshot_config {
	/* <state>/plugins; borrowed for the life of the snapshot, as are the others. */
	int store_fd;
	const char *id;
	/* The plugin path, and the plugin in it. */
	int source_fd;
	const char *source;
	/* `source` is a file, to become `single_as`; else NULL. */
	const char *single_as;
	const struct snapshot_limits *limits;
	/* For the STAT pass, may be NULL. */
	const struct walk_hooks *hooks;
	/* From the last snapshot_fingerprint(), or all zero. */
	uint8_t fingerprint[FINGERPRINT_SIZE];
};

struct snapshot;

/** @return 0 or -ENOMEM. Opens nothing yet. */
int snapshot_new(struct snapshot **ret, const struct snapshot_config *config);

/** Removes what is unfinished. NULL is fine. @return NULL. */
struct snapshot *snapshot_free(struct snapshot *s);

enum snapshot_result {
	/* Call again. */
	SNAPSHOT_MORE,
	/* Nothing changed since the fingerprint was taken. */
	SNAPSHOT_SAME,
	/* snapshot_version() is in the store. */
	SNAPSHOT_DONE,
	/* The tree may not be a plugin: snapshot_why(). */
	SNAPSHOT_E_REFUSED,
	/* It is being edited: begin anew when it has settled. */
	SNAPSHOT_E_CHANGED,
};

/** Works for about `budget_ms`. @return enum snapshot_result or a negative errno (I/O, memory). */
int snapshot_step(struct snapshot *s, uint64_t budget_ms);

/** After SNAPSHOT_DONE: 64 hexadecimal digits. */
const char *snapshot_version(const struct snapshot *s);

/** After any end but a negative errno: what the source looked like. */
const uint8_t *snapshot_fingerprint(const struct snapshot *s);

/** After SNAPSHOT_E_REFUSED: a sentence for the operator. */
struct slice snapshot_why(const struct snapshot *s);

/** True for 64 lower-case hexadecimal digits. */
bool snapshot_is_version(struct slice s);

/** Opens a stored version. @return an O_PATH directory descriptor or a negative errno. */
int snapshot_open(int store_fd, const char *id, const char *version);

/** Removes what an earlier life left unfinished. @return 0 or the first negative errno. */
int snapshot_store_clean(int store_fd);

/**
 * Removes the versions of a plugin that `keep` does not want, and its directory when it is empty.
 * @return 0 or the first negative errno.
 */
int snapshot_store_prune(int store_fd,
	const char *id,
	bool (*keep)(void *context, const char *version),
	void *context);
