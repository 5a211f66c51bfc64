/* Giving up what the director was started with, once everything that needs it is open. */
#pragma once

/**
 * As root: becomes UID_DIRECTOR:GID_CHANNEL for good, without supplementary groups. As an ordinary
 * user: drops whatever capabilities it has. In both cases no_new_privs is set and the process
 * cannot be dumped or traced by its own user, since it holds secrets. Before threads exist.
 * @return 0 or a negative errno: then end the program.
 */
int privileges_drop(void);
