/*
 * Aggregation: a row of stages, each of which takes documents from the one before it. Known are $match
 * $project $addFields $set $unset $group $sort $limit $skip $unwind $count $sortByCount; everything
 * else is refused by its name, so that no stage reads another collection or writes.
 *
 * Documents are pushed: one that comes in goes through as many stages as it can. $group, $sort,
 * $count and $sortByCount hold on to what they got until the end. Calls nest as deep as there are
 * stages, which is bounded. A pipeline borrows its bytes and is run once, by one thread.
 */
#pragma once

#include "director/store/query/match.h"

struct pipeline;

struct pipeline_limits {
	struct match_limits match;
	unsigned stages;     /* MOZAIKS_MAX_PIPELINE_STAGES */
	unsigned skip;       /* MOZAIKS_MAX_SKIP */
	size_t result_bytes; /* MOZAIKS_MAX_RESULT_BYTES: what stages hold together, and a document */
	size_t text_bytes;   /* MOZAIKS_MAX_FILTER_BYTES */
};

/**
 * @param stages the bytes of a BSON array; an empty slice has no stages.
 * @return 0; STORE_E_INVALID, STORE_E_UNSUPPORTED, STORE_E_LIMIT and `f`; -ENOMEM.
 */
int pipeline_compile(struct pipeline **ret,
	struct slice stages,
	const struct pipeline_limits *limits,
	struct store_failure *f);
struct pipeline *pipeline_free(struct pipeline *p);

/* Takes a document that came out at the end. @return 0; anything else ends the run. */
typedef int (*pipeline_emit_fn)(void *arg, struct slice document);

struct pipeline_run {
	struct pipeline *p;
	struct budget *budget;
	int64_t now_ms;
	struct store_failure *failure;
	pipeline_emit_fn emit;
	void *arg;
};

/**
 * Puts a document in at the beginning. It need not outlive the call.
 * @return 0; positive and `failure`; negative; what `emit` returned. With a spent budget the outcome
 *   is worthless: check it.
 */
int pipeline_push(struct pipeline_run *run, struct slice document);
/** True when no further document would change anything. */
bool pipeline_is_full(const struct pipeline *p);
/** After the last document. @return as pipeline_push(). */
int pipeline_finish(struct pipeline_run *run);
