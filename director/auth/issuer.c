#include "director/auth/issuer.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/map.h"
#include "common/uvx/timer.h"
#include "director/auth/discovery.h"
#include "director/fetch/fetch.h"

#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	RETRY_MS = 1000,
	RETRY_MAX_MS = 60 * 1000,
	/* What the issuer says of itself is read anew. */
	DISCOVERY_MS = 24 * 3600 * 1000,
	/* Unknown kids that are remembered, and for how long one is known to be missing. */
	MISSES = 64,
	MISS_MS = 60 * 1000,
};

enum step { WAITING, DISCOVERING, FETCHING };

/* A kid that somebody asked for. */
struct miss {
	unsigned hash;
	uint64_t seen_ms; /* 0: free */
};

struct issuer {
	struct issuer_config config;
	char *name;
	char *discovery_url;
	char *jwks_url; /* configured */
	char *ca;
	struct discovery found;
	enum step step;
	struct uvx_timer timer;
	uint64_t begun_ms;      /* the fetch that is under way, or the last one */
	uint64_t fetched_ms;    /* when the last good one began; 0: none yet */
	uint64_t discovered_ms; /* 0: not yet */
	unsigned failures;      /* since the last good one */
	bool wanted;            /* a kid was missed while one was under way */
	bool closing;
	char why[ISSUER_WHY_SIZE]; /* the last failure */
	struct miss misses[MISSES];
	size_t next_miss;
};

static void begin(void *arg);

/* ---- When ---------------------------------------------------------------------------------- */

/* Up to a tenth less, so that many nodes do not ask at once. */
static uint64_t jittered(uint64_t ms)
{
	return ms - ms / 10 * randombytes_uniform(1000) / 1000;
}

static uint64_t retry_ms(unsigned failures)
{
	uint64_t ms = RETRY_MS;
	for (unsigned i = 1; i < failures && ms < RETRY_MAX_MS; i++) {
		ms *= 2;
	}
	return jittered(ms < RETRY_MAX_MS ? ms : RETRY_MAX_MS);
}

/* For a kid: as soon as that is allowed. */
static void ask_soon(struct issuer *i, uint64_t now)
{
	uint64_t due = i->begun_ms + i->config.refetch_ms;
	uvx_timer_once(&i->timer, due > now ? due - now : 0);
}

static void wait_for_next(struct issuer *i)
{
	uint64_t now = clock_ms();
	bool wanted = i->wanted;
	i->step = WAITING;
	i->wanted = false;
	if (i->failures > 0) {
		uvx_timer_once(&i->timer, retry_ms(i->failures));
	} else if (wanted) {
		ask_soon(i, now);
	} else {
		uvx_timer_once(&i->timer, jittered(i->config.refresh_ms));
	}
}

/* ---- How it ends --------------------------------------------------------------------------- */

/* Keys that nobody has confirmed for too long. */
static void drop_stale(struct issuer *i)
{
	struct key_set none = KEY_SET_NULL;
	if (i->fetched_ms == 0 || clock_ms() - i->fetched_ms < i->config.stale_ms) {
		return;
	}
	i->fetched_ms = 0;
	(void)auth_install_keys(i->config.auth, &none);
	log_event(LOG_ERROR, "auth.keys_stale",
		"the issuer's keys are given up after %" PRIu64
		" s without an answer (MOZAIKS_JWKS_STALE_SECONDS): its tokens are refused",
		i->config.stale_ms / 1000);
}

static void fail(struct issuer *i, const char *what, const char *why)
{
	i->failures++;
	(void)snprintf(i->why, sizeof(i->why), "%s: %s", what, why);
	log_event(LOG_WARNING, "auth.issuer_failed", "%s%s", i->why,
		i->fetched_ms > 0 ? "; its known keys stay in use" : "");
	drop_stale(i);
	wait_for_next(i);
}

