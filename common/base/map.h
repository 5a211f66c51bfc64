/* Hash tables: uthash over bytes, with a keyed hash (SipHash-2-4) so that a client who chooses the
 * keys cannot make them collide. Include this, never uthash.h. map_init() runs once at start. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/** Draws the random key of this process. Before any table is used. @return 0 or -EIO. */
int map_init(void);

unsigned map_hash(const void *key, size_t n);

#define HASH_FUNCTION(keyptr, keylen, hashv) ((hashv) = map_hash((keyptr), (keylen)))
#define HASH_NONFATAL_OOM                    1
#define uthash_nonfatal_oom(elt)             ((elt)->hh.tbl = NULL)

#include <uthash.h>
#include <utlist.h>

/*
 * How long a chain may be before the table grows. Each entry on the way is a line that the processor may
 * have to fetch: in a table of 1,000 a search looks at 3.0 of them with uthash's 10, at 1.5 with 6.
 */
#undef HASH_BKT_CAPACITY_THRESH
#define HASH_BKT_CAPACITY_THRESH 6U
