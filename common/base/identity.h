/*
 * The unnamed users that the programs become when root starts them by hand: a fixed block that no
 * distribution assigns (65536-524287 is free by systemd's UID scheme). Under systemd the units name
 * their users and none of this is used.
 *
 * Director and pluginhost share GID_CHANNEL, so that pluginhost may connect to the director's
 * sockets (directories 0750, sockets 0660) and nobody else.
 */
#pragma once

enum {
	UID_DIRECTOR = 400000,
	UID_PLUGINHOST = 400001,
	UID_WORKER_FIRST = 401000,
	UID_WORKER_COUNT = 1000,
	GID_CHANNEL = 400000,
};
