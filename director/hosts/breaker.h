/*
 * The breaker of a plugin: whether it may run after what its workers did.
 *
 *   CLOSED --too many crashes--> OPEN --its time is over--> TRYING --enough successes--> CLOSED
 *                                  ^_______one more crash_____/
 *   from any of them --opened too often, or forbidden things--> DISABLED --an operator--> CLOSED
 *
 * TRYING means one worker and one call at a time. Each opening within a day lasts longer than the one
 * before.
 *
 * Crashes that one user, or one request, causes count once: else one hostile client switches a plugin
 * off for everybody.
 *
 * Pure: time is a parameter, what to do is the result. One per plugin.
 */
#pragma once

#include "director/hosts/policy.h"
#include "director/hosts/tally.h"

#include <stdbool.h>

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_TRYING, BREAKER_DISABLED };

/* What the caller has to do. */
enum breaker_action {
	BREAKER_NOTHING,
	BREAKER_STOP,       /* it is open: no calls, no workers */
	BREAKER_TRY,        /* half-open: one worker, one call at a time */
	BREAKER_RESUME,     /* closed again */
	BREAKER_SWITCH_OFF, /* the plugin is to be disabled; an operator has to look at it */
};

enum {
	/* Crashes weigh in halves: one that the director's own kill was counts half. */
	BREAKER_WHOLE = 2,
	BREAKER_HALF = 1,
	BREAKER_SOURCES = 64,
	/* What fits a tally, in whole crashes. */
	BREAKER_CRASHES_MAX = TALLY_MAX / BREAKER_WHOLE,
};

/* Who caused a crash, as far as it is known: hashes, 0 for unknown. */
struct breaker_source {
	uint64_t user, request;
	uint64_t at_ms;
};

struct breaker {
	enum breaker_state state;
	struct tally crashes, opens, violations;
	struct breaker_source sources[BREAKER_SOURCES];
	unsigned n_sources;     /* ever seen */
	unsigned init_failures; /* in a row */
	unsigned successes;     /* while TRYING */
	uint64_t until_ms;      /* while OPEN */
	uint64_t total_opens;   /* since the director started */
};

struct breaker_crash {
	unsigned weight; /* BREAKER_WHOLE or BREAKER_HALF */
	bool init;       /* it never became ready */
	bool violation;  /* a denied system call, or a broken protocol */
	uint64_t user, request;
};

/** A worker crashed. */
enum breaker_action breaker_crashed(struct breaker *b,
	const struct breaker_policy *policy,
	const struct breaker_crash *crash,
	uint64_t now_ms);

/** A worker became ready: failures to start are no longer in a row. */
void breaker_started(struct breaker *b);

/** A call ended well. */
enum breaker_action breaker_succeeded(struct breaker *b, const struct breaker_policy *policy);

/** Time has passed. */
enum breaker_action breaker_tick(struct breaker *b, uint64_t now_ms);

/** An operator resets it: what happened is forgotten. */
enum breaker_action breaker_reset(struct breaker *b);

/** Another version came: its crashes are not this one's. One that is disabled stays so. */
enum breaker_action breaker_renewed(struct breaker *b);

/** Milliseconds until it lets calls through again; 0 unless OPEN. */
uint64_t breaker_wait_ms(const struct breaker *b, uint64_t now_ms);

/** "closed", "open", "half-open" or "disabled". */
const char *breaker_state_name(enum breaker_state s);
