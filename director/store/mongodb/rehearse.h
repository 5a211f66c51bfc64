/*
 * What only the engine knows. Rehearsals: the engine applies an update to the documents that the server has, without storing
 * anything. They give the embedded store's answers where a server alone would not:
 *
 *  before   a change that could grow a document past MOZAIKS_MAX_DOCUMENT_BYTES, or fail for one of
 *           many documents and leave the others changed
 *  after    a change that the server refused: its words are not for plugins, the engine's are
 *
 * What another change does in between, the rehearsal does not see; the server has the last word.
 */
#pragma once

#include "director/store/mongodb/command.h"

enum rehearsal {
	REHEARSAL_PASSED,
	REHEARSAL_REFUSED, /* why: in the failure */
	REHEARSAL_FAILED,  /* the server could not be asked; the task is answered */
};

/** True when the task's update has to be rehearsed before it is sent. */
bool mongodb_wants_rehearsal(const struct store_task *t);

/** Whether the update may put one value into many elements: it adds more than its own size. */
bool mongodb_multiplies(const struct store_task *t);

/* What a rehearsal has found out besides. */
struct rehearsed {
	uint64_t documents; /* that the filter finds */
	int64_t growth;     /* by how many bytes they are larger then, all together */
};

/**
 * Rehearses on what the filter finds: one document, or all of a `multi`. Blocking.
 * @param ret_found of REHEARSAL_PASSED; NULL: not asked for.
 */
enum rehearsal mongodb_rehearse(
	struct mongodb_command *c, struct rehearsed *ret_found, struct store_failure *f);

/** Whether the task's update makes something else of this document; true, too, when it fails on it. */
bool mongodb_changes(struct store_task *t, struct slice before);

/**
 * What an upsert inserts. No server is asked.
 * @param ret the document; belongs to the task's update until its next use.
 * @return 0; positive and `f`: it is refused; -ENOMEM.
 */
int mongodb_upsert_document(struct store_task *t, struct slice *ret, struct store_failure *f);
