/*
 * The life of a worker, and its pulse, as two tables.
 *
 *   STARTING --HELLO--> LOADING --READY--> READY --replaced, idle, stuck--> DRAINING
 *       \_________________\__________________\______ closed, late, ordered _____\
 *                                                                                v
 *            DRAINING --its calls are done--> FINISHING --closed, late--> ENDING --EXITED--> (freed)
 *
 * FINISHING has got DRAIN and has no calls: it runs the plugin's shutdown and ends by itself. ENDING has
 * no channel any more and was killed; pluginhost has yet to say why the process ended.
 *
 * One whose channel closes unasked is DYING first: a process that dies closes it before anybody learns
 * why, and killed in that moment it would look like one that closed it and lived on.
 *
 * The pulse: an idle worker is asked now and then, and killed when it misses two answers. A busy one is
 * judged by its deadlines: when a call runs over one, its worker has a moment to show that its loop turns.
 *
 * Pure: what to do is the result.
 */
#pragma once

#include "director/hosts/policy.h"

#include <stdbool.h>

enum worker_state {
	WORKER_STARTING,
	WORKER_LOADING,
	WORKER_READY,
	WORKER_DRAINING,
	WORKER_FINISHING,
	WORKER_DYING,
	WORKER_ENDING,
	WORKER_STATES_N,
};

enum life_event {
	LIFE_HELLO,  /* it reported from its sandbox */
	LIFE_LOADED, /* the plugin is loaded */
	LIFE_DRAIN,  /* it is to take no more calls */
	LIFE_EMPTY,  /* it has no calls */
	LIFE_STUCK,  /* it has only calls that do not end although they were cancelled */
	LIFE_TIMER,  /* the time of its state is over */
	LIFE_CLOSED, /* its channel closed */
	LIFE_EXITED, /* pluginhost said so */
	LIFE_EVENTS_N,
};

enum life_action {
	LIFE_NOTHING,
	LIFE_REFUSE, /* it may not say that now: a violation */
	LIFE_CONFIGURE,
	LIFE_SERVE,
	LIFE_SAY_DRAIN,
	LIFE_LET_FINISH,
	LIFE_END_LATE, /* it did not get ready in time */
	LIFE_END_DONE, /* as wanted */
	LIFE_END_DIED, /* by itself */
	LIFE_LET_DIE,  /* it seems to end by itself */
	LIFE_KILL,     /* it does not */
	LIFE_FREE,     /* everything is known */
};

struct life_step {
	enum life_action action;
	enum worker_state next;
};

struct life_step life_step(enum worker_state state, enum life_event event);

/** What the state's timer is to be set to, 0 for none. */
uint64_t life_time_ms(enum worker_state state, const struct life_policy *policy);

const char *worker_state_name(enum worker_state s);

enum pulse_state {
	PULSE_QUIET,
	PULSE_ASKED,  /* idle, PING was sent */
	PULSE_MISSED, /* and not answered in time; sent again */
	PULSE_PROBED, /* a call ran over its deadline, PING was sent */
	PULSE_STATES_N,
};

enum pulse_event {
	PULSE_TIMER_IDLE, /* its time is over, and the worker has no calls */
	PULSE_TIMER_BUSY, /* … and it has some */
	PULSE_PROBE,      /* a call ran over its deadline */
	PULSE_PONG,
	PULSE_EVENTS_N,
};

enum pulse_action {
	PULSE_NOTHING,
	PULSE_REST, /* set the timer */
	PULSE_PING, /* send PING, set the timer */
	PULSE_KILL,
	PULSE_REFUSE, /* PONG without PING */
};

struct pulse {
	enum pulse_state state;
	unsigned owed; /* PINGs without PONG */
};

enum pulse_action pulse_step(struct pulse *p, enum pulse_event event);

/** What the pulse's timer is to be set to after REST or PING. */
uint64_t pulse_time_ms(const struct pulse *p, const struct life_policy *policy);

/** False when it may be stuck: better give it no calls now. */
static inline bool pulse_is_good(const struct pulse *p)
{
	return p->state == PULSE_QUIET || p->state == PULSE_ASKED;
}
