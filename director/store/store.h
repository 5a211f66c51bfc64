/*
 * The store: documents, scoped. What every driver does behind it is the same.
 *
 * Called on the loop thread; the work runs on threads of the driver, never libuv's pool; the answer
 * comes back on the loop thread. A write is answered only when it is durable.
 *
 * Scope is applied here (scope.c), before a driver sees anything: it rewrites the filter, the update
 * and the documents, or refuses. A driver never gets a plugin's own words for the scope.
 */
#pragma once

#include "common/base/slice.h"
#include "director/store/error.h"

#include <stdatomic.h>

struct uv_loop_s;
struct store;
struct store_task;

enum store_scope_kind {
	/* One user's documents: the caller's user_id is in every filter and every document. */
	STORE_SCOPE_USER,
	/* A call without a user: only documents that have no user_id. */
	STORE_SCOPE_APP,
	/* A declared app-scoped collection, or core's own: no user filter. */
	STORE_SCOPE_SHARED,
};

struct store_scope {
	enum store_scope_kind kind;
	struct slice app;    /* [A-Za-z0-9._-]{1,64} */
	struct slice plugin; /* empty: core's own collections */
	struct slice user;   /* only with STORE_SCOPE_USER */
	/* What the collection is called in the database, by the operator's word; empty: by the others. */
	struct slice physical;
};

enum store_op {
	STORE_FIND,
	STORE_COUNT,
	STORE_DISTINCT,
	STORE_INSERT,
	STORE_UPDATE,
	STORE_DELETE,
	STORE_MODIFY,
	STORE_AGGREGATE,
	STORE_INDEX_CREATE,
	STORE_INDEX_DROP,
	STORE_INDEX_LIST,
	/* The names of the plugin's collections that are there, whosever documents they hold. */
	STORE_NAMES,
};

/*
 * Changes of one list, submitted one after the other without waiting: those behind the first that fails are
 * not made. All of one scope and one collection, so that they are made in their order. It is there until
 * the last of them is answered.
 */
struct store_chain {
	_Atomic uint32_t failed; /* the place of the first that failed, or STORE_CHAIN_NONE */
};

#define STORE_CHAIN_NONE UINT32_MAX

/* BSON documents are slices; an absent one is empty. They need to be valid (bson_check()) and are
 * copied by store_submit(). */
struct store_command {
	enum store_op op;
	struct slice collection;
	struct slice filter;
	struct slice projection;
	struct slice sort; /* FIND, MODIFY, UPDATE of one */
	struct slice update;
	struct slice array_filters; /* UPDATE, MODIFY: a BSON array */
	struct slice documents;     /* INSERT: documents in a row */
	struct slice field;         /* DISTINCT; INDEX_DROP: its name, or "*" */
	struct slice index;         /* INDEX_CREATE: {key, name, unique?, …} (query/index.h) */
	struct slice pipeline;      /* AGGREGATE: a BSON array of stages */
	struct slice aliases;       /* NAMES: {name: "what the database calls it", …} */
	uint64_t skip;
	uint64_t limit; /* 0: all */
	bool multi, upsert, ordered, remove, return_new;
	struct store_chain *chain; /* NULL: it stands alone */
	uint32_t place;            /* in the chain */
};

struct store_write_error {
	uint32_t index;
	enum store_error error;
	char message[200];
};

struct store_result {
	/* Of UPDATE, DELETE and MODIFY, anything but STORE_OK means that nothing was changed (or
	 * STORE_E_UNKNOWN). Of INSERT it is the error of the first document that was refused; `n`
	 * says how many went in, write_errors which did not. */
	enum store_error error;
	char message[STORE_MESSAGE_MAX]; /* for the plugin's author; no data of others in it */
	/* FIND, AGGREGATE, INDEX_LIST: documents in a row. DISTINCT, NAMES: one document {values: […]}. INSERT: {ids: […]}, of all
	 * documents in their order, inserted or not. MODIFY: the document or empty. Owned by the
	 * result. */
	struct slice documents;
	uint64_t n; /* FIND, AGGREGATE, INDEX_LIST, COUNT, inserted, matched, deleted */
	uint64_t modified;
	struct slice upserted_id; /* a document {_id: …}, or empty */
	const struct store_write_error *write_errors;
	size_t n_write_errors;
	/* Which values were there already: documents {index, keyPattern, keyValue} in a row, of what
	 * this command wanted to store; index as in write_errors. Of the first only, when they are
	 * many or large, and of none when the database does not say which index it was. */
	struct slice duplicates;
	struct store_task *task; /* the store's own */
};

/* Once per submitted command, on the loop thread. The result is valid during the call, unless it is
 * kept with store_result_steal_documents(). */
typedef void (*store_done_fn)(void *owner, const struct store_result *result);

