/*
 * What may be stored: names that no operator, path or driver can take for something else, and an
 * `_id` that can be looked up. Both drivers store only what passed this.
 */
#pragma once

#include "director/store/error.h"
#include "director/store/query/document.h"

/**
 * Refuses names that begin with '$', contain '.' or are empty, at any depth; arrays whose names are
 * not 0, 1, 2, …; nesting over DOCUMENT_DEPTH_MAX. (A NUL in a name cannot be expressed in BSON.)
 * @return 0; STORE_E_INVALID or STORE_E_LIMIT and `f`.
 */
int stored_check(struct slice document, struct store_failure *f);

/** The same for a value that becomes a part of a document. */
int stored_check_value(struct value v, struct store_failure *f);

/** Refuses an array, a regular expression and undefined. @return 0; STORE_E_INVALID and `f`. */
int stored_check_id(struct value id, struct store_failure *f);
