/*
 * A task: one command on its way to a driver and its answer on the way back.
 *
 * store_task_init() (scope.c) checks the command, puts the scope into it and copies it; nothing of
 * what the plugin wrote about the scope is left. The driver's thread then calls store_task_compile(),
 * which refuses what the engine does not know, and does the work: with the engine (engine.h), or by
 * handing the documents to a server that understands them. Both drivers therefore take exactly the
 * same commands.
 *
 * One thread at a time has it.
 */
#pragma once

#include "director/store/query/document.h"
#include "director/store/query/match.h"
#include "director/store/query/pipeline.h"
#include "director/store/query/project.h"
#include "director/store/query/sort.h"
#include "director/store/query/update.h"
#include "director/store/store.h"

/* The limits of struct store_config; they outlive every task. */
struct store_limits {
	size_t document_bytes;
	size_t filter_bytes;
	size_t result_bytes;
	unsigned in_values;
	unsigned skip;
	unsigned regex_bytes;
	unsigned operation_ms;
	unsigned collections;
	unsigned stages;
	unsigned indexes;
	unsigned index_fields;
	unsigned index_keys;
	uint64_t plugin_documents;
	uint64_t plugin_bytes;
	uint64_t user_documents;
	uint64_t user_bytes;
	unsigned regex_steps; /* 0: MATCH_REGEX_STEPS */
};

struct store_task {
	struct store_task *prev, *next; /* of whoever has it */
	void *driver;                   /* of the driver that has it; NULL when it gives it back */

	/* What to do; read-only for drivers, all of it in `memory`. */
	enum store_op op;
	enum store_scope_kind scope;
	struct slice plugin;     /* "<app>/<plugin>/", or "<app>/": whom the work is charged to */
	struct slice collection; /* physical name: "<app>/<plugin>/<name>", "<app>/<name>" */
	struct slice user;       /* only with STORE_SCOPE_USER */
	struct slice filter; /* {$and: [scope, filter]}; never empty unless the scope is SHARED */
	bool unfiltered;     /* the caller's own filter was empty: only the scope is left */
	struct slice projection;
	struct slice sort;
	struct slice update; /* operators or a replacement, scoped */
	struct slice array_filters;
	struct slice documents; /* INSERT: each with its _id first, scoped */
	struct slice field;
	struct slice index;
	struct slice aliases;
	/* AGGREGATE: a BSON array; a $match at its beginning has become part of `filter`. */
	struct slice pipeline;
	uint64_t skip;
	uint64_t limit;
	bool multi, upsert, ordered, remove, return_new;
	uint8_t oid[OID_BYTES]; /* the _id of an upsert that names none */
	struct store_chain *chain;
	uint32_t place;
	const struct store_limits *limits;
	size_t bytes; /* of all of it, for queues */

	/* store_task_compile(): NULL where there is nothing to do. */
	struct matcher *matcher; /* not for INSERT */
	struct update *updater;
	struct sort *sorter;
	struct projection *projector;
	struct pipeline *pipeliner;

	/* The answer. Writers fill `out` (for `documents`) and `id`. */
	struct store_result result;
	struct document_writer out;
	struct document_writer id;
	struct document_writer duplicates;
	struct store_write_error *write_errors;
	size_t n_write_errors;

	uint8_t *memory;
};

/* Where new ids come from: a process-wide random part and a counter. */
struct oid_source {
	uint8_t random[5];
	uint32_t counter;
};

/** @return 0, or -EIO without randomness. */
int oid_source_init(struct oid_source *s);
/** A new ObjectId: seconds, random part, counter. One thread. */
void oid_next(struct oid_source *s, uint8_t ret[static OID_BYTES]);

/**
 * Checks and scopes a command and copies it into the task. Loop thread.
 * @return 0; positive: refused, the answer is in `t->result`; -ENOMEM. In every case the task must be
 *   given to store_task_deinit().
 */
int store_task_init(struct store_task *t,
	const struct store_scope *scope,
	const struct store_command *c,
	const struct store_limits *limits,
	struct oid_source *ids);
void store_task_deinit(struct store_task *t);

/**
 * The first thing that a driver does with a task, on its own thread: compiles and thereby checks the
 * filter, the update, the sort and the projection.
 * @return 0; positive or negative: it is answered already (`t->result`), do nothing.
 */
int store_task_compile(struct store_task *t);

/** Records an error as the answer, with nothing else in it. @return (int)e. */
int store_task_fail(struct store_task *t, enum store_error e, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/** The answer for a negative errno of our own: no memory, or an internal error. */
int store_task_fail_errno(struct store_task *t, int negative_errno);

/** INSERT: notes that document `index` was refused. @return 0, -ENOMEM. */
int store_task_write_error(
	struct store_task *t, uint32_t index, enum store_error e, const char *message);

/**
 * Notes which value of a document was there already.
 * @param index of the document in an insert; 0 of other commands.
 * @param keys of the index: {a: 1, b: -1}.
 * @param document the one that was refused, or {a: value, b: value}.
 */
void store_task_note_duplicate(
	struct store_task *t, uint32_t index, struct slice keys, struct slice document);

/** Whether one before it in its chain has failed: then it is answered, and nothing of it is to be done. */
bool store_task_skips(struct store_task *t);
/** Tells the task's chain when it has failed: once its answer is known, before the next one begins. */
void store_task_note(const struct store_task *t);

/** Takes back what was answered so far, so that the task can be run again. */
void store_task_restart(struct store_task *t);

/** Makes `t->result` point at what the writers hold. After the work, before the answer. */
void store_task_finish(struct store_task *t);

/** Whether what the task changed stays: it succeeded, or it is an INSERT of which some were refused. */
bool store_task_keeps(const struct store_task *t);

/** Whether it changes something, and not only reads. */
static inline bool store_task_changes(const struct store_task *t)
{
	return t->op == STORE_INSERT || t->op == STORE_UPDATE || t->op == STORE_DELETE ||
		t->op == STORE_MODIFY || t->op == STORE_INDEX_CREATE || t->op == STORE_INDEX_DROP;
}

/** True when the document belongs to the task's scope: a last look before anything is stored. */
bool store_task_owns(const struct store_task *t, struct slice document);
