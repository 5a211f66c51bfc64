/*
 * Who the programs are: the unnamed users that they become when root starts them by hand, and how
 * privileges are given up.
 *
 * The block is fixed and no distribution assigns it (65536-524287 is free by systemd's UID scheme).
 * Under systemd the units name their users; what is given up there are ambient capabilities.
 *
 * Director and pluginhost share GID_CHANNEL, so that pluginhost may connect to the director's
 * sockets (directories 0750, sockets 0660) and nobody else.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum {
	UID_DIRECTOR = 400000,
	UID_PLUGINHOST = 400001,
	UID_WORKER_FIRST = 401000,
	UID_WORKER_COUNT = 1000, /* of one pluginhost */
	UID_WORKER_BLOCKS = 64,  /* pluginhosts of the machine */
	GID_CHANNEL = 400000,
};

/** Started as root? Then identity_become() must follow. */
bool identity_is_root(void);

/**
 * Becomes `uid`:`gid` with exactly the supplementary `groups`, for good: bounding set, ambient and
 * all other capabilities are empty, no_new_privs is set, and the way back is checked to be closed.
 * Needs root. Before threads exist.
 * @return 0 or a negative errno; -EPERM also when root could be had again: then end the program.
 */
int identity_become(uid_t uid, gid_t gid, const gid_t *groups, size_t n_groups);

/**
 * The same for a program that is an ordinary user already: gives up whatever capabilities it was
 * started with (systemd's AmbientCapabilities) and sets no_new_privs. The bounding set stays, as
 * lowering it needs a capability; no_new_privs makes it harmless.
 */
int identity_drop_capabilities(void);
