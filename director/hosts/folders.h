/*
 * The folders of workers' sockets, <run>/workers/ID. A director takes its own away again; one that was
 * killed leaves them, and the ids of the next one begin anew.
 */
#pragma once

#include <stdint.h>

/**
 * Removes what is left. Before any worker is started; who calls it holds the state directory's lock.
 * @return the highest id whose folder is still there, 0 for none: ids go on behind it. */
uint64_t folders_clear(const char *run_path);
