/*
 * mozaiks/plugin.h: a plugin in C.
 *
 * A native plugin is a folder with a shared object `logic.so` that exports one function:
 *
 *     #include <mozaiks/plugin.h>
 *
 *     static int execute(struct mozaiks_call *call)
 *     {
 *             return mozaiks_answer(call, MOZAIKS_TEXT("{\"hello\":\"world\"}"));
 *     }
 *
 *     static const struct mozaiks_plugin plugin = {
 *             MOZAIKS_PLUGIN_HEAD,
 *             .name = "hello",
 *             .execute = execute,
 *     };
 *
 *     const struct mozaiks_plugin *mozaiks_plugin(void)
 *     {
 *             return &plugin;
 *     }
 *
 *     cc -shared -fPIC -o logic.so hello.c
 *
 * Nothing else is linked: the runtime is reached through the call object.
 *
 * Every text that a plugin gets from the runtime is UTF-8 and valid until the function that got the
 * call returns. It has a length and no closing NUL, unless its function says so. JSON goes in and
 * out; the database speaks MongoDB Extended JSON ({"$oid": …}, {"$date": …}).
 *
 * Functions that return int return 0 or one of enum mozaiks_error.
 *
 * Threads: execute() and on_event() are called from `threads` threads at once (4 unless the plugin
 * says otherwise, at most 7; 1 makes them take turns). A call object belongs to the function that got it.
 *
 * The plugin runs in a sandbox: no network, no processes, no files but its own (read-only, at
 * /plugins/<name>) and a small private /tmp. It is sealed once mozaiks_plugin() has returned: no
 * library can be loaded any more.
 */
#ifndef MOZAIKS_PLUGIN_H
#define MOZAIKS_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Goes up when a plugin built for the old one would break. Additions go to the ends of the structs,
 * which carry their sizes. */
#define MOZAIKS_ABI_VERSION 1

#define MOZAIKS_EXPORT __attribute__((visibility("default")))

struct mozaiks_text {
	const char *p;
	size_t n;
};

/* A text made of a string literal. */
#define MOZAIKS_TEXT(literal) ((struct mozaiks_text){ ("" literal), sizeof(literal) - 1 })

/* For "%.*s". */
#define MOZAIKS_PRINTED(text) (int)(text).n, (text).p

enum mozaiks_error {
	MOZAIKS_OK = 0,
	MOZAIKS_E_MEMORY = 1,
	MOZAIKS_E_INVALID = 2,    /* not what it must be; mozaiks_error() says why */
	MOZAIKS_E_PERMISSION = 3, /* the plugin was not granted it */
	MOZAIKS_E_REFUSED = 4,   /* the runtime said no: mozaiks_error() has its code and message */
	MOZAIKS_E_CANCELLED = 5, /* the call is over: return soon */
	MOZAIKS_E_LIMIT = 6,     /* too large or too many: mozaiks_error() names the limit */
	MOZAIKS_E_ABSENT = 7,    /* no such member, no further element */
};

enum mozaiks_level {
	MOZAIKS_LOG_ERROR = 3,
	MOZAIKS_LOG_WARNING = 4,
	MOZAIKS_LOG_INFO = 6,
	MOZAIKS_LOG_DEBUG = 7,
};

struct mozaiks_api;

/* One piece of work: a request, an event, initialisation. Only its first member is public. */
struct mozaiks_call {
	const struct mozaiks_api *api;
};

/* What the plugin is. */
struct mozaiks_plugin {
	uint32_t abi_version; /* MOZAIKS_ABI_VERSION */
	uint32_t size;        /* sizeof(struct mozaiks_plugin) */
	const char *name;     /* for logs */
	uint32_t threads;     /* how many calls at once, at most 7; 0: 4 */
	/* NULL, or the names of the events it wants, closed by NULL. */
	const char *const *subscriptions;

	/* A request. Gives its answer with mozaiks_answer() and returns 0 (no answer is null); or
	 * returns anything else, mostly through mozaiks_fail(): then the client gets an error 500. */
	int (*execute)(struct mozaiks_call *call);

	/* All of these may be NULL. */

	/* Once, before the first call, without a user. Not 0: the plugin does not start. */
	int (*init)(struct mozaiks_call *call);
	/* An event; mozaiks_data() is {"event": name, "data": …}. */
	int (*on_event)(struct mozaiks_call *call);
	/* Once, after the last call, without a user. */
	void (*shutdown)(struct mozaiks_call *call);
};

#define MOZAIKS_PLUGIN_HEAD \
	.abi_version = MOZAIKS_ABI_VERSION, .size = (uint32_t)sizeof(struct mozaiks_plugin)

/* Written by the plugin. */
MOZAIKS_EXPORT const struct mozaiks_plugin *mozaiks_plugin(void);

