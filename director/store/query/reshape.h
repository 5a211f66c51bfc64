/*
 * The stages that make one document of another: $project (keeps or drops what is named, and adds
 * computed fields), $addFields and $set (keep everything and add), $unset (drops). Names may be dotted
 * or nested; below an array they stand for that field in each of its documents.
 *
 * A reshape borrows its bytes; one thread at a time.
 */
#pragma once

#include "director/store/query/expression.h"

enum reshape_kind { RESHAPE_PROJECT, RESHAPE_ADD, RESHAPE_UNSET };

struct reshape;

/**
 * @param spec a document; of RESHAPE_UNSET a string or an array of strings.
 * @param bytes what the names may take when nested ones are written as dotted ones.
 * @return 0; STORE_E_INVALID, STORE_E_UNSUPPORTED, STORE_E_LIMIT and `f`; -ENOMEM.
 */
int reshape_compile(struct reshape **ret,
	enum reshape_kind kind,
	struct value spec,
	size_t bytes,
	struct store_failure *f);
struct reshape *reshape_free(struct reshape *s);

/** Appends the new document. @return 0; x->error. Errors of the writer stick in it. */
int reshape_apply(
	struct reshape *s, struct evaluation *x, struct slice document, struct document_writer *w);
