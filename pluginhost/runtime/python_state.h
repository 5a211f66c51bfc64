/*
 * What the parts of the Python runtime share: one struct per process, the state of the built-in
 * module `_mozaiks`.
 *
 *   python.c              embeds CPython; prepare(), enter(), run() of runtime.h
 *   python_module.c       the module `_mozaiks`: what our Python code calls
 *   python_frames.c       reads the channel, dispatches frames
 *   python_send.c         sends frames, once per loop turn, in the order and number they may go
 *   python_call.c         runs execute(): context, first step, hand-over to an asyncio task
 *   python_step.c         the coroutine that such a task drives
 *   python_job.c          a call of a sync function, run by a thread of the pool
 *   python_result.c       RESULT frames
 *   python_stream.c       the pieces of answers, bodies and WebSockets
 *   python_request.c      CALL and REPLY: capabilities
 *   python_json.c, python_bson_*.c, python_path.c   conversions
 *
 * Everything runs with the GIL held, which is what serialises access to the channel: pool threads
 * append frames too, but only the loop's thread reads and flushes. No function that appends a frame
 * runs Python code between the begin and the end of the frame: conversions go through a scratch
 * buffer first.
 */
#pragma once

#include "common/proto/stream.h"
#include "pluginhost/runtime/channel.h"
#include "pluginhost/runtime/python_api.h"
#include "pluginhost/runtime/python_bson.h"
#include "pluginhost/runtime/python_json.h"
#include "pluginhost/worker.h"

enum {
	/* Bytes waiting to be written above which no new call is started. */
	PYTHON_HIGH_WATER = 1024 * 1024,
	/* ... above which log records are dropped and counted. */
	PYTHON_LOG_WATER = 2 * 1024 * 1024,
	/* ... above which capability calls are held back. Results may fill the rest
	 * (CHANNEL_OUT_MAX). */
	PYTHON_REQUEST_WATER = 4 * 1024 * 1024,
	/* Bytes of held frames above which capability calls fail. */
	PYTHON_HELD_MAX = 64 * 1024 * 1024,
	/* Capability calls that the director works on at once, unless CONFIGURE says otherwise. */
	PYTHON_REQUESTS_PER_CALL_DEFAULT = 64,
	PYTHON_REQUESTS_DEFAULT = 512,
	/* Milliseconds that frames are worked on before the loop's other callbacks get their turn. */
	PYTHON_SLICE_MS = 5,
	/* Calls that may wait for their start, as a multiple of the plugin's concurrency. */
	PYTHON_QUEUE_FACTOR = 4,
	PYTHON_CONCURRENCY_DEFAULT = 64,
	PYTHON_RESPONSE_DEFAULT = 1000000,
	/* Message and traceback of one log record, in bytes. */
	PYTHON_LOG_MAX = 8192,
	/* A traceparent has 55 characters; what is longer is none. */
	PYTHON_TRACE_MAX = 64,
	/* Scratch memory that is kept between conversions. */
	PYTHON_SCRATCH_KEEP = 256 * 1024,
};

/* One work call, as far as it must be known after its start. Immutable but for the flags. */
struct python_info {
	PyObject_HEAD uint64_t id;
	uint64_t deadline_ms; /* on clock_ms() */
	unsigned requests;    /* capability calls without their reply, held ones included */
	unsigned in_flight;   /* ... sent */
	unsigned held;        /* frames held back */
	uint64_t blocked_in;  /* the scan of held frames in which one of its had to stay */
	bool cancelled;       /* the director has sent CANCEL */
	bool ended;           /* its RESULT is written */
	uint8_t trace_n;
	char trace[PYTHON_TRACE_MAX]; /* what it may pass on as traceparent */
};

/* A frame that waits: EXECUTE for its start, others for being sent. */
struct python_chunk {
	struct python_chunk *prev;
	struct python_chunk *next;
	struct python_info *info; /* strong; of what is sent */
	struct frame frame;       /* payload points behind this struct */
};

/* What runs for a type of work. */
struct python_entry {
	PyObject *function; /* or NULL: RESULT_NO_ENTRY */
	bool async;
};

