#include "director/capability/capability.h"

#include "common/base/buffer.h"
#include "common/base/log.h"
#include "director/capability/calls.h"
#include "director/capability/quota.h"
#include "director/director.h"
#include "director/execute/call.h"
#include "director/hosts/manifest.h"
#include "director/hosts/worker.h"
#include "director/schema/schemas.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	REPLY_OVERHEAD = FRAME_HEADER_SIZE + 8,
	ERROR_MAX = 1024,
};

struct capability_call {
	struct capability_call *prev, *next; /* in worker.capabilities */
	struct director *director;
	struct worker *worker; /* NULL once it is gone */
	struct plugin *plugin;
	struct user_context *user; /* NULL: app scope */
	uint64_t work_id;
	uint32_t seq;
	uint16_t code;
	size_t n_args;
	uint8_t args[];
};

static struct call *find_call(const struct worker *w, uint64_t id)
{
	struct work *x = worker_find_work(w, id);
	return x == NULL ? NULL : call_of_work(x);
}

struct director *capability_director(const struct capability_call *c)
{
	return c->director;
}

struct slice capability_plugin(const struct capability_call *c)
{
	return plugin_slice(c->plugin);
}

struct slice capability_user(const struct capability_call *c)
{
	return c->user == NULL ? SLICE_NULL : c->user->user_id;
}

struct user_context *capability_user_context(const struct capability_call *c)
{
	return c->user;
}

struct worker *capability_worker(const struct capability_call *c)
{
	return c->worker;
}

unsigned capability_event_depth(const struct capability_call *c)
{
	const struct call *work = c->worker == NULL ? NULL : find_call(c->worker, c->work_id);
	return work == NULL ? 0 : work->event_depth;
}

bool capability_take_broadcast(struct capability_call *c)
{
	const struct director *d = c->director;
	return rate_take(&c->plugin->broadcast_rate, d->settings->broadcast_rate, uv_now(d->loop));
}

struct slice capability_app(const struct capability_call *c)
{
	return c->director->app_id;
}

uint16_t capability_code(const struct capability_call *c)
{
	return c->code;
}

struct slice capability_args(const struct capability_call *c)
{
	return slice_of(c->args, c->n_args);
}

uint64_t capability_work_id(const struct capability_call *c)
{
	return c->work_id;
}

bool capability_collection_is_shared(const struct capability_call *c, struct slice collection)
{
	return manifest_is_shared(&c->plugin->manifest, collection) ||
		schemas_is_shared(c->director->schemas, plugin_slice(c->plugin), collection);
}

struct slice capability_collection_alias(const struct capability_call *c, struct slice collection)
{
	return grants_alias(&c->director->registry.grants, c->plugin->id, collection);
}

void capability_each_alias(const struct capability_call *c,
	void (*fn)(void *arg, struct slice collection, struct slice physical),
	void *arg)
{
	grants_each_alias(&c->director->registry.grants, c->plugin->id, fn, arg);
}

bool capability_may(const struct capability_call *c, enum capability_code permission)
{
	return c->plugin->manifest.granted[permission];
}

void **capability_worker_slot(struct capability_call *c, void (*release)(void *))
{
	static void *none;
	if (c->worker == NULL) {
		none = NULL;
		return &none;
	}
	for (size_t i = 0; i < WORKER_CAPABILITY_SLOTS; i++) {
		struct worker_slot *slot = &c->worker->slots[i];
		if (slot->release == NULL || slot->release == release) {
			slot->release = release;
			return &slot->state;
		}
	}
	abort(); /* more capabilities with state than slots: a mistake of ours */
}

/* ---- answers -------------------------------------------------------------------------------- */

static void finish(struct capability_call *c)
{
	struct worker *w = c->worker;
	if (w != NULL) {
		/* The work call is the one that had this id, unless it is over. */
		quota_leave(w, find_call(w, c->work_id), c->n_args);
		DL_DELETE(w->capabilities, c);
	}
	(void)user_context_unref(c->user);
	plugin_unref(c->plugin);
	free(c);
}

