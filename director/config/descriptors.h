/* How many files and sockets the director may have open. */
#pragma once

#include <stdint.h>

/**
 * Raises the soft limit of open descriptors to the hard one, and says how many connections fit
 * under it beside what plugins, the store and the log need: a quarter, at least 128.
 * @param wanted connections at a time, by the settings.
 * @return at most `wanted`, at least 16.
 */
uint64_t descriptors_for_connections(uint64_t wanted);
