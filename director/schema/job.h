/*
 * One declaration on its way into the store: the record is read, indexes are dropped and made, the
 * documents that are not there stored, the record written. Every step may be done again without harm,
 * so that nothing has to be taken back when one fails: whoever comes next goes on.
 *
 * Loop thread.
 */
#pragma once

#include "common/json/tree.h"

struct director;

struct schema_outcome {
	const char *error; /* NULL: it is applied */
	bool its_fault;    /* the declaration is wrong, or does not fit what is stored */
	size_t created, dropped, documents;
};

struct schema_job_config {
	struct director *director;
	const char *plugin;
	const char *key;  /* of the record */
	json_t *declared; /* the normal form of collections_read(); held by the job */
	void (*done)(void *owner, const struct schema_outcome *outcome);
	void *owner;
};

/**
 * Texts are borrowed until `done`, which is called once, later.
 * @return 0; -ENOMEM, -ECANCELED when the store has closed: `done` will not be called.
 */
int schema_job_start(const struct schema_job_config *config);
