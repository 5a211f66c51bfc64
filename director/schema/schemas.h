/*
 * What plugins declare of their collections, applied: indexes and initial data, before anything of the
 * plugin may rely on them.
 *
 * A declaration comes from manifest.json, applied before the first worker of a version imports its
 * plugin, or from the plugin's get_database_schema(), which READY tells, applied before that worker
 * serves. Whoever comes while the same is being done waits for it. When it cannot be done the worker
 * ends, the version with it, and the plugin's `error` says why; the version before goes on.
 *
 * Loop thread.
 */
#pragma once

#include "director/hosts/worker.h"

struct director;
struct schemas;

/** Asks the store what has been applied before. @return 0 or -ENOMEM. */
int schemas_new(struct schemas **ret, struct director *d);
/** After the store has closed. NULL is allowed. @return NULL. */
struct schemas *schemas_free(struct schemas *s);

/** What the manifest of the worker's plugin declares. */
enum worker_gate schemas_at_hello(struct schemas *s, struct worker *w);

/** What READY tells. */
enum worker_gate schemas_at_ready(struct schemas *s, struct worker *w, struct slice info);

/** True when get_database_schema() declared it as the application's. */
bool schemas_is_shared(const struct schemas *s, struct slice plugin, struct slice collection);
