/*
 * A plugin as the director knows it: what pluginhost found, what runs of it, and what waits for it.
 *
 * Owned by the registry. Loop thread.
 */
#pragma once

#include "common/base/log_budget.h"
#include "common/base/map.h"
#include "common/base/rate.h"
#include "common/base/slice.h"
#include "common/json/tree.h"
#include "common/proto/capabilities.h"
#include "common/uvx/timer.h"
#include "director/hosts/breaker.h"
#include "director/hosts/exits.h"
#include "director/hosts/restart.h"
#include "director/hosts/work.h"

struct director;
struct worker;

enum { PLUGIN_ID_MAX = 64, PLUGIN_VERSION_MAX = 64, PLUGIN_TEXT_MAX = 512, PLUGIN_HOST_MAX = 32 };

/* What pluginhost says of a plugin's files. */
struct plugin_manifest {
	char *display_name;
	char *description;
	char *version_text;
	unsigned concurrency; /* calls at once in one worker */
	unsigned workers;
	enum tenant isolation;
	unsigned timeout_ms;                   /* 0: the director's default */
	bool uploads;                          /* it takes bodies of any kind, in pieces */
	bool asked[CAPABILITY_CODE_MAX + 1];   /* by the manifest, or the default */
	bool granted[CAPABILITY_CODE_MAX + 1]; /* by capability and permission code: grants.h */
	char **shared_collections;             /* app-scoped ones, NULL-terminated */
	json_t *collections;                   /* all, as common/json/collections.h has them */
	char *limits_json;                     /* for START */
};

/* What happened since the director started. */
struct plugin_counters {
	uint64_t starts;    /* workers */
	uint64_t calls;     /* that were taken on, events included */
	uint64_t errors;    /* of them: ended without a value */
	uint64_t deadlines; /* of those: not answered in time */
	uint64_t shed;      /* not taken on: no room */
};

struct plugin {
	UT_hash_handle hh;
	struct director *director;
	char id[PLUGIN_ID_MAX + 1];
	char host[PLUGIN_HOST_MAX + 1]; /* the pluginhost that has it */
	char kind[16];
	/* The snapshot that should run; empty when the files are broken. */
	char version[PLUGIN_VERSION_MAX + 1];
	/* One that has served for a while, kept by pluginhost; runs when nothing else can. */
	char last_good[PLUGIN_VERSION_MAX + 1];
	bool proven; /* a worker of `version` was ready once */
	struct plugin_manifest manifest;
	char files_error[PLUGIN_TEXT_MAX]; /* pluginhost could not use the files */
	char load_error[PLUGIN_TEXT_MAX];  /* the last version did not start */
	unsigned listed;                   /* registry.listing when its pluginhost last had it */
	bool enabled;
	bool in_file; /* plugin_registry.json says whether it is enabled */
	bool gone;    /* its files are away; freed with its last worker and call */
	bool wanted;  /* somebody called it since it was found: start it, even lazily */

	struct worker *workers;  /* all that live, of any version */
	unsigned n_starting;     /* of them: not ready yet … */
	unsigned n_ready;        /* … and ready */
	struct work *waiting;    /* admitted calls without a worker, in order */
	uint64_t service_us;     /* the mean time of a call in a worker */
	unsigned inflight;       /* admitted: waiting and running */
	unsigned refs;           /* calls that point here */
	unsigned events_pending; /* events on their way to it */
	uint64_t events_dropped; /* in all */
	uint64_t events_told_ms;
	unsigned subscribed; /* the generation whose subscriptions the bus has */
	uint64_t event_mark; /* the last event that it was chosen for */

	struct log_budget log_budget;
	struct exits exits; /* why its workers ended */
	struct plugin_counters counters;
	struct rate capability_rate; /* capability calls, of all its workers */
	struct rate broadcast_rate;

	struct breaker breaker; /* after crashes: whether it may run … */
	struct restart restart; /* … and when its next worker may start */
	unsigned generation;    /* of workers: they are replaced when it goes up */
	unsigned resets;        /* by operators */
	uint64_t restarts;      /* after crashes */
	struct uvx_timer timer; /* until the next start, or the end of the breaker's time */
	bool timer_open;
};

static inline struct slice plugin_slice(const struct plugin *p)
{
	return slice_str(p->id);
}

/** "ready", "starting", "broken", "waiting to restart", "stopped" or "disabled". */
const char *plugin_state(const struct plugin *p);

/** What is wrong, for API and log: the error of its files, else of its last start; "" for none. */
const char *plugin_error(const struct plugin *p);

/** Milliseconds until a worker may be started, 0 when nothing holds it back. */
uint64_t plugin_wait_ms(const struct plugin *p);

/** @return NULL without memory. It is freed when it is gone and nothing uses it any more. */
struct plugin *plugin_new(struct director *d, const char *id, const char *host);

/** Frees a plugin that is gone once nothing uses it any more. */
void plugin_release(struct plugin *p);

/** A call holds its plugin. */
void plugin_ref(struct plugin *p);
void plugin_unref(struct plugin *p);
