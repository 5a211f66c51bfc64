/*
 * Whether the server can be reached: one thread asks, everybody else looks.
 *
 * While it cannot be, commands are refused at once instead of each waiting for the server in turn.
 * Before the first answer nobody knows, and commands wait for that answer, which is at most
 * MONGODB_PING_MS away.
 */
#pragma once

#include <mongoc/mongoc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

/* How long one question may take, unless the URI's timeouts are shorter. */
enum { MONGODB_PING_MS = 3000 };

enum mongodb_state { MONGODB_UNTRIED, MONGODB_UP, MONGODB_DOWN };

struct mongodb_health {
	pthread_mutex_t lock;
	pthread_cond_t changed; /* on the monotonic clock */
	bool stopping;
	_Atomic enum mongodb_state state; /* written under the lock */
	atomic_uint outages;              /* how often it went down */
	mongoc_uri_t *uri;                /* with the timeouts of a question; the asking thread's */
	mongoc_client_t *client;          /* the same; NULL after a failure */
};

/** Whether the server answers this client now; makes a connection where there is none. Blocking. */
bool mongodb_ping(mongoc_client_t *client, bson_error_t *ret_error);

/** @param uri is copied. @return 0 or a negative errno. */
int mongodb_health_init(struct mongodb_health *h, const mongoc_uri_t *uri);
void mongodb_health_deinit(struct mongodb_health *h);

/** Any thread, without waiting. */
bool mongodb_health_is_up(const struct mongodb_health *h);

/** How often the server went away: connections from before are not to be trusted. Any thread. */
unsigned mongodb_health_outages(const struct mongodb_health *h);

/** Waits while it is untried. Any thread but the asking one. @return whether the server is up. */
bool mongodb_health_wait(struct mongodb_health *h);

/** Asks the server once and tells everybody. The asking thread. @return the new state. */
enum mongodb_state mongodb_health_ask(struct mongodb_health *h);

/** Waits until the next question is due. The asking thread. @return false: there is to be none. */
bool mongodb_health_pause(struct mongodb_health *h);

/** No more questions. Any thread. */
void mongodb_health_stop(struct mongodb_health *h);
