#include "director/hosts/life.h"

/* clang-format off */
static const struct life_step steps[WORKER_STATES_N][LIFE_EVENTS_N] = {
	[WORKER_STARTING] = {
		[LIFE_HELLO]  = { LIFE_CONFIGURE,  WORKER_LOADING },
		[LIFE_LOADED] = { LIFE_REFUSE,     WORKER_STARTING },
		[LIFE_DRAIN]  = { LIFE_END_DONE,   WORKER_ENDING },
		[LIFE_EMPTY]  = { LIFE_NOTHING,    WORKER_STARTING },
		[LIFE_STUCK]  = { LIFE_NOTHING,    WORKER_STARTING },
		[LIFE_TIMER]  = { LIFE_END_LATE,   WORKER_ENDING },
		[LIFE_CLOSED] = { LIFE_LET_DIE,    WORKER_DYING },
		[LIFE_EXITED] = { LIFE_END_DIED,   WORKER_ENDING },
	},
	[WORKER_LOADING] = {
		[LIFE_HELLO]  = { LIFE_REFUSE,     WORKER_LOADING },
		[LIFE_LOADED] = { LIFE_SERVE,      WORKER_READY },
		[LIFE_DRAIN]  = { LIFE_END_DONE,   WORKER_ENDING },
		[LIFE_EMPTY]  = { LIFE_NOTHING,    WORKER_LOADING },
		[LIFE_STUCK]  = { LIFE_NOTHING,    WORKER_LOADING },
		[LIFE_TIMER]  = { LIFE_END_LATE,   WORKER_ENDING },
		[LIFE_CLOSED] = { LIFE_LET_DIE,    WORKER_DYING },
		[LIFE_EXITED] = { LIFE_END_DIED,   WORKER_ENDING },
	},
	[WORKER_READY] = {
		[LIFE_HELLO]  = { LIFE_REFUSE,     WORKER_READY },
		[LIFE_LOADED] = { LIFE_REFUSE,     WORKER_READY },
		[LIFE_DRAIN]  = { LIFE_SAY_DRAIN,  WORKER_DRAINING },
		[LIFE_EMPTY]  = { LIFE_NOTHING,    WORKER_READY },
		[LIFE_STUCK]  = { LIFE_NOTHING,    WORKER_READY },
		[LIFE_TIMER]  = { LIFE_NOTHING,    WORKER_READY },
		[LIFE_CLOSED] = { LIFE_LET_DIE,    WORKER_DYING },
		[LIFE_EXITED] = { LIFE_END_DIED,   WORKER_ENDING },
	},
	[WORKER_DRAINING] = {
		[LIFE_HELLO]  = { LIFE_REFUSE,     WORKER_DRAINING },
		[LIFE_LOADED] = { LIFE_REFUSE,     WORKER_DRAINING },
		[LIFE_DRAIN]  = { LIFE_NOTHING,    WORKER_DRAINING },
		[LIFE_EMPTY]  = { LIFE_LET_FINISH, WORKER_FINISHING },
		[LIFE_STUCK]  = { LIFE_END_DONE,   WORKER_ENDING },
		[LIFE_TIMER]  = { LIFE_END_DONE,   WORKER_ENDING },
		[LIFE_CLOSED] = { LIFE_LET_DIE,    WORKER_DYING },
		[LIFE_EXITED] = { LIFE_END_DIED,   WORKER_ENDING },
	},
	[WORKER_FINISHING] = {
		[LIFE_HELLO]  = { LIFE_REFUSE,     WORKER_FINISHING },
		[LIFE_LOADED] = { LIFE_REFUSE,     WORKER_FINISHING },
		[LIFE_DRAIN]  = { LIFE_NOTHING,    WORKER_FINISHING },
		[LIFE_EMPTY]  = { LIFE_NOTHING,    WORKER_FINISHING },
		[LIFE_STUCK]  = { LIFE_NOTHING,    WORKER_FINISHING },
		[LIFE_TIMER]  = { LIFE_END_DONE,   WORKER_ENDING },
		[LIFE_CLOSED] = { LIFE_END_DONE,   WORKER_ENDING },
		[LIFE_EXITED] = { LIFE_END_DONE,   WORKER_ENDING },
	},
	[WORKER_DYING] = {
		[LIFE_HELLO]  = { LIFE_NOTHING,    WORKER_DYING },
		[LIFE_LOADED] = { LIFE_NOTHING,    WORKER_DYING },
		[LIFE_DRAIN]  = { LIFE_NOTHING,    WORKER_DYING },
		[LIFE_EMPTY]  = { LIFE_NOTHING,    WORKER_DYING },
		[LIFE_STUCK]  = { LIFE_NOTHING,    WORKER_DYING },
		/* It closed its channel and lives: a violation, when EXITED says that it had to be killed. */
		[LIFE_TIMER]  = { LIFE_KILL,       WORKER_ENDING },
		[LIFE_CLOSED] = { LIFE_NOTHING,    WORKER_DYING },
		[LIFE_EXITED] = { LIFE_FREE,       WORKER_DYING },
	},
	[WORKER_ENDING] = {
		[LIFE_HELLO]  = { LIFE_NOTHING,    WORKER_ENDING },
		[LIFE_LOADED] = { LIFE_NOTHING,    WORKER_ENDING },
		[LIFE_DRAIN]  = { LIFE_NOTHING,    WORKER_ENDING },
		[LIFE_EMPTY]  = { LIFE_NOTHING,    WORKER_ENDING },
		[LIFE_STUCK]  = { LIFE_NOTHING,    WORKER_ENDING },
		/* pluginhost is silent: what is known has to do. */
		[LIFE_TIMER]  = { LIFE_FREE,       WORKER_ENDING },
		[LIFE_CLOSED] = { LIFE_NOTHING,    WORKER_ENDING },
		[LIFE_EXITED] = { LIFE_FREE,       WORKER_ENDING },
	},
};