static void succeed(struct issuer *i, struct key_set *keys, const struct jwks_report *report)
{
	size_t n = keys->n;
	bool first = i->fetched_ms == 0 || i->failures > 0;
	i->fetched_ms = i->begun_ms;
	i->failures = n == 0 ? i->failures + 1 : 0;
	size_t ended = auth_install_keys(i->config.auth, keys);
	if (report->skipped > 0) {
		log_event(first ? LOG_INFO : LOG_DEBUG, "auth.keys_skipped",
			"%zu of the issuer's keys are not used, the last one: %s", report->skipped,
			report->why);
	}
	if (n == 0) {
		(void)snprintf(i->why, sizeof(i->why), "the issuer has no key that can be used");
		log_event(LOG_ERROR, "auth.no_keys", "%s", i->why);
	} else if (first || ended > 0) {
		log_event(LOG_INFO, "auth.keys_fetched",
			"%zu keys of the issuer; %zu remembered tokens of other keys ended", n,
			ended);
	}
	wait_for_next(i);
}

/* ---- The steps ----------------------------------------------------------------------------- */

static void on_keys(void *arg, const struct fetch_answer *answer)
{
	struct issuer *i = arg;
	struct key_set keys = KEY_SET_NULL;
	struct jwks_report report;
	if (!answer->good) {
		fail(i, "the issuer's keys cannot be fetched", answer->why);
		return;
	}
	int r = jwks_parse(answer->body, &i->config.rules, &keys, &report);
	if (r < 0) {
		fail(i, "the issuer's keys cannot be read",
			r == -ENOMEM ? "no memory" : report.why);
	} else {
		succeed(i, &keys, &report);
	}
}

static int fetch(struct issuer *i, const char *url, fetch_done_fn done)
{
	const struct fetch_request request = {
		.url = url,
		.ca = i->config.ca,
		.bytes_max = i->config.bytes_max,
		.timeout_ms = i->config.timeout_ms,
		.bytes_setting = "MOZAIKS_MAX_JWKS_BYTES",
	};
	return fetch_start(i->config.fetcher, &request, done, i);
}

static void fetch_keys(struct issuer *i)
{
	i->step = FETCHING;
	if (fetch(i, i->jwks_url != NULL ? i->jwks_url : i->found.jwks_uri, on_keys) < 0) {
		fail(i, "the issuer's keys cannot be fetched", "no memory");
	}
}

static void on_discovered(void *arg, const struct fetch_answer *answer)
{
	static const char what[] = "the issuer's discovery document cannot be had";
	struct issuer *i = arg;
	struct json_why why = { "no memory" };
	struct discovery found;
	if (!answer->good) {
		fail(i, what, answer->why);
		return;
	}
	if (discovery_parse(answer->body, slice_str(i->name), &found, &why) < 0) {
		fail(i, what, why.text);
		return;
	}
	const char *problem = fetch_url_problem(found.jwks_uri, i->config.http_allowed);
	if (problem != NULL) {
		(void)snprintf(why.text, sizeof(why.text), "jwks_uri %s", problem);
		fail(i, what, why.text);
		return;
	}
	if (auth_set_issuer(i->config.auth, slice_str(found.issuer)) < 0) {
		fail(i, what, "no memory");
		return;
	}
	i->found = found;
	i->discovered_ms = clock_ms();
	fetch_keys(i);
}

static void discover(struct issuer *i)
{
	i->step = DISCOVERING;
	if (fetch(i, i->discovery_url, on_discovered) < 0) {
		fail(i, "the issuer's discovery document cannot be had", "no memory");
	}
}

static void begin(void *arg)
{
	struct issuer *i = arg;
	uint64_t now = clock_ms();
	if (i->closing || i->step != WAITING) {
		return;
	}
	i->begun_ms = now;
	/* After a failure the keys may have moved. */
	bool known =
		i->discovered_ms > 0 && now - i->discovered_ms < DISCOVERY_MS && i->failures == 0;
	if (i->jwks_url != NULL || known) {
		fetch_keys(i);
	} else {
		discover(i);
	}
}

/* ---- Missing keys -------------------------------------------------------------------------- */

static struct miss *find_miss(struct issuer *i, unsigned hash, uint64_t now)
{
	for (size_t n = 0; n < MISSES; n++) {
		struct miss *m = &i->misses[n];
		if (m->seen_ms > 0 && m->hash == hash && now - m->seen_ms < MISS_MS) {
			return m;
		}
	}
	return NULL;
}