/**
 * Takes the memory of `documents` over. The result passed to a store_done_fn only.
 * @return memory to free(), NULL when there are no documents; `documents` is empty afterwards.
 */
uint8_t *store_result_steal_documents(const struct store_result *result, size_t *ret_n);

struct store_config {
	struct uv_loop_s *loop;
	const char *uri;      /* DATABASE_URI: NULL, sqlite:////path, mongodb://… */
	const char *uri_name; /* what the operator calls it; NULL: DATABASE_URI */
	const char *state_dir;
	unsigned readers;   /* reader threads: 2 */
	unsigned queue;     /* commands that may wait: 4096 (MOZAIKS_STORE_QUEUE) */
	size_t queue_bytes; /* and their size: 64 MiB (MOZAIKS_STORE_QUEUE_BYTES) */
	/* Limits, each named in the error that it causes. */
	size_t document_bytes; /* 262144: MOZAIKS_MAX_DOCUMENT_BYTES */
	size_t filter_bytes;   /* 65536: MOZAIKS_MAX_FILTER_BYTES; also sort and projection */
	size_t result_bytes;   /* 16 MiB: MOZAIKS_MAX_RESULT_BYTES, of one find */
	unsigned in_values;    /* 1000: MOZAIKS_MAX_IN_VALUES */
	unsigned skip;         /* 10000: MOZAIKS_MAX_SKIP */
	unsigned regex_bytes;  /* 1000: MOZAIKS_MAX_REGEX_BYTES */
	unsigned regex_steps;  /* 200000: MOZAIKS_MAX_REGEX_STEPS, on one value */
	unsigned operation_ms; /* 2000: MOZAIKS_STORE_TIMEOUT_SECONDS, of one command at work */
	unsigned stages;       /* 50: MOZAIKS_MAX_PIPELINE_STAGES */
	unsigned indexes;      /* 20: MOZAIKS_MAX_INDEXES, of one collection */
	unsigned index_fields; /* 16, to 32: MOZAIKS_MAX_INDEX_FIELDS */
	unsigned index_keys;   /* 1000: MOZAIKS_MAX_INDEX_KEYS, of a document in one index */
	unsigned collections;  /* 1000: MOZAIKS_MAX_COLLECTIONS, of one plugin */
	/* Quotas; 0: none. What one plugin stores, and of it each user. */
	uint64_t plugin_documents; /* 10 million: MOZAIKS_QUOTA_PLUGIN_DOCUMENTS */
	uint64_t plugin_bytes;     /* 4 GiB: MOZAIKS_QUOTA_PLUGIN_BYTES */
	uint64_t user_documents;   /* 1 million: MOZAIKS_QUOTA_USER_DOCUMENTS */
	uint64_t user_bytes;       /* 256 MiB: MOZAIKS_QUOTA_USER_BYTES */
	/* Called once, on the loop thread, when the database is no longer to be trusted (a failed
	 * fsync): every further command is answered "unavailable"; the program should end, and its
	 * restart recovers. NULL: nobody wants to know. */
	void (*failed)(void *arg);
	void *failed_arg;
};

/** Fills in the defaults of every limit. */
void store_config_init(struct store_config *c);

/* One path that a database is in or needs. @param directory it is one, and is written in; else a
 * file that is read. @return 0 or a negative errno, which ends the walk. */
typedef int (*store_file_fn)(void *arg, const char *path, bool directory);

/**
 * The paths that store_open() and what follows it use beside the state directory.
 * @param uri DATABASE_URI; one that cannot be read has none.
 * @return 0 or what `each` returned.
 */
int store_files(const char *uri, store_file_fn each, void *arg);

/**
 * Opens the store, creates what is missing. Blocking; at start only.
 * @param why a text for the operator when it fails: names the setting.
 * @return 0; -EINVAL for a URI that no driver takes; another negative errno.
 */
int store_open(struct store **ret, const struct store_config *c, char why[static 256]);

/**
 * Queues a command. Everything is copied.
 * @return 0 (done will be called); -ENOMEM; -ECANCELED when the store has closed. A refused command
 *   (scope, limits, a full queue) is also answered through done, later, with its error.
 */
int store_submit(struct store *s,
	const struct store_scope *scope,
	const struct store_command *c,
	store_done_fn done,
	void *owner);

/** True when the database can be reached; for /readyz. */
bool store_ready(const struct store *s);
/** "sqlite" or "mongodb". */
const char *store_driver_name(const struct store *s);

/** Finishes what is queued, then `done`. Idempotent: a second call is ignored with its `done`. */
void store_close(struct store *s, void (*done)(void *arg), void *arg);
/** After `done` of store_close(); NULL is allowed. */
void store_free(struct store *s);
