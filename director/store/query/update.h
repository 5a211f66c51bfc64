/*
 * Updates: compiled once, applied to many documents. An update is either operators ($set $unset $inc
 * $mul $min $max $bit $rename $push $addToSet $pop $pull $pullAll $currentDate $setOnInsert) or a
 * whole new document, a replacement. Paths may have the positional operators `$`, `$[]` and `$[name]`,
 * $push its modifiers $each $slice $sort $position. Everything else is refused by name.
 *
 * Applying rebuilds the document in one walk: fields that are not named are copied as they stand,
 * new ones are added in the order of pathset.h. `_id` never changes. An update borrows its bytes; one
 * thread at a time.
 */
#pragma once

#include "director/store/query/match.h"

struct update_limits {
	struct match_limits match;
	size_t document_bytes; /* MOZAIKS_MAX_DOCUMENT_BYTES */
};

struct update;

/**
 * @param array_filters a BSON array of documents, each about one `$[name]`; empty: none.
 * @return 0; STORE_E_INVALID, STORE_E_UNSUPPORTED, STORE_E_LIMIT and `f`; -ENOMEM.
 */
int update_compile(struct update **ret,
	struct slice update,
	struct slice array_filters,
	const struct update_limits *limits,
	struct store_failure *f);
struct update *update_free(struct update *u);

bool update_is_replacement(const struct update *u);

/**
 * The document after the update.
 * @param filter what the document was found by, for the operator `$`; may be NULL.
 * @param now_ms milliseconds since 1970 for $currentDate.
 * @param ret the result; belongs to the update, until its next use.
 * @return 0; STORE_E_INVALID (a field of the wrong type, a changed _id), STORE_E_UNSUPPORTED,
 *   STORE_E_LIMIT (it became too large) and `f`; -ENOMEM. With a spent budget the result is
 *   worthless: check it.
 */
int update_apply(struct update *u,
	const struct matcher *filter,
	struct slice document,
	int64_t now_ms,
	struct budget *budget,
	struct slice *ret,
	struct store_failure *f);

/**
 * The document that an upsert inserts: the filter's equalities (of a replacement only _id), then the
 * update with $setOnInsert. It has passed stored_check().
 * @param oid the _id when neither names one. The _id comes first.
 * @return as update_apply().
 */
int update_insert(struct update *u,
	const struct matcher *filter,
	const uint8_t oid[static OID_BYTES],
	int64_t now_ms,
	struct budget *budget,
	struct slice *ret,
	struct store_failure *f);
