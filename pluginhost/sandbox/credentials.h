/* Who a worker is: one uid of the block (or pluginhost's own), no group, no capability, no way back. */
#pragma once

#include "pluginhost/sandbox/sandbox.h"

/**
 * Groups, securebits, bounding set, ids, capabilities, no_new_privs; and then each is read back.
 * @param uid as seen in the user namespace; ignored with SANDBOX_UIDS_SINGLE.
 * @return NULL, or what failed, with errno set.
 */
const char *credentials_enter_worker(enum sandbox_uids uids, uid_t uid);
