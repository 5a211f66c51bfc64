/*
 * One worker process as the director sees it: a channel, a state, the calls it runs.
 *
 *   STARTING --HELLO--> LOADING --READY ok--> READY --replaced, stuck--> DRAINING --empty--> ENDING
 *       \_________________\__________________\_____ channel closed, killed, timeout ________/
 *
 * The channel is the identity: nothing in a frame says which plugin it is from. Whatever breaks the
 * protocol closes the channel and has the process killed. Loop thread.
 */
#pragma once

#include "common/base/log_tail.h"
#include "common/channel/channel.h"
#include "common/proto/messages.h"
#include "common/uvx/timer.h"
#include "director/hosts/plugin.h"

enum worker_state {
	WORKER_STARTING,
	WORKER_LOADING,
	WORKER_READY,
	WORKER_DRAINING,
	WORKER_ENDING,
};

/* Calls that a worker may have at once, tombstones of abandoned ones included. */
enum { WORKER_CALL_SLOTS = 1024 };

/* State of one capability, kept for a worker (open cursors). */
struct worker_slot {
	void *state;
	void (*release)(void *state);
};

enum { WORKER_CAPABILITY_SLOTS = 4 };

struct worker {
	UT_hash_handle hh;          /* in director.workers, by id */
	struct worker *prev, *next; /* in plugin.workers */
	struct director *director;
	struct plugin *plugin;
	uint64_t id;
	unsigned generation; /* the plugin's when it was started */
	enum worker_state state;
	char version[PLUGIN_VERSION_MAX + 1];
	char folder[128]; /* of its socket */
	struct channel *channel;
	struct uvx_timer timer; /* of the state: hello, load, drain, ping */
	bool pinged, native;
	enum worker_exit drained_for; /* why it ends once it has drained */
	struct log_tail log_tail;     /* its last log records */
	char *report;                 /* the sandbox report of HELLO, JSON */
	uint64_t started_ns, ready_ms;

	struct work *work[WORKER_CALL_SLOTS]; /* by id modulo the size */
	uint64_t last_call_id;
	unsigned running;          /* slots in use, tombstones included */
	unsigned abandoned;        /* tombstones: answered already, RESULT to come */
	unsigned capability_calls; /* see capability/quota.h */
	size_t capability_bytes;
	struct capability_call *capabilities; /* asked, not answered */
	struct worker_slot slots[WORKER_CAPABILITY_SLOTS];
	uint64_t served, succeeded;
	struct rate frame_rate; /* frames that nobody asked for */
	uint64_t slowed_ms;     /* when that was last logged */
};

/* What a worker does, told to whoever it concerns; in struct director. */
struct worker_events {
	/* It has loaded its plugin and says what that wants. @return false after ending the worker. */
	bool (*loaded)(struct worker *w, struct slice info);
	/* It takes calls now. */
	void (*ready)(struct worker *w);
	void (*result)(struct worker *w, uint64_t call_id, const struct msg_result *m);
	void (*call)(
		struct worker *w, uint16_t capability, uint64_t call_id, const struct msg_call *m);
	/* A call has left its slot. */
	void (*work_ended)(struct worker *w, uint64_t call_id);
	/* It is about to end; its calls are still there. */
	void (*ending)(
		const struct worker *w, enum worker_exit why, const char *text, uint64_t ready_ms);
	/* The channel is closed. Its calls are to be taken out now; it is freed afterwards. */
	void (*cut)(struct worker *w);
	/* It is freed. */
	void (*ended)(struct plugin *p, enum worker_exit why, uint64_t ready_ms, bool succeeded);
};

/** Has pluginhost start a worker for the plugin's current version.
 * @return 0 or a negative errno; nothing is left behind then. */
int worker_start(struct plugin *p);

/** True when it may get another call now. */
bool worker_is_free(const struct worker *w);

/** A fresh call id with a free slot, 0 when all are taken. */
uint64_t worker_next_call_id(struct worker *w);

/** Puts a call into its slot / takes it out. */
void worker_add_work(struct worker *w, struct work *x);
void worker_remove_work(struct worker *w, struct work *x);

/** The call of this id that it runs, or NULL. */
struct work *worker_find_work(const struct worker *w, uint64_t id);

/** No new calls; ends when the running ones are done, at the latest after `ms`.
 * @param why what the history then says: EXITED_REPLACED, EXITED_RECYCLED, EXITED_DEADLINE … */
void worker_drain(struct worker *w, unsigned ms, enum worker_exit why);

/** Closes the channel and has the process killed. Idempotent.
 * @param why for the history; EXITED_UNKNOWN when pluginhost has yet to say.
 * @param text for log and API; NULL where `why` says it all. */
void worker_end(struct worker *w, enum worker_exit why, const char *text);

/** The peer broke the protocol: logged, counted, ended. */
void worker_violation(struct worker *w, const char *what);

/** Asks whether its loop still turns; ended when no PONG comes. */
void worker_ping(struct worker *w);

/** pluginhost reports that the process is gone. */
void worker_exited(struct worker *w, struct exit_report *report);

const char *worker_state_name(enum worker_state s);
