/*
 * A set of JSON member names, to find one that stands twice. The hash is keyed (common/base/map.h),
 * so that a client cannot choose names that collide; clearing costs nothing, so that one set serves
 * every request. Names are compared unescaped.
 */
#pragma once

#include "common/base/slice.h"

struct name_set;

int name_set_new(struct name_set **ret);
struct name_set *name_set_free(struct name_set *s);

/** Empties the set. */
void name_set_clear(struct name_set *s);

/**
 * Adds the inside of a valid JSON string. The bytes must stay until the next clear.
 * @return 0 when it is new, 1 when it was there, -ENOMEM.
 */
int name_set_add(struct name_set *s, struct slice escaped);