static const struct {
	enum pulse_action action;
	enum pulse_state next;
} beats[PULSE_STATES_N][PULSE_EVENTS_N] = {
	[PULSE_QUIET] = {
		[PULSE_TIMER_IDLE] = { PULSE_PING,    PULSE_ASKED },
		[PULSE_TIMER_BUSY] = { PULSE_REST,    PULSE_QUIET },
		[PULSE_PROBE]      = { PULSE_PING,    PULSE_PROBED },
		/* An answer that came late: it turns again. */
		[PULSE_PONG]       = { PULSE_NOTHING, PULSE_QUIET },
	},
	[PULSE_ASKED] = {
		[PULSE_TIMER_IDLE] = { PULSE_PING,    PULSE_MISSED },
		[PULSE_TIMER_BUSY] = { PULSE_REST,    PULSE_QUIET },
		[PULSE_PROBE]      = { PULSE_PING,    PULSE_PROBED },
		[PULSE_PONG]       = { PULSE_REST,    PULSE_QUIET },
	},
	[PULSE_MISSED] = {
		[PULSE_TIMER_IDLE] = { PULSE_KILL,    PULSE_MISSED },
		[PULSE_TIMER_BUSY] = { PULSE_REST,    PULSE_QUIET },
		[PULSE_PROBE]      = { PULSE_PING,    PULSE_PROBED },
		[PULSE_PONG]       = { PULSE_REST,    PULSE_QUIET },
	},
	[PULSE_PROBED] = {
		[PULSE_TIMER_IDLE] = { PULSE_KILL,    PULSE_PROBED },
		[PULSE_TIMER_BUSY] = { PULSE_KILL,    PULSE_PROBED },
		/* The moment that it has runs from the first one. */
		[PULSE_PROBE]      = { PULSE_NOTHING, PULSE_PROBED },
		[PULSE_PONG]       = { PULSE_REST,    PULSE_QUIET },
	},
};
/* clang-format on */

enum { DYING_MS = 1000, EXITED_WAIT_MS = 2000 };

struct life_step life_step(enum worker_state state, enum life_event event)
{
	return steps[state][event];
}

uint64_t life_time_ms(enum worker_state state, const struct life_policy *policy)
{
	switch (state) {
	case WORKER_STARTING:
		return policy->hello_ms;
	case WORKER_LOADING:
		return policy->load_ms;
	case WORKER_DRAINING:
		return policy->drain_ms;
	case WORKER_FINISHING:
		return policy->finish_ms;
	case WORKER_DYING:
		return DYING_MS;
	case WORKER_ENDING:
		return EXITED_WAIT_MS;
	case WORKER_READY:
	case WORKER_STATES_N:
		break;
	}
	return 0;
}

const char *worker_state_name(enum worker_state s)
{
	static const char *const names[WORKER_STATES_N] = { "starting", "loading", "ready",
		"draining", "finishing", "dying", "ending" };
	return names[s];
}

enum pulse_action pulse_step(struct pulse *p, enum pulse_event event)
{
	if (event == PULSE_PONG) {
		if (p->owed == 0) {
			return PULSE_REFUSE;
		}
		p->owed--;
		/* Only the last answer says that it is up to date. */
		if (p->owed > 0) {
			return PULSE_NOTHING;
		}
	}
	enum pulse_action action = beats[p->state][event].action;
	p->state = beats[p->state][event].next;
	p->owed += action == PULSE_PING ? 1 : 0;
	return action;
}

uint64_t pulse_time_ms(const struct pulse *p, const struct life_policy *policy)
{
	return p->state == PULSE_PROBED ? policy->grace_ms : policy->ping_ms;
}