/* The call whose first step is on the stack. */
struct python_first_step {
	PyObject *call; /* borrowed; NULL when there is none */
	PyObject *context;
	PyObject *coroutine;
	struct python_info *info;
	PyObject *step; /* strong; when the plugin asked for the task already */
};

struct python_state {
	const struct worker_context *worker;
	struct channel channel;
	bool open;            /* the channel is */
	bool writer_on;       /* loop.add_writer() is in force */
	bool more_scheduled;  /* call_soon(on_readable) is under way */
	bool wake_sent;       /* a pool thread has woken the loop up */
	unsigned long thread; /* of the loop */
	struct python_chunk *waiting;
	size_t n_waiting;
	struct python_chunk *held; /* to be sent, oldest first */
	size_t held_bytes;
	unsigned held_app; /* of them requests in app scope */
	uint64_t scan;
	unsigned in_flight; /* capability calls without their reply */
	size_t concurrency;
	size_t max_response;
	size_t requests_per_call;
	size_t requests_max; /* of the worker */
	uint32_t next_seq;
	uint64_t logs_dropped;
	struct buffer scratch;
	bool scratch_used;

	struct python_json_types json;
	struct python_bson_types bson;
	struct python_entry entries[MSG_TYPE_MAX + 1];
	struct python_entry socket_entry; /* of EXECUTE with WORK_SOCKET */
	struct python_first_step first;

	PyTypeObject *task_type; /* _asyncio.Task */
	PyTypeObject *info_type;
	PyTypeObject *call_type;
	PyTypeObject *step_type;
	PyTypeObject *job_type;
	PyTypeObject *stream_type;
	PyObject *spare_call; /* reused while nobody has touched it */

	PyObject *scan_once;     /* json's C scanner */
	PyObject *current_tasks; /* asyncio's dict loop -> task */
	PyObject *cancelled_error;
	PyObject *call_var; /* ContextVar: python_info of the call, or None */
	PyObject *zero;     /* int 0, where the scanner starts */

	/* Given by our Python code (mozaiks/_worker.py). */
	PyObject *loop;
	PyObject *base_context; /* the plugin's module ran in it; calls copy it */
	PyObject *hooks;        /* dict name -> callable */

	PyObject *calls;    /* dict id -> Step or Job: suspended or queued work */
	PyObject *requests; /* dict seq -> (waiter, kind, info) */
	PyObject *streams;  /* dict id -> Stream */
};

/** The state of the imported module. @return NULL with a Python exception. */
struct python_state *python_state_get(void);

/** Calls a hook. @return a new reference, or NULL with a Python exception. */
PyObject *python_hook(struct python_state *s, const char *name, PyObject *argument);

/** Prints and drops the current exception: something of ours failed, not the plugin. */
void python_unexpected(struct python_state *s, const char *where);

/* python_send.c */

/** Ends the process. @param why for stderr, or NULL. */
_Noreturn void python_end(int status, const char *why);

/** A copy of a frame. @return NULL without memory. */
struct python_chunk *python_chunk_new(const struct frame *f);

/** Sends a frame as soon as it may go. @param info the call it is of, or NULL. */
void python_send(struct python_state *s, struct python_info *info, const struct frame *f);

/** Sends a frame of a call that is known by its id, in the order of that call's frames. */
void python_send_of(struct python_state *s, uint64_t id, const struct frame *f);

/** Writes what there is; the rest when the socket is writable. Loop thread. */
void python_send_flush(struct python_state *s);

/** Forgets a held frame. */
void python_send_drop(struct python_state *s, struct python_chunk *c);

/** After appending from a pool thread: the loop must come round to python_flush(). */
void python_wake(struct python_state *s);

/* python_frames.c */

/** The loop says that fd 3 is readable. Ends the process when the channel is closed or broken. */
void python_on_readable(struct python_state *s);

/**
 * Once per loop turn, before it polls: writes what there is.
 * @return true when the loop must not wait, because calls are to be started.
 */
bool python_flush(struct python_state *s);

/* python_call.c */

/** Starts work. `payload` of the frame is the whole message. */
void python_call_start(struct python_state *s, const struct frame *f);

/** Drives a coroutine as the call `info` in `context`; for Python's loop thread. Borrows all. */
void python_call_drive(
	struct python_state *s, struct python_info *info, PyObject *context, PyObject *coroutine);

