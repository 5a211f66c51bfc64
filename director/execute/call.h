/*
 * One call of a plugin, from admission to its answer.
 *
 *   WAITING --a worker is free--> RUNNING --RESULT--> (answered)
 *      \__deadline__ (answered)      |--client gone--> ABANDONED --RESULT--> (forgotten)
 *                                     |                    | deadline
 *                                     \--deadline--> OVERDUE --RESULT--> (forgotten)
 *
 * Calls come from a pool and keep their timer, so that a request allocates none. Loop thread.
 */
#pragma once

#include "common/base/buffer.h"
#include "common/proto/stream.h"
#include "common/uvx/timer.h"
#include "director/hosts/work.h"
#include "director/http/trace.h"

struct admit_user;
struct director;
struct plugin;
struct user_context;

/* A longer id is cut. */
enum { CALL_REQUEST_ID_MAX = 64 };

enum call_state { CALL_FREE, CALL_WAITING, CALL_RUNNING, CALL_ABANDONED, CALL_OVERDUE };

enum call_end {
	CALL_END_RESULT,      /* the worker answered */
	CALL_END_DEADLINE,    /* 504 */
	CALL_END_DIED,        /* the worker died: 502 */
	CALL_END_STOPPED,     /* the worker was to end, and its time for that is over: 502 */
	CALL_END_UNAVAILABLE, /* no worker can be had: 503 */
	CALL_END_SHED,        /* all workers are busy for too long: 503 */
	CALL_END_QUARANTINED, /* it crashes workers: 500 */
};

struct call;

/* What comes over a call's stream, told to its owner. */
struct call_stream_events {
	/* An answer begins; `status` is HEAD_VALUE for a JSON value in pieces. */
	void (*head)(struct call *c, const struct msg_result_head *m);
	/* A piece of it, valid during the call. Its cost is given back with streams_passed_on(). */
	void (*data)(struct call *c, struct slice piece, uint8_t flags);
	/* The call runs, or the plugin has read: there may be room for streams_send() now. */
	void (*room)(struct call *c);
	/* The plugin wants no more of it. */
	void (*reset)(struct call *c, const struct msg_reset *m);
};

/* The stream of a call; only those that have one pay for it. */
struct call_stream {
	struct stream table;
	const struct call_stream_events *events;
	bool begun;       /* RESULT_HEAD came, or it is a WebSocket */
	bool silent;      /* it may be: an event stream or a WebSocket */
	bool client_owes; /* it is the client that is waited for */
	uint64_t begun_ms;
	uint64_t moved_ms; /* when something last came or went */
	uint64_t beat_ms;  /* when `beat` is wanted next; 0: never */
	void (*beat)(struct call *c);
	const char *over; /* which limit ended it, for the log */
};

/* How a call ended, told once to whoever submitted it. `result` only with CALL_END_RESULT and valid
 * during the call. */
typedef void (*call_done_fn)(struct call *c, enum call_end end, const struct msg_result *result);

struct call {
	struct work work;  /* first: call_of_work() */
	struct call *next; /* in the pool */
	struct director *director;
	struct uvx_timer timer;
	enum call_state state;
	uint8_t message;                                /* MSG_EXECUTE or MSG_EVENT */
	uint8_t work_flags;                             /* enum work_flag, of EXECUTE */
	struct call_stream *stream;                     /* NULL: it has none (yet) */
	const struct call_stream_events *stream_events; /* NULL: its owner takes none */
	struct plugin *plugin;
	struct user_context *user; /* NULL: app scope */
	struct admit_user *admitted;
	struct buffer data; /* the payload while it waits */
	uint64_t submitted_ms, deadline_at_ms;
	unsigned timeout_ms;
	uint64_t request, user_key; /* hashes for the quarantine, 0: not watched by it */
	bool repeatable;            /* it may run twice: its client said so */
	bool repeated;              /* its first worker died */
	bool watched;               /* under suspicion: it runs alone … */
	bool has_turn;              /* … one at a time, and this is it */
	uint64_t sent_ns;
	uint64_t submitted_ns;
	unsigned capability_calls; /* asked during it, not answered */
	unsigned event_depth;      /* an event from an event's handler is one deeper */
	call_done_fn done;
	void *owner;
	uint8_t trace_n;
	char trace[TRACE_LENGTH];                 /* traceparent; trace_n 0: none */
	char request_id[CALL_REQUEST_ID_MAX + 1]; /* for the history; "" for none */
};

static inline struct call *call_of_work(struct work *x)
{
	return (struct call *)x;
}

struct call_pool {
	struct call *free;
	void (*deadline)(void *call); /* a call's timer fired */
	unsigned total, used;
	bool closing;
	void (*closed)(void *arg);
	void *closed_arg;
};

/** A fresh call, or NULL without memory. */
struct call *call_new(struct director *d);

/** The traceparent that goes with it. Copied. */
void call_set_trace(struct call *c, struct slice trace);

/** What the client's request is called in log and history. Copied. */
void call_set_request_id(struct call *c, struct slice id);

/** Gives it back to the pool; its references are released. */
void call_free(struct call *c);

/** Closes the timers of all calls; `closed` when done. No call may be in use. */
void call_pool_close(struct director *d, void (*closed)(void *arg), void *arg);
