/* Sockets that systemd has opened for the program (socket activation). */
#pragma once

/**
 * The descriptors are first, first + 1, …; they are the caller's, close-on-exec, and asked for once:
 * the environment forgets them.
 * @return how many, often 0; a negative errno when what systemd says cannot be.
 */
int service_sockets(int *ret_first);