/** Enters the context of a call, which then knows its call. @return 0, or -1 with an exception. */
int python_context_enter(struct python_state *s, struct python_info *info, PyObject *context);
void python_context_exit(struct python_state *s, PyObject *context);

/** A new python_info; NULL with a Python exception. */
struct python_info *python_info_new(
	struct python_state *s, uint64_t id, uint32_t deadline_ms, struct slice trace);

void python_call_cancel(struct python_state *s, uint64_t id);

/** Forgets a call that has ended. */
void python_call_remove(struct python_state *s, const struct python_info *info);

/** Remembers suspended or queued work. @return 0, or -1 with a Python exception. */
int python_call_add(struct python_state *s, const struct python_info *info, PyObject *work);

PyTypeObject *python_call_type_new(PyObject *module);
PyTypeObject *python_info_type_new(PyObject *module);

/* python_step.c: the coroutine object that an asyncio task of ours drives */

PyTypeObject *python_step_type_new(PyObject *module);

/** @return a new reference, or NULL with a Python exception. */
PyObject *python_step_new(struct python_state *s, struct python_info *info, PyObject *coroutine);

/** The first step, taken outside `task`, has yielded `future`: the task's first step yields it. NULL: it
 * has yielded nothing. */
void python_step_set_pending(PyObject *self, PyObject *task, PyObject *future);

/** What the first step returned is a stream: `coroutine` goes on with it. */
void python_step_set_coroutine(PyObject *self, PyObject *coroutine);

/** The first step was the last one: the task will end with `value`. */
void python_step_set_done(PyObject *self, PyObject *value);

/** CANCEL: cancels its task. */
void python_step_cancel(PyObject *self);

/* python_job.c */

PyTypeObject *python_job_type_new(PyObject *module);

/** Queues `function(data)` for the thread pool. On failure the RESULT is written. */
void python_job_start(struct python_state *s,
	struct python_info *info,
	PyObject *context,
	PyObject *function,
	PyObject *data);

/** CANCEL: a job that has not begun is answered at once. */
void python_job_cancel(PyObject *self);

/* python_result.c: each writes the RESULT of a call, once, and ends it */

/**
 * @return NULL; or a coroutine, when the value is a stream or too long for a frame. Then nothing is written
 * yet: it has to be driven, and what it returns is the next value.
 */
PyObject *python_result_value(struct python_state *s, struct python_info *info, PyObject *value);

/** From the current Python exception, which is taken. */
void python_result_exception(struct python_state *s, struct python_info *info);

void python_result_empty(
	struct python_state *s, struct python_info *info, enum result_outcome outcome);

/** A RESULT for a call that was never started. */
void python_result_refused(struct python_state *s,
	uint64_t id,
	enum result_outcome outcome,
	const char *type,
	const char *message);

/* python_stream.c */

/** Work has come that has a stream from its start. @return 0, or -1 with a Python exception. */
int python_stream_begin(struct python_state *s, const struct frame *f);

/** DATA, CREDIT or RESET. */
void python_stream_on_frame(struct python_state *s, const struct frame *f);

/** `_mozaiks.stream()`: that of the call whose context this is. */
PyObject *python_stream_current(struct python_state *s);

/** The call has its RESULT. Keeps the current exception. */
void python_stream_end(struct python_state *s, uint64_t id);

PyTypeObject *python_stream_type_new(PyObject *module);

/* python_request.c */

/** `_mozaiks.request(code, kind, arguments, waiter)`. */
PyObject *python_request(struct python_state *s, PyObject *const *args, Py_ssize_t n_args);

void python_request_on_reply(struct python_state *s, const struct frame *f);

/** The call has ended: its requests fail, for their replies will not come. */
void python_request_abandon(struct python_state *s, struct python_info *info);

/** The call whose context this is: borrowed, NULL in app scope. */
struct python_info *python_current(struct python_state *s);

/**
 * Scratch memory for one conversion: the shared buffer, or a new one when that is in use (a
 * conversion may run Python code, which may convert).
 */
struct buffer *python_scratch_get(struct python_state *s, struct buffer *own, size_t limit);
void python_scratch_put(struct python_state *s, struct buffer *b);