/* Sends a REPLY; a worker that does not read its answers is ended. */
static void reply(struct worker *w, uint64_t work_id, uint16_t code, const struct msg_reply *m)
{
	struct buffer *b = channel_begin(w->channel, REPLY_OVERHEAD + m->result.n);
	struct frame head = { .capability = code, .call_id = work_id };
	int r = b == NULL ? -1 : msg_reply_append(b, &head, m);
	if (r < 0) {
		char text[160];
		(void)snprintf(text, sizeof(text),
			"it does not read the answers to its capability calls: more than %llu bytes "
			"wait (MOZAIKS_MAX_CHANNEL_BYTES)",
			(unsigned long long)w->director->settings->channel_bytes);
		worker_end(w, EXITED_HUNG, text);
		return;
	}
	channel_end(w->channel);
}

/* The permission that a capability needs, "" when none. */
static const char *permission_of(uint16_t code)
{
	const struct capability *row = capability_find(code);
	return row == NULL ? "" : row->permission;
}

static void reply_error(struct worker *w,
	uint64_t work_id,
	uint16_t code,
	uint32_t seq,
	const char *permission,
	const char *error,
	struct slice message,
	struct slice details)
{
	struct buffer b;
	buffer_init(&b, (size_t)8 * ERROR_MAX + details.n);
	int r = buffer_printf(&b, "{\"code\":\"%s\",\"message\":", error);
	r = r < 0 ? r : buffer_append_json(&b, message);
	if (permission[0] != '\0') {
		r = r < 0 ? r : buffer_printf(&b, ",\"permission\":\"%s\"", permission);
	}
	if (details.n > 0) {
		r = r < 0 ? r : buffer_append(&b, SLICE(",\"details\":"));
		r = r < 0 ? r : buffer_append(&b, details);
	}
	r = r < 0 ? r : buffer_append_byte(&b, '}');
	struct msg_reply m = { .seq = seq,
		.status = REPLY_ERROR,
		.result = r < 0 ? SLICE("{\"code\":\"internal\",\"message\":\"no memory\"}")
				: buffer_slice(&b) };
	reply(w, work_id, code, &m);
	buffer_deinit(&b);
}

void capability_reply(struct capability_call *c, struct slice result)
{
	if (c->worker != NULL) {
		struct msg_reply m = { .seq = c->seq, .status = REPLY_OK, .result = result };
		reply(c->worker, c->work_id, c->code, &m);
	}
	finish(c);
}

void capability_fail(struct capability_call *c, const char *code, const char *format, ...)
{
	char text[ERROR_MAX];
	va_list args;
	va_start(args, format);
	int n = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (c->worker != NULL) {
		size_t length = n < 0               ? 0
			: (size_t)n >= sizeof(text) ? sizeof(text) - 1
						    : (size_t)n;
		reply_error(c->worker, c->work_id, c->code, c->seq, permission_of(c->code), code,
			slice_of(text, length), SLICE_NULL);
	}
	finish(c);
}

void capability_fail_with(
	struct capability_call *c, const char *code, struct slice message, struct slice details)
{
	if (c->worker != NULL) {
		reply_error(c->worker, c->work_id, c->code, c->seq, permission_of(c->code), code,
			message, details);
	}
	finish(c);
}

/* A plugin that asks again and again has its records counted as its own. */
static void log_denied(struct worker *w, const char *permission)
{
	if (!log_budget_take(&w->plugin->log_budget, LOG_RECORD_COST, uv_now(w->director->loop))) {
		return;
	}
	struct log_field fields[] = {
		{ "plugin", plugin_slice(w->plugin) },
		{ "permission", slice_str(permission) },
	};
	log_fields(LOG_WARNING, "capability.denied", fields, 2, "asked for, not granted");
}

