/*
 * The answer of STORE_NAMES, for both drivers: the names by which the plugin knows the collections that are
 * there. One that an operator has called otherwise is there when that is.
 */
#pragma once

#include "director/store/task.h"

struct collection_names {
	struct store_task *t;
	size_t root, values;
	uint64_t n;
};

void collection_names_begin(struct collection_names *x, struct store_task *t);

/** A collection whose physical name begins with the plugin's. */
void collection_names_add(struct collection_names *x, struct slice physical);

/* Whether there is a collection of this physical name. @return 1; 0; another number ends the walk. */
typedef int (*collection_names_exists_fn)(void *arg, struct slice physical);

/** Looks for what an operator has called otherwise. @return 0; what `exists` returned. */
int collection_names_add_aliases(
	struct collection_names *x, collection_names_exists_fn exists, void *arg);

void collection_names_end(struct collection_names *x);
