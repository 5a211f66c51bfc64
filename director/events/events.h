/*
 * The event bus within this runtime: exact names and patterns that end in `*`; delivered to each
 * subscribed plugin once, in the order of publication, as EVENT work with the user that was stamped
 * on the event when it was published. Nothing is kept: a plugin that is not there misses it.
 *
 * Names are [A-Za-z0-9_.:-]{1,128}. A plugin publishes `<its id>:…` or `<its id>.…` only. Loop
 * thread.
 */
#pragma once

#include "common/base/slice.h"

struct director;
struct events;
struct plugin;
struct user_context;
struct worker;

/** @return 0 or -ENOMEM. */
int events_new(struct events **ret, struct director *d);
/** NULL is allowed. @return NULL. */
struct events *events_free(struct events *e);

enum events_result {
	EVENTS_OK = 0,
	EVENTS_BAD_NAME,
	EVENTS_FOREIGN_NAME, /* not the plugin's own namespace */
	EVENTS_TOO_DEEP,     /* an event chain that feeds itself: MOZAIKS_MAX_EVENT_DEPTH */
	EVENTS_TOO_MANY,     /* MOZAIKS_MAX_EVENT_SUBSCRIPTIONS */
};

/** True when somebody subscribed to the name. */
bool events_wanted(const struct events *e, struct slice name);

/** Publishes an event of the runtime itself. @param data JSON text. */
void events_publish_core(
	struct events *e, struct slice name, struct user_context *user, struct slice data);

/**
 * Publishes for a plugin.
 * @param user the one that the handlers run with, NULL: app scope.
 * @param depth of the work that publishes.
 * @param data valid JSON text.
 * @return EVENTS_*, or -ENOMEM.
 */
int events_publish(struct events *e,
	struct slice plugin,
	struct slice name,
	struct user_context *user,
	unsigned depth,
	struct slice data);

/** Subscribes the plugin of a worker. A plugin stays subscribed while none of its workers runs: an event
 * starts one. @return EVENTS_*, or -ENOMEM. */
int events_subscribe(struct events *e, struct worker *w, struct slice pattern);

/** Takes the "subscriptions" of a READY, a JSON object; none of them without the permission.
 * @return 0; EVENTS_TOO_MANY; -EBADMSG when they are no list of names; -ENOMEM. */
int events_subscribe_ready(struct events *e, struct worker *w, struct slice info);

/** The plugin is disabled, or gone. */
void events_unsubscribe_plugin(struct events *e, const struct plugin *p);
