/*
 * The message table: every frame type, who may send it, its limits, and the fields of its payload.
 * Structs, encoders, decoders, names for logs and the fuzz target are made from it.
 *
 * Field kinds: u8 u16 u32 u64 little-endian; text = u16 length + UTF-8 bytes; rest = the remaining
 * bytes. A decoder must end exactly at the end of the payload. PROTOCOL_VERSION goes up with every
 * change here.
 */
#pragma once

#include "common/proto/frame.h"

/* Who sends a frame. */
enum {
	FROM_DIRECTOR = 1,
	FROM_WORKER = 2,
	FROM_PLUGINHOST = 4,
};

/*
 * MESSAGES(X): X(NAME, number, senders, min payload, max payload, flag bits allowed)
 *
 * Worker channel
 *   HELLO      first frame of a worker; report is a JSON object: what the sandbox really is
 *   CONFIGURE  config is a JSON object: {"plugin","app_id","version","kind","max_response",
 *              "concurrency","permissions":[…],"development":bool,"plugin_dir":"/plugin"}
 *   READY      ok 1: loaded, info is {"entry":"execute","async":bool,"subscriptions":[…]
 *              [,"schema":{"collections":…,"initial_data":…}]};
 *              ok 0: info is {"error":"…","traceback":"…"}
 *   EXECUTE    work: run execute(data); data is a JSON object with the trusted members last. Flags
 *              say that a stream belongs to it
 *   HTTP HEALTH TEST LIFECYCLE  work of other kinds
 *   EVENT      work: an event that this plugin subscribed to; data is {"event","data",…}
 *   CANCEL     stop a call; its RESULT still comes, outcome CANCELLED or another
 *   DRAIN      no more work follows: finish, run shutdown(), close
 *   PING PONG  liveness of a worker without work
 *   RESULT     answer to work, once per call id
 *   RESULT_HEAD DATA CREDIT RESET  streams, see stream.h: bodies in pieces of <= 64 KiB. headers is a
 *              JSON object of texts. A WebSocket's last DATA is its close code (u16) and reason, or
 *              empty. reason of RESET is text
 *   CALL       capability (frame header: which, and for which call; id 0 is app scope); seq names
 *              this CALL within the channel
 *   REPLY      answer to a CALL with the same id, capability and seq; status REPLY_*
 *   LOG        log record of the plugin
 *
 * Control channel
 *   HOST       first frame of a pluginhost: its name and the sandbox report (JSON)
 *   PLUGINS    what is in the plugin paths: JSON array, in parts; `last` ends the list
 *   DISCOVER   look again now
 *   START      call id = worker id. spec is {"plugin","version","socket","limits":{…}}
 *   KILL       call id = worker id
 *   EXITED     call id = worker id. reason is {"reason":"signal|exit|oom|sandbox|start|killed|
 *              zygote","signal":n,"status":n,"message":"…"}; zygote: not the plugin's doing
 *   LIMITS     call id = worker id. new limits for a running worker (JSON)
 *   SERVES     call id = worker id. it is ready; once it has been so for a while its version is good
 */
