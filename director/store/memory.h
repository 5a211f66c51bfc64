/* For tests and fuzzing: documents in memory, on which the engine runs as on any storage. */
#pragma once

#include "director/store/engine.h"

enum { MEMORY_DOCUMENTS_MAX = 256 };

struct memory_document {
	char collection[64]; /* physical name; empty: none */
	struct slice bytes;
	uint8_t *heap; /* where they are */
};

struct memory_store {
	struct memory_document documents[MEMORY_DOCUMENTS_MAX];
};

void memory_init(struct memory_store *m);
void memory_deinit(struct memory_store *m);

/** Puts a document in as it stands. */
void memory_put(struct memory_store *m, const char *collection, struct slice document);

/** Compiles and runs a task as a driver does; what fails changes nothing. */
void memory_run(struct memory_store *m, struct store_task *t);

/** An exact copy. */
void memory_copy(struct memory_store *to, const struct memory_store *from);