void capability_deny(struct capability_call *c, const char *permission, const char *what)
{
	char text[ERROR_MAX];
	int n = snprintf(text, sizeof(text),
		"%s: %s needs the permission \"%s\", which this plugin was not granted",
		capability_find(c->code)->name, what, permission);
	if (c->worker != NULL) {
		log_denied(c->worker, permission);
		reply_error(c->worker, c->work_id, c->code, c->seq, permission, "permission_denied",
			slice_of(text, n < 0 ? 0 : (size_t)n), SLICE_NULL);
	}
	finish(c);
}

void capability_calls_drop(struct worker *w)
{
	struct capability_call *c;
	struct capability_call *next;
	DL_FOREACH_SAFE (w->capabilities, c, next) {
		c->worker = NULL;
	}
	w->capabilities = NULL;
}

/* ---- questions ------------------------------------------------------------------------------ */

/* Why a CALL is refused: the error's code and text; or NULL, and its place is taken. `work` is the call
 * that it names. */
static const char *refusal(struct worker *w,
	uint16_t code,
	uint64_t work_id,
	struct call *work,
	size_t n_args,
	char text[static ERROR_MAX])
{
	const struct capability *row = capability_find(code);
	if (row == NULL) {
		(void)snprintf(text, ERROR_MAX, "there is no capability with the code %u", code);
		return "unsupported";
	}
	if (work_id != 0 && (work == NULL || work->state != CALL_RUNNING)) {
		(void)snprintf(
			text, ERROR_MAX, "%s: the call that it belongs to has ended", row->name);
		return "call_ended";
	}
	if (!w->plugin->manifest.granted[code]) {
		(void)snprintf(text, ERROR_MAX,
			"%s needs the permission \"%s\", which this plugin was not granted",
			row->name, row->permission);
		return "permission_denied";
	}
	uint64_t args_max = w->director->settings->argument_bytes;
	if (row->small_args && n_args > args_max) {
		(void)snprintf(text, ERROR_MAX,
			"%s: arguments of %zu bytes; at most %llu are taken "
			"(MOZAIKS_MAX_ARGUMENT_BYTES)",
			row->name, n_args, (unsigned long long)args_max);
		return "limit_exceeded";
	}
	char why[QUOTA_TEXT_MAX];
	if (!quota_enter(w, work, n_args, why)) {
		(void)snprintf(text, ERROR_MAX, "%s: %s", row->name, why);
		return "quota_exceeded";
	}
	return NULL;
}

void capability_on_call(struct worker *w, uint16_t code, uint64_t work_id, const struct msg_call *m)
{
	char text[ERROR_MAX];
	struct call *work = NULL;
	if (work_id != 0) {
		if (work_id > w->last_call_id) {
			worker_violation(w, "CALL for a call that was never made");
			return;
		}
		work = find_call(w, work_id);
	}
	const char *error = refusal(w, code, work_id, work, m->args.n, text);
	struct capability_call *c = error == NULL ? malloc(sizeof(*c) + m->args.n) : NULL;
	if (c == NULL) {
		if (error == NULL) {
			quota_leave(w, work, m->args.n);
		}
		if (error != NULL && slice_eq(slice_str(error), SLICE("permission_denied"))) {
			log_denied(w, permission_of(code));
		}
		reply_error(w, work_id, code, m->seq, permission_of(code),
			error == NULL ? "unavailable" : error,
			error == NULL ? SLICE("no memory") : slice_str(text), SLICE_NULL);
		return;
	}
	*c = (struct capability_call){
		.director = w->director,
		.worker = w,
		.plugin = w->plugin,
		.user = work == NULL || work->user == NULL ? NULL : user_context_ref(work->user),
		.work_id = work_id,
		.seq = m->seq,
		.code = code,
		.n_args = m->args.n,
	};
	if (m->args.n > 0) {
		memcpy(c->args, m->args.p, m->args.n);
	}
	plugin_ref(c->plugin);
	DL_APPEND(w->capabilities, c);
	capability_find(code)->handler(c);
}