/* The runtime's functions; use the wrappers below. */
struct mozaiks_api {
	uint32_t size;
	struct mozaiks_text (*data)(struct mozaiks_call *call);
	struct mozaiks_text (*user)(struct mozaiks_call *call);
	struct mozaiks_text (*config)(struct mozaiks_call *call);
	int (*answer)(struct mozaiks_call *call, struct mozaiks_text json);
	int (*fail)(struct mozaiks_call *call, const char *format, ...)
		__attribute__((format(printf, 2, 3)));
	int (*capability)(struct mozaiks_call *call,
		const char *name,
		struct mozaiks_text args,
		struct mozaiks_text *ret_result);
	struct mozaiks_text (*error)(struct mozaiks_call *call);
	int (*cancelled)(struct mozaiks_call *call);
	uint32_t (*remaining_ms)(struct mozaiks_call *call);
	void (*log)(struct mozaiks_call *call, enum mozaiks_level level, const char *format, ...)
		__attribute__((format(printf, 3, 4)));
	int (*member)(struct mozaiks_call *call,
		struct mozaiks_text object,
		const char *name,
		struct mozaiks_text *ret_value);
	int (*element)(struct mozaiks_call *call,
		struct mozaiks_text array,
		size_t *position,
		struct mozaiks_text *ret_value);
	int (*string)(struct mozaiks_call *call,
		struct mozaiks_text value,
		struct mozaiks_text *ret_string);
	int (*integer)(struct mozaiks_call *call, struct mozaiks_text value, int64_t *ret_integer);
	int (*quote)(struct mozaiks_call *call,
		struct mozaiks_text string,
		struct mozaiks_text *ret_json);
	int (*format)(
		struct mozaiks_call *call, struct mozaiks_text *ret_text, const char *format, ...)
		__attribute__((format(printf, 3, 4)));
	int (*plain)(struct mozaiks_call *call,
		struct mozaiks_text extended,
		struct mozaiks_text *ret_json);
	/* Since 2: see MOZAIKS_HAS(). */
	int (*stream_begin)(
		struct mozaiks_call *call, int status, struct mozaiks_text content_type);
	int (*stream_write)(struct mozaiks_call *call, struct mozaiks_text bytes);
	int (*body_read)(struct mozaiks_call *call, void *to, size_t size, size_t *ret_n);
	/* Since 3. */
	struct mozaiks_text (*traceparent)(struct mozaiks_call *call);
};

/* Additions of this header, beside MOZAIKS_ABI_VERSION: 2 has streams, 3 traceparent. */
#define MOZAIKS_API_LEVEL 3

/* True when the runtime is new enough to have a function of struct mozaiks_api. */
#define MOZAIKS_HAS(call, function) \
	((call)->api->size >=       \
		offsetof(struct mozaiks_api, function) + sizeof((call)->api->function))

/* ---- The call ---- */

/* The request: a JSON object, with the members that the runtime vouches for (user_id, app_id,
 * _context) last. */
static inline struct mozaiks_text mozaiks_data(struct mozaiks_call *call)
{
	return call->api->data(call);
}

/* The user the call is made for; empty without one. The database is scoped to this user. */
static inline struct mozaiks_text mozaiks_user(struct mozaiks_call *call)
{
	return call->api->user(call);
}

/* A JSON object: {"plugin", "app_id", "version", …}. */
static inline struct mozaiks_text mozaiks_config(struct mozaiks_call *call)
{
	return call->api->config(call);
}

/* Any JSON value; it is copied. The last answer counts. */
static inline int mozaiks_answer(struct mozaiks_call *call, struct mozaiks_text json)
{
	return call->api->answer(call, json);
}

/* True when nobody waits for the answer any more. */
static inline int mozaiks_cancelled(struct mozaiks_call *call)
{
	return call->api->cancelled(call);
}

/* Milliseconds until the deadline. */
static inline uint32_t mozaiks_remaining_ms(struct mozaiks_call *call)
{
	return call->api->remaining_ms(call);
}

/* Which trace the call belongs to: the value of a traceparent header (W3C trace context). Empty in calls
 * that came over no HTTP request of their own. */
static inline struct mozaiks_text mozaiks_traceparent(struct mozaiks_call *call)
{
	return MOZAIKS_HAS(call, traceparent) ? call->api->traceparent(call) : MOZAIKS_TEXT("");
}

/* What went wrong last in this call: {"code": …, "message": …}; empty when nothing did. */
static inline struct mozaiks_text mozaiks_error(struct mozaiks_call *call)
{
	return call->api->error(call);
}

/* `return mozaiks_fail(call, "format", …)` from execute(). The text goes to the log and, in
 * development, to the client. Never 0. */
#define mozaiks_fail(call, ...) ((call)->api->fail((call), __VA_ARGS__))

/* mozaiks_log(call, MOZAIKS_LOG_INFO, "format", …) */
#define mozaiks_log(call, level, ...) ((call)->api->log((call), (level), __VA_ARGS__))

/* mozaiks_format(call, &text, "format", …): a text, closed by a NUL, that lives as long as the
 * call. */
#define mozaiks_format(call, ret_text, ...) ((call)->api->format((call), (ret_text), __VA_ARGS__))

