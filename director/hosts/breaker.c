#include "director/hosts/breaker.h"

/* What is noticed; crashes() finds out which of them a crash is. */
enum event {
	CRASH,       /* one that counts, and is not the last straw */
	CRASH_LIMIT, /* it is */
	LAST_OPEN,   /* it is, and the breaker opened too often already */
	VIOLATIONS,  /* too many forbidden things */
	ENOUGH,      /* successes */
	TIME_OVER,
	RENEW,
	RESET,
	EVENTS_N,
};

struct step {
	enum breaker_action action;
	enum breaker_state next;
};

/* clang-format off */
static const struct step steps[][EVENTS_N] = {
	[BREAKER_CLOSED] = {
		[CRASH]       = { BREAKER_NOTHING,    BREAKER_CLOSED },
		[CRASH_LIMIT] = { BREAKER_STOP,       BREAKER_OPEN },
		[LAST_OPEN]   = { BREAKER_SWITCH_OFF, BREAKER_DISABLED },
		[VIOLATIONS]  = { BREAKER_SWITCH_OFF, BREAKER_DISABLED },
		[ENOUGH]      = { BREAKER_NOTHING,    BREAKER_CLOSED },
		[TIME_OVER]   = { BREAKER_NOTHING,    BREAKER_CLOSED },
		[RENEW]       = { BREAKER_NOTHING,    BREAKER_CLOSED },
		[RESET]       = { BREAKER_NOTHING,    BREAKER_CLOSED },
	},
	[BREAKER_OPEN] = {
		/* A worker that was on its way out: the breaker is open already. */
		[CRASH]       = { BREAKER_NOTHING,    BREAKER_OPEN },
		[CRASH_LIMIT] = { BREAKER_NOTHING,    BREAKER_OPEN },
		[LAST_OPEN]   = { BREAKER_NOTHING,    BREAKER_OPEN },
		[VIOLATIONS]  = { BREAKER_SWITCH_OFF, BREAKER_DISABLED },
		[ENOUGH]      = { BREAKER_NOTHING,    BREAKER_OPEN },
		[TIME_OVER]   = { BREAKER_TRY,        BREAKER_TRYING },
		[RENEW]       = { BREAKER_RESUME,     BREAKER_CLOSED },
		[RESET]       = { BREAKER_RESUME,     BREAKER_CLOSED },
	},
	[BREAKER_TRYING] = {
		[CRASH]       = { BREAKER_STOP,       BREAKER_OPEN },
		[CRASH_LIMIT] = { BREAKER_STOP,       BREAKER_OPEN },
		[LAST_OPEN]   = { BREAKER_SWITCH_OFF, BREAKER_DISABLED },
		[VIOLATIONS]  = { BREAKER_SWITCH_OFF, BREAKER_DISABLED },
		[ENOUGH]      = { BREAKER_RESUME,     BREAKER_CLOSED },
		[TIME_OVER]   = { BREAKER_NOTHING,    BREAKER_TRYING },
		[RENEW]       = { BREAKER_RESUME,     BREAKER_CLOSED },
		[RESET]       = { BREAKER_RESUME,     BREAKER_CLOSED },
	},
	[BREAKER_DISABLED] = {
		[CRASH]       = { BREAKER_NOTHING,    BREAKER_DISABLED },
		[CRASH_LIMIT] = { BREAKER_NOTHING,    BREAKER_DISABLED },
		[LAST_OPEN]   = { BREAKER_NOTHING,    BREAKER_DISABLED },
		[VIOLATIONS]  = { BREAKER_NOTHING,    BREAKER_DISABLED },
		[ENOUGH]      = { BREAKER_NOTHING,    BREAKER_DISABLED },
		[TIME_OVER]   = { BREAKER_NOTHING,    BREAKER_DISABLED },
		[RENEW]       = { BREAKER_NOTHING,    BREAKER_DISABLED },
		[RESET]       = { BREAKER_RESUME,     BREAKER_CLOSED },
	},
};
/* clang-format on */

const char *breaker_state_name(enum breaker_state s)
{
	static const char *const names[] = { "closed", "open", "half-open", "disabled" };
	return names[s];
}

/* A crash of the same user, or of the same request, was counted a short while ago. */
static bool is_known_source(const struct breaker *b,
	const struct breaker_policy *policy,
	const struct breaker_crash *crash,
	uint64_t now_ms)
{
	unsigned kept = b->n_sources < BREAKER_SOURCES ? b->n_sources : BREAKER_SOURCES;
	for (unsigned i = 0; i < kept; i++) {
		const struct breaker_source *s = &b->sources[i];
		bool recent = now_ms - s->at_ms < policy->source_ms;
		if (recent &&
			((crash->user != 0 && s->user == crash->user) ||
				(crash->request != 0 && s->request == crash->request))) {
			return true;
		}
	}
	return false;
}