/* clang-format off */
#define MESSAGES(X) \
	X(HELLO,       1, FROM_WORKER,     5, 16384,             0) \
	X(READY,       2, FROM_WORKER,     2, 65536,             0) \
	X(CONFIGURE,   3, FROM_DIRECTOR,   2, FRAME_PAYLOAD_MAX, 0) \
	X(EXECUTE,     4, FROM_DIRECTOR,  12, FRAME_PAYLOAD_MAX, 3) \
	X(HTTP,        5, FROM_DIRECTOR,  10, FRAME_PAYLOAD_MAX, 0) \
	X(EVENT,       6, FROM_DIRECTOR,  12, FRAME_PAYLOAD_MAX, 0) \
	X(HEALTH,      7, FROM_DIRECTOR,  10, 65536,             0) \
	X(TEST,        8, FROM_DIRECTOR,  10, FRAME_PAYLOAD_MAX, 0) \
	X(LIFECYCLE,   9, FROM_DIRECTOR,  11, 65536,             0) \
	X(CANCEL,     10, FROM_DIRECTOR,   0, 0,                 0) \
	X(DRAIN,      11, FROM_DIRECTOR,   4, 4,                 0) \
	X(PING,       12, FROM_DIRECTOR,   0, 0,                 0) \
	X(PONG,       13, FROM_WORKER,     0, 0,                 0) \
	X(RESULT,     14, FROM_WORKER,     1, FRAME_PAYLOAD_MAX, 0) \
	X(RESULT_HEAD,15, FROM_WORKER,     2, 65536,             0) \
	X(DATA,       16, FROM_DIRECTOR | FROM_WORKER, 0, 65536, 7) \
	X(CREDIT,     17, FROM_DIRECTOR | FROM_WORKER, 4, 4,     0) \
	X(RESET,      18, FROM_DIRECTOR | FROM_WORKER, 2, 1024,  0) \
	X(CALL,       19, FROM_WORKER,     4, FRAME_PAYLOAD_MAX, 0) \
	X(REPLY,      20, FROM_DIRECTOR,   5, FRAME_PAYLOAD_MAX, 0) \
	X(LOG,        21, FROM_WORKER,     3, 16384,             0) \
	X(HOST,       32, FROM_PLUGINHOST, 6, 65536,             0) \
	X(PLUGINS,    33, FROM_PLUGINHOST, 3, FRAME_PAYLOAD_MAX, 0) \
	X(DISCOVER,   34, FROM_DIRECTOR,   0, 0,                 0) \
	X(START,      35, FROM_DIRECTOR,   2, 65536,             0) \
	X(KILL,       36, FROM_DIRECTOR,   0, 0,                 0) \
	X(EXITED,     37, FROM_PLUGINHOST, 2, 65536,             0) \
	X(LIMITS,     38, FROM_DIRECTOR,   2, 65536,             0) \
	X(SERVES,     39, FROM_DIRECTOR,   0, 0,                 0)

/* FIELDS_<NAME>(F): F(kind, name) in order. Work starts with its header: the milliseconds that are
 * left, the user ("" = app scope), the instance and the trace context. */
#define WORK_HEADER(F)       F(u32, deadline_ms) F(text, user) F(text, instance) F(text, trace)
#define FIELDS_HELLO(F)      F(u16, version) F(u8, native) F(rest, report)
#define FIELDS_READY(F)      F(u8, ok) F(rest, info)
#define FIELDS_CONFIGURE(F)  F(rest, config)
#define FIELDS_EXECUTE(F)    WORK_HEADER(F) F(rest, data)
#define FIELDS_HTTP(F)       WORK_HEADER(F) F(rest, request)
#define FIELDS_EVENT(F)      WORK_HEADER(F) F(rest, event)
#define FIELDS_HEALTH(F)     WORK_HEADER(F) F(rest, data)
#define FIELDS_TEST(F)       WORK_HEADER(F) F(rest, data)
#define FIELDS_LIFECYCLE(F)  WORK_HEADER(F) F(u8, phase) F(rest, data)
#define FIELDS_CANCEL(F)
#define FIELDS_DRAIN(F)      F(u32, deadline_ms)
#define FIELDS_PING(F)
#define FIELDS_PONG(F)
#define FIELDS_RESULT(F)     F(u8, outcome) F(rest, body)
#define FIELDS_RESULT_HEAD(F) F(u16, status) F(rest, headers)
#define FIELDS_DATA(F)       F(rest, bytes)
#define FIELDS_CREDIT(F)     F(u32, bytes)
#define FIELDS_RESET(F)      F(u16, code) F(rest, reason)
#define FIELDS_CALL(F)       F(u32, seq) F(rest, args)
#define FIELDS_REPLY(F)      F(u32, seq) F(u8, status) F(rest, result)
#define FIELDS_LOG(F)        F(u8, level) F(text, logger) F(rest, message)
#define FIELDS_HOST(F)       F(u16, version) F(text, name) F(rest, report)
#define FIELDS_PLUGINS(F)    F(u8, last) F(rest, plugins)
#define FIELDS_DISCOVER(F)
#define FIELDS_START(F)      F(rest, spec)
#define FIELDS_KILL(F)
#define FIELDS_EXITED(F)     F(rest, reason)
#define FIELDS_LIMITS(F)     F(rest, limits)
#define FIELDS_SERVES(F)
/* clang-format on */

enum message_type {
#define MESSAGE_NUMBER(name, number, senders, min, max, flags) MSG_##name = (number),
	MESSAGES(MESSAGE_NUMBER)
#undef MESSAGE_NUMBER
};

enum { MSG_TYPE_MAX = 63 };

