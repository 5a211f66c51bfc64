/*
 * One worker process as the director sees it: a channel, a state, the calls it runs.
 *
 * Its states are those of life.h.
 *
 * The channel is the identity: nothing in a frame says which plugin it is from. Whatever breaks the
 * protocol closes the channel and has the process killed. Loop thread.
 */
#pragma once

#include "common/base/log_tail.h"
#include "common/channel/channel.h"
#include "common/proto/messages.h"
#include "common/uvx/timer.h"
#include "director/hosts/life.h"
#include "director/hosts/plugin.h"

/* Calls that a worker may have at once, tombstones of abandoned ones included. */
enum { WORKER_CALL_SLOTS = 1024 };

/* State of one capability, kept for a worker (open cursors). */
struct worker_slot {
	void *state;
	void (*release)(void *state);
};

enum { WORKER_CAPABILITY_SLOTS = 4 };

/* How a worker ended, and who may have caused it. */
struct worker_end {
	enum worker_exit why;
	uint64_t ready_ms; /* how long it was ready; 0: it never was */
	bool succeeded;    /* a call of it ended well */
	enum tenant tenant;
	uint64_t user, request; /* hashes, 0 for unknown: see breaker.h */
};

struct worker {
	UT_hash_handle hh;          /* in director.workers, by id */
	struct worker *prev, *next; /* in plugin.workers */
	struct director *director;
	struct plugin *plugin;
	uint64_t id;
	unsigned generation; /* the plugin's when it was started */
	enum tenant tenant;
	char *user;       /* of TENANT_USER; "" for app scope */
	uint64_t used_ms; /* when it had a call last */
	enum worker_state state;
	char version[PLUGIN_VERSION_MAX + 1];
	char folder[128]; /* of its socket */
	struct channel *channel;
	struct uvx_timer timer; /* of the state */
	struct pulse pulse;
	struct uvx_timer pulse_timer;
	struct uvx_closing closes;
	bool native;
	bool waits;                   /* somebody else has to be done first: worker_go_on() */
	bool loaded;                  /* READY came */
	enum worker_exit drained_for; /* why it ends once it has drained */
	struct worker_end end;        /* what is known of its end, once it is ENDING */
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
	uint64_t late_in_row;   /* calls over their deadlines since one was answered in time */
	struct rate frame_rate; /* frames that nobody asked for */
	uint64_t slowed_ms;     /* when that was last logged */
};

/* Whether a worker may take its next step. */
enum worker_gate {
	WORKER_GOES_ON,
	WORKER_WAITS, /* worker_go_on() comes later, or its end */
	WORKER_ENDED, /* it is not to be touched any more */
};

/* What a worker does, told to whoever it concerns; in struct director. */
struct worker_events {
	/* It is in its sandbox and could import its plugin now. */
	enum worker_gate (*hello)(struct worker *w);
	/* It has loaded its plugin and says what that wants. */
	enum worker_gate (*loaded)(struct worker *w, struct slice info);
	/* It takes calls now. */
	void (*ready)(struct worker *w);
	void (*result)(struct worker *w, uint64_t call_id, const struct msg_result *m);
	void (*call)(
		struct worker *w, uint16_t capability, uint64_t call_id, const struct msg_call *m);
	/* RESULT_HEAD, DATA, CREDIT or RESET. */
	void (*stream)(struct worker *w, const struct frame *f);
	/* A call has left its slot. */
	void (*work_ended)(struct worker *w, uint64_t call_id);
	/* It is about to end; its calls are still there. */
	void (*ending)(
		const struct worker *w, enum worker_exit why, const char *text, uint64_t ready_ms);
	/* The channel is closed. Its calls are to be taken out now; it is freed afterwards. */
	void (*cut)(struct worker *w);
	/* It is freed, and all that will ever be known is in `end`. */
	void (*ended)(struct plugin *p, const struct worker_end *end);
	/* It has no call and lives. */
	void (*idle)(struct worker *w);
	/* It may get calls again after a time when it seemed stuck. */
	void (*room)(struct plugin *p);
};

/** Has pluginhost start a worker.
 * @param version the plugin's, of the present generation; or its last good one, which is of the
 *   generation before, so that whatever is newer takes over from it.
 * @param x what it is for; NULL: for everybody.
 * @return 0 or a negative errno; nothing is left behind then. */
int worker_start(struct plugin *p, const char *version, const struct work *x);

/** A worker that was told to wait takes the step that it waited before. */
void worker_go_on(struct worker *w);

/** True when it is for such work, now or once it is ready. */
bool worker_suits(const struct worker *w, const struct work *x);

/** True when it may get that work now. */
bool worker_is_free(const struct worker *w, const struct work *x);

/** A fresh call id with a free slot, 0 when all are taken. */
uint64_t worker_next_call_id(struct worker *w);

/** Puts a call into its slot / takes it out. */
void worker_add_work(struct worker *w, struct work *x);
void worker_remove_work(struct worker *w, struct work *x);

/** The call of this id that it runs, or NULL. */
struct work *worker_find_work(const struct worker *w, uint64_t id);

/** No new calls; it ends when the running ones are done. One that serves not yet ends at once.
 * @param why what the history then says: EXITED_REPLACED, EXITED_RECYCLED, EXITED_DEADLINE … */
void worker_drain(struct worker *w, enum worker_exit why);

/** Closes the channel and has the process killed. Idempotent.
 * @param why for the history; EXITED_UNKNOWN when pluginhost has yet to say.
 * @param text for log and API; NULL where `why` says it all. */
void worker_end(struct worker *w, enum worker_exit why, const char *text);

/** The peer broke the protocol: logged, counted, ended. */
void worker_violation(struct worker *w, const char *what);

/** A call ran over its deadline: the worker has a moment to show that its loop turns. */
void worker_probe(struct worker *w);

/** pluginhost reports that the process is gone: it ends now, if it was not ending already. */
void worker_died(struct worker *w);

/** All is known of its end, which had come: it is freed. */
void worker_finish(struct worker *w, enum worker_exit why);
