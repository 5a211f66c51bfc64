/*
 * Projections: {a: 1, "b.c": 1} keeps what is named (and _id, unless {_id: 0}), {a: 0} drops what is
 * named. Paths go through arrays into each of their documents. Operators ($slice, $elemMatch, …) are
 * refused by name.
 */
#pragma once

#include "director/store/query/path.h"

struct projection;

/**
 * @param spec a document; empty keeps everything.
 * @param ret NULL when everything is kept.
 * @return 0; STORE_E_INVALID, STORE_E_UNSUPPORTED and `f`; -ENOMEM.
 */
int projection_compile(struct projection **ret, struct slice spec, struct store_failure *f);
struct projection *projection_free(struct projection *p);

/** Appends what is left of the document; errors stick in the writer. */
void projection_apply(const struct projection *p, struct slice document, struct document_writer *w);
