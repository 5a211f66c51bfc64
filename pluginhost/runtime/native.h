/*
 * The native runtime (private to native*.c): one shared object, a first thread that only reads and
 * writes frames, and a few threads that run the plugin's functions.
 *
 * The first thread never calls the plugin, so that the worker answers and can be told to cancel
 * whatever the plugin does. Executors append their results themselves; what is appended between two
 * flushes travels in one message.
 *
 * One mutex guards everything below but the reading half of the channel, which is the first
 * thread's.
 */
#pragma once

#include "common/base/map.h"
#include "common/proto/capabilities.h"
#include "common/proto/stream.h"
#include "pluginhost/include/mozaiks/plugin.h"
#include "pluginhost/runtime/channel.h"
#include "pluginhost/runtime/runtime.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
	NATIVE_THREADS = 4,
	NATIVE_THREADS_MAX = 64,
	NATIVE_STACK_BYTES = 1024 * 1024,
	/* Memory that the runtime's functions may give out in one call. */
	NATIVE_CALL_BYTES = 64 * 1024 * 1024,
	/* Documents of one database.find, as JSON. */
	NATIVE_FIND_BYTES = 16 * 1024 * 1024,
	NATIVE_LOG_BYTES = 8192,
	/* How long results may wait for others to travel with, in microseconds. */
	NATIVE_BATCH_US = 200,
	/* How long work may wait for a busy executor while others sleep, in milliseconds. */
	NATIVE_WAIT_MS = 1,
};

enum native_kind { NATIVE_EXECUTE, NATIVE_EVENT, NATIVE_INIT, NATIVE_SHUTDOWN };

/* Memory of a call: freed with it. */
struct native_block {
	struct native_block *next;
	max_align_t bytes[];
};

struct native_call {
	struct mozaiks_call public; /* first: the plugin's view */
	struct native *native;
	enum native_kind kind;
	uint64_t id;
	uint64_t end_ms; /* deadline on the monotonic clock; 0: none */
	uint64_t queued_ns;
	atomic_bool cancelled;
	struct slice data;
	struct slice user;
	struct slice trace;
	struct native_block *blocks;
	size_t block_bytes;
	struct slice answer;
	char *failure; /* of mozaiks_fail() */
	struct mozaiks_text error;

	struct stream stream;
	struct native_piece *pieces; /* of the body, not read yet */

	/* The capability it waits for; also signalled when the stream moves. */
	pthread_cond_t replied;
	bool waiting;
	uint32_t seq;
	int status; /* -1: none yet */
	uint8_t *reply;
	size_t reply_size;

	struct native_call *prev; /* in the queue, or among the running */
	struct native_call *next;
	uint8_t payload[];
};

struct native {
	const struct worker_context *ctx;
	const struct mozaiks_plugin *plugin;
	struct slice config;
	size_t max_response;

	pthread_mutex_t lock;
	pthread_cond_t work; /* the queue has something, or stopping */
	struct channel channel;
	int wake; /* eventfd: the first thread must look again */
	struct native_call *queue;
	struct native_call *running;
	unsigned n_running;
	unsigned n_waiting; /* of the running: in a capability */
	unsigned n_idle;
	unsigned n_woken; /* of the idle: signalled, not running yet */
	bool blocked;     /* the socket has no room for what is appended */
	bool flush_first; /* the first thread has appended something */
	uint32_t last_seq;
	uint64_t flushed_ns;
	bool ready;
	bool draining;
	bool shut_down; /* the plugin's shutdown() was queued */
	bool finished;  /* and has returned */
};

struct native_piece;

extern const struct mozaiks_api native_api;

/* ---- native.c ---- */

/**
 * Appends a frame with a msg_*_append() expression; waits for room. With the lock held. Ends the
 * process when the frame cannot be appended at all.
 */
#define NATIVE_APPEND(n, append) \
	do {                     \
	} while (native_must_append_again((n), channel_end(&(n)->channel, (append))))

/** @param e of channel_end(). @return true: there is room now, try again. */
bool native_must_append_again(struct native *n, int e);

/** Sends what is appended. With the lock held. */
void native_flush(struct native *n);

/** A call of the runtime's own (no work of the director's). NULL without memory. */
struct native_call *native_call_new(struct native *n, enum native_kind kind, size_t payload_size);
void native_call_free(struct native_call *c);

/* ---- native_call.c: what the plugin calls ---- */

/** Memory that lives as long as the call, or NULL; then c->error is set. */
void *native_alloc(struct native_call *c, size_t size);

/** Sets c->error to {"code", "message"} and returns `e`. */
int native_error(struct native_call *c, int e, const char *code, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* ---- native_json.c ---- */

int native_member(struct mozaiks_call *call,
	struct mozaiks_text object,
	const char *name,
	struct mozaiks_text *ret_value);
int native_element(struct mozaiks_call *call,
	struct mozaiks_text array,
	size_t *position,
	struct mozaiks_text *ret_value);
int native_string(
	struct mozaiks_call *call, struct mozaiks_text value, struct mozaiks_text *ret_string);
int native_integer(struct mozaiks_call *call, struct mozaiks_text value, int64_t *ret_integer);
int native_quote(
	struct mozaiks_call *call, struct mozaiks_text string, struct mozaiks_text *ret_json);
int native_plain(
	struct mozaiks_call *call, struct mozaiks_text extended, struct mozaiks_text *ret_json);

/** Copies bytes into the call's memory, with a NUL behind. @return 0 or MOZAIKS_E_*. */
int native_keep(struct native_call *c, struct slice bytes, struct mozaiks_text *ret_text);

/* ---- native_stream.c ---- */

int native_stream_begin(struct mozaiks_call *call, int status, struct mozaiks_text content_type);
int native_stream_write(struct mozaiks_call *call, struct mozaiks_text bytes);
int native_body_read(struct mozaiks_call *call, void *to, size_t size, size_t *ret_n);

/** DATA, CREDIT or RESET, with the lock held. @return false: the director breaks the protocol. */
bool native_take_stream(struct native *n, const struct frame *f);

/** The plugin has returned 0: its answer in pieces is complete. With the lock held; waits for credit.
 * @return false when nobody takes it. */
bool native_stream_end(struct native_call *c);

void native_stream_free(struct native_call *c);

/* ---- native_capability.c ---- */

int native_capability(struct mozaiks_call *call,
	const char *name,
	struct mozaiks_text args,
	struct mozaiks_text *ret_result);
