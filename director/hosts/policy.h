/*
 * The numbers of supervision, as the settings give them (config/settings.c has name, default and rule
 * of each). The rules that use them are files of their own beside this one, without a loop: time is a
 * parameter, what to do is a result.
 *
 * Times are milliseconds. A limit of 0 switches its rule off, where the setting allows 0.
 */
#pragma once

#include <stdint.h>

/* restart.h */
struct restart_policy {
	uint64_t first_ms, max_ms; /* the wait after the first crash, the longest one */
	uint64_t healthy_ms;       /* ready this long, and one success: the count begins anew */
	uint64_t rate;             /* restarts a second, of all plugins */
	uint64_t at_once;          /* workers on their way, of all plugins */
};

/* breaker.h */
struct breaker_policy {
	uint64_t burst, burst_ms;     /* crashes within a short time */
	uint64_t crashes, crashes_ms; /* crashes within a long one */
	uint64_t init_failures;       /* in a row */
	uint64_t open_ms, open_max_ms;
	uint64_t successes;                 /* that close it again */
	uint64_t opens, opens_ms;           /* so often within this time: the plugin is disabled */
	uint64_t violations, violations_ms; /* likewise */
	uint64_t source_ms;                 /* crashes of one user or request within it are one */
};

/* life.h */
struct life_policy {
	uint64_t hello_ms;   /* from START to HELLO: fork, sandbox, handshake */
	uint64_t load_ms;    /* from CONFIGURE to READY: imports, initialize */
	uint64_t grace_ms;   /* for a cancelled call to end, and for its worker to answer PING */
	uint64_t ping_ms;    /* an idle worker is asked this often, and has this long to answer */
	uint64_t drain_ms;   /* for the calls of a worker that gets no more */
	uint64_t finish_ms;  /* for one without calls to end by itself */
	uint64_t late_calls; /* over their deadlines in a row: it is replaced */
};