/* Flags of DATA. */
enum data_flag {
	DATA_LAST = 1, /* nothing follows in this direction */
	DATA_MORE = 2, /* of a WebSocket: the message goes on in the next piece */
	DATA_TEXT = 4, /* of a WebSocket: the message is text, not bytes */
};

/* Flags of EXECUTE: it has a stream from its start. */
enum work_flag {
	WORK_BODY = 1,   /* the director sends the request's body */
	WORK_SOCKET = 2, /* both send messages, until one says DATA_LAST: a WebSocket */
};

/* Status of a RESULT_HEAD. Else it is that of the HTTP answer, 200 to 599. */
enum { HEAD_VALUE = 0 /* DATA is the JSON value that a RESULT would have had no room for */ };

/* RESULT outcomes. */
enum result_outcome {
	RESULT_VALUE = 0,          /* body is the JSON value that execute() returned */
	RESULT_EXCEPTION = 1,      /* body is {"type","message","traceback"} */
	RESULT_UNSERIALISABLE = 2, /* body is {"message"}: not JSON, NaN, circular */
	RESULT_TOO_LARGE = 3,      /* body is {"size","limit"} */
	RESULT_NO_ENTRY = 4,       /* the plugin has no execute() or run() */
	RESULT_CANCELLED = 5,      /* the call was cancelled before it had an answer */
};

/* REPLY status: 0, or an error whose result is {"code","message"[,"permission"]}. */
enum reply_status { REPLY_OK = 0, REPLY_ERROR = 1 };

/* LIFECYCLE phases. */
enum lifecycle_phase { LIFECYCLE_INITIALIZE = 1, LIFECYCLE_SHUTDOWN = 2 };

struct message_spec {
	const char *name;
	uint8_t senders;
	uint8_t flags;
	uint32_t min;
	uint32_t max;
};

/** The table's row of a type, or NULL. */
const struct message_spec *message_spec(uint8_t type);

/** "EXECUTE" and so on; "?" for an unknown type. */
const char *message_name(uint8_t type);

/**
 * Checks the frame's header against the table.
 * @param sender one of FROM_*: who is at the other end of the channel.
 * @return NULL when it may come from there, else what is wrong with it, for the log.
 */
const char *message_violation(const struct frame *f, int sender);

/* struct msg_execute { uint32_t deadline_ms; struct slice user; … struct slice data; } and so on. */
/* clang-format off */
#define FIELD_TYPE_u8 uint8_t
#define FIELD_TYPE_u16 uint16_t
#define FIELD_TYPE_u32 uint32_t
#define FIELD_TYPE_u64 uint64_t
#define FIELD_TYPE_text struct slice
#define FIELD_TYPE_rest struct slice
#define MESSAGE_FIELD(kind, name) FIELD_TYPE_##kind name;

#define MESSAGE_FUNCTIONS(X) \
	X(HELLO, hello) X(READY, ready) X(CONFIGURE, configure) X(EXECUTE, execute) X(EVENT, event) \
	X(LIFECYCLE, lifecycle) X(DRAIN, drain) X(RESULT, result) X(RESULT_HEAD, result_head) \
	X(DATA, data) X(CREDIT, credit) X(RESET, reset) X(CALL, call) X(REPLY, reply) X(LOG, log) \
	X(HOST, host) X(PLUGINS, plugins) X(START, start) X(EXITED, exited) X(LIMITS, limits) \
	X(HTTP, http) X(HEALTH, health) X(TEST, test)
/* clang-format on */

/*
 * For each NAME:
 *   bool msg_name_decode(struct slice payload, struct msg_name *ret)   false: not exactly this
 *   int  msg_name_append(struct buffer *b, const struct frame *head, const struct msg_name *m)
 *        appends a whole frame; type and payload of `head` are ignored. 0, -ENOBUFS, -ENOMEM;
 *        -EMSGSIZE over the type's limit.
 */
#define MESSAGE_DECLARE(NAME, lower)                                              \
	struct msg_##lower {                                                      \
		FIELDS_##NAME(MESSAGE_FIELD)                                      \
	};                                                                        \
	bool msg_##lower##_decode(struct slice payload, struct msg_##lower *ret); \
	int msg_##lower##_append(                                                 \
		struct buffer *b, const struct frame *head, const struct msg_##lower *m);

MESSAGE_FUNCTIONS(MESSAGE_DECLARE)
#undef MESSAGE_DECLARE
