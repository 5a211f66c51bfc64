/*
 * Capabilities: what a plugin may ask the director for. One table (table.c), one file per
 * capability. The channel says which plugin asks; the call that it names says for which user.
 */
#pragma once

#include "common/proto/capabilities.h"
#include "common/proto/messages.h"

struct director;
struct user_context;
struct worker;

/*
 * One CALL in progress. A handler answers it exactly once, at once or later, with
 * capability_reply() or capability_fail(); the arguments are valid until then. When the worker or
 * its call has gone meanwhile, the answer is dropped by those functions.
 */
struct capability_call;

/** The modules that a handler may need: store, settings, events, … (director/director.h). */
struct director *capability_director(const struct capability_call *c);
struct slice capability_plugin(const struct capability_call *c);
/** The user of the call it belongs to; empty in app scope. */
struct slice capability_user(const struct capability_call *c);
/** The whole context of that user, NULL in app scope. */
struct user_context *capability_user_context(const struct capability_call *c);
/** How deep the work is in a chain of events; 0 for anything but an event's handler. */
unsigned capability_event_depth(const struct capability_call *c);
/** The worker that asks, NULL once it is gone. */
struct worker *capability_worker(const struct capability_call *c);
/** Counts one broadcast of the plugin. @return false over MOZAIKS_BROADCAST_RATE. */
bool capability_take_broadcast(struct capability_call *c);
struct slice capability_app(const struct capability_call *c);
uint16_t capability_code(const struct capability_call *c);
struct slice capability_args(const struct capability_call *c);
/** The work call that this belongs to (0: app scope); cursors live as long as it. */
uint64_t capability_work_id(const struct capability_call *c);
/** A place for per-worker state of one capability, e.g. open cursors; freed with the worker. */
void **capability_worker_slot(struct capability_call *c, void (*release)(void *));

/** True for a collection that the plugin declared as app-scoped. */
bool capability_collection_is_shared(const struct capability_call *c, struct slice collection);
/** What an operator says that the collection is called in the database; empty: as all are. */
struct slice capability_collection_alias(const struct capability_call *c, struct slice collection);

/** Walks the collections that an operator has called otherwise. */
void capability_each_alias(const struct capability_call *c,
	void (*fn)(void *arg, struct slice collection, struct slice physical),
	void *arg);

/** Whether the plugin was granted a permission that widens what a capability does. */
bool capability_may(const struct capability_call *c, enum capability_code permission);
/** Answers that it was not; recorded as asked for. @param what needs the permission. */
void capability_deny(struct capability_call *c, const char *permission, const char *what);

void capability_reply(struct capability_call *c, struct slice result);
void capability_fail(struct capability_call *c, const char *code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/** The same with more to say. @param details a JSON object, or empty. */
void capability_fail_with(
	struct capability_call *c, const char *code, struct slice message, struct slice details);

typedef void (*capability_handler_fn)(struct capability_call *c);

struct capability {
	const char *name;
	const char *permission; /* "" = implicit */
	bool small_args;        /* held to MOZAIKS_MAX_ARGUMENT_BYTES, else to what a frame holds */
	capability_handler_fn handler;
};

/** The table's row of a code, or NULL. */
const struct capability *capability_find(uint16_t code);

/* Handlers, one file each. */
void capability_database(struct capability_call *c);
void capability_settings(struct capability_call *c);
void capability_events(struct capability_call *c);
void capability_websocket(struct capability_call *c);
void capability_notifications(struct capability_call *c);