/* ---- Answers and bodies in pieces ---- */

/* Begins an answer in pieces, in execute(); instead of mozaiks_answer(). The deadline is met with it. Any
 * return but 0 afterwards ends the client's connection before the end of the answer. */
static inline int mozaiks_stream_begin(
	struct mozaiks_call *call, int status, struct mozaiks_text content_type)
{
	return MOZAIKS_HAS(call, stream_begin) ? call->api->stream_begin(call, status, content_type)
					       : MOZAIKS_E_ABSENT;
}

/* Sends bytes; waits while the client is slower. MOZAIKS_E_CANCELLED: it has gone. */
static inline int mozaiks_stream_write(struct mozaiks_call *call, struct mozaiks_text bytes)
{
	return MOZAIKS_HAS(call, stream_write) ? call->api->stream_write(call, bytes)
					       : MOZAIKS_E_ABSENT;
}

/* Reads of the body that the client uploads (manifest: "uploads": true); waits for it. *ret_n is 0 at its
 * end, and without a body. */
static inline int mozaiks_body_read(struct mozaiks_call *call, void *to, size_t size, size_t *ret_n)
{
	*ret_n = 0;
	return MOZAIKS_HAS(call, body_read) ? call->api->body_read(call, to, size, ret_n)
					    : MOZAIKS_E_ABSENT;
}

/* ---- JSON ---- */

/* The value of a member of an object, as it stands in the text. Of several of that name the last:
 * the one that the runtime vouches for. */
static inline int mozaiks_member(struct mozaiks_call *call,
	struct mozaiks_text object,
	const char *name,
	struct mozaiks_text *ret_value)
{
	return call->api->member(call, object, name, ret_value);
}

/* The next element of an array. Starts with *position = 0; MOZAIKS_E_ABSENT at the end. */
static inline int mozaiks_element(struct mozaiks_call *call,
	struct mozaiks_text array,
	size_t *position,
	struct mozaiks_text *ret_value)
{
	return call->api->element(call, array, position, ret_value);
}

/* The text of a JSON string, closed by a NUL. It may hold others. */
static inline int mozaiks_string(
	struct mozaiks_call *call, struct mozaiks_text value, struct mozaiks_text *ret_string)
{
	return call->api->string(call, value, ret_string);
}

/* A JSON integer, or {"$numberLong": "…"}. */
static inline int mozaiks_integer(
	struct mozaiks_call *call, struct mozaiks_text value, int64_t *ret_integer)
{
	return call->api->integer(call, value, ret_integer);
}

/* A text as a JSON string with its quotes, closed by a NUL. */
static inline int mozaiks_quote(
	struct mozaiks_call *call, struct mozaiks_text string, struct mozaiks_text *ret_json)
{
	return call->api->quote(call, string, ret_json);
}

/* Extended JSON for a client: ids as their digits, dates as ISO 8601, integers as integers. */
static inline int mozaiks_plain(
	struct mozaiks_call *call, struct mozaiks_text extended, struct mozaiks_text *ret_json)
{
	return call->api->plain(call, extended, ret_json);
}

/* ---- Capabilities: what the runtime does for a plugin that was granted it ---- */

/*
 * Asks and waits. Names, arguments (a JSON object) and results:
 *
 *   database.find      {collection, filter?, projection?, sort?, skip?, limit?} -> [documents]
 *   database.count     {collection, filter?, skip?, limit?} -> {n}
 *   database.distinct  {collection, field, filter?} -> {values}
 *   database.insert    {collection, documents, ordered?} -> {inserted, ids, errors}
 *   database.update    {collection, filter, update, multi?, upsert?}
 *                      -> {matched, modified, upserted?}
 *   database.delete    {collection, filter, multi?} -> {deleted}
 *   database.modify    {collection, filter, update | remove, upsert?, new?, sort?, projection?}
 *                      -> {value}
 *   database.aggregate {collection, pipeline} -> [documents]
 *   database.create_index {collection, index} -> {}   database.drop_index {collection, name} -> {}
 *   database.indexes   {collection} -> [documents]
 *   database.bulk      {collection, writes: [{insert: {documents}} | {update: {filter, update, …}} |
 *                      {delete: {filter, multi?}}], ordered?} -> {results: [{i, …}]}
 *   database.collections {} -> {values}
 *   settings.get       {} -> the value           settings.save {settings} -> {success}
 *   events.publish     {event, data} -> {}       events.subscribe {events} -> {}
 *   websocket.send     {user_id, message} -> {recipients}
 *   websocket.broadcast {message} -> {recipients}
 *   notifications.create {user_id, type, title, message, metadata?, channels?} -> {id}
 */
static inline int mozaiks_capability(struct mozaiks_call *call,
	const char *name,
	struct mozaiks_text args,
	struct mozaiks_text *ret_result)
{
	return call->api->capability(call, name, args, ret_result);
}

#ifdef __cplusplus
}
#endif

#endif