static void note_source(struct breaker *b, const struct breaker_crash *crash, uint64_t now_ms)
{
	if (crash->user != 0 || crash->request != 0) {
		b->sources[b->n_sources++ % BREAKER_SOURCES] = (struct breaker_source){
			.user = crash->user, .request = crash->request, .at_ms = now_ms
		};
	}
}

static bool reached(uint64_t count, uint64_t limit)
{
	return limit != 0 && count >= limit;
}

static bool too_many_crashes(
	const struct breaker *b, const struct breaker_policy *policy, uint64_t now_ms)
{
	return reached(tally_sum(&b->crashes, policy->burst_ms, now_ms),
		       policy->burst * BREAKER_WHOLE) ||
		reached(tally_sum(&b->crashes, policy->crashes_ms, now_ms),
			policy->crashes * BREAKER_WHOLE) ||
		reached(b->init_failures, policy->init_failures);
}

static enum event event_of_crash(
	const struct breaker *b, const struct breaker_policy *policy, uint64_t now_ms)
{
	if (reached(tally_sum(&b->violations, policy->violations_ms, now_ms), policy->violations)) {
		return VIOLATIONS;
	}
	bool opens = b->state == BREAKER_TRYING || too_many_crashes(b, policy, now_ms);
	if (!opens) {
		return CRASH;
	}
	return reached(tally_sum(&b->opens, policy->opens_ms, now_ms) + 1, policy->opens)
		? LAST_OPEN
		: CRASH_LIMIT;
}

static void forget_crashes(struct breaker *b)
{
	tally_clear(&b->crashes);
	b->init_failures = 0;
	b->successes = 0;
	b->until_ms = 0;
}

static enum breaker_action move(struct breaker *b, enum event e)
{
	struct step step = steps[b->state][e];
	b->state = step.next;
	if (step.action != BREAKER_NOTHING) {
		forget_crashes(b);
	}
	return step.action;
}

enum breaker_action breaker_crashed(struct breaker *b,
	const struct breaker_policy *policy,
	const struct breaker_crash *crash,
	uint64_t now_ms)
{
	/* What is forbidden is forbidden to everybody: it counts whoever asked for it. */
	if (crash->violation) {
		tally_add(&b->violations, 1, now_ms);
	}
	bool known = is_known_source(b, policy, crash, now_ms);
	if (!known) {
		note_source(b, crash, now_ms);
		tally_add(&b->crashes, crash->weight, now_ms);
		b->init_failures += crash->init ? 1 : 0;
	}
	enum event e = event_of_crash(b, policy, now_ms);
	if (known && e != VIOLATIONS) {
		return BREAKER_NOTHING;
	}
	enum breaker_action action = move(b, e);
	if (action == BREAKER_STOP) {
		b->total_opens++;
		tally_add(&b->opens, 1, now_ms);
		uint64_t open_ms = policy->open_ms * tally_sum(&b->opens, policy->opens_ms, now_ms);
		b->until_ms =
			now_ms + (open_ms > policy->open_max_ms ? policy->open_max_ms : open_ms);
	}
	return action;
}

void breaker_started(struct breaker *b)
{
	b->init_failures = 0;
}

enum breaker_action breaker_succeeded(struct breaker *b, const struct breaker_policy *policy)
{
	if (b->state != BREAKER_TRYING || ++b->successes < policy->successes) {
		return BREAKER_NOTHING;
	}
	return move(b, ENOUGH);
}

enum breaker_action breaker_tick(struct breaker *b, uint64_t now_ms)
{
	return breaker_wait_ms(b, now_ms) > 0 ? BREAKER_NOTHING : move(b, TIME_OVER);
}

enum breaker_action breaker_reset(struct breaker *b)
{
	enum breaker_action action = move(b, RESET);
	uint64_t total = b->total_opens;
	*b = (struct breaker){ .total_opens = total };
	return action;
}

enum breaker_action breaker_renewed(struct breaker *b)
{
	enum breaker_action action = move(b, RENEW);
	forget_crashes(b);
	return action;
}

uint64_t breaker_wait_ms(const struct breaker *b, uint64_t now_ms)
{
	return b->state == BREAKER_OPEN && b->until_ms > now_ms ? b->until_ms - now_ms : 0;
}
