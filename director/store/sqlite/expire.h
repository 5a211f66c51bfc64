/* Documents whose time is over: those of indexes with expireAfterSeconds. */
#pragma once

#include "director/store/sqlite/connection.h"

/**
 * Removes some, inside a transaction of the writer.
 * @param most how many.
 * @return how many there were; negative: -EIO and the connection's error.
 */
int expire_some(struct connection *c, int64_t now_ms, unsigned most);