static bool on_missing(void *arg, struct slice kid)
{
	struct issuer *i = arg;
	uint64_t now = clock_ms();
	if (i->closing || i->fetched_ms == 0) {
		return true;
	}
	if (kid.n == 0) {
		return false;
	}
	unsigned hash = map_hash(kid.p, kid.n);
	const struct miss *m = find_miss(i, hash, now);
	if (m != NULL && i->fetched_ms >= m->seen_ms) {
		return false;
	}
	if (m == NULL) {
		i->misses[i->next_miss] = (struct miss){ .hash = hash, .seen_ms = now };
		i->next_miss = (i->next_miss + 1) % MISSES;
	}
	if (i->step != WAITING) {
		i->wanted = true;
	} else if (i->failures == 0) {
		ask_soon(i, now);
	}
	return true;
}

/* ---- Life ---------------------------------------------------------------------------------- */

static int refuse(char why[static ISSUER_WHY_SIZE], const char *name, const char *rule)
{
	(void)snprintf(why, ISSUER_WHY_SIZE, "%s %s", name, rule);
	return -EINVAL;
}

static int check_urls(const struct issuer_config *c, char why[static ISSUER_WHY_SIZE])
{
	const struct {
		const char *name;
		const char *url;
	} urls[] = {
		{ "MOZAIKS_JWKS_URL", c->jwks_url },
		{ "MOZAIKS_OIDC_DISCOVERY_URL", c->discovery_url },
		/* Compared only, where something else is asked. */
		{ "MOZAIKS_ISSUER",
			c->jwks_url == NULL && c->discovery_url == NULL ? c->name : NULL },
	};
	for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
		const char *problem = urls[i].url == NULL
			? NULL
			: fetch_url_problem(urls[i].url, c->http_allowed);
		if (problem != NULL) {
			return refuse(why, urls[i].name, problem);
		}
	}
	return 0;
}

static char *copy_of(const char *text, bool *failed)
{
	char *copy = text == NULL ? NULL : slice_dup(slice_str(text));
	*failed |= text != NULL && copy == NULL;
	return copy;
}

static int copy_config(
	struct issuer *i, const struct issuer_config *c, char why[static ISSUER_WHY_SIZE])
{
	char url[DISCOVERY_TEXT_MAX + 1];
	bool failed = false;
	const char *discovery = c->discovery_url;
	i->config = *c;
	if (discovery == NULL && c->name != NULL) {
		if (!discovery_url(slice_str(c->name), url)) {
			return refuse(why, "MOZAIKS_ISSUER", "is too long");
		}
		discovery = url;
	}
	i->name = copy_of(c->name, &failed);
	i->jwks_url = copy_of(c->jwks_url, &failed);
	i->discovery_url = copy_of(discovery, &failed);
	i->ca = c->ca.n == 0 ? NULL : slice_dup(c->ca);
	failed |= c->ca.n > 0 && i->ca == NULL;
	i->config.ca = slice_of(i->ca, i->ca == NULL ? 0 : c->ca.n);
	return failed ? refuse(why, "MOZAIKS_ISSUER", "cannot be kept for want of memory") : 0;
}

int issuer_open(
	struct issuer **ret, const struct issuer_config *config, char why[static ISSUER_WHY_SIZE])
{
	int r = check_urls(config, why);
	struct issuer *i = r < 0 ? NULL : calloc(1, sizeof(*i));
	if (i == NULL) {
		return r < 0 ? r
			     : refuse(why, "MOZAIKS_ISSUER", "cannot be kept for want of memory");
	}
	r = copy_config(i, config, why);
	if (r < 0) {
		(void)issuer_free(i);
		return r;
	}
	(void)snprintf(i->why, sizeof(i->why), "the issuer has not answered yet");
	uvx_timer_init(&i->timer, config->loop, begin, i);
	uvx_timer_once(&i->timer, 0);
	auth_set_missing_hook(config->auth, on_missing, i);
	*ret = i;
	return 0;
}

void issuer_close(struct issuer *i, uvx_closed_fn closed, void *arg)
{
	i->closing = true;
	auth_set_missing_hook(i->config.auth, NULL, NULL);
	uvx_timer_close(&i->timer, closed, arg);
}

struct issuer *issuer_free(struct issuer *i)
{
	if (i != NULL) {
		free(i->name);
		free(i->jwks_url);
		free(i->discovery_url);
		free(i->ca);
		free(i);
	}
	return NULL;
}

const char *issuer_problem(const struct issuer *i)
{
	return auth_has_keys(i->config.auth) ? NULL : i->why;
}
